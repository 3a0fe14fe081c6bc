import json
from decimal import Decimal, localcontext
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.money import (
    CENT,
    EXPONENTS,
    allocate,
    convert,
    exact_sum,
    largest_remainder,
    to_cents,
    to_minor_units,
)

CASES = {
    case["id"]: case
    for case in json.loads((Path(__file__).parent / "cases" / "savings_cases.json").read_text())["cases"]
}

EXACT_COSTS = st.lists(
    st.decimals(min_value=-(10**9), max_value=10**9, places=12, allow_nan=False, allow_infinity=False), max_size=40
)


@pytest.mark.parametrize(
    ("amount", "cents"),
    [
        ("0.005", "0.00"),
        ("0.015", "0.02"),
        ("0.025", "0.02"),
        ("0.0250000000001", "0.03"),
        ("-0.015", "-0.02"),
        ("12", "12.00"),
        ("99999999999999999999999999.999999999999", "100000000000000000000000000.00"),
    ],
)
def test_half_a_cent_goes_to_the_even_neighbour(amount: str, cents: str) -> None:
    assert str(to_cents(Decimal(amount))) == cents


def test_three_thirds_of_a_dollar_are_a_dollar() -> None:
    third = Decimal(1) / 3
    assert largest_remainder([third, third, third], Decimal("1.00")) == [
        Decimal("0.34"),
        Decimal("0.33"),
        Decimal("0.33"),
    ]


def test_the_cent_goes_to_the_largest_remainder_wherever_it_stands() -> None:
    parts = [Decimal("1.004"), Decimal("1.009"), Decimal("1.007")]
    assert largest_remainder(parts, Decimal("3.02")) == [Decimal("1.00"), Decimal("1.01"), Decimal("1.01")]


def test_a_credit_is_floored_away_from_zero_before_the_cents_are_shared() -> None:
    parts = [Decimal("-0.333"), Decimal("0.333")]
    assert largest_remainder(parts, Decimal("0.00")) == [Decimal("-0.33"), Decimal("0.33")]


def test_no_parts_sum_to_nothing() -> None:
    assert largest_remainder([], Decimal("0.00")) == []


@pytest.mark.parametrize("total", ["0.001", "0.99", "1.03", "2.00"])
def test_a_total_that_rounding_cannot_explain_is_refused(total: str) -> None:
    with pytest.raises(ValueError, match=r"not in whole cents|cannot be rounded"):
        largest_remainder([Decimal("0.505"), Decimal("0.505")], Decimal(total))


def test_the_callers_decimal_context_does_not_matter() -> None:
    with localcontext() as context:
        context.prec = 5
        parts = [Decimal("123456789012.345000000001"), Decimal("0.345")]
        assert largest_remainder(parts, Decimal("123456789012.69")) == [Decimal("123456789012.35"), Decimal("0.34")]


@given(EXACT_COSTS)
def test_rounded_parts_add_up_to_the_rounded_sum_and_stay_within_a_cent(parts: list[Decimal]) -> None:
    with localcontext() as context:
        context.prec = 60
        total = to_cents(sum(parts, Decimal(0)))
        rounded = largest_remainder(parts, total)
        assert sum(rounded, Decimal(0)) == total
        assert all(abs(amount - part) < CENT for amount, part in zip(rounded, parts, strict=True))
        assert all(amount == part for amount, part in zip(rounded, parts, strict=True) if part == part.quantize(CENT))


@given(EXACT_COSTS)
def test_a_part_with_a_larger_remainder_never_gets_less_of_it(parts: list[Decimal]) -> None:
    rounded = largest_remainder(parts, to_cents(sum(parts, Decimal(0))))
    gained = [amount > part for amount, part in zip(rounded, parts, strict=True)]
    remainders = [part % CENT if part >= 0 else (CENT + part % CENT) % CENT for part in parts]
    served = [remainder for remainder, up in zip(remainders, gained, strict=True) if up]
    passed_over = [remainder for remainder, up in zip(remainders, gained, strict=True) if not up and remainder]
    assert not served or not passed_over or min(served) >= max(passed_over)


def cents(minor: int) -> Decimal:
    return Decimal(minor) / 100


