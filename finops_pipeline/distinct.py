"""Rules that are dear by the row and cheap by the value: columns of logs say few things, many times."""

from collections.abc import Callable
from functools import lru_cache

import polars as pl

FEW = 1 << 16
"""Up to this many bytes of distinct texts, to number them and look the numbers up costs half of a join."""

DType = pl.DataType | type[pl.DataType]
Rule = Callable[[pl.Expr], pl.Expr]


def once_each(column: pl.Expr, rule: Rule, dtype: DType) -> pl.Expr:
    """``rule`` of a column of texts, evaluated once for each distinct one, null among them.

    Args:
        column: The texts.
        rule: Elementwise: its result for a text depends on that text alone. A function of a module: what it gave is
            remembered by its identity.
        dtype: Type of its result.
    """
    return column.map_batches(lambda texts: _of_each(texts, rule, dtype), return_dtype=dtype, is_elementwise=True)


def _of_each(texts: pl.Series, rule: Rule, dtype: DType) -> pl.Series:
    distinct = texts.unique().drop_nulls()
    if distinct.str.len_bytes().sum() > FEW:
        known = pl.DataFrame({"text": distinct.extend_constant(None, 1)}).with_columns(_result(rule, dtype))
        found = texts.to_frame("text").join(known, on="text", how="left", nulls_equal=True, maintain_order="left")
        return found.get_column("result")
    distinct = distinct.sort()
    numbers = texts.cast(pl.Enum(distinct)).to_physical().cast(pl.UInt32)
    return _of_few(tuple(distinct), rule, dtype).gather(numbers.fill_null(len(distinct)))


@lru_cache(maxsize=64)
def _of_few(texts: tuple[str, ...], rule: Rule, dtype: DType) -> pl.Series:
    """The results for some texts, and for null. Remembered, since the next frame most often has the same texts."""
    asked = pl.DataFrame({"text": [*texts, None]}, schema={"text": pl.String})
    return asked.select(_result(rule, dtype)).to_series()


def _result(rule: Rule, dtype: DType) -> pl.Expr:
    return rule(pl.col("text")).cast(dtype).alias("result")
