"""AI Gateway's rules one by one: pages of calls, its own cache, fallbacks, and Logpush, which is refused."""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.errors import SourceError
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.day import mediate_day
from finops_pipeline.schemas import INGEST_OBJECTS, QUARANTINE, TOKEN_CLASSES, USAGE

UsageOf = Callable[..., list[dict[str, Any]]]

SAMPLES = Path(__file__).parent.parent / "raw_logs/cloudflare"
DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def call(**fields: Any) -> dict[str, Any]:
    return {
        "id": "r",
        "created_at": "2026-10-05T14:00:01Z",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "path": "chat/completions",
        "duration": 640,
        "status_code": 200,
        "success": True,
        "cached": False,
        "tokens_in": 12,
        "tokens_out": 4,
        "cost": 4.2e-06,
        "metadata": None,
        "step": 0,
    } | fields


def page(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"success": True, "errors": [], "result": list(calls), "result_info": {"page": 1, "count": len(calls)}}


def lake_of(folder: Path, objects: dict[str, bytes]) -> Lake:
    for key, body in objects.items():
        file = folder / "logs" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    return lake_from(folder, folder / "logs")


def lake_from(folder: Path, logs: Path) -> Lake:
    source = {"name": "s", "format": "cloudflare", "uri": str(logs)}
    config = Config.model_validate({"lake": str(folder / "lake"), "start_date": "2026-01-01", "sources": [source]})
    lake = Lake(folder / "lake")
    mediate_day(config, config.sources[0], DAY, lake=lake, run=str(folder), now=NOW)
    return lake


def outcomes(lake: Lake) -> dict[str, int]:
    counted = lake.scan(INGEST_OBJECTS).select("records", "usage", "duplicate", "quarantined").sum().collect()
    return counted.to_dicts()[0]


def classes(row: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(row[name] for name in TOKEN_CLASSES)


# -- columns -----------------------------------------------------------------------------------------------------------


def test_a_call(usage_of: UsageOf) -> None:
    row = usage_of("cloudflare", page(call()))[0]
    assert classes(row) == (12, 0, 0, 0, 4)
    assert (row["request_id"], row["raw_model"], row["operation"]) == ("r", "gpt-4o-mini", "chat/completions")
    assert (row["provider"], row["service"], row["status"]) == ("openai", "OpenAI API", "ok")
    assert (row["latency_ms"], row["reported_cost"]) == (640.0, Decimal("0.0000042"))
    assert (row["gateway_cache_hit"], row["batch"], row["stream"], row["error_code"]) == (False, False, None, None)
    assert row["prompt_fingerprint"] is None


def test_answers_of_the_gateway_s_cache_bill_nothing(usage_of: UsageOf) -> None:
    told, silent = usage_of(
        "cloudflare", page(call(id="a", cached=True), call(id="b", cached=True, tokens_in=None, tokens_out=None))
    )
    assert classes(told) == classes(silent) == (0, 0, 0, 0, 0)
    assert told["gateway_cache_hit"] is silent["gateway_cache_hit"] is True
    assert silent["usage_quality"] == "reported"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"success": False, "status_code": 429}, "error", "429"),
        ({"success": None, "status_code": 500}, "error", "500"),
        ({"success": True, "status_code": "503"}, "error", "503"),
        ({"success": False, "status_code": None}, "error", None),
        ({"success": None, "status_code": None}, "ok", None),
        ({"success": True, "status_code": 200}, "ok", None),
        ({"success": True, "status_code": 1e300}, "ok", None),
        ({"success": "?", "status_code": {}}, "ok", None),
    ],
)
def test_a_call_failed_where_success_or_the_status_code_says_so(
    usage_of: UsageOf, fields: dict[str, Any], status: str, code: str | None
) -> None:
    row = usage_of("cloudflare", page(call(**fields)))[0]
    assert (row["status"], row["error_code"]) == (status, code)


