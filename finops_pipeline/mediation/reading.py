"""The records of objects into buckets of ``usage`` rows, with everything else accounted for on the way."""

import contextlib
import datetime as dt
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import duckdb
import polars as pl
import pyarrow as pa

from finops_pipeline.errors import ConservationError, SourceError
from finops_pipeline.formats.format import NOT_USAGE, REFUSED, Format
from finops_pipeline.mediation.account import Account
from finops_pipeline.mediation.ahead import in_order
from finops_pipeline.mediation.buckets import Buckets
from finops_pipeline.mediation.casts import DEFECT, typed
from finops_pipeline.mediation.documents import Bounds
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.mediation.lines import Lines, ShortBodyError
from finops_pipeline.mediation.listed import OBJECT, Objects
from finops_pipeline.mediation.parquet import DamagedError, read_parquet
from finops_pipeline.mediation.quarantine import Quarantine, reason_of
from finops_pipeline.mediation.reader import (
    IS_RECORD,
    LINE,
    columns_of,
    read_json_lines,
    read_tables,
)
from finops_pipeline.mediation.records import beside_usage, usage_rows, without_user_ids
from finops_pipeline.mediation.spool import Piece, TableFile
from finops_pipeline.mediation.tables import Refuse, read_csv
from finops_pipeline.schemas import USAGE

READERS = min(4, os.cpu_count() or 1) + 1
"""Pieces that are read side by side: the reader and Polars leave the interpreter's lock while they work, and one piece
more than there are processors keeps these busy while others wait for it."""

_FILE_LINE = "_file_line"
_NUMBER = {_FILE_LINE: pl.Int64, DEFECT: pl.String}


@dataclass(frozen=True)
class Rules:
    """What reading needs to know beside the bytes.

    Attributes:
        source: Name of the source.
        fmt: Its format.
        key: What prompts, and perhaps user ids, are hashed with.
        start: First day of the lake.
        now: The present.
        hash_user_ids: Whether user ids are stored as hashes.
        prefix_block_chars: Characters of a block of the prompt's prefix hashes; 0 for none.
    """

    source: str
    fmt: Format
    key: FingerprintKey
    start: dt.date
    now: dt.datetime
    hash_user_ids: bool
    prefix_block_chars: int