def in_minor_units(amounts: dict[str, Decimal]) -> dict[str, int]:
    return {key: int(amount * 100) for key, amount in amounts.items()}


@pytest.mark.parametrize(
    ("case", "expected"), list(zip(CASES["C23"]["inputs"]["cases"], CASES["C23"]["expected"], strict=True))
)
def test_an_amount_is_shared_out_as_the_worked_cases_have_it(case: dict[str, Any], expected: dict[str, int]) -> None:
    weights = {key: Decimal(weight) for key, weight in zip(case["keys"], case["weights"], strict=True)}
    shares = allocate(cents(case["total_minor"]), weights)
    assert in_minor_units(shares) == expected
    assert list(shares) == case["keys"]


@pytest.mark.parametrize("method", ["proportional", "even", "fixed", "telemetry"])
def test_a_shared_cost_is_shared_out_by_whatever_weights_its_method_has(method: str) -> None:
    inputs, expected = CASES["C24"]["inputs"], CASES["C24"]["expected"]
    weights = {
        "proportional": inputs["direct_minor"],
        "even": dict.fromkeys(inputs["direct_minor"], 1),
        "fixed": inputs["fixed_pct"],
        "telemetry": inputs["telemetry_requests"],
    }[method]
    shares = allocate(cents(inputs["shared_minor"]), {key: Decimal(weight) for key, weight in weights.items()})
    assert in_minor_units(shares) == expected[method]
    direct, unallocated = sum(map(cents, inputs["direct_minor"].values())), cents(inputs["unallocated_minor"])
    assert direct + sum(shares.values()) + unallocated == cents(expected["total_minor"])


def test_nothing_is_shared_out_as_nothing() -> None:
    shares = allocate(Decimal(0), {"a": Decimal(1), "b": Decimal(0)})
    assert {key: str(amount) for key, amount in shares.items()} == {"a": "0.00", "b": "0.00"}


