"""Which days and months a run covers: pure arithmetic on UTC days, without Dagster, the clock or the lake."""

import datetime as dt
from collections.abc import Iterable, Iterator

from finops_pipeline.config.model import Config

ONE_DAY = dt.timedelta(days=1)

MONTH_LENGTH = len("2026-10")
"""Characters of a month's partition key; a day's has more."""

SPANS_IN_WORDS = 3
"""Stretches of days that are named one by one."""


def days_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """Every day from ``first`` to ``last``, both included; none where ``last`` is earlier."""
    return [first + n * ONE_DAY for n in range((last - first).days + 1)]


def stretches(days: Iterable[dt.date]) -> Iterator[tuple[dt.date, dt.date]]:
    """``days`` as ranges of consecutive days, (first, last) both included, in order of time."""
    first = last = None
    for day in sorted(set(days)):
        if first is None or last is None:
            first = last = day
        elif day == last + ONE_DAY:
            last = day
        else:
            yield first, last
            first = last = day
    if first is not None and last is not None:
        yield first, last


def when(partitions: Iterable[str]) -> str:
    """Partition keys in words: days in a row as ``2026-10-01 to 2026-10-03``, many stretches as a number of days."""
    keys = sorted(set(partitions))
    if any(len(key) == MONTH_LENGTH for key in keys):
        return ", ".join(keys)
    spans = [
        str(first) if first == last else f"{first} to {last}"
        for first, last in stretches(dt.date.fromisoformat(key) for key in keys)
    ]
    return ", ".join(spans) if len(spans) <= SPANS_IN_WORDS else f"{len(keys)} days from {keys[0]} to {keys[-1]}"


def nightly_window(config: Config, today: dt.date) -> tuple[dt.date, dt.date] | None:
    """The days of a nightly run: yesterday and the ``late_days`` before it, never before ``start_date``.

    None where ``today`` is the first day, or earlier: there is nothing to run yet.
    """
    last = today - ONE_DAY
    first = max(last - config.late_days * ONE_DAY, config.start_date)
    return (first, last) if first <= last else None


def previous_month(config: Config, today: dt.date) -> str | None:
    """The month before that of ``today``, as ``2026-10``; None where it ended before ``start_date``."""
    last = today.replace(day=1) - ONE_DAY
    return month_of(last) if last >= config.start_date else None


def closed_month(config: Config, today: dt.date) -> str | None:
    """The previous month once ``close_day`` has come, else None."""
    return previous_month(config, today) if today.day >= config.schedule.close_day else None


def month_of(day: dt.date) -> str:
    """The month of ``day``, as ``2026-10``."""
    return f"{day:%Y-%m}"
