"""A seeded mutator of raw log records: what writers, networks and attackers make of them. Nothing else stands here.

A record is mutated as a tree (its values, keys and nesting; the line stays one JSON text, or nearly so) or damaged as
bytes. No mutation puts ``PROMPT`` where a log names a text of its own, such as a model: what a log calls the model is
stored.
"""

import random
from collections.abc import Callable
from typing import Any

import msgspec

PROMPT = "zqxjkprompt"
"""Stands for the text of prompts and answers: it must never be found outside the raw log."""

_TURN = b'{"role":"user","content":"%b"}' % PROMPT.encode()
_TURNS = (_TURN, b"[%b]" % _TURN, b'{"messages":[%b]}' % _TURN)

_SPELLED = (
    "1e400", "-1e400", "1e-400", "-0", "-0.0", "NaN", "-Infinity", "01", "+1", "0x10", "1.", ".5", "1e3", "1.5",
    str(2**31), str(2**53 + 1), str(2**63 - 1), str(2**63), str(-(2**63) - 1), str(2**64), str(2**127), str(2**128),
    "9" * 400, "-" + "9" * 40, "0." + "3" * 60, "1" + "0" * 39 + "e-39", "tRuE", "None", "nul",
    r'"\ud800"', r'"\udfff\ud800"', r'"\u0000"', r'"a\u0000b"', r'"\q"', '"\x01"', "'text'", "{a:1}", "[1,]", "{,}",
    "{}", "[]", "[[]]", "[{}]", '[""]', "[null]", '{"":null}', '{"a":1,"a":2}', "true", "false", "null",
)  # fmt: skip
"""JSON texts as they stand, some of which are none."""

_WORDS = (
    "", " ", "0", "12", " 12 ", "12.0", "1e3", "1,5", "1_000", "-1", "-0", "1.5", "NaN", "nan", "inf", "Infinity",
    "null", "None", "true", "True", "٣", "１２", "9" * 30, "9" * 400, str(2**63), str(2**64), "0x1F", "12abc", "1e400",
    "1e-9", "2026-10-05", "2026-10-05T14:00:00",
    "2026-13-45T99:99:99Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59.999999Z",
    "2026-10-05T14:00:00+99:99", "1791208800", "1791208800000", "-1791208800", "1e18", "yesterday",
    "=HYPERLINK(\"http://x\")", "@SUM(A1)", "<script>alert(1)</script>", "{{ 7 * 7 }}", "${HOME}", "%s%n", "../../etc",
    "a\r\nBcc: x@example.com", "a\nb", "a\tb", "\u202eabc", "\ufeff", "\u2028", "💥" * 20, "\u0300" * 50,
    "'; DROP TABLE", "\\", '"', "$.a.b", "a" * 300, "_object", "defect",
)  # fmt: skip

_KEYS = (
    "", ".", "a.b", "$", "$.id", '"', 'a"b', "\\", "[0]", "[*]", "*", "\u0000", "\ud83d", "__proto__", "💥", " ",
    "key" * 200,
)  # fmt: skip

LONG = (10_000, 70_000, 300_000)
DEEP = (50, 1_000, 4_000)

Tree = Any
"""A decoded JSON value, in which ``msgspec.Raw`` may stand for any text."""


