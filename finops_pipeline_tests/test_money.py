from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.money import CENT, largest_remainder, to_cents

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
