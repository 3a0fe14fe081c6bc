"""What the levers save of each call, each on its own and all of them together.

Levers overlap: a call that need not be made again is neither downgraded nor batched. They are applied in the order of
``schemas.LEVERS``, and ``incremental`` is what a lever still saves once those before it are applied, so that these add
up to what all save together, which is never more than the calls have cost.
"""

import polars as pl

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.savings import batching, downgrade
from finops_pipeline.savings.batching import batched
from finops_pipeline.savings.calls import GRADES, RATED, WORKLOAD, flag
from finops_pipeline.savings.downgrade import downgraded
from finops_pipeline.savings.pairs import PRICED_WITH
from finops_pipeline.savings.repricing import repriced
from finops_pipeline.schemas import COST, TOTAL
from finops_pipeline.schemas.savings import LEVERS

REPRICED_AT_ONCE = 200_000
"""Calls that are repriced together, so that memory does not grow with the day."""

FLAGS = tuple(flag(lever, grade) for lever in LEVERS for grade in GRADES)

READ = tuple(dict.fromkeys(("call", "workload", *WORKLOAD, *RATED, "contracted_cost", *PRICED_WITH, *FLAGS)))

_VARIANTS = ("smaller", "queued", "smaller_queued")
"""What a call would have been: on the smaller model, in a batch job, and both."""

_ZERO = pl.lit(0, dtype=TOTAL)


def with_savings(calls: pl.LazyFrame, book: PriceBook) -> pl.LazyFrame:
    """``calls`` with what each lever would save of them, USD: ``saving_<lever>`` alone, ``incremental_<lever>``.

    ``saving`` is null where the price of what the call would have been is not known. A call that would cost more in a
    batch job stays out of it and saves 0. The simple calls of a workload that together would cost more on the target
    stay where they are in the combination.

    Args:
        calls: Columns ``READ``: those of calls, of their ``pairs.targets``, and ``FLAGS``.
        book: The price book that the calls were charged by.
    """
    judged = calls.select(READ).collect()
    prices = [_prices(part.lazy(), book).collect() for part in judged.iter_slices(REPRICED_AT_ONCE)]
    wide = pl.concat([pl.DataFrame(schema=dict.fromkeys(_VARIANTS, COST)), *prices])
    cost, smaller, queued, both = (pl.col(name).cast(TOTAL) for name in ("contracted_cost", *_VARIANTS))
    repeated, simple, deferrable = (pl.col(flag(lever, "expected")) for lever in LEVERS)
    pays = (cost - smaller).filter(simple).sum().over("workload", "target") > 0
    moved = simple & ~repeated & smaller.is_not_null() & pays
    rest, rest_queued = (
        pl.when(moved).then(if_moved).otherwise(price) for price, if_moved in ((cost, smaller), (queued, both))
    )
    return (
        pl.concat([judged, wide], how="horizontal")
        .lazy()
        .with_columns(
            saving_caching=cost,
            saving_downgrade=cost - smaller,
            saving_batching=_at_least_nothing(cost - queued),
            incremental_caching=pl.when(repeated).then(cost).otherwise(_ZERO),
            incremental_downgrade=pl.when(moved).then(cost - smaller).otherwise(_ZERO),
            incremental_batching=pl.when(deferrable & ~repeated & (queued < cost))
            .then(_at_least_nothing(rest - rest_queued).fill_null(_ZERO))
            .otherwise(_ZERO),
        )
    )


def _prices(calls: pl.LazyFrame, book: PriceBook) -> pl.LazyFrame:
    """A column for each of ``_VARIANTS``, in the order of ``calls``; null where the call has no such variant."""
    is_simple, is_deferrable = (
        pl.any_horizontal(flag(lever, grade) for grade in GRADES) for lever in (downgrade.LEVER, batching.LEVER)
    )
    simple = downgraded(calls.filter(is_simple))
    variants = (simple, batched(calls.filter(is_deferrable), book), batched(simple.filter(is_deferrable), book))
    price = repriced(
        pl.concat(
            frame.select("call", *RATED, variant=pl.lit(variant))
            for variant, frame in zip(_VARIANTS, variants, strict=True)
        ),
        book,
    ).collect()
    wide = calls.select("call")
    for variant in _VARIANTS:
        of_variant = price.lazy().filter(variant=variant).select("call", pl.col("repriced").alias(variant))
        wide = wide.join(of_variant, on="call", how="left", maintain_order="left")
    return wide.drop("call")


def _at_least_nothing(saving: pl.Expr) -> pl.Expr:
    return pl.when(saving < 0).then(_ZERO).otherwise(saving)
