"""``chargeback``: the lines of a month's statement, one table a revision."""

import dataclasses

import polars as pl

from finops_pipeline.money import EXPONENTS
from finops_pipeline.schemas.contract import AMOUNT, TOTAL, Column, Table

CHARGEBACK = Table(
    name="chargeback",
    version=2,
    meaning="The lines of a month's statement.",
    partition_keys=("month", "revision"),
    columns=(
        Column("team", pl.String, "The team that is charged; null on the unallocated line"),
        Column("cost_center", pl.String, "Cost centre that is charged"),
        Column("line", pl.String, "usage or unallocated", False),
        Column("project", pl.String, "The project; null where the logs name none"),
        Column("service", pl.String, "The AI service that bills"),
        Column("model", pl.String, "Canonical model; the raw id where it does not resolve"),
        Column("unpriced_reason", pl.String, "Why the line's calls have no price (PRICE_REASONS); null: they have one"),
        Column("requests", pl.Int64, "Calls", False),
        Column("tokens", pl.Int64, "Tokens of all classes", False),
        Column("unpriced_requests", pl.Int64, "Calls without a price", False),
        Column("unpriced_tokens", pl.Int64, "Their tokens, as far as known", False),
        Column("exact_cost", TOTAL, "USD before rounding", False),
        Column("amount", AMOUNT, "Whole minor units of currency: cents of USD; the lines add up to the total", False),
        Column("currency", pl.String, "ISO 4217, of the amount", False),
    ),
)


def chargeback_in(currency: str) -> Table:
    """The contract of a statement in a currency: ``amount`` has two decimals, or three where the currency has (KWD).

    Whoever reads statements of both kinds at once wants their types united (DuckDB: ``union_by_name``).
    """
    dtype = pl.Decimal(AMOUNT.precision, max(EXPONENTS[currency], AMOUNT.scale))
    columns = (dataclasses.replace(c, dtype=dtype) if c.name == "amount" else c for c in CHARGEBACK.columns)
    return dataclasses.replace(CHARGEBACK, columns=tuple(columns))