def test_a_fallback_is_a_call_of_its_own_beside_the_one_that_failed(usage_of: UsageOf) -> None:
    first = call(id="a", status_code=429, success=False, tokens_in=None, tokens_out=None, cost=0)
    rows = usage_of("cloudflare", page(first, call(id="b", provider="anthropic", step=1)))
    assert [(row["provider"], row["status"], row["input_tokens"]) for row in rows] == [
        ("openai", "error", 0), ("anthropic", "ok", 12),
    ]  # fmt: skip


def test_a_call_whose_tokens_nobody_counted_is_unknown(usage_of: UsageOf) -> None:
    row = usage_of("cloudflare", page(call(tokens_in=None, tokens_out=None)))[0]
    assert classes(row) == (None,) * 5
    assert row["usage_quality"] == "missing"


@pytest.mark.parametrize(
    ("slug", "provider", "service"),
    [
        ("google-ai-studio", "google", "Gemini API"),
        ("google-vertex-ai", "google", "Google Vertex AI"),
        ("aws-bedrock", "aws", "Amazon Bedrock"),
        ("azure-openai", "azure", "Azure OpenAI"),
        ("workers-ai", "cloudflare", None),
        ("perplexity-ai", "perplexity", None),
        ("grok", "x-ai", None),
        ("groq", "groq", None),
        ("something-new", "something-new", None),
    ],
)
def test_providers_have_the_catalogue_s_ids(usage_of: UsageOf, slug: str, provider: str, service: str | None) -> None:
    row = usage_of("cloudflare", page(call(provider=slug)))[0]
    assert (row["provider"], row["service"]) == (provider, service)


def test_bedrock_s_model_ids_name_their_scope(usage_of: UsageOf) -> None:
    models = ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0")
    calls = [call(id=str(n), provider="aws-bedrock", model=model) for n, model in enumerate(models)]
    assert [row["region_scope"] for row in usage_of("cloudflare", page(*calls))] == ["geo:us", "in-region"]


@pytest.mark.parametrize("write", [json.dumps, lambda metadata: metadata])
def test_metadata_names_owners_and_becomes_tags(
    usage_of: UsageOf, write: Callable[[dict[str, object]], object]
) -> None:
    metadata = {"team": "support", "user": "ana", "project": "bot", "environment": "prod", "session": "s"}
    row = usage_of("cloudflare", page(call(metadata=write(metadata))))[0]
    assert (row["team"], row["user_id"], row["project"]) == ("support", "ana", "bot")
    assert (row["environment"], row["session_id"]) == ("prod", "s")
    assert {tag["key"]: tag["value"] for tag in row["tags"]} == metadata


@pytest.mark.parametrize("metadata", ["no json", "[]", "5", '{"team": null}', '{"team": ""}', 7, [], {}])
def test_metadata_that_says_nothing_is_nothing(usage_of: UsageOf, metadata: object) -> None:
    row = usage_of("cloudflare", page(call(metadata=metadata)))[0]
    assert (row["team"], row["user_id"]) == (None, None)


# -- records -----------------------------------------------------------------------------------------------------------


def test_the_sample_s_calls_are_all_usage(tmp_path: Path) -> None:
    lake = lake_from(tmp_path, SAMPLES / "logs_api")
    assert outcomes(lake) == {"records": 4, "usage": 4, "duplicate": 0, "quarantined": 0}


def test_pages_may_overlap(tmp_path: Path) -> None:
    pages = {
        "2026-10-05-p1.json": json.dumps(page(call(id="a"), call(id="b"))).encode(),
        "2026-10-05-p2.json": json.dumps(page(call(id="b"), call(id="c")), indent=1).encode(),
    }
    assert outcomes(lake_of(tmp_path, pages)) == {"records": 4, "usage": 3, "duplicate": 1, "quarantined": 0}


