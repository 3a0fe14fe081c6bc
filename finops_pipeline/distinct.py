"""Rules that are dear by the row and cheap by the value: columns of logs say few things, many times."""

from collections.abc import Callable

import polars as pl


def once_each(column: pl.Expr, rule: Callable[[pl.Expr], pl.Expr], dtype: pl.DataType | type[pl.DataType]) -> pl.Expr:
    """``rule`` of a column, evaluated once for each distinct value, null among them.

    Args:
        column: Of a type that can be joined on.
        rule: Elementwise: its result for a value depends on that value alone.
        dtype: Type of its result.
    """

    def of(values: pl.Series) -> pl.Series:
        values = values.alias("value")
        known = values.unique().to_frame().select("value", rule(pl.col("value")).cast(dtype).alias("result"))
        found = values.to_frame().join(known, on="value", how="left", nulls_equal=True, maintain_order="left")
        return found.get_column("result")

    return column.map_batches(of, return_dtype=dtype, is_elementwise=True)
