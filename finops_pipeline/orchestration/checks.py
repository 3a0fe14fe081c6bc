"""Asset checks: what a person should see beside the tables. Hard invariants are no checks: their steps raise instead.

The verdicts are pure functions of counts, without Dagster, the clock or the lake.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from finops_pipeline.config.model import Config, Source
from finops_pipeline.orchestration.assets import PRICED, usage_key
from finops_pipeline.orchestration.session import Session
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES, PRICED_USAGE, TOKEN_CLASSES

if TYPE_CHECKING:
    from finops_pipeline.lake import Lake

EVERY_RECORD_COUNTED = "every_record_counted"
NOTHING_QUARANTINED = "nothing_quarantined"
NEARLY_ALL_PRICED = "nearly_all_priced"


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


def asset_checks(config: Config) -> list[dg.AssetChecksDefinition]:
    """Checks of each ``usage`` asset and of ``priced_usage``. None of them blocks what comes after."""
    of_sources = [check for source in config.sources for check in (_conservation(source), _quarantined(source))]
    return [*of_sources, _unpriced()]


def _conservation(source: Source) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=usage_key(source.name),
        name=EVERY_RECORD_COUNTED,
        description="Every record that was read has exactly one outcome.",
    )
    def check(context: dg.AssetCheckExecutionContext, session: dg.ResourceParam[Session]) -> dg.AssetCheckResult:
        return _result(conservation(_ingested(context, session.lake, source)), dg.AssetCheckSeverity.ERROR)

    return check


def _quarantined(source: Source) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=usage_key(source.name),
        name=NOTHING_QUARANTINED,
        description="Every record could be read.",
    )
    def check(context: dg.AssetCheckExecutionContext, session: dg.ResourceParam[Session]) -> dg.AssetCheckResult:
        return _result(quarantined(_ingested(context, session.lake, source)), dg.AssetCheckSeverity.WARN)

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
        return _result(unpriced(*_token_counts(calls), tolerated), dg.AssetCheckSeverity.WARN)

    return check


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
