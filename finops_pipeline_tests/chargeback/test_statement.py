import dataclasses
import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from finops_pipeline.chargeback.analyses import BudgetLine
from finops_pipeline.chargeback.completeness import Completeness
from finops_pipeline.chargeback.statement import DRAFT, PreviousMonth, Statement, UnpricedCalls
from finops_pipeline.config.model import Team

DraftOf = Callable[..., Statement]

SEPTEMBER = PreviousMonth("2026-09", Decimal("10.00"), {"a": Decimal("6.00"), "gone": Decimal("4.00")}, False)


def test_a_draft_has_no_revision_yet(draft_of: DraftOf) -> None:
    draft = draft_of({"team": "a", "cost": 1})
    assert (draft.revision, draft.replaces, draft.correction) == (DRAFT, None, None)
    assert (draft.first_day, draft.last_day) == (dt.date(2026, 10, 1), dt.date(2026, 10, 31))


def test_the_total_is_that_of_teams_and_unallocated(draft_of: DraftOf) -> None:
    draft = draft_of(
        {"team": "a", "cost": 6, "requests": 2, "input_tokens": 10},
        {"team": None, "cost": 2, "requests": 1, "output_tokens": 5},
    )
    assert (draft.total, draft.requests, draft.tokens) == (Decimal("8.00"), 3, 15)
    assert (draft.unallocated, draft.unallocated_share) == (Decimal("2.00"), Decimal("0.25"))
    assert [(t.team, t.amount, t.share, t.change) for t in draft.team_totals] == [
        ("a", Decimal("6.00"), Decimal("0.75"), None),
        (None, Decimal("2.00"), Decimal("0.25"), None),
    ]


def test_changes_against_the_previous_month_add_up_even_where_a_team_is_gone(draft_of: DraftOf) -> None:
    draft = draft_of(
        {"team": "a", "cost": 7}, {"team": "new", "cost": 5}, {"team": None, "cost": 1}, previous=SEPTEMBER
    )
    assert [(t.team, t.amount, t.change) for t in draft.team_totals] == [
        ("a", Decimal("7.00"), Decimal("1.00")),
        ("new", Decimal("5.00"), Decimal("5.00")),
        ("gone", Decimal("0.00"), Decimal("-4.00")),
        (None, Decimal("1.00"), Decimal("1.00")),
    ]
    assert draft.change == Decimal("3.00") == sum(t.change or 0 for t in draft.team_totals)


def test_a_team_in_two_cost_centres_is_one_total_with_two_parts(draft_of: DraftOf) -> None:
    draft = draft_of(
        {"team": "a", "cost_center": "CC-1", "cost": 1},
        {"team": "a", "cost_center": "CC-2", "cost": 2},
        {"team": "a", "cost_center": None, "cost": 3},
    )
    (total,) = draft.team_totals
    assert total.amount == Decimal("6.00")
    assert total.cost_centers == ((None, Decimal("3.00")), ("CC-2", Decimal("2.00")), ("CC-1", Decimal("1.00")))


def test_a_missing_day_is_unknown_and_an_empty_day_is_zero(draft_of: DraftOf) -> None:
    draft = draft_of(
        {"date": dt.date(2026, 10, 1), "cost": "1.000000000001"},
        {"date": dt.date(2026, 10, 1), "cost": 1},
        missing=[dt.date(2026, 10, 3)],
    )
    assert draft.days.rows()[:4] == [
        (dt.date(2026, 10, 1), Decimal("2.000000000001")),
        (dt.date(2026, 10, 2), Decimal(0)),
        (dt.date(2026, 10, 3), None),
        (dt.date(2026, 10, 4), Decimal(0)),
    ]
    assert draft.days.height == 31
    assert draft.incomplete


@pytest.mark.parametrize(
    "lacks",
    [
        {"missing": [dt.date(2026, 10, 3)]},
        {"partial": [(dt.date(2026, 10, 3), ("gateway",))]},
        {"stale": [dt.date(2026, 10, 3)]},
        {"unfinished": [dt.date(2026, 10, 31)]},
    ],
)
def test_whatever_a_day_lacks_makes_the_statement_incomplete(draft_of: DraftOf, lacks: dict[str, Any]) -> None:
    assert not draft_of().incomplete
    assert draft_of(**lacks).incomplete


def without_price(reason: str | None, calls: int, tokens: int, **row: Any) -> dict[str, Any]:
    counts = {"requests": calls, "unpriced_requests": calls, "input_tokens": tokens, "unpriced_tokens": tokens}
    return {"unpriced_reason": reason, **counts, **row}


