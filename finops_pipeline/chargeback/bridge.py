"""Why a month came to another amount than the one before, in steps that add up to the change, to the minor unit. Pure.

The method is additive LMDI-I, the logarithmic mean Divisia index (B. W. Ang, "Decomposition analysis for policymaking
in energy", Energy Policy 32, 2004; "The LMDI approach to decomposition analysis: a practical guide", Energy Policy 33,
2005): the cost of each cell (team, project, model) and component (uncached input, cache reads, cache writes, output,
other) is a product of factors, and the change of a product divides among its factors without a residual. What comes of
the steps is in ``reports``.
"""

from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from finops_pipeline.chargeback.analyses import BridgeStep
from finops_pipeline.money import convert, largest_remainder, to_minor_units
from finops_pipeline.schemas import TOTAL

EFFECTS = ("Volume", "Mix", "Length", "Caching", "Price")
"""The factors, in the order in which a cost is the product of them:

    cost = calls · the cell's part of the calls · tokens a call · the class's part of these · USD a token

Volume is the number of calls; Mix, which team, project and model they are of, with cells that are new or ended; Length,
input and output tokens a call; Caching, how the input divides into uncached, read and written; Price, USD a token, with
whatever a source charges beyond our own price."""

CURRENCY = "Currency"
"""The step of a statement in another currency than USD: what the month before comes to at the month's rate, less what
it came to at its own. All other steps are at the month's rate, so that nothing of them is due to the rate: the
comparison is one in constant currency."""

RESTATED = "Restated"
"""The step that takes what either month was changed by after its statement was made."""

_CELL = ("team", "project", "model")

_COUNTS = {
    "calls": pl.col("requests"),
    "uncached": pl.col("input_tokens"),
    "read": pl.col("cache_read_tokens"),
    "written": pl.col("cache_write_5m_tokens") + pl.col("cache_write_1h_tokens"),
    "output": pl.col("output_tokens"),
}

_COSTS = {
    "uncached_cost": pl.col("input_cost"),
    "read_cost": pl.col("cache_read_cost"),
    "written_cost": pl.col("cache_write_cost"),
    "output_cost": pl.col("output_cost"),
    "other_cost": pl.col("cost")
    - pl.sum_horizontal("input_cost", "cache_read_cost", "cache_write_cost", "output_cost"),
}
"""Parts of what is charged. The other is searches and images, and the difference of a reported cost to our own price:
it has no tokens, so that its factors are calls and USD a call."""

_INPUT = ("uncached", "read", "written")

_COMPONENTS = (
    *((_INPUT, (token_class,), f"{token_class}_cost") for token_class in _INPUT),
    (("output",), ("output",), "output_cost"),
    (("calls",), ("calls",), "other_cost"),
)
"""Of each: what counts its length, what counts its class (a part of the length), what it costs."""

_LEVELS = ("all_calls", "calls", "length", "class", "cost")
"""Each level is the one before times the next factor."""

_ALIKE = 1e-6
"""Relative difference below which the logarithmic mean is the arithmetic one: they differ by a 12th of its square."""


