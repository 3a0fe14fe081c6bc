"""Records found far from their day: handed to that day, which is then run again.

Day D's run writes them to ``strays/source=<s>/date=<own day>/from-<D>.parquet``; the own day's run reads every such
file beside its objects. What makes a record a stray is decided in ``buckets``.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from finops_pipeline.config.model import Config
from finops_pipeline.formats.format import GROUP, NOT_USAGE, Format
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.mediation.batches import in_batches
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.mediation.records import beside_usage, without_user_ids
from finops_pipeline.mediation.shards import completed
from finops_pipeline.schemas import STRAYS, USAGE

STRAY_KEYS = "strays/from-"
"""How a file of strays is named among the objects of the day that reads it."""


def stray_key(part: str) -> str:
    """The name of a file of strays among the objects of the day that reads it."""
    return f"{STRAYS.name}/{part}"


def stray_files(lake: Lake, source: str, day: dt.date) -> dict[str, str]:
    """Files of strays that wait for a day: name → digest of their rows."""
    return {part.name: stamp.input_digest for part, stamp in lake.stamps(STRAYS, source=source, date=day)}


def days_with_fresh_strays(config: Config, lake: Lake) -> list[tuple[str, dt.date]]:
    """Source and day of every stray file that the day's ``usage`` does not know yet, or knows otherwise."""
    fresh = []
    for source in config.sources:
        waiting: dict[dt.date, dict[str, str]] = {}
        for part, stamp in lake.stamps(STRAYS, source=source.name):
            waiting.setdefault(part.date, {})[part.name] = stamp.input_digest
        usage = {part.date: stamp for part, stamp in lake.stamps(USAGE, source=source.name, date=waiting)}
        for day, files in waiting.items():
            if day not in usage or usage[day].notes.get("strays", {}) != files:
                fresh.append((source.name, day))
    return fresh


@dataclass(frozen=True)
class StrayFile:
    """One file of strays in the lake.

    Attributes:
        lake: Where it is.
        source: Their source.
        day: The day that they belong to.
        part: Its name.
    """

    lake: Lake
    source: str
    day: dt.date
    part: str

    def size(self) -> tuple[int, int]:
        """Its bytes, and its rows."""
        return self._file().stat().st_size, int(self._scan().select(pl.len()).collect().item())

    def rows(self, hash_by: FingerprintKey | None) -> Iterator[pl.DataFrame]:
        """Its rows.

        Args:
            hash_by: What user ids are to be hashed with, where they are.

        Raises:
            LakeError: it cannot be read.
        """
        stamp = self.lake.stamp(STRAYS, part=self.part, source=self.source, date=self.day)
        hashed = stamp is not None and stamp.notes.get("hash_user_ids") is True
        for rows in in_batches(self._scan()):
            yield rows if hash_by is None or hashed else without_user_ids(rows, hash_by)

    def _scan(self) -> pl.LazyFrame:
        rows = pl.scan_parquet(
            self._file(), schema=STRAYS.schema, glob=False, hive_partitioning=False,
            missing_columns="insert", extra_columns="ignore",
        )  # fmt: skip
        return rows.select(STRAYS.names)

    def _file(self) -> Path:
        return self.lake.local_file(STRAYS, part=self.part, source=self.source, date=self.day)


def as_strays(rows: pl.DataFrame, fmt: Format) -> pl.DataFrame:
    """Rows of the table ``strays`` from rows with the columns of ``beside_usage``."""
    rows = completed(rows, beside_usage(fmt))
    extras = pl.struct(list(fmt.extras)).struct.json_encode() if fmt.extras else pl.lit(None, dtype=pl.String)
    return completed(rows.with_columns(extras.alias("group_extras")), STRAYS.schema).select(STRAYS.names)


def from_strays(rows: pl.DataFrame, fmt: Format) -> pl.DataFrame:
    """The reverse: ``usage`` columns and those of ``beside_usage``, so that strays meet the others of their group."""
    if fmt.resolve is not None:
        extras = pl.col("group_extras").str.json_decode(pl.Struct(fmt.extras)).struct
        rows = rows.with_columns(
            pl.lit(False).alias(NOT_USAGE),
            pl.coalesce(GROUP, "request_id").alias(GROUP),
            *(extras.field(name) for name in fmt.extras),
        )
    return rows.select(*USAGE.names, *beside_usage(fmt))


class Handed:
    """The strays that one run found, on local disk, by the day that they belong to."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._pieces = folder, 0
        self.days: set[dt.date] = set()
        folder.mkdir()

    def add(self, rows: pl.DataFrame) -> None:
        """Append rows of the table ``strays``."""
        for (day,), part in rows.group_by(pl.col("event_time").dt.date(), maintain_order=True):
            assert isinstance(day, dt.date)
            part.write_ipc_stream(self._folder / f"{day}-{self._pieces:08}.arrow", compression="lz4")
            self.days.add(day)
        self._pieces += 1

    def rows(self, day: dt.date) -> Iterator[pl.DataFrame]:
        """The strays of one day, in pieces as they were added."""
        for file in sorted(self._folder.glob(f"{day}-*.arrow")):
            yield pl.read_ipc_stream(file.read_bytes())


def hand_over(
    lake: Lake,
    source: str,
    found_on: dt.date,
    run: str,
    handed: Handed,
    expired: pl.Series,
    hash_by: FingerprintKey | None,
) -> tuple[dt.date, ...]:
    """Write strays to their own days.

    Where an earlier run handed over what is no stray any more, an empty file takes it back; what it found in objects
    that have expired since stays.

    Args:
        lake: Where the strays go.
        source: Their source.
        found_on: The day whose run found them.
        run: Name of that run.
        handed: What it found.
        expired: Keys of objects that it could not read again.
        hash_by: What user ids are hashed with, where they are.

    Returns:
        The days whose strays are others than after the last run: they need a run of their own.
    """
    name = f"from-{found_on}"
    before = {part.date: stamp for part, stamp in lake.stamps(STRAYS, source=source) if part.name == name}
    notes = {"hash_user_ids": hash_by is not None}
    changed = []
    for day in sorted({*handed.days, *before}):
        kept = StrayFile(lake, source, day, name) if day in before and len(expired) else None

        def strays(day: dt.date = day, kept: StrayFile | None = kept) -> Iterator[pl.DataFrame]:
            yield from handed.rows(day)
            for rows in kept.rows(hash_by) if kept else ():
                yield rows.filter(pl.col("raw_object").is_in(expired.implode()))

        digest = _digest(strays())
        if day not in before or before[day].input_digest != digest:
            stamp = Stamp(STRAYS.version, digest, run, notes)
            with lake.writer(STRAYS, stamp, part=name, source=source, date=day) as append:
                for rows in strays():
                    append(rows)
            changed.append(day)
    return tuple(changed)


def _digest(pieces: Iterable[pl.DataFrame]) -> str:
    digest = hashlib.sha256()
    for rows in pieces:
        for part in rows.iter_slices(10_000):
            digest.update(part.write_ndjson().encode())
    return digest.hexdigest()
