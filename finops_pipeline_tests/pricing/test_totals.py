"""What priced calls come to."""

from decimal import Decimal
from typing import Any

import polars as pl

from finops_pipeline.pricing.totals import PricedTotals, totals_of
from finops_pipeline.schemas import PRICED_USAGE, TOKEN_CLASSES

PRICED: dict[str, Any] = {"request_count": 1, "cost": Decimal("0.1"), "price_status": "priced", "price_reason": None}
WITHOUT = PRICED | {"cost": None, "price_status": "unpriced", "price_reason": "unresolved_model"}


def rows(*calls: dict[str, Any]) -> pl.LazyFrame:
    names = ["request_count", "cost", "price_status", "price_reason", *TOKEN_CLASSES]
    return pl.LazyFrame(list(calls), schema={name: PRICED_USAGE.schema[name] for name in names})


def test_all_calls_are_counted_and_unpriced_ones_apart() -> None:
    found = totals_of(
        rows(
            PRICED | {"input_tokens": 10, "output_tokens": 2},
            PRICED | {"input_tokens": 1, "cache_read_tokens": 4, "request_count": 3},
            WITHOUT | {"output_tokens": 5, "request_count": 2},
        )
    )
    assert found == PricedTotals(calls=6, cost=Decimal("0.2"), tokens=22, unpriced_calls=2, unpriced_tokens=5)


def test_counts_that_contradict_themselves_are_no_tokens() -> None:
    found = totals_of(rows(WITHOUT | {"input_tokens": 10**12, "price_reason": "invalid_usage"}))
    assert found == PricedTotals(calls=1, unpriced_calls=1)


def test_of_no_calls_everything_is_nothing() -> None:
    assert totals_of(rows()) == PricedTotals()


def test_sums_add_up_and_come_back_from_notes_to_the_last_digit() -> None:
    exact = Decimal("0.000000000001")
    parts = [totals_of(rows(PRICED | {"cost": exact, "input_tokens": n})) for n in (1, 2)]
    whole = totals_of(rows(*(PRICED | {"cost": exact, "input_tokens": n} for n in (1, 2))))
    assert parts[0] + parts[1] == whole
    assert PricedTotals.noted(whole.notes()) == whole
    assert whole.notes()["cost"] == "0.000000000002"
