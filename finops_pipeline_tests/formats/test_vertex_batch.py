"""What is Vertex AI's batches' own; the rules of requests and responses stand with its request-response logs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.lake import Lake

UsageOf = Callable[..., list[dict[str, Any]]]

SAMPLES = Path(__file__).parent.parent / "raw_logs" / "vertex" / "batch"
MODEL = "projects/acme/locations/us-central1/publishers/google/models/gemini-2.5-pro"


def line(**fields: Any) -> dict[str, Any]:
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 5,
    }
    return {
        "status": "",
        "processed_time": "2026-10-05T14:10:28.376+00:00",
        "request": {"contents": [{"parts": [{"text": "hi"}]}], "model": MODEL, "labels": {"team": "search"}},
        "response": {"responseId": "b1", "modelVersion": "gemini-2.5-flash", "usageMetadata": usage},
    } | fields


def test_the_sample_s_lines_are_all_usage(
    lake_of: Callable[..., Lake], counted: Callable[[Lake], dict[str, int]]
) -> None:
    assert counted(lake_of("vertex_batch", SAMPLES)) == {"usage": 2}


def test_a_line_is_a_call_of_the_batch(usage_of: UsageOf) -> None:
    row = usage_of("vertex_batch", line())[0]
    assert [row[name] for name in ("request_id", "raw_model", "account", "team", "region_scope")] == [
        "b1", "gemini-2.5-flash", "acme", "search", "in-region",
    ]  # fmt: skip
    assert (row["batch"], row["stream"], row["service_tier"], row["status"]) == (True, False, "batch", "ok")
    assert (row["input_tokens"], row["cache_read_tokens"], row["output_tokens"], row["reasoning_tokens"]) == (
        60,
        40,
        25,
        5,
    )
    assert row["prompt_fingerprint"] is not None


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ('Bad Request: {"error": {"code": 400, "message": "no"}}', "400"),
        ('{"error": {"code": "RESOURCE_EXHAUSTED"}}', "RESOURCE_EXHAUSTED"),
        ("Internal error occurred", None),
    ],
)
def test_a_status_is_an_error(usage_of: UsageOf, status: str, code: str | None) -> None:
    row = usage_of("vertex_batch", line(status=status, response={}))[0]
    assert (row["status"], row["error_code"], row["input_tokens"]) == ("error", code, 0)
    assert row["request_id"].endswith("/predictions.jsonl#1")
    assert row["raw_model"] == MODEL


def test_a_line_without_a_time_or_a_model_has_the_job_s(usage_of: UsageOf) -> None:
    bare = line(processed_time=None, request={}, response={"usageMetadata": {"promptTokenCount": 1}})
    row = usage_of("vertex_batch", bare, job_time="2026-10-05T09:00:00Z", job_model=MODEL)[0]
    assert (row["event_time"].hour, row["raw_model"], row["account"]) == (9, MODEL, "acme")


def test_a_table_s_columns_are_texts_of_json(usage_of: UsageOf) -> None:
    said = line()
    plain, text = usage_of(
        "vertex_batch",
        said,
        said
        | {"request": json.dumps(said["request"]), "response": json.dumps(said["response"] | {"responseId": "b2"})},
    )
    assert {**plain, "request_id": "b2", "raw_line": 2} == text


@pytest.mark.parametrize("odd", [None, 5, "x", [], {}, True])
def test_odd_members_lose_no_record(usage_of: UsageOf, odd: Any) -> None:
    assert len(usage_of("vertex_batch", line(request=odd), line(response=odd), line(status=odd, response={}))) == 3


@pytest.mark.parametrize(
    ("status", "told"),
    [({"code": 8, "message": "no"}, ("error", "8")), ({"code": 0}, ("ok", None)), ({}, ("ok", None))],
)
def test_a_status_may_be_an_object(usage_of: UsageOf, status: Any, told: tuple[str, str | None]) -> None:
    row = usage_of("vertex_batch", line(status=status))[0]
    assert (row["status"], row["error_code"]) == told
