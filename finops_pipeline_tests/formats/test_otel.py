"""OpenTelemetry's rules one by one: which spans are model calls, old names, conventions, odd documents."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.formats.format import GROUP, NOT_USAGE, RESOLVED
from finops_pipeline.formats.otel import AGENT, without_repeats
from finops_pipeline.lake import Lake
from finops_pipeline.schemas import INGEST_OBJECTS, QUARANTINE, USAGE

UsageOf = Callable[..., list[dict[str, Any]]]
LakeOf = Callable[..., Lake]
Counted = Callable[[Lake], dict[str, int]]

SAMPLES = Path(__file__).parent.parent / "raw_logs" / "otel"
KEY = "year=2026/month=10/day=05/hour=14/minute=05/traces_a.json"
START = 1_791_209_100_000_000_000
"""2026-10-05T14:05:00Z in nanoseconds."""


def attribute(name: str, value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"key": name, "value": {"boolValue": value}}
        case int():
            return {"key": name, "value": {"intValue": str(value)}}
        case float():
            return {"key": name, "value": {"doubleValue": value}}
        case list():
            values = [attribute("", element)["value"] for element in value]
            return {"key": name, "value": {"arrayValue": {"values": values}}}
        case dict():
            values = [attribute(key, element) for key, element in value.items()]
            return {"key": name, "value": {"kvlistValue": {"values": values}}}
    return {"key": name, "value": {"stringValue": value}}


def span(id: str = "s1", operation: str | None = "chat", parent: str = "", **more: Any) -> dict[str, Any]:
    """A span; ``more`` are attributes with ``__`` for the dot, and members of the span where they begin with ``_``."""
    attributes = {"gen_ai.operation.name": operation} if operation else {}
    attributes |= {name.replace("__", "."): value for name, value in more.items() if not name.startswith("_")}
    return {
        "traceId": "t1",
        "spanId": id,
        "parentSpanId": parent,
        "name": "chat",
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 1_500_000_000),
        "attributes": [attribute(name, value) for name, value in attributes.items()],
        **{name.removeprefix("_"): value for name, value in more.items() if name.startswith("_")},
    }


def used(input: int, output: int, **more: int) -> dict[str, Any]:
    return {"gen_ai__usage__input_tokens": input, "gen_ai__usage__output_tokens": output, **more}


def document(*spans: Any, **resource: str) -> dict[str, Any]:
    attributes = [attribute(name.replace("__", "."), value) for name, value in resource.items()]
    scopes = [{"scope": {"name": "x"}, "spans": list(spans)}]
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": scopes}]}


def tokens(row: dict[str, Any]) -> tuple[int, int, int, int]:
    return row["input_tokens"], row["cache_read_tokens"], row["cache_write_5m_tokens"], row["output_tokens"]


# -- the samples -------------------------------------------------------------------------------------------------------


def test_the_sample_s_spans_are_all_accounted_for(lake_of: LakeOf, counted: Counted) -> None:
    # Ten spans and one of them exported twice: six calls; the agent, its tool and the HTTP span are none.
    assert counted(lake_of("otel", SAMPLES / "awss3")) == {"usage": 6, "duplicate": 1, "not_usage": 3}


def test_the_file_exporter_s_lines_hold_the_same_calls(lake_of: LakeOf, counted: Counted) -> None:
    of_file, of_s3 = lake_of("otel", SAMPLES / "fileexporter"), lake_of("otel", SAMPLES / "awss3")
    assert counted(of_file) == {"usage": 6, "not_usage": 3}
    columns = [name for name in USAGE.names if name not in ("raw_object", "raw_line")]
    rows = [lake.scan(USAGE).select(columns).sort("request_id").collect().rows() for lake in (of_file, of_s3)]
    assert rows[0] == rows[1]
    assert of_file.scan(INGEST_OBJECTS).select("lines", "records").collect().rows() == [(2, 9)]


# -- one span ----------------------------------------------------------------------------------------------------------


def test_a_span_says_who_called_what(usage_of: UsageOf) -> None:
    told = span(
        gen_ai__provider__name="gcp.vertex_ai",
        gen_ai__request__model="gemini-2.5-pro",
        gen_ai__response__model="gemini-2.5-pro-001",
        gen_ai__response__id="resp-1",
        gen_ai__request__stream=True,
        gen_ai__response__time_to_first_chunk=0.25,
        gen_ai__response__finish_reasons=["stop"],
        gen_ai__conversation__id="conv-1",
        enduser__id="ana",
        user__id="not-ana",
        openai__response__service_tier="priority",
        **used(10, 5),
    )
    resource = {"service__name": "planner", "team__name": "travel", "project__name": "trips"}
    row = usage_of("otel", document(told, **resource, deployment__environment="prod"))[0]
    assert {name: row[name] for name in ("request_id", "provider", "service", "raw_model", "operation")} == {
        "request_id": "resp-1", "provider": "google", "service": "Google Vertex AI",
        "raw_model": "gemini-2.5-pro-001", "operation": "chat",
    }  # fmt: skip
    assert [row[name] for name in ("application", "team", "project", "environment", "user_id")] == [
        "planner", "travel", "trips", "prod", "ana",
    ]  # fmt: skip
    assert [row[name] for name in ("trace_id", "session_id", "finish_reason", "service_tier")] == [
        "t1", "conv-1", "stop", "priority",
    ]  # fmt: skip
    assert (row["stream"], row["first_token_ms"], row["latency_ms"], row["batch"]) == (True, 250.0, 1500.0, False)


@pytest.mark.parametrize(
    ("name", "provider", "service"),
    [
        ("openai", "openai", "OpenAI API"),
        ("anthropic", "anthropic", "Anthropic API"),
        ("aws.bedrock", "aws", "Amazon Bedrock"),
        ("azure.ai.openai", "azure", "Azure OpenAI"),
        ("az.ai.openai", "azure", "Azure OpenAI"),
        ("gcp.gemini", "google", "Gemini API"),
        ("gcp.vertex_ai", "google", "Google Vertex AI"),
        ("gcp.gen_ai", "google", None),
        ("x_ai", "x-ai", None),
        ("house-model", "house-model", None),
    ],
)
def test_providers_have_the_catalogue_s_names(usage_of: UsageOf, name: str, provider: str, service: str | None) -> None:
    row = usage_of("otel", document(span(gen_ai__provider__name=name, gen_ai__request__model="m", **used(1, 1))))[0]
    assert (row["provider"], row["service"]) == (provider, service)


def test_only_bedrock_s_models_name_a_scope(usage_of: UsageOf) -> None:
    bedrock = span("a", gen_ai__provider__name="aws.bedrock", gen_ai__request__model="eu.amazon.nova-pro-v1:0")
    openai = span("b", gen_ai__provider__name="openai", gen_ai__request__model="gpt-5")
    assert [row["region_scope"] for row in usage_of("otel", document(bedrock, openai))] == ["geo:eu", None]


def test_input_includes_the_cache_unless_it_cannot(usage_of: UsageOf) -> None:
    read, written = "gen_ai__usage__cache_read__input_tokens", "gen_ai__usage__cache_creation__input_tokens"
    inclusive = span("a", **used(1000, 5, **{read: 600, written: 300}))
    all_cached = span("b", **used(900, 5, **{read: 600, written: 300}))
    exclusive = span("c", **used(899, 5, **{read: 600, written: 300}))
    rows = usage_of("otel", document(inclusive, all_cached, exclusive))
    assert [tokens(row) for row in rows] == [(100, 600, 300, 5), (0, 600, 300, 5), (899, 600, 300, 5)]


def test_old_names_are_known(usage_of: UsageOf) -> None:
    flat = span(
        "a",
        operation=None,
        llm__request__type="completion",
        llm__is_streaming=True,
        gen_ai__system="openai",
        gen_ai__usage__prompt_tokens=100,
        gen_ai__usage__completion_tokens=7,
        gen_ai__usage__cache_read_input_tokens=40,
        gen_ai__usage__cache_creation_input_tokens=10,
        gen_ai__usage__reasoning_tokens=3,
        gen_ai__openai__response__service_tier="flex",
        session__id="conv-2",
    )
    row = usage_of("otel", document(flat))[0]
    assert (tokens(row), row["reasoning_tokens"]) == ((50, 40, 10, 7), 3)
    assert (row["operation"], row["provider"], row["stream"]) == ("text_completion", "openai", True)
    assert (row["service_tier"], row["session_id"]) == ("flex", "conv-2")


def test_new_names_beat_old_ones(usage_of: UsageOf) -> None:
    both = span(
        gen_ai__provider__name="aws.bedrock", gen_ai__system="openai", gen_ai__usage__prompt_tokens=1, **used(2, 3)
    )
    row = usage_of("otel", document(both))[0]
    assert (row["provider"], row["input_tokens"]) == ("aws", 2)


def test_a_failed_call_used_nothing_and_a_silent_one_is_unknown(usage_of: UsageOf) -> None:
    named = span("a", error__type="429")
    unnamed = span("b", _status={"code": 2})
    spelled = span("c", _status={"code": "STATUS_CODE_ERROR"})
    silent = span("d", _status={"code": 1})
    billed = span("e", error__type="timeout", **used(7, 1))
    rows = usage_of("otel", document(named, unnamed, spelled, silent, billed))
    assert [(row["status"], row["error_code"], row["input_tokens"], row["usage_quality"]) for row in rows] == [
        ("error", "429", 0, "reported"),
        ("error", None, 0, "reported"),
        ("error", None, 0, "reported"),
        ("ok", None, None, "missing"),
        ("error", "timeout", 7, "reported"),
    ]


def test_a_response_without_an_id_has_the_span_s(usage_of: UsageOf) -> None:
    assert usage_of("otel", document(span("s7", **used(1, 1))))[0]["request_id"] == "t1/s7"


def test_a_usage_block_names_what_there_was(usage_of: UsageOf) -> None:
    row = usage_of("otel", document(span("e", "embeddings", gen_ai__usage__input_tokens=44)))[0]
    assert (tokens(row), row["reasoning_tokens"], row["tool_calls"]) == ((44, 0, 0, 0), 0, 0)


def test_tool_calls_stand_in_the_opt_in_messages(usage_of: UsageOf) -> None:
    parts = [
        {"type": "text", "content": "let me see"},
        {"type": "tool_call", "id": "1", "name": "search", "arguments": {"q": "x"}},
        {"type": "tool_call", "id": "2", "name": "book"},
    ]
    messages = [{"role": "assistant", "parts": parts, "finish_reason": "tool_call"}]
    as_text = span("a", gen_ai__output__messages=json.dumps(messages), **used(1, 1))
    as_values = span("b", gen_ai__output__messages=messages, **used(1, 1))
    assert [row["tool_calls"] for row in usage_of("otel", document(as_text, as_values))] == [2, 2]


def test_a_prompt_has_a_fingerprint_wherever_it_is_written(usage_of: UsageOf) -> None:
    prompt = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "reset my password"}]}])
    event = {
        "name": "gen_ai.client.inference.operation.details",
        "attributes": [attribute("gen_ai.input.messages", prompt), attribute("gen_ai.usage.input_tokens", 99)],
    }
    rows = usage_of(
        "otel",
        document(
            span("a", gen_ai__input__messages=prompt, **used(1, 1)),
            span("b", _events=[event], **used(1, 1)),
            span("c", gen_ai__input__messages=prompt, gen_ai__system_instructions="[1]", **used(1, 1)),
            span("d", **used(1, 1)),
        ),
    )
    a, b, c, d = (row["prompt_fingerprint"] for row in rows)
    assert a == b
    assert len({a, c, None}) == 3
    assert d is None
    assert rows[1]["input_tokens"] == 1


@pytest.mark.parametrize("marker", ["redacted-by-litellm", "default-message-value"])
def test_a_prompt_that_a_gateway_did_not_log_has_no_fingerprint(usage_of: UsageOf, marker: str) -> None:
    messages = json.dumps([{"role": "user", "content": marker}])
    assert usage_of("otel", document(span(gen_ai__input__messages=messages)))[0]["prompt_fingerprint"] is None


def test_openai_s_default_tier_is_the_standard_one(usage_of: UsageOf) -> None:
    tiers = {"openai__response__service_tier": "default"}, {"gen_ai__openai__response__service_tier": "flex"}
    rows = usage_of("otel", document(*(span(f"s{n}", **used(1, 1), **tier) for n, tier in enumerate(tiers))))
    assert [row["service_tier"] for row in rows] == ["standard", "flex"]


def test_times_are_exact_to_the_microsecond(usage_of: UsageOf) -> None:
    at = span(_startTimeUnixNano=START + 123_456_000, _endTimeUnixNano=str(START + 123_957_000), **used(1, 1))
    row = usage_of("otel", document(at))[0]
    assert row["event_time"].isoformat() == "2026-10-05T14:05:00.123456+00:00"
    assert row["latency_ms"] == 0.501


def test_a_span_that_never_ended_has_no_latency(usage_of: UsageOf) -> None:
    assert usage_of("otel", document(span(_endTimeUnixNano="0", **used(1, 1))))[0]["latency_ms"] is None


# -- agents ------------------------------------------------------------------------------------------------------------


def kept(lake: Lake) -> list[str]:
    return sorted(lake.scan(USAGE).collect().get_column("request_id").to_list())


def lake_with(lake_of: LakeOf, folder: Path, *documents: Any, **objects: Any) -> Lake:
    """The lake of one object with the documents, or of several objects by their hour and minute (``h14m05``)."""
    for name, content in ({"h14m05": documents} if documents else objects).items():
        file = folder / KEY.replace("hour=14", f"hour={name[1:3]}").replace("minute=05", f"minute={name[4:]}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(d if isinstance(d, str) else json.dumps(d) for d in content))
    return lake_of("otel", folder)


def test_an_agent_counts_where_no_call_descends_from_it(lake_of: LakeOf, counted: Counted, tmp_path: Path) -> None:
    alone = span("a1", AGENT, **used(10, 1))
    parent = span("a2", AGENT, **used(20, 2))
    steps = [span("h1", None, "a2"), span("h2", "execute_tool", "h1"), span("c1", "chat", "h2", **used(20, 2))]
    lake = lake_with(lake_of, tmp_path, document(alone, parent, *steps))
    assert kept(lake) == ["t1/a1", "t1/c1"]
    assert counted(lake) == {"usage": 2, "not_usage": 3}


def test_calls_are_found_across_documents_and_objects(lake_of: LakeOf, tmp_path: Path) -> None:
    lake = lake_with(
        lake_of,
        tmp_path,
        h14m05=[document(span("c1", "chat", "h1", **used(5, 1)))],
        h14m06=[document(span("h1", None, "a1")), document(span("a1", AGENT, **used(5, 1)))],
    )
    assert kept(lake) == ["t1/c1"]


def test_other_traces_have_other_spans(lake_of: LakeOf, tmp_path: Path) -> None:
    other = span("c1", "chat", "a1", _traceId="t2", **used(5, 1))
    assert kept(lake_with(lake_of, tmp_path, document(span("a1", AGENT, **used(5, 1)), other))) == ["t1/a1", "t2/c1"]


def test_of_agents_within_agents_the_innermost_that_tells_counts(lake_of: LakeOf, tmp_path: Path) -> None:
    outer, inner = span("a1", AGENT, **used(9, 9)), span("a2", AGENT, "a1", **used(9, 9))
    assert kept(lake_with(lake_of, tmp_path, document(outer, inner))) == ["t1/a2"]


def test_embeddings_are_no_part_of_an_agent_s_usage(lake_of: LakeOf, tmp_path: Path) -> None:
    embedding = span("e1", "embeddings", "a1", gen_ai__usage__input_tokens=44)
    lake = lake_with(lake_of, tmp_path, document(span("a1", AGENT, **used(5, 1)), embedding))
    assert kept(lake) == ["t1/a1", "t1/e1"]


def test_a_call_with_a_broken_count_leaves_its_agent(lake_of: LakeOf, counted: Counted, tmp_path: Path) -> None:
    broken = span("c1", "chat", "a1", **used(-5, 1))
    lake = lake_with(lake_of, tmp_path, document(span("a1", AGENT, **used(5, 1)), broken))
    assert (kept(lake), counted(lake)) == (["t1/a1"], {"usage": 1, "quarantined": 1})
    reason = lake.scan(QUARANTINE).collect().get_column("reason").item()
    assert reason == '$.span.attributes."gen_ai.usage.input_tokens": expected a whole number from 0 to 1e12, got -5'


def test_an_agent_that_ends_a_day_later_is_seen_within_the_grace(lake_of: LakeOf, tmp_path: Path) -> None:
    # The call is exported at 23:59 and its agent, which began earlier, after midnight.
    late, last = str(START + 35_000_000_000_000), "year=2026/month=10/day=06/hour=00/minute=01/traces_b.json"
    (tmp_path / last).parent.mkdir(parents=True)
    (tmp_path / last).write_text(json.dumps(document(span("a1", AGENT, _startTimeUnixNano=late, **used(5, 1)))))
    lake = lake_with(
        lake_of, tmp_path, h23m59=[document(span("c1", "chat", "a1", _startTimeUnixNano=late, **used(5, 1)))]
    )
    assert kept(lake) == ["t1/c1"]


def rows_of(spans: list[tuple[str, str | None, str | None]]) -> pl.LazyFrame:
    """Rows of one trace from (id, parent, operation); every span that has an operation says what it used."""
    return pl.LazyFrame(
        {
            GROUP: ["t"] * len(spans),
            "span_id": [name for name, _, _ in spans],
            "parent_span_id": [parent for _, parent, _ in spans],
            "operation": [operation for _, _, operation in spans],
            NOT_USAGE: [operation not in ("chat", AGENT) for _, _, operation in spans],
            "usage_quality": ["reported"] * len(spans),
        },
        schema_overrides={"parent_span_id": pl.String, "operation": pl.String},
    )


def counting(spans: list[tuple[str, str | None, str | None]]) -> set[str]:
    resolved = without_repeats(rows_of(spans)).collect()
    return set(resolved.filter(pl.col(RESOLVED).is_null()).get_column("span_id"))


def test_a_call_is_found_at_any_depth() -> None:
    depth = 3000
    chain = [(f"s{n}", f"s{n - 1}", None) for n in range(1, depth)]
    assert counting([("s0", None, AGENT), *chain, (f"s{depth}", f"s{depth - 1}", "chat")]) == {f"s{depth}"}


def test_cycles_of_parents_come_to_an_end() -> None:
    assert counting([("a", "a", AGENT)]) == {"a"}
    assert counting([("a", "b", AGENT), ("b", "c", None), ("c", "a", None), ("d", "c", "chat")]) == {"d"}


def test_a_span_without_an_id_repeats_nothing() -> None:
    rows = rows_of([("a", None, AGENT), ("b", None, "chat")]).with_columns(span_id=pl.lit(None, dtype=pl.String))
    assert without_repeats(rows).collect().get_column(RESOLVED).to_list() == [None, None]


OPERATIONS = st.sampled_from(["chat", AGENT, None])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_counts_is_what_a_walk_up_the_tree_says(data: st.DataObject) -> None:
    operations = data.draw(st.lists(OPERATIONS, min_size=1, max_size=12))
    parents = [data.draw(st.one_of(st.none(), st.integers(0, n - 1))) if n else None for n in range(len(operations))]
    above: set[int] = set()
    for n, operation in enumerate(operations):
        walk = parents[n] if operation is not None else None
        while walk is not None:
            above.add(walk)
            walk = parents[walk]
    expected = {f"s{n}" for n, o in enumerate(operations) if o == "chat" or (o == AGENT and n not in above)}
    spans = [(f"s{n}", None if p is None else f"s{p}", operations[n]) for n, p in enumerate(parents)]
    assert counting(spans) == expected
    assert counting(data.draw(st.permutations(spans))) == expected


# -- documents ---------------------------------------------------------------------------------------------------------


def test_one_document_may_fill_many_lines(lake_of: LakeOf, counted: Counted, tmp_path: Path) -> None:
    pretty = json.dumps(document(span("a", **used(1, 1)), span("b", **used(2, 1))), indent=2)
    lake = lake_with(lake_of, tmp_path, pretty)
    assert counted(lake) == {"usage": 2}
    assert lake.scan(USAGE).sort("raw_line").select("request_id", "raw_line").collect().rows() == [
        ("t1/a", 1),
        ("t1/b", 2),
    ]


def test_other_signals_are_no_usage_and_other_documents_are_quarantined(
    lake_of: LakeOf, counted: Counted, tmp_path: Path
) -> None:
    lines = [
        {"resourceLogs": [{}]},
        {"resourceMetrics": []},
        {"resourceSpans": []},
        {"id": "chatcmpl-1"},
        "[1]",
        "{",
        "null",
    ]
    lake = lake_with(lake_of, tmp_path, document(span(**used(1, 1))), *lines)
    assert counted(lake) == {"usage": 1, "not_usage": 2, "quarantined": 4}


def test_a_document_nested_too_deep_is_quarantined(lake_of: LakeOf, counted: Counted, tmp_path: Path) -> None:
    deep = '{"resourceSpans":' + "[" * 100_000 + "]" * 100_000 + "}"
    lake = lake_with(lake_of, tmp_path, deep, document(span(**used(1, 1))))
    assert counted(lake) == {"usage": 1, "quarantined": 1}


@pytest.mark.parametrize("odd", [None, 5, "x", [], True, {"attributes": 5}, {"attributes": [5]}, {"events": {}}])
def test_an_odd_span_costs_itself_alone(lake_of: LakeOf, counted: Counted, tmp_path: Path, odd: Any) -> None:
    lake = lake_with(lake_of, tmp_path, document(span("a", **used(1, 1)), odd, span("b", **used(2, 1))))
    assert counted(lake) == {"usage": 2, "quarantined": 1}
    assert lake.scan(QUARANTINE).collect().get_column("raw_line").item() == 2


@pytest.mark.parametrize(
    "odd",
    [5, {"scopeSpans": 5}, {"scopeSpans": [7]}, {"resource": [], "scopeSpans": []}, {"scopeSpans": [{"spans": {}}]}],
)
def test_an_odd_resource_or_scope_costs_itself_alone(
    lake_of: LakeOf, counted: Counted, tmp_path: Path, odd: Any
) -> None:
    whole = document(span("a", **used(1, 1)))
    whole["resourceSpans"].insert(0, odd)
    assert counted(lake_with(lake_of, tmp_path, whole)) == {"usage": 1, "quarantined": 1}


@pytest.mark.parametrize("value", [{"intValue": "1.5"}, {"intValue": -1}, {"stringValue": "many"}, {"boolValue": True}])
def test_a_count_that_is_none_is_quarantined(
    lake_of: LakeOf, counted: Counted, tmp_path: Path, value: dict[str, Any]
) -> None:
    odd = span()
    odd["attributes"].append({"key": "gen_ai.usage.output_tokens", "value": value})
    assert counted(lake_with(lake_of, tmp_path, document(odd))) == {"quarantined": 1}


def test_counts_may_be_numbers_or_texts_or_doubles(usage_of: UsageOf) -> None:
    rows = []
    for name, value in (("a", {"intValue": 7}), ("b", {"intValue": "7"}), ("c", {"doubleValue": 7.0}), ("d", {})):
        rows.append(span(name))
        rows[-1]["attributes"].append({"key": "gen_ai.usage.input_tokens", "value": value})
    assert [row["input_tokens"] for row in usage_of("otel", document(*rows))] == [7, 7, 7, None]
