"""Costs against Python's own decimals, over the whole range of prices and quantities."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_pipeline.pricing.rating import rate
from finops_pipeline.schemas.priced_usage import COST_GROUPS

TOKENS = st.integers(0, 2_000_000_000)
PRICES = st.decimals(0, 160, places=18)
"""USD a million; three such lines of 2e9 tokens stay below the million dollars that a cost can hold."""
BILLED = (("input", "input_tokens"), ("cache_read", "cache_read_tokens"), ("cache_write_5m", "cache_write_5m_tokens"))

SETTINGS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def line(price: Decimal, quantity: int, per_qty: int) -> Decimal:
    with localcontext(prec=80):
        return (price * quantity / per_qty).quantize(Decimal("1E-12"), rounding=ROUND_HALF_EVEN)


@SETTINGS
@given(prices=st.tuples(PRICES, PRICES, PRICES), quantities=st.lists(st.tuples(TOKENS, TOKENS, TOKENS), min_size=1))
def test_costs_are_exact(prices: Any, quantities: Any, calls: Any, book_of: Any) -> None:
    book = book_of(*({"meter": m, "unit_price": p} for (m, _), p in zip(BILLED, prices, strict=True)))
    usage = calls(
        *(
            {"provider": "acme", "raw_model": "m", **dict(zip((c for _, c in BILLED), q, strict=True))}
            for q in quantities
        )
    )
    frame = rate(usage, book, {}).collect()
    for row, quantity in zip(frame.iter_rows(named=True), quantities, strict=True):
        lines = [line(price, tokens, 1_000_000) for price, tokens in zip(prices, quantity, strict=True)]
        assert [row["input_cost"], row["cache_read_cost"], row["cache_write_cost"]] == lines
        assert row["list_cost"] == row["contracted_cost"] == row["cost"] == sum(lines)
        assert row["cost"] == sum(row[group] for group in COST_GROUPS)


@SETTINGS
@given(
    price=st.decimals(0, "1E-9", places=18), tokens=st.integers(0, 10_000), per_qty=st.sampled_from([1, 1000, 10**6])
)
def test_ties_go_to_the_even_picodollar(price: Decimal, tokens: int, per_qty: int, rated: Any, book_of: Any) -> None:
    book = book_of({"unit_price": price, "per_qty": per_qty})
    row = rated(book, provider="acme", raw_model="m", input_tokens=tokens)
    assert row["cost"] == line(price, tokens, per_qty)


def test_a_call_of_a_million_dollars_has_no_price_rather_than_a_wrong_one(rated: Any, book_of: Any) -> None:
    book = book_of({"unit_price": Decimal(1), "per_qty": 1})
    call = {"provider": "acme", "raw_model": "m"}
    assert rated(book, **call, input_tokens=999_999)["cost"] == 999_999
    row = rated(book, **call, input_tokens=1_000_000)
    assert (row["cost"], row["price_status"], row["price_reason"]) == (None, "unpriced", "invalid_usage")


@SETTINGS
@given(
    price=st.decimals(0, 999_999_999, places=18),
    per_qty=st.sampled_from([1, 1000, 10**6]),
    tokens=st.integers(0, 2**62 - 1),
)
def test_no_price_and_no_quantity_raises(price: Decimal, per_qty: int, tokens: int, rated: Any, book_of: Any) -> None:
    """Up to the largest price that a file may give: the exact cost, or none from a million dollars on."""
    row = rated(book_of({"unit_price": price, "per_qty": per_qty}), provider="acme", raw_model="m", input_tokens=tokens)
    exact = line(price, tokens, per_qty)
    assert row["cost"] == (exact if exact < 1_000_000 else None)
    assert row["price_reason"] == (None if exact < 1_000_000 else "invalid_usage")


def test_half_a_picodollar(calls: Any, book_of: Any) -> None:
    book = book_of({"unit_price": Decimal("0.5E-12"), "per_qty": 1})
    usage = calls(*({"provider": "acme", "raw_model": "m", "input_tokens": n} for n in range(6)))
    picodollars = rate(usage, book, {}).select(pl.col("cost")).collect()["cost"].to_list()
    assert picodollars == [Decimal(n).scaleb(-12) for n in (0, 0, 1, 2, 2, 2)]


def test_the_order_of_rows_does_not_change_the_sum(calls: Any, book_of: Any) -> None:
    book = book_of({"unit_price": Decimal("0.123456789012345678")})
    usage = calls(*({"provider": "acme", "raw_model": "m", "input_tokens": n * 7919 % 100_003} for n in range(500)))
    costs = rate(usage, book, {}).collect()["cost"]
    assert costs.sum() == costs.reverse().sum() == sum(costs.to_list())
