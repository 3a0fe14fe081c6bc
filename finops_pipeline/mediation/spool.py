"""Objects to files that the reader can take: fetched into a private folder, small ones joined.

A day of one-request objects is a hundred thousand files of one line: joined, they are a few. Which line of a joined
file came from which object is kept here, so that everything downstream speaks of objects and their own lines.
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

from finops_pipeline.mediation.inflate import BOM, Damage, begins_with_bom, compression_of, inflate, plain_chunks
from finops_pipeline.mediation.layout import Placed
from finops_pipeline.mediation.objects import CONNECTIONS, ObjectGoneError, ObjectStore
from finops_pipeline.mediation.reader import Compression

SMALL = 1 << 20
"""Objects up to this many bytes are joined."""

JOINED = 64 << 20
"""Plain bytes after which a joined file is full."""

FETCHED = 16 << 20
"""Bytes of small objects that are fetched at once."""

THREADS = min(8, CONNECTIONS)
"""boto3 gains nothing from more (measured on loopback)."""

HOLE = b"null\n"
"""Stands in a joined file for a line that is quarantined already, so that line numbers stay as they are."""


@dataclass
class Fetched:
    """One object of the day as it was read.

    Attributes:
        placed: The object.
        own: Whether its key belongs to the day that is being run.
        state: read, damaged or vanished.
        holes: Lines that are quarantined before any reader sees them: number → (length, SHA-256 or None, reason).
        encoding: jsonl, csv or parquet.
    """

    placed: Placed
    own: bool
    state: str = "read"
    holes: dict[int, tuple[int | None, str | None, str]] = field(default_factory=dict)
    encoding: str = "jsonl"


@dataclass
class Spooled:
    """A file to read, and which of its lines belong to which object.

    Attributes:
        path: Where it lies.
        compression: How it is compressed.
        objects: Indexes of the objects in it, in order.
        starts: First line of each object, from 1.
        lines: Lines in the file; None where nobody has counted them.
    """

    path: Path
    compression: Compression
    objects: list[int]
    starts: list[int]
    lines: int | None
    encoding: str = "jsonl"

    def locate(self, line: int) -> tuple[int, int]:
        """The object that holds a line of the file, and the line's number in that object."""
        at = bisect_right(self.starts, line) - 1
        return self.objects[at], line - self.starts[at] + 1


@dataclass(frozen=True)
class Bounds:
    """What one object may do to us (``limits`` in the config)."""

    max_line_bytes: int
    max_inflate_ratio: int


def spool(
    store: ObjectStore, fetched: Sequence[Fetched], folder: Path, bounds: Bounds, *, tables: bool
) -> Iterator[Spooled]:
    """Fetch every object into ``folder`` and yield files to read; the caller deletes each when it is done with it.

    Sets ``state``, ``holes`` and ``encoding`` of the objects on the way. ``tables`` says whether objects may be CSV
    or Parquet.
    """
    small = [i for i, f in enumerate(fetched) if f.placed.ref.size <= SMALL]
    large = [i for i, f in enumerate(fetched) if f.placed.ref.size > SMALL]
    with ThreadPoolExecutor(THREADS) as pool, contextlib.closing(_Join(folder, bounds)) as join:
        for window in _windows(small, fetched):
            bodies = pool.map(lambda i: _fetch(store, fetched[i]), window)
            for i, body in zip(window, bodies, strict=True):
                if body is None:
                    continue
                fetched[i].encoding = encoding_of(fetched[i].placed.ref.key, body[:64]) if tables else "jsonl"
                if fetched[i].encoding == "jsonl":
                    join.add(i, fetched[i], body)
                else:
                    path = folder / f"{i}.raw"
                    path.write_bytes(body)
                    yield alone(path, i, fetched[i], bounds)
                if join.size >= JOINED:
                    yield join.finish()
        if join.objects:
            yield join.finish()
    for i in large:
        path = folder / f"{i}.raw"
        try:
            store.download(fetched[i].placed.ref, path)
        except ObjectGoneError:
            fetched[i].state = "vanished"
            continue
        with path.open("rb") as file:
            head = file.read(64)
        fetched[i].encoding = encoding_of(fetched[i].placed.ref.key, head) if tables else "jsonl"
        if fetched[i].encoding == "jsonl" and not begins_with_bom(path):
            yield Spooled(path, compression_of(head), [i], [1], None)
        else:
            yield alone(path, i, fetched[i], bounds)


