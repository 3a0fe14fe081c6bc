"""Hashes of a prompt's leading blocks: equal exactly as far as prompts begin alike, in texts and in roles."""

import datetime as dt
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_blocks import blocks_of

from finops_pipeline.config.model import Config
from finops_pipeline.formats.format import Format, text
from finops_pipeline.lake import Lake
from finops_pipeline.mediation import prefixes
from finops_pipeline.mediation.day import DayResult
from finops_pipeline.mediation.fingerprints import MEMBER, FingerprintKey
from finops_pipeline.mediation.open_layout import OpenLayout
from finops_pipeline.mediation.prefixes import with_prefix_block_hashes
from finops_pipeline.mediation.reader import connect, read_json_lines, read_tables
from finops_pipeline.schemas import QUARANTINE, USAGE

SECRET = "a key of the test"
KEY = FingerprintKey(SECRET)
MEMBERS = ("messages", "tools", "system")
FORMAT = Format(
    name="test",
    version=1,
    layout=OpenLayout(),
    fields={"id": text("$.id")},
    columns=dict,
    prompt={member: f"$.{member}" for member in MEMBERS},
    redacted=("redacted-by-litellm",),
    tables=True,
)
DATABASE = connect(300)

Turns = list[tuple[str, str]]


def hashes(*prompts: dict[str, Any], chars: int = 4, key: FingerprintKey = KEY) -> list[list[int] | None]:
    """The hashes of prompts whose members are given as texts, or as what becomes JSON."""
    columns = {
        MEMBER + name: [
            p[name] if isinstance(p.get(name), str | None) else json.dumps(p[name]) for p in padded(prompts)
        ]
        for name in MEMBERS
    }
    fingerprints = [None if not any(prompt.values()) else "known" for prompt in prompts]
    batch = pa.record_batch(columns | {"prompt_fingerprint": fingerprints}, schema=SCHEMA)
    found = with_prefix_block_hashes(batch, key, chars)
    listed: list[list[int] | None] = found.column("prefix_block_hashes").to_pylist()
    return listed


SCHEMA = pa.schema([(name, pa.string()) for name in (*(MEMBER + m for m in MEMBERS), "prompt_fingerprint")])


