"""From a day's calls to its rows of ``savings``: which lever would have saved what, by workload.

Which calls are a lever's is the lever's own to say; what it saves of each of them is in ``combination``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.savings import batching, caching, downgrade
from finops_pipeline.savings.batching import signs_of, with_batching
from finops_pipeline.savings.caching import hits_of, with_caching
from finops_pipeline.savings.calls import COLUMNS, GRADES, WORKLOAD, as_paid, with_workload
from finops_pipeline.savings.combination import FLAGS, settled, sums_of, with_savings
from finops_pipeline.savings.complexity import FEATURES, history_of, with_features, with_score
from finops_pipeline.savings.downgrade import with_downgrade
from finops_pipeline.savings.pairs import PAIRS, Pair
from finops_pipeline.schemas import SAVINGS
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

CALLS_AT_ONCE = 50_000
"""Calls that are judged and repriced together, with all their columns, so that memory does not grow with the day."""


def savings_of_day(
    calls: pl.LazyFrame,
    before: pl.LazyFrame,
    activity: pl.LazyFrame,
    book: PriceBook,
    pairs: Sequence[Pair] = PAIRS,
) -> pl.LazyFrame:
    """Rows of ``schemas.SAVINGS`` of a day, a row a lever, workload and target; see :func:`rows_of`.

    What calls say of each other is found first, from a few columns of them; then they are judged and repriced,
    ``CALLS_AT_ONCE``.

    Args:
        calls: ``priced_usage`` of the day.
        before: ``priced_usage`` of the day before, whose answers a cache may still hold; it may be empty.
        activity: ``priced_usage`` of the ``batching.ACTIVITY_DAYS`` up to and with the day.
        book: The price book that priced the day: a saving is a difference of two prices of one book.
        pairs: Which models stand in for which.
    """
    count = calls.select(pl.len()).collect().item()
    day = calls.select(COLUMNS).with_columns(as_paid())
    if count <= CALLS_AT_ONCE:
        day = day.collect().lazy()
    numbered = with_workload(day.with_row_index("call"))
    history, hits = history_of(numbered), hits_of(numbered, before)
    signs = signs_of(numbered, activity)
    sums = []
    for first in range(0, max(count, 1), CALLS_AT_ONCE):
        part = with_workload(day.slice(first, CALLS_AT_ONCE).with_row_index("call", offset=first)).collect().lazy()
        here = pl.col("call").is_between(first, first + CALLS_AT_ONCE - 1)
        part = with_score(with_features(part, history.lazy().filter(here))).drop(FEATURES)
        part = with_caching(part, hits.lazy().filter(here))
        part = with_batching(with_downgrade(part.collect().lazy(), book, pairs), signs)
        sums.append(sums_of(with_savings(part.filter(pl.any_horizontal(FLAGS)), book)).collect())
    return rows_of(settled(pl.concat(sums).lazy()))


def rows_of(sums: pl.LazyFrame) -> pl.LazyFrame:
    """The sums of ``combination.settled`` as rows of ``schemas.SAVINGS``, largest expected saving first.

    A lever that changes nothing for a workload under any assumptions has no row. Low never exceeds expected, nor
    expected high, although the hits of a cache that keeps longer need not be all of one that keeps shorter.
    """
    rows = pl.concat([_rows_of_lever(sums, lever) for lever in LEVERS])
    return SAVINGS.conform(rows).sort(
        "saving", "saving_high", *_GRAIN, descending=[True, True, *[False] * len(_GRAIN)], nulls_last=True
    )


def _rows_of_lever(sums: pl.LazyFrame, name: str) -> pl.LazyFrame:
    lever = _LEVERS[name]
    low, middle, high = (pl.col(f"{grade}_{name}") for grade in GRADES)
    return (
        sums.with_columns(target=lever.target)
        .group_by(*WORKLOAD, "target")
        .agg(pl.col("target_name").drop_nulls().first(), pl.col(f"^.*_{name}$").sum())
        .filter(pl.col(f"changed_{name}") > 0)
        .with_columns(
            lever=pl.lit(name, dtype=SAVINGS.schema["lever"]),
            requests=f"requests_{name}",
            cost=f"cost_{name}",
            saving_low=pl.min_horizontal(low, middle),
            saving=middle,
            saving_high=pl.max_horizontal(middle, high),
            incremental=f"incremental_{name}",
            evidence=pl.lit(lever.evidence, dtype=SAVINGS.schema["evidence"]),
            assumptions=pl.lit(lever.assumptions),
            action=lever.action,
        )
    )
