"""Budgets: what counts, where a budget stands to the last billionth of a cent, and where that leads."""

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.budgets import (
    ALL_USAGE,
    at_least,
    budget_lines,
    budget_status,
    latest_status,
    run_rate,
    scope_text,
)
from finops_pipeline.config.model import Budget
from finops_pipeline.days import days_between, days_of
from finops_pipeline.errors import LakeError
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.schemas import BUDGET_STATUS, DAILY_COSTS, PRICED_USAGE

CASES = json.loads((Path(__file__).parent / "cases" / "savings_cases.json").read_text())["cases"]
C21 = next(case for case in CASES if case["id"] == "C21")

NOVEMBER = days_of("2026-11")
NANO = Decimal("0.000000001")
STATUS_WORDS = {"ok": "ok", "warning": "budget_warning", "exceeded": "budget_exceeded"}


def budget(limit: str = "1000", name: str = "search", **scope: str) -> Budget:
    return Budget(name=name, scope=scope, limit=Decimal(limit))


def costs(*rows: Mapping[str, Any]) -> pl.LazyFrame:
    """``daily_costs`` rows: ``day`` of November 2026 and ``cost``; all else zero or null unless given."""
    zeros: dict[str, Any] = {column.name: 0 for column in DAILY_COSTS.columns if not column.nullable}
    return pl.LazyFrame(
        [
            {**zeros, "source": "s", **row, "date": NOVEMBER[row.get("day", 1) - 1], "cost": Decimal(row["cost"])}
            for row in rows
        ],
        schema={**DAILY_COSTS.schema, "date": pl.Date},
    )


def calls(*rows: Mapping[str, Any]) -> pl.LazyFrame:
    """``priced_usage`` rows of 1 November 2026 with ``tags`` as a list of (name, value) and ``cost``, perhaps none."""
    return pl.LazyFrame(
        [
            {
                "date": NOVEMBER[0],
                "request_count": 1,
                "price_status": "unpriced" if row["cost"] is None else "priced",
                **row,
                "cost": None if row["cost"] is None else Decimal(row["cost"]),
                "tags": None if row["tags"] is None else [{"key": k, "value": v} for k, v in row["tags"]],
            }
            for row in rows
        ],
        schema={**PRICED_USAGE.schema, "date": pl.Date},
    )


def standing(*budgets: Budget, on: int = 1, of: pl.LazyFrame, **arguments: Any) -> list[dict[str, Any]]:
    """The rows at the end of that day of November 2026."""
    frame = budget_status(budgets, NOVEMBER[on - 1], of, **arguments).collect()
    return BUDGET_STATUS.check(frame).to_dicts()


# -- the case ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expected", C21["expected"]["timeline"], ids=lambda e: f"day-{e['day']}")
def test_the_timeline_of_the_case(expected: dict[str, Any]) -> None:
    spent = [(0, 0), *[entry for entry in C21["inputs"]["mtd"] if entry[0] <= expected["day"]]]
    steps = [{"day": day, "cost": total - before} for (_, before), (day, total) in pairwise(spent)]
    (row,) = standing(budget(C21["inputs"]["limit"]), on=expected["day"], of=costs(*steps))
    assert row["spent"] == Decimal(expected["mtd"])
    assert STATUS_WORDS[row["status"]] == expected["status"]
    forecast = run_rate(Decimal(expected["mtd"]), expected["day"], C21["inputs"]["days_in_month"])
    assert abs(forecast - Decimal(str(expected["run_rate_forecast"]))) < Decimal("1e-9")
    if expected["day"] >= 3:
        assert abs(row["forecast"] - forecast) < Decimal("1e-11")
    else:
        assert row["forecast"] is None


# -- boundaries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spent", "status"),
    [
        (Decimal(0), "ok"),
        (Decimal("799.999999999"), "ok"),
        (Decimal("799.999999999999"), "ok"),
        (Decimal(800), "warning"),
        (Decimal(1000) - NANO, "warning"),
        (Decimal(1000), "exceeded"),
        (Decimal("1000.000000000001"), "exceeded"),
    ],
)
def test_both_boundaries_belong_to_the_worse_side(spent: Decimal, status: str) -> None:
    (row,) = standing(budget("1000"), of=costs({"cost": spent}))
    assert (row["spent"], row["status"]) == (spent, status)


