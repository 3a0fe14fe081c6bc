"""The lines of a month's statement: who is charged what, rounded to cents once. Pure; nothing here reads or writes."""

from decimal import Decimal

import polars as pl

from finops_pipeline.money import largest_remainder, to_cents
from finops_pipeline.schemas import AMOUNT, CHARGEBACK, TOKEN_CLASSES, TOTAL

USAGE_LINE = "usage"
UNALLOCATED_LINE = "unallocated"

_KEYS = ("team", "cost_center", "project", "service", "model", "unpriced_reason")


def statement_lines(costs: pl.LazyFrame, currency: str = "USD") -> pl.DataFrame:
    """One line a team, cost centre, project, service and model, in whole cents that add up to the total.

    Calls without a price have a line of their own for each reason, with an amount of nothing.

    The total is the exact sum of all costs, half-even to the cent. It is shared out over the teams, and each team's
    amount over its lines, by largest remainder: every amount is within a cent of its exact cost, a line that cost
    nothing stays at nothing, and no cent is lost on the way.

    Args:
        costs: ``daily_costs`` rows, of all days of the month.
        currency: ISO 4217 code that the costs are in.

    Returns:
        ``chargeback`` rows: teams by amount, the unallocated last; within a team by amount, then by name.
    """
    exact = _exact_lines(costs)
    by_team = exact.group_by("team", maintain_order=True).agg(pl.col("exact_cost").sum())
    team_costs = by_team.get_column("exact_cost").to_list()
    team_amounts = largest_remainder(team_costs, to_cents(sum(team_costs, Decimal(0))))
    amounts: list[Decimal] = []
    for lines, amount in zip(exact.partition_by("team", maintain_order=True), team_amounts, strict=True):
        amounts += largest_remainder(lines.get_column("exact_cost").to_list(), amount)
    charged = exact.with_columns(
        pl.Series("amount", amounts, dtype=AMOUNT),
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
    return CHARGEBACK.check(by_amount.select(CHARGEBACK.names))


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
