"""Records of one format to their ``usage`` rows, by the same way that a day takes."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.day import mediate_day
from finops_pipeline.schemas import QUARANTINE, USAGE

KEYS = {
    "bedrock": "AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/10/05/14/a.json",
    "litellm": "2026-10-05/batch_14-00-00_0.jsonl",
    "record": "2026-10-05.jsonl",
}
DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)


@pytest.fixture
def usage_of(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """``usage_of("bedrock", record, …)``: the rows in the order of the records; a defect raises with its reason."""

    def rows(format: str, *records: dict[str, Any]) -> list[dict[str, Any]]:
        file = tmp_path / "logs" / KEYS[format]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(json.dumps(record) for record in records))
        config = Config.model_validate(
            {
                "lake": str(tmp_path / "lake"),
                "start_date": "2026-01-01",
                "sources": [{"name": "s", "format": format, "uri": str(tmp_path / "logs")}],
            }
        )
        lake = Lake(tmp_path / "lake")
        mediate_day(config, config.sources[0], DAY, lake=lake, run=str(tmp_path), now=NOW, force=True)
        broken = lake.scan(QUARANTINE).collect().get_column("reason").to_list()
        assert not broken, broken
        return lake.scan(USAGE).sort("raw_line").collect().to_dicts()

    return rows
