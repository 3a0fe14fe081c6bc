"""Durations between the times that a log gives."""

import polars as pl

MS = 1000
"""Milliseconds of a second, and microseconds of a millisecond."""


def milliseconds(start: str, end: str) -> pl.Expr:
    """Milliseconds between two columns of times, fractions kept; null where one is not known."""
    return (pl.col(end) - pl.col(start)).dt.total_microseconds() / MS
