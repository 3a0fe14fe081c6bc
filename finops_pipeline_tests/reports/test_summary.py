from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from finops_pipeline.chargeback.analyses import BridgeStep, BudgetLine
from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.days import days_of
from finops_pipeline.reports import numbers
from finops_pipeline.reports.summary import mail_summary, month_summary, team_summary

StatementOf = Callable[..., Statement]
Unpriced = Callable[..., dict[str, Any]]


def plain(text: str) -> str:
    return text.replace(numbers.NO_BREAK, " ")


def september(total: str, *, incomplete: bool = False, **by_team: str) -> PreviousMonth:
    amounts: dict[str | None, Decimal] = {team: Decimal(amount) for team, amount in by_team.items()}
    return PreviousMonth("2026-09", Decimal(total), amounts, incomplete)


@pytest.mark.parametrize(
    ("rows", "previous", "sentence"),
    [
        ({"a": 150, "b": 50}, september("100", a="60", b="40"), "100.0 % more than September, mostly a (+90.00)."),
        ({"a": 45, "b": 45}, september("100", a="60", b="40"), "10.0 % less than September, mostly a (−15.00)."),
        (
            {"a": 64, "b": 44, "c": 2},
            september("100", a="60", b="40"),
            "10.0 % more than September, led by a (+4.00).",
        ),
        ({"a": 110}, september("100", a="100"), "10.0 % more than September."),
        ({"a": 60, "b": 40}, september("100", a="50", b="50"), "As much as September, to the cent."),
        ({"a": 60, "b": 40}, september("0"), "100.00 USD more than September, mostly a (+60.00)."),
        ({"a": 60, "b": 40}, september("0.01", a="0.01"), "99.99 USD more than September, mostly a (+59.99)."),
        (
            {"a": 60, None: 40},
            september("60", a="60"),
            "66.7 % more than September, mostly unallocated usage (+40.00).",
        ),
        ({"a": 60, "b": 40}, None, "2 calls by 2 teams; a pays the most, 60.0 % of the total."),
        ({"a": 60}, None, "1 call, charged to a."),
        ({None: 60}, None, "1 call, none of which names a team."),
        ({"a": 0, "b": 0}, None, "2 calls by 2 teams."),
    ],
)
def test_the_sentence_is_made_from_the_numbers(
    statement_of: StatementOf, rows: dict[str | None, int], previous: PreviousMonth | None, sentence: str
) -> None:
    costs = [{"team": team, "cost": Decimal(cost)} for team, cost in rows.items()]
    assert plain(month_summary(statement_of(costs, previous=previous))) == sentence


@pytest.mark.parametrize(
    ("lacks", "lines_read", "sentence"),
    [
        ({"missing_days": days_of("2026-10")}, 0, "no day of October 2026 has been run successfully yet"),
        ({}, 0, "the sources hold no logs of October 2026"),
        ({}, 12, "12 lines read, no model calls of October 2026 among them"),
        ({"expected_days": ()}, 0, "October 2026 lies before the configured start date"),
    ],
)
def test_an_empty_month_says_why(
    statement_of: StatementOf, lacks: dict[str, object], lines_read: int, sentence: str
) -> None:
    statement = statement_of(lacks=lacks, lines_read=lines_read, outcomes={})
    assert month_summary(statement) == f"Nothing is charged: {sentence}."


def test_who_owes_an_unknown_amount_is_not_said_to_pay_the_most(statement_of: StatementOf, unpriced: Unpriced) -> None:
    one, two = (unpriced(team, "x", "unresolved_model") for team in "ab")
    assert month_summary(statement_of([one])) == "1 call by a. The cost is unknown: no call has a price."
    assert month_summary(statement_of([one, two])) == "2 calls by 2 teams. The cost is unknown: no call has a price."


def test_an_unknown_amount_is_no_less_than_the_month_before(statement_of: StatementOf, unpriced: Unpriced) -> None:
    statement = statement_of([unpriced("a", "x", "unresolved_model", tokens=5)], previous=september("100", a="100"))
    assert mail_summary(statement) == "1 call by a. The cost is unknown: no call has a price."
    assert team_summary(part_of(statement, "a")) == "1 call. The cost is unknown: no call has a price."


def steps(**amounts: str) -> tuple[BridgeStep, ...]:
    return tuple(BridgeStep(name, Decimal(amount)) for name, amount in amounts.items())


def budget(team: str | None, limit: str, spent: str, status: Any, **scope: str) -> BudgetLine:
    whose = (("team", team),) if team else ()
    return BudgetLine("b", (*whose, *scope.items()), Decimal(limit), Decimal(spent), status)


