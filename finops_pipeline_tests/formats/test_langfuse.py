"""Langfuse's rules one by one: disjoint usage types, upserts, the shapes of its exports."""

import csv
import datetime as dt
import gzip
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.day import mediate_day
from finops_pipeline.schemas import INGEST_OBJECTS, QUARANTINE, TOKEN_CLASSES, USAGE

UsageOf = Callable[..., list[dict[str, Any]]]

SAMPLES = Path(__file__).parent.parent / "raw_logs"
DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def observation(usage: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "id": "o",
        "type": "GENERATION",
        "start_time": "2026-10-05 14:01:00.000000",
        "updated_at": "2026-10-05 14:02:00.000000",
        "level": "DEFAULT",
        "provided_model_name": "gpt-4o",
        "usage_details": {"input": 100, "output": 20} if usage is None else usage,
    } | fields


def classes(row: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(row[name] for name in TOKEN_CLASSES)


def lake_of(folder: Path, objects: dict[str, bytes], uri: str = "") -> Lake:
    """The lake after a run of the day over objects with those keys, for a source at ``uri`` among them."""
    for key, body in objects.items():
        file = folder / "logs" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    config = Config.model_validate(
        {
            "lake": str(folder / "lake"),
            "start_date": "2026-01-01",
            "sources": [{"name": "s", "format": "langfuse", "uri": str(folder / "logs" / uri)}],
        }
    )
    lake = Lake(folder / "lake")
    mediate_day(config, config.sources[0], DAY, lake=lake, run=str(folder), now=NOW)
    return lake


def outcomes(lake: Lake) -> dict[str, int]:
    counted = lake.scan(INGEST_OBJECTS).select("usage", "duplicate", "not_usage", "quarantined").sum().collect()
    return counted.to_dicts()[0]


# -- usage types -------------------------------------------------------------------------------------------------------


def test_input_and_output_leave_out_what_stands_beside_them(usage_of: UsageOf) -> None:
    usage = {
        "input": 1000, "input_cached_tokens": 600, "input_audio_tokens": 50, "input_image_tokens": 30,
        "output": 200, "output_reasoning_tokens": 100, "output_audio_tokens": 40,
        "output_accepted_prediction_tokens": 7, "output_rejected_prediction_tokens": 3, "total": 2030,
    }  # fmt: skip
    row = usage_of("langfuse", observation(usage))[0]
    assert classes(row) == (1000 + 50 + 30, 600, 0, 0, 200 + 100 + 40 + 7 + 3)
    assert (row["reasoning_tokens"], row["input_audio_tokens"], row["input_image_tokens"]) == (100, 50, 30)
    assert row["output_audio_tokens"] == 40


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"input": 5, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 12, "output": 7},
            (5, 90, 12, 0, 7),
        ),
        ({"input": 5, "input_cache_read": 90, "input_cache_creation": 12, "output": 7}, (5, 90, 12, 0, 7)),
        ({"input": 5, "input_cache_creation_5m": 3, "input_cache_creation_1h": 9, "output": 7}, (5, 0, 3, 9, 7)),
        # The flat name beside the split is their sum, not more.
        (
            {"input": 5, "cache_creation_input_tokens": 12, "input_cache_creation_5m": 3, "input_cache_creation_1h": 9},
            (5, 0, 3, 9, 0),
        ),
        ({"input_tokens": 5, "output_tokens": 7}, (5, 0, 0, 0, 7)),
        ({"input_text_tokens": 5, "output_text_tokens": 7}, (5, 0, 0, 0, 7)),
    ],
)
def test_usage_types_have_several_names(usage_of: UsageOf, usage: dict[str, int], expected: tuple[int, ...]) -> None:
    assert classes(usage_of("langfuse", observation(usage))[0]) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # 1000 + 150 is the total: the 600 are among the 1000, the 100 among the 150.
        (
            {"input": 1000, "input_cached_tokens": 600, "output": 150, "output_reasoning_tokens": 100, "total": 1150},
            (400, 600, 0, 0, 150),
        ),
        # More cache than input: the input cannot hold it.
        ({"input": 10, "input_cached_tokens": 600, "output": 5, "total": 15}, (10, 600, 0, 0, 5)),
        # Anthropic's input never holds the cache, whatever total a writer adds up.
        ({"input": 1000, "cache_read_input_tokens": 600, "output": 150, "total": 1150}, (1000, 600, 0, 0, 150)),
    ],
)
def test_a_total_of_input_and_output_alone_shows_a_writer_that_counts_as_openai(
    usage_of: UsageOf, usage: dict[str, int], expected: tuple[int, ...]
) -> None:
    assert classes(usage_of("langfuse", observation(usage))[0]) == expected