def padded(prompts: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    return [dict.fromkeys(MEMBERS) | prompt for prompt in prompts]


def chat(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": said} for role, said in turns]}


def of_text(said: str) -> list[int] | None:
    """The hashes of a prompt that is one message of the user."""
    return hashes(chat(("user", said)))[0]


# -- what a hash stands for --------------------------------------------------------------------------------------------


def test_a_hash_is_an_hmac_of_all_blocks_up_to_its_own() -> None:
    mac = hmac.new(SECRET.encode(), digestmod=hashlib.sha256)
    want = []
    # In each block: how many messages begin, where, how long the role is, the role; then four characters.
    for block in ("1:0,6,systemBe k", "1:7,4,userindH", "0:é, w"):
        mac.update(block.encode())
        want.append(int.from_bytes(mac.copy().digest()[:8], "big", signed=True))
    assert hashes(chat(("system", "Be kind"), ("user", "Hé, what"))) == [want]


def begins(turns: Turns, end: int) -> tuple[str, list[tuple[int, str]]]:
    """All that the first ``end`` characters of a conversation are."""
    places = itertools.accumulate((len(said) for _, said in turns), initial=0)
    roles = [(place, role) for place, (role, _) in zip(places, turns, strict=False) if place < end]
    return "".join(said for _, said in turns)[:end], roles


TURNS = st.lists(st.tuples(st.sampled_from(["user", "model"]), st.text("aé😀", max_size=5)), max_size=5)


@settings(max_examples=60, deadline=None)
@given(shared=TURNS, one=TURNS, other=TURNS, chars=st.integers(1, 4))
def test_hashes_are_equal_exactly_where_prompts_begin_alike(
    shared: Turns, one: Turns, other: Turns, chars: int
) -> None:
    pair = [shared + one, shared + other]
    found = hashes(*(chat(*turns) for turns in pair), chars=chars)
    for turns, chain in zip(pair, found, strict=True):
        full = sum(len(said) for _, said in turns) // chars
        assert len(chain or []) == full
        assert len(set(chain or [])) == full
    for end, (mine, theirs) in enumerate(zip(*(chain or [] for chain in found), strict=False), start=1):
        alike = begins(pair[0], end * chars) == begins(pair[1], end * chars)
        assert (mine == theirs) == alike


def test_a_conversation_that_grows_keeps_its_hashes() -> None:
    turns = [("user", "What is it?"), ("assistant", "A lighthouse."), ("user", "And that?")]
    chains = hashes(*(chat(*turns[:n]) for n in (1, 2, 3)))
    assert [len(chain or []) for chain in chains] == [2, 6, 8]
    assert chains[2] is not None
    assert [chain == chains[2][: len(chain or [])] for chain in chains] == [True, True, True]


def test_what_follows_the_last_full_block_has_no_hash() -> None:
    short, whole, more = hashes(*(chat(("user", said)) for said in ("abc", "abcd", "abcdefg")))
    assert short == []
    assert len(whole or []) == 1
    assert more == whole


def test_a_role_a_boundary_and_a_word_each_make_a_difference() -> None:
    prompts = (
        chat(("user", "abcdefgh")),
        chat(("assistant", "abcdefgh")),
        chat(("user", "abcd"), ("user", "efgh")),
        chat(("user", "abc"), ("user", "defgh")),
        chat(("user", "abcdefgX")),
    )
    first, second = zip(*(chain or [] for chain in hashes(*prompts)), strict=True)
    # The message that begins with the second block is no part of the first.
    assert first[0] == first[2] == first[4]
    assert len(set(first)) == 3
    assert len(set(second)) == 5


def test_equal_blocks_at_one_place_behind_other_beginnings_have_nothing_in_common() -> None:
    one, other = hashes(chat(("user", "abcdSAME")), chat(("user", "abceSAME")))
    assert one is not None
    assert other is not None
    assert one[1] - one[0] != other[1] - other[0]
    assert not set(one) & set(other)


def test_another_key_gives_other_hashes() -> None:
    prompt = chat(("user", "abcdefgh"))
    assert hashes(prompt) != hashes(prompt, key=FingerprintKey("another"))


# -- what a prompt's text is -------------------------------------------------------------------------------------------

SAME = {
    "parts of Anthropic and OpenAI": [{"type": "text", "text": "abcd"}, {"type": "input_text", "text": "efgh"}],
    "parts of Converse": [{"text": "abcdefgh"}],
    "texts": ["abcd", "efgh"],
    "the parts of OpenTelemetry": [{"type": "text", "content": "abcdefgh"}],
    "one part": {"text": "abcdefgh"},
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME.keys())
@pytest.mark.parametrize("name", ["content", "parts"])
def test_texts_are_the_same_however_they_are_written(name: str, content: Any) -> None:
    assert hashes({"messages": [{"role": "user", name: content}]}) == [of_text("abcdefgh")]


def test_a_message_alone_is_a_list_of_one() -> None:
    assert hashes({"messages": {"role": "user", "parts": [{"text": "abcdefgh"}]}}) == [of_text("abcdefgh")]


def test_a_system_prompt_is_one_in_every_spelling() -> None:
    spellings = (
        "abcdefgh",
        [{"text": "abcdefgh"}],
        [{"type": "text", "text": "abcdefgh"}],
        {"parts": [{"text": "abcdefgh"}]},
    )
    assert hashes(*({"system": said} for said in spellings)) == hashes(chat(("system", "abcdefgh"))) * len(spellings)


def test_what_has_no_text_stands_for_itself_as_json() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,x"}}
    call = {"role": "assistant", "content": None, "function_call": {"name": "f"}}
    packed = [json.dumps(value, separators=(",", ":")) for value in (image, call)]
    assert hashes({"messages": [{"role": "user", "content": [{"text": "see"}, image]}]}) == [of_text("see" + packed[0])]
    assert hashes({"messages": [call]}) == hashes(chat(("assistant", packed[1])))
    assert hashes({"messages": [12345678, None, True]}) == hashes(
        {"messages": [{"content": "12345678"}, {"content": "null"}, {"content": "true"}]}
    )


def test_tool_calls_are_part_of_their_message() -> None:
    calls = [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]
    packed = json.dumps(calls, separators=(",", ":"))
    for content in ("I look", "", None):
        message = {"role": "assistant", "content": content, "tool_calls": calls}
        assert hashes({"messages": [message]}) == hashes(chat(("assistant", (content or "") + packed)))
    assert hashes({"messages": [{"role": "user", "content": "abcdefgh", "tool_calls": []}]}) == [of_text("abcdefgh")]


def test_system_comes_first_then_tools_then_messages() -> None:
    tool = {"name": "f"}
    whole = {"messages": [{"role": "user", "content": "abcd"}], "tools": [tool], "system": "wxyz"}
    packed = json.dumps(tool, separators=(",", ":"))
    assert hashes(whole) == hashes(chat(("system", "wxyz"), ("tools", packed), ("user", "abcd")))
    assert hashes({"system": "wxyz", "tools": "{}", "messages": "[]"}) == hashes({"system": "wxyz"})


def test_a_text_that_only_looks_like_json_is_a_text() -> None:
    for said in ("[0000abc]", "{{name}}, hello", "[1, 2", '["\\ud800"]', "[1e999]"):
        assert hashes({"messages": said}) == hashes({"messages": [{"content": said}]})


def test_too_long_a_prompt_has_no_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "LONGEST_PROMPT", 10)
    assert hashes({"messages": "abcdefghij"}, {"messages": "abcdefghijk"}) == [
        hashes({"messages": "abcdefghij"})[0],
        None,
    ]


# -- from raw lines to usage -------------------------------------------------------------------------------------------


def read(lines: list[str], chars: int = 4, fmt: Format = FORMAT) -> pl.DataFrame:
    return pl.concat(read_json_lines(DATABASE, blocks_of("\n".join(lines).encode()), fmt, KEY, block_chars=chars))


def test_absent_and_redacted_prompts_have_none() -> None:
    prompts: list[dict[str, Any]] = [
        {},
        {"messages": [], "system": ""},
        {"messages": "redacted-by-litellm", "system": "abcdefgh"},
        {"messages": [{"role": "user", "content": "redacted-by-litellm"}]},
        chat(("user", "abc")),
        chat(("user", "abcdefgh")),
    ]
    found = read([json.dumps(p) for p in prompts])
    assert found.get_column("prefix_block_hashes").to_list() == [None, None, None, None, [], of_text("abcdefgh")]
    assert found.get_column("prefix_block_hashes").dtype == pl.List(pl.Int64)


def test_no_prompt_goes_on() -> None:
    found = read([json.dumps(chat(("user", "abcdefgh")) | {"system": "wxyz"})])
    assert set(found.columns) == {"raw_line", "is_record", "id", "prompt_fingerprint", "prefix_block_hashes"}


def test_without_blocks_nothing_is_asked_for() -> None:
    line = json.dumps(chat(("user", "abcdefgh")))
    assert "prefix_block_hashes" not in read([line], chars=0).columns
    silent = Format("test", 1, OpenLayout(), {"id": text("$.id")}, dict)
    assert "prefix_block_hashes" not in read([line], fmt=silent).columns


def test_tables_and_embedded_documents_have_the_same_hashes() -> None:
    messages = json.dumps(chat(("user", "abcdefgh"))["messages"])
    cells = pl.DataFrame(
        {"id": ["a"], "messages": [messages], "system": [None]}, schema_overrides={"system": pl.String}
    )
    rows = iter(cells.with_row_index("").to_arrow().to_batches())
    table = pl.concat(read_tables(DATABASE, rows, FORMAT, KEY, block_chars=4))
    embedded = read([json.dumps({"messages": messages})])
    for found in (table, embedded):
        assert found.get_column("prefix_block_hashes").to_list() == [of_text("abcdefgh")]


HOSTILE = {
    "deep nesting": "[" * 20_000 + "]" * 20_000,
    "deep documents": '{"content":' * 5_000 + "1" + "}" * 5_000,
    "a long list of nothing": "[" + "{}," * 200_000 + "{}]",
    "nested nulls": '[null,[null],{"content":[null,[null],{"text":null}]},{"content":{"parts":null}}]',
    "contents of every type": '[{"content":1},{"content":true},{"content":{}},{"content":[]},{"role":{},"content":0}]',
    "huge numbers": '[{"content":123456789012345678901234567890},{"content":1e308}]',
    "a NUL": '[{"content":"abcd\\u0000efgh"}]',
    "a lone surrogate": '[{"content":"\\ud800abcdefgh"}]',
    "a lone surrogate in a text": json.dumps('[{"content":"\\ud800abcdefgh"}]'),
    "a role that speaks": '[{"role":"0,4,user1:","content":"abcdefgh"}]',
}


@pytest.mark.parametrize("messages", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_prompts_cost_no_record(messages: str) -> None:
    good = json.dumps({"id": "good"} | chat(("user", "abcdefgh")))
    found = read([good, f'{{"id":"odd","messages":{messages}}}', good])
    assert found.get_column("raw_line").to_list() == [1, 2, 3]
    chains = found.get_column("prefix_block_hashes").to_list()
    assert [chains[0], chains[2]] == [of_text("abcdefgh")] * 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["role", "content", "parts", "text", "tool_calls", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(messages=JSON, system=JSON, tools=JSON)
def test_any_json_has_hashes(messages: Any, system: Any, tools: Any) -> None:
    found = hashes({"messages": messages, "system": system, "tools": tools}, chars=1)[0]
    assert found is None or all(-(2**63) <= value < 2**63 for value in found)


def test_the_config_decides_on_blocks(
    tmp_path: Path,
    lake: Lake,
    config: Callable[..., Config],
    put: Callable[..., Path],
    mediate: Callable[..., DayResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FINOPS_FINGERPRINT_KEY", SECRET)
    at = dt.datetime(2026, 10, 5, 14, tzinfo=dt.UTC).timestamp()
    call = {"startTime": at, "endTime": at + 1, "model": "gpt-4o", "prompt_tokens": 9, "completion_tokens": 1}
    put("2026-10-05/batch_14-00-00_0.jsonl", [call | {"id": "a"} | chat(("user", "abcdefgh")), call | {"id": "b"}])

    def chains(**source: Any) -> tuple[bool, list[list[int] | None]]:
        changed = mediate(config(format="litellm", **source)).changed
        rows = lake.scan(USAGE).sort("request_id").collect()
        assert lake.scan(QUARANTINE).collect().height == 0
        return changed, rows.get_column("prefix_block_hashes").to_list()

    assert chains() == (True, [[], None])
    assert chains(prefix_block_chars=4) == (True, [of_text("abcdefgh"), None])
    assert chains(prefix_block_chars=4) == (False, [of_text("abcdefgh"), None])
    assert chains(prefix_block_chars=0) == (True, [None, None])
    assert not any(b"abcdefgh" in file.read_bytes() for file in (tmp_path / "lake").rglob("*") if file.is_file())
