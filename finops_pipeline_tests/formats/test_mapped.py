"""``mapped``: gateways' logs as examples, then the rules one by one: units, conventions, words, hostile paths."""

import datetime as dt
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from line_blocks import blocks_of

from finops_pipeline.config.mapped import MATCHES, PATH
from finops_pipeline.config.model import Config
from finops_pipeline.formats.format import Field, Format, Kind
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.day import mediate_day
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.mediation.open_layout import OpenLayout
from finops_pipeline.mediation.reader import connect, read_json_lines
from finops_pipeline.schemas import INGEST_OBJECTS, QUARANTINE, TOKEN_CLASSES, USAGE

UsageOf = Callable[..., list[dict[str, Any]]]

SAMPLES = Path(__file__).parent.parent / "raw_logs"
DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)

ENVOY = {
    # Envoy AI Gateway: an access log in JSON whose keys the operator chooses; here those of the project's "Access Logs"
    # example, from the dynamic metadata io.envoy.ai_gateway. Envoy writes - for what it does not have. Every request of
    # the gateway is logged, so that one without a model is no call.
    "event_time": "$.start_time",
    "request_id": '$."x-request-id"',
    "provider": '$."gen_ai.provider.name"',
    "raw_model": '$."gen_ai.response.model"',
    "operation": '$."x-envoy-origin-path"',
    "team": '$."x-team-id"',
    "user_id": '$."x-user-id"',
    "session_id": '$."session.id"',
    "status": "$.response_code",
    "latency_ms": "$.duration",
    "input_tokens": '$."gen_ai.usage.input_tokens"',
    "cache_read_tokens": '$."gen_ai.usage.cached_input_tokens"',
    "output_tokens": '$."gen_ai.usage.output_tokens"',
    "tokens": "inclusive",
    "absent": ["-"],
    "not_usage_without": ["provider"],
}
KONG = {
    # Kong AI Gateway: the log of its logging plugins (http-log, file-log) with the AI Proxy's `ai.proxy`, from the "AI
    # Gateway audit log reference". Latencies are milliseconds, started_at is epoch milliseconds, cost is USD.
    "event_time": {"path": "$.started_at", "format": "epoch_ms"},
    "request_id": "$.request.id",
    "provider": "$.ai.proxy.meta.provider_name",
    "raw_model": "$.ai.proxy.meta.response_model",
    "application": "$.consumer.username",
    "stream": {"path": "$.ai.proxy.meta.request_mode", "values": {"stream": True, "oneshot": False}},
    "status": "$.response.status",
    "latency_ms": {"path": "$.latencies.request", "unit": "ms"},
    "input_tokens": "$.ai.proxy.usage.prompt_tokens",
    "cache_read_tokens": "$.ai.proxy.usage.prompt_tokens_details.cached_tokens",
    "output_tokens": "$.ai.proxy.usage.completion_tokens",
    "reasoning_tokens": "$.ai.proxy.usage.completion_tokens_details.reasoning_tokens",
    "reported_cost": {"path": "$.ai.proxy.usage.cost", "unit": "usd"},
    "tokens": "inclusive",
    "reasoning": "included",
}
PORTKEY = {
    # Portkey: its "Logs Export", JSON lines. Cost is in cents, response_time in milliseconds, is_success 1 or 0,
    # cache_status HIT, SEMANTIC HIT, MISS or DISABLED. Bodies and metadata may be JSON written as texts.
    "event_time": "$.created_at",
    "request_id": "$.id",
    "provider": "$.ai_org",
    "raw_model": "$.ai_model",
    "team": "$.metadata.team",
    "user_id": "$.metadata._user",
    "trace_id": "$.trace_id",
    "stream": "$.stream_mode",
    "gateway_cache_hit": {
        "path": "$.cache_status",
        "values": {"HIT": True, "SEMANTIC HIT": True, "MISS": False, "DISABLED": False},
    },
    "status": {"path": "$.is_success", "values": {"1": "ok", "0": "error"}},
    "error_code": "$.response_status_code",
    "latency_ms": "$.response_time",
    "input_tokens": "$.req_units",
    "output_tokens": "$.res_units",
    "reported_cost": {"path": "$.cost", "unit": "cents"},
    "embedded": ["$.metadata", "$.request.body"],
    "prompt": {"messages": "$.request.body.messages"},
}
OPENROUTER = {
    # OpenRouter Broadcast to S3: one JSON object a trace, with observations and the caller's metadata in each ("S3 /
    # S3-compatible"). The names below an observation are not documented: taken here as an operator would see them.
    "event_time": "$.observations[0].startTime",
    "request_id": "$.observations[0].id",
    "provider": {"value": "openrouter"},
    "raw_model": "$.observations[0].model",
    "team": "$.observations[0].metadata.team",
    "user_id": "$.userId",
    "session_id": "$.sessionId",
    "trace_id": "$.traceId",
    "finish_reason": "$.observations[0].finishReason",
    "tool_calls": "$.observations[0].toolCalls[*].name",
    "latency_ms": {"path": "$.observations[0].latency", "unit": "s"},
    "input_tokens": "$.observations[0].usage.promptTokens",
    "cache_read_tokens": "$.observations[0].usage.cachedTokens",
    "output_tokens": "$.observations[0].usage.completionTokens",
    "reasoning_tokens": "$.observations[0].usage.reasoningTokens",
    "reported_cost": {"path": "$.observations[0].usage.totalCost", "unit": "microdollars"},
    "tokens": "inclusive",
    "reasoning": "excluded",
}