@pytest.mark.parametrize(
    ("body", "usage", "quarantined"),
    [
        (json.dumps(page()), 0, 0),
        (json.dumps(page(call())), 1, 0),
        (f"{json.dumps(page(call(id='a')))}\n{json.dumps(page(call(id='b')))}\n", 2, 0),
        (f"{json.dumps(call(id='a'))}\n\n{json.dumps(call(id='b'))}", 2, 0),
        (f"{json.dumps(call(id='a'))}\n{{broken\n{json.dumps(call(id='b'))}", 2, 1),
        (f"{{broken\n{json.dumps(call())}", 1, 1),
        (json.dumps(call()), 1, 0),
        (json.dumps(page(call()), indent=1)[:-9], 0, 1),
        (json.dumps(page(call()))[:-9], 0, 1),
        ('{"success": false, "errors": [{"code": 7001}], "result": {}}', 0, 1),
        ('{"success": false, "result": null}', 0, 1),
        ('{"result": [1, "two", null, []]}', 0, 4),
        (json.dumps([call()]), 0, 1),
        ("[" * 100_000, 0, 1),
        (f"{json.dumps(call(id='a'))}\n{'[' * 100_000}\n", 1, 1),
        ("%%%", 0, 1),
        ("", 0, 0),
    ],
    ids=[
        "empty page", "page", "page a line", "call a line", "one line broken", "the first line broken", "one call",
        "page cut off", "page in one line cut off", "an error of the API", "no result", "no calls", "an array",
        "deep", "a deep line", "garbage", "nothing",
    ],
)  # fmt: skip
def test_every_record_of_a_page_is_accounted_for(tmp_path: Path, body: str, usage: int, quarantined: int) -> None:
    counted = outcomes(lake_of(tmp_path, {"2026-10-05.json": body.encode()}))
    assert (counted["usage"], counted["quarantined"]) == (usage, quarantined)
    assert counted["records"] == usage + quarantined


def test_what_is_wrong_is_quarantined_with_its_path(tmp_path: Path) -> None:
    wrong = [call(tokens_in=-1), call(tokens_out="many"), call(cost="free"), call(created_at="today")]
    lake = lake_of(tmp_path, {"2026-10-05.json": json.dumps(page(*wrong)).encode()})
    reasons = lake.scan(QUARANTINE).sort("raw_line").collect()["reason"].to_list()
    assert [reason.partition(":")[0] for reason in reasons] == [
        "$.tokens_in", "$.tokens_out", "$.cost", "$.created_at",
    ]  # fmt: skip


# -- Logpush -----------------------------------------------------------------------------------------------------------


def test_logpush_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as refused:
        lake_from(tmp_path, SAMPLES / "logpush")
    said = str(refused.value)
    assert said.startswith("source s, 20261005/20261005T140000Z_20261005T140500Z_a3cfe972.log.gz: ")
    assert "no token counts, and their bodies are encrypted" in said
    assert "Logs API" in said
    assert not list((tmp_path / "lake").rglob("usage/**/*.parquet"))


@pytest.mark.parametrize("name", ["2026-10-05.log", "2026-10-05.json", "2026-10-05.jsonl"])
@pytest.mark.parametrize("lines", [1, 2])
def test_logpush_is_known_by_its_records_not_by_its_name(tmp_path: Path, name: str, lines: int) -> None:
    record = {"Gateway": "g", "Model": "m", "Provider": "openai", "Cached": False, "StatusCode": 200}
    with pytest.raises(SourceError, match="Logpush"):
        lake_of(tmp_path, {name: "\n".join([json.dumps(record)] * lines).encode()})


def test_nothing_that_a_caller_attaches_refuses_the_source(tmp_path: Path) -> None:
    metadata = json.dumps({"Gateway": "g", "Model": "m"})
    lake = lake_of(tmp_path, {"2026-10-05.json": json.dumps(page(call(metadata=metadata))).encode()})
    assert lake.scan(USAGE).collect().height == 1
