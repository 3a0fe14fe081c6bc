"""Lines that cannot be usage: why, how long, and their hash; never their content, unless the config says so."""

import hashlib
import heapq
import os
import struct
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec
import polars as pl

from finops_pipeline.schemas import QUARANTINE

_KINDS = {list: "an array", str: "a text", int: "a number", float: "a number", bool: "true or false"}

EXPLAINED = 1 << 20
"""Bytes of a line that are parsed a second time for the reason."""

ROWS, RAW = 20_000, 8 << 20
"""Rows, and bytes of kept lines, that are held at once, so that memory does not grow with what is wrong."""

NO_DOCUMENT = "not a document of this format"

_SIZES = struct.Struct("<II")


class _Row(NamedTuple):
    """A row of the quarantine, in the order that they are written in."""

    raw_object: str
    raw_line: int
    reason: str
    length: int | None
    sha256: str | None
    raw: bytes | None

    @property
    def place(self) -> tuple[str, int, str]:
        return self[:3]


class Quarantine:
    """Rows of the quarantine in the making, which several threads find.

    Args:
        append: Takes frames of the quarantine's contract.
        keep_raw: Whether the lines themselves are kept.
    """

    def __init__(self, append: Callable[[pl.DataFrame], None], *, keep_raw: bool) -> None:
        self._append, self._keep_raw = append, keep_raw
        self._rows: list[_Row] = []
        self._raw = 0
        self._spilled: _Spilled | None = None
        self._lock = threading.Lock()

    def add_line(self, key: str, line: int, reason: str, raw: bytes | None) -> None:
        """A record with its bytes, where it has a line of its own."""
        if raw is None:
            self.add(key, line, reason)
        else:
            self.add(key, line, reason, length=len(raw), sha256=hashlib.sha256(raw).hexdigest(), raw=raw)

    def add(
        self,
        key: str,
        line: int,
        reason: str,
        *,
        length: int | None = None,
        sha256: str | None = None,
        raw: bytes | None = None,
    ) -> None:
        """A record by its place, and what is known of its bytes."""
        row = _Row(key, line, reason, length, sha256, raw if self._keep_raw else None)
        with self._lock:
            self._rows.append(row)
            self._raw += len(row.raw or b"")
            if len(self._rows) >= ROWS or self._raw >= RAW:
                self._spill()

    def add_frame(self, rows: pl.DataFrame) -> None:
        """Rows of an earlier run that stay."""
        with self._lock:
            self._append(rows)

    def flush(self) -> None:
        """Write all rows in order of object and line: several threads find them in any."""
        with self._lock:
            rows: Iterable[_Row] = sorted(self._rows, key=_place)
            if self._spilled is not None:
                self._spill()
                rows = self._spilled.in_order()
            for frame in _frames(rows):
                self._append(frame)
            self._rows, self._raw, self._spilled = [], 0, None

    def _spill(self) -> None:
        self._spilled = self._spilled or _Spilled()
        self._spilled.add(sorted(self._rows, key=_place))
        self._rows, self._raw = [], 0


class _Spilled:
    """Runs of sorted rows in a file that has no name, of which only each run's next row is held, without its line."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as we do)
        weakref.finalize(self, self._file.close)
        self._runs: list[tuple[int, int]] = []

    def add(self, rows: list[_Row]) -> None:
        start = self._file.seek(0, os.SEEK_END)
        for row in rows:
            told, raw = msgspec.msgpack.encode(row[:-1]), msgspec.msgpack.encode(row.raw)
            self._file.write(_SIZES.pack(len(told), len(raw)) + told + raw)
        self._runs.append((start, self._file.tell()))

    def in_order(self) -> Iterator[_Row]:
        merged = heapq.merge(*(self._run(*run) for run in self._runs), key=lambda found: found[0].place)
        for row, at, size in merged:
            self._file.seek(at)
            yield row._replace(raw=msgspec.msgpack.decode(self._file.read(size)))

    def _run(self, at: int, end: int) -> Iterator[tuple[_Row, int, int]]:
        """The rows of a run, each with where its line stands, and in how many bytes."""
        while at < end:
            self._file.seek(at)
            told, raw = _SIZES.unpack(self._file.read(_SIZES.size))
            row = _Row._make([*msgspec.msgpack.decode(self._file.read(told)), None])
            at += _SIZES.size + told
            yield row, at, raw
            at += raw


def _place(row: _Row) -> tuple[str, int, str]:
    return row.place


def _frames(rows: Iterable[_Row]) -> Iterator[pl.DataFrame]:
    """The rows, as many at a time as are held at once."""
    held: list[_Row] = []
    size = 0
    for row in rows:
        held.append(row)
        size += len(row.raw or b"")
        if len(held) >= ROWS or size >= RAW:
            yield _frame(held)
            held, size = [], 0
    if held:
        yield _frame(held)


def _frame(rows: list[_Row]) -> pl.DataFrame:
    schema = {name: QUARANTINE.schema[name] for name in _Row._fields}
    return pl.DataFrame(rows, schema=schema, orient="row").select(QUARANTINE.names)


def reason_of(text: bytes, *, document: bool = False) -> str:
    """Why a line is not one JSON object, or a document none of its format, in words that quote nothing of it."""
    if len(text) > EXPLAINED:
        return f"not one JSON object (a line of {len(text)} bytes)"
    try:
        value = msgspec.json.decode(text)
    except UnicodeDecodeError:
        return f"not UTF-8 (byte {_well_formed(text) + 1})"
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        return f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"
    if document and isinstance(value, dict | list):
        return NO_DOCUMENT
    if value is None:
        return "not a JSON object: null"
    if isinstance(value, dict):
        return "not a JSON object that can be read (unpaired surrogate or control character)"
    return f"not a JSON object: {_KINDS.get(type(value), 'something else')}"


def _well_formed(text: bytes) -> int:
    """How many bytes at the beginning are UTF-8; the JSON parser counts from within."""
    try:
        return len(text.decode().encode())
    except UnicodeDecodeError as error:
        return error.start