def test_a_boundary_that_no_float_can_say_is_met_exactly() -> None:
    # 80 % of 0.11 is 0.088, which a float ratio of 0.0879999999999999 / 0.11 would round up to
    for spent, status in (("0.088", "warning"), ("0.087999999999", "ok"), ("0.11", "exceeded")):
        assert standing(budget("0.11"), of=costs({"cost": spent}))[0]["status"] == status


def test_a_share_that_no_amount_says_exactly_is_reached_by_the_next_larger_one() -> None:
    assert at_least(Decimal(1), Decimal("0.3333333333333")) == Decimal("0.333333333334")
    assert at_least(Decimal("999999999999999999.99"), Decimal("0.8")) == Decimal("799999999999999999.992")


def test_a_budget_of_the_largest_limit_stays_exact() -> None:
    limit = "999999999999999999.99"
    (row,) = standing(budget(limit), on=3, of=costs({"cost": "1"}, {"cost": "999999999999"}))
    assert (row["limit"], row["status"], row["run_out_date"]) == (Decimal(limit), "ok", None)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.decimals("0.000000000001", 900, places=12), min_size=1, max_size=5), st.decimals(1, 2000, places=2))
def test_the_status_is_what_exact_arithmetic_says(amounts: list[Decimal], limit: Decimal) -> None:
    (row,) = standing(budget(str(limit)), of=costs(*({"cost": amount} for amount in amounts)))
    spent = sum(amounts)
    assert row["spent"] == spent
    assert row["status"] == ("exceeded" if spent >= limit else "warning" if spent * 10 >= limit * 8 else "ok")


# -- what counts ------------------------------------------------------------------------------------------------------


def test_all_keys_of_a_scope_must_hold() -> None:
    found = standing(
        budget(name="one", team="a", model="m", provider="p"),
        budget(name="two", project="x", cost_center="c"),
        of=costs(
            {"team": "a", "model": "m", "provider": "p", "cost": 1},
            {"team": "a", "model": "m", "provider": "q", "cost": 2},
            {"team": "a", "model": None, "provider": "p", "cost": 4},
            {"project": "x", "cost_center": "c", "cost": 8},
            {"project": "x", "cost_center": None, "cost": 16},
        ),
    )
    assert [(row["budget"], row["spent"]) for row in found] == [("one", 1), ("two", 8)]


def test_scopes_within_each_other_count_no_row_twice() -> None:
    rows = costs(
        {"team": "a", "project": "x", "cost": 1},
        {"team": "a", "project": "y", "cost": 2},
        {"team": "b", "project": "x", "cost": 4},
        {"cost": 8},
    )
    nested = [budget(name="all"), budget(name="a", team="a"), budget(name="ax", team="a", project="x")]
    assert [row["spent"] for row in standing(*nested, of=rows)] == [15, 3, 1]
    leaves = [budget(name=t or "", team=t) for t in ("a", "b")]
    assert sum(row["spent"] for row in standing(*leaves, of=rows)) == 7


def test_an_empty_scope_is_all_usage() -> None:
    (row,) = standing(budget(), of=costs({"team": "a", "cost": 1}, {"team": None, "cost": 2}))
    assert (row["scope"], row["spent"]) == (ALL_USAGE, 3)


def test_a_scope_reads_the_same_in_whatever_order_it_is_written() -> None:
    assert scope_text(budget(model="m", team="a")) == scope_text(budget(team="a", model="m")) == "team=a, model=m"


def test_only_the_period_up_to_the_day_counts() -> None:
    october = costs({"cost": 64}).with_columns(date=pl.lit(dt.date(2026, 10, 31)))
    (row,) = standing(budget(), on=2, of=pl.concat([october, costs(*({"day": d, "cost": d} for d in (1, 2, 3)))]))
    assert row["spent"] == 3
    assert (row["period_start"], row["period_end"]) == (NOVEMBER[0], NOVEMBER[-1])


