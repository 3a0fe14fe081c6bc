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


def test_what_is_not_ok_failed(usage_of: UsageOf) -> None:
    rows = usage_of(
        "record",
        call(request_id="a", status="ok"),
        call(request_id="b", status="error"),
        call(request_id="c", error_code="429"),
    )
    assert [row["status"] for row in rows] == ["ok", "error", "error"]