@pytest.mark.parametrize(
    ("total", "weights", "message"),
    [
        ("1.00", {"a": "0", "b": "0"}, "all weights are zero"),
        ("1.00", {}, "all weights are zero"),
        ("1.00", {"a": "1", "b": "-1"}, "weight below zero: 'b'"),
        ("1.005", {"a": "1"}, "not in whole cents"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(total: str, weights: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        allocate(Decimal(total), {key: Decimal(weight) for key, weight in weights.items()})


WEIGHTS = st.dictionaries(
    st.text(max_size=3), st.decimals(min_value=0, max_value=10**12, places=6), min_size=1, max_size=12
).filter(lambda weights: any(weights.values()))


@given(st.integers(-(10**15), 10**15), WEIGHTS, st.randoms(use_true_random=False))
def test_shares_add_up_within_a_cent_of_their_weight_whatever_the_order_of_the_keys(
    minor: int, weights: dict[str, Decimal], random: Random
) -> None:
    with localcontext() as context:
        context.prec = 60
        total, whole = cents(minor), sum(weights.values())
        shares = allocate(total, weights)
        assert sum(shares.values()) == total
        assert all(abs(shares[key] - total * weight / whole) < CENT for key, weight in weights.items())
        assert shares == allocate(total, dict(random.sample(sorted(weights.items()), len(weights))))
        assert shares == {key: -amount for key, amount in allocate(-total, weights).items()}


MONEY_CASES = {
    case["id"]: case for case in json.loads((Path(__file__).parent / "cases" / "pricing_cases.json").read_text())
}


@pytest.mark.parametrize("name", ["M01", "M02", "M04"])
def test_totals_are_shared_out_in_the_minor_unit_of_their_currency(name: str) -> None:
    inputs = MONEY_CASES[name]["inputs"]
    weights = {str(place): Decimal(weight) for place, weight in enumerate(inputs["weights"])}
    shares = allocate(Decimal(inputs["total"]), weights, inputs.get("exponent", 2))
    assert [str(share) for share in shares.values()] == MONEY_CASES[name]["expected"]


@pytest.mark.parametrize("name", ["M01", "M02", "M04"])
def test_a_credit_is_shared_out_as_the_charge_that_it_takes_back_was(name: str) -> None:
    inputs = MONEY_CASES[name]["inputs"]
    weights = {str(place): Decimal(weight) for place, weight in enumerate(inputs["weights"])}
    shares = allocate(-Decimal(inputs["total"]), weights, inputs.get("exponent", 2))
    assert list(shares.values()) == [-Decimal(share) for share in MONEY_CASES[name]["expected"]]


def test_half_a_cent_goes_to_the_even_neighbour_as_the_worked_case_has_it() -> None:
    case = MONEY_CASES["M05"]
    assert [str(to_minor_units(Decimal(amount))) for amount in case["inputs"]] == case["expected"]


def test_records_are_added_up_before_anything_is_rounded() -> None:
    case = MONEY_CASES["M06"]
    assert str(to_minor_units(exact_sum(map(Decimal, case["inputs"])))) == case["expected"]


def test_a_converted_amount_is_exact_until_the_statement() -> None:
    case = MONEY_CASES["M07"]
    exact = convert(Decimal(case["inputs"]["amount"]), Decimal(case["inputs"]["rate"]))
    assert exact == Decimal(case["expected"]["exact"])
    assert str(to_minor_units(exact, EXPONENTS["EUR"])) == case["expected"]["statement"]


@pytest.mark.parametrize(
    ("currency", "exponent"),
    [("USD", 2), ("EUR", 2), ("HUF", 2), ("JPY", 0), ("KRW", 0), ("ISK", 0), ("KWD", 3), ("BHD", 3), ("TND", 3)],
)
def test_a_currency_has_the_minor_unit_that_iso_4217_gives_it(currency: str, exponent: int) -> None:
    assert EXPONENTS[currency] == exponent


@pytest.mark.parametrize("code", ["XXX", "XAU", "XTS", "XDR", "CLF", "DEM", "eur", ""])
def test_what_nobody_is_charged_in_is_no_currency(code: str) -> None:
    assert code not in EXPONENTS


def test_an_amount_between_the_units_of_its_currency_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.5 is not in whole units of 1"):
        allocate(Decimal("0.5"), {"a": Decimal(1)}, 0)
    with pytest.raises(ValueError, match=r"0\.0005 is not in whole units of 0\.001"):
        largest_remainder([Decimal("0.0005")], Decimal("0.0005"), 3)


RATES = st.decimals(min_value="0.000000001", max_value=999_999_999, places=9)


@given(EXACT_COSTS, RATES, st.sampled_from([0, 2, 3]))
def test_converted_parts_add_up_to_the_converted_sum_in_any_minor_unit(
    parts: list[Decimal], rate: Decimal, exponent: int
) -> None:
    with localcontext() as context:
        context.prec = 80
        unit = Decimal(1).scaleb(-exponent)
        total = to_minor_units(sum(parts, Decimal(0)) * rate, exponent)
        rounded = largest_remainder([convert(part, rate) for part in parts], total, exponent)
        assert sum(rounded, Decimal(0)) == total
        assert all(abs(amount - part * rate) < unit for amount, part in zip(rounded, parts, strict=True))


@given(st.integers(-(10**12), 10**12), WEIGHTS, st.sampled_from([0, 2, 3]))
def test_shares_add_up_in_any_minor_unit(minor: int, weights: dict[str, Decimal], exponent: int) -> None:
    with localcontext() as context:
        context.prec = 60
        total = Decimal(minor).scaleb(-exponent)
        shares = allocate(total, weights, exponent)
        assert sum(shares.values()) == total
        assert all(share == to_minor_units(share, exponent) and share * total >= 0 for share in shares.values())


@given(st.tuples(*[st.decimals(min_value=-(10**9), max_value=10**9, places=12)] * 2), RATES, st.sampled_from([0, 2, 3]))
def test_more_dollars_are_never_less_in_another_currency(
    amounts: tuple[Decimal, Decimal], rate: Decimal, exponent: int
) -> None:
    low, high = sorted(amounts)
    assert convert(low, rate) <= convert(high, rate)
    assert to_minor_units(convert(low, rate), exponent) <= to_minor_units(convert(high, rate), exponent)
