"""Lever: send calls that nobody waits for through the batch tier.

Which calls those are can only be inferred: here are the vetoes, and the regular bursts that are evidence of a job.
What the batch tier costs is in the price book; a model without such a price has no batch tier.
"""

import datetime as dt
import math
from dataclasses import dataclass

import polars as pl

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.lookup import LIST, STANDARD_TIERS, rate_column
from finops_pipeline.pricing.rating import with_rates_of_usage
from finops_pipeline.savings.calls import (
    COMPARED_AT_ONCE,
    GRADES,
    WORKLOAD,
    buckets,
    flag,
    is_billed,
    is_labelled,
    with_found,
)
from finops_pipeline.schemas import INSTANT

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

LONGEST_BURST = 1 / 3
"""Part of the period that a burst may take: people at work begin every day at nine too, and are at it for longer than
a night's job."""

ACTIVITY_DAYS = 14
"""Days up to and with the analysed one whose activity is looked at for bursts."""

_NEVER = pl.lit(None, dtype=INSTANT)

_CACHE_METERS = {
    "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
}


@dataclass(frozen=True)
class Signs:
    """What the calls around a call say of whether somebody waits for it.

    Attributes:
        followed: ``call`` of those whose session goes on within ``SESSION_PAUSE``.
        users: ``workload`` and ``users``, those that it had that day.
        bursts: As :func:`regular_bursts` gives them.
    """

    followed: pl.DataFrame
    users: pl.DataFrame
    bursts: pl.DataFrame


def signs_of(calls: pl.LazyFrame, activity: pl.LazyFrame) -> Signs:
    """What the calls of a day, and those of the days before it, say.

    Args:
        calls: Columns of ``savings.calls`` with ``call`` and ``workload``, of one day.
        activity: ``priced_usage`` of ``ACTIVITY_DAYS``, that day's included.
    """
    of_session = buckets(pl.col("session_id"), calls.filter(pl.col("session_id").is_not_null()))
    named = (pl.col(name).drop_nulls().n_unique() for name in ("user_id", "end_user"))
    workloads = calls.filter(_may_be_a_job()).select("workload", *WORKLOAD).unique()
    return Signs(
        followed=pl.concat(_followed(part).collect() for (part,) in of_session),
        users=calls.group_by("workload").agg(users=pl.max_horizontal(*named)).collect(engine="streaming"),
        bursts=regular_bursts(activity, workloads.collect(engine="streaming").lazy()),
    )


