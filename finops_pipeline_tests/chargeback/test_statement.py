import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest

from finops_pipeline.chargeback.statement import DRAFT, PreviousMonth, Statement, UnpricedModel, days_of

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


def test_a_day_without_one_source_makes_the_statement_incomplete(draft_of: DraftOf) -> None:
    assert not draft_of().incomplete
    assert draft_of(partial=[(dt.date(2026, 10, 3), ("gateway",))]).incomplete


def test_unpriced_models_stand_by_tokens_with_the_teams_that_called_them(draft_of: DraftOf) -> None:
    draft = draft_of(
        {"team": "b", "model": "x", "requests": 2, "input_tokens": 40, "unpriced_requests": 1, "unpriced_tokens": 10},
        {"team": "a", "model": "x", "requests": 2, "input_tokens": 40, "unpriced_requests": 1, "unpriced_tokens": 10},
        {"team": None, "model": "y", "requests": 1, "input_tokens": 80, "unpriced_requests": 1, "unpriced_tokens": 80},
        {"team": None, "model": None, "requests": 3, "unpriced_requests": 3},
        {"team": "a", "model": "priced", "requests": 1, "input_tokens": 40},
    )
    assert draft.unpriced_share == Decimal("0.5")
    assert draft.unpriced_requests == 6
    assert draft.unpriced_models == (
        UnpricedModel("y", 1, 80, (None,)),
        UnpricedModel("x", 2, 20, ("a", "b")),
        UnpricedModel(None, 3, 0, (None,)),
    )


def test_an_empty_month_is_a_statement_of_zero_whose_shares_are_unknown(draft_of: DraftOf) -> None:
    draft = draft_of()
    assert (str(draft.total), draft.requests, draft.tokens) == ("0.00", 0, 0)
    assert (draft.unallocated_share, draft.unpriced_share) == (None, None)
    assert draft.team_totals == draft.unpriced_models == ()
    assert draft.days["cost"].sum() == 0


@pytest.mark.parametrize(("month", "days"), [("2026-02", 28), ("2028-02", 29), ("2026-12", 31)])
def test_days_of_a_month(month: str, days: int) -> None:
    first, *_, last = days_of(month)
    assert (first.day, last.day, len(days_of(month))) == (1, days, days)


@pytest.mark.parametrize("month", ["2026", "2026-13", "October", "2026-10-01"])
def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(ValueError, match=r"match|unconverted"):
        days_of(month)
