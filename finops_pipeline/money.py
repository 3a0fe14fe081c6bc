"""Decimal money: currencies, conversion, and rounding once, so that what is shown adds up. No float holds an amount.

Where a rate of exchange comes from is in ``fx``.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction

USD = "USD"
"""The currency of every table: only a statement may be in another."""

CENT = Decimal("0.01")

_EXACT = Context(prec=80)
"""Wide enough that adding amounts of Decimal(38, 12) and multiplying them by a rate of Decimal(18, 9) never rounds,
whatever context the caller has set."""

_BY_EXPONENT = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
        "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
        "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD "
        "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
        "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}
"""Decimals of the minor unit → currencies. ISO 4217, List One of 2026-01-01 (SIX, maintenance agency), without its
funds, units of account, metals and codes for testing: nobody is charged in these."""

EXPONENTS: Mapping[str, int] = {
    currency: exponent for exponent, codes in _BY_EXPONENT.items() for currency in codes.split()
}
"""Currency by its ISO 4217 code → decimals of its minor unit."""


def minor_unit(exponent: int) -> Decimal:
    """The smallest amount: ``0.01`` of exponent 2, ``1`` of 0."""
    return Decimal(1).scaleb(-exponent)


def convert(usd: Decimal, rate: Decimal) -> Decimal:
    """``usd`` at ``rate`` units of another currency for one USD: exact, to be rounded on the statement alone."""
    return _EXACT.multiply(usd, rate)


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """The sum, whatever context the caller has set."""
    with localcontext(_EXACT):
        return sum(amounts, Decimal(0))


def to_minor_units(amount: Decimal, exponent: int = 2) -> Decimal:
    """``amount`` in whole minor units of a currency, half-even."""
    return amount.quantize(minor_unit(exponent), rounding=ROUND_HALF_EVEN, context=_EXACT)


def to_cents(amount: Decimal) -> Decimal:
    """``amount`` in whole cents, half-even."""
    return to_minor_units(amount)


def largest_remainder(exact: Sequence[Decimal], total: Decimal, exponent: int = 2) -> list[Decimal]:
    """Round every part to whole minor units so that the parts sum to ``total`` exactly.

    Hamilton's method: each part is floored to a unit, and the units that are left go to the largest remainders; equal
    remainders are served in order of position, so that the same input gives the same output.

    Args:
        exact: Parts of any scale; credits are negative.
        total: Whole minor units that the parts are to sum to; within ``len(exact)`` units of their exact sum.
        exponent: Decimals of the minor unit: 2 for cents.

    Raises:
        ValueError: ``total`` is no whole number of units, or further from the parts than rounding can explain.
    """
    unit = minor_unit(exponent)
    with localcontext(_EXACT):
        if total != total.quantize(unit):
            raise ValueError(_not_whole(total, unit))
        floors = [part.quantize(unit, rounding=ROUND_FLOOR) for part in exact]
        missing = int((total - sum(floors, Decimal(0))) / unit)
        if not 0 <= missing <= len(exact):
            raise ValueError(f"parts that sum to {sum(exact, Decimal(0))} cannot be rounded to {total}")
        by_remainder = sorted(range(len(exact)), key=lambda i: (floors[i] - exact[i], i))
        for i in by_remainder[:missing]:
            floors[i] += unit
        return floors


def allocate(total: Decimal, weights: Mapping[str, Decimal], exponent: int = 2) -> dict[str, Decimal]:
    """Share ``total`` out by ``weights``, in whole minor units that add up to it exactly.

    Hamilton's method on the absolute value, so that a credit is shared out as the charge that it takes back was: every
    share is floored to a unit, and the units that are left go to the largest remainders, equal ones in order of key.

    Args:
        total: Whole minor units; below zero for a credit.
        weights: By key, none below zero, of any scale and unit; they need not add up to anything.
        exponent: Decimals of the minor unit: 2 for cents.

    Returns:
        The amount of each key, in the order of ``weights``; each has the sign of ``total`` or is zero.

    Raises:
        ValueError: ``total`` is no whole number of units, a weight is below zero, or no weight is above zero.
    """
    unit = minor_unit(exponent)
    units = Fraction(total) * 10**exponent
    if units.denominator != 1:
        raise ValueError(_not_whole(total, unit))
    if negative := [key for key, weight in weights.items() if weight < 0]:
        raise ValueError(f"nothing can be shared out by a weight below zero: {negative[0]!r}")
    whole = sum(map(Fraction, weights.values()), Fraction(0))
    if not whole:
        raise ValueError(f"{total} cannot be shared out: all weights are zero")
    exact = {key: abs(units) * Fraction(weight) / whole for key, weight in weights.items()}
    shares = {key: int(share) for key, share in exact.items()}
    by_remainder = sorted(exact, key=lambda key: (shares[key] - exact[key], key))
    for key in by_remainder[: int(abs(units)) - sum(shares.values())]:
        shares[key] += 1
    with localcontext(_EXACT):
        signed = unit if units > 0 else -unit
        return {key: share * signed if share else 0 * unit for key, share in shares.items()}


def _not_whole(total: Decimal, unit: Decimal) -> str:
    return f"{total} is not in whole {'cents' if unit == CENT else f'units of {unit}'}"
