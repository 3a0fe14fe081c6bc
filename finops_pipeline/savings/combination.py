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
from finops_pipeline.schemas import TOTAL
from finops_pipeline.schemas.savings import LEVERS

FLAGS = tuple(flag(lever, grade) for lever in LEVERS for grade in GRADES)

READ = tuple(dict.fromkeys(("call", *WORKLOAD, *RATED, "contracted_cost", *PRICED_WITH, *FLAGS)))

GRAIN = (*WORKLOAD, "target")

_VARIANTS = ("smaller", "queued", "smaller_queued")
"""What a call would have been: on the smaller model, in a batch job, and both."""

_ZERO = pl.lit(0, dtype=TOTAL)


def with_savings(calls: pl.LazyFrame, book: PriceBook) -> pl.LazyFrame:
    """``calls`` with what each lever would save of them, USD: ``saving_<lever>`` alone, ``incremental_<lever>``.

    ``saving`` is null where the price of what the call would have been is not known. A call that would cost more in a
    batch job stays out of it and saves 0. Whether the simple calls of a workload go to the target at all is decided
    for all of them, in :func:`settled`: ``unmoved_batching`` is what is left for batching if they do not.

    Args:
        calls: Columns ``READ``: those of calls, of their ``pairs.targets``, and ``FLAGS``.
        book: The price book that the calls were charged by.
    """
    judged = calls.select(READ).collect()
    prices = _prices(judged.lazy(), book)
    cost, smaller, queued, both = (pl.col(name).cast(TOTAL) for name in ("contracted_cost", *_VARIANTS))
    repeated, simple, deferrable = (pl.col(flag(lever, "expected")) for lever in LEVERS)
    moved = simple & ~repeated & smaller.is_not_null()
    rest, rest_queued = (
        pl.when(moved).then(if_moved).otherwise(price) for price, if_moved in ((cost, smaller), (queued, both))
    )
    left = deferrable & ~repeated & (queued < cost)
    return pl.concat([judged.lazy(), prices], how="horizontal").with_columns(
        saving_caching=cost,
        saving_downgrade=cost - smaller,
        saving_batching=_at_least_nothing(cost - queued),
        incremental_caching=pl.when(repeated).then(cost).otherwise(_ZERO),
        incremental_downgrade=pl.when(moved).then(cost - smaller).otherwise(_ZERO),
        incremental_batching=pl.when(left)
        .then(_at_least_nothing(rest - rest_queued).fill_null(_ZERO))
        .otherwise(_ZERO),
        unmoved_batching=pl.when(left).then(cost - queued).otherwise(_ZERO),
    )


def sums_of(calls: pl.LazyFrame) -> pl.LazyFrame:
    """The calls of :func:`with_savings`, summed by workload and target.

    Of each lever, ``<name>_<lever>``: ``low``, ``expected``, ``high``, ``incremental``, USD; ``requests`` and ``cost``
    of the calls that the expected saving is made with; ``changed``, calls that it changes under some assumptions.
    """
    return calls.group_by(GRAIN).agg(
        pl.col("target_name").drop_nulls().first(),
        *(total.alias(f"{name}_{lever}") for lever in LEVERS for name, total in _sums(lever).items()),
        pl.col("unmoved_batching").sum().cast(TOTAL),
    )


def settled(sums: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of :func:`sums_of` parts of the calls, as those of all: what costs more on the target does not go there."""
    pays = pl.min_horizontal("expected_downgrade", "incremental_downgrade") > 0
    return (
        sums.group_by(GRAIN)
        .agg(pl.col("target_name").drop_nulls().first(), pl.exclude(*GRAIN, "target_name").sum())
        .with_columns(
            incremental_downgrade=pl.when(pays).then("incremental_downgrade").otherwise(_ZERO),
            incremental_batching=pl.when(pays).then("incremental_batching").otherwise("unmoved_batching"),
        )
        .drop("unmoved_batching")
    )


def _sums(lever: str) -> dict[str, pl.Expr]:
    saving = pl.col(f"saving_{lever}")
    changes = (saving != 0).fill_null(False)
    expected = pl.col(flag(lever, "expected")) & changes
    return {
        **{grade: saving.filter(flag(lever, grade)).sum().cast(TOTAL) for grade in GRADES},
        "incremental": pl.col(f"incremental_{lever}").sum().cast(TOTAL),
        "requests": expected.sum().cast(pl.Int64),
        "cost": pl.col("contracted_cost").filter(expected).sum().cast(TOTAL),
        "changed": (changes & pl.any_horizontal(flag(lever, grade) for grade in GRADES)).sum().cast(pl.Int64),
    }


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
