"""Lines of a call: what each meter's quantity costs, exactly, rounded once.

A line is list unit price × uplift × (1 − discount) × quantity / units that the price buys, rounded half-even to 12
decimals. Which price that is stands in ``lookup``, what becomes of the lines in ``rating`` and ``quote``.
"""

import polars as pl

from finops_pipeline.pricing.lookup import per_column, rate_column
from finops_pipeline.pricing.segments import FRACTION_RATE, FRACTIONAL_METERS
from finops_pipeline.schemas import TOTAL

MICRO = 1_000_000
"""Quantities of fractional meters are given in millionths, whole."""

ZERO_COST = pl.lit(0, dtype=TOTAL)

_PICO = pl.lit("0.000000000001").cast(pl.Decimal(38, 12))


def line(kind: str, meter: str, quantity: pl.Expr) -> pl.Expr:
    """USD of one meter (``schemas.TOTAL``); null where there is a quantity and no rate.

    Args:
        kind: ``lookup.LIST`` or ``lookup.CONTRACTED``.
        meter: What is counted. A fee a request exists only where there is a rate: without one it is 0.
        quantity: Whole and not negative; of a fractional meter in millionths. Null gives null.
    """
    rate = pl.col(rate_column(kind, meter))
    if meter in FRACTIONAL_METERS:
        exact = _divided(quantity.cast(pl.Decimal(38, 0)) * rate, pl.col(per_column(meter)))
    else:
        exact = (quantity * rate).cast(TOTAL)
    if meter == "request":
        return exact.fill_null(ZERO_COST)
    return pl.when(quantity == 0).then(ZERO_COST).otherwise(exact)


def _divided(product: pl.Expr, per: pl.Expr) -> pl.Expr:
    """``product`` over ``per`` million, half-even at 12 decimals, in whole numbers: a decimal's division truncates."""
    # The product has the rate's 18 decimals, the result 12, the quantity is in millionths: 10^6 are over.
    numerator = product.cast(FRACTION_RATE).to_physical()
    divisor = per.cast(pl.Int128) * MICRO * 10**6
    whole = numerator // divisor
    twice = (numerator - whole * divisor) * 2
    up = (twice > divisor) | ((twice == divisor) & (whole % 2 == 1))
    return (whole + up.cast(pl.Int128)).cast(pl.Decimal(38, 0)) * _PICO
