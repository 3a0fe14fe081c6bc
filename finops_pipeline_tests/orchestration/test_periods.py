"""Which days and months a run covers."""

import datetime as dt

import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.orchestration.periods import closed_month, nightly_window, previous_month


def starting(start: str, **rest: object) -> Config:
    source = {"name": "a", "format": "record", "uri": "./logs"}
    return Config.model_validate({"lake": "./lake", "start_date": start, "sources": [source], **rest})


@pytest.mark.parametrize(
    ("today", "window"),
    [
        ("2026-03-01", ("2026-02-25", "2026-02-28")),  # the last night of February
        ("2028-03-01", ("2028-02-26", "2028-02-29")),  # of a leap year
        ("2027-01-01", ("2026-12-28", "2026-12-31")),
        ("2026-01-04", ("2026-01-01", "2026-01-03")),  # not before the start
        ("2026-01-02", ("2026-01-01", "2026-01-01")),
        ("2026-01-01", None),  # the first day is not over
        ("2025-12-24", None),
    ],
)
def test_a_night_covers_yesterday_and_the_late_days_before_it(today: str, window: tuple[str, str] | None) -> None:
    config = starting("2026-01-01", late_days=3)
    expected = tuple(map(dt.date.fromisoformat, window)) if window else None
    assert nightly_window(config, dt.date.fromisoformat(today)) == expected


def test_without_late_days_a_night_is_yesterday_alone() -> None:
    yesterday = dt.date(2026, 5, 4)
    assert nightly_window(starting("2026-01-01", late_days=0), dt.date(2026, 5, 5)) == (yesterday, yesterday)


@pytest.mark.parametrize(
    ("today", "month"),
    [("2026-11-01", "2026-10"), ("2027-01-31", "2026-12"), ("2026-10-16", None), ("2026-10-31", None)],
)
def test_the_month_before_is_none_where_it_ended_before_the_start(today: str, month: str | None) -> None:
    assert previous_month(starting("2026-10-15"), dt.date.fromisoformat(today)) == month


def test_a_month_closes_on_close_day() -> None:
    config = starting("2026-01-01", schedule={"close_day": 3})
    assert closed_month(config, dt.date(2026, 11, 2)) is None
    assert closed_month(config, dt.date(2026, 11, 3)) == "2026-10"
    assert closed_month(config, dt.date(2026, 11, 30)) == "2026-10"
