"""The reader's hazards: whatever a line holds, it is one row, and its neighbours are unharmed."""

import hashlib
import hmac
import json

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_blocks import blocks_of

from finops_pipeline.errors import ConfigError, MemoryLimitError
from finops_pipeline.formats.format import Format, count, occurrences, text, texts
from finops_pipeline.mediation.fingerprints import FINGERPRINT_HEX, MEMBER, FingerprintKey, with_fingerprints
from finops_pipeline.mediation.open_layout import OpenLayout
from finops_pipeline.mediation.reader import connect, read_json_lines

KEY = FingerprintKey("a key of the test")
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


def rows(body: bytes) -> pl.DataFrame:
    return pl.concat(read_json_lines(connect(300), blocks_of(body), FORMAT, KEY))


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
def test_a_broken_line_costs_one_row_and_no_other(line: bytes) -> None:
    found = rows(b'{"id":"before"}\n' + line + b'\n{"id":"after"}\n')
    whole = pl.col("is_record").fill_null(False)  # null where the lines' ends have told it already
    assert found.select("id", whole, "raw_line").rows() == [
        ("before", True, 1), (None, False, 2), ("after", True, 3),
    ]  # fmt: skip


def test_blank_lines_and_line_endings_are_not_records() -> None:
    found = rows(b'\n{"id":"a"}\r\n\n   \n\t{"id":"b"}  \n\n{"id":"c"}')
    assert found.select("id", "raw_line").rows() == [("a", 1), ("b", 2), ("c", 3)]


def test_numbers_come_as_their_text() -> None:
    found = rows(b'{"usage":{"n":1.5}}\n{"usage":{"n":"7"}}\n{"usage":{"n":12345678901234567890}}\n{"usage":[1]}')
    assert found.get_column("n").to_list() == ["1.5", "7", "12345678901234567890", None]


def test_lines_are_numbered_in_order_over_many_frames() -> None:
    found = rows(b"".join(json.dumps({"id": f"{i}"}).encode() + b"\n" for i in range(1, 70_001)))
    assert (found["id"] == found["raw_line"].cast(pl.String)).all()
    assert found.height == 70_000


def test_lists_and_occurrences() -> None:
    lines = [
        {"tags": ["a", "b:c", 1, None], "choices": [{"tools": [{"id": 1}, {"id": 2}]}, {"tools": [{"id": 3}]}]},
        {"tags": "no list", "choices": "none"},
        {},
    ]
    found = rows("\n".join(map(json.dumps, lines)).encode())
    assert found.select("tags", "calls").rows() == [(["a", "b:c", "1", None], 3), (None, None), (None, None)]


def test_texts_of_a_path_with_wildcards() -> None:
    tools = [{"kind": "a"}, {}, {"kind": 1}, {"kind": None}, {"kind": {"x": "y"}}, 5]
    lines = [
        {"choices": [{"tools": tools}, {"tools": [{"kind": "b"}]}, None]},
        {"choices": {}},
        {"choices": "none"},
        {},
    ]
    found = rows("\n".join(map(json.dumps, lines)).encode())
    assert found.get_column("kinds").to_list() == [["a", "1", None, None, "b"], [], None, None]


def test_a_long_line_is_read_like_any_other() -> None:
    found = rows(b'{"id":"a"}\n{"id":"' + b"x" * (20 << 20) + b'"}\n{"id":"b"}')
    assert found.get_column("id").str.len_bytes().to_list() == [1, 20 << 20, 1]


def test_too_little_memory_says_what_to_raise() -> None:
    long = b'{"id":"' + b"x" * (20 << 20) + b'"}'
    with pytest.raises(MemoryLimitError, match=r"raise limits\.memory_mb"):
        list(read_json_lines(connect(30), blocks_of(long), FORMAT, KEY))


def fingerprint(line: dict[str, object]) -> str | None:
    found: str | None = rows(json.dumps(line).encode()).get_column("prompt_fingerprint").item()
    return found


def test_the_fingerprint_is_an_hmac_of_the_canonical_prompt() -> None:
    secret = b"a key of the test"
    content = b'system=be kind\nmessages=[{"role":"user","content":"h\xc3\xa9"}]\n'
    want = hmac.new(secret, content, hashlib.sha256).hexdigest()[:FINGERPRINT_HEX]
    line = {"system": "be kind", "messages": [{"role": "user", "content": "hé"}]}
    assert fingerprint(line) == want


def test_a_fingerprint_sees_content_and_neither_spacing_nor_escapes() -> None:
    spaced, packed = b'{"messages": [ {"content" : "\\u2603"} ]}', '{"messages":[{"content":"☃"}]}'.encode()
    prints = {rows(line).get_column("prompt_fingerprint").item() for line in (spaced, packed)}
    assert len(prints) == 1
    assert fingerprint({"messages": [{"content": "☂"}]}) not in prints


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
def test_absent_and_redacted_prompts_have_no_fingerprint(line: dict[str, object]) -> None:
    assert fingerprint(line) is None


def test_a_prompt_that_speaks_of_redaction_has_one() -> None:
    assert fingerprint({"messages": [{"content": "what is redacted-by-litellm?"}]}) is not None


MARKERS = ("redacted-by-litellm", "default-message-value")
TEXT = st.sampled_from(["", "[]", "{}", "ab", *MARKERS, *(f'["{marker}"]' for marker in MARKERS)]) | st.text()


def reference(secret: str, members: dict[str, str | None]) -> str | None:
    """RFC 2104 over what is there of the prompt, member by member."""
    given = {name: text for name, text in members.items() if text not in (None, "", "[]", "{}")}
    if not given or any(text == m or f'"{m}"' in str(text) for text in given.values() for m in MARKERS):
        return None
    content = "".join(f"{name}={text}\n" for name, text in given.items())
    return hmac.new(secret.encode(), content.encode(), hashlib.sha256).hexdigest()[:FINGERPRINT_HEX]


@given(
    secret=st.text(min_size=1, max_size=100),
    prompts=st.lists(st.tuples(TEXT | st.none(), TEXT | st.none(), st.none()), max_size=5),
)
def test_every_row_of_a_batch_has_the_fingerprint_of_its_own_prompt(
    secret: str, prompts: list[tuple[str | None, ...]]
) -> None:
    names = ("system", "messages", "tools")
    columns = [pa.array([prompt[n] for prompt in prompts], pa.string()) for n in range(len(names))]
    batch = pa.record_batch(columns, [MEMBER + name for name in names])
    found = with_fingerprints(batch, FingerprintKey(secret), MARKERS).column("prompt_fingerprint").to_pylist()
    assert found == [reference(secret, dict(zip(names, prompt, strict=True))) for prompt in prompts]


def test_keys_differ_and_never_show() -> None:
    key = FingerprintKey("secret")
    assert key.hash("x") != FingerprintKey("two").hash("x")
    hashed = key.hashed(pl.col("x"))
    with pytest.raises(pl.exceptions.ComputeError) as raised:
        pl.select(x=1).select(hashed)
    assert "secret" not in f"{key!r}{key}{hashed}{hashed!r}{raised.value}"
    long = FingerprintKey("k" * 100)
    want = hmac.new(b"k" * 100, b"x", "sha256").hexdigest()[:FINGERPRINT_HEX]
    assert long.hash("x") == pl.select(long.hashed(pl.lit("x"))).item() == want


def test_a_key_that_is_no_text_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINOPS_FINGERPRINT_KEY", "secret\udcff")  # as Python gives bytes that are no UTF-8
    with pytest.raises(ConfigError, match="no UTF-8") as raised:
        FingerprintKey.from_environment()
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None