def spots_of(tree: Tree, *, within: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where all values of a tree stand, itself left out: the keys and places that lead to each."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [spot for step, value in inner for spot in ((*within, step), *spots_of(value, within=(*within, step)))]


def mutated(rng: random.Random, line: bytes, spots: list[tuple[Any, ...]], labels: frozenset[str]) -> bytes:
    """The record with one to three of its values or keys as they should not be.

    Args:
        rng: Decides everything.
        line: The record.
        spots: Those of the record.
        labels: Keys below which a log says what it likes to: tags are stored as they are.
    """
    tree = msgspec.json.decode(line)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        spot = rng.choice(spots)
        parent = tree
        try:
            for step in spot[:-1]:
                parent = parent[step]
            value = parent[spot[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took it away
        _mutate(rng, parent, spot[-1], value, is_label=not labels.isdisjoint(map(str, spot)))
    return msgspec.json.encode(tree)


def _mutate(rng: random.Random, parent: Tree, step: Any, value: Tree, *, is_label: bool) -> None:
    kind = rng.randrange(16)
    if not isinstance(parent, dict | list):
        return
    if kind < 5:
        parent[step] = msgspec.Raw(rng.choice(_SPELLED).encode())
    elif kind < 9:
        parent[step] = rng.choice(_WORDS)
    elif kind == 9:
        del parent[step]
    elif kind == 10:
        parent[step] = [value] if rng.random() < 0.5 else {"0": value, "": None}
    elif kind == 11 and isinstance(parent, dict):
        parent[rng.choice(_KEYS).encode("utf-8", "replace").decode()] = parent.pop(step)
    elif kind == 12 and isinstance(parent, dict):
        again = msgspec.json.encode(step) + b":" + rng.choice(_SPELLED).encode()
        pairs = [msgspec.json.encode(key) + b":" + msgspec.json.encode(inner) for key, inner in parent.items()]
        pairs.insert(rng.randrange(len(pairs) + 1), again)
        parent.clear()
        parent["twice"] = msgspec.Raw(b"{%b}" % b",".join(pairs))
    elif kind == 13:
        parent[step] = [] if is_label else msgspec.Raw(rng.choice(_TURNS))
    elif kind == 14 and rng.random() < 0.3:
        parent[step] = msgspec.Raw(_nested(rng, closed=rng.random() < 0.8))
    elif kind == 15 and rng.random() < 0.05:
        parent[step] = "x" * rng.choice(LONG)
    else:
        parent[step] = _of_another_type(rng, value)


def _of_another_type(rng: random.Random, value: Tree) -> Tree:
    match value:
        case bool() | None:
            return rng.choice((0, 1, "true", "null", [], {}))
        case int() | float():
            return rng.choice((str(value), -value - 1, value + 0.5, [value], value * 10**18, bool(value), None))
        case str():
            return rng.choice((len(value), [1], {"a": "b"}, None, True, value.upper(), value[: len(value) // 2]))
        case list():
            return {str(place): element for place, element in enumerate(value)}
        case dict():
            return list(value)
    return None


def _nested(rng: random.Random, *, closed: bool) -> bytes:
    depth, (start, end) = rng.choice(DEEP), rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return start * depth + b"1" + (end * depth if closed else b"")


def damaged(rng: random.Random, line: bytes) -> bytes:
    """The line with bytes that are missing, added or changed; never with a line end in it."""
    at = rng.randrange(len(line))
    return rng.choice(_DAMAGES)(rng, line, at).replace(b"\n", b" ")


def _insert(*pieces: bytes) -> Callable[[random.Random, bytes, int], bytes]:
    return lambda rng, line, at: line[:at] + rng.choice(pieces) + line[at:]


_DAMAGES: tuple[Callable[[random.Random, bytes, int], bytes], ...] = (
    lambda rng, line, at: line[:at],
    lambda rng, line, at: line[at:],
    lambda rng, line, at: line[:at] + line[at + rng.randrange(1, 9) :],
    lambda rng, line, at: line[:at] + bytes((rng.randrange(256),)) + line[at + 1 :],
    lambda rng, line, at: line[:at] + bytes((line[at] ^ 1 << rng.randrange(8),)) + line[at + 1 :],
    lambda rng, line, at: line + rng.choice((line, b",", b"}", b" {}", b"x", b"\0", b"\r\r", b"\x0b", b"//", b" null")),
    lambda rng, line, at: rng.choice((b"[", b",", b"\xef\xbb\xbf", b"\x1f\x8b", b"x", b"\r", b"\0", b" ", b"{")) + line,
    lambda rng, line, at: b"[%b]" % line,
    lambda rng, line, at: msgspec.json.encode(line.decode()),
    lambda rng, line, at: line.decode().encode(rng.choice(("utf-16", "utf-16-be", "utf-32"))),
    lambda rng, line, at: _nested(rng, closed=rng.random() < 0.5),
    lambda rng, line, at: rng.choice((b"null", b"1", b"NaN", b'""', b"true", b"{}", b"[]", b"{", b"\0", b"-")),
    _insert(b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\x80", b"\xe2\x80\xa8"),
    _insert(b"\xef\xbb\xbf", b"\r", b"\0", b"\x1a", b"\x1b[2J", b"\x7f", b"\xc2\x85"),
    _insert(b"\\", b'"', b"{", b"}", b"[", b"]", b",", b":", b"/*", b"\\u12", b"\\x"),
)


def mutated_cells(rng: random.Random, cells: dict[str, str], labels: frozenset[str]) -> dict[str, str]:
    """A row of a table with one to three cells as they should not be."""
    cells = dict(cells)
    for _ in range(rng.choice((1, 1, 2, 3))):
        column = rng.choice(list(cells))
        turns = () if column in labels else (turn.decode() for turn in _TURNS)
        cells[column] = rng.choice((*_WORDS, *_SPELLED, *turns))
    return cells


def damaged_row(rng: random.Random, row: bytes) -> bytes:
    """A row without quotes with a cell more or less, or with bytes that are no text; with no quotes and line ends."""
    at = rng.randrange(1, len(row))
    return rng.choice(
        (
            row[:at],
            row + rng.choice((b",", b",x", b",,,,,")),
            row[:at]
            + rng.choice((b"\xff", b"\xc3", b"\0", b"\xef\xbb\xbf", b",", b"\x1a", b"\xed\xa0\x80"))
            + row[at:],
            row[:at] + bytes((rng.choice([*range(1, 9), *range(14, 32), *range(128, 256)]),)) + row[at + 1 :],
        )
    )