def test_calls_without_a_price_are_counted_in_their_scope() -> None:
    rows = costs({"team": "a", "cost": 1, "unpriced_requests": 5}, {"team": "b", "cost": 1, "unpriced_requests": 7})
    assert [row["unpriced_requests"] for row in standing(budget(team="a"), budget(name="all"), of=rows)] == [5, 12]


def test_a_scope_that_nothing_matches_is_zero() -> None:
    (row,) = standing(budget(team="a'; drop"), on=3, of=costs({"team": "a", "cost": 1}), expected_days=NOVEMBER[:1])
    assert (row["spent"], row["share"], row["status"], row["unpriced_requests"]) == (0, 0, "ok", 0)


def test_no_budgets_are_no_rows() -> None:
    assert standing(of=costs({"cost": 1})) == []


# -- tags -------------------------------------------------------------------------------------------------------------


def test_a_tag_counts_calls_and_counts_each_once() -> None:
    tagged = calls(
        {"team": "a", "tags": [("tier", "gold")], "cost": "1"},
        {"team": "b", "tags": [("tier", "gold"), ("tier", "gold"), ("x", "y")], "cost": "2"},
        {"team": "a", "tags": [("tier", "silver")], "cost": "4"},
        {"team": "a", "tags": [("gold", "tier")], "cost": "8"},
        {"team": "a", "tags": [], "cost": "16"},
        {"team": "a", "tags": None, "cost": "32"},
        {"team": "a", "tags": [("tier", "gold")], "cost": None, "request_count": 3},
    )
    found = standing(
        budget(name="gold", tag="tier=gold"),
        budget(name="all"),
        budget(name="a's gold", team="a", tag="tier=gold"),
        of=costs({"cost": "63"}),
        tagged=tagged,
    )
    assert [(row["budget"], row["spent"], row["unpriced_requests"]) for row in found] == [
        ("gold", 3, 3),
        ("all", 63, 0),
        ("a's gold", 1, 3),
    ]


def test_a_tag_s_value_may_have_an_equals_sign() -> None:
    (row,) = standing(budget(tag="q=a=b"), of=costs(), tagged=calls({"tags": [("q", "a=b")], "cost": "1"}))
    assert row["spent"] == 1


def test_a_model_that_does_not_resolve_is_the_raw_one_with_a_tag_as_without() -> None:
    tagged = calls({"raw_model": "ours-v2", "tags": [("q", "a")], "cost": "1"})
    assert standing(budget(model="ours-v2", tag="q=a"), of=costs(), tagged=tagged)[0]["spent"] == 1


def test_a_tag_needs_the_calls() -> None:
    with pytest.raises(ValueError, match="search is of a tag"):
        budget_status([budget(tag="a=b")], NOVEMBER[0], costs())


# -- where it leads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on", "forecast"), [(1, None), (2, None), (3, Decimal(300))])
def test_a_forecast_needs_three_days(on: int, forecast: Decimal | None) -> None:
    rows = costs(*({"day": day, "cost": 10} for day in range(1, on + 1)))
    (row,) = standing(budget("100"), on=on, of=rows, expected_days=NOVEMBER[:on])
    assert (row["forecast"], row["run_out_date"] is None) == (forecast, forecast is None)


@pytest.mark.parametrize(
    ("limit", "day"),
    [
        ("30", None),  # reached already
        ("30.01", 4),
        ("40", 4),
        ("40.01", 5),
        ("300", 30),
        ("300.01", None),  # not in this period
    ],
)
def test_it_runs_out_on_the_first_day_that_reaches_the_limit_at_this_rate(limit: str, day: int | None) -> None:
    rows = costs(*({"day": d, "cost": 10} for d in (1, 2, 3)))
    (row,) = standing(budget(limit), on=3, of=rows)
    assert row["run_out_date"] == (None if day is None else NOVEMBER[day - 1])


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 30), st.decimals("0.000000000001", 5000, places=12), st.decimals(1, 5000, places=2))
def test_it_runs_out_in_the_period_exactly_if_the_forecast_reaches_the_limit(
    on: int, spent: Decimal, limit: Decimal
) -> None:
    (row,) = standing(budget(str(limit)), on=on, of=costs({"cost": spent}))
    reaches = spent < limit and limit * on <= spent * 30
    assert (row["run_out_date"] is not None) == reaches
    if reaches:
        ahead = (row["run_out_date"] - NOVEMBER[0]).days + 1
        assert spent * (ahead - 1) < limit * on <= spent * ahead


