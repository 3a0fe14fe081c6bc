"""What an earlier run read from objects that are gone from the source since: it stays, as that run has left it.

Raw logs are deleted by age in most buckets. A late record, or a new version of a format, must not take the history of
such a day away. Its rows were brought together with those of their group before, so they only meet records of their
own id again.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import polars as pl

from finops_pipeline.config.model import Config, Source
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.batches import in_batches
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.mediation.listed import OBJECT, Objects
from finops_pipeline.mediation.records import without_user_ids
from finops_pipeline.mediation.strays import STRAY_KEYS
from finops_pipeline.schemas import INGEST_OBJECTS, QUARANTINE, USAGE

_COMPRESSED = r"\.(gz|zst)$"
"""The end of a key that says how the object is compressed: logs are compressed in place, and are the same logs then."""


def reach(config: Config, source: Source) -> str:
    """What decides which objects a day reads: only under the same does a missing object mean that it is gone."""
    settings = [source.uri, source.format, source.key_timezone, config.grace_hours]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]


class EarlierRun:
    """What the last run of a day has left in the lake.

    Args:
        lake: Where its tables are.
        source: Name of the source.
        day: The day.
        reach: Of the present run; nothing is known where that of the last run was another.
    """

    def __init__(self, lake: Lake, source: str, day: dt.date, reach: str) -> None:
        self._lake = lake
        self._keys: dict[str, Any] = {"source": source, "date": day}
        stamp = lake.stamp(USAGE, **self._keys)
        self._known = stamp is not None and stamp.notes.get("reach") == reach
        self._hashed = stamp is not None and stamp.notes.get("hash_user_ids") is True

    def gone(self, objects: Objects) -> pl.DataFrame:
        """Its rows of ``ingest_objects`` whose objects are not there any more, by key or, compressed since, by name."""
        if not self._known:
            return INGEST_OBJECTS.empty()
        there = objects.frame().filter(pl.col("state") != "vanished").select(_name())
        was_read = ~pl.col("key").str.starts_with(STRAY_KEYS) & (pl.col("state") != "vanished")
        ledger = in_batches(self._lake.scan(INGEST_OBJECTS, **self._keys).select(INGEST_OBJECTS.names))
        gone = (
            known.filter(was_read).with_columns(_name()).join(there, on="name", how="anti", maintain_order="left")
            for known in ledger
        )
        return pl.concat([INGEST_OBJECTS.empty(), *(rows.drop("name") for rows in gone)])

    def usage(self, gone: pl.DataFrame, hash_by: FingerprintKey | None) -> Iterator[pl.DataFrame]:
        """What it made of these objects: ``usage`` rows with ``_object``.

        Args:
            gone: Key and ``_object`` of each.
            hash_by: What user ids are to be hashed with, where they are.
        """
        if gone.get_column("usage").sum():
            for rows in self._rows_of(gone, USAGE.names, self._lake.scan(USAGE, **self._keys)):
                yield rows if hash_by is None or self._hashed else without_user_ids(rows, hash_by)

    def quarantine(self, gone: pl.DataFrame, *, keep_raw: bool) -> Iterator[pl.DataFrame]:
        """What it could not read of these objects: rows of ``quarantine``, without the lines unless they are kept."""
        if gone.get_column("quarantined").sum():
            for rows in self._rows_of(gone, QUARANTINE.names, self._lake.scan(QUARANTINE, **self._keys)):
                raw = rows.get_column("raw") if keep_raw else pl.lit(None, dtype=pl.Binary).alias("raw")
                yield rows.with_columns(raw).drop(OBJECT)

    def _rows_of(self, gone: pl.DataFrame, names: tuple[str, ...], table: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        objects = gone.select(pl.col("key").alias("raw_object"), OBJECT)
        for rows in in_batches(table.select(names)):
            of_these = rows.join(objects, on="raw_object", how="inner", maintain_order="left")
            if of_these.height:
                yield of_these


def _name() -> pl.Expr:
    return pl.col("key").str.replace(_COMPRESSED, "").alias("name")
