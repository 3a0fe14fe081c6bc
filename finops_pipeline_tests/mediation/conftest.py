"""Mediation of one day into the test's lake."""

import datetime as dt
from collections.abc import Callable

import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.day import DayResult, mediate_day

NOW = dt.datetime(2026, 11, 2, 2, 0, tzinfo=dt.UTC)


@pytest.fixture
def mediate(lake: Lake) -> Callable[..., DayResult]:
    """``mediate(config, day, now=…, force=…)``: the first source's day; each call is a run of its own."""
    runs = iter(range(1000))

    def run(
        config: Config, day: dt.date = dt.date(2026, 10, 5), *, now: dt.datetime = NOW, force: bool = False
    ) -> DayResult:
        return mediate_day(
            config, config.sources[0], day, lake=lake, run=f"run-{id(lake)}-{next(runs)}", now=now, force=force
        )

    return run
