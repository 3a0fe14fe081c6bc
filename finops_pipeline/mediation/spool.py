"""Objects to files that the reader can take: fetched into a private folder, inflated and checked, in even pieces.

A day of one-request objects is a hundred thousand files of one line, a busy hour's object is half a gigabyte: both
become plain pieces of a few megabytes, so that what reading needs in memory is the same for either. Every line is
counted here, before any reader sees it. Which line of a piece came from which object is kept, so that everything
downstream speaks of objects and their own lines.
"""

import contextlib
import hashlib
import io
import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from finops_pipeline import s3
from finops_pipeline.mediation.inflate import BOM, Damage, compression_of, plain_chunks
from finops_pipeline.mediation.layout import Placed
from finops_pipeline.mediation.objects import ObjectGoneError, ObjectStore

SMALL = 1 << 20
"""Objects up to this many bytes are fetched side by side, the others one by one."""

PIECE = 16 << 20
"""Plain bytes after which a piece is full: the reader's memory is a small multiple of it."""

FETCHED = 16 << 20
"""Bytes of small objects that are fetched at once."""

THREADS = min(8, s3.CONNECTIONS)
"""boto3 gains nothing from more (measured on loopback)."""

HOLE = b"null\n"
"""Stands in a piece for a line that is quarantined already, so that line numbers stay as they are."""


@dataclass
class Fetched:
    """One object of the day as it was read.

    Attributes:
        placed: The object.
        own: Whether its key belongs to the day that is being run.
        state: read, damaged, vanished or expired.
        strays: Whether it is a file of strays, which this lake wrote itself.
        holes: Lines that are quarantined before any reader sees them: number → (length, SHA-256, reason).
    """

    placed: Placed
    own: bool
    strays: bool = False
    state: str = "read"
    holes: dict[int, tuple[int, str, str]] = field(default_factory=dict)


@dataclass
class Piece:
    """A plain file of JSON lines from one object or many.

    Attributes:
        path: Where it lies.
        objects: Indexes of the objects in it, in order.
        starts: Line of the piece with which each begins, from 1.
        before: Lines of each object that stand in earlier pieces.
        lines: Lines that are not blank.
        longest: Bytes of the longest line.
    """

    path: Path
    objects: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    lines: int = 0
    longest: int = 0

    def locate(self, line: int) -> tuple[int, int]:
        """The object that holds a line of the piece, and the line's number in that object."""
        at = bisect_right(self.starts, line) - 1
        return self.objects[at], line - self.starts[at] + 1 + self.before[at]


@dataclass
class TableFile:
    """An object that is a table: plain CSV, or Parquet.

    Attributes:
        path: Where it lies.
        index: The object.
        encoding: csv or parquet.
        damage: Why the file breaks off; empty where it is whole.
    """

    path: Path
    index: int
    encoding: str
    damage: str = ""


@dataclass(frozen=True)
class Bounds:
    """What one object may do to us (``limits`` in the config)."""

    max_line_bytes: int
    max_inflate_ratio: int


def spool(
    store: ObjectStore, fetched: Sequence[Fetched], folder: Path, bounds: Bounds, *, tables: bool
) -> Iterator[Piece | TableFile]:
    """Fetch every object into ``folder`` and yield files to read; the caller deletes each when it is done with it.

    Sets ``state`` and ``holes`` of the objects on the way. ``tables`` says whether objects may be CSV or Parquet.
    """
    with contextlib.closing(_Pieces(folder, bounds)) as pieces:
        for index, body in _bodies(store, fetched, folder):
            with body:
                key, head = fetched[index].placed.ref.key, body.read(64)
                body.seek(0)
                encoding = encoding_of(key, head) if tables else "jsonl"
                if encoding == "jsonl":
                    yield from pieces.add(index, fetched[index], body)
                else:
                    yield _table(index, fetched[index], body, encoding, folder, bounds)
        yield from pieces.rest()


def encoding_of(key: str, head: bytes) -> str:
    """jsonl, csv or parquet: by the magic bytes, then by the name; JSON lines where neither says otherwise."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if compression_of(head) == "none" and head.removeprefix(BOM).lstrip()[:1] == b"{":
        return "jsonl"
    name = key.lower().removesuffix(".gz").removesuffix(".zst")
    return "csv" if name.endswith((".csv", ".tsv")) else "jsonl"


def _bodies(store: ObjectStore, fetched: Sequence[Fetched], folder: Path) -> Iterator[tuple[int, BinaryIO]]:
    """The objects' bytes, the small ones first; those that have vanished are marked and left out."""
    small = [i for i, f in enumerate(fetched) if f.placed.ref.size <= SMALL]
    with ThreadPoolExecutor(THREADS) as pool:
        for window in _windows(small, fetched):
            bodies = pool.map(lambda i: _fetch(store, fetched[i]), window)
            yield from ((i, io.BytesIO(b)) for i, b in zip(window, bodies, strict=True) if b is not None)
    for i in sorted(set(range(len(fetched))) - set(small)):
        path = folder / f"{i}.raw"
        try:
            store.download(fetched[i].placed.ref, path)
            yield i, path.open("rb")
        except ObjectGoneError:
            fetched[i].state = "vanished"
        finally:
            path.unlink(missing_ok=True)


def _fetch(store: ObjectStore, fetched: Fetched) -> bytes | None:
    try:
        return store.fetch(fetched.placed.ref)
    except ObjectGoneError:
        fetched.state = "vanished"
        return None


