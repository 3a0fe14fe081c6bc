"""What a table contract is: columns with type, unit and meaning, and the check that a frame meets it.

The contracts themselves stand in the modules beside this one, a module a table. Nothing here reads or writes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from finops_pipeline.errors import ContractError

COST = pl.Decimal(18, 12)
"""USD of one call or one line of it; Parquet INT64. Above 999,999.999999999999 a cast raises."""

TOTAL = pl.Decimal(38, 12)
"""USD, a sum of costs."""

UNIT_PRICE = pl.Decimal(38, 18)
"""USD per ``per_qty`` units of a meter."""

AMOUNT = pl.Decimal(18, 2)
"""On a statement: whole cents, or the minor units of the statement's currency where it has fewer decimals."""

RATIO = pl.Decimal(18, 6)
"""A part of something, or a probability; to look at, never to compare money by."""

INSTANT = pl.Datetime("us", "UTC")
"""A point in time."""


@dataclass(frozen=True)
class Column:
    """One column: its name, its Polars type, what it means (with the unit) and whether it may be null."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """The contract of one table of the lake.

    ``partition_keys`` stand in the path only, never in the file. ``version`` goes into each file and into the digest
    of its inputs, so that a changed contract is a changed input. Raise it whenever columns change their meaning.
    """

    name: str
    version: int
    meaning: str
    partition_keys: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pl.Schema:
        """Column names and types as they stand in the file."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def empty(self) -> pl.DataFrame:
        """A frame of no rows that meets the contract."""
        return pl.DataFrame(schema=self.schema)

    def conform(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """The contract's columns in the contract's order; those that ``frame`` lacks are null, others are dropped."""
        present = frame.collect_schema().names()
        return frame.select(
            pl.col(c.name) if c.name in present else pl.lit(None, dtype=c.dtype).alias(c.name) for c in self.columns
        )

    def check(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return ``frame`` unchanged if it meets the contract: names, order, types, no null where none may be.

        Raises:
            ContractError: naming every column that does not.
        """
        if frame.schema != self.schema:
            raise ContractError(f"{self.name}: {'; '.join(_differences(frame.schema, self.schema))}")
        holes = [c.name for c in self.columns if not c.nullable and frame.get_column(c.name).null_count()]
        if holes:
            raise ContractError(f"{self.name}: null in {', '.join(holes)}, which the contract does not allow")
        return frame


def _differences(have: pl.Schema, want: pl.Schema) -> Iterable[str]:
    for name, dtype in want.items():
        if name not in have:
            yield f"column {name} is missing"
        elif have[name] != dtype:
            yield f"column {name} is {have[name]}, the contract says {dtype}"
    yield from (f"column {name} is not in the contract" for name in have if name not in want)
    if set(have) == set(want) and list(have) != list(want):
        yield "columns are in another order"
