"""Asset checks: what a person should see beside the tables. Hard invariants are no checks: their steps raise instead.

The verdicts are pure functions of counts, without Dagster, the clock or the lake.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from finops_pipeline.config.model import Config, Source
from finops_pipeline.orchestration.assets import BUDGETS, PRICED, ROLLED_UP, usage_key
from finops_pipeline.orchestration.session import Session
from finops_pipeline.schemas import (
    BUDGET_STATUS,
    DAILY_COSTS,
    INGEST_OBJECTS,
    OUTCOMES,
    PRICED_USAGE,
    TOKEN_CLASSES,
    TOTAL,
)

if TYPE_CHECKING:
    from finops_pipeline.lake import Lake

EVERY_RECORD_COUNTED = "every_record_counted"
NOTHING_QUARANTINED = "nothing_quarantined"
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR

NEARLY_ALL_PRICED = "nearly_all_priced"
EVERY_CALL_ROLLED_UP = "every_call_rolled_up"
WITHIN_BUDGET = "within_budget"


@dataclass(frozen=True)
class Verdict:
    """What a check found, in one sentence, and the numbers that it rests on."""

    passed: bool
    sentence: str
    facts: Mapping[str, int | float]


def conservation(counts: Mapping[str, int]) -> Verdict:
    """Whether every record that was read has exactly one outcome. ``counts``: records, and each of ``OUTCOMES``."""
    records, counted = counts["records"], sum(counts[outcome] for outcome in OUTCOMES)
    sentence = f"{records:,} records read, {counted:,} accounted for"
    return Verdict(records == counted, sentence, dict(counts))


def quarantined(counts: Mapping[str, int]) -> Verdict:
    """Whether every record could be read as what it is."""
    records, unread = counts["records"], counts["quarantined"]
    share = unread / records if records else 0.0
    sentence = f"records that could not be read: {unread:,} of {records:,}; the table quarantine says which and why"
    return Verdict(unread == 0, sentence, {"quarantined": unread, "quarantined_share": share})


def unpriced(tokens: int, unpriced_tokens: int, unpriced_calls: int, tolerated: Decimal) -> Verdict:
    """Whether the share of tokens without a price is within ``limits.unpriced_share``."""
    share = Decimal(unpriced_tokens) / Decimal(tokens) if tokens else Decimal(0)
    sentence = f"calls without a price: {unpriced_calls:,}, with {unpriced_tokens:,} tokens ({share:.3%} of all)"
    passed = share <= tolerated and not (tokens == 0 and unpriced_calls)
    return Verdict(
        passed,
        sentence,
        {"unpriced_requests": unpriced_calls, "unpriced_tokens": unpriced_tokens, "unpriced_share": float(share)},
    )


def rolled_up(priced: tuple[int, Decimal], costs: tuple[int, Decimal]) -> Verdict:
    """Whether the rollup holds what was priced: calls, and USD to the last decimal."""
    sentence = f"{priced[0]:,} calls for {priced[1]:f} USD priced, {costs[0]:,} calls for {costs[1]:f} USD rolled up"
    return Verdict(priced == costs, sentence, {"calls_priced": priced[0], "calls_rolled_up": costs[0]})


def within_budget(latest: Sequence[tuple[str, Decimal, str]]) -> Verdict:
    """Whether no budget is exceeded. ``latest``: name, share and status of each at the end of the last day."""
    exceeded = [f"{name} at {share:.1%}" for name, share, status in latest if status == "exceeded"]
    warning = [f"{name} at {share:.1%}" for name, share, status in latest if status == "warning"]
    words = [f"{what}: {', '.join(names)}" for what, names in (("exceeded", exceeded), ("warning", warning)) if names]
    sentence = "; ".join(words) or f"{len(latest)} budgets, none at 80 % or more"
    return Verdict(not exceeded, sentence, {"exceeded": len(exceeded), "warning": len(warning)})


def asset_checks(config: Config) -> list[dg.AssetChecksDefinition]:
    """Checks of the daily tables. None of them blocks what comes after."""
    of_sources = [check for source in config.sources for check in (_conservation(source), _quarantined(source))]
    return [*of_sources, _unpriced(), _rolled_up(), _within_budget()]


def _conservation(source: Source) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=usage_key(source.name),
        name=EVERY_RECORD_COUNTED,
        description="Every record that was read has exactly one outcome.",
    )
    def check(context: dg.AssetCheckExecutionContext, session: dg.ResourceParam[Session]) -> dg.AssetCheckResult:
        return _result(conservation(_ingested(context, session.lake, source)), ERROR)

    return check


def _quarantined(source: Source) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=usage_key(source.name),
        name=NOTHING_QUARANTINED,
        description="Every record could be read.",
    )
    def check(context: dg.AssetCheckExecutionContext, session: dg.ResourceParam[Session]) -> dg.AssetCheckResult:
        return _result(quarantined(_ingested(context, session.lake, source)), WARN)

    return check


def _unpriced() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=PRICED,
        name=NEARLY_ALL_PRICED,
        description="The share of tokens without a price is within limits.unpriced_share.",
    )
    def check(context: dg.AssetCheckExecutionContext, session: dg.ResourceParam[Session]) -> dg.AssetCheckResult:
        calls = session.lake.scan(PRICED_USAGE, **_days(context))
        tolerated = session.config.limits.unpriced_share
        return _result(unpriced(*_token_counts(calls), tolerated), WARN)

    return check


def _rolled_up() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=ROLLED_UP,
        name=EVERY_CALL_ROLLED_UP,
        description="Calls and costs add up to those of priced_usage, to the last decimal.",
    )
    def check(context: dg.AssetCheckExecutionContext, session: dg.ResourceParam[Session]) -> dg.AssetCheckResult:
        days = _days(context)
        calls, costs = session.lake.scan(PRICED_USAGE, **days), session.lake.scan(DAILY_COSTS, **days)
        verdict = rolled_up(_sums(calls, "request_count"), _sums(costs, "requests"))
        return _result(verdict, ERROR)

    return check


def _within_budget() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=BUDGETS,
        name=WITHIN_BUDGET,
        description="No budget is exceeded at the end of the last day.",
    )
    def check(context: dg.AssetCheckExecutionContext, session: dg.ResourceParam[Session]) -> dg.AssetCheckResult:
        status = session.lake.scan(BUDGET_STATUS, **_days(context))
        latest = status.filter(pl.col("date") == pl.col("date").max()).sort("share", descending=True)
        return _result(within_budget(latest.select("budget", "share", "status").collect().rows()), WARN)

    return check


def _sums(table: pl.LazyFrame, calls: str) -> tuple[int, Decimal]:
    count, cost = table.select(pl.col(calls).sum(), pl.col("cost").sum().cast(TOTAL)).collect().row(0)
    return count, cost


def _ingested(context: dg.AssetCheckExecutionContext, lake: "Lake", source: Source) -> dict[str, int]:
    objects = lake.scan(INGEST_OBJECTS, source=source.name, **_days(context))
    return objects.select(pl.col("records", *OUTCOMES).sum()).collect().row(0, named=True)


def _token_counts(calls: pl.LazyFrame) -> tuple[int, int, int]:
    """Tokens, and the tokens and calls that have no price. Counts that contradict themselves are no tokens."""
    believed = pl.col("price_reason").ne_missing(pl.lit("invalid_usage"))
    tokens = pl.sum_horizontal(TOKEN_CLASSES)
    without = pl.col("price_status") == "unpriced"
    counts = calls.select(
        tokens.filter(believed).sum(),
        tokens.filter(without & believed).sum().alias("unpriced_tokens"),
        pl.col("request_count").filter(without).sum().alias("unpriced_calls"),
    )
    all_tokens, unpriced_tokens, unpriced_calls = counts.collect().row(0)
    return all_tokens, unpriced_tokens, unpriced_calls


def _days(context: dg.AssetCheckExecutionContext) -> dict[str, list[dt.date]]:
    """The partition keys to look at: the days of the run, or every day of the lake for a check that runs alone."""
    run = context.op_execution_context
    if not (run.has_partition_key or run.has_partition_key_range):
        return {}
    return {"date": [dt.date.fromisoformat(key) for key in run.partition_keys]}


def _result(verdict: Verdict, severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=verdict.passed, severity=severity, description=verdict.sentence, metadata=dict(verdict.facts)
    )
