"""Which days and months a run covers by default: pure, without Dagster, the clock or the lake."""

import datetime as dt

from finops_pipeline.config.model import Config
from finops_pipeline.days import ONE_DAY, month_of


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
