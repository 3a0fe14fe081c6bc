"""Amazon Bedrock's batch jobs: each model's own shape of counts, and what the job says for its lines."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.lake import Lake
from finops_pipeline.schemas import USAGE

UsageOf = Callable[..., list[dict[str, Any]]]
LakeOf = Callable[..., Lake]
Counted = Callable[[Lake], dict[str, int]]

SAMPLES = Path(__file__).parent.parent / "raw_logs" / "bedrock" / "batch-output"
FIRST_DAY = dt.date(2026, 1, 1)
CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")


def line(output: Any = None, **fields: Any) -> dict[str, Any]:
    record = {"recordId": "R1", "modelInput": {"messages": [{"role": "user", "content": "hi"}]}}
    return record | ({"modelOutput": output} if output is not None else {}) | fields


def tokens(row: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(row[f"{name}_tokens"] for name in CLASSES)


def test_the_sample_s_manifest_is_no_usage(lake_of: LakeOf, counted: Counted) -> None:
    # Keys without a date belong to the first day of the lake, and their records to the job's day.
    assert counted(lake_of("bedrock_batch", SAMPLES)) == {"usage": 4, "another_day": 1}
    assert counted(lake_of("bedrock_batch", SAMPLES, FIRST_DAY)) == {"not_usage": 1, "another_day": 4}


def unread(lake: Lake) -> list[str]:
    stamp = lake.stamp(USAGE, source="s", date=FIRST_DAY)
    assert stamp is not None
    warnings: Any = stamp.notes["warnings"]
    return [told for told in warnings if "the job had" in told]


def test_the_manifest_is_held_against_what_was_read(lake_of: LakeOf, tmp_path: Path) -> None:
    folder = written(tmp_path, a__jsonl__out=[line({}), line({}, recordId="R2")], manifest__json__out=[])
    for total, told in ((2, []), (3, ["j: the job had 3 records, and 2 were read"])):
        (folder / "j" / "manifest.json.out").write_text(json.dumps({"totalRecordCount": total}))
        assert unread(lake_of("bedrock_batch", folder, FIRST_DAY)) == told


def test_a_line_is_a_call_of_the_job(usage_of: UsageOf) -> None:
    model = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    said = line({"model": "claude-sonnet-4-5-20250929", "usage": {"input_tokens": 1}})
    row = usage_of("bedrock_batch", said, job_model=model)[0]
    assert [row[name] for name in ("request_id", "provider", "service", "account", "raw_model", "region_scope")] == [
        "job1/R1", "aws", "Amazon Bedrock", "123456789012", model, "geo:us",
    ]  # fmt: skip
    assert (row["batch"], row["stream"], row["service_tier"]) == (True, False, "batch")
    assert row["event_time"].isoformat() == "2026-10-05T14:00:00+00:00"
    assert row["prompt_fingerprint"] is not None


def test_the_body_s_name_of_a_model_says_nothing_of_its_place(usage_of: UsageOf) -> None:
    row = usage_of("bedrock_batch", line({"model": "claude-sonnet-4-5-20250929"}))[0]
    assert (row["raw_model"], row["region_scope"], row["account"]) == ("claude-sonnet-4-5-20250929", None, None)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (  # Anthropic
            {
                "usage": {
                    "input_tokens": 900, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 30,
                    "output_tokens": 120,
                }
            },
            (900, 50, 30, 0, 120),
        ),
        (  # Anthropic, with the split by time to live
            {
                "usage": {
                    "input_tokens": 900, "cache_creation_input_tokens": 30, "output_tokens": 120,
                    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                }
            },
            (900, 0, 10, 20, 120),
        ),
        (  # Converse
            {"usage": {"inputTokens": 70, "outputTokens": 9, "cacheReadInputTokens": 5, "cacheWriteInputTokens": 4}},
            (70, 5, 4, 0, 9),
        ),
        (  # Converse, with details
            {
                "usage": {
                    "inputTokens": 70, "outputTokens": 9, "cacheWriteInputTokens": 7,
                    "cacheDetails": [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 3}],
                }
            },
            (70, 0, 3, 4, 9),
        ),
        (  # Nova
            {
                "usage": {
                    "inputTokens": 70, "outputTokens": 9, "cacheReadInputTokenCount": 5,
                    "cacheWriteInputTokenCount": 4,
                }
            },
            (70, 5, 4, 0, 9),
        ),
        ({"inputTextTokenCount": 8, "results": [{"tokenCount": 3}, {"tokenCount": 4}]}, (8, 0, 0, 0, 7)),  # Titan
        ({"inputTextTokenCount": 8, "embedding": [0.1]}, (8, 0, 0, 0, 0)),  # Titan's embeddings
        ({"prompt_token_count": 11, "generation_token_count": 6}, (11, 0, 0, 0, 6)),  # Llama
        ({"usage": {"prompt_tokens": 11, "completion_tokens": 6}}, (11, 0, 0, 0, 6)),  # OpenAI's shape
        (
            {"usage": {"prompt_tokens": 11, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 4}}},
            (7, 4, 0, 0, 6),
        ),
        (
            {"usage": {"prompt_tokens": 3, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 4}}},
            (3, 4, 0, 0, 6),
        ),
        ({"text": "ahoy"}, (None,) * 5),  # Cohere says nothing
    ],
)  # fmt: skip
def test_each_model_s_own_counts(usage_of: UsageOf, output: Any, expected: tuple[int | None, ...]) -> None:
    row = usage_of("bedrock_batch", line(output))[0]
    assert tokens(row) == expected
    assert row["usage_quality"] == ("missing" if expected[0] is None else "reported")


@pytest.mark.parametrize(
    ("output", "reason", "calls"),
    [
        (
            {"stopReason": "tool_use", "output": {"message": {"content": [{"text": "x"}, {"toolUse": {}}]}}},
            "tool_use",
            1,
        ),
        ({"stop_reason": "tool_use", "content": [{"type": "text"}, {"type": "tool_use", "input": {}}]}, "tool_use", 1),
        ({"results": [{"completionReason": "FINISH", "tokenCount": 1}]}, "FINISH", 0),
        (
            {"choices": [{"finish_reason": "stop", "message": {"tool_calls": [{"function": {}}, {"function": {}}]}}]},
            "stop",
            2,
        ),
    ],
)
def test_why_it_stopped_and_which_tools_it_called(usage_of: UsageOf, output: Any, reason: str, calls: int) -> None:
    row = usage_of("bedrock_batch", line({"usage": {"inputTokens": 1}} | output))[0]
    assert (row["finish_reason"], row["tool_calls"]) == (reason, calls)


def test_an_error_stands_in_place_of_the_output(usage_of: UsageOf) -> None:
    error = {"errorCode": 400, "errorMessage": "bad request"}
    coded, bare = usage_of("bedrock_batch", line(error=error), line(error={}, recordId="R2"))
    assert (coded["status"], coded["error_code"], tokens(coded)) == ("error", "400", (0,) * 5)
    assert (bare["status"], bare["error_code"]) == ("error", None)


def test_a_record_without_an_id_has_its_line(usage_of: UsageOf) -> None:
    assert usage_of("bedrock_batch", line({}, recordId=None))[0]["request_id"] == "job1/input.jsonl.out#1"


def test_who_called_stands_in_the_input(usage_of: UsageOf) -> None:
    given = {"requestMetadata": {"team": "legal", "project": "p", "environment": "prod"}, "metadata": {"user_id": "u"}}
    row = usage_of("bedrock_batch", line({}, modelInput=given))[0]
    assert [row[name] for name in ("team", "project", "environment", "end_user")] == ["legal", "p", "prod", "u"]


def written(folder: Path, **files: Any) -> Path:
    """A folder with the files of job ``j``; ``__`` in a name stands for a dot."""
    (folder / "j").mkdir()
    for name, lines in files.items():
        (folder / "j" / name.replace("__", ".")).write_text("\n".join(map(json.dumps, lines)))
    return folder


def test_inputs_of_jobs_are_no_usage(lake_of: LakeOf, counted: Counted, tmp_path: Path) -> None:
    folder = written(tmp_path, a__jsonl=[line()], a__jsonl__out=[line({})])
    assert counted(lake_of("bedrock_batch", folder)) == {"usage": 1, "another_day": 1}
    assert counted(lake_of("bedrock_batch", folder, FIRST_DAY)) == {"not_usage": 1, "another_day": 1}


def test_the_same_record_of_two_jobs_is_two_calls(lake_of: LakeOf, counted: Counted, tmp_path: Path) -> None:
    folder = written(tmp_path, a__jsonl__out=[line({}), line({})])
    (folder / "k").mkdir()
    (folder / "k" / "a.jsonl.out").write_text(json.dumps(line({})))
    lake = lake_of("bedrock_batch", folder)
    assert counted(lake) == {"usage": 2, "duplicate": 1}
    assert sorted(lake.scan(USAGE).collect().get_column("request_id")) == ["j/R1", "k/R1"]


def test_a_uri_that_is_the_job_itself_has_no_job_id(lake_of: LakeOf, tmp_path: Path) -> None:
    lake = lake_of("bedrock_batch", written(tmp_path, a__jsonl__out=[line({})]) / "j")
    assert lake.scan(USAGE).collect().get_column("request_id").item() == "R1"
