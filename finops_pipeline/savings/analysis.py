"""From a day's calls to its rows of ``savings``: which lever would have saved what, by workload.

Which calls are a lever's is the lever's own to say; what it saves of each of them is in ``combination``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.savings import batching, caching, downgrade
from finops_pipeline.savings.batching import with_batching
from finops_pipeline.savings.caching import with_caching
from finops_pipeline.savings.calls import COLUMNS, GRADES, WORKLOAD, flag, with_found
from finops_pipeline.savings.combination import FLAGS, with_savings
from finops_pipeline.savings.complexity import FEATURES, with_features, with_score
from finops_pipeline.savings.downgrade import with_downgrade
from finops_pipeline.savings.pairs import PAIRS, Pair
from finops_pipeline.schemas import SAVINGS, TOTAL
from finops_pipeline.schemas.savings import LEVERS


@dataclass(frozen=True)
class Lever:
    """How a lever's rows read.

    Attributes:
        target: What to use in its place.
        evidence: One of ``schemas.savings.EVIDENCE``.
        assumptions: What has to hold.
        action: What to do; names of the logs stand in it as they are.
    """

    target: pl.Expr
    evidence: str
    assumptions: str
    action: pl.Expr


_NAMED = pl.coalesce("project", "application", "team")
_OF_NAME = pl.coalesce("of " + _NAMED, pl.lit("without a project"))
_NAME = pl.coalesce(_NAMED, pl.lit("calls without a project"))

_LEVERS: Mapping[str, Lever] = {
    caching.LEVER: Lever(
        pl.lit(None, dtype=pl.String),
        caching.EVIDENCE,
        caching.ASSUMPTIONS,
        "Answer repeated prompts " + _OF_NAME + " from a cache",
    ),
    downgrade.LEVER: Lever(
        pl.col("target"),
        downgrade.EVIDENCE,
        downgrade.ASSUMPTIONS,
        "Send simple calls " + _OF_NAME + " to " + pl.col("target_name"),
    ),
    batching.LEVER: Lever(
        pl.lit(batching.TARGET),
        batching.EVIDENCE,
        batching.ASSUMPTIONS,
        "Send " + _NAME + " through the batch tier",
    ),
}

_GRAIN = ("lever", *WORKLOAD, "target")


def savings_of_day(
    calls: pl.LazyFrame,
    before: pl.LazyFrame,
    activity: pl.LazyFrame,
    book: PriceBook,
    pairs: Sequence[Pair] = PAIRS,
) -> pl.LazyFrame:
    """Rows of ``schemas.SAVINGS`` of a day, a row a lever, workload and target; see :func:`rows_of`.

    The day is read once, with the columns that its calls are judged by, and repriced a slice at a time; of the other
    days only what is named here. A million calls take about 1.5 GB and 5 s.

    Args:
        calls: ``priced_usage`` of the day.
        before: ``priced_usage`` of the day before, whose answers a cache may still hold; it may be empty.
        activity: ``priced_usage`` of the ``batching.ACTIVITY_DAYS`` up to and with the day, read by the minute.
        book: The price book that priced the day: a saving is a difference of two prices of one book.
        pairs: Which models stand in for which.
    """
    day = with_workload(calls.select(COLUMNS).collect().lazy())
    day = with_score(with_features(day)).drop("trace_id", *FEATURES).collect().lazy()
    day = with_caching(day, before).drop("latency_ms", "prompt_fingerprint").collect().lazy()
    day = with_downgrade(day, book, pairs).collect().lazy()
    return rows_of(with_savings(with_batching(day, activity).filter(pl.any_horizontal(FLAGS)), book))


def with_workload(calls: pl.LazyFrame) -> pl.LazyFrame:
    """``calls`` with ``call``, their number in order, and ``workload``, a number for ``WORKLOAD``."""
    numbered = calls.with_row_index("call")
    return with_found(numbered, numbered.select(WORKLOAD).unique().with_row_index("workload"), on=WORKLOAD)


def rows_of(calls: pl.LazyFrame) -> pl.LazyFrame:
    """The calls of ``combination.with_savings``, summed to rows of ``schemas.SAVINGS``, largest expected saving first.

    A lever that changes nothing for a workload under any assumptions has no row. Low never exceeds expected, nor
    expected high, although the hits of a cache that keeps longer need not be all of one that keeps shorter.
    """
    rows = pl.concat([_rows_of_lever(calls, lever) for lever in LEVERS])
    return SAVINGS.conform(rows).sort(
        "saving", "saving_high", *_GRAIN, descending=[True, True, *[False] * len(_GRAIN)], nulls_last=True
    )


def _rows_of_lever(calls: pl.LazyFrame, name: str) -> pl.LazyFrame:
    lever, saving, expected = _LEVERS[name], pl.col(f"saving_{name}"), pl.col(flag(name, "expected"))
    low, middle, high = (saving.filter(flag(name, grade)).sum() for grade in GRADES)
    return (
        calls.filter(pl.any_horizontal(flag(name, grade) for grade in GRADES), saving != 0)
        .with_columns(target=lever.target)
        .group_by(*WORKLOAD, "target")
        .agg(
            target_name=pl.col("target_name").drop_nulls().first(),
            requests=expected.sum().cast(pl.Int64),
            cost=pl.col("contracted_cost").filter(expected).sum().cast(TOTAL),
            saving_low=pl.min_horizontal(low, middle).cast(TOTAL),
            saving=middle.cast(TOTAL),
            saving_high=pl.max_horizontal(middle, high).cast(TOTAL),
            incremental=pl.col(f"incremental_{name}").sum().cast(TOTAL),
        )
        .with_columns(
            lever=pl.lit(name, dtype=SAVINGS.schema["lever"]),
            evidence=pl.lit(lever.evidence, dtype=SAVINGS.schema["evidence"]),
            assumptions=pl.lit(lever.assumptions),
            action=lever.action,
        )
    )
