"""The worked cases of ``cases/pricing_cases.json``: exact amounts that were checked outside this package.

Each case runs twice where it can: priced from the catalogue (cases whose rates are the catalogue's), and with its own
rates as the rows of a book (all of them: the arithmetic). What a case needs and this version lacks, skips it by rule.
"""

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.money import CENT, largest_remainder, to_cents

CASES = json.loads((Path(__file__).parents[1] / "cases" / "pricing_cases.json").read_text())
GROUP_OF = {
    "input": "input_cost",
    "input_audio": "input_cost",
    "cache_read": "cache_read_cost",
    "cache_write_5m": "cache_write_cost",
    "output": "output_cost",
    "output_reasoning": "output_cost",
    "output_audio": "output_cost",
    "output_image": "output_cost",
    "web_search": "other_cost",
}
WHOLE = {
    "input_audio": ("input_tokens", "input_audio_tokens"),
    "output_reasoning": ("output_tokens", "reasoning_tokens"),
    "output_audio": ("output_tokens", "output_audio_tokens"),
    "output_image": ("output_tokens", "output_image_tokens"),
    "web_search": ("web_searches",),
}
"""Columns in which a quantity of a case is counted; elsewhere ``<meter>_tokens``."""


def call_of(case: Mapping[str, Any]) -> dict[str, Any]:
    """The call of a case: its disjoint quantities as columns of usage, in which parts count in their class too."""
    call: dict[str, Any] = {
        "provider": case["provider"],
        "raw_model": case["raw_model"],
        "region_scope": case.get("region_scope"),
        "batch": case.get("tier") == "batch",
        "service_tier": case.get("tier", "standard"),
    }
    if "timestamp" in case:
        call["event_time"] = dt.datetime.fromisoformat(case["timestamp"]).astimezone(dt.UTC)
    for meter, quantity in case.get("usage", {"input": "1", "output": "1"}).items():
        for column in WHOLE.get(meter, (f"{meter}_tokens",)):
            call[column] = call.get(column, 0) + int(quantity)
    return call


def uncountable(case: Mapping[str, Any]) -> str | None:
    """Why usage cannot express a case."""
    meters = set(case.get("usage", {})) - set(GROUP_OF)
    return f"usage does not count {', '.join(sorted(meters))}" if meters else None


def not_in_catalogue(case: Mapping[str, Any]) -> str | None:
    """Why this version's book cannot price a case."""
    if case["confidence"] != "catalogue" and not case["source"]:
        return f"its rates are not the catalogue's: {case['confidence']}"
    if case["discount"] != "0":
        return "its discount is negotiated"
    return uncountable(case)


def params(prefix: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in CASES if case["id"].startswith(prefix)]


def check(row: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    expected = case["expected"]
    assert (row["price_status"], row["price_reason"]) == ("priced", None)
    assert row["list_cost"] == Decimal(expected["list_cost"])
    if case["discount"] == "0":
        assert row["contracted_cost"] == row["cost"] == Decimal(expected["contracted_cost"])
    groups = dict.fromkeys(GROUP_OF.values(), Decimal(0))
    for meter, amount in expected["lines"].items():
        groups[GROUP_OF[meter]] += Decimal(amount)
    assert {group: row[group] for group in groups} == groups


@pytest.mark.parametrize("case", params("C"))
def test_priced_from_the_catalogue(case: Mapping[str, Any], rated: Any) -> None:
    if reason := not_in_catalogue(case):
        pytest.skip(reason)
    check(rated(**call_of(case)), case)


@pytest.mark.parametrize("case", params("C"))
def test_priced_at_the_cases_own_rates(case: Mapping[str, Any], rated: Any, book_of: Any) -> None:
    if reason := uncountable(case):
        pytest.skip(reason)
    row = {"provider": case["provider"], "model_key": case["raw_model"].lower(), "tier": case["tier"]}
    uplift = Decimal(case["uplift"])
    book = book_of(
        *(
            {**row, "meter": meter, "unit_price": Decimal(price) * uplift, "per_qty": case["rate_per"][meter]}
            for meter, price in case["rate_usd"].items()
        )
    )
    check(rated(book, **call_of(case)), case)


@pytest.mark.parametrize("case", params("U"))
def test_unpriced_with_a_reason(case: Mapping[str, Any], rated: Any) -> None:
    row = rated(**call_of(case))
    assert (row["price_status"], row["price_reason"]) == (case["expected"]["status"], case["expected"]["reason"])
    assert (row["list_cost"], row["contracted_cost"], row["cost"]) == (None, None, None)


def test_a_million_tiny_lines_sum_exactly(rated: Any) -> None:
    tiny = next(case for case in CASES if case["id"] == "C43")
    assert rated(**call_of(tiny))["cost"] * 1_000_000 == Decimal("0.005")


@pytest.mark.parametrize("case", [case for case in CASES if case["description"].startswith("largest remainder")])
def test_rounding_by_largest_remainder(case: Mapping[str, Any]) -> None:
    if case["inputs"].get("exponent", 2) != 2:
        pytest.skip("in test_money, with other currencies")
    total, weights = Decimal(case["inputs"]["total"]), [Decimal(weight) for weight in case["inputs"]["weights"]]
    parts = largest_remainder([total * weight / sum(weights) for weight in weights], total)
    assert parts == [Decimal(amount) for amount in case["expected"]]


@pytest.mark.parametrize("case", params("M05"))
def test_rounding_half_even_at_the_cent(case: Mapping[str, Any]) -> None:
    assert [to_cents(Decimal(amount)) for amount in case["inputs"]] == [Decimal(a) for a in case["expected"]]


@pytest.mark.parametrize("case", params("M06"))
def test_rounding_once(case: Mapping[str, Any]) -> None:
    assert to_cents(sum(map(Decimal, case["inputs"]), Decimal(0))) == Decimal(case["expected"])
    assert Decimal(case["expected"]) == CENT
