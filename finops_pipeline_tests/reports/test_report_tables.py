import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from finops_pipeline.chargeback.analyses import BudgetLine
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports.tables import (
    LONGEST_TABLE,
    action_rows,
    assumptions,
    budget_rows,
    budgeted,
    charge_rows,
    other_budgets,
    team_details,
    teams_of,
)

StatementOf = Callable[..., Statement]


def budget(name: str, spent: str, status: Any = "ok", **scope: str) -> BudgetLine:
    return BudgetLine(name, tuple(scope.items()), Decimal(100), Decimal(spent), status)


def test_rows_add_up_to_the_total(statement_of: StatementOf) -> None:
    costs = [{"team": f"t{n:02}", "cost": Decimal(n + 1)} for n in range(15)]
    statement = statement_of([*costs, {"cost": Decimal("0.5")}])
    *rows, total = charge_rows(statement)
    assert [row.name for row in rows[-2:]] == ["other (5)", "Unallocated"]
    assert (len(rows), total.amount) == (12, Decimal("120.50"))
    assert sum(row.amount for row in rows) == total.amount
    assert all(row.change is None and row.before is None for row in [*rows, total])


def test_changes_of_the_other_teams_are_summed(statement_of: StatementOf, october: Statement) -> None:
    costs = [{"team": f"t{n:02}", "cost": Decimal(1)} for n in range(12)]
    *rows, total = charge_rows(statement_of(costs, previous=october.previous))
    assert rows[-2].name.startswith("other")
    assert sum(row.change or 0 for row in rows) == total.change
    assert sum(row.before or 0 for row in rows) == total.before == Decimal("68043.46")


def test_other_teams_that_all_lack_a_price_lack_one_together(
    statement_of: StatementOf, unpriced: Callable[..., dict[str, Any]]
) -> None:
    rows = [{"team": f"t{n:02}", "cost": Decimal(1)} for n in range(10)]
    rows += [unpriced(f"u{n}", "x", "unknown_tier") for n in range(2)]
    *teams, total = charge_rows(statement_of(rows))
    assert (teams[-1].name, teams[-1].unpriced, teams[-1].share, total.unpriced) == ("other (2)", True, None, False)


def test_a_long_table_is_the_ten_largest_and_the_others(october: Statement) -> None:
    support = october.team_totals[0]
    rows = team_details(october, support)
    assert len(rows) == LONGEST_TABLE + 1
    assert (rows[-1].others, rows[-1].project) == (5, None)
    assert (sum(row.requests for row in rows), sum(row.tokens for row in rows)) == (support.requests, support.tokens)
    shown = [row.amount for row in rows[:-1]]
    assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize(("models", "rows", "others"), [(10, 10, 0), (11, 11, 0), (12, 11, 2)])
def test_one_row_alone_is_never_called_other(statement_of: StatementOf, models: int, rows: int, others: int) -> None:
    statement = statement_of([{"team": "a", "model": f"m{n:02}", "cost": Decimal(1)} for n in range(models)])
    details = team_details(statement, statement.team_totals[0])
    assert (len(details), details[-1].others) == (rows, others)


def test_a_budget_that_no_row_shows_is_listed_apart(statement_of: StatementOf) -> None:
    own, second = budget("a", "1", team="a"), budget("a again", "1", team="a")
    part, idle, whole = budget("a on x", "1", team="a", model="x"), budget("z", "0", team="z"), budget("all", "1")
    budgets = (own, second, part, idle, whole)
    statement = statement_of([{"team": "a", "cost": Decimal(1)}], budgets=budgets)
    assert charge_rows(statement)[0].budget is own
    assert other_budgets(statement) == (second, part, idle, whole)


@pytest.mark.parametrize(
    ("statuses", "shown", "other"),
    [
        (["ok"] * 11, 11, ""),
        (["ok"] * 12, 10, "other (2): none exceeded"),
        (["exceeded"] * 12 + ["warning"] * 3, 10, "other (5): 2 exceeded, 3 warning"),
    ],
)
def test_of_many_budgets_the_most_used_stand_and_the_others_are_counted(
    statuses: list[str], shown: int, other: str
) -> None:
    lines = [budget(str(n), str(200 - n), status) for n, status in enumerate(statuses)]
    rows = budget_rows(lines[::-1])
    assert list(rows.shown) == lines[:shown]
    assert list(rows.others) == lines[shown:]
    assert not other or rows.other == other


def test_equal_budgets_are_not_taken_for_each_other(statement_of: StatementOf) -> None:
    twins = (budget("a", "1", team="a"), budget("a", "1", team="a"))
    statement = statement_of([{"team": "a", "cost": Decimal(1)}], budgets=twins)
    assert len(other_budgets(statement)) == 1


def test_teams_own_budgets_are_summed_each_team_once(statement_of: StatementOf) -> None:
    budgets = (
        budget("a", "50", team="a"),
        budget("a again", "50", "exceeded", team="a"),
        budget("b", "110", "exceeded", team="b"),
        budget("a on x", "90", "warning", team="a", model="x"),
        budget("all", "99", "warning"),
    )
    found = budgeted(statement_of([{"team": "a", "cost": Decimal(1)}], budgets=budgets))
    assert (found.spent, found.limit, found.share) == (Decimal(160), Decimal(200), Decimal("0.8"))
    assert [line.budget for line in found.exceeded] == ["b", "a again"]
    assert [line.budget for line in found.warning] == ["all", "a on x"]


def test_without_budgets_there_is_no_share(statement_of: StatementOf) -> None:
    found = budgeted(statement_of([{"team": "a", "cost": Decimal(1)}], budgets=(budget("x", "1", model="x"),)))
    assert (found.limit, found.share) == (None, None)


def test_a_page_is_made_for_each_team_that_has_something_to_see(october: Statement) -> None:
    idle = budget("idle", "0", team="Idle")
    statement = dataclasses.replace(october, budgets=(*october.budgets, idle))
    assert teams_of(statement) == ["Support", "Search", "Platform", "Growth", "Risk", "Docs", "Labs", "Idle"]


def test_actions_with_the_same_assumptions_share_a_note(october: Statement) -> None:
    rows = action_rows(october)
    notes = assumptions([row.action for row in rows])
    assert [row.note for row in rows] == [1, 2, 1, 2, 1]
    assert all(notes[row.note - 1] == row.action.assumptions for row in rows)
