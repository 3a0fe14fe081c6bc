from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_pipeline.chargeback.lines import statement_lines
from finops_pipeline.schemas import CHARGEBACK

CostsOf = Callable[..., pl.LazyFrame]


def amounts(lines: pl.DataFrame, *keys: str) -> list[tuple[Any, ...]]:
    return [(*row, str(amount)) for *row, amount in lines.select(*keys, "amount").iter_rows()]


def test_days_and_dimensions_beyond_the_line_are_summed(costs_of: CostsOf) -> None:
    lines = statement_lines(
        costs_of(
            {"team": "a", "model": "m", "cost": "1.10", "requests": 2, "input_tokens": 5, "output_tokens": 1},
            {"team": "a", "model": "m", "cost": "2.20", "requests": 3, "cache_read_tokens": 7, "account": "x"},
            {"team": "a", "model": "m", "requests": 1, "cache_write_5m_tokens": 10, "cache_write_1h_tokens": 100},
            {"team": "a", "model": "m", "unpriced_requests": 1, "unpriced_tokens": 9, "reasoning_tokens": 1000},
        ),
    )
    assert lines.height == 1
    line = lines.row(0, named=True)
    assert line["requests"] == 6
    assert line["tokens"] == 5 + 1 + 7 + 10 + 100
    assert (line["unpriced_requests"], line["unpriced_tokens"]) == (1, 9)
    assert (line["exact_cost"], line["amount"], line["currency"]) == (Decimal("3.30"), Decimal("3.30"), "USD")


def test_the_unallocated_is_its_own_line_and_the_last_however_large(costs_of: CostsOf) -> None:
    lines = statement_lines(costs_of({"team": None, "cost": 90}, {"team": "a", "cost": 1}, {"team": "b", "cost": 2}))
    assert amounts(lines, "team", "line") == [
        ("b", "usage", "2.00"),
        ("a", "usage", "1.00"),
        (None, "unallocated", "90.00"),
    ]


def test_teams_stand_by_amount_and_their_lines_by_amount_then_name(costs_of: CostsOf) -> None:
    lines = statement_lines(
        costs_of(
            {"team": "small", "project": "p", "cost": 1},
            {"team": "big", "project": "p2", "cost": 2},
            {"team": "big", "project": None, "cost": 2},
            {"team": "big", "project": "p1", "cost": 2},
            {"team": "big", "project": "p0", "cost": 5},
        ),
    )
    assert amounts(lines, "team", "project") == [
        ("big", "p0", "5.00"),
        ("big", "p1", "2.00"),
        ("big", "p2", "2.00"),
        ("big", None, "2.00"),
        ("small", "p", "1.00"),
    ]


def test_the_total_is_rounded_once_from_the_exact_sum(costs_of: CostsOf) -> None:
    # Each team alone rounds to 0.00; together they cost 1.2 cents, so one of them is charged a cent: the first by name.
    lines = statement_lines(costs_of(*({"team": team, "cost": "0.004"} for team in "cab")))
    assert amounts(lines, "team") == [("a", "0.01"), ("b", "0.00"), ("c", "0.00")]


def test_a_team_is_rounded_before_its_lines(costs_of: CostsOf) -> None:
    # Exact: a 0.019, b 0.011; total 0.03. By team: a 0.02, b 0.01. By line, both of b would get 0.01.
    lines = statement_lines(
        costs_of(
            {"team": "a", "cost": "0.019"},
            {"team": "b", "model": "x", "cost": "0.0051"},
            {"team": "b", "model": "y", "cost": "0.0059"},
        ),
    )
    assert amounts(lines, "team", "model") == [("a", None, "0.02"), ("b", "y", "0.01"), ("b", "x", "0.00")]


def test_a_line_that_cost_nothing_is_charged_nothing(costs_of: CostsOf) -> None:
    lines = statement_lines(
        costs_of(
            {"team": "a", "model": "unpriced", "unpriced_requests": 4, "requests": 4},
            {"team": "a", "model": "x", "cost": "0.0151"},
        ),
    )
    assert amounts(lines, "model") == [("x", "0.02"), ("unpriced", "0.00")]


def test_cost_centres_are_those_that_the_costs_name(costs_of: CostsOf) -> None:
    costs = costs_of({"team": "a", "cost_center": "CC-9", "cost": 3}, {"team": "a", "cost": 2})
    assert amounts(statement_lines(costs), "team", "cost_center") == [("a", "CC-9", "3.00"), ("a", None, "2.00")]


def test_calls_without_a_price_have_a_line_of_their_own_for_each_reason(costs_of: CostsOf) -> None:
    without = {"team": "a", "model": "x", "requests": 2, "unpriced_requests": 2}
    lines = statement_lines(
        costs_of(
            {**without, "unpriced_reason": "unknown_tier"},
            {**without, "unpriced_reason": "missing_usage"},
            {**without, "unpriced_reason": "missing_usage", "account": "other"},
            {"team": "a", "model": "x", "requests": 5, "cost": "0.015"},
        )
    )
    assert lines.select("unpriced_reason", "requests", "unpriced_requests", "exact_cost").rows() == [
        (None, 5, 0, Decimal("0.015")),
        ("missing_usage", 4, 4, Decimal(0)),
        ("unknown_tier", 2, 2, Decimal(0)),
    ]


def test_no_costs_are_no_lines(costs_of: CostsOf) -> None:
    lines = statement_lines(costs_of())
    assert lines.is_empty()
    assert lines.schema == CHARGEBACK.schema


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "team": st.sampled_from([None, "a", "b", "c"]),
            "project": st.sampled_from([None, "p", "q"]),
            "model": st.sampled_from(["m", "n"]),
            "cost": st.decimals(min_value=-50, max_value=5000, places=12, allow_nan=False, allow_infinity=False),
        }
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, rng=st.randoms(use_true_random=False))
def test_amounts_add_up_whatever_the_costs_and_their_order(
    costs_of: CostsOf, rows: list[dict[str, Any]], rng: Any
) -> None:
    lines = statement_lines(costs_of(*rows))
    with localcontext() as context:
        context.prec = 50
        exact = sum((row["cost"] for row in rows), Decimal(0))
        assert sum(lines["amount"], Decimal(0)) == exact.quantize(Decimal("0.01"))
        assert sum(lines["exact_cost"], Decimal(0)) == exact
        for team in {row["team"] for row in rows}:
            of_team = lines.filter(pl.col("team").eq_missing(pl.lit(team, dtype=pl.String)))
            team_exact = sum((row["cost"] for row in rows if row["team"] == team), Decimal(0))
            assert abs(sum(of_team["amount"], Decimal(0)) - team_exact) < Decimal("0.01")
        # Within a cent of the team's rounding, which is itself within a cent.
        assert all(abs(a - e) < Decimal("0.02") for a, e in lines.select("amount", "exact_cost").iter_rows())
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert statement_lines(costs_of(*shuffled)).equals(lines)