def lake_of(folder: Path, logs: Path, fields: dict[str, Any]) -> Lake:
    source = {"name": "s", "format": "mapped", "uri": str(logs), "fields": fields}
    config = Config.model_validate({"lake": str(folder / "lake"), "start_date": "2026-01-01", "sources": [source]})
    lake = Lake(folder / "lake")
    mediate_day(config, config.sources[0], DAY, lake=lake, run=str(folder), now=NOW)
    return lake


def outcomes(lake: Lake) -> dict[str, int]:
    counted = lake.scan(INGEST_OBJECTS).select("usage", "not_usage", "quarantined").sum().collect()
    return counted.to_dicts()[0]


# -- gateways ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gateway", "fields", "not_usage"),
    [("envoy", ENVOY, 1), ("kong", KONG, 0), ("portkey", PORTKEY, 0), ("openrouter", OPENROUTER, 0)],
)
def test_a_gateway_s_log_becomes_the_expected_rows(
    gateway: str, fields: dict[str, Any], not_usage: int, tmp_path: Path
) -> None:
    lake = lake_of(tmp_path, SAMPLES / "mapped" / gateway, fields)
    lines = (SAMPLES / "_expected" / f"mapped_{gateway}.jsonl").read_text().splitlines()
    expected = {row["request_id"]: row for row in map(json.loads, lines)}
    rows = {row["request_id"]: row for row in lake.scan(USAGE).collect().iter_rows(named=True)}
    assert outcomes(lake) == {"usage": len(expected), "not_usage": not_usage, "quarantined": 0}
    assert rows.keys() == expected.keys()
    for request_id, want in expected.items():
        want["event_time"] = dt.datetime.fromisoformat(want["event_time"])
        want["reported_cost"] = want["reported_cost"] and Decimal(want["reported_cost"])
        columns = want.keys() - {"fp_group", "note"}
        assert {c: rows[request_id][c] for c in columns} == {c: want[c] for c in columns}
    prints = {rows[r]["prompt_fingerprint"] for r, want in expected.items() if want["fp_group"]}
    assert len(prints) == (gateway == "portkey")
    assert None not in prints
    assert b"reset password" not in b"".join(file.read_bytes() for file in (tmp_path / "lake").rglob("*.parquet"))


# -- units -------------------------------------------------------------------------------------------------------------


def record(**fields: Any) -> dict[str, Any]:
    return {"t": "2026-10-05T14:00:00Z", "in": 10, "out": 2} | fields


def mapped(**fields: Any) -> dict[str, Any]:
    return {"event_time": "$.t", "input_tokens": "$.in", "output_tokens": "$.out"} | fields


