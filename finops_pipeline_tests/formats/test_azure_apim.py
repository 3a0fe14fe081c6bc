"""API Management's log of its LLM gateway: many rows a call, keys in any case of letters, logs of the wrong kind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.errors import SourceError
from finops_pipeline.formats.azure_apim import AZURE_APIM, calls
from finops_pipeline.formats.format import GROUP, NOT_USAGE, RESOLVED
from finops_pipeline.lake import Lake
from finops_pipeline.schemas import INGEST_OBJECTS, USAGE

UsageOf = Callable[..., list[dict[str, Any]]]
LakeOf = Callable[..., Lake]
Counted = Callable[[Lake], dict[str, int]]

SAMPLES = Path(__file__).parent.parent / "raw_logs" / "azure"
SUBSCRIPTION = "00000000-0000-0000-0000-0000000000AB"
RESOURCE = f"/SUBSCRIPTIONS/{SUBSCRIPTION}/RESOURCEGROUPS/RG1/PROVIDERS/MICROSOFT.APIMANAGEMENT/SERVICE/APIM1"


def row(sequence: int | None = 0, prompt: int | None = 0, completion: int | None = 0, **more: Any) -> dict[str, Any]:
    """A row; ``more`` are members of the row, and those of its properties where they begin with ``_``."""
    properties = {
        "sequenceNumber": sequence,
        "isStreamCompletion": False,
        "modelName": "gpt-4o-2024-08-06",
        "deploymentName": "gpt4o-prod",
        "promptTokens": prompt,
        "completionTokens": completion,
    }
    record = {
        "time": "2026-10-05T14:03:02Z",
        "category": "GatewayLlmLogs",
        "correlationId": "c1",
        "resourceId": RESOURCE,
        "properties": properties | {k[1:]: v for k, v in more.items() if k.startswith("_")},
    }
    return record | {k: v for k, v in more.items() if not k.startswith("_")}


def written(folder: Path, *rows: Any, day: int = 5, hour: int = 14, container: str = "") -> Path:
    """The folder, with the hour's blob of one API Management."""
    place = folder / container / f"resourceId={RESOURCE}" / f"y=2026/m=10/d={day:02}/h={hour:02}/m=00"
    place.mkdir(parents=True, exist_ok=True)
    (place / "PT1H.json").write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return folder


def only(lake: Lake) -> dict[str, Any]:
    (usage,) = lake.scan(USAGE).collect().to_dicts()
    return usage


def test_the_sample_s_chunk_is_no_usage(lake_of: LakeOf, counted: Counted) -> None:
    assert counted(lake_of("azure_apim", SAMPLES / "insights-logs-gatewayllmlogs")) == {"usage": 2, "not_usage": 1}


def test_a_row_says_who_called_what(usage_of: UsageOf) -> None:
    told = usage_of("azure_apim", row(0, 310, 42))[0]
    assert [told[name] for name in ("request_id", "provider", "service", "account", "raw_model")] == [
        "c1", "azure", "Azure OpenAI", SUBSCRIPTION.lower(), "gpt-4o-2024-08-06",
    ]  # fmt: skip
    assert (told["input_tokens"], told["output_tokens"], told["cache_read_tokens"]) == (310, 42, 0)
    assert (told["stream"], told["batch"], told["status"]) == (False, False, "ok")


def test_a_row_without_a_model_has_its_deployment(usage_of: UsageOf) -> None:
    assert usage_of("azure_apim", row(_modelName=""))[0]["raw_model"] == "gpt4o-prod"


def test_rows_without_counts_are_unknown(usage_of: UsageOf) -> None:
    told = usage_of("azure_apim", row(0, None, None), row(1, None, None))[0]
    assert (told["input_tokens"], told["usage_quality"]) == (None, "missing")


@pytest.mark.parametrize("spelling", [str, str.lower, str.upper, str.title])
@pytest.mark.parametrize("inner", [lambda p: p, json.dumps])
def test_keys_in_any_case_within_json_or_its_text(usage_of: UsageOf, spelling: Any, inner: Any) -> None:
    plain = row(0, 7, 3, _isStreamCompletion=True)
    plain["properties"] = inner({spelling(key): value for key, value in plain["properties"].items()})
    told = usage_of("azure_apim", {spelling(key): value for key, value in plain.items()})[0]
    assert [told[name] for name in ("request_id", "input_tokens", "output_tokens", "stream", "raw_model")] == [
        "c1", 7, 3, True, "gpt-4o-2024-08-06",
    ]  # fmt: skip


