"""Arithmetic of token counts, the same for every format: disjoint classes, and sums in which unknown is not zero."""

import polars as pl


def uncached(tokens: pl.Expr, cache: pl.Expr) -> pl.Expr:
    """Input tokens without those of the cache, from a count that includes them.

    A count that is smaller than the cache's cannot include them: its writer leaves them out already, and it stays.

    Args:
        tokens: All input tokens; null gives null.
        cache: Of them read from the cache and written to it; never null.
    """
    return pl.when(tokens >= cache).then(tokens - cache).otherwise(tokens)


def sum_of_known(*counts: pl.Expr | str) -> pl.Expr:
    """The sum of the counts that are known, given as expressions or names of columns; null where none is."""
    columns = [pl.col(count) if isinstance(count, str) else count for count in counts]
    return pl.when(pl.any_horizontal(column.is_not_null() for column in columns)).then(pl.sum_horizontal(columns))
