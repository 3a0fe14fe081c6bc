"""One source and day in the making: its objects become rows, and every record is accounted for.

The tables that a day writes are ``usage``, ``ingest_objects``, ``quarantine`` and ``strays``; ``usage`` comes last, so
that its input digest stands for all of them. Nothing is written unless the account balances. Which objects a day reads,
and whether it has to, is decided in ``day``.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from finops_pipeline.config.model import Config, Source
from finops_pipeline.formats.format import Format
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.mediation.account import LEDGER_ROWS, Account
from finops_pipeline.mediation.ahead import in_order
from finops_pipeline.mediation.buckets import OUTCOME, STRAY, Buckets, bucket_count
from finops_pipeline.mediation.documents import Bounds, documents_in
from finops_pipeline.mediation.expired import EarlierRun, reach
from finops_pipeline.mediation.fetching import bodies
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.mediation.jobs import Jobs, folder_of
from finops_pipeline.mediation.listed import OBJECT, Objects
from finops_pipeline.mediation.memory import give_back
from finops_pipeline.mediation.objects import ObjectRef, ObjectStore
from finops_pipeline.mediation.quarantine import Quarantine, reason_of
from finops_pipeline.mediation.reader import connect
from finops_pipeline.mediation.reading import Reading, Rules
from finops_pipeline.mediation.result import DayResult, notes_of
from finops_pipeline.mediation.shards import completed
from finops_pipeline.mediation.spool import spool
from finops_pipeline.mediation.strays import Handed, StrayFile, as_strays, from_strays, hand_over, stray_key
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
    """SHA-256 over all that a day's rows are made from, as far as it can be told before they are: objects, strays, the
    source's config, format and schema. While it is the same, the day need not be made again."""
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
    return _sha256(inputs)


def _rows_digest(inputs: str, objects: Objects, refused_until: str | None) -> str:
    """SHA-256 that is another one where the rows are: the inputs, what is kept of the past, what is still to come."""
    return _sha256([inputs, objects.digest_of_expired(), refused_until])


def _sha256(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


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
        waiting = [StrayFile(self.lake, self.source.name, self.day, part) for part in sorted(strays)]
        earlier = EarlierRun(self.lake, self.source.name, self.day, reach(self.config, self.source))
        earlier_rows = sum(file.size()[1] for file in waiting) + int(earlier.gone(objects).get_column("usage").sum())
        count = bucket_count(_plain_bytes(objects), earlier_rows)
        account, buckets = Account(), Buckets(folder / "buckets", count, self.fmt)
        twins = Twins(folder / "twins", -(-count // 16))
        (folder / "objects").mkdir()
        keys: dict[str, Any] = {"source": self.source.name, "date": self.day}
        with (
            self.lake.writer(USAGE, Stamp(USAGE.version, "", self.run), **keys) as append,
            self.lake.writer(QUARANTINE, Stamp(QUARANTINE.version, "", self.run), **keys) as quarantined,
            self.lake.writer(INGEST_OBJECTS, Stamp(INGEST_OBJECTS.version, "", self.run), **keys) as ledger,
        ):
            quarantine = Quarantine(quarantined, keep_raw=self.config.quarantine.keep_raw)
            database = _database(limits.memory_mb)
            jobs = self._jobs(store, objects, account, quarantine, folder / "objects")
            known = jobs.columns(objects) if jobs else None
            reading = Reading(database, rules, self._bounds, objects, buckets, account, quarantine, known)
            fmt = self.fmt
            files = spool(store, objects, folder / "objects", self._bounds, tables=fmt.tables, documents=fmt.documents)
            reading.read_all(files)
            for file in waiting:
                self._add_strays(file, strays[file.part], objects, buckets, account)
            expired = self._keep(earlier, objects, buckets, account, quarantine)
            unread = jobs.unread(_records_by_folder(objects, account)) if jobs else []
            quarantine.flush()
            handed = Handed(folder / "strays")
            give_back()
            usage = self._usage(buckets, objects, account, handed, twins)
            with ThreadPoolExecutor(1) as pool:  # one part is written while the next is made
                for _ in in_order(lambda part: pool.submit(append, part), usage, held=2):
                    pass
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
                stray_days=hand_over(self.lake, self.source.name, self.day, self.run, handed, expired, self._hash_by),
                conflicts=totals["conflicts"],
                near_duplicates=totals["near_duplicates"],
                retries=store.transfers.retries,
                warnings=(),
            )
            result = replace(result, warnings=(*self._warnings(objects, result), *unread))
            # What vanished was not read: should it be there again, the day's inputs have changed.
            inputs = input_digest(self.config, self.source, self.fmt, self.key, objects, strays)
            until = reading.refused_until.isoformat() if reading.refused_until else None
            digest = _rows_digest(inputs, objects, until)
            append.annotate(
                notes_of(result)
                | {
                    "strays": dict(strays),
                    "inputs": inputs,
                    "reach": reach(self.config, self.source),
                    "refused_until": until,
                    "hash_user_ids": self.config.privacy.hash_user_ids,
                },
                input_digest=digest,
            )
            quarantined.annotate({}, input_digest=digest)
            ledger.annotate({}, input_digest=digest)
        return result

    def _usage(
        self, buckets: Buckets, objects: Objects, account: Account, handed: Handed, twins: Twins
    ) -> Iterator[pl.DataFrame]:
        """The day's usage, part by part; what became of all other rows is counted, and strays are put aside."""
        for rows in buckets.resolved(self.day, objects.frame().select(OBJECT, "own", "first_day", "last_day")):
            account.count_rows(rows)
            if (strayed := rows.filter(pl.col(OUTCOME) == STRAY)).height:
                handed.add(as_strays(strayed, self.fmt))
            usage = completed(rows.filter(pl.col(OUTCOME) == "usage"), USAGE.schema)
            twins.add(usage)
            yield usage.select(USAGE.names)

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

    @property
    def _hash_by(self) -> FingerprintKey | None:
        return self.key if self.config.privacy.hash_user_ids else None

    def _add_strays(self, file: StrayFile, digest: str, objects: Objects, buckets: Buckets, account: Account) -> None:
        """Records that another day found and handed over; their file counts as one object more."""
        size, _ = file.size()
        index = objects.append_strays(ObjectRef(stray_key(file.part), size, digest[:32], self.now), self.day)
        for rows in file.rows(self._hash_by):
            buckets.add(from_strays(rows, self.fmt).with_columns(pl.lit(index, dtype=pl.Int32).alias(OBJECT)))
            account.read(index, rows.height)

    def _keep(
        self, earlier: EarlierRun, objects: Objects, buckets: Buckets, account: Account, quarantine: Quarantine
    ) -> pl.Series:
        """Keep what an earlier run read from objects that are gone since; their keys."""
        gone = objects.expire(earlier.gone(objects), self.now)
        for part in gone.iter_slices(LEDGER_ROWS):
            account.carry_over(part)
        in_documents = gone.filter(pl.col("lines") != pl.col("records"))
        objects.documents.update(in_documents.select(OBJECT, "lines").iter_rows())
        for rows in earlier.usage(gone, self._hash_by):
            buckets.add_resolved(rows, self.now)
        for rows in earlier.quarantine(gone, keep_raw=self.config.quarantine.keep_raw):
            quarantine.add_frame(rows)
        return gone.get_column("key")

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
                states.get("expired") if self.fmt.resolve else None,
                "{} of the objects gone: tokens of calls that lie in several objects may count in part or twice",
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
