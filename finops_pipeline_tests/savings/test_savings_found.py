"""A month's rows as actions: grouped, rounded once, the first of each."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl

from finops_pipeline.savings.found import FIRST, LOSING, actions_of, savings_found
from finops_pipeline.schemas import SAVINGS

PLAIN = {
    "lever": "caching", "team": "search", "project": "p", "application": None, "service": "s", "model": "m",
    "target": None, "requests": 1, "cost": "1", "saving_low": "0", "saving": "0", "saving_high": "0",
    "incremental": "0", "evidence": "measured", "assumptions": "a", "action": "do",
}  # fmt: skip


def month(*rows: dict[str, Any]) -> pl.LazyFrame:
    """Rows with their day of October, the first by default."""
    amounts = ("cost", "saving_low", "saving", "saving_high", "incremental")
    records = [{**PLAIN, **{name: value for name, value in row.items() if name != "day"}} for row in rows]
    exact = [{**record, **{name: Decimal(record[name]) for name in amounts}} for record in records]
    dates = [dt.date(2026, 10, row.get("day", 1)) for row in rows]
    return pl.DataFrame(exact, schema=SAVINGS.schema).with_columns(date=pl.Series(dates, dtype=pl.Date)).lazy()


def saving(amount: str, **row: Any) -> dict[str, Any]:
    return {"saving": amount, "saving_high": amount, "incremental": amount, **row}


def test_days_of_one_workload_are_one_action_rounded_once() -> None:
    # 2 × 0.004 is a cent, each alone is none; halves to the even cent
    found = actions_of(month(saving("0.004", requests=2), saving("0.004", requests=3, day=2, cost="0.125")))
    assert len(found) == 1
    action = found[0]
    assert (action.requests, action.expected, action.high, action.incremental) == (5, *[Decimal("0.01")] * 3)
    assert (action.cost, action.low) == (Decimal("1.12"), Decimal("0.00"))
    assert (action.lever, action.evidence, action.target) == ("caching", "measured", None)


def test_what_differs_in_anything_but_amounts_is_another_action() -> None:
    others = {"lever": "batching", "team": None, "project": "q", "application": "x", "service": None, "model": "n",
              "target": "t", "evidence": "heuristic", "assumptions": "b", "action": "another"}  # fmt: skip
    rows = [saving("1"), *(saving("1", **{name: value}) for name, value in others.items())]
    assert len(actions_of(month(*rows))) == len(rows)


def test_the_first_of_the_month_and_of_each_team_largest_first() -> None:
    large = [saving(str(100 + n), project=f"large-{n}") for n in range(FIRST + 2)]
    small = [saving(str(10 + n), team="support", project=f"small-{n}") for n in range(FIRST + 1)]
    one = [saving("1", team=None, project=None)]
    found = savings_found(month(*large, *small, *one))
    names = [action.project for action in found.actions]
    assert names == ["large-6", "large-5", "large-4", "large-3", "large-2",
                     "small-5", "small-4", "small-3", "small-2", "small-1", None]  # fmt: skip


def test_less_than_a_cent_is_no_action() -> None:
    found = savings_found(
        month(saving("0.005"), saving("0.0051", project="q"), saving("0", saving_high="9", project="r"))
    )
    assert [action.project for action in found.actions] == ["q"]


def test_together_by_team_of_everything_that_saves_named_or_not() -> None:
    rows = [saving("2", incremental="1.50", project=str(n)) for n in range(20)]
    rows += [saving("-5", incremental="0", team="legal"), saving("3", incremental="2.25", team=None)]
    found = savings_found(month(*rows))
    assert found.together == {"search": Decimal("30.00"), None: Decimal("2.25")}
    assert found.total == Decimal("32.25")


def test_what_would_cost_more_largest_loss_first() -> None:
    rows = [saving(f"-{n}", project=str(n)) for n in range(1, LOSING + 3)]
    found = savings_found(month(*rows, saving("-0.004", project="none")))
    assert [action.expected for action in found.would_cost_more] == [-5, -4, -3]
    assert found.actions == ()


def test_days_are_those_with_rows_unless_it_is_said_how_many_were_analysed() -> None:
    rows = month(saving("1"), saving("1", day=3), saving("1", day=3))
    assert savings_found(rows).days == 2
    assert savings_found(rows, days=31).days == 31


def test_a_month_without_rows() -> None:
    found = savings_found(month())
    assert (found.actions, found.together, found.would_cost_more, found.days) == ((), {}, (), 0)
    assert found.total == 0


def test_the_order_does_not_hang_on_that_of_the_rows() -> None:
    rows = [saving("1", project=name, team=team) for name in ("a", "b", None) for team in ("x", None)]
    assert actions_of(month(*rows)) == actions_of(month(*reversed(rows)))
