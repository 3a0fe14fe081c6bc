"""How Dagster cuts the tables: UTC days and calendar months, from the config's ``start_date`` on."""

import datetime as dt

import dagster as dg

from finops_pipeline.config.model import Config
from finops_pipeline.days import month_of

PARTITION = "dagster/partition"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

MAX_PARTITIONS_PER_RUN = 31
"""A backfill from the UI is cut into runs of a month, the unit in which work is spread over machines."""


def daily(config: Config) -> dg.DailyPartitionsDefinition:
    """One partition a UTC day; keys are ``2026-10-31``. Days that are not over are none, but for the very first."""
    return dg.DailyPartitionsDefinition(
        start_date=config.start_date.isoformat(), timezone="UTC", end_offset=int(config.start_date >= _today())
    )


def monthly(config: Config) -> dg.MonthlyPartitionsDefinition:
    """One partition a calendar month, the first being that of ``start_date``; keys are ``2026-10``.

    The month that goes on is none, but for the very first: whoever begins today can run it, and Dagster refuses every
    run where it knows of no partition. A backfill of all months mails no statement of a month that is not over.
    """
    first = month_of(config.start_date)
    return dg.MonthlyPartitionsDefinition(
        start_date=first, timezone="UTC", fmt="%Y-%m", end_offset=int(first >= month_of(_today()))
    )


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def range_tags(first: object, last: object) -> dict[str, str]:
    """Tags that make one run cover the partitions from ``first`` to ``last``, both included."""
    return {RANGE_START: str(first), RANGE_END: str(last)}