def test_a_call_without_usage_is_unknown_and_a_failed_one_used_nothing(usage_of: UsageOf) -> None:
    unknown, failed = usage_of("langfuse", observation({}, id="a"), observation({}, id="b", level="ERROR"))
    assert classes(unknown) == (None,) * 5
    assert (unknown["usage_quality"], unknown["status"]) == ("missing", "ok")
    assert classes(failed) == (0,) * 5
    assert (failed["usage_quality"], failed["status"]) == ("reported", "error")


# -- the other columns -------------------------------------------------------------------------------------------------


def test_who_and_where(usage_of: UsageOf) -> None:
    row = usage_of(
        "langfuse",
        observation(
            trace_id="t", session_id="s", user_id="ana", project_id="p", environment="production",
            metadata={"team": "support"}, tags=["env:prod", "beta"], total_cost=0.000035, tool_calls=["{}", "{}"],
        ),
    )[0]  # fmt: skip
    assert (row["trace_id"], row["session_id"], row["user_id"], row["project"]) == ("t", "s", "ana", "p")
    assert (row["environment"], row["team"], row["operation"]) == ("production", "support", "GENERATION")
    assert [(tag["key"], tag["value"]) for tag in row["tags"]] == [("env", "prod"), ("beta", None)]
    assert row["reported_cost"] == Decimal("0.000035")
    assert (row["tool_calls"], row["batch"], row["provider"], row["region_scope"]) == (2, False, None, None)


def test_durations_come_from_the_times_since_older_exports_count_milliseconds(usage_of: UsageOf) -> None:
    streamed = observation(
        end_time="2026-10-05 14:01:02.500000", completion_start_time="2026-10-05 14:01:00.400000", latency=2500
    )
    row, open_end = usage_of("langfuse", streamed, observation(id="b", latency=2.5, time_to_first_token=0.4))
    assert (row["latency_ms"], row["first_token_ms"], row["stream"]) == (2500.0, 400.0, True)
    assert (open_end["latency_ms"], open_end["first_token_ms"], open_end["stream"]) == (2500.0, None, None)


@pytest.mark.parametrize(
    ("message", "code"), [("429 rate limit", "429"), ("rate limit", None), ("4290 things", None), ("", None)]
)
def test_a_message_may_begin_with_a_status_code(usage_of: UsageOf, message: str, code: str | None) -> None:
    row = usage_of("langfuse", observation({}, level="ERROR", status_message=message))[0]
    assert (row["status"], row["error_code"]) == ("error", code)


@pytest.mark.parametrize("metadata", [{"team": "search"}, '{"team": "search"}'])
def test_metadata_may_be_a_text(usage_of: UsageOf, metadata: object) -> None:
    assert usage_of("langfuse", observation(metadata=metadata))[0]["team"] == "search"


def test_a_prompt_has_one_fingerprint_however_it_is_written(usage_of: UsageOf) -> None:
    messages = [{"role": "user", "content": "hi"}]
    same = [messages, json.dumps(messages), json.dumps(messages, indent=2), json.dumps(messages, separators=(",", ":"))]
    others = ["hi", '"hi', None, ""]
    rows = usage_of("langfuse", *(observation(id=str(n), input=i) for n, i in enumerate([*same, *others])))
    prints = [row["prompt_fingerprint"] for row in rows]
    assert len(set(prints[:4])) == 1
    assert len({*prints[3:6]}) == 3
    assert None not in prints[:6]
    assert prints[6:] == [None, None]


# -- records -----------------------------------------------------------------------------------------------------------


def test_only_generations_and_embeddings_are_calls(tmp_path: Path) -> None:
    kinds = (
        "GENERATION",
        "EMBEDDING",
        "SPAN",
        "EVENT",
        "AGENT",
        "TOOL",
        "CHAIN",
        "RETRIEVER",
        "EVALUATOR",
        "GUARDRAIL",
    )
    lines = "\n".join(json.dumps(observation(id=kind, type=kind)) for kind in kinds).encode()
    lake = lake_of(tmp_path, {"p/observations_v2/2026-10-05T15-00-00.jsonl": lines})
    assert outcomes(lake) == {"usage": 2, "duplicate": 0, "not_usage": 8, "quarantined": 0}
    assert lake.scan(USAGE).collect()["request_id"].sort().to_list() == ["EMBEDDING", "GENERATION"]


