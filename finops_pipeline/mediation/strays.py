"""Records found far from their day: handed to that day, which is then run again.

Day D's run writes them to ``strays/source=<s>/date=<own day>/from-<D>.parquet``; the own day's run reads every such
file beside its objects. What makes a record a stray is decided in ``buckets``.
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.mediation.shards import taken
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


class Handed:
    """The strays that one run found, on local disk, by the day that they belong to."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._shards = folder, 0
        self.days: set[dt.date] = set()
        folder.mkdir()

    def add(self, rows: pl.DataFrame) -> None:
        """Append rows of the table ``strays``."""
        for (day,), part in rows.group_by(pl.col("event_time").dt.date(), maintain_order=True):
            assert isinstance(day, dt.date)
            part.write_ipc_stream(self._folder / f"{day}-{self._shards}.arrow", compression="lz4")
            self.days.add(day)
        self._shards += 1

    def rows(self, day: dt.date) -> pl.DataFrame:
        """The strays of one day; each can be asked for once."""
        return taken(sorted(self._folder.glob(f"{day}-*.arrow"))) if day in self.days else STRAYS.empty()


def hand_over(
    lake: Lake, source: str, found_on: dt.date, run: str, handed: Handed, expired: Sequence[str]
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

    Returns:
        The days whose strays are others than after the last run: they need a run of their own.
    """
    name = f"from-{found_on}"
    before = {part.date: stamp for part, stamp in lake.stamps(STRAYS, source=source) if part.name == name}
    changed = []
    for day in sorted({*handed.days, *before}):
        rows = handed.rows(day)
        if day in before and expired:
            file = lake.local_file(STRAYS, part=name, source=source, date=day)
            known = pl.read_parquet(file, glob=False, hive_partitioning=False)
            rows = pl.concat([rows, known.filter(pl.col("raw_object").is_in(expired)).select(STRAYS.names)])
        digest = _digest(rows)
        if day not in before or before[day].input_digest != digest:
            lake.write(STRAYS, rows, Stamp(STRAYS.version, digest, run), part=name, source=source, date=day)
            changed.append(day)
    return tuple(changed)


def _digest(rows: pl.DataFrame) -> str:
    digest = hashlib.sha256()
    for piece in rows.iter_slices(10_000):
        digest.update(piece.write_ndjson().encode())
    return digest.hexdigest()
