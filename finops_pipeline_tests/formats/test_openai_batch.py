"""Rules of OpenAI's batch results: what the batch object tells, what an error is, what is no result."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest

from finops_pipeline.schemas import TOKEN_CLASSES

UsageOf = Callable[..., list[dict[str, Any]]]
OutcomesOf = Callable[..., dict[str, int]]


def line(body: dict[str, Any] | None = None, status: int = 200, **members: Any) -> dict[str, Any]:
    answered = {
        "object": "chat.completion",
        "id": "chatcmpl-1",
        "created": 1791208800,
        "model": "gpt-5-2025-08-07",
        "service_tier": "default",
        "usage": {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 60}},
    } | (body or {})
    result = {"status_code": status, "request_id": "req_1", "body": answered}
    return {"id": "batch_req_1", "custom_id": "c1", "response": result, "error": None} | members


def test_a_line_of_a_batch_job(usage_of: UsageOf) -> None:
    row = usage_of("openai_batch", line())[0]
    assert (row["request_id"], row["batch"], row["stream"], row["service_tier"]) == ("req_1", True, False, "batch")
    assert tuple(row[name] for name in TOKEN_CLASSES) == (40, 60, 0, 0, 5)


def test_the_time_is_the_body_s_and_else_the_job_s(usage_of: UsageOf) -> None:
    embeddings = {"object": "list", "data": [], "model": "text-embedding-3-small", "usage": {"prompt_tokens": 8}}
    without = line()
    without["response"] |= {"request_id": "req_2", "body": embeddings}
    rows = usage_of("openai_batch", line(), without, job_time="2026-10-05T20:00:00Z")
    assert [row["event_time"] for row in rows] == [
        dt.datetime(2026, 10, 5, 14, tzinfo=dt.UTC),
        dt.datetime(2026, 10, 5, 20, tzinfo=dt.UTC),
    ]
    assert (rows[1]["input_tokens"], rows[1]["output_tokens"]) == (8, 0)


def test_a_model_that_no_line_names_is_the_job_s(usage_of: UsageOf) -> None:
    expired = {"id": "batch_req_2", "response": None, "error": {"code": "batch_expired", "message": "x"}}
    rows = usage_of("openai_batch", line(), expired, job_model="gpt-5-mini")
    assert [row["raw_model"] for row in rows] == ["gpt-5-2025-08-07", "gpt-5-mini"]


@pytest.mark.parametrize(
    ("failed", "code"),
    [
        ({"response": None, "error": {"code": "batch_expired", "message": "x"}}, "batch_expired"),
        ({"response": {"status_code": 400, "body": {"error": {"type": "t", "code": None}}}}, "400"),
        ({"response": {"status_code": 429, "body": {"error": {"code": "insufficient_quota"}}}}, "insufficient_quota"),
        ({"response": {"status_code": 200, "body": {"status": "failed", "error": {"code": "busy"}}}}, "busy"),
        ({"response": {"status_code": 200, "body": {"status": "failed"}}}, None),
    ],
)  # fmt: skip
def test_failed_lines_bill_nothing(failed: dict[str, Any], code: str | None, usage_of: UsageOf) -> None:
    row = usage_of("openai_batch", line() | failed)[0]
    assert (row["status"], row["error_code"], row["request_id"]) == ("error", code, "batch_req_1")
    assert [row[name] for name in TOKEN_CLASSES] == [0] * 5


def test_who_called_is_the_body_s_and_else_the_job_s(usage_of: UsageOf, tmp_path: Any) -> None:
    folder = tmp_path / "logs" / "batch_1"
    folder.mkdir(parents=True)
    (folder / "batch.json").write_text('{"object": "batch", "metadata": {"team": "search", "project": "reindex"}}')
    own = line({"metadata": {"team": "support"}})
    own["response"]["request_id"] = "req_2"
    first, second = usage_of("openai_batch", line(), own)
    assert (first["team"], first["project"]) == ("search", "reindex")
    assert (second["team"], second["project"]) == ("support", "reindex")


def test_the_input_file_of_a_job_is_no_usage(outcomes_of: OutcomesOf) -> None:
    asked = {"custom_id": "c1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-5"}}
    objects = {"2026-10-05/input.jsonl": [asked, asked], "2026-10-05/output.jsonl": [line()]}
    assert outcomes_of("openai_batch", objects) == {"usage": 1, "not_usage": 2}


def test_an_error_needs_no_code(usage_of: UsageOf) -> None:
    bare = line(response=None, error={"message": "x"})
    within = line({"error": {"message": "x", "code": None}, "usage": None}, id="batch_req_2")
    within["response"]["request_id"] = None
    rows = usage_of("openai_batch", bare, within)
    assert [(row["status"], row["error_code"], row["input_tokens"]) for row in rows] == [("error", None, 0)] * 2


@pytest.mark.parametrize("ended", ["completed_at", "expired_at", "cancelled_at", "failed_at"])
def test_a_job_s_time_is_when_it_ended_in_whatever_way(usage_of: UsageOf, tmp_path: Any, ended: str) -> None:
    folder = tmp_path / "logs" / "batch_1"
    folder.mkdir(parents=True)
    times = {"created_at": 1791208000, "completed_at": None, ended: 1791212400}
    (folder / "batch.json").write_text(json.dumps({"object": "batch", **times}))
    expired = {"id": "batch_req_2", "response": None, "error": {"code": "batch_expired", "message": "x"}}
    row = usage_of("openai_batch", expired, job_time=None)[0]
    assert row["event_time"] == dt.datetime(2026, 10, 5, 15, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("job", "project"),
    [
        ({"project_id": "proj_1"}, "proj_1"),
        ({"metadata": {"project_id": "reindex"}, "project_id": "proj_1"}, "reindex"),
        ({"metadata": {"project": "search"}, "project_id": "proj_1"}, "search"),
        ({"metadata": None}, None),
    ],
)
def test_a_job_s_project(usage_of: UsageOf, tmp_path: Any, job: dict[str, Any], project: str | None) -> None:
    folder = tmp_path / "logs" / "batch_1"
    folder.mkdir(parents=True)
    (folder / "batch.json").write_text(json.dumps(job))
    assert usage_of("openai_batch", line())[0]["project"] == project
