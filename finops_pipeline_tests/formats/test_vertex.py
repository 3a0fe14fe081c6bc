"""Vertex AI's request-response logs, rule by rule; those of requests and responses hold for its batches too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops_pipeline.lake import Lake
from finops_pipeline.schemas import QUARANTINE, USAGE

UsageOf = Callable[..., list[dict[str, Any]]]
LakeOf = Callable[..., Lake]
Counted = Callable[[Lake], dict[str, int]]

SAMPLES = Path(__file__).parent.parent / "raw_logs" / "vertex" / "request_response_logging"
PLACE = "projects/acme/locations/us-central1"
MODEL = "publishers/google/models/gemini-2.5-flash"


def call(usage: Any = None, request: Any = None, response: Any = None, **fields: Any) -> dict[str, Any]:
    """A row; ``usage``, ``request`` and ``response`` are merged into what there is."""
    row: dict[str, Any] = {
        "logging_time": "2026-10-05T14:00:00Z",
        "request_id": "1",
        "model": MODEL,
        "api_method": "GenerateContent",
        "full_request": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "model": f"{PLACE}/{MODEL}"},
        "full_response": {"candidates": [{"finishReason": "STOP"}]},
        "metadata": {"request_latency": 900.5},
    }
    row["full_request"] |= request or {}
    row["full_response"] |= (response or {}) | ({"usageMetadata": usage} if usage else {})
    return row | fields


def detail(**tokens: int) -> list[dict[str, Any]]:
    return [{"modality": modality, "tokenCount": count} for modality, count in tokens.items()]


def tokens(row: dict[str, Any]) -> tuple[int, int, int, int]:
    return row["input_tokens"], row["cache_read_tokens"], row["output_tokens"], row["reasoning_tokens"]


def test_the_sample_s_rows_are_all_accounted_for(lake_of: LakeOf, counted: Counted) -> None:
    assert counted(lake_of("vertex", SAMPLES)) == {"usage": 5, "duplicate": 1}


def test_a_row_says_who_called_what(usage_of: UsageOf) -> None:
    labels = {
        "team": "search",
        "project": "ranking",
        "environment": "prod",
        "application": "bot",
        "user": "ana",
        "x": "y",
    }
    row = usage_of("vertex", call({"promptTokenCount": 1}, {"labels": labels}))[0]
    assert [row[name] for name in ("provider", "service", "account", "raw_model", "operation")] == [
        "google", "Google Vertex AI", "acme", MODEL, "GenerateContent",
    ]  # fmt: skip
    assert [row[name] for name in ("team", "project", "environment", "application", "user_id")] == [
        "search", "ranking", "prod", "bot", "ana",
    ]  # fmt: skip
    assert {tag["key"]: tag["value"] for tag in row["tags"]} == labels
    assert (row["latency_ms"], row["finish_reason"], row["batch"], row["stream"]) == (900.5, "STOP", False, False)


@pytest.mark.parametrize(
    ("location", "scope"), [("us-central1", "in-region"), ("global", "global"), ("eu", "geo:eu"), ("us", "geo:us")]
)
def test_where_it_ran(usage_of: UsageOf, location: str, scope: str) -> None:
    resource = f"projects/acme/locations/{location}/{MODEL}"
    assert usage_of("vertex", call(request={"model": resource}))[0]["region_scope"] == scope


def test_a_tuned_model_is_its_endpoint(usage_of: UsageOf) -> None:
    endpoint = f"{PLACE}/endpoints/42"
    row = usage_of("vertex", call(model=None, endpoint=endpoint, full_request=None))[0]
    assert (row["raw_model"], row["account"], row["region_scope"]) == (endpoint, "acme", "in-region")


@pytest.mark.parametrize("request_id", ["5374205265901353985", 5374205265901353985, 18446744073709551615])
def test_ids_are_exact_however_they_are_written(usage_of: UsageOf, request_id: Any) -> None:
    assert usage_of("vertex", call(request_id=request_id))[0]["request_id"] == str(request_id)


def test_input_is_what_was_not_cached_and_what_tools_gave(usage_of: UsageOf) -> None:
    usage = {
        "promptTokenCount": 5000, "cachedContentTokenCount": 4500, "toolUsePromptTokenCount": 70,
        "candidatesTokenCount": 100, "thoughtsTokenCount": 30, "totalTokenCount": 5200,
    }  # fmt: skip
    assert tokens(usage_of("vertex", call(usage))[0]) == (570, 4500, 130, 30)


def test_a_prompt_smaller_than_its_cache_leaves_it_out_already(usage_of: UsageOf) -> None:
    assert tokens(usage_of("vertex", call({"promptTokenCount": 10, "cachedContentTokenCount": 11}))[0]) == (
        10,
        11,
        0,
        0,
    )


def test_parts_of_modalities(usage_of: UsageOf) -> None:
    usage = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 400,
        "promptTokensDetails": detail(TEXT=300, AUDIO=500, IMAGE=200),
        "cacheTokensDetails": detail(TEXT=100, AUDIO=300),
        "candidatesTokenCount": 90,
        "candidatesTokensDetails": detail(TEXT=10, IMAGE=50, AUDIO=30),
    }
    row = usage_of("vertex", call(usage))[0]
    # Of 500 audio tokens 300 were read from the cache: 200 are part of the 600 that were not.
    assert (row["input_tokens"], row["input_audio_tokens"], row["input_image_tokens"]) == (600, 200, 200)
    assert (row["output_tokens"], row["output_audio_tokens"], row["output_image_tokens"]) == (90, 30, 50)


def test_a_part_is_never_more_than_what_was_not_cached(usage_of: UsageOf) -> None:
    usage = {"promptTokenCount": 100, "cachedContentTokenCount": 90, "promptTokensDetails": detail(AUDIO=100)}
    row = usage_of("vertex", call(usage))[0]
    assert (row["input_tokens"], row["input_audio_tokens"]) == (10, 10)


@pytest.mark.parametrize(
    ("traffic", "tier"),
    [
        ("ON_DEMAND", "standard"),
        ("ON_DEMAND_PRIORITY", "priority"),
        ("ON_DEMAND_FLEX", "flex"),
        ("PROVISIONED_THROUGHPUT", "provisioned"),
        ("TRAFFIC_TYPE_UNSPECIFIED", None),
        (None, None),
    ],
)
def test_traffic_is_the_tier(usage_of: UsageOf, traffic: str | None, tier: str | None) -> None:
    assert usage_of("vertex", call({"promptTokenCount": 1, "trafficType": traffic}))[0]["service_tier"] == tier


@pytest.mark.parametrize(("model", "searches"), [("gemini-2.5-pro", 1), ("gemini-2.0-flash", 1), ("gemini-3-pro", 3)])
def test_grounding_is_paid_by_prompt_at_first_and_by_query_later(usage_of: UsageOf, model: str, searches: int) -> None:
    grounded = {"candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b", "c"]}}]}
    row = usage_of(
        "vertex", call({"promptTokenCount": 1}, response=grounded, model=f"publishers/google/models/{model}")
    )[0]
    assert row["web_searches"] == searches


def test_no_grounding_is_no_search(usage_of: UsageOf) -> None:
    assert usage_of("vertex", call({"promptTokenCount": 1}))[0]["web_searches"] == 0


def test_function_calls_are_counted(usage_of: UsageOf) -> None:
    parts = [{"text": "x"}, {"functionCall": {"name": "a"}}, {"functionCall": {"name": "b"}}]
    response = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    assert usage_of("vertex", call({"promptTokenCount": 1}, response=response))[0]["tool_calls"] == 2


@pytest.mark.parametrize("as_text", [False, True])
def test_a_stream_may_be_its_chunks(usage_of: UsageOf, as_text: bool) -> None:
    chunks = [
        {
            "candidates": [{"content": {"parts": [{"functionCall": {"name": "a"}}]}}],
            "usageMetadata": {"promptTokenCount": 40, "candidatesTokenCount": 1},
        },
        {
            "candidates": [{"content": {"parts": [{"functionCall": {"name": "b"}}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 40, "candidatesTokenCount": 9, "trafficType": "ON_DEMAND"},
        },
    ]
    response = json.dumps(chunks) if as_text else chunks
    row = usage_of("vertex", call(full_response=response, api_method="StreamGenerateContent"))[0]
    assert (tokens(row), row["tool_calls"]) == ((40, 0, 9, 0), 2)
    assert (row["stream"], row["finish_reason"], row["service_tier"]) == (True, "STOP", "standard")


def test_texts_of_json_say_the_same_as_json(usage_of: UsageOf) -> None:
    row = call({"promptTokenCount": 7, "cachedContentTokenCount": 3}, {"labels": {"team": "search"}})
    embedded = {name: json.dumps(row[name]) for name in ("full_request", "full_response", "metadata")}
    plain, text = usage_of("vertex", row, row | {"request_id": "2"} | embedded)
    assert {**plain, "request_id": "2", "raw_line": 2} == text
    assert plain["prompt_fingerprint"] is not None


def test_no_response_is_a_failed_call_and_one_without_usage_is_unknown(usage_of: UsageOf) -> None:
    rows = usage_of(
        "vertex", call(full_response=None), call(request_id="2"), call(request_id="3", full_response="{cut")
    )
    assert [(row["status"], row["input_tokens"], row["usage_quality"]) for row in rows] == [
        ("error", 0, "reported"), ("ok", None, "missing"), ("ok", None, "missing"),
    ]  # fmt: skip


def test_a_blocked_prompt_says_why(usage_of: UsageOf) -> None:
    blocked = call({"promptTokenCount": 12}, full_response={"promptFeedback": {"blockReason": "SAFETY"}})
    row = usage_of("vertex", blocked)[0]
    assert (row["status"], row["finish_reason"]) == ("ok", "SAFETY")


def test_bigquery_s_own_spelling_of_times(usage_of: UsageOf) -> None:
    row = usage_of("vertex", call(logging_time="2026-10-05 14:04:22.248 UTC"))[0]
    assert row["event_time"].isoformat() == "2026-10-05T14:04:22.248000+00:00"


def test_the_prompt_is_system_contents_and_tools(usage_of: UsageOf) -> None:
    variants = [
        {},
        {"generationConfig": {"temperature": 1}},
        {"systemInstruction": {"parts": []}},
        {"tools": [{"a": 1}]},
    ]
    rows = usage_of("vertex", *(call(request=variant, request_id=str(n)) for n, variant in enumerate(variants)))
    prints = [row["prompt_fingerprint"] for row in rows]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_an_export_may_be_parquet(lake_of: LakeOf, counted: Counted, tmp_path: Path) -> None:
    rows = [call({"promptTokenCount": 7, "candidatesTokenCount": 2}), call(request_id="2", full_response=None)]
    columns = {name: [row[name] for row in rows] for name in ("logging_time", "request_id", "model", "api_method")}
    nested = {
        name: [json.dumps(row[name]) if row[name] else None for row in rows]
        for name in ("full_request", "full_response", "metadata")
    }
    (tmp_path / "dt=2026-10-05").mkdir()
    pl.DataFrame({**columns, **nested}).with_columns(
        pl.col("request_id").cast(pl.Int64), pl.col("logging_time").str.to_datetime(time_zone="UTC")
    ).write_parquet(tmp_path / "dt=2026-10-05" / "export.parquet")
    lake = lake_of("vertex", tmp_path)
    assert counted(lake) == {"usage": 2}
    rows = lake.scan(USAGE).sort("request_id").collect().to_dicts()
    assert [(row["request_id"], row["status"], row["account"], row["latency_ms"]) for row in rows] == [
        ("1", "ok", "acme", 900.5), ("2", "error", "acme", 900.5),
    ]  # fmt: skip
    assert tokens(rows[0]) == (7, 0, 2, 0)


@pytest.mark.parametrize("value", [-1, 1.5, "many", True, [1], {"a": 1}, 10**30])
def test_a_count_that_is_none_is_quarantined(lake_of: LakeOf, counted: Counted, tmp_path: Path, value: Any) -> None:
    (tmp_path / "dt=2026-10-05").mkdir()
    lines = [call({"promptTokenCount": value}), call({"promptTokenCount": 1}, request_id="2")]
    (tmp_path / "dt=2026-10-05" / "a.json").write_text("\n".join(map(json.dumps, lines)))
    lake = lake_of("vertex", tmp_path)
    assert counted(lake) == {"usage": 1, "quarantined": 1}
    assert (
        lake.scan(QUARANTINE)
        .collect()
        .get_column("reason")
        .item()
        .startswith("$.full_response.usageMetadata.promptTokenCount: expected a whole number")
    )


@pytest.mark.parametrize("odd", [None, 5, "x", [], {}, [None], True])
def test_odd_members_lose_no_record(usage_of: UsageOf, odd: Any) -> None:
    rows = usage_of(
        "vertex",
        call(full_request=odd),
        call(metadata=odd, request_id="2"),
        call(full_response=odd, request_id="3"),
        call(odd, request_id="4"),
        call(request={"labels": odd}, request_id="5"),
        call(response={"candidates": odd}, request_id="6"),
    )
    assert [row["request_id"] for row in rows] == ["1", "2", "3", "4", "5", "6"]


def test_an_error_in_place_of_a_response_is_a_failed_call(usage_of: UsageOf) -> None:
    error = {"code": 429, "message": "Resource exhausted", "status": "RESOURCE_EXHAUSTED"}
    whole, streamed = usage_of(
        "vertex", call(full_response={"error": error}), call(full_response=[{"error": error}], request_id="2")
    )
    for row in (whole, streamed):
        assert (row["status"], row["error_code"], row["input_tokens"]) == ("error", "429", 0)