@pytest.mark.parametrize(
    ("format", "time"),
    [
        ("iso", "2026-10-05T14:00:00.123456Z"),
        ("iso", "2026-10-05 16:00:00.123456+02:00"),
        ("iso", "2026-10-05T14:00:00.123456"),
        ("epoch_s", 1791208800.123456),
        ("epoch_s", "1791208800.123456"),
        ("epoch_ms", 1791208800123.456),
        ("epoch_us", 1791208800123456),
        ("epoch_ns", 1791208800123456000),
        ("epoch_ns", "1791208800123456049"),
        ("epoch_ms", "2026-10-05T14:00:00.123456Z"),
    ],
)
def test_times(usage_of: UsageOf, format: str, time: object) -> None:
    fields = mapped(event_time={"path": "$.t", "format": format})
    row = usage_of("mapped", record(t=time), fields=fields)[0]
    assert row["event_time"] == dt.datetime(2026, 10, 5, 14, 0, 0, 123456, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("unit", "amount", "usd"),
    [
        ("usd", 0.0000035, "0.0000035"),
        ("cents", "0.26", "0.0026"),
        ("cents", 99_999_900, "999999"),
        ("microdollars", 4125, "0.004125"),
        ("microdollars", "2000000.5", "2.0000005"),
    ],
)
def test_costs(usage_of: UsageOf, unit: str, amount: object, usd: str) -> None:
    row = usage_of("mapped", record(c=amount), fields=mapped(reported_cost={"path": "$.c", "unit": unit}))[0]
    assert row["reported_cost"] == Decimal(usd)


@pytest.mark.parametrize(("unit", "latency"), [("ms", 2500), ("s", 2.5), ("us", 2_500_000), ("ns", "2500000000")])
def test_durations(usage_of: UsageOf, unit: str, latency: object) -> None:
    fields = mapped(latency_ms={"path": "$.l", "unit": unit}, first_token_ms={"path": "$.l", "unit": unit})
    row = usage_of("mapped", record(l=latency), fields=fields)[0]
    assert (row["latency_ms"], row["first_token_ms"]) == (2500.0, 2500.0)


def test_thousands_of_tokens(usage_of: UsageOf) -> None:
    fields = mapped(input_tokens={"path": "$.in", "unit": "k"})
    row = usage_of("mapped", record(**{"in": "1.024"}), fields=fields)[0]
    assert row["input_tokens"] == 1024


@pytest.mark.parametrize(
    ("fields", "value", "reason"),
    [
        ({"event_time": {"path": "$.x", "format": "epoch_ms"}}, 10**30, "$.x: expected a time"),
        ({"event_time": {"path": "$.x", "format": "epoch_ns"}}, 10**300, "$.x: expected a time"),
        ({"event_time": {"path": "$.x", "format": "epoch_s"}}, 1791208800123, "$.x: expected a time"),
        ({"reported_cost": {"path": "$.x", "unit": "cents"}}, -1, "in units of 0.01, got -1"),
        ({"reported_cost": {"path": "$.x", "unit": "microdollars"}}, 10**40, "$.x: expected an amount of USD"),
        ({"input_tokens": {"path": "$.x", "unit": "k"}}, 1.0005, "in units of 1000, got 1.0005"),
        ({"input_tokens": {"path": "$.x", "unit": "k"}}, 10**20, "$.x: expected a whole number"),
        ({"input_tokens": '$."{}{x}"'}, -3, '$."{}{x}": expected a whole number'),
    ],
)
def test_what_is_none_of_its_unit_is_quarantined(
    tmp_path: Path, fields: dict[str, Any], value: object, reason: str
) -> None:
    file = tmp_path / "logs/2026-10-05.jsonl"
    file.parent.mkdir()
    file.write_text(json.dumps(record(**{"x": value, "{}{x}": value})))
    lake = lake_of(tmp_path, file.parent, mapped(**fields))
    assert reason in lake.scan(QUARANTINE).collect()["reason"].item()


# -- conventions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "read", "expected"),
    [
        ("inclusive", 4, (6 - 3, 4, 2, 1, 2)),
        ("exclusive", 4, (10, 4, 2, 1, 2)),
        ("inclusive", None, (10 - 3, 0, 2, 1, 2)),
        # More cache than input: this writer's input cannot hold it.
        ("inclusive", 90, (10, 90, 2, 1, 2)),
    ],
)
def test_input_holds_the_cache_s_tokens_or_not(
    usage_of: UsageOf, tokens: str, read: int | None, expected: tuple[int, ...]
) -> None:
    fields = mapped(cache_read_tokens="$.r", cache_write_5m_tokens="$.w", cache_write_1h_tokens="$.w1", tokens=tokens)
    row = usage_of("mapped", record(r=read, w=2, w1=1), fields=fields)[0]
    assert tuple(row[name] for name in TOKEN_CLASSES) == expected


@pytest.mark.parametrize(
    ("reasoning", "out", "expected"), [("included", 20, 20), ("excluded", 20, 25), ("excluded", None, 5)]
)
def test_output_holds_reasoning_or_not(usage_of: UsageOf, reasoning: str, out: int | None, expected: int) -> None:
    fields = mapped(reasoning_tokens="$.r", reasoning=reasoning)
    row = usage_of("mapped", record(r=5, out=out), fields=fields)[0]
    assert (row["output_tokens"], row["reasoning_tokens"]) == (expected, 5)


