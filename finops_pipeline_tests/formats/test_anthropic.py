"""Anthropic's rules one by one: what was written to the cache, streams, errors, the writer's envelope."""

from collections.abc import Callable
from typing import Any

import pytest

from finops_pipeline.schemas import TOKEN_CLASSES

UsageOf = Callable[..., list[dict[str, Any]]]
OutcomesOf = Callable[..., dict[str, int]]


def message(usage: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    said = {"input_tokens": 20, "output_tokens": 4} | (usage or {})
    body = {"id": "msg_1", "type": "message", "model": "claude-haiku-4-5", "content": [], "usage": said}
    return body | members


def call(response: Any, **members: Any) -> dict[str, Any]:
    return {"ts": "2026-10-05T14:00:00Z", "request_id": "req_1", "workspace": "w", "response": response} | members


def start(**usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": message({"input_tokens": 20, "output_tokens": 1} | usage)}


def delta(output: int, reason: str | None = None, **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": output} | usage}


STOP = {"type": "message_stop"}


def classes(row: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(row[name] for name in TOKEN_CLASSES)


@pytest.mark.parametrize(
    ("said", "split"),
    [
        ({"cache_creation_input_tokens": 500}, (500, 0)),
        (
            {
                "cache_creation_input_tokens": 500,
                "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300},
            },
            (200, 300),
        ),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300}}, (200, 300)),
        # What was written in all holds: what no split names lives for 5 minutes.
        ({"cache_creation_input_tokens": 500, "cache_creation": {"ephemeral_1h_input_tokens": 300}}, (200, 300)),
        ({"cache_creation_input_tokens": 100, "cache_creation": {"ephemeral_1h_input_tokens": 300}}, (0, 300)),
        ({}, (0, 0)),
    ],
)
def test_what_was_written_to_the_cache(said: dict[str, Any], split: tuple[int, int], usage_of: UsageOf) -> None:
    row = usage_of("anthropic", call(message({"cache_read_input_tokens": 70} | said)))[0]
    assert classes(row) == (20, 70, *split, 4)


def test_thinking_searches_and_tool_calls(usage_of: UsageOf) -> None:
    content = [
        {"type": "text", "text": "x"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    ]
    usage = {
        "output_tokens": 900,
        "output_tokens_details": {"thinking_tokens": 640},
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
    }
    row = usage_of("anthropic", call(message(usage, content=content, stop_reason="tool_use")))[0]
    assert (row["output_tokens"], row["reasoning_tokens"], row["web_searches"]) == (900, 640, 2)
    assert (row["tool_calls"], row["finish_reason"]) == (2, "tool_use")


@pytest.mark.parametrize(
    ("said", "tier", "batch"),
    [
        ({"service_tier": "standard"}, "standard", False),
        ({"service_tier": "priority", "speed": "standard"}, "priority", False),
        ({"service_tier": "standard", "speed": "fast"}, "fast", False),
        ({"speed": "fast"}, "fast", False),
        ({"service_tier": "batch"}, "batch", True),
        ({}, None, False),
    ],
)
def test_tiers(said: dict[str, Any], tier: str | None, batch: bool, usage_of: UsageOf) -> None:
    row = usage_of("anthropic", call(message(said)))[0]
    assert (row["service_tier"], row["batch"]) == (tier, batch)


@pytest.mark.parametrize(
    ("geo", "scope"), [("us", "geo:us"), ("global", "global"), ("not_available", None), ("", None), (None, None)]
)
def test_where_it_was_served(geo: str | None, scope: str | None, usage_of: UsageOf) -> None:
    assert usage_of("anthropic", call(message({"inference_geo": geo})))[0]["region_scope"] == scope


def test_the_last_delta_of_a_stream_holds(usage_of: UsageOf) -> None:
    first = start(cache_creation_input_tokens=300, cache_creation={"ephemeral_1h_input_tokens": 300})
    events = [first, delta(40), delta(96, "end_turn", input_tokens=25, cache_read_input_tokens=7), STOP]
    row = usage_of("anthropic", call(events))[0]
    assert classes(row) == (25, 7, 0, 300, 96)
    assert (row["request_id"], row["raw_model"], row["finish_reason"]) == ("msg_1", "claude-haiku-4-5", "end_turn")


def test_a_stream_without_its_end_has_what_came(usage_of: UsageOf) -> None:
    rows = usage_of(
        "anthropic",
        call([start(), delta(40, "max_tokens")]),
        call([start() | {"message": message({"output_tokens": 1}, id="msg_2")}]),
    )
    assert [(row["output_tokens"], row["finish_reason"]) for row in rows] == [(40, "max_tokens"), (1, None)]


def test_tool_calls_of_a_stream(usage_of: UsageOf) -> None:
    block = {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "f", "input": {}}}
    text = {"type": "content_block_start", "content_block": {"type": "text", "text": ""}}
    assert usage_of("anthropic", call([start(), text, block, block, delta(9), STOP]))[0]["tool_calls"] == 2


@pytest.mark.parametrize(("said", "is_stream"), [({}, True), ({"stream": None}, True), ({"stream": False}, False)])
def test_events_are_a_stream_unless_the_writer_says_otherwise(
    said: dict[str, Any], is_stream: bool, usage_of: UsageOf
) -> None:
    assert usage_of("anthropic", call([start(), delta(9), STOP], **said))[0]["stream"] is is_stream


def test_a_message_alone_does_not_say_whether_it_was_streamed(usage_of: UsageOf) -> None:
    assert usage_of("anthropic", call(message()))[0]["stream"] is None


@pytest.mark.parametrize(
    ("response", "beside"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, {}),
        ([start(), {"type": "error", "error": {"type": "overloaded_error"}}], {}),
        (None, {"error": {"type": "overloaded_error"}}),
        (None, {"error": {"type": "error", "error": {"type": "overloaded_error"}}}),
    ],
)
def test_errors(response: Any, beside: dict[str, Any], usage_of: UsageOf) -> None:
    row = usage_of("anthropic", call(response, **beside))[0]
    assert (row["status"], row["error_code"], row["usage_quality"]) == ("error", "overloaded_error", "reported")


