"""The lines of a month's statement: who is charged what, rounded once. Pure; nothing here reads or writes."""

from collections.abc import Iterable
from decimal import Decimal

import polars as pl

from finops_pipeline.money import EXPONENTS, USD, convert, exact_sum, largest_remainder, to_minor_units
from finops_pipeline.schemas import TOKEN_CLASSES, TOTAL, chargeback_in

USAGE_LINE = "usage"
UNALLOCATED_LINE = "unallocated"

_KEYS = ("team", "cost_center", "project", "service", "model", "unpriced_reason")


def statement_lines(costs: pl.LazyFrame, currency: str = USD, rate: Decimal = Decimal(1)) -> pl.DataFrame:
    """One line a team, cost centre, project, service and model, in whole minor units that add up to the total.

    Calls without a price have a line of their own for each reason, with an amount of nothing.

    The total is the exact sum of all costs, converted, and half-even to the minor unit (a cent of USD). It is shared
    out over the teams, and each team's amount over its lines, by largest remainder: every amount is within a unit of
    its exact cost, a line that cost nothing stays at nothing, and no unit is lost on the way.

    Args:
        costs: ``daily_costs`` rows, of all days of the month.
        currency: ISO 4217 code of the amounts.
        rate: Units of it for one USD.

    Returns:
        ``chargeback`` rows: teams by amount, the unallocated last; within a team by amount, then by name.
    """
    table, exponent = chargeback_in(currency), EXPONENTS[currency]
    exact = _exact_lines(costs)
    by_team = exact.group_by("team", maintain_order=True).agg(pl.col("exact_cost").sum())
    team_amounts = round_together(by_team.get_column("exact_cost"), rate, exponent)
    amounts: list[Decimal] = []
    for lines, amount in zip(exact.partition_by("team", maintain_order=True), team_amounts, strict=True):
        converted = [convert(cost, rate) for cost in lines.get_column("exact_cost")]
        amounts += largest_remainder(converted, amount, exponent)
    charged = exact.with_columns(
        pl.Series("amount", amounts, dtype=table.schema["amount"]),
        line=pl.when(pl.col("team").is_null()).then(pl.lit(UNALLOCATED_LINE)).otherwise(pl.lit(USAGE_LINE)),
        currency=pl.lit(currency),
    )
    by_amount = charged.sort(
        pl.col("team").is_null(),
        pl.col("amount").sum().over("team"),
        "team",
        "amount",
        *_KEYS[1:],
        descending=[False, True, False, True, *(False for _ in _KEYS[1:])],
        nulls_last=True,
    )
    return table.check(by_amount.select(table.names))


def round_together(costs: Iterable[Decimal], rate: Decimal, exponent: int) -> list[Decimal]:
    """Exact USD at ``rate``, in whole minor units that add up to what all of them together round to."""
    usd = list(costs)
    total = to_minor_units(convert(exact_sum(usd), rate), exponent)
    return largest_remainder([convert(cost, rate) for cost in usd], total, exponent)


def _exact_lines(costs: pl.LazyFrame) -> pl.DataFrame:
    """The lines before rounding, ordered by name: equal remainders are served in this order."""
    return (
        costs.group_by(_KEYS)
        .agg(
            pl.col("requests").sum(),
            pl.sum_horizontal(TOKEN_CLASSES).sum().alias("tokens"),
            pl.col("unpriced_requests").sum(),
            pl.col("unpriced_tokens").sum(),
            pl.col("cost").sum().cast(TOTAL).alias("exact_cost"),
        )
        .sort(_KEYS, nulls_last=True)
        .collect()
    )
