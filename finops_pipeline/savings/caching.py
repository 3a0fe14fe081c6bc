"""Lever: answer a repeated prompt from a cache of answers in front of the model.

Only exact duplicates count: the same prompt (by its fingerprint, and as many input tokens: a fingerprint may leave out
tools, images or what a search found) to the same model within one privacy scope, which is a team's project and
application. Calls that name none of the three share no scope and match nothing. Providers' own
prompt caches, which hold prefixes, are another matter.
"""

import datetime as dt

import polars as pl

from finops_pipeline.savings.calls import GRADES, buckets, flag, input_tokens, is_billed, with_found
from finops_pipeline.schemas import TOKEN_CLASSES

LEVER = "caching"

EVIDENCE = "measured"

ASSUMPTIONS = (
    "The same prompt may get the same answer again, within one team, project and application. Low keeps an answer for "
    "5 minutes, expected for 1 hour, high for 24 hours after its last use, with calls that come at the same time "
    "waiting for one answer. The cache itself is not priced."
)

SHORT, USUAL, LONG = dt.timedelta(minutes=5), dt.timedelta(hours=1), dt.timedelta(hours=24)
"""How long an answer is kept under the strictest, the usual and the most favourable assumptions."""

SCOPE = ("team", "project", "application")

KEY = (*SCOPE, "prompt_fingerprint")
"""With the model and the input tokens, what an answer is found by."""

READ = (
    *SCOPE, "model", "raw_model", "prompt_fingerprint", "event_time", "latency_ms", "status", "gateway_cache_hit",
    "batch", "request_count", *(name for name in TOKEN_CLASSES if name != "output_tokens"),
)  # fmt: skip
"""What is read of the calls of the day before."""

UNKNOWN_LATENCY = dt.timedelta(minutes=1)
"""Taken for the time to the answer where the log does not say: longer than nearly every call takes."""

LONGEST_LATENCY = dt.timedelta(days=1)
"""An answer that comes later is of no use, and a log that says so is most likely wrong."""

OUTCOME = pl.Enum(("miss", "in_flight", "hit"))
"""``in_flight``: the first call with the prompt was not yet answered; waiting for it would have saved the call."""

_MICROSECOND = dt.timedelta(microseconds=1)


def with_caching(calls: pl.LazyFrame, hits: pl.LazyFrame) -> pl.LazyFrame:
    """``calls`` (columns of ``savings.calls`` with ``call``) with a flag for each grade: whether it need not be made.

    Args:
        calls: Of one day.
        hits: Those of :func:`hits_of` the whole day.
    """
    return with_found(calls, hits, on=("call",)).with_columns(
        pl.col(flag(LEVER, grade)).fill_null(False) & is_billed() for grade in GRADES
    )


def hits_of(calls: pl.LazyFrame, before: pl.LazyFrame) -> pl.DataFrame:
    """``call`` and a flag for each grade, of the calls that a cache would have answered under some assumptions.

    Args:
        calls: Columns ``READ`` and ``call``, of one day.
        before: Columns ``READ`` of the calls of the day before, whose answers a cache may still hold. They get no
            flags: each hit counts on its own day. The two days give the hits that one run over both would give; what
            was in the cache at the beginning of the day before is not known.
    """
    days = (calls.select(*READ, "call"), before.select(READ))
    parts = [_hits(timeline(*part)) for part in buckets(pl.col("prompt_fingerprint"), *days)]
    return pl.concat(parts)


def _hits(line: pl.DataFrame) -> pl.DataFrame:
    hits = {
        "low": outcomes(line, SHORT) == "hit",
        "expected": outcomes(line, USUAL) == "hit",
        "high": outcomes(line, LONG, sliding=True) != "miss",
    }
    flags = [flag(LEVER, grade) for grade in GRADES]
    found = line.select("call", **{flag(LEVER, grade): hits[grade] for grade in GRADES})
    return found.filter(pl.col("call").is_not_null(), pl.any_horizontal(flags))