def encoding_of(key: str, head: bytes) -> str:
    """jsonl, csv or parquet: by the magic bytes, then by the name; JSON lines where neither says otherwise."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if compression_of(head) == "none" and head.removeprefix(BOM).lstrip()[:1] == b"{":
        return "jsonl"
    name = key.lower().removesuffix(".gz").removesuffix(".zst")
    return "csv" if name.endswith((".csv", ".tsv")) else "jsonl"


def alone(path: Path, index: int, fetched: Fetched, bounds: Bounds) -> Spooled:
    """An object as a plain file of its own: inflated to the point of damage, over-long lines and all else made safe.

    This is also the way back when the reader refuses an object: what it yields, the reader can read.
    """
    if fetched.encoding == "parquet":
        return Spooled(path, "none", [index], [1], None, "parquet")
    damage = Damage()
    plain = path.with_suffix(".plain")
    with path.open("rb") as source, plain.open("wb") as target:
        lines = _Lines(target, fetched, bounds) if fetched.encoding == "jsonl" else None
        for n, piece in enumerate(plain_chunks(source, damage, bounds.max_inflate_ratio)):
            piece = piece.removeprefix(BOM) if n == 0 else piece
            lines.feed(piece) if lines else target.write(piece)
        count = lines.finish(damage.reason) if lines else None
    if damage.reason:
        fetched.state = "damaged"
        if lines is None:  # a table that breaks off: what its reader finds is kept, and the rest told as one record
            fetched.holes[0] = (None, None, damage.reason)
    path.unlink()
    return Spooled(plain, "none", [index], [1], count, fetched.encoding)


def overlong(length: int) -> str:
    """The reason for a line that is longer than the limit."""
    return f"a line of {length} bytes, over limits.max_line_bytes"


class _Lines:
    """Copies lines, with a hole for each that is too long to be read, and numbers them."""

    def __init__(self, target: BinaryIO, fetched: Fetched, bounds: Bounds) -> None:
        self._target, self._fetched, self._bounds = target, fetched, bounds
        self._pieces: list[bytes] = []
        self._length = 0
        self._hash = hashlib.sha256()
        self._blank = True
        self.count = 0

    def feed(self, chunk: bytes) -> None:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            self._add(line)
            self._end()
        self._add(rest)

    def _add(self, piece: bytes) -> None:
        self._blank = self._blank and not piece.strip()
        self._length += len(piece)
        self._hash.update(piece)
        if self._length <= self._bounds.max_line_bytes:
            self._pieces.append(piece)
        else:
            self._pieces.clear()  # what is too long is hashed, not held

    def _end(self) -> None:
        if not self._blank:
            self.count += 1
            if self._length > self._bounds.max_line_bytes:
                self._hole(overlong(self._length))
            else:
                self._target.write(b"".join(self._pieces) + b"\n")
        self._pieces, self._length, self._hash, self._blank = [], 0, hashlib.sha256(), True

    def _hole(self, reason: str) -> None:
        self._fetched.holes[self.count] = (self._length, self._hash.hexdigest(), reason)
        self._target.write(HOLE)

    def finish(self, damage: str) -> int:
        """End the last line; where the stream is damaged, that line and all that would follow is one record."""
        if damage:
            self.count += 1
            self._hole(damage)
        else:
            self._end()
        return self.count


class _Join:
    """Joined files, one after the other."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self._folder, self._bounds = folder, bounds
        self._file: BinaryIO | None = None
        self._begin()

    def _begin(self) -> None:
        self.close()
        self.objects: list[int] = []
        self.size = 0
        self._starts: list[int] = []
        self._lines = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, index: int, fetched: Fetched, body: bytes) -> None:
        if self._file is None:
            handle, name = tempfile.mkstemp(suffix=".jsonl", dir=self._folder)
            self._file, self._path = os.fdopen(handle, "wb"), Path(name)
        plain, damage = inflate(body, self._bounds.max_inflate_ratio)
        self.objects.append(index)
        self._starts.append(self._lines + 1)
        if damage:
            fetched.state = "damaged"
        if damage or len(plain) > self._bounds.max_line_bytes:
            buffer = io.BytesIO()
            lines = _Lines(buffer, fetched, self._bounds)
            lines.feed(plain)
            count, plain = lines.finish(damage), buffer.getvalue()
        else:
            count = sum(1 for line in plain.split(b"\n") if line.strip())
            plain = plain if plain.endswith(b"\n") else plain + b"\n"
        self._file.write(plain)
        self._lines += count
        self.size += len(plain)

    def finish(self) -> Spooled:
        """The file so far; the next object begins another."""
        done = Spooled(self._path, "none", self.objects, self._starts, self._lines)
        self._begin()
        return done


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