def test_the_last_day_s_forecast_is_what_was_spent() -> None:
    rows = costs(*({"day": day, "cost": "1.1"} for day in range(1, 31)))
    (row,) = standing(budget("40"), on=30, of=rows, expected_days=NOVEMBER)
    assert (row["spent"], row["forecast"], row["run_out_date"]) == (33, 33, None)


def test_a_missing_day_is_counted_and_forecast_like_the_others() -> None:
    rows = costs(*({"day": day, "cost": 10} for day in (1, 2, 4, 5)))
    (row,) = standing(budget("1000"), on=6, of=rows, expected_days=NOVEMBER[:6])
    assert (row["spent"], row["missing_days"], row["forecast"]) == (40, 2, 300)
    (idle,) = standing(budget("1000"), on=5, of=rows, expected_days=NOVEMBER[:5], days_with_costs=NOVEMBER[:5])
    assert (idle["spent"], idle["missing_days"], idle["forecast"]) == (40, 0, 240)


def test_days_before_the_start_are_neither_missing_nor_history() -> None:
    rows = costs(*({"day": day, "cost": 10} for day in (21, 22)))
    (early,) = standing(budget("1000"), on=22, of=rows, expected_days=NOVEMBER[20:22])
    assert (early["missing_days"], early["forecast"]) == (0, None)
    rows = costs(*({"day": day, "cost": 10} for day in (21, 22, 23)))
    (later,) = standing(budget("1000"), on=23, of=rows, expected_days=NOVEMBER[20:23])
    assert later["forecast"] == 100  # ten days of 10, from the 21st to the 30th


def test_expected_days_after_the_day_are_not_missing_yet() -> None:
    (row,) = standing(budget(), on=2, of=costs({"cost": 1}), expected_days=NOVEMBER)
    assert row["missing_days"] == 1


# -- the statement's lines, and the lake ------------------------------------------------------------------------------


def test_lines_are_in_the_config_s_order_and_in_whole_cents() -> None:
    budgets = [budget("10", name="b", team="b"), budget("20", name="a", team="a", model="m")]
    rows = costs({"team": "b", "cost": "9.995"}, {"team": "a", "model": "m", "cost": "1.005", "unpriced_requests": 2})
    status = budget_status(budgets, NOVEMBER[-1], rows).collect()
    b, a = budget_lines(status.reverse(), [*budgets, budget(name="new")])
    assert (b.budget, b.scope, b.limit, b.spent, b.status) == ("b", (("team", "b"),), 10, Decimal("10.00"), "warning")
    assert (a.scope, a.spent, a.unpriced_requests) == ((("team", "a"), ("model", "m")), Decimal("1.00"), 2)
    assert b.of_whole_team
    assert not a.of_whole_team


def test_the_latest_day_of_a_month_that_has_a_status(lake: Lake) -> None:
    day, rows = latest_status(lake, "2026-11")
    assert (day, rows.schema, rows.height) == (None, BUDGET_STATUS.schema, 0)
    for day in days_between(dt.date(2026, 10, 30), dt.date(2026, 11, 2)):
        frame = budget_status([budget(team="a")], day, costs({"team": "a", "cost": day.day})).collect()
        lake.write(BUDGET_STATUS, frame, Stamp(1, "", ""), date=day)
    day, rows = latest_status(lake, "2026-11")
    assert (day, rows.height) == (dt.date(2026, 11, 2), 1)
    assert BUDGET_STATUS.check(rows) is rows


def test_a_status_that_cannot_be_read_is_named(lake: Lake) -> None:
    file = Path(lake.place(BUDGET_STATUS, date=NOVEMBER[0]))
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not parquet")
    with pytest.raises(LakeError, match=r"date=2026-11-01.*Run the day again"):
        latest_status(lake, "2026-11")