@pytest.mark.parametrize("first_is_later", [True, False])
def test_the_latest_version_counts_even_if_it_says_less(tmp_path: Path, first_is_later: bool) -> None:
    earlier = observation(session_id="s", user_id="u", updated_at="2026-10-05 14:02:00")
    later = observation({"input": 7, "output": 1}, updated_at="2026-10-05 16:02:00")
    a, b = (later, earlier) if first_is_later else (earlier, later)
    lake = lake_of(
        tmp_path,
        {
            "p/observations_v2/2026-10-05T15-00-00.jsonl": json.dumps(a).encode(),
            "p/observations_v2/2026-10-05T17-00-00.jsonl": json.dumps(b).encode(),
        },
    )
    assert outcomes(lake) == {"usage": 1, "duplicate": 1, "not_usage": 0, "quarantined": 0}
    assert lake.scan(USAGE).collect()["input_tokens"].to_list() == [7]
    assert lake.scan(INGEST_OBJECTS).collect()["conflicts"].sum() == 0


def test_what_is_wrong_is_quarantined_with_its_path(tmp_path: Path) -> None:
    wrong = [
        observation({"input": -1}), observation({"output": 1.5}), observation(total_cost="free"),
        observation(start_time="today"), observation(start_time=None),
    ]  # fmt: skip
    lines = "\n".join(json.dumps(line) for line in wrong).encode()
    lake = lake_of(tmp_path, {"p/observations_v2/2026-10-05T15-00-00.jsonl": lines})
    reasons = lake.scan(QUARANTINE).sort("raw_line").collect()["reason"].to_list()
    assert [reason.partition(":")[0] for reason in reasons] == [
        "$.usage_details.input", "$.usage_details.output", "$.total_cost", "$.start_time", "$.start_time",
    ]  # fmt: skip


# -- exports -----------------------------------------------------------------------------------------------------------


