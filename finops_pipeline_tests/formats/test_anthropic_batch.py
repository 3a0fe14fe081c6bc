"""Rules of Anthropic's batch results: ids, errors, the time of the job."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.schemas import TOKEN_CLASSES

UsageOf = Callable[..., list[dict[str, Any]]]

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "model": "claude-haiku-4-5",
    "content": [],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 390, "output_tokens": 31, "service_tier": "batch"},
}


def line(result: Any, custom_id: str = "c1") -> dict[str, Any]:
    return {"custom_id": custom_id, "result": result}


def test_a_succeeded_line(usage_of: UsageOf) -> None:
    row = usage_of("anthropic_batch", line({"type": "succeeded", "message": MESSAGE}))[0]
    assert tuple(row[name] for name in TOKEN_CLASSES) == (10, 390, 0, 0, 31)
    assert (row["request_id"], row["batch"], row["stream"], row["service_tier"]) == ("msg_1", True, False, "batch")
    assert (row["status"], row["error_code"], row["finish_reason"]) == ("ok", None, "end_turn")


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ({"type": "errored", "error": {"type": "error", "error": {"type": "api_error"}}}, "api_error"),
        ({"type": "errored"}, "errored"),
        ({"type": "canceled"}, "canceled"),
        ({"type": "expired"}, "expired"),
    ],
)  # fmt: skip
def test_all_others_are_errors_that_used_nothing(result: dict[str, Any], code: str, usage_of: UsageOf) -> None:
    row = usage_of("anthropic_batch", line(result), job_model="claude-opus-4-5")[0]
    assert (row["status"], row["error_code"], row["raw_model"]) == ("error", code, "claude-opus-4-5")
    assert [row[name] for name in TOKEN_CLASSES] == [0] * 5
    assert row["request_id"] == "msgbatch_1/c1"


def test_one_custom_id_in_two_batches_is_two_requests(usage_of: UsageOf, tmp_path: Path) -> None:
    other = tmp_path / "logs" / "msgbatch_2" / "results.jsonl"
    other.parent.mkdir(parents=True)
    other.write_text('{"custom_id": "c1", "result": {"type": "expired"}}')
    rows = usage_of("anthropic_batch", line({"type": "expired"}))
    assert {row["request_id"] for row in rows} == {"msgbatch_1/c1", "msgbatch_2/c1"}


def test_a_line_without_any_id_has_its_place(usage_of: UsageOf) -> None:
    row = usage_of("anthropic_batch", {"result": {"type": "expired"}})[0]
    assert row["request_id"] == "msgbatch_1/results.jsonl#1"


@pytest.mark.parametrize(
    ("job_time", "batch", "hour"),
    [
        ("2026-10-05T20:00:00Z", '{"ended_at": "2026-10-05T12:00:00Z"}', 20),
        (None, '{"ended_at": "2026-10-05T12:00:00Z"}', 12),
        (None, '{"ended_at": null}', 9),
        (None, None, 9),
    ],
)
def test_the_time_is_the_config_s_then_the_batch_s_then_the_object_s(
    job_time: str | None, batch: str | None, hour: int, usage_of: UsageOf, tmp_path: Path
) -> None:
    folder = tmp_path / "logs" / "msgbatch_0"
    folder.mkdir(parents=True)
    results = folder / "results.jsonl"
    results.write_text('{"custom_id": "c0", "result": {"type": "expired"}}')
    modified = dt.datetime(2026, 10, 5, 9, tzinfo=dt.UTC).timestamp()
    os.utime(results, (modified, modified))
    if batch is not None:
        (folder / "batch.json").write_text(batch)
    rows = usage_of("anthropic_batch", line({"type": "expired"}), job_time=job_time)
    (time,) = (row["event_time"] for row in rows if row["request_id"] == "msgbatch_0/c0")
    assert time == dt.datetime(2026, 10, 5, hour, tzinfo=dt.UTC)
