"""The rows of a report's tables: which teams, projects, budgets and actions stand in them, and what is "other".

Each table adds up to what it is a part of. Page and mail take the same rows; how they look is in the templates.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import polars as pl

from finops_pipeline.chargeback.analyses import Action, BudgetLine
from finops_pipeline.chargeback.statement import Statement, TeamTotal, ratio, without_price
from finops_pipeline.reports import numbers, wording

LONGEST_TABLE = 10
"""Rows that a table shows before the rest is one row; workbook and ledger have them all."""

MOST_ACTIONS = 5
"""Actions that a page lists."""

RowKind = Literal["team", "other", "unallocated", "total"]


@dataclass(frozen=True)
class ChargeRow:
    """One row of the charges.

    Attributes:
        name: As it is shown.
        before: What was charged in the month before; None where that is unknown.
        change: Against the month before; None where that is unknown.
        unpriced: No call of it has a price.
        team: The team of a row of kind ``team``.
        requests: Calls; without any there is nothing to break down.
    """

    name: str
    kind: RowKind
    amount: Decimal
    share: Decimal | None
    before: Decimal | None
    change: Decimal | None
    unpriced: bool = False
    cost_centers: tuple[tuple[str | None, Decimal], ...] = ()
    owner: str | None = None
    budget: BudgetLine | None = None
    team: str | None = None
    requests: int = 0

    @property
    def cost_center(self) -> str:
        """The cost centre, or how many there are."""
        if len(self.cost_centers) > 1:
            return f"{len(self.cost_centers)} cost centres"
        if self.cost_centers:
            return numbers.name(self.cost_centers[0][0])
        return "" if self.kind in ("other", "total") else numbers.DASH

    @property
    def budget_used(self) -> str:
        """``107.1 % exceeded``, ``no budget``; a dash where nobody can have one."""
        if self.kind in ("other", "total"):
            return ""
        if self.kind == "unallocated":
            return numbers.DASH
        return wording.NO_BUDGET if self.budget is None else wording.budget_used(self.budget)


@dataclass(frozen=True)
class DetailRow:
    """What is charged for one project and model; ``others`` rows in one where it is above zero.

    ``unpriced``: no call of it has a price.
    """

    project: str | None
    model: str | None
    requests: int
    tokens: int
    amount: Decimal
    share: Decimal | None
    unpriced: bool = False
    others: int = 0


@dataclass(frozen=True)
class ActionRow:
    """An action with the number of its note: actions with the same assumptions share one."""

    action: Action
    note: int


@dataclass(frozen=True)
class Budgeted:
    """All budgets together.

    Attributes:
        limit: None where there is none that they could be summed against.
        at_least: Calls that count have no price: ``spent`` is a lower bound.
    """

    spent: Decimal
    limit: Decimal | None
    exceeded: tuple[BudgetLine, ...]
    warning: tuple[BudgetLine, ...]
    at_least: bool = False

    @property
    def share(self) -> Decimal | None:
        return None if self.limit is None else self.spent / self.limit


@dataclass(frozen=True)
class BudgetRows:
    """Budgets that stand one by one, and the others."""

    shown: tuple[BudgetLine, ...]
    others: tuple[BudgetLine, ...]

    @property
    def other(self) -> str:
        """``other (20): 2 exceeded, 1 warning``, or that none is exceeded."""
        states = Counter(line.status for line in self.others)
        told = [f"{states[status]} {status}" for status in ("exceeded", "warning") if states[status]]
        return f"other ({len(self.others)}): {', '.join(told) or 'none exceeded'}"


def charge_rows(statement: Statement) -> list[ChargeRow]:
    """The charges: the ten largest teams, the others in one row, the unallocated, the total."""
    shown, rest = shown_teams(statement)
    rows = [_row(statement, total) for total in shown]
    if rest:
        known = [total.change for total in rest if total.change is not None]
        change = sum(known, Decimal("0.00")) if statement.previous else None
        amount = sum((total.amount for total in rest), Decimal("0.00"))
        unpriced = all(total.unpriced for total in rest)
        rows.append(
            ChargeRow(
                f"other ({len(rest)})",
                "other",
                amount,
                None if unpriced else ratio(amount, statement.total),
                None if change is None else amount - change,
                change,
                unpriced,
            )
        )
    rows += [_row(statement, total) for total in statement.team_totals if total.team is None]
    before = None if statement.previous is None else statement.previous.total
    whole = ratio(statement.total, statement.total)
    return [*rows, ChargeRow(wording.TOTAL, "total", statement.total, whole, before, statement.change)]


def shown_teams(statement: Statement) -> tuple[list[TeamTotal], list[TeamTotal]]:
    """The teams that the charges list one by one, and those that are "other"; one alone never is."""
    teams = [total for total in statement.team_totals if total.team is not None]
    shown = _shown(len(teams))
    return teams[:shown], teams[shown:]


def teams_of(statement: Statement) -> list[str]:
    """Every team that a page is made for: charged now or in the month before, or with a budget of its own."""
    charged = [total.team for total in statement.team_totals if total.team is not None]
    return list(dict.fromkeys([*charged, *(line.team for line in statement.budgets if line.team is not None)]))


def team_details(statement: Statement, total: TeamTotal) -> list[DetailRow]:
    """A team's projects and models by amount: the ten largest and the others in one row; they sum to its charge."""
    rows = (
        statement.lines.filter(pl.col("team").eq_missing(pl.lit(total.team, dtype=pl.String)))
        .group_by("project", "model")
        .agg(pl.col("requests", "tokens", "amount").sum(), without_price().alias("unpriced"))
        .sort("amount", "tokens", "project", "model", descending=[True, True, False, False], nulls_last=True)
    )
    shown = _shown(rows.height)
    details = [
        DetailRow(project, model, requests, tokens, amount, None if unpriced else ratio(amount, total.amount), unpriced)
        for project, model, requests, tokens, amount, unpriced in rows.head(shown).iter_rows()
    ]
    rest = rows.slice(shown)
    if rest.height:
        amount = sum(rest.get_column("amount"), Decimal("0.00"))
        sums = int(rest.get_column("requests").sum()), int(rest.get_column("tokens").sum())
        unpriced = bool(rest.get_column("unpriced").all())
        share = None if unpriced else ratio(amount, total.amount)
        details.append(DetailRow(None, None, *sums, amount, share, unpriced, others=rest.height))
    return details