def bridge(
    before: pl.LazyFrame,
    after: pl.LazyFrame,
    total_before: Decimal,
    total_after: Decimal,
    *,
    rate: Decimal = Decimal(1),
    exponent: int = 2,
    before_at_rate: Decimal | None = None,
) -> tuple[BridgeStep, ...]:
    """The steps from one month's statement to the next one's.

    A factor that one month has nothing of takes its component's whole change, the analytical limit of LMDI (Ang and
    Liu, "Handling zero values in the logarithmic mean Divisia index decomposition approach", Energy Policy 35, 2007):
    Mix for a cell that is new or ended, Caching for a token class that a cell begins to use, Price for what was free.

    Args:
        before: ``daily_costs`` rows of the month before.
        after: Those of the month.
        total_before: What the statement of the month before came to, in the currency of the month's.
        total_after: What the month's statement comes to.
        rate: Units of that currency for one USD, of the month's statement.
        exponent: Decimals of the currency's minor unit.
        before_at_rate: What the statement of the month before comes to at ``rate``; None: ``total_before``.

    Returns:
        A step for each of ``EFFECTS``, zero or not, a step ``CURRENCY`` where the rate has changed, and a step
        ``RESTATED`` where the rows no longer come to the totals; whole minor units, which add up to
        ``total_after - total_before``. None at all where the month before has no calls: everything is new then.
    """
    cells = _cells(before, after)
    if not cells.get_column("calls_before").sum():
        return ()
    costs = cells.select(pl.sum(f"{cost}_{month}") for month in ("before", "after") for cost in _COSTS).row(0)
    was, now = sum(costs[: len(_COSTS)], Decimal(0)), sum(costs[len(_COSTS) :], Decimal(0))
    explained = to_minor_units(convert(now, rate), exponent) - to_minor_units(convert(was, rate), exponent)
    in_usd = cells.pipe(_components).select(_effects()).sum().row(0)
    effects = [to_minor_units(convert(Decimal(effect), rate), TOTAL.scale) for effect in in_usd]
    largest = max(range(len(effects)), key=lambda i: abs(effects[i]))
    effects[largest] += explained - sum(effects, Decimal(0))  # what Float64, and both totals' rounding, leave over
    rounded = largest_remainder(effects, explained, exponent)
    steps = [BridgeStep(*step) for step in zip(EFFECTS, rounded, strict=True)]
    exchanged = Decimal(0) if before_at_rate is None else before_at_rate - total_before
    if exchanged:
        steps.append(BridgeStep(CURRENCY, exchanged))
    if restated := total_after - total_before - exchanged - explained:
        steps.append(BridgeStep(RESTATED, restated))
    return tuple(steps)


def _cells(before: pl.LazyFrame, after: pl.LazyFrame) -> pl.DataFrame:
    """Counts and exact costs of each cell in both months, side by side; zero where a month lacks the cell."""
    months = [
        costs.select(*_CELL, **{f"{name}_{month}": measure for name, measure in {**_COUNTS, **_COSTS}.items()})
        for costs, month in ((before, "before"), (after, "after"))
    ]
    return pl.concat(months, how="diagonal").group_by(_CELL).agg(pl.exclude(_CELL).sum()).collect()


def _components(cells: pl.DataFrame) -> pl.DataFrame:
    """A row a cell and component: its levels in both months, as Float64."""

    def levels(length: Sequence[str], token_class: Sequence[str], cost: str, month: str) -> list[pl.Expr]:
        counted: dict[str, tuple[str, ...]] = {
            "calls": ("calls",),
            "length": tuple(length),
            "class": tuple(token_class),
        }
        return [
            pl.sum(f"calls_{month}").cast(pl.Float64).alias(f"all_calls_{month}"),
            *(
                pl.sum_horizontal(f"{name}_{month}" for name in names).cast(pl.Float64).alias(f"{level}_{month}")
                for level, names in counted.items()
            ),
            pl.col(f"{cost}_{month}").cast(pl.Float64).alias(f"cost_{month}"),
        ]

    return pl.concat(
        cells.select(*levels(*component, "before"), *levels(*component, "after")) for component in _COMPONENTS
    )


def _effects() -> list[pl.Expr]:
    """What each factor changed a component's cost by: the log mean of its costs times the factor's log growth.

    Cut to 12 places, so that adding them up is exact and the order of the rows does not matter.
    """
    was, now = pl.col("cost_before"), pl.col("cost_after")
    change = now - was
    log_mean = pl.when(change.abs() <= _ALIKE * was.abs()).then((was + now) / 2).otherwise(change / (now / was).log())
    levels = [(pl.col(f"{level}_before"), pl.col(f"{level}_after")) for level in _LEVELS]
    takes_all = pl.coalesce(
        *(pl.when((start == 0) != (end == 0)).then(n) for n, (start, end) in enumerate(levels)),
        pl.when(was * now < 0).then(len(levels) - 1),  # a credit became a charge: no logarithm says by which growth
    )
    effects = []
    growth_before = pl.lit(0.0)
    for n, (start, end) in enumerate(levels):
        growth = pl.when(start != 0).then((end / start).log()).otherwise(growth_before)
        share = log_mean * (growth - growth_before)
        only_one = pl.when(takes_all == n).then(change).otherwise(0.0)
        effect = pl.when(change.eq(0) & was.eq(0)).then(0.0).when(takes_all.is_null()).then(share).otherwise(only_one)
        effects.append(effect.cast(TOTAL).alias(EFFECTS[n]))
        growth_before = growth
    return effects
