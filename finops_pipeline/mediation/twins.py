"""Near duplicates: calls that say the same within a moment, under different ids.

Some writers log one call twice with an id made anew each time (LiteLLM #7477, #15740). Whether such a pair was one call
nobody can tell from the logs, so both are charged, and the pair is reported. Rows of one id are the buckets' business.
"""

import datetime as dt
from pathlib import Path

import polars as pl

from finops_pipeline.mediation.listed import OBJECT
from finops_pipeline.mediation.shards import Shards
from finops_pipeline.schemas import TOKEN_CLASSES

NEAR = dt.timedelta(milliseconds=1)
"""How far apart two such records may lie; those that were seen lay some microseconds apart."""

_SAME = (
    "provider", "raw_model", "operation", "team", "project", "user_id", "end_user", "api_key_id", "status", "trace_id",
    "session_id", "prompt_fingerprint", *TOKEN_CLASSES,
)  # fmt: skip
"""What they say alike."""


class Twins:
    """The usage of one day by content, on local disk.

    Args:
        folder: Made here.
        count: How many parts it is looked at in.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._shards = Shards(folder, count, "content")

    def add(self, usage: pl.DataFrame) -> None:
        """Append ``usage`` rows with their object's index.

        Calls that neither a prompt nor a trace tells apart from others like them are left out.
        """
        self._shards.add(
            usage.filter(pl.any_horizontal(pl.col("prompt_fingerprint", "trace_id").is_not_null())).select(
                pl.struct(_SAME).hash(seed=0).alias("content"),
                pl.col("event_time").dt.epoch("us").alias("time"),
                OBJECT,
            )
        )

    def counts(self) -> pl.DataFrame:
        """Object and how many of its rows are near duplicates of an earlier row (``_object``, ``records``)."""
        counted = self._shards.parts(_near)
        return pl.concat([_NONE, *counted]).group_by(OBJECT).agg(pl.col("records").sum())


_NONE = pl.DataFrame(schema={OBJECT: pl.Int32, "records": pl.Int64})


def _near(rows: pl.DataFrame) -> pl.DataFrame:
    ordered = rows.sort("content", "time", OBJECT)
    alike = pl.col("content") == pl.col("content").shift()
    close = pl.col("time") - pl.col("time").shift() <= NEAR // dt.timedelta(microseconds=1)
    return ordered.filter(alike & close).group_by(OBJECT).agg(pl.len().cast(pl.Int64).alias("records"))