def test_a_gateway_s_own_answer_bills_nothing_and_is_known(usage_of: UsageOf) -> None:
    fields = mapped(gateway_cache_hit="$.hit", input_audio_tokens="$.a")
    hit, silent = usage_of(
        "mapped", record(hit=True, a=3), record(hit="TRUE", **{"in": None, "out": None}), fields=fields
    )
    for row in (hit, silent):
        assert [row[name] for name in (*TOKEN_CLASSES, "input_audio_tokens")] == [0] * 6
        assert (row["gateway_cache_hit"], row["usage_quality"]) == (True, "reported")


def test_a_successful_call_without_tokens_is_unknown(usage_of: UsageOf) -> None:
    row = usage_of("mapped", record(**{"in": None, "out": None}), fields=mapped())[0]
    assert [row[name] for name in TOKEN_CLASSES] == [None] * 5
    assert row["usage_quality"] == "missing"


def test_without_a_path_ids_are_the_place(usage_of: UsageOf) -> None:
    assert usage_of("mapped", record(), fields=mapped())[0]["request_id"] == "2026-10-05.jsonl#1"


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said", "status", "code"),
    [
        ({"status": "$.s"}, {"s": 200}, "ok", None),
        ({"status": "$.s"}, {"s": 429}, "error", "429"),
        ({"status": "$.s"}, {"s": "failed"}, "error", None),
        ({"status": "$.s"}, {"s": None}, "ok", None),
        ({"status": {"path": "$.s", "values": {"KO": "error"}}}, {"s": "KO"}, "error", None),
        ({"status": {"path": "$.s", "values": {"failed": "ok"}}}, {"s": "failed"}, "ok", None),
        ({"status": "$.s", "error_code": "$.e"}, {"s": 500, "e": "overloaded"}, "error", "overloaded"),
        # A code is a code only where the call failed: this log has one for each.
        ({"status": "$.s", "error_code": "$.e"}, {"s": "ok", "e": "200"}, "ok", None),
        ({"error_code": "$.e"}, {"e": "overloaded"}, "error", "overloaded"),
        ({"error_code": "$.e"}, {}, "ok", None),
    ],
)
def test_where_the_error_stands(
    usage_of: UsageOf, fields: dict[str, Any], said: dict[str, Any], status: str, code: str | None
) -> None:
    row = usage_of("mapped", record(**said), fields=mapped(**fields))[0]
    assert (row["status"], row["error_code"]) == (status, code)


def test_values_rename_texts_and_leave_others_alone(usage_of: UsageOf) -> None:
    fields = mapped(request_id="$.id", environment={"path": "$.e", "values": {"p": "prod"}})
    rows = usage_of("mapped", record(id="a", e="p"), record(id="b", e="dev"), record(id="c"), fields=fields)
    assert [row["environment"] for row in rows] == ["prod", "dev", None]


def test_flags_know_only_the_values_that_are_given(usage_of: UsageOf) -> None:
    fields = mapped(request_id="$.id", stream={"path": "$.m", "values": {"sse": True, "unary": False}})
    rows = usage_of("mapped", *(record(id=str(n), m=m) for n, m in enumerate(["sse", "unary", "?"])), fields=fields)
    assert [row["stream"] for row in rows] == [True, False, None]


def test_a_value_holds_for_all_records(usage_of: UsageOf) -> None:
    fields = mapped(
        provider={"value": "bedrock"}, raw_model={"value": "us.anthropic.claude-haiku-4-5-20251001-v1:0"},
        batch={"value": True}, environment={"value": "prod"}, usage_quality={"value": "estimated"},
    )  # fmt: skip
    row = usage_of("mapped", record(), fields=fields)[0]
    assert (row["provider"], row["service"], row["region_scope"]) == ("aws", "Amazon Bedrock", "geo:us")
    assert (row["batch"], row["environment"], row["usage_quality"]) == (True, "prod", "estimated")


def test_a_service_names_its_provider(usage_of: UsageOf) -> None:
    row = usage_of("mapped", record(s="Azure OpenAI"), fields=mapped(service="$.s"))[0]
    assert (row["provider"], row["service"]) == ("azure", "Azure OpenAI")


