"""The recipe of ``docs/new-format.md`` works: its module, registered by its line, makes its rows of its sample."""

import datetime as dt
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from finops_pipeline.config import model
from finops_pipeline.config.model import Config
from finops_pipeline.formats import names
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.day import mediate_day
from finops_pipeline.schemas import INGEST_OBJECTS, QUARANTINE, USAGE

RECIPE = Path(__file__).parents[2] / "docs/new-format.md"
MODULE = f"{names._HERE}.ollama"
DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", RECIPE.read_text(), re.DOTALL)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The recipe's module is in the package, and its line in the registry."""
    module, line = blocks("python")
    file = tmp_path / "ollama.py"
    file.write_text(module)
    spec = importlib.util.spec_from_file_location(MODULE, file)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    monkeypatch.setitem(sys.modules, MODULE, loaded)
    name, value = line.strip().rstrip(",").split(": ", 1)
    declared = value.replace("{_HERE}", names._HERE).removeprefix("f").strip('"')
    monkeypatch.setitem(names.FORMATS, name.strip('"'), declared)
    monkeypatch.setattr(model, "FORMAT_NAMES", (*names.FORMAT_NAMES, name.strip('"')))


@pytest.mark.usefixtures("registered")
def test_the_recipe_s_sample_becomes_its_rows(tmp_path: Path) -> None:
    sample, expected = blocks("json")
    file = tmp_path / "logs/dt=2026-10-05/part-0.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text(sample)
    source = {"name": "local", "format": "ollama", "uri": str(tmp_path / "logs")}
    config = Config.model_validate({"lake": str(tmp_path / "lake"), "start_date": "2026-01-01", "sources": [source]})
    lake = Lake(tmp_path / "lake")
    mediate_day(config, config.sources[0], DAY, lake=lake, run="recipe", now=NOW)

    want = json.loads(expected)
    row = lake.scan(USAGE).collect().to_dicts()[0]
    want["event_time"] = dt.datetime.fromisoformat(want["event_time"])
    assert {column: row[column] for column in want} == want
    counted = lake.scan(INGEST_OBJECTS).select("records", "usage", "not_usage", "quarantined").collect().to_dicts()
    assert counted == [{"records": 3, "usage": 1, "not_usage": 1, "quarantined": 1}]
    assert lake.scan(QUARANTINE).collect()["reason"].item().startswith("$.prompt_eval_count: expected a whole number")


def test_the_recipe_speaks_of_what_there_is() -> None:
    text = RECIPE.read_text()
    for seen in re.findall(r"see `(\w+)`(?:, `(\w+)`)?", text):
        assert {name for name in seen if name} <= set(names.FORMAT_NAMES)
    root = RECIPE.parents[1]
    mentioned = {*re.findall(r"`(finops_pipeline[\w/.]*\.py)`", text)} - {"finops_pipeline/formats/ollama.py"}
    assert mentioned
    assert all((root / file).is_file() for file in mentioned)
