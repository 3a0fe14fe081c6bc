"""Which partitions there are by today's date: what is over, and in the beginning what goes on."""

import datetime as dt

import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.orchestration import partitions


@pytest.fixture(autouse=True)
def on_23_november(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_today", lambda: dt.date(2026, 11, 23))


NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


def since(start: str) -> Config:
    source = {"name": "a", "format": "record", "uri": "./logs"}
    return Config.model_validate({"lake": "./lake", "start_date": start, "sources": [source]})


@pytest.mark.parametrize(
    ("start", "days"),
    [
        ("2026-11-21", ["2026-11-21", "2026-11-22"]),
        ("2026-11-22", ["2026-11-22"]),
        ("2026-11-23", ["2026-11-23"]),
    ],
)
def test_days_that_are_over_and_the_very_first(start: str, days: list[str]) -> None:
    assert partitions.daily(since(start)).get_partition_keys(current_time=NOW) == days


@pytest.mark.parametrize(
    ("start", "months"),
    [("2026-09-30", ["2026-09", "2026-10"]), ("2026-10-31", ["2026-10"]), ("2026-11-01", ["2026-11"])],
)
def test_months_that_are_over_and_the_very_first(start: str, months: list[str]) -> None:
    assert partitions.monthly(since(start)).get_partition_keys(current_time=NOW) == months