def test_an_error_without_a_type_is_an_error(usage_of: UsageOf) -> None:
    row = usage_of("anthropic", call({"type": "error"}))[0]
    assert (row["status"], row["error_code"], classes(row)) == ("error", None, (0, 0, 0, 0, 0))


def test_tokens_of_a_failed_stream_are_kept(usage_of: UsageOf) -> None:
    row = usage_of("anthropic", call([start(), {"type": "error", "error": {"type": "api_error"}}]))[0]
    assert classes(row) == (20, 0, 0, 0, 1)


def test_neither_response_nor_error_is_unknown(usage_of: UsageOf) -> None:
    row = usage_of("anthropic", call(None))[0]
    assert (row["status"], row["usage_quality"], row["request_id"]) == ("ok", "missing", "req_1")
    assert classes(row) == (None,) * 5


def test_ids_are_the_message_s_then_the_error_s_then_the_writer_s(usage_of: UsageOf) -> None:
    failed = {"type": "error", "error": {"type": "api_error"}, "request_id": "req_of_the_api"}
    rows = usage_of("anthropic", call(message()), call(failed), call(None, request_id="req_of_the_writer"))
    assert [row["request_id"] for row in rows] == ["msg_1", "req_of_the_api", "req_of_the_writer"]


def test_the_envelope(usage_of: UsageOf) -> None:
    row = usage_of("anthropic", call(message(), latency_ms=900.5, stream=True))[0]
    assert (row["project"], row["latency_ms"], row["stream"]) == ("w", 900.5, True)
    assert (row["provider"], row["service"], row["operation"]) == ("anthropic", "Anthropic API", "messages")


def test_the_request_gives_prompt_model_and_end_user(usage_of: UsageOf) -> None:
    def asked(id: str, text: str, **members: Any) -> dict[str, Any]:
        prompt = {"model": "claude-opus-4-5", "system": "s", "messages": [{"role": "user", "content": text}]}
        return call(message(id=id), request=prompt | members)

    failed = asked("x", "hello", metadata={"user_id": "customer-9"}) | {"response": {"type": "error"}}
    one, same, other, error, bare = usage_of(
        "anthropic",
        asked("1", "hello"),
        asked("2", "hello", temperature=1),
        asked("3", "bye"),
        failed,
        call(message(id="4")),
    )
    assert one["prompt_fingerprint"] == same["prompt_fingerprint"] == error["prompt_fingerprint"]
    assert other["prompt_fingerprint"] not in (one["prompt_fingerprint"], None)
    assert bare["prompt_fingerprint"] is None
    assert (one["raw_model"], error["raw_model"]) == ("claude-haiku-4-5", "claude-opus-4-5")
    assert (one["end_user"], error["end_user"]) == (None, "customer-9")


def test_a_message_without_an_envelope_has_no_time(usage_of: UsageOf) -> None:
    with pytest.raises(AssertionError, match=r"\$\.ts: no time"):
        usage_of("anthropic", message())


def test_of_a_message_that_was_stored_twice_the_first_counts(outcomes_of: OutcomesOf) -> None:
    twice = [call(message()), call(message(), ts="2026-10-05T14:05:00Z", request_id="req_2")]
    assert outcomes_of("anthropic", {"dt=2026-10-05/a.jsonl": twice}) == {"usage": 1, "duplicate": 1}
