"""A month's rows of ``savings``, as actions: days with the same lever, workload and target are one.

Amounts are rounded to cents here, once; how they look is in ``reports``.
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from finops_pipeline.chargeback.analyses import Action, SavingsFound
from finops_pipeline.money import CENT, to_cents

FIRST = 5
"""Actions that are named, of the whole month and of each team."""

LOSING = 3
"""Levers that would lose money that are named."""

SAME = (
    "lever", "team", "project", "application", "service", "model", "target", "evidence", "assumptions", "action",
)  # fmt: skip
"""What makes days of ``savings`` one action."""


def savings_found(rows: pl.LazyFrame, days: int | None = None) -> SavingsFound:
    """What would have cost less, of a month's rows of ``savings`` with their ``date``.

    Args:
        rows: The rows.
        days: Days that were analysed; by default those that have rows. A day on which nothing would save has none.
    """
    actions = actions_of(rows)
    saving = [action for action in actions if action.expected >= CENT]
    of_team: defaultdict[str | None, list[Action]] = defaultdict(list)
    together: defaultdict[str | None, Decimal] = defaultdict(Decimal)
    for action in saving:
        of_team[action.team].append(action)
        together[action.team] += action.incremental
    named = {*saving[:FIRST], *(action for team in of_team.values() for action in team[:FIRST])}
    losing = sorted((action for action in actions if action.expected <= -CENT), key=lambda action: action.expected)
    if days is None:
        days = rows.select(pl.col("date").n_unique()).collect().item()
    return SavingsFound(
        actions=tuple(action for action in saving if action in named),
        together=dict(together),
        would_cost_more=tuple(losing[:LOSING]),
        days=days,
    )


def actions_of(rows: pl.LazyFrame) -> tuple[Action, ...]:
    """All actions of these days, by expected saving, descending; those that would lose money are the last."""
    return tuple(_action(row) for row in monthly(rows).collect().iter_rows(named=True))


def monthly(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of ``savings`` of several days, summed by ``SAME``; exact amounts, by expected saving, descending."""
    return (
        rows.group_by(SAME)
        .agg(
            pl.col("requests").sum(),
            pl.col("cost").sum(),
            low=pl.col("saving_low").sum(),
            expected=pl.col("saving").sum(),
            high=pl.col("saving_high").sum(),
            incremental=pl.col("incremental").sum(),
        )
        .sort("expected", "high", *SAME, descending=[True, True, *[False] * len(SAME)], nulls_last=True)
        .with_columns(pl.col("lever", "evidence").cast(pl.String))
    )


def _action(row: Mapping[str, Any]) -> Action:
    amounts = {name: to_cents(row[name]) for name in ("cost", "low", "expected", "high", "incremental")}
    return Action(**{**row, **amounts})
