"""A team's part of a statement: what its owner gets to see, and nothing else."""

import dataclasses
from decimal import Decimal

import polars as pl

from finops_pipeline.chargeback.analyses import SavingsFound
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.schemas import TOTAL


def part_of(statement: Statement, team: str, replaces: Decimal | None = None) -> Statement:
    """A team's part of a statement: nothing of other teams is in it, so that nothing of them can be shown.

    What was read, and from which price books, is the company's and stays out too. Its ``completeness`` is the whole's.

    Args:
        statement: A whole statement.
        team: One that is charged, or has a budget or last month's amount in it.
        replaces: What the revision before charged the team with.
    """
    before = statement.previous
    days = statement.team_days.filter(pl.col("team") == team).select("date", "cost")
    known = ~pl.col("date").is_in(list(statement.completeness.missing_days))
    if statement.team_days.is_empty() and not statement.lines.is_empty():
        known = pl.lit(False)  # of a version that did not keep what a team costs a day
    return dataclasses.replace(
        statement,
        lines=statement.lines.filter(pl.col("team") == team),
        days=statement.days.select("date")
        .join(days, on="date", how="left", maintain_order="left")
        .select("date", cost=pl.when(known).then(pl.col("cost").fill_null(pl.lit(0, dtype=TOTAL)))),
        team_days=statement.team_days.filter(pl.col("team") == team),
        outcomes={},
        lines_read=0,
        book_versions=(),
        previous=None
        if before is None
        else PreviousMonth(
            before.month,
            amount := before.by_team.get(team, Decimal("0.00")),
            {team: amount} if team in before.by_team else {},
            before.incomplete,
            charged_in=before.charged_in,
        ),
        replaces=replaces,
        owners={name: owner for name, owner in statement.owners.items() if name == team},
        estimated_tokens=0,
        budgets=tuple(line for line in statement.budgets if line.team == team),
        bridge=(),
        savings=SavingsFound(
            tuple(action for action in statement.savings.actions if action.team == team),
            {name: amount for name, amount in statement.savings.together.items() if name == team},
            tuple(action for action in statement.savings.would_cost_more if action.team == team),
            statement.savings.days,
        ),
        unreachable=(),
        silent_sources=(),
        only_team=team,
    )
