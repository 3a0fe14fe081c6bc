"""Decimal money: rounding to cents once, so that what is shown adds up. No float ever holds an amount here."""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, localcontext

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
