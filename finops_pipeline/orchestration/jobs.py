"""The two jobs. A job's assets share their partitions, so days and months have one each."""

from typing import TYPE_CHECKING

import dagster as dg

from finops_pipeline.config.model import Config
from finops_pipeline.orchestration.assets import DELIVERY, PAGE, STATEMENT, daily_keys

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

NIGHTLY = "nightly"
MONTH_END = "month_end"


def nightly(config: Config) -> "UnresolvedAssetJobDefinition":
    """The daily assets, from raw logs to costs, budgets and savings."""
    return dg.define_asset_job(
        NIGHTLY,
        selection=dg.AssetSelection.assets(*daily_keys(config)),
        description="Yesterday and the last days that late records may still change: logs to costs, budgets, savings.",
    )


def month_end() -> "UnresolvedAssetJobDefinition":
    """The monthly assets, from daily costs to the mail."""
    return dg.define_asset_job(
        MONTH_END,
        selection=dg.AssetSelection.assets(STATEMENT, PAGE, DELIVERY),
        description="A month's statement, its page and its mails.",
    )
