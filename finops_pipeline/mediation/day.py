"""Mediation of one source and day: list, read, deduplicate, account for every record, write.

The tables that a day writes are ``usage``, ``ingest_objects``, ``quarantine`` and ``strays``; ``usage`` comes last, so
that its input digest stands for all of them. Nothing is written unless the account balances.
"""

import datetime as dt
import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from finops_pipeline.config.model import Config, Source
from finops_pipeline.formats.format import Format
from finops_pipeline.formats.registry import FORMATS
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.leases import PATIENCE
from finops_pipeline.mediation.account import Account
from finops_pipeline.mediation.buckets import OBJECT, OUTCOME, STRAY, Buckets, bucket_count
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.mediation.layout import Clock, Keys, Placed
from finops_pipeline.mediation.objects import ObjectRef, ObjectStore, open_store
from finops_pipeline.mediation.quarantine import Quarantine
from finops_pipeline.mediation.reader import connect
from finops_pipeline.mediation.reading import Reading, Rules
from finops_pipeline.mediation.records import CLOCK_SKEW
from finops_pipeline.mediation.spool import Bounds, Fetched, spool
from finops_pipeline.mediation.strays import (
    STRAY_KEYS,
    Handed,
    days_with_fresh_strays,
    hand_over,
    stray_files,
    stray_key,
)
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES, QUARANTINE, STRAYS, USAGE

__all__ = ["DayResult", "clock_of", "days_with_fresh_strays", "input_digest", "mediate_day", "survey"]

COMPRESSED_GROWTH = 6
"""Plain bytes a compressed byte of a log: measured 4 to 9; decides the number of buckets only."""


@dataclass(frozen=True)
class DayResult:
    """What a day's mediation did.

    Attributes:
        changed: False where the inputs are those of the last run: nothing was read then.
        objects, lines, records: What was read for the day, the neighbours' share included.
        outcomes: What became of the records (``schemas.OUTCOMES``); they sum to ``records``.
        stray_days: Days that were handed records by this run, and need a run of their own.
        warnings: What a person should know, in sentences.
    """

    changed: bool
    objects: int
    lines: int
    records: int
    outcomes: dict[str, int]
    stray_days: tuple[dt.date, ...]
    warnings: tuple[str, ...]


def mediate_day(
    config: Config,
    source: Source,
    day: dt.date,
    *,
    lake: Lake,
    run: str,
    now: dt.datetime,
    force: bool = False,
) -> DayResult:
    """Make ``usage`` of one source and day from its raw logs, unless its inputs have not changed.

    Args:
        config: The whole configuration.
        source: The source to read.
        day: The UTC day.
        lake: Where the tables are.
        run: Name of the run, kept in the files.
        now: The present, UTC; records after it are quarantined.
        force: Read and write even where the inputs have not changed.

    Raises:
        SourceError: the source cannot be listed or read.
        ConservationError: the account does not balance; nothing is written.
        LeaseHeldError: another run is writing this day, and has not finished in time.
        LakeError: the lake cannot be written.
    """
    fmt, key = FORMATS[source.format], FingerprintKey.from_environment()
    store = open_store(config, source, fmt.layout.base(source.uri))
    keys, roots = survey(run, fmt.name, store, source.uri)
    clock = clock_of(config, source)
    placed = _distinct(keys.day_objects(store, day, clock, roots))
    with lake.lease(USAGE, wait=PATIENCE, source=source.name, date=day):
        # Looked at under the lease: another run may just have made the day.
        strays = stray_files(lake, source.name, day)
        digest = input_digest(config, source, fmt, key, [p.ref for p in placed], strays)
        stamp = lake.stamp(USAGE, source=source.name, date=day)
        if not force and stamp is not None and stamp.input_digest == digest and not _overtaken(stamp.notes, now):
            return _unchanged(stamp.notes)
        with tempfile.TemporaryDirectory(prefix="finops-") as folder:
            return _Day(config, source, day, lake, run, now, fmt, key).make(store, placed, strays, Path(folder))


def clock_of(config: Config, source: Source) -> Clock:
    """How the source's keys tell time."""
    return Clock(ZoneInfo(source.key_timezone), dt.timedelta(hours=config.grace_hours), first_day=config.start_date)