def test_a_workspace_s_export_has_no_properties(usage_of: UsageOf) -> None:
    flat = {
        "TimeGenerated": "2026-10-05T14:03:02.5Z", "CorrelationId": "c9", "PromptTokens": 7, "CompletionTokens": 3,
        "ModelName": "gpt-5", "IsStreamCompletion": True, "SequenceNumber": 0, "Type": "ApiManagementGatewayLlmLog",
    }  # fmt: skip
    told = usage_of("azure_apim", flat)[0]
    assert (told["request_id"], told["input_tokens"], told["event_time"].microsecond) == ("c9", 7, 500_000)


# -- many rows a call --------------------------------------------------------------------------------------------------


def test_rows_of_a_call_are_summed_at_its_earliest_time(lake_of: LakeOf, counted: Counted, tmp_path: Path) -> None:
    nameless = {"_modelName": None, "_deploymentName": None, "_isStreamCompletion": None}
    rows = [
        row(2, 0, 40, time="2026-10-05T14:03:04Z", _isStreamCompletion=True),
        row(0, 300, 0, time="2026-10-05T14:03:02Z", **nameless),
        row(1, 10, None, time="2026-10-05T14:03:03Z", **nameless),
    ]
    lake = lake_of("azure_apim", written(tmp_path, *rows))
    assert counted(lake) == {"usage": 1, "not_usage": 2}
    told = only(lake)
    assert (told["input_tokens"], told["output_tokens"], told["event_time"].second) == (310, 40, 2)
    assert (told["raw_model"], told["stream"], told["raw_line"]) == ("gpt-4o-2024-08-06", True, 2)


def test_a_first_row_without_counts_has_those_of_the_others(lake_of: LakeOf, tmp_path: Path) -> None:
    told = only(lake_of("azure_apim", written(tmp_path, row(0, None, None), row(1, 9, 4))))
    assert (told["input_tokens"], told["output_tokens"], told["usage_quality"]) == (9, 4, "reported")
    assert (told["cache_read_tokens"], told["tool_calls"]) == (0, 0)


def test_a_row_that_is_delivered_twice_is_summed_once(lake_of: LakeOf, counted: Counted, tmp_path: Path) -> None:
    rows = [row(0, 310, 42), row(1, 5, 0), row(0, 310, 42), row(1, 5, 0)]
    lake = lake_of("azure_apim", written(tmp_path, *rows))
    assert counted(lake) == {"usage": 1, "duplicate": 1, "not_usage": 2}
    assert (only(lake)["input_tokens"], only(lake)["output_tokens"]) == (315, 42)


def test_a_call_over_midnight_belongs_to_the_day_it_began(lake_of: LakeOf, counted: Counted, tmp_path: Path) -> None:
    written(tmp_path, row(0, 300, 1, time="2026-10-05T23:59:59Z"), hour=23)
    written(tmp_path, row(1, 10, 2, time="2026-10-06T00:00:01Z"), day=6, hour=0)
    lake = lake_of("azure_apim", tmp_path)
    assert (only(lake)["input_tokens"], only(lake)["output_tokens"]) == (310, 3)
    assert counted(lake) == {"usage": 1, "another_day": 1}
    after = lake_of("azure_apim", tmp_path, day=only(lake)["event_time"].date().replace(day=6))
    assert after.scan(USAGE).collect().height == 0
    assert counted(after) == {"not_usage": 1, "another_day": 1}


def test_only_a_whole_prompt_has_hashes(usage_of: UsageOf) -> None:
    rows = usage_of(
        "azure_apim",
        row(0, 1, 1, correlationId="whole", _requestMessages='["a text"]'),
        row(0, 1, 1, correlationId="split", _requestMessages='["a te'),
        row(1, 0, 0, correlationId="split", _requestMessages='xt"]'),
        row(0, 1, 1, correlationId="header"),
        row(1, 0, 0, correlationId="header", _requestMessages='["a text"]'),
        prefix_block_chars=2,
    )
    hashes = {told["request_id"]: (told["prompt_fingerprint"], told["prefix_block_hashes"]) for told in rows}
    assert hashes["whole"] == hashes["header"]
    assert None not in hashes["whole"]
    assert len(hashes["whole"][1]) == 3
    assert hashes["split"] == (None, None)


