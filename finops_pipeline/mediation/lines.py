"""The lines of objects, in blocks that the reader takes as they are: split, counted, and what is no record refused.

A block is an Arrow array over the very bytes that were read or inflated, so that a line is copied at most once on its
way. Each line that is not blank is one row. Most of what is broken shows at its ends: a JSON object begins with a brace
and ends with one. Such lines are null rows, refused here, while their bytes are at hand; the reader finds the others.
"""

import io
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

import pyarrow as pa

from finops_pipeline.formats.format import Documents
from finops_pipeline.mediation.documents import Bounds, OpenLine, documents_in, overlong, records_of
from finops_pipeline.mediation.inflate import Damage, Readable, plain_chunks
from finops_pipeline.mediation.listed import Objects
from finops_pipeline.mediation.quarantine import reason_of

BLOCK = 1 << 18
"""Bytes of a block, about: what is taken from its lines then lies in the processor's cache still."""

REFUSED = 10_000
"""Refused lines of a block, which have no bytes in it."""

LINE_COLUMN = "json"
SCHEMA = pa.schema([(LINE_COLUMN, pa.string())])
"""A line with its end, or null where it was refused."""

_OPEN, _CLOSE = ord("{"), ord("}")
_SPACE = b" \t\r"

Refuse = Callable[[int, int, str, int, str, bytes | None], None]
"""Takes a line that can be no record: index of the object, number there, reason, length, SHA-256 and, where it is held,
the line."""


