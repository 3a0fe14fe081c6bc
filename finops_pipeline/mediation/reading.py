"""The records of spooled files into buckets of ``usage`` rows, with everything else accounted for on the way."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import duckdb
import polars as pl

from finops_pipeline.errors import ConservationError
from finops_pipeline.formats.format import NOT_USAGE, Format
from finops_pipeline.mediation.account import Account
from finops_pipeline.mediation.buckets import OBJECT, Buckets
from finops_pipeline.mediation.casts import DEFECT, typed
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.mediation.quarantine import entry, lines_at, reason_of
from finops_pipeline.mediation.reader import IS_RECORD, LINE, UnreadableError, read_json_lines, read_parquet
from finops_pipeline.mediation.records import usage_rows, without_user_ids
from finops_pipeline.mediation.spool import Bounds, Fetched, Spooled, alone, overlong
from finops_pipeline.mediation.tables import read_csv
from finops_pipeline.schemas import USAGE

_LINE_OF_FILE = "_file_line"


@dataclass(frozen=True)
class Rules:
    """What reading needs to know beside the bytes.

    Attributes:
        fmt: The format of the source.
        key: What prompts, and perhaps user ids, are hashed with.
        bounds: What one object may do to us.
        start: First day of the lake.
        now: The present.
        hash_user_ids: Whether user ids are stored as hashes.
        keep_raw: Whether quarantined lines are kept.
    """

    fmt: Format
    key: FingerprintKey
    bounds: Bounds
    start: dt.date
    now: dt.datetime
    hash_user_ids: bool
    keep_raw: bool


@dataclass
class _Tally:
    """What one file held beside usage, kept apart until the file is read to its end."""

    lines: dict[int, int] = field(default_factory=dict)
    rows: int = 0
    not_usage: dict[int, int] = field(default_factory=dict)
    bad: dict[int, str | None] = field(default_factory=dict)
    """Line of the file → why it is no usage; None where nobody knows yet."""


@dataclass
class Reading:
    """One day's reading.

    Attributes:
        quarantined: Rows for the quarantine, of the day's own objects only.
    """

    database: duckdb.DuckDBPyConnection
    rules: Rules
    objects: Sequence[Fetched]
    buckets: Buckets
    account: Account
    quarantined: list[dict[str, object]] = field(default_factory=list)

    def read(self, file: Spooled) -> None:
        """Take the records of a spooled file; the file is deleted at the end.

        A file that the reader refuses is made readable first (``spool.alone``), and read again from its beginning.
        """
        mark = self.buckets.mark()
        try:
            try:
                tally, ragged = self._take(file)
            except UnreadableError:
                self.buckets.rollback(mark)
                index = file.objects[0]
                if len(file.objects) > 1 or file.lines is not None:
                    raise  # these bytes were prepared by us: a defect of ours
                if file.encoding == "parquet":
                    self._lost(index, 1, "not a readable Parquet file")
                    return
                file = alone(file.path, index, self.objects[index], self.rules.bounds)
                tally, ragged = self._take(file)
            self._settle(file, tally, ragged)
        finally:
            file.path.unlink(missing_ok=True)

    def _frames(self, file: Spooled, ragged: dict[int, tuple[int, str]]) -> Iterator[pl.DataFrame]:
        fmt, key = self.rules.fmt, self.rules.key
        match file.encoding:
            case "csv":
                return read_csv(file.path, fmt, ragged)
            case "parquet":
                return read_parquet(self.database, file.path, fmt, key)
        return read_json_lines(
            self.database,
            [file.path],
            fmt,
            key,
            compression=file.compression,
            max_line_bytes=self.rules.bounds.max_line_bytes,
        )

    def _take(self, file: Spooled) -> tuple[_Tally, dict[int, tuple[int, str]]]:
        tally = _Tally()
        ragged: dict[int, tuple[int, str]] = {}
        starts = pl.Series(file.starts, dtype=pl.Int64)
        indexes = pl.Series(file.objects, dtype=pl.Int32)
        keys = pl.Series([self.objects[i].placed.ref.key for i in file.objects], dtype=pl.String)
        for frame in self._frames(file, ragged):
            at = starts.search_sorted(frame.get_column(LINE), side="right") - 1
            frame = frame.with_columns(
                pl.col(LINE).alias(_LINE_OF_FILE),
                pl.col(LINE) - starts.gather(at) + 1,
                indexes.gather(at).alias(OBJECT),
                keys.gather(at).alias("raw_object"),
            )
            tally.rows += frame.height
            for index, lines in frame.group_by(OBJECT).len().iter_rows():
                tally.lines[index] = tally.lines.get(index, 0) + lines
            whole = frame.get_column(IS_RECORD)
            if not whole.all():
                tally.bad |= dict.fromkeys(frame.filter(~whole).get_column(_LINE_OF_FILE).to_list())
                frame = frame.filter(whole)
            self.buckets.add(self._usage(frame, tally))
        return tally, ragged

    def _usage(self, frame: pl.DataFrame, tally: _Tally) -> pl.DataFrame:
        rows = usage_rows(
            typed(frame, self.rules.fmt.fields), self.rules.fmt, start=self.rules.start, now=self.rules.now
        ).with_columns(frame.get_column(OBJECT), frame.get_column(_LINE_OF_FILE))
        audit = rows.get_column(NOT_USAGE)
        if audit.any():
            for index, records in rows.filter(audit).group_by(OBJECT).len().iter_rows():
                tally.not_usage[index] = tally.not_usage.get(index, 0) + records
            rows = rows.filter(~audit)
        wrong = rows.get_column(DEFECT).is_not_null()
        if wrong.any():
            tally.bad |= dict(rows.filter(wrong).select(_LINE_OF_FILE, DEFECT).iter_rows())
            rows = rows.filter(~wrong)
        if self.rules.hash_user_ids:
            rows = without_user_ids(rows, self.rules.key)
        return rows.select(*USAGE.names, OBJECT)

    def _settle(self, file: Spooled, tally: _Tally, ragged: dict[int, tuple[int, str]]) -> None:
        if file.lines is not None and tally.rows != file.lines:
            raise ConservationError(
                f"{file.lines} lines were fetched, but {tally.rows} were read. Nothing is written. This is a defect of "
                "the pipeline: please report it with the source's format."
            )
        for index, lines in tally.lines.items():
            self.account.read(index, lines)
        for index, records in tally.not_usage.items():
            self.account.count("not_usage" if self.objects[index].own else "another_day", index, records)
        if file.encoding == "jsonl":
            self._explain(file, tally.bad)
            return
        index = file.objects[0]
        for line, reason in tally.bad.items():
            self._bad(index, line, reason or "not a record", None)
        for line, (cells, row) in ragged.items():
            self.account.read(index, 1)
            told = f"{cells} cells, which is not what the header has" if cells else "the table breaks off here"
            self._bad(index, line, told, row.encode() or None)
        if 0 in self.objects[index].holes:
            reason = self.objects[index].holes.pop(0)[2]
            self._lost(index, tally.rows + len(ragged) + 1, reason)

    def _explain(self, file: Spooled, bad: dict[int, str | None]) -> None:
        """Read the lines that are no usage once more, for their length, hash and reason."""
        wanted = {}
        for line, reason in bad.items():
            index, number = file.locate(line)
            hole = self.objects[index].holes.get(number)
            if not self.objects[index].own:
                self.account.count("another_day", index)
            elif hole is not None:
                self.account.count("quarantined", index)
                row = entry(self.objects[index].placed.ref.key, number, hole[2], None, keep=False)
                self.quarantined.append(row | {"length": hole[0], "sha256": hole[1]})
            else:
                wanted[line] = (index, number, reason)
        for line, raw in lines_at(file, wanted):
            index, number, reason = wanted.pop(line)
            if len(raw) > self.rules.bounds.max_line_bytes:
                reason = overlong(len(raw))
            self._bad(index, number, reason or reason_of(raw), raw)
        if wanted:
            raise ConservationError(
                f"{len(wanted)} lines that cannot be usage were not found again. Nothing is written."
            )

    def _lost(self, index: int, line: int, reason: str) -> None:
        """The rest of an object that cannot be read counts as one record."""
        self.objects[index].state = "damaged"
        self.account.read(index, 1)
        self._bad(index, line, reason, None)

    def _bad(self, index: int, line: int, reason: str, raw: bytes | None) -> None:
        fetched = self.objects[index]
        self.account.count("quarantined" if fetched.own else "another_day", index)
        if fetched.own:
            self.quarantined.append(entry(fetched.placed.ref.key, line, reason, raw, keep=self.rules.keep_raw))