def with_batching(calls: pl.LazyFrame, signs: Signs) -> pl.LazyFrame:
    """``calls`` with a flag for each grade: whether it could have waited for a batch job.

    Vetoes: streamed; of another tier than the standard one; a row that sums up several calls; interactive (an end user
    is named, or the call is labelled so); followed within ``SESSION_PAUSE`` in its session; of a workload with more
    than ``MOST_USERS`` users that day.

    Args:
        calls: Columns of ``savings.calls`` with ``call`` and ``workload``.
        signs: What :func:`signs_of` the whole day says.
    """
    bursts = signs.bursts.lazy()
    graded = (
        calls.filter(is_billed(), _may_be_a_job(), ~is_labelled("interactive"))
        .select("call", "workload", "event_time")
        .join(signs.followed.lazy(), on="call", how="anti")
        .join(signs.users.lazy().filter(pl.col("users") > MOST_USERS), on="workload", how="anti")
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
    rated = with_rates_of_usage(calls.drop("model", strict=False).with_columns(batch=pl.lit(True)), book)
    moved = {
        column: pl.when(pl.col(rate_column(LIST, meter)).is_null()).then(column).otherwise(0)
        for column, meter in _CACHE_METERS.items()
    }
    return rated.with_columns(
        input_tokens=pl.col("input_tokens") + pl.sum_horizontal(moved.values()),
        **{column: pl.col(column) - tokens for column, tokens in moved.items()},
    ).select(calls.collect_schema().names())


def regular_bursts(activity: pl.LazyFrame, workloads: pl.LazyFrame) -> pl.DataFrame:
    """The bursts of those workloads that have regular ones: ``workload``, ``start`` and ``end``, both included.

    A burst is what no pause longer than ``BURST_PAUSE`` interrupts, of ``BURST_REQUESTS`` calls or more; calls that
    are streamed, batch jobs already, or for an end user, and rows that sum up several calls, are no part of one: their
    times say nothing of a job that could be queued. A workload's bursts are regular when there are ``BURSTS`` of them
    that take no more than ``LONGEST_BURST`` of one of ``PERIODS``, and the circular resultant of their beginnings,
    R = |Σ e^(2πi·t/T)|/n, is ``REGULARITY`` or more at it.

    Args:
        activity: ``priced_usage``.
        workloads: ``workload`` and what it stands for, ``WORKLOAD``.
    """
    of_workloads = activity.filter(_may_be_a_job()).join(workloads, on=list(WORKLOAD), nulls_equal=True)
    days = activity.group_by(day=pl.col("event_time").dt.date()).len().sort("day").collect(engine="streaming")
    spans = days.group_by(pl.col("len").cum_sum() // COMPARED_AT_ONCE).agg(first=pl.min("day"), last=pl.max("day"))
    spells = [  # some days at a time, so that memory does not grow with their number
        of_workloads.filter(pl.col("event_time").dt.date().is_between(first, last))
        .group_by("workload", minute=pl.col("event_time").dt.truncate("1m"))
        .agg(first=pl.col("event_time").min(), last=pl.col("event_time").max(), requests=pl.len())
        .pipe(_without_pauses)
        .collect(engine="streaming")
        for first, last in spans.select("first", "last").iter_rows()
    ]
    none = workloads.select("workload", first=_NEVER, last=_NEVER, requests=pl.lit(0, dtype=pl.get_index_type())).head(
        0
    )
    bursts = (
        pl.concat([none, *(spell.lazy() for spell in spells)])
        .pipe(_without_pauses)
        .filter(pl.col("requests") >= BURST_REQUESTS)
        .select("workload", start="first", end="last")
        .collect()
        .lazy()
    )
    return pl.concat(_regular(bursts, period) for period in PERIODS).unique().sort("workload", "start").collect()


def _regular(bursts: pl.LazyFrame, period: dt.timedelta) -> pl.LazyFrame:
    """Those bursts that are short for the period and begin at the same time of it."""
    short = bursts.filter(pl.col("end") - pl.col("start") <= period * LONGEST_BURST)
    enough = pl.len() >= BURSTS
    same_time = _resultant(pl.col("start"), period) >= REGULARITY
    regular = short.group_by("workload").agg(regular=enough & same_time).filter("regular")
    return short.join(regular, on="workload", how="semi")


def _without_pauses(spells: pl.LazyFrame) -> pl.LazyFrame:
    """Spells (``workload``, ``first``, ``last``, ``requests``), joined where no ``BURST_PAUSE`` parts them."""
    pause = (pl.col("first") - pl.col("last").shift() > BURST_PAUSE).fill_null(True)
    return (
        spells.select("workload", "first", "last", "requests")
        .sort("workload", "first")
        .with_columns(_spell=pause.cum_sum().over("workload"))
        .group_by("workload", "_spell")
        .agg(pl.col("first").min(), pl.col("last").max(), pl.col("requests").sum())
        .drop("_spell")
    )


def _may_be_a_job() -> pl.Expr:
    """Whether nothing of the call itself says that somebody waits for it, or that it is a batch job already."""
    tier = pl.col("service_tier")
    return ~pl.any_horizontal(
        pl.col("stream").fill_null(False),
        pl.col("batch"),
        (tier.is_not_null() & ~tier.is_in(STANDARD_TIERS)).fill_null(False),
        pl.col("end_user").is_not_null(),
        pl.col("request_count") > 1,
    )


def _followed(calls: pl.LazyFrame) -> pl.LazyFrame:
    """``call`` of those whose session went on within ``SESSION_PAUSE``."""
    same, pause = pl.col("session").shift(-1) == pl.col("session"), pl.col("event_time").diff().shift(-1)
    return (
        calls.select("call", "event_time", session=pl.col("session_id").hash())
        .sort("session", "event_time", "call")
        .filter(same & (pause <= SESSION_PAUSE))
        .select("call")
    )


def _resultant(times: pl.Expr, period: dt.timedelta) -> pl.Expr:
    """From 0 (anywhere in the period) to 1 (always at the same moment of it)."""
    length = period // dt.timedelta(microseconds=1)
    angle = (times.dt.epoch("us") % length) * (2 * math.pi / length)
    return (angle.cos().mean().pow(2) + angle.sin().mean().pow(2)).sqrt()
