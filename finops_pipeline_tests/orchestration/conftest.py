"""Two sources of a made-up company, over a mediation that is a fake; everything after it is real."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from fake_mediation import FakeMediation, day_of

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.mediation import strays
from finops_pipeline.orchestration import day_steps, runner


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.model_validate(
        {
            "lake": "./lake",
            "start_date": "2026-09-01",
            "sources": [
                {"name": "a", "format": "record", "uri": "./logs-a", "cost_basis": "reported"},
                {"name": "b", "format": "record", "uri": "./logs-b", "cost_basis": "reported"},
            ],
            "teams": {"search": {"cost_center": "CC-1"}},
            "reports": {"from": "finops@example.com", "recipients": ["finance@example.com"]},
            "late_days": 2,
        }
    ).located(tmp_path)


@pytest.fixture
def changed(config: Config) -> Callable[..., Config]:
    """``changed(sources=[…])``: the config after somebody has edited it."""

    def edit(**keys: object) -> Config:
        return Config.model_validate({**config.model_dump(by_alias=True), **keys}).located(config.folder)

    return edit


@pytest.fixture
def lake(config: Config) -> Lake:
    return Lake(config.resolved(config.lake))


@pytest.fixture
def mediation(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> FakeMediation:
    fake = FakeMediation(lake)
    monkeypatch.setattr(day_steps, "mediate_day", fake)
    monkeypatch.setattr(runner, "days_with_fresh_strays", fake.fresh_strays)
    monkeypatch.setattr(strays, "days_with_fresh_strays", fake.fresh_strays)
    return fake


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def ran(config: Config, mediation: FakeMediation, instance: dg.DagsterInstance) -> Callable[..., runner.RunReport]:
    """Run days ``first`` to ``last`` on 5 October 2026; ``now``, ``config`` and what a request has can be given."""

    def run(first: str | None = None, last: str | None = None, **asked: object) -> runner.RunReport:
        now = asked.pop("now", dt.datetime(2026, 10, 5, 2, tzinfo=dt.UTC))
        on_progress = asked.pop("on_progress", None)
        days = (day_of(first), day_of(last or first)) if first else None
        configured = asked.pop("config", config)
        request = runner.RunRequest(days=days, **asked)
        return runner.run(configured, request, now=now, instance=instance, on_progress=on_progress)

    return run