def _windows(indexes: Sequence[int], fetched: Sequence[Fetched]) -> Iterator[list[int]]:
    """The objects in groups of a bounded number of bytes: so many are in memory at once."""
    window: list[int] = []
    size = 0
    for i in indexes:
        window.append(i)
        size += fetched[i].placed.ref.size + 4096
        if size >= FETCHED:
            yield window
            window, size = [], 0
    if window:
        yield window


def _table(index: int, fetched: Fetched, body: BinaryIO, encoding: str, folder: Path, bounds: Bounds) -> TableFile:
    damage = Damage()
    path = folder / f"{index}.{encoding}"
    with path.open("wb") as target:
        for chunk in plain_chunks(body, damage, bounds.max_inflate_ratio):
            target.write(chunk)
    if damage.reason:
        fetched.state = "damaged"
        if encoding == "csv":
            _cut_to_whole_lines(path)
    return TableFile(path, index, encoding, damage.reason)


def _cut_to_whole_lines(path: Path) -> None:
    """Drop what follows the last line end: half a row may look like a whole one with a shorter number."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        file.truncate(end)


def overlong(length: int) -> str:
    """The reason for a line that is longer than the limit."""
    return f"a line of {length} bytes, over limits.max_line_bytes"


class _OpenLine:
    """The line that has no end yet: held up to the limit, only hashed beyond it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self.length = 0
        self._hashing = hashlib.sha256()

    @property
    def overlong(self) -> bool:
        return self.length > self._limit

    def add(self, part: bytes) -> None:
        before, self.length = self.overlong, self.length + len(part)
        if before:
            self._hashing.update(part)
            return
        self._parts.append(part)
        if self.overlong:
            for held in self._parts:
                self._hashing.update(held)
            self._parts.clear()

    def bytes(self) -> bytes:
        return b"".join(self._parts)

    def sha256(self) -> str:
        return self._hashing.hexdigest() if self.overlong else hashlib.sha256(self.bytes()).hexdigest()


class _Pieces:
    """Pieces in the making: lines are copied, counted and, where they cannot be read, replaced by holes."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self._folder, self._bounds = folder, bounds
        self._file: BinaryIO | None = None
        self._piece = Piece(folder)
        self._size = 0

    def add(self, index: int, fetched: Fetched, body: BinaryIO) -> Iterator[Piece]:
        """Copy an object's lines; yields the pieces that it fills."""
        damage = Damage()
        number = 0  # lines of the object so far
        self._begin(index, number)
        line = _OpenLine(self._bounds.max_line_bytes)
        for chunk in plain_chunks(body, damage, self._bounds.max_inflate_ratio):
            head, end, rest = chunk.partition(b"\n")
            line.add(head)
            if not end:
                continue
            number += self._line(line, fetched, number)
            block, end, rest = rest.rpartition(b"\n")
            if end:
                number += self._block(block, fetched, number)
            line = _OpenLine(self._bounds.max_line_bytes)
            line.add(rest)
            if self._size >= PIECE:
                yield self._finish()
                self._begin(index, number)
        if damage.reason:
            # The unfinished line, and all that would have followed, is one record.
            fetched.state = "damaged"
            self._hole(fetched, number + 1, line, damage.reason)
        else:
            self._line(line, fetched, number)

    def rest(self) -> Iterator[Piece]:
        """The last piece, if it holds anything."""
        if self._file is not None:
            yield self._finish()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, index: int, number: int) -> None:
        if self._file is None:
            handle, name = tempfile.mkstemp(suffix=".jsonl", dir=self._folder)
            self._file, self._piece, self._size = os.fdopen(handle, "wb"), Piece(Path(name)), 0
        self._piece.objects.append(index)
        self._piece.starts.append(self._piece.lines + 1)
        self._piece.before.append(number)

    def _finish(self) -> Piece:
        self.close()
        return self._piece

    def _line(self, line: _OpenLine, fetched: Fetched, number: int) -> int:
        """Copy one line; how many it counts for."""
        if line.overlong:
            return self._hole(fetched, number + 1, line, overlong(line.length))
        return self._copy(line.bytes() + b"\n", [line.bytes()])

    def _block(self, block: bytes, fetched: Fetched, number: int) -> int:
        """Copy many whole lines; how many of them are not blank."""
        lines = block.split(b"\n")
        if max(map(len, lines)) <= self._bounds.max_line_bytes:
            return self._copy(block + b"\n", lines)
        counted = 0
        for text in lines:
            line = _OpenLine(self._bounds.max_line_bytes)
            line.add(text)
            counted += self._line(line, fetched, number + counted)
        return counted

    def _copy(self, block: bytes, lines: Sequence[bytes]) -> int:
        counted = sum(1 for line in lines if line and not line.isspace())
        if counted:
            self._write(block, counted)
            self._piece.longest = max(self._piece.longest, *map(len, lines), 0)
        return counted

    def _hole(self, fetched: Fetched, number: int, line: _OpenLine, reason: str) -> int:
        fetched.holes[number] = (line.length, line.sha256(), reason)
        self._write(HOLE, 1)
        return 1

    def _write(self, block: bytes, lines: int) -> None:
        assert self._file is not None
        self._file.write(block)
        self._piece.lines += lines
        self._size += len(block)