def other_budgets(statement: Statement) -> tuple[BudgetLine, ...]:
    """Budgets that no row of the charges shows: over several keys or teams, a team's second, of a team not listed."""
    shown = [row.budget for row in charge_rows(statement) if row.budget is not None]
    return tuple(line for line in statement.budgets if not any(line is budget for budget in shown))


def budget_rows(budgets: Sequence[BudgetLine]) -> BudgetRows:
    """The ten budgets closest to their limits or furthest beyond, and how many others there are; one alone never is."""
    by_share = sorted(budgets, key=lambda line: -line.share)
    shown = _shown(len(by_share))
    return BudgetRows(tuple(by_share[:shown]), tuple(by_share[shown:]))


def budgeted(statement: Statement) -> Budgeted:
    """How all budgets together stand.

    Summed are the teams' own, one a team, for scopes that overlap cannot be; without any, the one over all usage.
    """
    of_teams = {line.team: line for line in reversed(statement.budgets) if line.of_whole_team}
    summed = list(of_teams.values()) or [line for line in statement.budgets if not line.scope][:1]
    by_excess = sorted(statement.budgets, key=lambda line: -line.over)
    return Budgeted(
        spent=sum((line.spent for line in summed), Decimal("0.00")),
        limit=sum((line.limit for line in summed), Decimal(0)) if summed else None,
        exceeded=tuple(line for line in by_excess if line.status == "exceeded"),
        warning=tuple(line for line in by_excess if line.status == "warning"),
        at_least=any(line.unpriced_requests for line in summed),
    )


def own_budget(part: Statement) -> BudgetLine | None:
    """The budget over everything that the team of a part spends; the first where there are several."""
    return next((line for line in part.budgets if line.of_whole_team), None)


def action_rows(statement: Statement, most: int = MOST_ACTIONS) -> list[ActionRow]:
    """The first actions by expected saving."""
    actions = sorted(statement.savings.actions, key=lambda action: -action.expected)[:most]
    notes = assumptions(actions)
    return [ActionRow(action, notes.index(action.assumptions) + 1) for action in actions]


def assumptions(actions: Sequence[Action]) -> list[str]:
    """What has to hold for these actions, each once; an action's note is its place, from 1."""
    return list(dict.fromkeys(action.assumptions for action in actions))


def _shown(rows: int) -> int:
    """Rows that stand by themselves: one alone is never called other."""
    return rows if rows <= LONGEST_TABLE + 1 else LONGEST_TABLE


def _row(statement: Statement, total: TeamTotal) -> ChargeRow:
    known = statement.previous is not None and total.change is not None
    return ChargeRow(
        name=wording.team_name(total.team),
        kind="unallocated" if total.team is None else "team",
        amount=total.amount,
        share=total.share,
        before=total.amount - total.change if known and total.change is not None else None,
        change=total.change,
        unpriced=total.unpriced,
        cost_centers=total.cost_centers,
        owner=total.owner,
        budget=total.budget,
        team=total.team,
        requests=total.requests,
    )
