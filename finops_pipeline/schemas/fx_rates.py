"""``fx_rates``: the rates of exchange that statements in another currency than USD were made with, a version a table.

A version is all rates as the config's files had them, and never changes: one is added when a file has changed, and the
statement names the one that it took its rate from.
"""

import polars as pl

from finops_pipeline.schemas.contract import Column, Table

RATE_DECIMALS = 9
"""Decimals of a rate; central banks publish four to six, and the inverse of such a rate may have any number."""

FX_RATE = pl.Decimal(18, RATE_DECIMALS)
"""Units of a currency for one USD."""

FX_RATES = Table(
    name="fx_rates",
    version=1,
    meaning="Rates of exchange that statements were made with.",
    partition_keys=("version",),
    columns=(
        Column("date", pl.Date, "Day of the rate", False),
        Column("currency", pl.String, "ISO 4217; never USD", False),
        Column("rate", FX_RATE, "Units of the currency for one USD", False),
        Column("source", pl.String, "Whose rate it is, as the file says", False),
    ),
)
