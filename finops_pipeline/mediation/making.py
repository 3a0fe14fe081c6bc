"""One source and day in the making: its objects become rows, and every record is accounted for.

The tables that a day writes are ``usage``, ``ingest_objects``, ``quarantine`` and ``strays``; ``usage`` comes last, so
that its input digest stands for all of them. Nothing is written unless the account balances. Which objects a day reads,
and whether it has to, is decided in ``day``.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from finops_pipeline.config.model import Config, Source
from finops_pipeline.formats.format import Format
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.mediation.account import Account
from finops_pipeline.mediation.buckets import OUTCOME, STRAY, Buckets, bucket_count
from finops_pipeline.mediation.documents import Bounds, documents_in
from finops_pipeline.mediation.fetching import bodies
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.mediation.jobs import Jobs, folder_of
from finops_pipeline.mediation.layout import Placed
from finops_pipeline.mediation.listed import OBJECT, Objects
from finops_pipeline.mediation.memory import give_back
from finops_pipeline.mediation.objects import ObjectRef, ObjectStore
from finops_pipeline.mediation.quarantine import Quarantine, reason_of
from finops_pipeline.mediation.reader import connect
from finops_pipeline.mediation.reading import Reading, Rules
from finops_pipeline.mediation.result import DayResult, notes_of
from finops_pipeline.mediation.spool import spool
from finops_pipeline.mediation.strays import (
    STRAY_KEYS,
    Handed,
    hand_over,
    stray_key,
)
from finops_pipeline.mediation.twins import Twins
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES, QUARANTINE, STRAYS, USAGE

COMPRESSED_GROWTH = 6
"""Plain bytes a compressed byte of a log: measured 4 to 9; decides the number of buckets only."""


def input_digest(
    config: Config,
    source: Source,
    fmt: Format,
    key: FingerprintKey,
    objects: Objects,
    strays: Mapping[str, str],
) -> str:
    """SHA-256 over all that the day's rows depend on: objects, strays, the source's config, format and schema."""
    inputs = {
        "objects": objects.digest(),
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
class Making:
    """One day in the making; only there so that its settings need not travel through every call."""

    config: Config
    source: Source
    day: dt.date
    lake: Lake
    run: str
    now: dt.datetime
    fmt: Format
    key: FingerprintKey

    def make(self, store: ObjectStore, objects: Objects, strays: Mapping[str, str], folder: Path) -> DayResult:
        limits = self.config.limits
        rules = Rules(
            source=self.source.name,
            fmt=self.fmt,
            key=self.key,
            start=self.config.start_date,
            now=self.now,
            hash_user_ids=self.config.privacy.hash_user_ids,
            prefix_block_chars=self.source.prefix_block_chars,
        )
        count = bucket_count(_plain_bytes(objects))
        account, buckets = Account(), Buckets(folder / "buckets", count, self.fmt)
        twins = Twins(folder / "twins", -(-count // 16))
        (folder / "objects").mkdir()
        keys: dict[str, Any] = {"source": self.source.name, "date": self.day}
        side = Stamp(INGEST_OBJECTS.version, "", self.run)
        with (
            self.lake.writer(USAGE, Stamp(USAGE.version, "", self.run), **keys) as append,
            self.lake.writer(QUARANTINE, side, **keys) as quarantined,
            self.lake.writer(INGEST_OBJECTS, side, **keys) as ledger,
        ):
            quarantine = Quarantine(quarantined, keep_raw=self.config.quarantine.keep_raw)
            database = _database(limits.memory_mb)
            jobs = self._jobs(store, objects, account, quarantine, folder / "objects")
            known = jobs.columns(objects) if jobs else None
            reading = Reading(database, rules, objects, buckets, account, quarantine, known)
            fmt = self.fmt
            files = spool(store, objects, folder / "objects", self._bounds, tables=fmt.tables, documents=fmt.documents)
            reading.read_all(files)
            unread = jobs.unread(_records_by_folder(objects, account)) if jobs else []
            self._add_strays(strays, objects, buckets, account)
            expired = self._carry_over(objects, buckets, account, quarantine)
            quarantine.flush()
            handed = Handed(folder / "strays")
            give_back()
            for rows in buckets.resolved(self.day, objects.frame().select(OBJECT, "own", "first_day", "last_day")):
                account.count_rows(rows)
                handed.add(rows.filter(pl.col(OUTCOME) == STRAY).select(STRAYS.names))
                usage = rows.filter(pl.col(OUTCOME) == "usage")
                twins.add(usage)
                append(usage.select(USAGE.names))
            account.count_near_duplicates(twins.counts())
            lines = 0
            for rows in account.ledger(objects):
                ledger(rows)
                lines += int(rows.get_column("lines").sum())
            totals = account.totals()
            result = DayResult(
                changed=True,
                objects=len(objects),
                lines=lines,
                records=totals["records"],
                outcomes={name: totals[name] for name in OUTCOMES},
                stray_days=hand_over(self.lake, self.source.name, self.day, self.run, handed, expired),
                conflicts=totals["conflicts"],
                near_duplicates=totals["near_duplicates"],
                retries=store.transfers.retries,
                warnings=(),
            )
            result = replace(result, warnings=(*self._warnings(objects, result), *unread))
            # What vanished was not read: should it be there again, the day's inputs have changed.
            digest = input_digest(self.config, self.source, self.fmt, self.key, objects, strays)
            until = reading.refused_until
            append.annotate(
                notes_of(result)
                | {
                    "strays": dict(strays),
                    "reach": self._reach(),
                    "refused_until": until.isoformat() if until else None,
                },
                input_digest=digest,
            )
            quarantined.annotate({}, input_digest=digest)
            ledger.annotate({}, input_digest=digest)
        return result

    def _jobs(
        self, store: ObjectStore, objects: Objects, account: Account, quarantine: Quarantine, folder: Path
    ) -> Jobs | None:
        """What the objects that describe jobs say; each is one record, and no usage."""
        if self.fmt.job is None:
            return None
        jobs = Jobs(self.fmt.job, self.source)
        described = [n for n, key in enumerate(objects.frame().get_column("key")) if jobs.describes(key)]
        objects.job_files.update(described)
        for place, body in bodies(store, objects.refs(described), folder):
            index = described[place]
            fetched = objects[index]
            if body is None:
                fetched.state = "vanished"
                continue
            with body:
                (document,) = documents_in(body, self._bounds, whole=True)
            account.read(index, 1)
            if document.broken:
                fetched.state = "damaged"
            if not (reason := document.unreadable):
                try:
                    jobs.add(fetched.key, document.bytes())
                except ValueError:
                    reason = reason_of(document.bytes())
            outcome = "quarantined" if reason else "not_usage"
            account.count(outcome if fetched.own else "another_day", index)
            if reason and fetched.own:
                length, sha256, held = document.length, document.sha256(), document.bytes()
                quarantine.add(fetched.key, 1, reason, length=length, sha256=sha256, raw=held or None)
        return jobs

    @property
    def _bounds(self) -> Bounds:
        return Bounds(self.config.limits.max_line_bytes, self.config.limits.max_inflate_ratio)

    def _add_strays(self, strays: Mapping[str, str], objects: Objects, buckets: Buckets, account: Account) -> None:
        """Records that other days found and handed over; each file counts as one object more."""
        for part, digest in sorted(strays.items()):
            file = self.lake.local_file(STRAYS, part=part, source=self.source.name, date=self.day)
            rows = pl.read_parquet(file, glob=False, hive_partitioning=False)
            ref = ObjectRef(stray_key(part), file.stat().st_size, digest[:32], self.now)
            index = objects.append(Placed(ref, self.day, None, None), own=True, strays=True)
            buckets.add(rows.with_columns(pl.lit(index, dtype=pl.Int32).alias(OBJECT)))
            account.read(index, rows.height)

    def _reach(self) -> str:
        """What decides which objects a day reads: only under the same does a missing object mean that it is gone."""
        source = self.source
        reach = [source.uri, source.format, source.key_timezone, self.config.grace_hours]
        return hashlib.sha256(json.dumps(reach).encode()).hexdigest()[:16]

    def _carry_over(self, objects: Objects, buckets: Buckets, account: Account, quarantine: Quarantine) -> list[str]:
        """Keep what an earlier run read from objects that have expired since; their keys.

        Raw logs are deleted by age in most buckets. A late record, or a new version of a format, must not take the
        history of such a day away.
        """
        keys: dict[str, Any] = {"source": self.source.name, "date": self.day}
        stamp = self.lake.stamp(USAGE, **keys)
        if stamp is None or stamp.notes.get("reach") != self._reach():
            return []
        listed = objects.frame().get_column("key").implode()
        before = self.lake.scan(INGEST_OBJECTS, **keys).filter(
            ~pl.col("key").is_in(listed) & ~pl.col("key").str.starts_with(STRAY_KEYS) & (pl.col("state") != "vanished")
        )
        gone = before.collect()
        positions: dict[str, int] = {}
        for row in gone.iter_rows(named=True):
            ref = ObjectRef(row["key"], row["size"], row["etag"], self.now)
            positions[row["key"]] = objects.append(Placed(ref, self.day, None, None), own=row["own"], state="expired")
        account.carry_over(gone.with_columns(_at(positions, "key")))
        if positions:
            rows = self.lake.scan(USAGE, **keys).filter(pl.col("raw_object").is_in(list(positions)))
            buckets.add(rows.select(*USAGE.names, _at(positions, "raw_object")).collect())
            known = self.lake.scan(QUARANTINE, **keys).filter(pl.col("raw_object").is_in(list(positions)))
            quarantine.add_frame(known.select(QUARANTINE.names).collect())
        return list(positions)

    def _warnings(self, objects: Objects, result: DayResult) -> tuple[str, ...]:
        told = []
        listed = objects.frame()
        states = dict(listed.group_by("state").len().iter_rows())
        given = listed.filter(~pl.col("strays"))
        undated = given.filter(pl.col("first_day").is_null() & (pl.col("state") == "read")).height
        for number, text in (
            (undated, "{} of the objects without a date in their keys: read again for each day"),
            (states.get("damaged"), "{} of the objects damaged: read up to the damage"),
            (states.get("vanished"), "{} of the objects vanished between listing and reading"),
            (
                states.get("expired"),
                "{} of the objects gone from the source since the last run: what they held is kept",
            ),
            (
                result.outcomes["quarantined"],
                "{} of the records quarantined: the quarantine table says which and why",
            ),
            (
                result.conflicts,
                "{} of the duplicates say other tokens, cost, model or status than the record that is kept",
            ),
            (
                result.near_duplicates,
                "{} of the calls are like another within a millisecond, under another id: perhaps logged twice",
            ),
        ):
            if number:
                told.append(text.format(number))
        if not given.get_column("own").any() and self._had_objects():
            told.append("no objects: the source has delivered before, and has nothing for this day")
        return tuple(told)

    def _had_objects(self) -> bool:
        """Whether the source has delivered on any day before: the latest such day tells."""
        before = (p for p in self.lake.partitions(USAGE, source=self.source.name) if p["date"] < str(self.day))
        stamps = (self.lake.stamp(USAGE, source=p["source"], date=p["date"]) for p in reversed(list(before)))
        return any(stamp is not None and stamp.notes.get("objects") for stamp in stamps)


@lru_cache(maxsize=2)
def _database(memory_mb: int) -> duckdb.DuckDBPyConnection:
    """One in-memory database a process; each day works through a cursor of its own."""
    return connect(memory_mb)


def _at(positions: Mapping[str, int], column: str) -> pl.Expr:
    """The object's index, from its key."""
    return pl.col(column).replace_strict(positions, default=None, return_dtype=pl.Int32).alias(OBJECT)


def _records_by_folder(objects: Objects, account: Account) -> dict[str, int]:
    """Folder → records of the objects in it that describe no job."""
    records = account.records().filter(~pl.col(OBJECT).is_in(list(objects.job_files)))
    counted: dict[str, int] = {}
    for index, number in records.iter_rows():
        folder = folder_of(objects[index].key)
        counted[folder] = counted.get(folder, 0) + number
    return counted


def _plain_bytes(objects: Objects) -> int:
    """About how many bytes the objects hold when inflated; from the listing, so that it is the same for each run."""
    compressed = pl.col("key").str.contains(r"\.(gz|zst|parquet)$")
    plain = pl.col("size") * pl.when(compressed).then(COMPRESSED_GROWTH).otherwise(1)
    return int(objects.frame().select(plain.sum()).item())
