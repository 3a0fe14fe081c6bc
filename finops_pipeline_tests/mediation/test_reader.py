"""The reader's hazards: whatever a line holds, it is one row, and its neighbours are unharmed."""

import hashlib
import hmac
import json
from pathlib import Path

import polars as pl
import pytest

from finops_pipeline.errors import MemoryLimitError
from finops_pipeline.formats.format import Format, count, occurrences, text, texts
from finops_pipeline.mediation.fingerprints import FINGERPRINT_HEX, FingerprintKey
from finops_pipeline.mediation.open_layout import OpenLayout
from finops_pipeline.mediation.reader import UnreadableError, connect, read_json_lines

KEY = FingerprintKey(b"a key of the test")
FORMAT = Format(
    name="test",
    version=1,
    layout=OpenLayout(),
    fields={
        "id": text("$.id"),
        "n": count("$.usage.n"),
        "tags": texts("$.tags"),
        "calls": occurrences("$.choices[*].tools[*].id"),
        "kinds": texts("$.choices[*].tools[*].kind"),
    },
    columns=dict,
    prompt={"system": "$.system", "messages": "$.messages"},
    redacted=("redacted-by-litellm",),
)


def rows(tmp_path: Path, body: bytes) -> pl.DataFrame:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(body)
    longest = max(map(len, body.split(b"\n")))
    return pl.concat(read_json_lines(connect(300), file, FORMAT, KEY, longest=longest))


BROKEN = {
    "truncated": b'{"id":"x","usage":',
    "two on a line": b'{"id":"x"}{"id":"y"}',
    "null": b"null",
    "a text": b'"text"',
    "NaN": b"NaN",
    "an array": b'[{"id":"x"}]',
    "invalid UTF-8": b'{"id":"\xff\xfe"}',
    "a NUL": b'{"id":"\x00"}',
    "an unclosed string": b'{"id":"x}',
    "an unclosed brace": b'{"id":{"a":1}',
    "garbage": b"%%% not json %%%",
    "deep nesting that never closes": b"[" * 10_000,
}


@pytest.mark.parametrize("line", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_line_costs_one_row_and_no_other(tmp_path: Path, line: bytes) -> None:
    found = rows(tmp_path, b'{"id":"before"}\n' + line + b'\n{"id":"after"}\n')
    assert found.select("id", "is_record", "raw_line").rows() == [
        ("before", True, 1), (None, False, 2), ("after", True, 3),
    ]  # fmt: skip


def test_blank_lines_and_line_endings_are_not_records(tmp_path: Path) -> None:
    found = rows(tmp_path, b'\n{"id":"a"}\r\n\n   \n\t{"id":"b"}  \n\n{"id":"c"}')
    assert found.select("id", "raw_line").rows() == [("a", 1), ("b", 2), ("c", 3)]


def test_numbers_come_as_their_text(tmp_path: Path) -> None:
    found = rows(
        tmp_path, b'{"usage":{"n":1.5}}\n{"usage":{"n":"7"}}\n{"usage":{"n":12345678901234567890}}\n{"usage":[1]}'
    )
    assert found.get_column("n").to_list() == ["1.5", "7", "12345678901234567890", None]


def test_lines_are_numbered_in_order_over_many_frames(tmp_path: Path) -> None:
    found = rows(tmp_path, b"".join(json.dumps({"id": f"{i}"}).encode() + b"\n" for i in range(1, 70_001)))
    assert (found["id"] == found["raw_line"].cast(pl.String)).all()
    assert found.height == 70_000


def test_lists_and_occurrences(tmp_path: Path) -> None:
    lines = [
        {"tags": ["a", "b:c", 1, None], "choices": [{"tools": [{"id": 1}, {"id": 2}]}, {"tools": [{"id": 3}]}]},
        {"tags": "no list", "choices": "none"},
        {},
    ]
    found = rows(tmp_path, "\n".join(map(json.dumps, lines)).encode())
    assert found.select("tags", "calls").rows() == [(["a", "b:c", "1", None], 3), (None, None), (None, None)]


def test_texts_of_a_path_with_wildcards(tmp_path: Path) -> None:
    tools = [{"kind": "a"}, {}, {"kind": 1}, {"kind": None}, {"kind": {"x": "y"}}, 5]
    lines = [
        {"choices": [{"tools": tools}, {"tools": [{"kind": "b"}]}, None]},
        {"choices": {}},
        {"choices": "none"},
        {},
    ]
    found = rows(tmp_path, "\n".join(map(json.dumps, lines)).encode())
    assert found.get_column("kinds").to_list() == [["a", "1", None, None, "b"], [], None, None]


def test_a_long_line_is_read_like_any_other(tmp_path: Path) -> None:
    found = rows(tmp_path, b'{"id":"a"}\n{"id":"' + b"x" * (20 << 20) + b'"}\n{"id":"b"}')
    assert found.get_column("id").str.len_bytes().to_list() == [1, 20 << 20, 1]


def test_a_line_beyond_what_was_told_refuses_the_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b'{"id":"' + b"x" * (80 << 20) + b'"}')
    with pytest.raises(UnreadableError):
        list(read_json_lines(connect(300), tmp_path / "x", FORMAT, KEY, longest=10))


