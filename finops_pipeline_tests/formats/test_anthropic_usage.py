"""Rules of Anthropic's usage report: token classes, dimensions, how many calls a row is at least, what is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from finops_pipeline.errors import SourceError
from finops_pipeline.schemas import TOKEN_CLASSES

UsageOf = Callable[..., list[dict[str, Any]]]


def page(*results: dict[str, Any]) -> dict[str, Any]:
    bucket = {"starting_at": "2026-10-05T13:00:00Z", "ending_at": "2026-10-05T14:00:00Z", "results": list(results)}
    return {"data": [bucket], "has_more": False, "next_page": None}


def result(**members: Any) -> dict[str, Any]:
    said = {
        "uncached_input_tokens": 100,
        "cache_creation": {"ephemeral_1h_input_tokens": 10, "ephemeral_5m_input_tokens": 5},
        "cache_read_input_tokens": 200,
        "output_tokens": 50,
        "server_tool_use": {"web_search_requests": 3},
        "model": "claude-opus-4-5",
    }
    return said | members


def test_token_classes_and_searches(usage_of: UsageOf) -> None:
    row = usage_of("anthropic_usage", page(result()))[0]
    assert tuple(row[name] for name in TOKEN_CLASSES) == (100, 200, 5, 10, 50)
    assert (row["web_searches"], row["usage_quality"], row["status"]) == (3, "reported", "ok")


def test_dimensions(usage_of: UsageOf) -> None:
    said = result(workspace_id="w", api_key_id="k", account_id="user_1", service_account_id="sa", inference_geo="us",
                  speed="fast", service_tier="standard", context_window="0-200k")  # fmt: skip
    row = usage_of("anthropic_usage", page(said))[0]
    assert (row["project"], row["api_key_id"], row["user_id"]) == ("w", "k", "user_1")
    assert (row["region_scope"], row["service_tier"], row["batch"]) == ("geo:us", "fast", False)
    assert row["tags"] == [{"key": "context_window", "value": "0-200k"}]


def test_what_is_not_grouped_by_is_unknown(usage_of: UsageOf) -> None:
    row = usage_of("anthropic_usage", page(result(model=None)))[0]
    unknown = ("raw_model", "project", "api_key_id", "user_id", "region_scope", "service_tier", "tags")
    assert [row[name] for name in unknown] == [None] * len(unknown)
    assert row["batch"] is False


def test_service_accounts_are_users(usage_of: UsageOf) -> None:
    assert usage_of("anthropic_usage", page(result(service_account_id="sa")))[0]["user_id"] == "sa"


@pytest.mark.parametrize(
    ("uncached", "window", "calls"),
    [
        # With the 215 cached tokens of every result.
        (0, "0-200k", 1),
        (199_785, "0-200k", 1),
        (199_786, "0-200k", 2),
        (1_000_000, "0-200k", 6),
        (1_000_000, None, 6),
        (999_785, "200k-1M", 1),
        (999_786, "200k-1M", 2),
    ],
)
def test_a_row_is_as_many_calls_as_its_input_needs(
    uncached: int, window: str | None, calls: int, usage_of: UsageOf
) -> None:
    said = result(uncached_input_tokens=uncached, context_window=window)
    assert usage_of("anthropic_usage", page(said))[0]["request_count"] == calls


def test_a_result_without_tokens_is_unknown(usage_of: UsageOf) -> None:
    row = usage_of("anthropic_usage", page({"model": "claude-opus-4-5"}))[0]
    assert (row["usage_quality"], row["input_tokens"], row["request_count"]) == ("missing", None, 1)


def test_pages_of_the_cost_report_are_refused(usage_of: UsageOf) -> None:
    cost = {"currency": "USD", "amount": "123.45", "workspace_id": "w", "cost_type": "tokens", "model": "m"}
    with pytest.raises(SourceError, match=r"cost report.*usage_report/messages"):
        usage_of("anthropic_usage", page(cost))
