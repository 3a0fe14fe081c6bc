"""Objects to files that the reader can take: fetched into a private folder, inflated and checked, in even pieces.

A day of one-request objects is a hundred thousand files of one line, a busy hour's object is half a gigabyte: both
become plain pieces of a few megabytes, so that what reading needs in memory is the same for either. Every line is
counted here, before any reader sees it. Which line of a piece came from which object is kept, so that everything
downstream speaks of objects and their own lines.
"""

import contextlib
import io
import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from finops_pipeline.formats.format import Documents
from finops_pipeline.mediation.documents import Bounds, OpenLine, documents_in, overlong, records_of
from finops_pipeline.mediation.fetching import bodies
from finops_pipeline.mediation.inflate import BOM, Damage, compression_of, plain_chunks
from finops_pipeline.mediation.listed import Fetched, Objects
from finops_pipeline.mediation.objects import ObjectStore
from finops_pipeline.mediation.quarantine import reason_of

PIECE = 16 << 20
"""Plain bytes after which a piece is full: the reader's memory is a small multiple of it."""

LARGE_LINE, LARGE_LINES_PIECE = 8 << 10, 5 << 20
"""From this many bytes a line on, pieces are smaller: the reader holds two thousand lines at once, in several forms."""

WHOLE = 128 << 20
"""A plain object up to this many bytes is a piece as it is; a larger one is divided, so that several read it."""

_SCANNED = 1 << 20
_BRACE = ord("{")

HOLE = b"null\n"
"""Stands in a piece for a line that is quarantined already, so that line numbers stay as they are."""


@dataclass
class Piece:
    """A plain file of JSON lines from one object or many.

    Attributes:
        path: Where it lies.
        objects: Indexes of the objects in it, in order.
        starts: Line of the piece with which each begins, from 1.
        before: Lines of each object that stand in earlier pieces.
        lines: Lines that are not blank.
        longest: No line has more bytes.
        grows: Whether it is a file that somebody may be appending to: what follows its lines is not looked at.
    """

    path: Path
    objects: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    lines: int = 0
    longest: int = 0
    grows: bool = False

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


def spool(
    store: ObjectStore,
    objects: Objects,
    folder: Path,
    bounds: Bounds,
    *,
    tables: bool = False,
    documents: Documents | None = None,
) -> Iterator[Piece | TableFile]:
    """Fetch every object into ``folder`` and yield files to read; the caller deletes each when it is done with it.

    States, holes and documents of the objects are noted on the way. What describes a job is left out.

    Args:
        store: Where the objects lie.
        objects: The objects.
        folder: A private one.
        bounds: What an object may do to us.
        tables: Whether objects may be CSV or Parquet.
        documents: How the format's documents hold records, where they do.
    """
    wanted = [index for index in range(len(objects)) if index not in objects.job_files]
    with contextlib.closing(_Pieces(folder, bounds)) as pieces:
        for place, body in bodies(store, objects.refs(wanted), folder):
            index = wanted[place]
            if body is None:
                objects.states[index] = "vanished"
                continue
            with body:
                fetched = objects[index]
                key, head = fetched.key, body.read(64)
                body.seek(0)
                encoding = encoding_of(key, head) if tables else "jsonl"
                whole = None if documents is not None or encoding != "jsonl" else _whole(index, body, folder, bounds)
                if whole is not None:
                    yield whole
                elif encoding != "jsonl":
                    yield _table(index, fetched, body, encoding, folder, bounds)
                elif documents is not None and documents.applies(key):
                    yield from pieces.add_documents(index, fetched, body, documents)
                else:
                    yield from pieces.add(index, fetched, body)
        yield from pieces.rest()


def _whole(index: int, body: BinaryIO, folder: Path, bounds: Bounds) -> Piece | None:
    """A plain file of lines that needs no more than counting, as the piece that it is; None where it needs more."""
    if not isinstance(body, io.BufferedReader) or os.fstat(body.fileno()).st_size > WHOLE:
        return None
    head = body.read(4)
    counted = None if compression_of(head) != "none" or head.startswith(BOM) else _counted(body, head)
    body.seek(0)
    size = os.fstat(body.fileno()).st_size
    if counted is None or counted[1] > bounds.max_line_bytes or size > LARGE_LINE * counted[0]:
        return None
    path = folder / f"{index}.jsonl"
    Path(body.name).rename(path)
    return Piece(path, objects=[index], starts=[1], before=[0], lines=counted[0], longest=counted[1], grows=True)