def test_unpriced_calls_stand_by_reason_with_their_models_and_teams(draft_of: DraftOf) -> None:
    draft = draft_of(
        without_price("unresolved_model", 1, 10, team="b", model="x"),
        without_price("unresolved_model", 1, 10, team="a", model="x"),
        without_price("unknown_tier", 1, 80, team=None, model="y"),
        without_price("unknown_tier", 1, 5, team="a", model="x"),
        without_price("missing_usage", 3, 0, team=None, model=None),
        {"team": "a", "model": "x", "requests": 1, "input_tokens": 105, "cost": 1},
    )
    assert draft.unpriced_share == Decimal("0.5")
    assert draft.unpriced_requests == 7
    assert draft.unpriced_calls == (
        UnpricedCalls("unknown_tier", 2, 85, ("y", "x"), ("a", None)),
        UnpricedCalls("unresolved_model", 2, 20, ("x",), ("a", "b")),
        UnpricedCalls("missing_usage", 3, 0, (None,), (None,)),
    )


def test_a_team_all_of_whose_calls_lack_a_price_owes_an_unknown_amount(draft_of: DraftOf) -> None:
    draft = draft_of(
        without_price("unresolved_model", 4, 10, team="a"),
        {"team": "a", "requests": 1, "errors": 1},  # a failed call is free: that does not make the others known
        without_price("unresolved_model", 4, 10, team="new"),
        without_price("unknown_tier", 1, 10, team="b"),
        {"team": "b", "requests": 1, "cost": "0.001"},
        {"team": "c", "requests": 1},
        previous=SEPTEMBER,
    )
    known = {total.team: (total.unpriced, total.share, total.change) for total in draft.team_totals}
    zero = Decimal(0)
    assert known == {
        "a": (True, None, Decimal("-6.00")),  # what was charged in September is not charged now
        "new": (True, None, None),
        "b": (False, None, zero),  # less than half a cent, but known
        "c": (False, None, zero),
        "gone": (False, None, Decimal("-4.00")),
    }


def test_owners_are_those_of_the_teams_charged(draft_of: DraftOf) -> None:
    teams = {"a": Team(owner="Ada"), "b": Team(cost_center="CC-1"), "idle": Team(owner="Ida")}
    draft = draft_of({"team": "a", "cost": 1}, {"team": "b", "cost": 2}, {"team": None, "cost": 3}, teams=teams)
    assert draft.owners == {"a": "Ada"}
    assert {total.team: total.owner for total in draft.team_totals} == {"a": "Ada", "b": None, None: None}


def test_the_statement_covers_the_days_from_the_start_date_on(draft_of: DraftOf) -> None:
    draft = draft_of()
    assert (draft.first_day, draft.last_day) == (dt.date(2026, 10, 1), dt.date(2026, 10, 31))
    late_start = Completeness(draft.completeness.expected_days[14:])
    covered = dataclasses.replace(draft, completeness=late_start)
    assert (covered.first_day, covered.last_day) == (dt.date(2026, 10, 15), dt.date(2026, 10, 31))
    nothing = dataclasses.replace(draft, completeness=Completeness(()))
    assert nothing.first_day == dt.date(2026, 10, 1)


def test_an_empty_month_is_a_statement_of_zero_whose_shares_are_unknown(draft_of: DraftOf) -> None:
    draft = draft_of()
    assert (str(draft.total), draft.requests, draft.tokens) == ("0.00", 0, 0)
    assert (draft.unallocated_share, draft.unpriced_share) == (None, None)
    assert draft.team_totals == draft.unpriced_calls == ()
    assert draft.days["cost"].sum() == 0


@pytest.mark.parametrize(
    ("cost", "status"), [("79.994", "ok"), ("79.996", "warning"), ("99.994", "warning"), ("99.996", "exceeded")]
)
def test_a_teams_budget_is_held_against_its_charge_in_cents(draft_of: DraftOf, cost: str, status: str) -> None:
    """What the page shows as 80.00 of 100.00 is a warning, and 100.00 is exceeded, whatever was rounded away."""
    budget = BudgetLine("a", (("team", "a"),), Decimal(100), Decimal(0), "ok")
    [line] = draft_of({"team": "a", "cost": cost}, budgets=[budget]).budgets
    assert (line.spent, line.status) == (Decimal(cost).quantize(Decimal("0.01")), status)
