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
    "litellm": "2026-10-05/batch_14-00-00_0.jsonl",
    "record": "2026-10-05.jsonl",
}
DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)


def config_of(format: str, folder: Path) -> Config:
    return Config.model_validate(
        {
            "lake": str(folder / "lake"),
            "start_date": "2026-01-01",
            "sources": [{"name": "s", "format": format, "uri": str(folder / "logs")}],
        }
    )


@pytest.fixture
def usage_of(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """``usage_of("bedrock", record, …)``: the rows in the order of the records; a defect raises with its reason."""

    def rows(format: str, *records: dict[str, Any]) -> list[dict[str, Any]]:
        file = tmp_path / "logs" / KEYS[format]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(json.dumps(record) for record in records))
        config = config_of(format, tmp_path)
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