@dataclass
class Reading:
    """One day's reading.

    Attributes:
        jobs: The job columns of each object, one row an object; None where the format asks for none.
        refused_until: The earliest time of a record that was refused because it lies in the future: from then on the
            same objects would be read otherwise.
    """

    database: duckdb.DuckDBPyConnection
    rules: Rules
    bounds: Bounds
    objects: Objects
    buckets: Buckets
    account: Account
    quarantine: Quarantine
    jobs: pl.DataFrame | None = None
    refused_until: dt.datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read_all(self, files: Iterator[Piece | TableFile]) -> None:
        """Take the records of pieces and tables, several side by side; each is closed at the end."""
        with contextlib.ExitStack() as opened, ThreadPoolExecutor(READERS) as pool:

            def start(file: Piece | TableFile) -> Future[None]:
                opened.callback(file.close)  # also of what an error leaves unread
                return pool.submit(self._read, file)

            for _ in in_order(start, files, held=READERS + 1):
                pass

    def _read(self, file: Piece | TableFile) -> None:
        try:
            if isinstance(file, Piece):
                self._read_lines(file)
            else:
                self._read_table(file)
        except ShortBodyError as error:
            raise SourceError(
                f"source {self.rules.source}, {self.objects[error.index].key}: the file was cut while it was "
                "read. Nothing of the day is written. Run it again once nobody changes what is there already."
            ) from error
        finally:
            file.close()

    # -- lines -----------------------------------------------------------------------------------------------------

    def _read_lines(self, piece: Piece) -> None:
        rows, bad = 0, [pl.DataFrame(schema=_NUMBER)]
        lines = Lines(piece.bodies, self.objects, self.bounds, piece.documents, self._refuse_line)
        frames = read_json_lines(
            self.database.cursor(), lines.blocks(), self.rules.fmt, self.rules.key,
            block_chars=self.rules.prefix_block_chars,
        )  # fmt: skip
        for frame in frames:
            rows += frame.height
            starts, indexes = pl.Series(lines.starts, dtype=pl.Int64), pl.Series(lines.indexes, dtype=pl.Int32)
            at = starts.search_sorted(frame.get_column(LINE), side="right") - 1
            placed = frame.with_columns(
                pl.col(LINE).alias(_FILE_LINE),
                pl.col(LINE) - starts.gather(at) + 1,
                indexes.gather(at).alias(OBJECT),
                self.objects.keys(lines.indexes).gather(at).alias("raw_object"),
            )
            self.account.count_read(placed)
            bad.append(self._take(placed))
        if rows != lines.count:
            raise ConservationError(
                f"{lines.count} lines were fetched, but {rows} were read. Nothing is written. This is a defect of the "
                "pipeline: please report it with the source's format."
            )
        self._explain(lines, pl.concat(bad))

    def _refuse_line(self, index: int, number: int, reason: str, length: int, sha256: str, raw: bytes | None) -> None:
        fetched = self.objects[index]
        own = fetched.own
        self.account.count("quarantined" if own else "another_day", index)
        if own:
            self.quarantine.add(fetched.key, number, reason, length=length, sha256=sha256, raw=raw)

    def _explain(self, lines: Lines, bad: pl.DataFrame) -> None:
        """Read the lines that turned out to be no usage once more, for their length, hash and reason."""
        bad = bad.sort(_FILE_LINE)
        place, counted = -1, Counter[int]()
        found = lines.at(iter(bad.get_column(_FILE_LINE)))
        for (line, raw), reason in zip(found, bad.get_column(DEFECT), strict=True):
            index, number = lines.locate(line)
            if index != place:  # a million lines may be of one object: it is looked up once
                place, fetched = index, self.objects[index]
                key, own = fetched.key, fetched.own
            counted[index] += 1
            if own:
                self.quarantine.add_line(key, number, reason or reason_of(raw), raw)
        for index, number in counted.items():
            self.account.count("quarantined" if self.objects[index].own else "another_day", index, number)

    # -- tables ----------------------------------------------------------------------------------------------------

    def _read_table(self, file: TableFile) -> None:
        for frame in self._table_frames(file):
            numbered = frame.with_columns(
                pl.col(LINE).alias(_FILE_LINE),
                pl.lit(file.index, dtype=pl.Int32).alias(OBJECT),
                pl.lit(self.objects[file.index].key).alias("raw_object"),
            )
            self.account.count_read(numbered)
            for number, reason in self._take(numbered).iter_rows():
                self._refuse(file.index, number, reason or "not a record", None)

    def _table_frames(self, file: TableFile) -> Iterator[pl.DataFrame]:
        last, damage = 0, file.damage

        def refuse(number: int, reason: str, raw: bytes | None) -> None:
            nonlocal last
            last = max(last, number)
            self.account.read(file.index, 1)
            self._refuse(file.index, number, reason, raw)

        def tables() -> Iterator[pa.RecordBatch]:
            nonlocal last, damage
            try:
                for table in self._tables(file, refuse):
                    last = max(last, table.column(0)[-1].as_py())
                    yield table
            except DamagedError as error:
                self.objects[file.index].state = "damaged"
                damage = damage or str(error)

        yield from read_tables(
            self.database.cursor(), tables(), self.rules.fmt, self.rules.key,
            block_chars=self.rules.prefix_block_chars,
        )  # fmt: skip
        if damage:
            refuse(last + 1, damage, None)

    def _tables(self, file: TableFile, refuse: Refuse) -> Iterator[pa.RecordBatch]:
        if file.encoding == "parquet":
            yield from read_parquet(file.path, columns_of(self.rules.fmt), self.bounds, refuse)
            return
        for numbers, cells in read_csv(file.path, refuse):
            yield from cells.insert_column(0, numbers.alias("")).to_arrow().to_batches()

    def _refuse(self, index: int, number: int, reason: str, raw: bytes | None) -> None:
        fetched = self.objects[index]
        self.account.count("quarantined" if fetched.own else "another_day", index)
        if fetched.own:
            self.quarantine.add_line(fetched.key, number, reason, raw)

    # -- both ------------------------------------------------------------------------------------------------------

    def _take(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Put the frame's usage into the buckets; the lines that are none, with the reason where it is known."""
        broken = frame.filter(~pl.col(IS_RECORD)).select(_FILE_LINE, pl.lit(None, dtype=pl.String).alias(DEFECT))
        if not frame.get_column(IS_RECORD).all(ignore_nulls=False):
            frame = frame.filter(IS_RECORD)
        if self.jobs is not None:
            frame = frame.hstack(self.jobs[frame.get_column(OBJECT)])
        fmt = self.rules.fmt
        rows = usage_rows(typed(frame, fmt.fields), fmt, start=self.rules.start, now=self.rules.now).with_columns(
            frame.get_column(OBJECT), frame.get_column(_FILE_LINE)
        )
        self._stop_where_refused(rows)
        # What is no usage has no day: it is its object's. Only a format that brings records together sees it again.
        whose = pl.col(NOT_USAGE) & pl.lit(fmt.resolve is not None) & pl.col(DEFECT).is_null()
        audit = rows.filter(pl.col(NOT_USAGE) & ~whose)
        for index, records in audit.group_by(OBJECT).len().iter_rows():
            self.account.count("not_usage" if self.objects[index].own else "another_day", index, records)
        wrong = rows.filter(~pl.col(NOT_USAGE) & pl.col(DEFECT).is_not_null())
        self._note_future(wrong)
        usage = rows.filter((~pl.col(NOT_USAGE) & pl.col(DEFECT).is_null()) | whose)
        if self.rules.hash_user_ids:
            usage = without_user_ids(usage, self.rules.key)
        self.buckets.add(usage.select(*USAGE.names, OBJECT, *beside_usage(fmt)))
        return pl.concat([broken, wrong.select(_FILE_LINE, DEFECT)])

    def _stop_where_refused(self, rows: pl.DataFrame) -> None:
        refused = rows.filter(pl.col(REFUSED).is_not_null()).select("raw_object", REFUSED)
        if refused.height:
            key, why = refused.row(0)
            raise SourceError(f"source {self.rules.source}, {key}: {why}")

    def _note_future(self, wrong: pl.DataFrame) -> None:
        earliest = wrong.filter(pl.col("event_time") > self.rules.now).get_column("event_time").min()
        if isinstance(earliest, dt.datetime):
            with self._lock:
                self.refused_until = min(self.refused_until or earliest, earliest)