@pytest.mark.parametrize(
    ("a", "b", "bridge", "sentence"),
    [
        (
            150, 50, {"Volume": "80", "Mix": "20"},
            "100.0 % more than September, mostly from more calls; a grew the most (+90.00).",
        ),
        (
            45, 45, {"Volume": "2", "Price": "-12"},
            "10.0 % less than September, mostly from lower prices; a fell the most (−15.00).",
        ),
        (
            110, 40, {"Volume": "20", "Caching": "19", "Length": "11"},
            "50.0 % more than September, most of all from more calls; a grew the most (+50.00).",
        ),
        (150, 50, {"Restated": "100"}, "100.0 % more than September, mostly a (+90.00)."),
        (150, 50, {"Volume": "-1"}, "100.0 % more than September, mostly a (+90.00)."),
    ],
)  # fmt: skip
def test_the_cause_is_the_largest_step_in_the_direction_of_the_whole(
    statement_of: StatementOf, a: int, b: int, bridge: dict[str, str], sentence: str
) -> None:
    costs = [{"team": team, "cost": Decimal(cost)} for team, cost in (("a", a), ("b", b))]
    statement = statement_of(costs, previous=september("100", a="60", b="40"), bridge=steps(**bridge))
    assert plain(month_summary(statement)) == sentence


@pytest.mark.parametrize(
    ("budgets", "sentence"),
    [
        ((), "100.0 % more than September, mostly a (+90.00)."),
        (
            (budget("a", "140", "150", "exceeded"),),
            "100.0 % more than September, mostly a (+90.00), which is 10.00 over its budget.",
        ),
        (
            (budget("a", "150", "150", "exceeded"),),
            "100.0 % more than September, mostly a (+90.00), which is exactly at its budget.",
        ),
        ((budget("a", "151", "150", "warning"),), "100.0 % more than September, mostly a (+90.00)."),
        (
            (budget("b", "45", "50", "exceeded"),),
            "100.0 % more than September, mostly a (+90.00). b is 5.00 over its budget.",
        ),
        (
            (budget("b", "45", "50", "exceeded"), budget("a", "140", "150", "exceeded")),
            (
                "100.0 % more than September, mostly a (+90.00), which is 10.00 over its budget. "
                "b is 5.00 over its budget."
            ),
        ),
        (
            (budget("b", "45", "50", "exceeded"), budget(None, "100", "200", "exceeded")),
            "100.0 % more than September, mostly a (+90.00). Over budget: b (+100.00) and b (+5.00).",
        ),
        (
            (budget("a", "5", "7", "exceeded", model="x"),),
            "100.0 % more than September, mostly a (+90.00). The budget b is exceeded by 2.00.",
        ),
    ],
)
def test_who_is_over_budget_is_said_once(
    statement_of: StatementOf, budgets: tuple[BudgetLine, ...], sentence: str
) -> None:
    costs = [{"team": "a", "cost": Decimal(150)}, {"team": "b", "cost": Decimal(50)}]
    statement = statement_of(costs, previous=september("100", a="60", b="40"), budgets=budgets)
    assert plain(month_summary(statement)) == sentence


def test_the_mail_adds_what_has_no_price(statement_of: StatementOf, unpriced: Unpriced) -> None:
    priced = {"team": "a", "cost": Decimal(1), "input_tokens": 997}
    statement = statement_of([priced, unpriced("a", "x", "unresolved_model", 1, 3)])
    assert plain(mail_summary(statement)) == "2 calls, charged to a. 0.3 % of tokens have no price yet."
    assert plain(mail_summary(statement_of([priced]))) == "1 call, charged to a."


@pytest.mark.parametrize(
    ("cost", "previous", "budgets", "sentence"),
    [
        ("120", september("100", a="100"), (), "20.0 % more than September."),
        ("120", september("100", b="100"), (), "1 call; nothing was charged in September."),
        ("120", None, (), "1 call; there is no statement of the month before."),
        (
            "120", september("100", a="100"), (budget("a", "100", "120", "exceeded"),),
            "20.0 % more than September, and 20.00 over the budget of 100.00.",
        ),
        (
            "90", september("100", a="100"), (budget("a", "100", "90", "warning"),),
            "10.0 % less than September; 90.0 % of the budget of 100.00 is used, close to its limit.",
        ),
        (
            "50", None, (budget("a", "100", "50", "ok"),),
            "1 call; there is no statement of the month before; 50.0 % of the budget of 100.00 is used.",
        ),
    ],
)  # fmt: skip
def test_a_teams_sentence_is_about_itself(
    statement_of: StatementOf,
    cost: str,
    previous: PreviousMonth | None,
    budgets: tuple[BudgetLine, ...],
    sentence: str,
) -> None:
    costs = [{"team": "a", "cost": Decimal(cost)}, {"team": "b", "cost": Decimal(9)}]
    statement = statement_of(costs, previous=previous, budgets=budgets)
    assert plain(team_summary(part_of(statement, "a"))) == sentence
