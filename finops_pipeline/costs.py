"""Rollup of priced calls into ``daily_costs``, and breakdowns of that over any dates.

Only sums of what rating decided: no price, no owner and no rounding is made here.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from finops_pipeline.days import days_between
from finops_pipeline.errors import LakeError
from finops_pipeline.lake import Lake
from finops_pipeline.schemas import DAILY_COSTS, RATIO, TOKEN_CLASSES, TOTAL
from finops_pipeline.schemas.daily_costs import DIMENSIONS, ROLLUP_KEYS
from finops_pipeline.schemas.priced_usage import COST_GROUPS

BREAKDOWN_DIMENSIONS = (*DIMENSIONS, "day", "month")
"""What a breakdown can be by. ``date`` is another name of ``day``."""

MEASURES = ("requests", "errors", "tokens", "cost", "unpriced_requests", "unpriced_tokens")

_ROLLED_UP_TOKENS = (*TOKEN_CLASSES, "reasoning_tokens")


def daily_costs(priced: pl.LazyFrame) -> pl.LazyFrame:
    """Calls of one day, as ``priced_usage`` has them, summed by dimension to the ``daily_costs`` contract.

    A call without a price counts in requests and tokens and in the unpriced columns, under the reason that it has
    none, and adds nothing to the costs. Token counts that are unknown add nothing, nor do those that contradict
    themselves (``invalid_usage``): one broken line could outweigh a month. Where a model does not resolve, its raw id
    stands in its place.
    """
    calls = pl.col("request_count")
    believed = pl.col("price_reason").ne_missing(pl.lit("invalid_usage"))
    tokens = pl.sum_horizontal(pl.col(c).fill_null(0) for c in TOKEN_CLASSES)
    failed = pl.col("status") == "error"
    unpriced = pl.col("price_status") == "unpriced"
    estimated = pl.col("usage_quality") == "estimated"
    rolled_up = (
        priced.with_columns(
            pl.coalesce("model", "raw_model").alias("model"),
            pl.when(unpriced).then(pl.col("price_reason")).alias("unpriced_reason"),
        )
        .group_by(ROLLUP_KEYS)
        .agg(
            calls.sum().alias("requests"),
            calls.filter(failed).sum().alias("errors"),
            *(pl.col(c).filter(believed).sum() for c in _ROLLED_UP_TOKENS),
            *(pl.col(c).sum().cast(TOTAL) for c in ("list_cost", "contracted_cost", "cost")),
            *(pl.col(c).filter(~unpriced).sum().cast(TOTAL) for c in COST_GROUPS),
            tokens.filter(~unpriced & believed & estimated).sum().alias("estimated_tokens"),
            pl.when(pl.col("reported_cost").count() > 0)
            .then(pl.col("reported_cost").sum().cast(TOTAL))
            .alias("reported_cost"),
            calls.filter(unpriced).sum().alias("unpriced_requests"),
            tokens.filter(unpriced & believed).sum().alias("unpriced_tokens"),
        )
    )
    return DAILY_COSTS.conform(rolled_up).sort(ROLLUP_KEYS, nulls_last=True)


def breakdown(costs: pl.LazyFrame, by: Sequence[str], *, period: tuple[dt.date, dt.date] | None = None) -> pl.LazyFrame:
    """Requests, tokens and cost of ``daily_costs`` rows by the given dimensions.

    Args:
        costs: Rows of the ``daily_costs`` contract with their ``date``, of any dates.
        by: Any of :data:`BREAKDOWN_DIMENSIONS`; none for the total, which is one row even where there are no costs.
        period: First and last day, both included. With it, a breakdown by nothing but time has a row for every day
            or month of the period, zeros where nothing was used.

    Returns:
        The dimensions (``day`` a Date, ``month`` as ``2026-10``, the others text, null where the logs name none);
        ``requests``, ``errors`` (part of them), ``tokens``, ``cost`` in USD, Decimal(38,12); ``share`` of the whole
        cost, null where that is zero; ``unpriced_requests`` and ``unpriced_tokens``, which are in requests and tokens
        and not in the cost. In order of time where ``by`` has time, then largest cost first.

    Raises:
        ValueError: a dimension is not known.
    """
    by = dimensions(by)
    time = [name for name in ("month", "day") if name in by]
    others = [name for name in by if name not in time]
    day = pl.col("date")
    measured = costs.with_columns(
        day.alias("day"), day.dt.strftime("%Y-%m").alias("month"), pl.sum_horizontal(TOKEN_CLASSES).alias("tokens")
    )
    sums = [pl.col(m).sum() for m in MEASURES]
    summed = measured.group_by(by).agg(sums) if by else measured.select(sums)
    if period is not None and by and set(by) <= {"day", "month"}:
        summed = _calendar(*period).select(by).unique().join(summed, on=by, how="left")
    whole = pl.col("cost").sum()
    return (
        summed.with_columns(pl.col(m).fill_null(0) for m in MEASURES)
        .with_columns(pl.when(whole != 0).then((pl.col("cost") / whole).cast(RATIO)).alias("share"))
        .select(*by, "requests", "errors", "tokens", "cost", "share", "unpriced_requests", "unpriced_tokens")
        .sort(*time, "cost", *others, descending=[False] * len(time) + [True] + [False] * len(others), nulls_last=True)
    )


def breakdown_of(lake: Lake, first_day: dt.date, last_day: dt.date, by: Sequence[str]) -> pl.DataFrame:
    """The breakdown of what the lake has of these days, both included.

    Days that were never run count as zero: :func:`gaps` names them.

    Raises:
        ValueError: a dimension is not known, or the days are in the wrong order.
        LakeError: the lake cannot be read.
    """
    if first_day > last_day:
        raise ValueError(f"the first day {first_day} lies after the last {last_day}")
    dimensions(by)
    costs = lake.scan(DAILY_COSTS, date=days_between(first_day, last_day))
    try:
        return breakdown(costs, by, period=(first_day, last_day)).collect()
    except (pl.exceptions.ComputeError, OSError) as error:
        raise LakeError(f"{lake.folder(DAILY_COSTS)}: cannot be read ({error}). Run the days again.") from error


@dataclass(frozen=True)
class Gaps:
    """What a period's costs lack.

    Attributes:
        missing: Days that the lake has no ``daily_costs`` of.
        partial: Days that were priced without some sources, with the names of these.
    """

    missing: tuple[dt.date, ...]
    partial: Mapping[dt.date, tuple[str, ...]]


def gaps(lake: Lake, first_day: dt.date, last_day: dt.date) -> Gaps:
    """What the lake lacks of these days, both included.

    Raises:
        LakeError: the lake cannot be read.
    """
    days = days_between(first_day, last_day)
    lacking = {part.date: stamp.notes.get("missing_sources") for part, stamp in lake.stamps(DAILY_COSTS, date=days)}
    return Gaps(
        missing=tuple(day for day in days if day not in lacking),
        partial={day: tuple(map(str, names)) for day, names in lacking.items() if isinstance(names, list) and names},
    )


def dimensions(by: Sequence[str]) -> list[str]:
    """The dimensions' proper names, each once.

    Raises:
        ValueError: one is not known.
    """
    named = list(dict.fromkeys("day" if name == "date" else name for name in by))
    unknown = [name for name in named if name not in BREAKDOWN_DIMENSIONS]
    if unknown:
        raise ValueError(f"no dimension {', '.join(unknown)}: expected any of {', '.join(BREAKDOWN_DIMENSIONS)}")
    return named


def _calendar(first: dt.date, last: dt.date) -> pl.LazyFrame:
    days = pl.LazyFrame({"day": days_between(first, last)}, schema={"day": pl.Date})
    return days.with_columns(pl.col("day").dt.strftime("%Y-%m").alias("month"))
