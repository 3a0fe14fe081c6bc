"""Rows of the lake's own tables in batches: what a day takes from earlier runs may be as large as the day."""

from collections.abc import Iterator

import polars as pl

ROWS = 40_000
"""Rows of a batch."""


def in_batches(rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The rows in their order, ``ROWS`` at a time; no frame where there are none.

    Args:
        rows: A scan of Parquet files, of which each batch then reads its own part.
    """
    start = 0
    while (batch := rows.slice(start, ROWS).collect()).height:
        yield batch
        start += batch.height