def test_rows_without_a_correlation_are_calls_of_their_own(usage_of: UsageOf) -> None:
    rows = usage_of("azure_apim", row(correlationId=None, prompt=1), row(correlationId=None, prompt=2))
    assert [told["input_tokens"] for told in rows] == [1, 2]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 50)), min_size=1, max_size=12), st.randoms()
)
def test_every_token_counts_once_in_any_order(rows: list[tuple[int, int, int]], random: Any) -> None:
    def resolved(listed: list[tuple[int, int, int]]) -> dict[str, int]:
        frame = pl.DataFrame(
            {
                "request_id": [f"c{call}" for call, _, _ in listed],
                "sequence": [str(sequence) for _, sequence, _ in listed],
                "input_tokens": [tokens for _, _, tokens in listed],
                "raw_line": range(len(listed)),
            }
        )
        lacking = {name: dtype for name, dtype in USAGE.schema.items() if name not in frame.columns}
        frame = frame.with_columns(
            *(pl.lit(None, dtype=dtype).alias(name) for name, dtype in lacking.items()),
            pl.col("request_id").alias(GROUP),
            pl.lit(False).alias(NOT_USAGE),
        ).with_columns(pl.lit("reported").alias("usage_quality"))
        done = calls(frame.lazy()).collect()
        assert done.height == frame.height
        kept = done.filter(pl.col(RESOLVED).is_null())
        return dict(kept.select("request_id", "input_tokens").rows())

    expected: dict[str, int] = {}
    for call, _, tokens in set(rows):
        expected[f"c{call}"] = expected.get(f"c{call}", 0) + tokens
    assert resolved(rows) == expected
    random.shuffle(rows)
    assert resolved(rows) == expected


# -- logs of the wrong kind --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["RequestResponse", "Audit", "Trace", "AzureOpenAIRequestUsage", "GatewayLogs"])
def test_logs_without_tokens_are_refused_with_the_way_out(usage_of: UsageOf, category: str) -> None:
    with pytest.raises(SourceError, match=r"no token counts.*insights-logs-gatewayllmlogs"):
        usage_of("azure_apim", row(category=category))


def test_the_sample_of_the_wrong_log_is_refused(lake_of: LakeOf) -> None:
    with pytest.raises(SourceError, match="no token counts"):
        lake_of("azure_apim", SAMPLES / "insights-logs-requestresponse")


def test_a_uri_above_all_containers_finds_the_right_one(lake_of: LakeOf, counted: Counted) -> None:
    lake = lake_of("azure_apim", SAMPLES)
    assert counted(lake) == {"usage": 2, "not_usage": 1}
    assert {key.split("/")[0] for key in lake.scan(INGEST_OBJECTS).collect().get_column("key")} == {
        "insights-logs-gatewayllmlogs"
    }


def test_a_uri_above_the_wrong_containers_alone_is_refused(lake_of: LakeOf, tmp_path: Path) -> None:
    written(tmp_path, row(category="Audit"), container="insights-logs-audit")
    with pytest.raises(SourceError, match="no token counts"):
        lake_of("azure_apim", tmp_path)


def test_what_is_no_usage_says_nothing_of_a_call(lake_of: LakeOf, tmp_path: Path) -> None:
    other = row(0, 5, 5, category="WebSocketConnectionLogs", time="2026-10-05T14:00:00Z", _modelName="other")
    told = only(
        lake_of("azure_apim", written(tmp_path, other, row(0, None, None, _modelName=None, _deploymentName=None)))
    )
    assert (told["input_tokens"], told["usage_quality"], told["raw_model"]) == (None, "missing", None)


def test_other_categories_are_no_usage(lake_of: LakeOf, counted: Counted, tmp_path: Path) -> None:
    lake = lake_of("azure_apim", written(tmp_path, row(0, 1, 1), row(category="WebSocketConnectionLogs", prompt=5)))
    assert counted(lake) == {"usage": 1, "not_usage": 1}
    assert only(lake)["input_tokens"] == 1


# -- odd lines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["{", "[1]", "5", "null", '"x"', '{"time":', "[" * 100_000])
def test_what_is_no_record_is_quarantined(lake_of: LakeOf, counted: Counted, tmp_path: Path, line: str) -> None:
    lake = lake_of("azure_apim", written(tmp_path, row(0, 1, 1), line, row(0, 2, 2, correlationId="c2")))
    assert counted(lake) == {"usage": 2, "quarantined": 1}


@pytest.mark.parametrize("odd", [None, 5, "x", "[]", [], {}, True, '{"promptTokens": 1'])
def test_odd_properties_lose_no_record(usage_of: UsageOf, odd: Any) -> None:
    told = usage_of("azure_apim", row(properties=odd))[0]
    assert (told["request_id"], told["usage_quality"]) == ("c1", "missing")


@pytest.mark.parametrize("value", [-1, 1.5, "many", True, [1], 10**30])
def test_a_count_that_is_none_is_quarantined(lake_of: LakeOf, counted: Counted, tmp_path: Path, value: Any) -> None:
    assert counted(lake_of("azure_apim", written(tmp_path, row(0, value, 1)))) == {"quarantined": 1}


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.integers(), st.text(max_size=5)), max_size=4))
def test_a_line_gives_one_record(record: dict[str, Any]) -> None:
    assert AZURE_APIM.documents is not None
    (line,) = AZURE_APIM.documents.records(json.dumps(record).encode())
    assert isinstance(json.loads(line), dict)
