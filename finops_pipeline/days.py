"""UTC days and calendar months: which days lie in them, and how they are named. Pure arithmetic without the clock.

Which days a run covers is in ``orchestration.periods``.
"""

import calendar
import datetime as dt
from collections.abc import Iterable, Iterator

ONE_DAY = dt.timedelta(days=1)

MONTH_LENGTH = len("2026-10")
"""Characters of a month's partition key; a day's has more."""

SPANS_IN_WORDS = 3
"""Stretches of days that are named one by one."""


def days_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """Every day from ``first`` to ``last``, both included; none where ``last`` is earlier."""
    return [first + n * ONE_DAY for n in range((last - first).days + 1)]


def days_of(month: str) -> tuple[dt.date, ...]:
    """The days of a month such as ``2026-10``.

    Raises:
        ValueError: ``month`` is not of that shape.
    """
    first = dt.datetime.strptime(month, "%Y-%m").replace(tzinfo=dt.UTC).date()
    return tuple(first.replace(day=n + 1) for n in range(calendar.monthrange(first.year, first.month)[1]))


def month_of(day: dt.date) -> str:
    """The month of ``day``, as ``2026-10``."""
    return f"{day:%Y-%m}"


def is_over(day: dt.date, now: dt.datetime) -> bool:
    """Whether the UTC day has ended at ``now``."""
    return day < now.astimezone(dt.UTC).date()


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
