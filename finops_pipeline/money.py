"""Decimal money: rounding to cents once, so that what is shown adds up. No float ever holds an amount here."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction

CENT = Decimal("0.01")

_EXACT = Context(prec=80)
"""Wide enough that adding amounts of Decimal(38, 12) never rounds, whatever context the caller has set."""


def to_cents(amount: Decimal) -> Decimal:
    """``amount`` in whole cents, half-even."""
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN, context=_EXACT)


def largest_remainder(exact: Sequence[Decimal], total: Decimal) -> list[Decimal]:
    """Round every part to whole cents so that the parts sum to ``total`` exactly.

    Hamilton's method: each part is floored to a cent, and the cents that are left go to the largest remainders; equal
    remainders are served in order of position, so that the same input gives the same output.

    Args:
        exact: Parts in USD, of any scale; credits are negative.
        total: Whole cents that the parts are to sum to; within ``len(exact)`` cents of their exact sum.

    Raises:
        ValueError: ``total`` is no whole number of cents, or further from the parts than rounding can explain.
    """
    with localcontext(_EXACT):
        if total != total.quantize(CENT):
            raise ValueError(f"{total} is not in whole cents")
        floors = [part.quantize(CENT, rounding=ROUND_FLOOR) for part in exact]
        missing = int((total - sum(floors, Decimal(0))) / CENT)
        if not 0 <= missing <= len(exact):
            raise ValueError(f"parts that sum to {sum(exact, Decimal(0))} cannot be rounded to {total}")
        by_remainder = sorted(range(len(exact)), key=lambda i: (floors[i] - exact[i], i))
        for i in by_remainder[:missing]:
            floors[i] += CENT
        return floors


def allocate(total: Decimal, weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Share ``total`` out by ``weights``, in whole cents that add up to it exactly.

    Hamilton's method on the absolute value, so that a credit is shared out as the charge that it takes back was: every
    share is floored to a cent, and the cents that are left go to the largest remainders, equal ones in order of key.

    Args:
        total: Whole cents in USD; below zero for a credit.
        weights: By key, none below zero, of any scale and unit; they need not add up to anything.

    Returns:
        The amount of each key, in the order of ``weights``; each has the sign of ``total`` or is zero.

    Raises:
        ValueError: ``total`` is no whole number of cents, a weight is below zero, or no weight is above zero.
    """
    cents = Fraction(total) * 100
    if cents.denominator != 1:
        raise ValueError(f"{total} is not in whole cents")
    if negative := [key for key, weight in weights.items() if weight < 0]:
        raise ValueError(f"nothing can be shared out by a weight below zero: {negative[0]!r}")
    whole = sum(map(Fraction, weights.values()), Fraction(0))
    if not whole:
        raise ValueError(f"{total} cannot be shared out: all weights are zero")
    exact = {key: abs(cents) * Fraction(weight) / whole for key, weight in weights.items()}
    shares = {key: int(share) for key, share in exact.items()}
    by_remainder = sorted(exact, key=lambda key: (shares[key] - exact[key], key))
    for key in by_remainder[: int(abs(cents)) - sum(shares.values())]:
        shares[key] += 1
    cent = CENT if cents > 0 else -CENT
    with localcontext(_EXACT):
        return {key: share * cent if share else Decimal("0.00") for key, share in shares.items()}
