"""How Dagster cuts the tables: UTC days and calendar months, from the config's ``start_date`` on."""

import dagster as dg

from finops_pipeline.config.model import Config

PARTITION = "dagster/partition"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

MAX_PARTITIONS_PER_RUN = 31
"""A backfill from the UI is cut into runs of a month, the unit in which work is spread over machines."""


def daily(config: Config) -> dg.DailyPartitionsDefinition:
    """One partition a UTC day; keys are ``2026-10-31``."""
    return dg.DailyPartitionsDefinition(start_date=config.start_date.isoformat(), timezone="UTC")


def monthly(config: Config) -> dg.MonthlyPartitionsDefinition:
    """One partition a calendar month, the first being that of ``start_date``; keys are ``2026-10``."""
    return dg.MonthlyPartitionsDefinition(start_date=f"{config.start_date:%Y-%m}", timezone="UTC", fmt="%Y-%m")


def range_tags(first: object, last: object) -> dict[str, str]:
    """Tags that make one run cover the partitions from ``first`` to ``last``, both included."""
    return {RANGE_START: str(first), RANGE_END: str(last)}