class ShortBodyError(Exception):
    """A body ended before it had as many bytes as were listed: somebody has cut the file."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Lines:
    """The lines of some objects, one object after the other; they can be asked for again.

    Args:
        bodies: Index of each object and its bytes, which can be read again from their beginning.
        objects: What was listed of them; their states and documents are noted there.
        bounds: What an object may do to us.
        documents: By index, how documents hold records, where they do.
        refuse: Takes what can be no record.
    """

    def __init__(
        self,
        bodies: Sequence[tuple[int, BinaryIO]],
        objects: Objects,
        bounds: Bounds,
        documents: Mapping[int, Documents],
        refuse: Refuse,
    ) -> None:
        self._bodies, self._objects, self._bounds, self._documents = bodies, objects, bounds, documents
        self._refuse = refuse
        self.count = 0
        """Lines given so far, those that were refused among them."""
        self.indexes: list[int] = []
        self.starts: list[int] = []
        """Of each object begun so far: its index, and its first line among all (from 1)."""
        self._parts: list[bytes] = []
        self._ends = array("i", [0])
        self._refused: list[int] = []

    def locate(self, line: int) -> tuple[int, int]:
        """The object that holds a line, and the line's number in that object."""
        at = bisect_right(self.starts, line) - 1
        return self.indexes[at], line - self.starts[at] + 1

    def blocks(self) -> Iterator[pa.RecordBatch]:
        """All lines, a row each.

        Raises:
            ShortBodyError: an object has fewer bytes than were listed.
        """
        for index, body in self._bodies:
            self.indexes.append(index)
            self.starts.append(self.count + 1)
            body.seek(0)
            if isinstance(body, io.BufferedReader):  # somebody may be appending to it, or cutting it
                listed = _Listed(body, self._objects.row(index)["size"])
                yield from self._lines_of(index, listed)
                if listed.left and index not in self._objects.states:
                    raise ShortBodyError(index)
            else:
                yield from self._lines_of(index, body)
        if self._ends[1:]:
            yield self._block()

    def at(self, wanted: Iterator[int]) -> Iterator[tuple[int, bytes]]:
        """Lines by their numbers among all, in ascending order, each with its bytes.

        Raises:
            ShortBodyError: there are not as many lines any more.
        """
        number, before = next(wanted, None), 0
        if number is None:
            return
        again = Lines(self._bodies, self._objects, self._bounds, self._documents, _nothing)
        for block in again.blocks():
            texts = block.column(0)
            while number is not None and number <= before + len(texts):
                yield number, texts[number - before - 1].as_buffer().to_pybytes().removesuffix(b"\n")
                number = next(wanted, None)
            if number is None:
                return
            before += len(texts)
        raise ShortBodyError(self.locate(number)[0])

    def _lines_of(self, index: int, body: Readable) -> Iterator[pa.RecordBatch]:
        documents = self._documents.get(index)
        return self._records(index, body, documents) if documents else self._lines(index, body)

    # -- lines -----------------------------------------------------------------------------------------------------

    def _lines(self, index: int, body: Readable) -> Iterator[pa.RecordBatch]:
        damage = Damage()
        line = OpenLine(self._bounds.max_line_bytes)
        for chunk in plain_chunks(body, damage, self._bounds.max_inflate_ratio):
            end = chunk.rfind(b"\n") + 1
            if not end:
                line.add(chunk)
                continue
            start = 0
            if line.length + chunk.find(b"\n") > self._bounds.max_line_bytes:
                start = chunk.find(b"\n") + 1
                line.add(chunk[: start - 1])
                self._line(index, line)
                line = OpenLine(self._bounds.max_line_bytes)
            self._whole_lines(index, b"".join((line.bytes(), memoryview(chunk)[start:end])))
            line = OpenLine(self._bounds.max_line_bytes)
            line.add(chunk[end:])
            if self._full:
                yield self._block()
        if damage.reason:
            # The unfinished line, and all that would have followed, is one record.
            self._objects.states[index] = "damaged"
            self._hole(index, line, damage.reason)
        else:
            self._line(index, line)

    def _whole_lines(self, index: int, block: bytes) -> None:
        """Take many lines, each with its end."""
        ends = _ends(block, self._bounds.max_line_bytes)
        if ends is None:
            for text in block.split(b"\n") if not block.isspace() else ():
                if not _blank(text):
                    line = OpenLine(self._bounds.max_line_bytes)
                    line.add(text)
                    self._line(index, line)
            return
        before = self._ends[-1]
        self._ends.extend(array("i", [before + end for end in ends]) if before else ends)
        self._parts.append(block)
        self.count += len(ends)

    def _line(self, index: int, line: OpenLine) -> None:
        if line.overlong:
            self._hole(index, line, overlong(line.length))
            return
        text = line.bytes()
        if _blank(text):
            return
        bare = text.strip(_SPACE)
        if bare[0] != _OPEN or bare[-1] != _CLOSE:
            self._hole(index, line, reason_of(text))
            return
        self._parts += (text, b"\n")
        self._ends.append(self._ends[-1] + len(text) + 1)
        self.count += 1

    def _hole(self, index: int, line: OpenLine, reason: str) -> None:
        """Refuse a line; a null row stands for it."""
        self.count += 1
        self._refuse(index, self.count - self.starts[-1] + 1, reason, line.length, line.sha256(), line.bytes() or None)
        self._refused.append(len(self._ends) - 1)
        self._ends.append(self._ends[-1])

    # -- documents -------------------------------------------------------------------------------------------------

    def _records(self, index: int, body: Readable, documents: Documents) -> Iterator[pa.RecordBatch]:
        """The records of an object's documents, a line each."""
        held = 0
        for text in documents_in(body, self._bounds, whole=documents.whole):
            reason = text.unreadable
            if text.broken:
                self._objects.states[index] = "damaged"
            elif not reason and _blank(text.bytes()):
                continue
            held += 1
            try:
                for record in records_of(text.bytes(), documents.records) if not reason else ():
                    line = OpenLine(self._bounds.max_line_bytes)
                    line.add(record.replace(b"\n", b" "))  # between tokens: inside a text none may stand
                    self._line(index, line)
                    if self._full:
                        yield self._block()
            except (ValueError, RecursionError):
                reason = reason_of(text.bytes(), document=True)
            if reason:
                self._hole(index, text, reason)
        self._objects.documents[index] = held

    # -- blocks ----------------------------------------------------------------------------------------------------

    @property
    def _full(self) -> bool:
        return self._ends[-1] >= BLOCK or len(self._refused) >= REFUSED

    def _block(self) -> pa.RecordBatch:
        rows = len(self._ends) - 1
        valid = None
        if self._refused:
            known = [True] * rows
            for row in self._refused:
                known[row] = False
            valid = pa.array(known).buffers()[1]
        texts = pa.StringArray.from_buffers(
            rows, pa.py_buffer(self._ends), pa.py_buffer(b"".join(self._parts)), valid, len(self._refused)
        )
        self._parts, self._ends, self._refused = [], array("i", [0]), []
        return pa.record_batch([texts], schema=SCHEMA)


class _Listed:
    """As much of a file as was listed; what was appended since is the next run's.

    Attributes:
        left: Bytes of it that have not been read.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self.left = file, size

    def read(self, size: int) -> bytes:
        chunk = self._file.read(min(size, self.left))
        self.left -= len(chunk)
        return chunk


def _ends(block: bytes, longest: int) -> "array[int] | None":
    """Where the lines of a block end; None where one of them needs a closer look."""
    ends, start = array("i"), 0
    if len(block) > longest:
        return None
    while (at := block.find(b"\n", start)) >= 0:
        if block[start] != _OPEN or block[at - 1] != _CLOSE:
            return None
        start = at + 1
        ends.append(start)
    return ends


def _blank(line: bytes) -> bool:
    return not line or line.isspace()


def _nothing(*_refused: object) -> None:
    """What was refused once is not refused again."""
