"""Asset checks: what a person should see beside the tables. Hard invariants are no checks: their steps raise instead.

The verdicts are pure functions of counts, without Dagster, the clock or the lake.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import dagster as dg
import polars as pl

from finops_pipeline.config.model import Config, Source
from finops_pipeline.orchestration.assets import BUDGETS, PRICED, ROLLED_UP, usage_key
from finops_pipeline.orchestration.session import Session
from finops_pipeline.schemas import (
    BUDGET_STATUS,
    DAILY_COSTS,
    OUTCOMES,
    PRICED_USAGE,
    TOTAL,
    USAGE,
)

if TYPE_CHECKING:
    from finops_pipeline.lake import Lake
    from finops_pipeline.pricing.totals import PricedTotals

EVERY_RECORD_COUNTED = "every_record_counted"
NOTHING_QUARANTINED = "nothing_quarantined"
NO_CONFLICTS = "no_conflicting_duplicates"
NO_NEAR_DUPLICATES = "no_near_duplicates"
TOLD_BY_MEDIATION = frozenset({NOTHING_QUARANTINED, NO_CONFLICTS, NO_NEAR_DUPLICATES})
"""Checks whose findings are also warnings of the step itself."""

Days: TypeAlias = dict[str, list[dt.date]]
"""Partition keys to look at; none for all."""

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


def conflicting(counts: Mapping[str, int]) -> Verdict:
    """Whether all records of one call say the same: the same model, tokens, cost and status."""
    duplicates, conflicts = counts["duplicate"], counts["conflicts"]
    sentence = f"duplicates that say something else than the record that is kept: {conflicts:,} of {duplicates:,}"
    return Verdict(conflicts == 0, sentence, {"conflicts": conflicts, "duplicates": duplicates})


def nearly_duplicated(counts: Mapping[str, int]) -> Verdict:
    """Whether no call is like another within a moment, under another id. Such calls are charged: nobody can tell."""
    calls, near = counts["usage"], counts["near_duplicates"]
    sentence = f"calls like another within a millisecond, under another id, perhaps logged twice: {near:,} of {calls:,}"
    return Verdict(near == 0, sentence, {"near_duplicates": near, "usage": calls})


def unpriced(priced: "PricedTotals", tolerated: Decimal) -> Verdict:
    """Whether the share of tokens without a price is within ``limits.unpriced_share``."""
    calls, tokens = priced.unpriced_calls, priced.unpriced_tokens
    share = Decimal(tokens) / Decimal(priced.tokens) if priced.tokens else Decimal(0)
    sentence = f"calls without a price: {calls:,}, with {tokens:,} tokens ({share:.3%} of all)"
    passed = share <= tolerated and not (priced.tokens == 0 and calls)
    facts = {"unpriced_requests": calls, "unpriced_tokens": tokens, "unpriced_share": float(share)}
    return Verdict(passed, sentence, facts)


def rolled_up(priced: "PricedTotals", calls: int, cost: Decimal) -> Verdict:
    """Whether the rollup holds what was priced: calls, and USD to the last decimal."""
    sentence = f"{priced.calls:,} calls for {priced.cost:f} USD priced, {calls:,} calls for {cost:f} USD rolled up"
    passed = (priced.calls, priced.cost) == (calls, cost)
    return Verdict(passed, sentence, {"calls_priced": priced.calls, "calls_rolled_up": calls})


def within_budget(latest: Sequence[tuple[str, Decimal, str]]) -> Verdict:
    """Whether no budget is exceeded. ``latest``: name, share and status of each at the end of the last day."""
    exceeded = [f"{name} at {share:.1%}" for name, share, status in latest if status == "exceeded"]
    warning = [f"{name} at {share:.1%}" for name, share, status in latest if status == "warning"]
    words = [f"{what}: {', '.join(names)}" for what, names in (("exceeded", exceeded), ("warning", warning)) if names]
    sentence = "; ".join(words) or f"{len(latest)} budgets, none at 80 % or more"
    return Verdict(not exceeded, sentence, {"exceeded": len(exceeded), "warning": len(warning)})


def asset_checks(config: Config) -> list[dg.AssetChecksDefinition]:
    """Checks of the daily tables. None of them blocks what comes after."""
    return [
        *(check for source in config.sources for check in _of_source(source)),
        _check(
            PRICED,
            NEARLY_ALL_PRICED,
            "The share of tokens without a price is within limits.unpriced_share.",
            WARN,
            lambda lake, days: unpriced(_priced(lake, days), config.limits.unpriced_share),
        ),
        _check(
            ROLLED_UP,
            EVERY_CALL_ROLLED_UP,
            "Calls and costs add up to those of priced_usage, to the last decimal.",
            ERROR,
            lambda lake, days: rolled_up(_priced(lake, days), *_sums(lake.scan(DAILY_COSTS, **days))),
        ),
        _check(
            BUDGETS,
            WITHIN_BUDGET,
            "No budget is exceeded at the end of the last day.",
            WARN,
            lambda lake, days: within_budget(_latest(lake.scan(BUDGET_STATUS, **days))),
        ),
    ]


def _of_source(source: Source) -> Iterator[dg.AssetChecksDefinition]:
    for name, description, severity, verdict in (
        (EVERY_RECORD_COUNTED, "Every record that was read has exactly one outcome.", ERROR, conservation),
        (NOTHING_QUARANTINED, "Every record could be read.", WARN, quarantined),
        (NO_CONFLICTS, "All records of one call say the same.", WARN, conflicting),
        (
            NO_NEAR_DUPLICATES,
            "No call is like another within a millisecond, under another id.",
            WARN,
            nearly_duplicated,
        ),
    ):
        yield _check(usage_key(source.name), name, description, severity, partial(_judge_account, source.name, verdict))


def _check(
    asset: dg.AssetKey,
    name: str,
    description: str,
    severity: dg.AssetCheckSeverity,
    judge: Callable[["Lake", Days], Verdict],
) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name=name, description=description)
    def check(context: dg.AssetCheckExecutionContext, session: dg.ResourceParam[Session]) -> dg.AssetCheckResult:
        verdict = judge(session.lake, _days(context))
        return dg.AssetCheckResult(
            passed=verdict.passed, severity=severity, description=verdict.sentence, metadata=dict(verdict.facts)
        )

    return check


def _latest(status: pl.LazyFrame) -> list[tuple[str, Decimal, str]]:
    """Name, share and status of each budget at the end of the last day, the fullest first."""
    latest = status.filter(pl.col("date") == pl.col("date").max()).sort("share", descending=True)
    return latest.select("budget", "share", "status").collect().rows()


def _sums(costs: pl.LazyFrame) -> tuple[int, Decimal]:
    calls, cost = costs.select(pl.col("requests").sum(), pl.col("cost").sum().cast(TOTAL)).collect().row(0)
    return calls, cost


def _priced(lake: "Lake", days: Days) -> "PricedTotals":
    """What the calls of these days come to, as their files say; they are read where these are too old to say it."""
    from finops_pipeline.pricing.totals import PricedTotals, totals_of

    told = {part.date: stamp.notes.get("totals") for part, stamp in lake.stamps(PRICED_USAGE, **days)}
    untold = [day for day, totals in told.items() if not isinstance(totals, dict)]
    known = [PricedTotals.noted(totals) for totals in told.values() if isinstance(totals, dict)]
    return sum(known, totals_of(lake.scan(PRICED_USAGE, date=untold)) if untold else PricedTotals())


def _judge_account(source: str, judge: Callable[[Mapping[str, int]], Verdict], lake: "Lake", days: Days) -> Verdict:
    from finops_pipeline.mediation.result import told_before

    counts = Counter(dict.fromkeys(("records", *OUTCOMES, "conflicts", "near_duplicates"), 0))
    for _, stamp in lake.stamps(USAGE, source=source, **days):
        told = told_before(stamp.notes)
        parts = {"records": told.records, "conflicts": told.conflicts, "near_duplicates": told.near_duplicates}
        counts.update(told.outcomes | parts)
    return judge(counts)


def _days(context: dg.AssetCheckExecutionContext) -> Days:
    """The partition keys to look at: the days of the run, or every day of the lake for a check that runs alone."""
    run = context.op_execution_context
    if not (run.has_partition_key or run.has_partition_key_range):
        return {}
    return {"date": [dt.date.fromisoformat(key) for key in run.partition_keys]}