def test_too_little_memory_says_what_to_raise(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b'{"id":"' + b"x" * (20 << 20) + b'"}')
    with pytest.raises(MemoryLimitError, match=r"raise limits\.memory_mb"):
        list(read_json_lines(connect(30), tmp_path / "x", FORMAT, KEY, longest=21 << 20))


def fingerprint(tmp_path: Path, line: dict[str, object]) -> str | None:
    found: str | None = rows(tmp_path, json.dumps(line).encode()).get_column("prompt_fingerprint").item()
    return found


def test_the_fingerprint_is_an_hmac_of_the_canonical_prompt(tmp_path: Path) -> None:
    secret = b"a key of the test"
    content = b'system=be kind\nmessages=[{"role":"user","content":"h\xc3\xa9"}]\n'
    want = hmac.new(secret, content, hashlib.sha256).hexdigest()[:FINGERPRINT_HEX]
    line = {"system": "be kind", "messages": [{"role": "user", "content": "hé"}]}
    assert fingerprint(tmp_path, line) == want


def test_a_fingerprint_sees_content_and_neither_spacing_nor_escapes(tmp_path: Path) -> None:
    spaced, packed = b'{"messages": [ {"content" : "\\u2603"} ]}', '{"messages":[{"content":"☃"}]}'.encode()
    prints = {rows(tmp_path, line).get_column("prompt_fingerprint").item() for line in (spaced, packed)}
    assert len(prints) == 1
    assert fingerprint(tmp_path, {"messages": [{"content": "☂"}]}) not in prints


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"messages": []},
        {"messages": None, "system": ""},
        {"messages": "redacted-by-litellm"},
        {"messages": [{"role": "user", "content": "redacted-by-litellm"}]},
    ],
)
def test_absent_and_redacted_prompts_have_no_fingerprint(tmp_path: Path, line: dict[str, object]) -> None:
    assert fingerprint(tmp_path, line) is None


def test_a_prompt_that_speaks_of_redaction_has_one(tmp_path: Path) -> None:
    assert fingerprint(tmp_path, {"messages": [{"content": "what is redacted-by-litellm?"}]}) is not None


def test_keys_differ_and_never_show() -> None:
    assert FingerprintKey(b"one").hash("x") != FingerprintKey(b"two").hash("x")
    assert "secret" not in repr(FingerprintKey(b"secret")) + str(FingerprintKey(b"secret"))
    assert FingerprintKey(b"k" * 100).hash("x") == hmac.new(b"k" * 100, b"x", "sha256").hexdigest()[:FINGERPRINT_HEX]
