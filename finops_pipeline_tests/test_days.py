"""UTC days and months."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.days import days_between, days_of, is_over, month_of, stretches, when

DAYS = st.dates(dt.date(2024, 1, 1), dt.date(2024, 3, 31))


@given(st.sets(DAYS))
def test_stretches_cover_the_days_and_nothing_else(days: set[dt.date]) -> None:
    found = list(stretches(days))
    covered = [day for first, last in found for day in days_between(first, last)]
    assert covered == sorted(days)
    gaps = [later[0] - earlier[1] for earlier, later in itertools.pairwise(found)]
    assert all(gap > dt.timedelta(days=1) for gap in gaps), "neighbours belong to one stretch"


def test_days_between_is_inclusive_and_empty_when_reversed() -> None:
    first, last = dt.date(2026, 2, 27), dt.date(2026, 3, 1)
    assert days_between(first, last) == [first, dt.date(2026, 2, 28), last]
    assert days_between(last, first) == []


@pytest.mark.parametrize(
    ("partitions", "words"),
    [
        (["2026-10-01"], "2026-10-01"),
        (["2026-10-03", "2026-10-01", "2026-10-02"], "2026-10-01 to 2026-10-03"),
        (["2026-10-31", "2026-11-01", "2026-11-05"], "2026-10-31 to 2026-11-01, 2026-11-05"),
        (["2026-10-01", "2026-10-03", "2026-10-05", "2026-10-07"], "4 days from 2026-10-01 to 2026-10-07"),
        (["2026-10"], "2026-10"),
    ],
)
def test_partitions_in_words(partitions: list[str], words: str) -> None:
    assert when(partitions) == words


@pytest.mark.parametrize(("month", "days"), [("2026-02", 28), ("2028-02", 29), ("2026-12", 31)])
def test_days_of_a_month(month: str, days: int) -> None:
    first, *_, last = days_of(month)
    assert (first.day, last.day, len(days_of(month))) == (1, days, days)
    assert {month_of(day) for day in days_of(month)} == {month}


@pytest.mark.parametrize("month", ["2026", "2026-13", "October", "2026-10-01"])
def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(ValueError, match=r"match|unconverted"):
        days_of(month)


def test_a_day_is_over_with_its_last_microsecond_in_utc() -> None:
    day, end = dt.date(2026, 10, 31), dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    assert not is_over(day, end - dt.timedelta(microseconds=1))
    assert is_over(day, end)
    east = dt.timezone(dt.timedelta(hours=13))
    assert not is_over(day, dt.datetime(2026, 11, 1, 12, 59, tzinfo=east)), "it is 23:59 in UTC"