def sample() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The observations of the sample's first file, and the rows that are expected of its calls."""
    exports = SAMPLES / "langfuse/exports/clx-proj-1/observations_v2"
    lines = (exports / "2026-10-05T15-00-00.jsonl").read_text().splitlines()
    rows = (SAMPLES / "_expected/langfuse.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], [json.loads(row) for row in rows]


def as_csv(observations: list[dict[str, Any]]) -> bytes:
    """As the reference says: null is empty, arrays and objects are JSON."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(observations[0])
    table.writerows(
        [json.dumps(cell) if isinstance(cell, list | dict) else cell for cell in observation.values()]
        for observation in observations
    )
    return text.getvalue().encode()


def as_parquet(observations: list[dict[str, Any]]) -> bytes:
    """Usage and costs as maps, metadata as a map of texts, times as timestamps without a zone."""
    maps = {"usage_details": pa.int64(), "cost_details": pa.float64(), "metadata": pa.string()}
    columns = {}
    for name in observations[0]:
        values = [observation[name] for observation in observations]
        if name in maps:
            columns[name] = pa.array([list(v.items()) for v in values], pa.map_(pa.string(), maps[name]))
        elif name.endswith(("_time", "_at")):
            times = [v and dt.datetime.fromisoformat(v) for v in values]
            columns[name] = pa.array(times, pa.timestamp("us"))
        else:
            columns[name] = pa.array(values)
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    return target.getvalue()


def as_json(observations: list[dict[str, Any]]) -> bytes:
    return json.dumps(observations, indent=1).encode()


def as_lines(observations: list[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, observations)).encode()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("2026-10-05T15-00-00.csv", as_csv),
        ("2026-10-05T15-00-00.csv.gz", lambda rows: gzip.compress(as_csv(rows))),
        ("2026-10-05T15-00-00.parquet", as_parquet),
        ("2026-10-05T15-00-00.json", as_json),
        ("2026-10-05T15-00-00.json.gz", lambda rows: gzip.compress(as_json(rows))),
        ("2026-10-05T15-00-00.json", as_lines),
        ("2026-10-05T15-00-00.jsonl", as_lines),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(
    tmp_path: Path, name: str, written: Callable[[list[dict[str, Any]]], bytes]
) -> None:
    observations, expected = sample()
    lake = lake_of(tmp_path, {f"clx-proj-1/observations_v2/{name}": written(observations)})
    # obs1 to obs4 are generations, obs5 is a span.
    assert outcomes(lake) == {"usage": 4, "duplicate": 0, "not_usage": 1, "quarantined": 0}
    rows = lake.scan(USAGE).sort("request_id").collect().to_dicts()
    for row, want in zip(rows, expected, strict=True):
        # The sample's second file has a later version of obs1, without a first token.
        want = want | {
            "event_time": dt.datetime.fromisoformat(want["event_time"]),
            "reported_cost": Decimal(want["reported_cost"]),
            "stream": True if want["request_id"] == "obs1" else None,
        }
        columns = want.keys() - {"model_id", "fp_group", "note"}
        assert {column: row[column] for column in columns} == {column: want[column] for column in columns}
        assert [(tag["key"], tag["value"]) for tag in row["tags"]] == [("env", "prod")]
        assert row["session_id"] == "s1"
    assert len({row["prompt_fingerprint"] for row in rows}) == 1
    assert rows[0]["first_token_ms"] == 400.0


def test_the_sample_s_lines_are_all_accounted_for(tmp_path: Path) -> None:
    exports = SAMPLES / "langfuse/exports"
    objects = {str(f.relative_to(exports)): f.read_bytes() for f in exports.rglob("*") if f.is_file()}
    lake = lake_of(tmp_path, objects)
    assert outcomes(lake) == {"usage": 4, "duplicate": 1, "not_usage": 1, "quarantined": 0}
    assert lake.scan(INGEST_OBJECTS).collect()["key"].str.contains("scores").any() is False


def test_a_broken_array_is_one_record_and_a_broken_line_too(tmp_path: Path) -> None:
    whole = as_json([observation(id="a"), observation(id="b")])
    lines = as_lines([observation(id="c"), observation(id="d")]) + b'\n{"id":'
    lake = lake_of(
        tmp_path,
        {"p/observations_v2/2026-10-05T15-00-00.json": whole[:-5], "p/observations_v2/2026-10-05T16-00-00.json": lines},
    )
    assert outcomes(lake) == {"usage": 2, "duplicate": 0, "not_usage": 0, "quarantined": 2}


@pytest.mark.parametrize("uri", ["", "team", "team/p", "team/p/observations_v2"])
def test_the_uri_may_point_at_the_folder_of_observations_or_above(tmp_path: Path, uri: str) -> None:
    body = as_lines([observation()])
    objects = {f"team/p/{folder}/2026-10-05T15-20-00.jsonl": body for folder in ("observations_v2", "scores", "traces")}
    lake = lake_of(tmp_path, objects | {"team/p/manifests/2026-10-05T15-20-00.json": b"{}"}, uri)
    assert outcomes(lake) == {"usage": 1, "duplicate": 0, "not_usage": 0, "quarantined": 0}


def test_legacy_and_enriched_exports_side_by_side_count_once(tmp_path: Path) -> None:
    lake = lake_of(
        tmp_path,
        {
            "p/observations/2026-10-05T15-00-00.jsonl": as_lines([observation()]),
            "p/observations_v2/2026-10-05T15-00-00.jsonl": as_lines([observation(user_id="ana", session_id="s")]),
        },
    )
    assert outcomes(lake) == {"usage": 1, "duplicate": 1, "not_usage": 0, "quarantined": 0}
    assert lake.scan(USAGE).collect()["user_id"].to_list() == ["ana"]


def test_a_window_that_ends_at_midnight_holds_the_day_before(tmp_path: Path) -> None:
    last = observation(start_time="2026-10-05 23:59:00.000000", updated_at="2026-10-05 23:59:30.000000")
    lake = lake_of(tmp_path, {"p/observations_v2/2026-10-06T00-00-00.jsonl": as_lines([last])})
    assert lake.scan(USAGE, date=DAY).collect()["request_id"].to_list() == ["o"]


def test_a_prompt_that_a_gateway_did_not_log_has_no_fingerprint(usage_of: UsageOf) -> None:
    logged, redacted = usage_of(
        "langfuse",
        observation(id="a", input={"messages": [{"content": "hi"}]}),
        observation(id="b", input={"messages": [{"content": "redacted-by-litellm"}]}),
    )
    assert logged["prompt_fingerprint"] is not None
    assert redacted["prompt_fingerprint"] is None
