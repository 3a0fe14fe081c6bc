"""Lever: send calls that nobody waits for through the batch tier.

Which calls those are can only be inferred: here are the vetoes, and the regular bursts that are evidence of a job.
What the batch tier costs is in the price book; a model without such a price has no batch tier.
"""

import datetime as dt
import math

import polars as pl

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.lookup import RATES, STANDARD_TIERS, with_rates
from finops_pipeline.savings.calls import GRADES, WORKLOAD, flag, is_billed, is_labelled, with_found

LEVER = "batching"

EVIDENCE = "heuristic"

TARGET = "batch"

ASSUMPTIONS = (
    "Nobody waits for these answers: a batch job may take a day. Low counts calls within bursts that begin at the same "
    "time of the hour or day, expected all calls of workloads that have such bursts, high every call that nothing "
    "speaks against."
)

SESSION_PAUSE = dt.timedelta(hours=1)
"""A call that is followed sooner in its session was waited for."""

MOST_USERS = 2
"""Users of a workload up to which it may be a job."""

BURST_PAUSE = dt.timedelta(minutes=10)
"""A longer pause ends a burst."""

BURST_REQUESTS = 20
"""Calls of a burst that counts."""

BURSTS = 8
"""Bursts from which on their times say something."""

REGULARITY = 0.9
"""Circular resultant of the bursts' beginnings from which on they are regular: 1 is to the second, 0 at any time."""

PERIODS = (dt.timedelta(hours=1), dt.timedelta(hours=24))

ACTIVITY_DAYS = 14
"""Days up to and with the analysed one whose activity is looked at for bursts."""

_CACHE_METERS = {
    "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
}


def with_batching(calls: pl.LazyFrame, activity: pl.LazyFrame) -> pl.LazyFrame:
    """``calls`` with a flag for each grade: whether it could have waited for a batch job.

    Vetoes: streamed; of another tier than the standard one; interactive (an end user is named, or the call is labelled
    so); followed within ``SESSION_PAUSE`` in its session; of a workload with more than ``MOST_USERS`` users that day.

    Args:
        calls: Columns of ``savings.calls`` with ``call`` and ``workload``, of one day.
        activity: Columns ``WORKLOAD`` and ``event_time`` of the calls of ``ACTIVITY_DAYS``, that day's included.
    """
    candidates = (
        calls.select("call", "workload", *WORKLOAD, "event_time", _free=is_billed() & ~_is_vetoed())
        .filter("_free")
        .join(_followed(calls), on="call", how="anti")
        .collect()
        .lazy()
    )
    bursts = regular_bursts(activity, candidates.select("workload", *WORKLOAD).unique()).lazy()
    graded = (
        candidates.select("call", "workload", "event_time")
        .sort("event_time")
        .join_asof(bursts.sort("start"), left_on="event_time", right_on="start", by="workload", check_sortedness=False)
        .join(bursts.select("workload").unique().with_columns(regular=True), on="workload", how="left")
        .select(
            "call",
            pl.lit(True).alias(flag(LEVER, "high")),
            pl.col("regular").fill_null(False).alias(flag(LEVER, "expected")),
            (pl.col("event_time") <= pl.col("end")).fill_null(False).alias(flag(LEVER, "low")),
        )
    )
    flags = [flag(LEVER, grade) for grade in GRADES]
    return with_found(calls, graded, on=("call",)).with_columns(pl.col(*flags).fill_null(False))


def batched(calls: pl.LazyFrame, book: PriceBook) -> pl.LazyFrame:
    """``calls`` as members of a batch job: a cache class that the batch tier has no price for is fresh input there."""
    rated = with_rates(calls.drop("model", strict=False).with_columns(batch=pl.lit(True)), book)
    moved = {
        column: pl.when(pl.col(RATES[meter]).is_null()).then(column).otherwise(0)
        for column, meter in _CACHE_METERS.items()
    }
    return rated.with_columns(
        input_tokens=pl.col("input_tokens") + pl.sum_horizontal(moved.values()),
        **{column: pl.col(column) - tokens for column, tokens in moved.items()},
    ).select(calls.collect_schema().names())


def regular_bursts(activity: pl.LazyFrame, workloads: pl.LazyFrame) -> pl.DataFrame:
    """The bursts of those workloads that have regular ones: ``workload``, ``start`` and ``end``, both included.

    A burst is what no pause longer than ``BURST_PAUSE`` interrupts, of ``BURST_REQUESTS`` calls or more. A workload's
    are regular when there are ``BURSTS`` of them and the circular resultant of their beginnings, R = |Σ e^(2πi·t/T)|/n,
    is ``REGULARITY`` or more at one of ``PERIODS``.

    Args:
        activity: Columns ``WORKLOAD`` and ``event_time``.
        workloads: ``workload`` and what it stands for, ``WORKLOAD``.
    """
    minutes = (
        activity.group_by(*WORKLOAD, minute=pl.col("event_time").dt.truncate("1m"))
        .agg(first=pl.col("event_time").min(), last=pl.col("event_time").max(), requests=pl.len())
        .collect(engine="streaming")
        .lazy()
        .join(workloads, on=list(WORKLOAD), nulls_equal=True)
        .sort("workload", "minute")
    )
    pause = (pl.col("first") - pl.col("last").shift() > BURST_PAUSE).fill_null(True)
    bursts = (
        minutes.with_columns(_burst=pause.cum_sum().over("workload"))
        .group_by("workload", "_burst")
        .agg(start=pl.col("first").min(), end=pl.col("last").max(), requests=pl.col("requests").sum())
        .filter(pl.col("requests") >= BURST_REQUESTS)
    )
    regularity = pl.max_horizontal(_resultant(pl.col("start"), period) for period in PERIODS)
    regular = bursts.group_by("workload").agg(_bursts=pl.len(), _regularity=regularity)
    return (
        bursts.join(
            regular.filter(pl.col("_bursts") >= BURSTS, pl.col("_regularity") >= REGULARITY), on="workload", how="semi"
        )
        .select("workload", "start", "end")
        .sort("workload", "start")
        .collect()
    )


def _is_vetoed() -> pl.Expr:
    tier = pl.col("service_tier")
    users = pl.max_horizontal(pl.col(name).drop_nulls().n_unique().over("workload") for name in ("user_id", "end_user"))
    return pl.any_horizontal(
        pl.col("stream").fill_null(False),
        pl.col("batch"),
        (tier.is_not_null() & ~tier.is_in(STANDARD_TIERS)).fill_null(False),
        pl.col("end_user").is_not_null(),
        is_labelled("interactive"),
        users > MOST_USERS,
    )


def _followed(calls: pl.LazyFrame) -> pl.LazyFrame:
    """``call`` of those whose session went on within ``SESSION_PAUSE``."""
    same, pause = pl.col("session_id").shift(-1) == pl.col("session_id"), pl.col("event_time").diff().shift(-1)
    return (
        calls.filter(pl.col("session_id").is_not_null())
        .select("call", "session_id", "event_time")
        .sort("session_id", "event_time", "call")
        .filter(same & (pause <= SESSION_PAUSE))
        .select("call")
    )


def _resultant(times: pl.Expr, period: dt.timedelta) -> pl.Expr:
    """From 0 (anywhere in the period) to 1 (always at the same moment of it)."""
    length = period // dt.timedelta(microseconds=1)
    angle = (times.dt.epoch("us") % length) * (2 * math.pi / length)
    return (angle.cos().mean().pow(2) + angle.sin().mean().pow(2)).sqrt()
