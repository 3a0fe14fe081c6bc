"""Lines that cannot be usage: why, how long, and their hash; never their content, unless the config says so."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from finops_pipeline.schemas import QUARANTINE

_KINDS = {list: "an array", str: "a text", int: "a number", float: "a number", bool: "true or false"}

EXPLAINED = 1 << 20
"""Bytes of a line that are parsed a second time for the reason."""

WRITTEN = 20_000
"""Rows that are written at once, so that memory does not grow with what is wrong."""

_READ = 1 << 20
_BRACE = ord("{")


class Quarantine:
    """Rows of the quarantine in the making, which several threads find.

    Args:
        append: Takes frames of the quarantine's contract.
        keep_raw: Whether the lines themselves are kept.
    """

    def __init__(self, append: Callable[[pl.DataFrame], None], *, keep_raw: bool) -> None:
        self._append, self._keep_raw = append, keep_raw
        self._rows: list[dict[str, Any]] = []
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
        kept = raw if self._keep_raw else None
        row: dict[str, Any] = {
            "raw_object": key,
            "raw_line": line,
            "length": length,
            "sha256": sha256,
            "reason": reason,
            "raw": kept,
        }
        with self._lock:
            self._rows.append(row)
            if len(self._rows) >= WRITTEN or (kept and len(kept) > EXPLAINED):
                self._flush()

    def add_frame(self, rows: pl.DataFrame) -> None:
        """Rows of an earlier run that stay."""
        with self._lock:
            self._append(rows)

    def flush(self) -> None:
        """Write what is held, in order of object and line: what several threads found comes as it comes."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._rows.sort(key=itemgetter("raw_object", "raw_line"))
            self._append(pl.DataFrame(self._rows, schema=QUARANTINE.schema, orient="row"))
            self._rows = []


def reason_of(line: bytes) -> str:
    """Why a line is not one JSON object, in words that quote nothing of it."""
    if len(line) > EXPLAINED:
        return f"not one JSON object (a line of {len(line)} bytes)"
    try:
        value = msgspec.json.decode(line)
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte {error.start + 1})"
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        return f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"
    if value is None:
        return "not a JSON object: null"
    if isinstance(value, dict):
        return "not a JSON object that can be read (unpaired surrogate or control character)"
    return f"not a JSON object: {_KINDS.get(type(value), 'something else')}"


def lines_at(path: Path, wanted: Iterator[tuple[int, str | None]]) -> Iterator[tuple[tuple[int, str | None], bytes]]:
    """Lines of a plain file (from 1, blank ones not counted), for the numbers wanted in ascending order.

    Yields each wanted pair, whose first member is the number, with the line's bytes.

    Raises:
        EOFError: the file has fewer lines than are wanted.
    """
    current = next(wanted, None)
    number = 0
    for block in _blocks(path):
        if current is None:
            return
        start = 0
        while start < len(block):
            end = block.find(b"\n", start)
            end = len(block) if end < 0 else end
            # The look at one byte saves most lines from being copied.
            if block[start] == _BRACE or (not (line := block[start:end]).isspace() and line):
                number += 1
                if current is not None and number == current[0]:
                    yield current, block[start:end]
                    current = next(wanted, None)
            start = end + 1
    if current is not None:
        raise EOFError(f"{path.name}: no line {current[0]}")


def _blocks(path: Path) -> Iterator[bytes]:
    """The file in blocks of whole lines."""
    held: list[bytes] = []
    with path.open("rb") as file:
        while chunk := file.read(_READ):
            whole, end, rest = chunk.rpartition(b"\n")
            if end:
                yield b"".join([*held, whole, end])
                held = []
            held.append(rest)
    yield b"".join(held)
