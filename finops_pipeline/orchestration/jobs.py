"""The two jobs. A job's assets share their partitions, so days and months have one each."""

from typing import TYPE_CHECKING

import dagster as dg

from finops_pipeline.config.model import Config
from finops_pipeline.orchestration.assets import DELIVERY, PAGE, PRICED, ROLLED_UP, STATEMENT, usage_key

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

NIGHTLY = "nightly"
MONTH_END = "month_end"


def nightly(config: Config) -> "UnresolvedAssetJobDefinition":
    """The daily assets, from raw logs to daily costs."""
    return dg.define_asset_job(
        NIGHTLY,
        selection=dg.AssetSelection.assets(*(usage_key(source.name) for source in config.sources), PRICED, ROLLED_UP),
        description="Yesterday and the last days that late records may still change, from raw logs to daily costs.",
    )


def month_end() -> "UnresolvedAssetJobDefinition":
    """The monthly assets, from daily costs to the mail."""
    return dg.define_asset_job(
        MONTH_END,
        selection=dg.AssetSelection.assets(STATEMENT, PAGE, DELIVERY),
        description="A month's statement, its page and its mails.",
    )
