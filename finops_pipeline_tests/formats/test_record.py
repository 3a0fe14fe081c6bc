"""The plain format's rules: disjoint classes, services that name their provider, every usage column by its name."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

UsageOf = Callable[..., list[dict[str, Any]]]


def call(**fields: Any) -> dict[str, Any]:
    return {"timestamp": "2026-10-05T08:00:00Z", "model": "m", "input_tokens": 1000, "request_id": "r"} | fields


@pytest.mark.parametrize(
    ("service", "provider"),
    [
        ("Amazon Bedrock", "aws"),
        ("OpenAI API", "openai"),
        ("Anthropic API", "anthropic"),
        ("Google Vertex AI", "google"),
        ("Gemini API", "google"),
        ("Azure OpenAI", "azure"),
        ("Our own cluster", None),
    ],
)
def test_the_service_names_the_provider(usage_of: UsageOf, service: str, provider: str | None) -> None:
    row = usage_of("record", call(service=service))[0]
    assert (row["service"], row["provider"]) == (service, provider)


def test_a_provider_of_its_own_beats_the_service(usage_of: UsageOf) -> None:
    assert usage_of("record", call(service="OpenAI API", provider="azure_openai"))[0]["provider"] == "azure"


def test_classes_are_disjoint_and_those_not_named_are_zero(usage_of: UsageOf) -> None:
    row = usage_of("record", call(cache_read_tokens=200))[0]
    assert (row["input_tokens"], row["cache_read_tokens"], row["output_tokens"]) == (1000, 200, 0)


def test_every_usage_column_may_be_given_by_its_name(usage_of: UsageOf) -> None:
    fields = {
        "account": "123", "region_scope": "geo:eu", "operation": "chat", "application": "bot", "principal": "arn:x",
        "environment": "prod", "user_id": "u", "end_user": "e", "api_key_id": "k", "service_tier": "flex",
        "finish_reason": "stop", "trace_id": "t", "session_id": "s", "error_code": None,
        "stream": True, "batch": True, "gateway_cache_hit": False,
        "request_count": 3, "cache_write_1h_tokens": 4, "reasoning_tokens": 5, "web_searches": 6, "tool_calls": 7,
        "latency_ms": 800, "first_token_ms": 90,
    }  # fmt: skip
    row = usage_of("record", call(**fields))[0]
    assert {name: row[name] for name in fields} == fields


def test_costs_are_exact_as_numbers_and_as_texts(usage_of: UsageOf) -> None:
    rows = usage_of(
        "record", call(request_id="a", cost="0.000035"), call(request_id="b", cost=0.000228), call(request_id="c")
    )
    assert [row["reported_cost"] for row in rows] == [Decimal("0.000035"), Decimal("0.000228"), None]


def test_epoch_seconds_are_times(usage_of: UsageOf) -> None:
    row = usage_of("record", call(timestamp=1791187200.5))[0]
    assert row["event_time"].isoformat() == "2026-10-05T08:00:00.500000+00:00"


@pytest.mark.parametrize(
    ("status", "error_code", "expected"),
    [
        ("ok", None, "ok"),
        ("OK", None, "ok"),
        ("Success", None, "ok"),
        ("succeeded", None, "ok"),
        ("200", None, "ok"),
        (201, None, "ok"),
        ("error", None, "error"),
        ("FAILED", None, "error"),
        ("failure", None, "error"),
        (429, None, "error"),
        ("503", None, "error"),
        (None, "429", "error"),
        (None, None, "ok"),
        ("ok", "0", "ok"),
        ("partial", None, "ok"),
        ("partial", "x", "ok"),
    ],
)
def test_errors_are_known_words_and_all_else_is_charged(
    usage_of: UsageOf, status: object, error_code: str | None, expected: str
) -> None:
    assert usage_of("record", call(status=status, error_code=error_code))[0]["status"] == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"env": "prod", "n": 1, "none": None}, [("env", "prod"), ("n", "1"), ("none", None)]),
        ([{"key": "env", "value": "prod"}, {"key": "flag"}], [("env", "prod"), ("flag", None)]),
        (
            ["env:prod", "url:http://x", "flag", ":v"],
            [("env", "prod"), ("url", "http://x"), ("flag", None), (":v", None)],
        ),
        ({}, []),
        ([], []),
        ("no json", None),
        (None, None),
        (5, None),
    ],
)
def test_tags_may_be_an_object_a_list_or_texts(
    usage_of: UsageOf, tags: object, expected: list[tuple[str, str | None]] | None
) -> None:
    found = usage_of("record", call(tags=tags))[0]["tags"]
    assert (found and [(tag["key"], tag["value"]) for tag in found]) == expected


def test_each_record_has_its_own_tags(usage_of: UsageOf) -> None:
    texts = [{"a": "1"}, None, {"b": "2"}, {"a": "1"}]
    rows = usage_of("record", *(call(request_id=str(n), tags=tags) for n, tags in enumerate(texts)))
    assert [row["tags"] and row["tags"][0]["key"] for row in rows] == ["a", None, "b", "a"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("estimated", "estimated"), ("Missing", "missing"), ("guess", "reported"), (None, "reported")],
)
def test_the_quality_of_usage_may_be_given(usage_of: UsageOf, given: str | None, expected: str) -> None:
    assert usage_of("record", call(usage_quality=given))[0]["usage_quality"] == expected


def test_hashes_of_other_writers_are_not_taken(usage_of: UsageOf) -> None:
    row = usage_of("record", call(prompt_fingerprint="abc", prefix_block_hashes=[1, 2], raw_object="x", raw_line=9))[0]
    assert (row["prompt_fingerprint"], row["prefix_block_hashes"]) == (None, None)
    assert (row["raw_object"], row["raw_line"]) == ("2026-10-05.jsonl", 1)


def test_what_a_batch_job_answers_is_not_streamed(usage_of: UsageOf) -> None:
    rows = usage_of(
        "record",
        *({"timestamp": "2026-10-05T14:00:00Z"} | given for given in ({"batch": True}, {"batch": False}, {})),
    )
    assert [(row["batch"], row["stream"]) for row in rows] == [(True, False), (False, None), (False, None)]