def _counted(body: BinaryIO, head: bytes) -> tuple[int, int] | None:
    """How many lines the rest of a file has after its first bytes, and a bound of their length.

    None where some do not begin with a brace: they may be blank, and those are not counted.
    """
    lines, run, longest, begins = 0, 0, 0, True
    chunk = head + body.read(_SCANNED)
    while chunk:
        at = -1
        if begins and chunk[0] != _BRACE:
            return None
        lines += begins
        while (at := chunk.find(b"\n", at + 1)) >= 0 and at + 1 < len(chunk):
            if chunk[at + 1] != _BRACE:
                return None
            lines += 1
        begins = chunk.endswith(b"\n")
        run = _SCANNED if b"\n" in chunk else run + len(chunk)
        longest = max(longest, run + _SCANNED)
        chunk = body.read(_SCANNED)
    return lines, longest


def _brace_lines(block: bytes) -> int:
    """How many lines a block has; 0 where some do not begin with a brace."""
    lines, at = 0, -1
    while block[at + 1 : at + 2] == b"{":
        lines += 1
        at = block.find(b"\n", at + 1)
        if at < 0:
            return lines
    return 0


def _blank(line: bytes) -> bool:
    return not line or line.isspace()


def encoding_of(key: str, head: bytes) -> str:
    """jsonl, csv or parquet: by the magic bytes, then by the name; JSON lines where neither says otherwise."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if compression_of(head) == "none" and head.removeprefix(BOM).lstrip()[:1] == b"{":
        return "jsonl"
    name = key.lower().removesuffix(".gz").removesuffix(".zst")
    return "csv" if name.endswith((".csv", ".tsv")) else "jsonl"


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
        line = OpenLine(self._bounds.max_line_bytes)
        for chunk in plain_chunks(body, damage, self._bounds.max_inflate_ratio):
            head, end, rest = chunk.partition(b"\n")
            line.add(head)
            if not end:
                continue
            number += self._line(line, fetched, number)
            block, end, rest = rest.rpartition(b"\n")
            if end:
                number += self._block(block, fetched, number)
            line = OpenLine(self._bounds.max_line_bytes)
            line.add(rest)
            if self._full():
                yield self._finish()
                self._begin(index, number)
        if damage.reason:
            # The unfinished line, and all that would have followed, is one record.
            fetched.state = "damaged"
            self._hole(fetched, number + 1, line, damage.reason)
        else:
            self._line(line, fetched, number)

    def add_documents(self, index: int, fetched: Fetched, body: BinaryIO, documents: Documents) -> Iterator[Piece]:
        """Copy the records of an object's documents, a line each; yields the pieces that they fill."""
        number = 0  # records of the object so far
        self._begin(index, number)
        for text in documents_in(body, self._bounds, whole=documents.whole):
            reason = text.unreadable
            if text.broken:
                fetched.state = "damaged"
            elif not reason and _blank(text.bytes()):
                continue
            fetched.count_document()
            try:
                for record in records_of(text.bytes(), documents.records) if not reason else ():
                    line = OpenLine(self._bounds.max_line_bytes)
                    line.add(record.replace(b"\n", b" "))  # between tokens: inside a text none may stand
                    number += self._line(line, fetched, number)
                    if self._full():
                        yield self._finish()
                        self._begin(index, number)
            except (ValueError, RecursionError):
                reason = reason_of(text.bytes())
            if reason:
                number += self._hole(fetched, number + 1, text, reason)

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

    def _full(self) -> bool:
        large_lines = self._size > LARGE_LINE * self._piece.lines
        return self._size >= (LARGE_LINES_PIECE if large_lines else PIECE)

    def _finish(self) -> Piece:
        self.close()
        return self._piece

    def _line(self, line: OpenLine, fetched: Fetched, number: int) -> int:
        """Copy one line; how many it counts for."""
        if line.overlong:
            return self._hole(fetched, number + 1, line, overlong(line.length))
        return self._copy(line.bytes())

    def _block(self, block: bytes, fetched: Fetched, number: int) -> int:
        """Copy many whole lines; how many of them are not blank."""
        counted = 0
        if len(block) <= self._bounds.max_line_bytes and (counted := _brace_lines(block)):
            self._write(block + b"\n", counted, len(block))
            return counted
        for text in block.split(b"\n") if not _blank(block) else ():
            if _blank(text):
                continue
            line = OpenLine(self._bounds.max_line_bytes)
            line.add(text)
            counted += self._line(line, fetched, number + counted)
        return counted

    def _copy(self, line: bytes) -> int:
        if _blank(line):
            return 0
        self._write(line + b"\n", 1, len(line))
        return 1

    def _hole(self, fetched: Fetched, number: int, line: OpenLine, reason: str) -> int:
        fetched.add_hole(number, (line.length, line.sha256(), reason))
        self._write(HOLE, 1, len(HOLE))
        return 1

    def _write(self, block: bytes, lines: int, longest: int) -> None:
        assert self._file is not None
        self._file.write(block)
        self._piece.lines += lines
        self._piece.longest = max(self._piece.longest, longest)
        self._size += len(block)
