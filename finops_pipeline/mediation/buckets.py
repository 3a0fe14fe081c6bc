"""Deduplication in bounded memory: rows go to hash buckets on local disk, then one bucket at a time is resolved.

Rows of one request id always meet in one bucket, so that deduplication is exact at any size, and the rows come out
the same whatever pieces the day was read in.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from finops_pipeline.schemas import USAGE

OBJECT, OUTCOME = "_object", "_outcome"

BUCKET_BYTES = 48 << 20
"""Plain bytes of raw log that become one bucket: what a bucket needs in memory is a small multiple of it."""

MAX_BUCKETS = 512

HELD_ROWS = 50_000
"""Rows that wait in memory before they are divided among the buckets."""

STRAY = "stray"
"""Outcome of a record that is handed over to its own day; counted as another_day."""


def bucket_count(plain_bytes: int) -> int:
    """Buckets for a day of so many bytes: a function of the input alone, so that a rerun gives the same file."""
    return min(MAX_BUCKETS, max(1, -(-plain_bytes // BUCKET_BYTES)))


class Buckets:
    """Rows of a day on local disk, by hash of their request id."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count, self._shards = folder, count, 0
        self._held: list[pl.DataFrame] = []
        self._rows = 0
        folder.mkdir()

    def add(self, rows: pl.DataFrame) -> None:
        """Append ``usage`` rows with their object's index."""
        if rows.height:
            self._held.append(rows)
            self._rows += rows.height
        if self._rows >= HELD_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        rows = pl.concat(self._held)
        if self._count == 1:
            parts = {(0,): rows}
        else:
            bucket = (pl.col("request_id").hash(seed=0) % self._count).cast(pl.Int32)
            parts = rows.with_columns(bucket.alias("_bucket")).partition_by("_bucket", include_key=False, as_dict=True)
        for (number,), part in parts.items():
            part.write_ipc(self._folder / f"{number}-{self._shards}.arrow", compression="lz4")
        self._shards += 1
        self._held, self._rows = [], 0

    def resolved(self, day: dt.date, objects: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The rows bucket by bucket, each with its outcome, in order of time; every bucket's files are deleted."""
        self._flush()
        for number in range(self._count):
            files = sorted(self._folder.glob(f"{number}-*.arrow"))
            if files:
                yield with_outcomes(taken(files), day, objects)


def taken(files: Iterable[Path]) -> pl.DataFrame:
    """The rows of shard files, which are deleted."""
    frames = []
    for file in files:
        with file.open("rb") as handle:  # an open file: a path would be taken for a pattern
            frames.append(pl.read_ipc(handle))
        file.unlink()
    return pl.concat(frames)


def with_outcomes(rows: pl.DataFrame, day: dt.date, objects: pl.DataFrame) -> pl.DataFrame:
    """Every row with what becomes of it in the run of ``day``, ordered by time and id.

    Of the rows with one request id the most complete wins, then the earliest, then the first by place. A row of
    another day is that day's business where that day's run reads the object too; else it is a stray.

    Args:
        rows: ``usage`` columns and ``_object``.
        day: The day that is being run.
        objects: ``_object``, ``own`` (the key is of this day), ``first_day`` and ``last_day`` (whose runs read it).
    """
    complete = pl.sum_horizontal(pl.col(c.name).is_not_null().cast(pl.UInt8) for c in USAGE.columns)
    place = ["raw_object", "raw_line"]
    ordered = rows.sort(
        "request_id", complete, "event_time", *place, descending=[False, True, False, False, False], nulls_last=True
    )
    own_day = pl.col("event_time").dt.date()
    reached = pl.col("first_day").is_null() | own_day.is_between(pl.col("first_day"), pl.col("last_day"))
    wins = pl.col("request_id").is_first_distinct()
    outcome = (
        pl.when(own_day == day)
        .then(pl.when(wins).then(pl.lit("usage")).otherwise(pl.lit("duplicate")))
        .when(~pl.col("own") | reached)
        .then(pl.lit("another_day"))
        .when(wins)
        .then(pl.lit(STRAY))
        .otherwise(pl.lit("duplicate"))
    )
    return (
        ordered.join(objects, on=OBJECT, how="left", maintain_order="left")
        .with_columns(outcome.alias(OUTCOME))
        .drop("own", "first_day", "last_day")
        .sort("event_time", "request_id", *place)
    )
