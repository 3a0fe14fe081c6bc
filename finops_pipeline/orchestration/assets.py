"""The assets, built from the config: one ``usage`` asset a source, the daily tables, the month's end.

Bodies are one call each: the loop over partitions stands in ``session``, what a partition is made of in ``day_steps``,
``analysis_steps`` and ``month_steps``. Those, and with them DuckDB, pyarrow and the templates, are imported with the
first partition, so that Dagster's many short-lived processes load the code location quickly.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

import dagster as dg
import polars as pl

from finops_pipeline.config.model import Config, Source
from finops_pipeline.orchestration.accepted import accepting_betas
from finops_pipeline.orchestration.context import StepContext, StepResult
from finops_pipeline.orchestration.continuation import daily_upstream
from finops_pipeline.orchestration.partitions import MAX_PARTITIONS_PER_RUN, daily, monthly
from finops_pipeline.orchestration.session import RunOptions, Session, make_partitions
from finops_pipeline.schemas import BUDGET_STATUS, CHARGEBACK, DAILY_COSTS, PRICED_USAGE, SAVINGS, USAGE, Table

PRICED = dg.AssetKey("priced_usage")
ROLLED_UP = dg.AssetKey("daily_costs")
BUDGETS = dg.AssetKey("budget_status")
ALERTS = dg.AssetKey("budget_alerts")
SAVED = dg.AssetKey("savings")
STATEMENT = dg.AssetKey("chargeback")
PAGE = dg.AssetKey("chargeback_reports")
DELIVERY = dg.AssetKey("report_delivery")

OWNERS = ["team:finops"]
"""Who answers for the assets in Dagster's catalogue."""

DESCRIPTIONS = {
    "usage": "Model calls of one source as its logs said them: parsed, deduplicated, every line accounted for.",
    "priced_usage": "Every call of every source with who pays for it and what it cost. Waits for all sources.",
    "daily_costs": "Calls, tokens and costs by day and dimension: what every report reads.",
    "budget_status": "Where each budget stands at the end of the day: month to date against the limit.",
    "budget_alerts": "Mails to a team's owner and to finance, once a budget, month and threshold.",
    "savings": "What would have cost less, each call repriced: cheaper models, caches, the batch tier.",
    "chargeback": "The month's statement. A new revision where it says something new, none where it does not.",
    "chargeback_reports": "The statement's page, a page a team, the ledger (CSV) and the workbook, for each revision.",
    "report_delivery": "The statement's mails: finance gets the whole, each owner their part, each revision once.",
}


def usage_key(source: str) -> dg.AssetKey:
    """Key of a source's ``usage`` asset."""
    return dg.AssetKey(["usage", source])


def daily_keys(config: Config) -> list[dg.AssetKey]:
    """Keys of the daily assets, in order from the source down."""
    return [dg.AssetKey.from_user_string(name) for name in daily_upstream(source.name for source in config.sources)]


def raw_logs(config: Config) -> list[dg.AssetSpec]:
    """The raw logs of each source: not made here, shown for lineage."""
    return [
        dg.AssetSpec(
            dg.AssetKey(["raw_logs", source.name]),
            description=f"Raw logs, format {source.format}. They are read, never written.",
            metadata={"dagster/uri": source.uri, "format": source.format},
            kinds={"s3" if source.uri.startswith("s3://") else "file"},
            group_name="raw_logs",
        )
        for source in config.sources
    ]


def daily_assets(config: Config) -> list[dg.AssetsDefinition]:
    """``usage/<source>`` for each source, the tables made of it, and the alerts: a partition a UTC day."""
    days, usage = daily(config), [usage_key(source.name) for source in config.sources]
    return [
        *(_usage(source, days) for source in config.sources),
        _asset(PRICED, partial(_lazily, "day_steps.price"), usage, days, "rating", {"parquet"}, PRICED_USAGE),
        _asset(ROLLED_UP, partial(_lazily, "day_steps.roll_up"), [PRICED], days, "rollup", {"parquet"}, DAILY_COSTS),
        _asset(
            BUDGETS,
            partial(_lazily, "analysis_steps.hold_against_budgets"),
            [ROLLED_UP],
            days,
            "watch",
            {"parquet"},
            BUDGET_STATUS,
        ),
        _asset(ALERTS, partial(_lazily, "analysis_steps.alert"), [BUDGETS], days, "watch", {"email"}),
        _asset(SAVED, partial(_lazily, "analysis_steps.find_savings"), [PRICED], days, "watch", {"parquet"}, SAVINGS),
    ]


def monthly_assets(config: Config) -> list[dg.AssetsDefinition]:
    """``chargeback``, ``chargeback_reports`` and ``report_delivery``: a partition a calendar month."""
    months = monthly(config)
    return [
        _asset(
            STATEMENT,
            partial(_lazily, "month_steps.charge_back"),
            [ROLLED_UP, SAVED],
            months,
            "billing",
            {"parquet"},
            CHARGEBACK,
        ),
        _asset(PAGE, partial(_lazily, "month_steps.report"), [STATEMENT], months, "billing", {"html", "excel", "csv"}),
        _asset(DELIVERY, partial(_lazily, "month_steps.send"), [PAGE], months, "billing", {"email"}),
    ]


def _usage(source: Source, days: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    logs = dg.AssetKey(["raw_logs", source.name])
    step = partial(_lazily, "day_steps.mediate", source=source.name)
    return _asset(usage_key(source.name), step, [logs], days, "mediation", {"parquet"}, USAGE)


def _asset(
    key: dg.AssetKey,
    step: Callable[[StepContext, str], StepResult],
    inputs: Sequence[dg.AssetKey],
    partitions: dg.PartitionsDefinition[str],
    group: str,
    kinds: set[str],
    table: Table | None = None,
) -> dg.AssetsDefinition:
    with accepting_betas():

        @dg.asset(
            key=key,
            deps=inputs,
            partitions_def=partitions,
            backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=MAX_PARTITIONS_PER_RUN),
            description=DESCRIPTIONS[key.path[0]],
            group_name=group,
            kinds=kinds,
            owners=OWNERS,
            metadata={} if table is None else {"dagster/column_schema": column_schema(table)},
        )
        def make(context: dg.AssetExecutionContext, options: RunOptions, session: dg.ResourceParam[Session]) -> None:
            make_partitions(context, options, session, step)

    return make


def column_schema(table: Table) -> dg.TableSchema:
    """The table's contract as Dagster's UI shows columns."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                str(column.dtype) if isinstance(column.dtype, pl.DataType) else column.dtype.__name__,
                description=column.meaning,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in table.columns
        ]
    )


def _lazily(step: str, context: StepContext, partition: str, **of_asset: str) -> StepResult:
    """Call ``module.function`` of this package: steps are imported with the first partition."""
    module, _, function = step.partition(".")
    made: StepResult = getattr(import_module(f"{__package__}.{module}"), function)(context, partition, **of_asset)
    return made