def timeline(calls: pl.LazyFrame, before: pl.LazyFrame) -> pl.DataFrame:
    """The calls that may lead or hit, in order of key and time.

    Left out as misses that lead nobody: failed calls, calls without fingerprint or scope, answers of a gateway's cache,
    batch jobs, rows that sum up several calls, and prompts that were sent once.

    Returns:
        ``call`` (null for those of the day before), ``key`` (a number), ``start`` and ``end`` in microseconds.
    """
    start = pl.col("event_time").dt.epoch("us")
    latency = (pl.col("latency_ms").clip(0, LONGEST_LATENCY // dt.timedelta(milliseconds=1)) * 1000).fill_null(
        UNKNOWN_LATENCY // _MICROSECOND
    )
    asked = (*KEY, pl.coalesce("model", "raw_model").alias("model"), input_tokens().alias("tokens"))
    sent = (
        pl.concat([before.select(*READ, call=pl.lit(None, dtype=pl.get_index_type())), calls.select(*READ, "call")])
        .filter(
            pl.col("prompt_fingerprint").is_not_null(),
            pl.any_horizontal(pl.col(SCOPE).is_not_null()),
            pl.col("status") == "ok",
            ~pl.col("gateway_cache_hit").fill_null(False),
            ~pl.col("batch"),
            pl.col("request_count") == 1,
        )
        .select("call", key=pl.struct(asked).hash(), start=start, end=start + latency)
        .collect(engine="streaming")
    )
    return (
        sent.filter(pl.col("key").is_duplicated())
        .sort("key", "start", "call", nulls_last=False, maintain_order=True)
        .with_columns(pl.col("key").rle_id().cast(pl.Int64), pl.col("start", "end") - pl.col("start").min())
    )


def outcomes(line: pl.DataFrame, ttl: dt.timedelta, *, sliding: bool = False) -> pl.Series:
    """What a cache would have made of each call of a :func:`timeline`: its ``OUTCOME``.

    The first call of a key leads: it reaches the model. Those before its answer are ``in_flight`` and lead nobody;
    those up to ``ttl`` after it are hits, with ``sliding`` those up to ``ttl`` after the last hit. The next one leads.
    """
    if line.is_empty():
        return pl.Series("outcome", [], dtype=OUTCOME)
    keep = ttl // _MICROSECOND
    # One axis for all keys: what follows the last call of a key is the first of the next.
    span = line.select(pl.col("end").max()).item() + keep + 1
    starts, ends = (line["key"] * span + line[edge] for edge in ("start", "end"))
    following = _after_a_pause(starts, ends, keep) if sliding else starts.search_sorted(ends + keep, side="right")
    leads = pl.Series("leads", _chain(following.to_list()), dtype=pl.Int64)
    led = pl.DataFrame({"start": starts, "end": ends}).with_row_index("at").with_columns(pl.col("at").cast(pl.Int64))
    leaders = pl.DataFrame({"at": leads, "answered": ends.gather(leads)})
    answered = led.join(leaders, on="at", how="left", maintain_order="left").with_columns(
        leads=pl.col("answered").is_not_null(), answered=pl.col("answered").forward_fill()
    )
    return answered.select(
        pl.when("leads")
        .then(pl.lit("miss"))
        .when(pl.col("start") < pl.col("answered"))
        .then(pl.lit("in_flight"))
        .otherwise(pl.lit("hit"))
        .cast(OUTCOME)
        .alias("outcome")
    ).to_series()


def _after_a_pause(starts: pl.Series, ends: pl.Series, keep: int) -> pl.Series:
    """For each call, were it to lead: the first call that finds its answer gone, where each hit renews it."""
    positions = pl.Series(range(len(starts)), dtype=pl.Int64)
    first = pl.select(
        pl.max_horizontal(starts.search_sorted(ends, side="left").cast(pl.Int64), positions + 1)
    ).to_series()
    pauses = positions.filter(((starts - starts.shift()) > keep).fill_null(True))
    ending = pl.concat([pauses, pl.Series([len(starts)], dtype=pl.Int64)])
    after = ending.gather(ending.search_sorted(first, side="right").clip(upper_bound=len(ending) - 1))
    arrival = pl.concat([starts, pl.Series([None], dtype=starts.dtype)]).gather(first)
    return (
        pl.DataFrame({"first": first, "after": after, "late": (arrival > ends + keep).fill_null(True)})
        .select(pl.when("late").then("first").otherwise("after"))
        .to_series()
    )


def _chain(following: list[int]) -> list[int]:
    """The leaders: the first call, the one that follows it, and so on. A step a leader, not a call."""
    leaders, at = [], 0
    while at < len(following):
        leaders.append(at)
        at = following[at]
    return leaders