def input_digest(
    config: Config,
    source: Source,
    fmt: Format,
    key: FingerprintKey,
    refs: Iterable[ObjectRef],
    strays: Mapping[str, str],
) -> str:
    """SHA-256 over all that the day's rows depend on: objects, strays, the source's config, format and schema."""
    inputs = {
        "objects": sorted((r.key, r.size, r.etag) for r in refs),
        "strays": sorted(strays.items()),
        "source": source.model_dump(mode="json", exclude={"cost_basis"}),
        "grace_hours": config.grace_hours,
        "start_date": str(config.start_date),
        "limits": [config.limits.max_line_bytes, config.limits.max_inflate_ratio],
        "privacy": [config.privacy.hash_user_ids, config.quarantine.keep_raw, key.id],
        "format": [fmt.name, fmt.version],
        "schemas": [t.version for t in (USAGE, INGEST_OBJECTS, QUARANTINE, STRAYS)],
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class _Day:
    """One day in the making; only there so that its settings need not travel through every call."""

    config: Config
    source: Source
    day: dt.date
    lake: Lake
    run: str
    now: dt.datetime
    fmt: Format
    key: FingerprintKey

    def make(self, store: ObjectStore, placed: list[Placed], strays: Mapping[str, str], folder: Path) -> DayResult:
        objects = [Fetched(p, own=p.own_day == self.day) for p in placed]
        limits = self.config.limits
        bounds = Bounds(limits.max_line_bytes, limits.max_inflate_ratio)
        rules = Rules(
            fmt=self.fmt,
            key=self.key,
            start=self.config.start_date,
            now=self.now,
            hash_user_ids=self.config.privacy.hash_user_ids,
        )
        account, buckets = Account(), Buckets(folder / "buckets", bucket_count(_plain_bytes(placed)))
        (folder / "objects").mkdir()
        keys: dict[str, Any] = {"source": self.source.name, "date": self.day}
        side = Stamp(INGEST_OBJECTS.version, "", self.run)
        with (
            self.lake.writer(USAGE, Stamp(USAGE.version, "", self.run), **keys) as append,
            self.lake.writer(QUARANTINE, side, **keys) as quarantined,
        ):
            quarantine = Quarantine(quarantined, keep_raw=self.config.quarantine.keep_raw)
            database = _database(limits.memory_mb).cursor()
            reading = Reading(database, rules, objects, buckets, account, quarantine)
            for file in spool(store, objects, folder / "objects", bounds, tables=self.fmt.tables):
                reading.read(file)
            self._add_strays(strays, objects, buckets, account)
            expired = self._carry_over(objects, buckets, account, quarantine)
            quarantine.flush()
            handed = Handed(folder / "strays")
            for rows in buckets.resolved(self.day, _places(objects)):
                account.count_rows(rows)
                handed.add(rows.filter(pl.col(OUTCOME) == STRAY).select(USAGE.names))
                append(rows.filter(pl.col(OUTCOME) == "usage").select(USAGE.names))
            ledger = account.balanced(objects)
            outcomes = {name: int(ledger.get_column(name).sum()) for name in OUTCOMES}
            result = DayResult(
                changed=True,
                objects=len(objects),
                lines=int(ledger.get_column("lines").sum()),
                records=int(ledger.get_column("records").sum()),
                outcomes=outcomes,
                stray_days=hand_over(self.lake, self.source.name, self.day, self.run, handed, expired),
                warnings=self._warnings(objects, outcomes),
            )
            # What vanished was not read: should it be there again, the day's inputs have changed.
            read = [f.placed.ref for f in objects if f.state in ("read", "damaged") and not f.strays]
            digest = input_digest(self.config, self.source, self.fmt, self.key, read, strays)
            until = reading.refused_until
            append.annotate(
                _notes(result)
                | {
                    "strays": dict(strays),
                    "reach": self._reach(),
                    "refused_until": until.isoformat() if until else None,
                },
                input_digest=digest,
            )
            quarantined.annotate({}, input_digest=digest)
            self.lake.write(INGEST_OBJECTS, ledger, replace(side, input_digest=digest), **keys)
        return result

    def _add_strays(
        self, strays: Mapping[str, str], objects: list[Fetched], buckets: Buckets, account: Account
    ) -> None:
        """Records that other days found and handed over; each file counts as one object more."""
        for part, digest in sorted(strays.items()):
            file = self.lake.path(STRAYS, part=part, source=self.source.name, date=self.day)
            rows = pl.read_parquet(file, glob=False, hive_partitioning=False)
            ref = ObjectRef(stray_key(part), file.stat().st_size, digest[:32], self.now)
            objects.append(Fetched(Placed(ref, self.day, None, None), own=True, strays=True))
            index = len(objects) - 1
            buckets.add(rows.select(*USAGE.names, pl.lit(index, dtype=pl.Int32).alias(OBJECT)))
            account.read(index, rows.height)

    def _reach(self) -> str:
        """What decides which objects a day reads: only under the same does a missing object mean that it is gone."""
        source = self.source
        reach = [source.uri, source.format, source.key_timezone, self.config.grace_hours]
        return hashlib.sha256(json.dumps(reach).encode()).hexdigest()[:16]

    def _carry_over(
        self, objects: list[Fetched], buckets: Buckets, account: Account, quarantine: Quarantine
    ) -> list[str]:
        """Keep what an earlier run read from objects that have expired since; their keys.

        Raw logs are deleted by age in most buckets. A late record, or a new version of a format, must not take the
        history of such a day away.
        """
        keys: dict[str, Any] = {"source": self.source.name, "date": self.day}
        stamp = self.lake.stamp(USAGE, **keys)
        if stamp is None or stamp.notes.get("reach") != self._reach():
            return []
        listed = [f.placed.ref.key for f in objects]
        gone = self.lake.scan(INGEST_OBJECTS, **keys).filter(
            ~pl.col("key").is_in(listed) & ~pl.col("key").str.starts_with(STRAY_KEYS) & (pl.col("state") != "vanished")
        )
        positions: dict[str, int] = {}
        for row in gone.collect().iter_rows(named=True):
            ref = ObjectRef(row["key"], row["size"], row["etag"], self.now)
            objects.append(Fetched(Placed(ref, self.day, None, None), own=row["own"], state="expired"))
            positions[row["key"]] = len(objects) - 1
            account.carry_over(len(objects) - 1, row)
        if positions:
            rows = self.lake.scan(USAGE, **keys).filter(pl.col("raw_object").is_in(list(positions)))
            index = pl.col("raw_object").replace_strict(positions, return_dtype=pl.Int32).alias(OBJECT)
            buckets.add(rows.select(*USAGE.names, index).collect())
            known = self.lake.scan(QUARANTINE, **keys).filter(pl.col("raw_object").is_in(list(positions)))
            quarantine.add_frame(known.select(QUARANTINE.names).collect())
        return list(positions)

    def _warnings(self, objects: list[Fetched], outcomes: Mapping[str, int]) -> tuple[str, ...]:
        told = []
        undated = sum(f.placed.first_day is None and f.state == "read" and not f.strays for f in objects)
        for number, text in (
            (undated, "{} of the objects without a date in their keys: read again for each day"),
            (sum(f.state == "damaged" for f in objects), "{} of the objects damaged: read up to the damage"),
            (sum(f.state == "vanished" for f in objects), "{} of the objects vanished between listing and reading"),
            (
                sum(f.state == "expired" for f in objects),
                "{} of the objects gone from the source since the last run: what they held is kept",
            ),
            (outcomes["quarantined"], "{} of the records quarantined: the quarantine table says which and why"),
        ):
            if number:
                told.append(text.format(number))
        if not any(f.own and not f.strays for f in objects) and self._had_objects():
            told.append("no objects: the source has delivered before, and has nothing for this day")
        return tuple(told)

    def _had_objects(self) -> bool:
        """Whether the source has delivered on any day before: the latest such day tells."""
        before = (p for p in self.lake.partitions(USAGE, source=self.source.name) if p["date"] < str(self.day))
        stamps = (self.lake.stamp(USAGE, source=p["source"], date=p["date"]) for p in reversed(list(before)))
        return any(stamp is not None and stamp.notes.get("objects") for stamp in stamps)


@lru_cache(maxsize=32)
def survey(run: str, fmt: str, store: ObjectStore, uri: str) -> tuple[Keys, tuple[str, ...]]:
    """How the source's keys tell time and which folders hold them: looked up once a run, since folders may be many."""
    return FORMATS[fmt].layout.survey(store, uri)


@lru_cache(maxsize=2)
def _database(memory_mb: int) -> duckdb.DuckDBPyConnection:
    """One in-memory database a process; each day works through a cursor of its own."""
    return connect(memory_mb)


def _places(objects: list[Fetched]) -> pl.DataFrame:
    """Where in time each object belongs, for those who decide what becomes of its records."""
    return pl.DataFrame(
        {
            OBJECT: range(len(objects)),
            "own": [f.own for f in objects],
            "first_day": [f.placed.first_day for f in objects],
            "last_day": [f.placed.last_day for f in objects],
        },
        schema={OBJECT: pl.Int32, "own": pl.Boolean, "first_day": pl.Date, "last_day": pl.Date},
    )


def _overtaken(notes: Mapping[str, Any], now: dt.datetime) -> bool:
    """Whether a record that was refused because it lay in the future lies there no more."""
    until = notes.get("refused_until")
    return until is not None and dt.datetime.fromisoformat(until) <= now + CLOCK_SKEW


def _distinct(placed: Iterable[Placed]) -> list[Placed]:
    """Objects in order of their keys, each once, however many prefixes list it."""
    return [p for _, p in sorted({p.ref.key: p for p in placed}.items())]


def _plain_bytes(placed: Iterable[Placed]) -> int:
    """About how many bytes the objects hold when inflated; from the listing, so that it is the same for each run."""
    growth = {True: COMPRESSED_GROWTH, False: 1}
    return sum(p.ref.size * growth[p.ref.key.endswith((".gz", ".zst", ".parquet"))] for p in placed)


def _notes(result: DayResult) -> dict[str, object]:
    return {
        "objects": result.objects,
        "lines": result.lines,
        "records": result.records,
        "outcomes": result.outcomes,
        "stray_days": [str(day) for day in result.stray_days],
        "warnings": list(result.warnings),
    }


def _unchanged(notes: Mapping[str, Any]) -> DayResult:
    """What the run that made the day said of it."""
    return DayResult(
        changed=False,
        objects=notes["objects"],
        lines=notes["lines"],
        records=notes["records"],
        outcomes=notes["outcomes"],
        stray_days=tuple(dt.date.fromisoformat(day) for day in notes["stray_days"]),
        warnings=tuple(notes["warnings"]),
    )
