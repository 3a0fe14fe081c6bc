"""Budgets: what a scope has cost in the month so far, held against its limit, and where that leads at this rate.

Rows of costs in, rows of ``budget_status`` out. When somebody is told, and when not, is in ``alerts``.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import overload

import polars as pl

from finops_pipeline.chargeback.analyses import BudgetLine
from finops_pipeline.config.model import Budget
from finops_pipeline.days import ONE_DAY, days_of, month_of
from finops_pipeline.errors import LakeError
from finops_pipeline.lake import Lake
from finops_pipeline.money import to_cents
from finops_pipeline.schemas import BUDGET_STATUS, RATIO, TOTAL
from finops_pipeline.schemas.budget_status import BUDGET_STATUSES, EXCEEDED_SHARE, WARNING_SHARE

HISTORY_DAYS = 3
"""Days with costs below which nothing is forecast."""

SCOPE_KEYS = ("team", "project", "model", "provider", "cost_center", "tag")
"""Order in which a scope is told, whatever its order in the config."""

ALL_USAGE = "all usage"
"""The scope that names nothing."""

_STEP = Decimal(1).scaleb(-12)
"""The finest difference between two amounts of ``TOTAL``."""


def budget_status(
    budgets: Sequence[Budget],
    day: dt.date,
    costs: pl.LazyFrame,
    *,
    tagged: pl.LazyFrame | None = None,
    expected_days: Sequence[dt.date] = (),
    days_with_costs: Collection[dt.date] | None = None,
) -> pl.LazyFrame:
    """Where each budget stands at the end of ``day``: ``BUDGET_STATUS`` rows, in the order of ``budgets``.

    A row of costs counts where all keys of the scope hold; an empty scope is all usage. A day that is missing is
    unknown, not zero: it is counted, and the forecast takes it for a day like the others.

    Args:
        budgets: Of the config.
        day: Any day of the period; rows of later days and of other months do not count.
        costs: ``daily_costs`` rows with their ``date``.
        tagged: ``priced_usage`` rows with their ``date``, which budgets of a tag are held against.
        expected_days: Days that should have costs, from the config's start on; none means that no day is missing.
        days_with_costs: Those that have, even if nothing was used; by default those of the rows.

    Raises:
        ValueError: a budget's scope has a tag, and there is no ``tagged``.
    """
    period = days_of(month_of(day))
    by_tag = [budget for budget in budgets if "tag" in budget.scope]
    if by_tag and tagged is None:
        raise ValueError(f"budget {by_tag[0].name} is of a tag, which only calls have")
    if not budgets:
        return BUDGET_STATUS.empty().lazy()
    so_far = pl.col("date").is_between(period[0], day)
    spent = [_spent(costs.filter(so_far), [budget for budget in budgets if "tag" not in budget.scope])]
    if tagged is not None:
        spent.append(_spent(_rolled_up(tagged.filter(so_far)), by_tag))
    expected = {d for d in expected_days or period if period[0] <= d <= day}
    if not expected_days:
        days_with_costs = expected
    status = (
        _limits(budgets)
        .with_row_index("place")
        .join(pl.concat(spent), on="budget", how="left")
        .join(_known_days(costs, expected, days_with_costs), how="cross")
        .with_columns(period_start=pl.lit(period[0]), period_end=pl.lit(period[-1]))
        .with_columns(missing_days=len(expected) - pl.col("known_days"))
    )
    outlook = _outlook(day, len(expected), period[-1])
    return BUDGET_STATUS.conform(status.with_columns(_standing(), *outlook).sort("place"))


def latest_status(lake: Lake, month: str) -> tuple[dt.date | None, pl.DataFrame]:
    """The latest day of ``month`` that the lake has a status of, and that day's rows; None and no rows without one.

    Raises:
        LakeError: the lake cannot be read.
    """
    days = [dt.date.fromisoformat(keys["date"]) for keys in lake.partitions(BUDGET_STATUS, date=days_of(month))]
    if not days:
        return None, BUDGET_STATUS.empty()
    try:
        return days[-1], lake.scan(BUDGET_STATUS, date=days[-1]).drop("date").collect()
    except (pl.exceptions.ComputeError, OSError) as error:
        raise LakeError(
            f"{lake.folder(BUDGET_STATUS, date=days[-1])}: cannot be read ({error}). Run the day again with --force."
        ) from error


@overload
def run_rate(spent: Decimal, day_of_period: int, days_in_period: int) -> Decimal: ...
@overload
def run_rate(spent: pl.Expr, day_of_period: pl.Expr, days_in_period: int) -> pl.Expr: ...
def run_rate(spent: Decimal | pl.Expr, day_of_period: int | pl.Expr, days_in_period: int) -> Decimal | pl.Expr:
    """What a period comes to if it goes on as so far: spent / day × days, in the unit of ``spent``."""
    return spent * days_in_period / day_of_period


def at_least(limit: Decimal, share: Decimal) -> Decimal:
    """The smallest amount of 12 decimals that is ``share`` of ``limit`` or more: thresholds are compared exactly."""
    with localcontext(prec=80):
        return (limit * share).quantize(_STEP, rounding=ROUND_CEILING)


def scope_pairs(budget: Budget) -> tuple[tuple[str, str], ...]:
    """Whose spend counts: (("team", "search"),); none for all usage."""
    return tuple((key, budget.scope[key]) for key in SCOPE_KEYS if key in budget.scope)


def scope_text(budget: Budget) -> str:
    """``team=search, model=gpt-5``, as it stands in ``budget_status``."""
    return ", ".join(f"{key}={value}" for key, value in scope_pairs(budget)) or ALL_USAGE


def budget_lines(status: pl.DataFrame, budgets: Sequence[Budget]) -> tuple[BudgetLine, ...]:
    """The statement's lines of these budgets, in their order.

    Args:
        status: ``BUDGET_STATUS`` rows of the month's last day.
        budgets: Of the config; one without a row has no line.
    """
    rows = {row["budget"]: row for row in status.to_dicts()}
    return tuple(
        BudgetLine(
            budget=budget.name,
            scope=scope_pairs(budget),
            limit=row["limit"],
            spent=to_cents(row["spent"]),
            status=row["status"],
            unpriced_requests=row["unpriced_requests"],
        )
        for budget in budgets
        if (row := rows.get(budget.name)) is not None
    )


def _limits(budgets: Sequence[Budget]) -> pl.LazyFrame:
    return pl.LazyFrame(
        {
            "budget": [budget.name for budget in budgets],
            "scope": [scope_text(budget) for budget in budgets],
            "limit": [budget.limit for budget in budgets],
            "warning_from": [at_least(budget.limit, WARNING_SHARE) for budget in budgets],
            "exceeded_from": [at_least(budget.limit, EXCEEDED_SHARE) for budget in budgets],
        },
        schema={"budget": pl.String, "scope": pl.String}
        | dict.fromkeys(("limit", "warning_from", "exceeded_from"), TOTAL),
    )


def _spent(costs: pl.LazyFrame, budgets: Iterable[Budget]) -> pl.LazyFrame:
    """``budget``, ``spent`` and ``unpriced_requests``, one row each, in one pass over the costs."""
    sums = [
        pl.struct(
            pl.lit(budget.name).alias("budget"),
            pl.col("cost").filter(_in_scope(budget)).sum().cast(TOTAL).alias("spent"),
            pl.col("unpriced_requests").filter(_in_scope(budget)).sum().cast(pl.Int64),
        )
        for budget in budgets
    ]
    if not sums:
        return pl.LazyFrame(schema={"budget": pl.String, "spent": TOTAL, "unpriced_requests": pl.Int64})
    return costs.select(pl.concat_list(sums).alias("sums")).explode("sums").unnest("sums")


def _in_scope(budget: Budget) -> pl.Expr:
    return pl.all_horizontal(
        pl.lit(True), *(_tagged(value) if key == "tag" else pl.col(key) == value for key, value in scope_pairs(budget))
    )


def _tagged(tag: str) -> pl.Expr:
    """Whether a call has the tag ``name=value``; once, however often it is there."""
    name, _, value = tag.partition("=")
    label = pl.element().struct
    return pl.col("tags").list.eval((label.field("key") == name) & (label.field("value") == value)).list.any()


def _rolled_up(calls: pl.LazyFrame) -> pl.LazyFrame:
    """Calls with the columns of ``daily_costs`` that scopes and sums read, by the same rules, and their tags."""
    unpriced = pl.col("price_status") == "unpriced"
    return calls.select(
        *("date", "team", "project", "provider", "cost_center", "tags", "cost"),
        pl.coalesce("model", "raw_model").alias("model"),
        pl.when(unpriced).then(pl.col("request_count")).otherwise(0).alias("unpriced_requests"),
    )


def _known_days(
    costs: pl.LazyFrame, expected: Collection[dt.date], days_with_costs: Collection[dt.date] | None
) -> pl.LazyFrame:
    """One row: ``known_days``, how many of the expected days have costs."""
    if days_with_costs is not None:
        return pl.LazyFrame(
            {"known_days": [len(set(expected) & set(days_with_costs))]}, schema={"known_days": pl.Int64}
        )
    known = pl.col("date").filter(pl.col("date").is_in(sorted(expected))).n_unique()
    return costs.select(known.cast(pl.Int64).alias("known_days"))


def _standing() -> pl.Expr:
    spent, statuses = pl.col("spent"), pl.Enum(BUDGET_STATUSES)
    return (
        pl.when(spent >= pl.col("exceeded_from"))
        .then(pl.lit("exceeded", statuses))
        .when(spent >= pl.col("warning_from"))
        .then(pl.lit("warning", statuses))
        .otherwise(pl.lit("ok", statuses))
        .alias("status")
    )


def _outlook(day: dt.date, expected: int, last: dt.date) -> Iterable[pl.Expr]:
    """Share, forecast, and the first day ahead on which the limit is reached at this rate.

    That day is null where the limit is reached already, where it is not within the period, and without a forecast.
    """
    spent, known = pl.col("spent"), pl.col("known_days")
    ahead = (last - day).days
    foreseen = known >= HISTORY_DAYS
    runs_out = (
        pl.when(spent * (expected + n) >= pl.col("limit") * known).then(pl.lit(day + n * ONE_DAY))
        for n in range(1, ahead + 1)
    )
    yield (spent / pl.col("limit")).cast(RATIO).alias("share")
    yield pl.when(foreseen).then(run_rate(spent, known, expected + ahead)).alias("forecast")
    yield (
        pl.when(foreseen & (spent < pl.col("exceeded_from")))
        .then(pl.coalesce(pl.lit(None, pl.Date), *runs_out))
        .alias("run_out_date")
    )