def test_absent_texts_are_nothing_everywhere(usage_of: UsageOf) -> None:
    fields = mapped(
        request_id="$.id", team="$.team", latency_ms="$.l", reported_cost="$.c", stream="$.s", absent=["-", "n/a"],
        prompt={"messages": "$.p"},
    )  # fmt: skip
    nothing = record(id="a", team="-", l="-", c="n/a", s="-", p="n/a", **{"in": "-", "out": "n/a"})
    row, something = usage_of("mapped", nothing, record(id="b", p="hi"), fields=fields)
    assert [row[c] for c in ("team", "latency_ms", "reported_cost", "stream", "input_tokens")] == [None] * 5
    assert row["prompt_fingerprint"] is None
    assert something["prompt_fingerprint"] is not None


def test_tags_and_counts_of_matches(usage_of: UsageOf) -> None:
    fields = mapped(tags="$.labels", tool_calls="$.calls[*].name", web_searches="$.searches", request_count="$.n")
    said = record(labels={"env": "prod"}, calls=[{"name": "a"}, {"name": "b"}, {}], searches="3", n=7)
    row = usage_of("mapped", said, fields=fields)[0]
    assert row["tags"] == [{"key": "env", "value": "prod"}]
    assert (row["tool_calls"], row["web_searches"], row["request_count"]) == (2, 3, 7)


def test_the_first_token_is_that_of_a_stream(usage_of: UsageOf) -> None:
    fields = mapped(request_id="$.id", stream="$.s", first_token_ms="$.f")
    rows = usage_of("mapped", record(id="a", s=True, f=9), record(id="b", s=False, f=9), fields=fields)
    assert [row["first_token_ms"] for row in rows] == [9.0, None]


# -- files and paths ---------------------------------------------------------------------------------------------------


def test_csv_and_parquet_have_columns_for_the_first_step(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a-2026-10-05.csv").write_text(
        'id,at ms,usage\na,1791208800000,"{""in"": 5, ""out"": {""all"": 7}}"\nb,1791208800000,\nc,x,\n'
    )
    nested = {"id": ["d"], "at ms": [1791208800000], "usage": [{"in": 6, "out": {"all": 8}}]}
    target = io.BytesIO()
    pq.write_table(pa.table(nested), target)
    (logs / "b-2026-10-05.parquet").write_bytes(target.getvalue())
    fields = {
        "event_time": {"path": '$."at ms"', "format": "epoch_ms"},
        "request_id": "$.id",
        "input_tokens": "$.usage.in",
        "output_tokens": "$.usage.out.all",
    }
    lake = lake_of(tmp_path, logs, fields)
    rows = lake.scan(USAGE).sort("request_id").select("request_id", "input_tokens", "output_tokens").collect().rows()
    assert rows == [("a", 5, 7), ("b", None, None), ("d", 6, 8)]
    assert lake.scan(QUARANTINE).collect()["reason"].item().startswith('$."at ms": expected a time')


INJECTIONS = ["'", "''", "'; DROP TABLE x; --", "a' OR '1'='1", "$[", "]", "--", "/*", "a.b", "a[0]", "?", "%s", "{}"]


@pytest.mark.parametrize("key", INJECTIONS)
def test_a_path_is_a_path_whatever_it_spells(usage_of: UsageOf, key: str) -> None:
    fields = mapped(team=f'$."{key}"', prompt={"messages": f'$.p."{key}"'}, embedded=["$.p"])
    row = usage_of("mapped", record(**{key: "search", "p": json.dumps({key: "hi"})}), fields=fields)[0]
    assert row["team"] == "search"
    assert row["prompt_fingerprint"] is not None


def read(path: str, kind: Kind) -> pl.DataFrame:
    fmt = Format(
        name="t", version=1, layout=OpenLayout(), fields={"x": Field(path, kind)}, columns=dict, embedded=("$.e",)
    )
    return pl.concat(read_json_lines(connect(300), blocks_of(b'{"e": "{}"}\n'), fmt, FingerprintKey("k")))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.from_regex(PATH, fullmatch=True))
def test_every_path_that_the_config_takes_can_be_read(tmp_path: Path, path: str) -> None:
    assert read(path, Kind.TEXT).height == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.from_regex(MATCHES, fullmatch=True).filter(lambda path: "[*]" in path))
def test_every_path_of_matches_can_be_read(tmp_path: Path, path: str) -> None:
    assert read(path, Kind.OCCURRENCES).height == 1
