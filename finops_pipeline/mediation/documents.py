"""Documents within bounds: an object's bytes to documents, and a document to its records.

Lines and documents are held up to ``limits.max_line_bytes``, and only counted and hashed beyond. What a document's
records are is its format's business (``formats.format.Documents``), where they go is that of ``lines.py``.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from finops_pipeline.mediation.inflate import Damage, Readable, plain_chunks

_BRACE_ALONE = re.compile(rb"\s*\{[ \t\r]*\n")

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""An escape in a JSON text; the half of a surrogate pair is named."""

_HALF, _MASK = rb"\ud800", rb"\ufdd0"
"""A half, and what stands for halves while a document is taken apart: a code point that Unicode keeps out of texts."""


@dataclass(frozen=True)
class Bounds:
    """What one object may do to us (``limits`` in the config)."""

    max_line_bytes: int
    max_inflate_ratio: int


def overlong(length: int) -> str:
    """The reason for a line that is longer than the limit."""
    return f"a line of {length} bytes, over limits.max_line_bytes"


class OpenLine:
    """The line, or the document, that has no end yet: held up to the limit, only hashed beyond it.

    Attributes:
        broken: Why it has none, where the stream that it stood in is damaged.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self.length, self.broken = 0, ""
        self._hashing = hashlib.sha256()

    @property
    def overlong(self) -> bool:
        return self.length > self._limit

    @property
    def unreadable(self) -> str:
        """Why nobody may look into it; empty where one may."""
        return self.broken or (overlong(self.length) if self.overlong else "")

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


def documents_in(body: Readable, bounds: Bounds, *, whole: bool) -> Iterator[OpenLine]:
    """The documents of an object; what a damaged stream leaves unfinished is the last, and says so.

    No document fills a line with a brace alone: one that begins so goes on over all lines of its object.

    Args:
        body: The object.
        bounds: What it may do to us.
        whole: Whether the object is one document; else each line is.
    """
    damage = Damage()
    text = OpenLine(bounds.max_line_bytes)
    one: bool | None = True if whole else None
    for chunk in plain_chunks(body, damage, bounds.max_inflate_ratio):
        if one is None and not chunk.isspace():
            one = _BRACE_ALONE.match(chunk) is not None
        *ended, rest = [chunk] if one else chunk.split(b"\n")
        for part in ended:
            text.add(part)
            yield text
            text = OpenLine(bounds.max_line_bytes)
        text.add(rest)
    text.broken = damage.reason
    yield text


def records_of(document: bytes, records: Callable[[bytes], Iterator[bytes]]) -> Iterator[bytes]:
    """The records of a document, each by itself: one that no parser takes costs no other.

    JSON's grammar allows half a surrogate pair as an escape, where somebody has cut a text within a character (RFC
    8259, section 8.2); parsers refuse it. A record with such an escape is given with one, so that no reader takes it.

    Args:
        document: The document.
        records: Takes it apart. Raises ValueError where it is none.

    Raises:
        ValueError: it is no document, whatever its texts.
    """
    given = 0
    try:
        for record in records(document):
            given += 1
            yield record
    except ValueError:
        masked = _ESCAPE.sub(lambda found: _MASK if found["half"] else found[0], document)
        if given or masked == document:
            raise
        for record in records(masked):
            yield record.replace(_MASK, _HALF)
