"""Every format's samples become exactly the rows that were derived from the format's documentation."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.day import mediate_day
from finops_pipeline.schemas import INGEST_OBJECTS, QUARANTINE, USAGE

SAMPLES = Path(__file__).parent.parent / "raw_logs"
NOT_COLUMNS = {"fp_group", "model_id", "note"}
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
DAYS = (dt.date(2026, 10, 5), dt.date(2026, 10, 6))


JOB_TIMES = {"anthropic_batch": "2026-10-05T15:00:00Z", "bedrock_batch": "2026-10-05T15:00:00Z"}
"""Of jobs whose samples hold no time, and no file that tells it."""


def mediated(sample: str, format: str, folder: str, tmp_path: Path) -> Lake:
    source = {"name": sample, "format": format, "uri": str(SAMPLES / folder), "job_time": JOB_TIMES.get(sample)}
    config = Config.model_validate(
        {"lake": str(tmp_path / "lake"), "start_date": "2026-01-01", "sources": [source]},
    )
    lake = Lake(tmp_path / "lake")
    for day in DAYS:
        mediate_day(config, config.sources[0], day, lake=lake, run=str(tmp_path), now=NOW)
    return lake


def cell(column: str, value: Any) -> Any:
    if column == "event_time":
        return dt.datetime.fromisoformat(value)
    return Decimal(value) if column == "reported_cost" and value is not None else value


UNNAMED = {"vertex_batch": "prediction-model-2026-10-05T14:10:00.000000Z/predictions.jsonl#2"}
"""The id of the sample's record that has none."""

SAMPLE_FOLDERS = [
    ("bedrock", "bedrock", "bedrock"),
    ("litellm", "litellm", "litellm/llm-logs"),
    ("litellm_batched", "litellm", "litellm/batched"),
    ("otel", "otel", "otel/awss3"),
    ("openai_chat", "openai", "openai/chat_completions"),
    ("openai_responses", "openai", "openai/responses"),
    ("openai_batch", "openai_batch", "openai/batches"),
    ("openai_usage", "openai_usage", "openai/usage"),
    ("anthropic_messages", "anthropic", "anthropic/messages"),
    ("anthropic_streams", "anthropic", "anthropic/streams"),
    ("anthropic_batch", "anthropic_batch", "anthropic/batches"),
    ("anthropic_usage", "anthropic_usage", "anthropic/usage_report"),
    ("vertex", "vertex", "vertex/request_response_logging"),
    ("vertex_batch", "vertex_batch", "vertex/batch"),
    ("bedrock_batch", "bedrock_batch", "bedrock/batch-output"),
    ("azure_apim_llm", "azure_apim", "azure/insights-logs-gatewayllmlogs"),
    ("langfuse", "langfuse", "langfuse/exports"),
    ("cloudflare_api", "cloudflare", "cloudflare/logs_api"),
    ("record_csv", "record", "record/csv"),
    ("record_jsonl", "record", "record/jsonl"),
]


@pytest.mark.parametrize(("sample", "format", "folder"), SAMPLE_FOLDERS)
def test_sample_becomes_the_expected_rows(sample: str, format: str, folder: str, tmp_path: Path) -> None:
    lake = mediated(sample, format, folder, tmp_path)
    rows = {row["request_id"]: row for row in lake.scan(USAGE, source=sample).collect().iter_rows(named=True)}
    lines = (SAMPLES / "_expected" / f"{sample}.jsonl").read_text().splitlines()
    expected = {row["request_id"] or UNNAMED[sample]: row for row in map(json.loads, lines)}
    assert rows.keys() == expected.keys()
    for request_id, want in expected.items():
        # Null says that the record has none of its own.
        columns = want.keys() - NOT_COLUMNS - {name for name in ("event_time", "request_id") if want[name] is None}
        assert {c: rows[request_id][c] for c in columns} == {c: cell(c, want[c]) for c in columns}

    groups: dict[str, set[str]] = {}
    for request_id, want in expected.items():
        if want.get("fp_group"):
            groups.setdefault(want["fp_group"], set()).add(rows[request_id]["prompt_fingerprint"])
    assert all(len(prints) == 1 and None not in prints for prints in groups.values())
    assert len(set.union(set(), *groups.values())) == len(groups)


@pytest.mark.parametrize(("sample", "format", "folder"), SAMPLE_FOLDERS)
def test_no_prompt_text_reaches_the_lake(sample: str, format: str, folder: str, tmp_path: Path) -> None:
    lake = mediated(sample, format, folder, tmp_path)
    written = b"".join(file.read_bytes() for file in Path(lake.storage.root).rglob("*.parquet"))
    for prompt in (
        b"reset my password", b"reset password", b"support bot", b"Classify: refund", b"Plan the trip",
        b"Check clause 4", b"Long policy text", b"chunk 2 of a split",
    ):  # fmt: skip
        assert prompt not in written
    text = "".join(str(lake.scan(table).collect().to_dicts()) for table in (USAGE, QUARANTINE))
    assert "password" not in text
    assert "refund" not in text


def outcomes(lake: Lake, sample: str) -> dict[str, int]:
    columns = ("usage", "duplicate", "not_usage", "quarantined", "another_day")
    return lake.scan(INGEST_OBJECTS, source=sample, date=DAYS[0]).select(columns).sum().collect().to_dicts()[0]


def test_bedrock_counts_redelivery_and_the_truncated_line(tmp_path: Path) -> None:
    lake = mediated("bedrock", "bedrock", "bedrock", tmp_path)
    # 14 lines: b-0001 twice, one cut off; markers and offloaded bodies are no logs.
    assert outcomes(lake, "bedrock") == {
        "usage": 11, "duplicate": 1, "not_usage": 0, "quarantined": 1, "another_day": 0,
    }  # fmt: skip
    assert lake.scan(INGEST_OBJECTS, source="bedrock", date=DAYS[0]).collect().height == 2
    broken = lake.scan(QUARANTINE, source="bedrock").collect().to_dicts()
    assert [(row["raw_line"], row["reason"]) for row in broken] == [(8, "not JSON: Input data was truncated")]


def test_audit_lines_of_litellm_are_no_usage(tmp_path: Path) -> None:
    lake = mediated("litellm", "litellm", "litellm/llm-logs", tmp_path)
    assert outcomes(lake, "litellm")["not_usage"] == 1
    assert outcomes(lake, "litellm")["quarantined"] == 0


def test_litellm_keeps_what_its_cache_saved(tmp_path: Path) -> None:
    lake = mediated("litellm", "litellm", "litellm/llm-logs", tmp_path)
    saved = lake.scan(USAGE).select("gateway_cache_hit", "saved_cache_cost").collect()
    assert saved.filter(saved["saved_cache_cost"].is_not_null()).rows() == [(True, Decimal("0.0000774"))]


def test_record_quotes_numbers_but_never_text(tmp_path: Path) -> None:
    lake = mediated("record_jsonl", "record", "record/jsonl", tmp_path)
    reasons = dict(lake.scan(QUARANTINE, source="record_jsonl").select("raw_line", "reason").collect().iter_rows())
    assert reasons == {
        4: "$.timestamp: expected a time (ISO 8601 or epoch seconds), got a text of 9 characters",
        5: "$.input_tokens: expected a whole number from 0 to 1e12, got -5",
        6: "$.input_tokens: expected a whole number from 0 to 1e12, got 1.5",
    }
