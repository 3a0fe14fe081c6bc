"""OpenAI's rules one by one: what input includes, two APIs' names for one thing, which searches are billed."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.formats.openai_body import input_columns
from finops_pipeline.schemas import TOKEN_CLASSES, TOKEN_PARTS

UsageOf = Callable[..., list[dict[str, Any]]]


def chat(usage: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1791208800,
        "model": "gpt-5-2025-08-07",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 50} | (usage or {}),
    }
    return body | members


def response(**members: Any) -> dict[str, Any]:
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1791208800,
        "status": "completed",
        "model": "gpt-5-2025-08-07",
        "output": [],
        "usage": {"input_tokens": 1000, "output_tokens": 50},
    }
    return body | members


def classes(row: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(row[name] for name in TOKEN_CLASSES)


def parts(row: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(row[name] for name in TOKEN_PARTS)


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_input_is_what_the_cache_did_not_touch(api: str, usage_of: UsageOf) -> None:
    details = {"cached_tokens": 600, "cache_write_tokens": 300}
    if api == "chat":
        body = chat({"prompt_tokens_details": details})
    else:
        body = response(usage={"input_tokens": 1000, "output_tokens": 50, "input_tokens_details": details})
    assert classes(usage_of("openai", body)[0]) == (100, 600, 300, 0, 50)


def test_a_writer_of_the_other_convention_is_not_subtracted(usage_of: UsageOf) -> None:
    row = usage_of("openai", chat({"prompt_tokens": 40, "prompt_tokens_details": {"cached_tokens": 5000}}))[0]
    assert classes(row) == (40, 5000, 0, 0, 50)


def test_parts_of_input_and_output(usage_of: UsageOf) -> None:
    spoken = chat(
        {
            "prompt_tokens_details": {"audio_tokens": 450},
            "completion_tokens_details": {"audio_tokens": 20, "reasoning_tokens": 10},
        }
    )
    drawn = {
        "created": 1791208801,
        "usage": {
            "input_tokens": 90,
            "input_tokens_details": {"text_tokens": 10, "image_tokens": 80},
            "output_tokens": 4160,
            "output_tokens_details": {"image_tokens": 4100, "text_tokens": 60},
        },
    }
    first, second = usage_of("openai", spoken, drawn)
    assert parts(first) == (10, 450, 0, 20, 0)
    assert parts(second) == (0, 0, 80, 0, 4100)


def test_audio_that_was_cached_is_no_part_of_the_uncached_input(usage_of: UsageOf) -> None:
    # Of 1000 tokens 300 are audio and 200 images; 900 were cached: not more than 100 of them can be uncached.
    details = {"cached_tokens": 900, "audio_tokens": 300, "image_tokens": 200}
    row = usage_of("openai", chat({"prompt_tokens_details": details}))[0]
    assert (row["input_tokens"], row["input_audio_tokens"], row["input_image_tokens"]) == (100, 100, 0)


def test_audio_beyond_the_whole_input_is_left_as_it_was_said(usage_of: UsageOf) -> None:
    row = usage_of("openai", chat({"prompt_tokens_details": {"audio_tokens": 1001}}))[0]
    assert (row["input_tokens"], row["input_audio_tokens"]) == (1000, 1001)


COUNTS = st.none() | st.integers(0, 2000)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2000), COUNTS, COUNTS, COUNTS, COUNTS)
def test_input_is_split_without_loss(
    into: int, read: int | None, written: int | None, audio: int | None, image: int | None
) -> None:
    said = {"into": into, "read": read, "written": written, "audio": audio, "image": image}
    frame = pl.DataFrame(said, schema=dict.fromkeys(said, pl.Int64))
    split = input_columns(
        pl.col("into"), read=pl.col("read"), written=pl.col("written"), audio=pl.col("audio"), image=pl.col("image")
    )
    row = frame.select(**split).row(0, named=True)
    cache = (read or 0) + (written or 0)
    assert row["input_tokens"] == (into - cache if into >= cache else into)
    if (audio or 0) + (image or 0) <= into:
        assert 0 <= (row["input_audio_tokens"] or 0) + (row["input_image_tokens"] or 0) <= row["input_tokens"]
    assert (row["input_audio_tokens"] is None) == (audio is None)


def test_no_usage_is_unknown_and_no_tokens(usage_of: UsageOf) -> None:
    none = chat(usage=None) | {"usage": None}
    empty = chat() | {"id": "2", "usage": {}}
    for row in usage_of("openai", none, empty):
        assert classes(row) == (None,) * 5
        assert (row["usage_quality"], row["status"]) == ("missing", "ok")


@pytest.mark.parametrize(
    ("served", "billed"),
    [("default", "standard"), ("flex", "flex"), ("priority", "priority"), ("auto", None), (None, None)],
)
def test_the_tier_that_served(served: str | None, billed: str | None, usage_of: UsageOf) -> None:
    assert usage_of("openai", chat(service_tier=served))[0]["service_tier"] == billed


def test_only_searches_are_billed_and_every_call_is_counted(usage_of: UsageOf) -> None:
    output = [
        {"type": "reasoning", "summary": []},
        {"type": "web_search_call", "status": "completed"},
        {"type": "web_search_call", "action": {"type": "search", "query": "x"}},
        {"type": "web_search_call", "action": {"type": "open_page", "url": "x"}},
        {"type": "web_search_call", "action": {"type": "find_in_page", "pattern": "x"}},
        {"type": "custom_tool_call", "name": "f", "input": "x"},
        {"type": "custom_tool_call_output", "output": "x"},
        {"type": "message", "content": []},
    ]
    row = usage_of("openai", response(output=output))[0]
    assert (row["web_searches"], row["tool_calls"]) == (2, 5)


def test_tool_calls_of_the_chat_api(usage_of: UsageOf) -> None:
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "f"}},
        {"id": "call_2", "type": "custom", "custom": {"name": "g"}},
    ]
    choices = [{"finish_reason": "tool_calls", "message": {"tool_calls": calls}}, {"message": {"content": "x"}}]
    row = usage_of("openai", chat(choices=choices))[0]
    assert (row["tool_calls"], row["web_searches"], row["finish_reason"]) == (2, 0, "tool_calls")


def test_a_failed_response_is_an_error(usage_of: UsageOf) -> None:
    error = {"code": "rate_limit_exceeded", "message": "x"}
    row = usage_of("openai", response(status="failed", error=error, usage=None))[0]
    assert (row["status"], row["error_code"], row["finish_reason"]) == ("error", "rate_limit_exceeded", "failed")
    assert classes(row) == (0, 0, 0, 0, 0)


def test_an_incomplete_response_is_billed(usage_of: UsageOf) -> None:
    cut = response(status="incomplete", incomplete_details={"reason": "content_filter"})
    row = usage_of("openai", cut)[0]
    assert (row["status"], row["finish_reason"], row["input_tokens"]) == ("ok", "content_filter", 1000)


def test_who_called(usage_of: UsageOf) -> None:
    metadata = {"team": "search", "project": "answers", "environment": "prod", "ticket": "T-7"}
    body = response(metadata=metadata, safety_identifier="hash-9", user="old-9", conversation={"id": "conv_1"})
    row = usage_of("openai", body, chat(user="old-9"))[0]
    assert (row["team"], row["project"], row["environment"]) == ("search", "answers", "prod")
    assert (row["end_user"], row["session_id"], row["user_id"]) == ("hash-9", "conv_1", None)
    assert {"key": "ticket", "value": "T-7"} in row["tags"]
    assert (row["provider"], row["service"], row["operation"]) == ("openai", "OpenAI API", "response")


def test_the_deprecated_user_stands_in_for_the_identifier(usage_of: UsageOf) -> None:
    assert usage_of("openai", chat(user="old-9"))[0]["end_user"] == "old-9"


def test_instructions_are_no_prompt(usage_of: UsageOf) -> None:
    # They would give every call of an application one fingerprint.
    row = usage_of("openai", response(instructions="You are a support bot.", tools=[{"type": "web_search"}]))[0]
    assert row["prompt_fingerprint"] is None


def test_bodies_without_a_time_are_quarantined(usage_of: UsageOf) -> None:
    embeddings = {"object": "list", "data": [], "model": "text-embedding-3-small", "usage": {"prompt_tokens": 8}}
    with pytest.raises(AssertionError, match="no time"):
        usage_of("openai", embeddings)


@pytest.mark.parametrize("wrong", [-1, 1.5, "many", {}, True])
def test_a_count_that_is_none_is_quarantined_with_its_path(wrong: object, usage_of: UsageOf) -> None:
    with pytest.raises(AssertionError, match=r"\$\.usage\.completion_tokens: expected a whole number"):
        usage_of("openai", chat({"completion_tokens": wrong}))


def test_an_error_without_a_code_is_one(usage_of: UsageOf) -> None:
    rows = usage_of("openai", response(error={"message": "x"}, usage=None), response(id="resp_2", error=None))
    assert [row["status"] for row in rows] == ["error", "ok"]
