"""Records of one format to their ``usage`` rows, by the same way that a day takes."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.day import mediate_day
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES, QUARANTINE, USAGE

KEYS = {
    "bedrock": "AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/10/05/14/a.json",
    "bedrock_batch": "job1/input.jsonl.out",
    "litellm": "2026-10-05/batch_14-00-00_0.jsonl",
    "otel": "year=2026/month=10/day=05/hour=14/minute=05/traces_a.json",
    "openai": "dt=2026-10-05/part-0.jsonl",
    "openai_batch": "batch_1/output.jsonl",
    "openai_usage": "2026-10-05.json",
    "anthropic": "dt=2026-10-05/part-0.jsonl",
    "anthropic_batch": "msgbatch_1/results.jsonl",
    "anthropic_usage": "2026-10-05.json",
    "vertex": "dt=2026-10-05/export-0.json",
    "vertex_batch": "prediction-model-2026-10-05T14:10:00.000000Z/predictions.jsonl",
    "azure_apim": "resourceId=/SUBSCRIPTIONS/0/y=2026/m=10/d=05/h=14/m=00/PT1H.json",
    "langfuse": "p1/observations_v2/2026-10-05T15-00-00.jsonl",
    "cloudflare": "2026-10-05-p1.json",
}
"""Where the records of formats lie that have a layout, or documents."""

ANY_KEY = "2026-10-05.jsonl"
JOB_TIME = "2026-10-05T14:00:00Z"
"""Of the formats whose records have no time of their own."""

DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)


def config_of(format: str, folder: Path, **settings: Any) -> Config:
    source = {"name": "s", "format": format, "uri": str(folder / "logs"), "job_time": JOB_TIME, **settings}
    return Config.model_validate({"lake": str(folder / "lake"), "start_date": "2026-01-01", "sources": [source]})


@pytest.fixture
def usage_of(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """``usage_of("bedrock", record, …)``: the rows in the order of the records; a defect raises with its reason.

    Keywords are settings of the source. A record that is no dict stands in the file as its text.
    """

    def rows(format: str, *records: Any, **settings: Any) -> list[dict[str, Any]]:
        file = tmp_path / "logs" / KEYS.get(format, ANY_KEY)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records))
        config = config_of(format, tmp_path, **settings)
        lake = Lake(tmp_path / "lake")
        mediate_day(config, config.sources[0], DAY, lake=lake, run=str(tmp_path), now=NOW, force=True)
        broken = lake.scan(QUARANTINE).collect().get_column("reason").to_list()
        assert not broken, broken
        return lake.scan(USAGE).sort("raw_line").collect().to_dicts()

    return rows


@pytest.fixture
def outcomes_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, int]]:
    """``outcomes_of("litellm", {key: records})``: what became of the records of those objects, without zeros."""

    def outcomes(format: str, objects: dict[str, list[dict[str, Any]]]) -> dict[str, int]:
        folder = tmp_path_factory.mktemp("source")
        for key, records in objects.items():
            (folder / "logs" / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / "logs" / key).write_text("\n".join(json.dumps(record) for record in records))
        lake = Lake(folder / "lake")
        config = config_of(format, folder)
        mediate_day(config, config.sources[0], DAY, lake=lake, run=str(folder), now=NOW)
        counts = lake.scan(INGEST_OBJECTS).select(pl.col(OUTCOMES).sum()).collect().row(0, named=True)
        return {name: count for name, count in counts.items() if count}

    return outcomes


@pytest.fixture
def lake_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Lake]:
    """``lake_of("otel", folder)``: the lake after one day's run over the logs in a folder, which is left as it is.

    Keywords are settings of the source.
    """

    def lake(format: str, logs: Path, day: dt.date = DAY, **settings: Any) -> Lake:
        folder = tmp_path_factory.mktemp("lake")
        made, config = Lake(folder / "lake"), config_of(format, folder, uri=str(logs), **settings)
        mediate_day(config, config.sources[0], day, lake=made, run=str(folder), now=NOW)
        return made

    return lake


@pytest.fixture
def counted() -> Callable[[Lake], dict[str, int]]:
    """``counted(lake)``: what became of all records, without zeros."""

    def counts(lake: Lake) -> dict[str, int]:
        found = lake.scan(INGEST_OBJECTS).select(pl.col(OUTCOMES).sum()).collect().row(0, named=True)
        return {name: count for name, count in found.items() if count}

    return counts
