"""Rows of CSV files to frames of texts. Those of Parquet files are the business of ``parquet``.

Every row of the file ends up in a frame or is refused with a reason; none disappears, and none fails its file. What
the cells mean is the business of the formats and the casts.
"""

import csv
import io
import itertools
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from finops_pipeline.mediation.reader import LINE

BLOCK = 8 << 20
"""Bytes that are parsed at once. A row is read up to this length at least; a row of twice as many never is."""

NOT_UTF8 = "not UTF-8"
BREAKS_OFF = "the table breaks off here"
NO_HEADER = "the table has no header"

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LONE = re.compile("[\udc80-\udcff]+")
"""How Python's ``surrogateescape`` writes bytes that are not UTF-8."""

_MARK = "\ufdd0"
"""Stands in a parsed cell for such bytes: a code point that Unicode keeps out of texts (a noncharacter)."""

_REASON = "reason"
_QUOTED = re.compile(r'"[^"]*"')

Refuse = Callable[[int, str, bytes | None], None]
"""Takes a refused row: its number, why, and its bytes where they are known."""


def read_csv(file: Path, refuse: Refuse) -> Iterator[tuple[pl.Series, pl.DataFrame]]:
    """The rows that have as many cells as the header: their numbers, and their cells as texts, empty ones null.

    Rows are numbered from 1; the header and blank rows are not counted. Columns without a name are ignored. Refused
    are rows with more or fewer cells than the header, rows with bytes that are not UTF-8, all rows where two columns
    share a name, and, as one row, a file that has no header, a header that is not UTF-8, and what follows a row that
    has no end within ``BLOCK``. ``refuse`` is called before the frame that follows the row is given; perhaps by the
    parser's thread, while the caller waits.
    """
    with file.open("rb") as raw:
        if raw.read(2) in _UTF16_MARKS:
            refuse(1, NOT_UTF8, None)
            return
        raw.seek(0)
        with io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="") as text:
            header, delimiter = _header(text)
            if isinstance(header, str):
                refuse(1, header, None)
            elif header:
                yield from _rows(text, header, delimiter, refuse)


def _header(text: TextIO) -> tuple[list[str] | str, str]:
    """The column names and the delimiter; no names where the file is empty, a reason where it has no header."""
    first = text.readline(BLOCK).removeprefix("\ufeff")
    is_empty = not first
    while first and not first.strip() and len(first) < BLOCK:
        first = text.readline(BLOCK)
    if not first.strip():
        return ([] if is_empty else NO_HEADER), ""
    if len(first) >= BLOCK:
        return BREAKS_OFF, ""
    unquoted = _QUOTED.sub("", first)
    delimiter = max(",;\t", key=unquoted.count)
    further = iter(lambda: text.readline(BLOCK), "")
    try:
        names = next(csv.reader(_within(BLOCK, itertools.chain([first], further)), delimiter=delimiter, strict=True))
    except csv.Error:
        return BREAKS_OFF, ""
    if any(_LONE.search(name) or "\0" in name for name in names):
        return NOT_UTF8, ""
    names = [name.strip() for name in names]
    return (names if any(names) else NO_HEADER), delimiter


def _within(limit: int, lines: Iterator[str]) -> Iterator[str]:
    """The lines up to a number of characters in all: a header whose quote never closes would take the whole file."""
    for line in lines:
        limit -= len(line)
        if limit < 0:
            return
        yield line


def _rows(text: TextIO, header: list[str], delimiter: str, refuse: Refuse) -> Iterator[tuple[pl.Series, pl.DataFrame]]:
    body, numbers = _Utf8(text), _Numbers()

    def ragged(row: pacsv.InvalidRow) -> str:
        numbers.skip(row.number)
        if _MARK in row.text:
            refuse(row.number, NOT_UTF8, None)
        else:
            told = f"{row.actual_columns} cells, where the header has {row.expected_columns}"
            refuse(row.number, told, row.text.encode())
        return "skip"

    twice = [name for name, times in Counter(filter(None, header)).items() if times > 1]
    try:
        for table, is_last in _with_last(_tables(body, len(header), delimiter, ragged)):
            reason = pl.lit(None, dtype=pl.String)
            if twice:
                reason = pl.lit(f'two columns are named "{twice[0]}"')
            elif body.marked:
                reason = pl.when(pl.any_horizontal(pl.all().str.contains(_MARK, literal=True))).then(pl.lit(NOT_UTF8))
            frame = table.with_columns(reason.alias(_REASON), numbers.take(table.height).alias(LINE))
            if is_last and body.quotes % 2:
                # A quote that nothing closes takes all that follows it into one cell: the last of the last row.
                swallowed = (pl.col(LINE) == pl.col(LINE).last()) & pl.nth(len(header) - 1).str.contains(r"[\r\n]")
                frame = frame.with_columns(
                    pl.when(swallowed).then(pl.lit(BREAKS_OFF)).otherwise(_REASON).alias(_REASON)
                )
            for number, why in frame.filter(pl.col(_REASON).is_not_null()).select(LINE, _REASON).iter_rows():
                refuse(number, why, None)
            good = frame.filter(pl.col(_REASON).is_null())
            yield good.get_column(LINE), _cells(good, header)
    except pa.ArrowInvalid:  # a row that is longer than a block
        refuse(numbers.next_free, BREAKS_OFF, None)


def _tables(
    body: "_Utf8", width: int, delimiter: str, ragged: Callable[[pacsv.InvalidRow], str]
) -> Iterator[pl.DataFrame]:
    """The rows below the header in frames of texts, whose columns are named by their places: 0, 1, …"""
    if body.at_end():
        return
    names = [str(place) for place in range(width)]
    batches = pacsv.open_csv(
        body,
        read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=names),
        parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=ragged),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), check_utf8=False, strings_can_be_null=False
        ),
    )
    for batch in batches:
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)
        yield frame


def _with_last(frames: Iterator[pl.DataFrame]) -> Iterator[tuple[pl.DataFrame, bool]]:
    """Each frame that has rows, and whether it is the last of those."""
    before = None
    try:
        for frame in frames:
            if frame.height:
                if before is not None:
                    yield before, False
                before = frame
    except pa.ArrowInvalid:
        if before is not None:
            yield before, False
        raise
    if before is not None:
        yield before, True


def _cells(frame: pl.DataFrame, header: list[str]) -> pl.DataFrame:
    """The named columns under their names; of a name that two columns share, the last."""
    places = {name: str(n) for n, name in enumerate(header) if name}
    return frame.select(pl.when(pl.col(at) != "").then(pl.col(at)).alias(name) for name, at in places.items())


class _Utf8(io.RawIOBase):
    """The rest of a text as a stream of UTF-8, with a mark for what is none: the parser sees nothing else."""

    def __init__(self, text: TextIO) -> None:
        super().__init__()
        self._text = text
        self._pending = memoryview(b"")
        self.marked = False
        self.quotes = 0

    def readable(self) -> bool:
        return True

    def at_end(self) -> bool:
        """Whether nothing is left."""
        while not self._pending:
            if not (piece := self._text.read(BLOCK)):
                return True
            self.quotes += piece.count('"')
            if not piece.isascii() and _LONE.search(piece):
                piece, self.marked = _LONE.sub(_MARK, piece), True
            self._pending = memoryview(piece.encode())
        return False

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the whole buffer while there is text: what is short looks to the parser like a block without an end."""
        filled = 0
        while filled < len(buffer) and not self.at_end():
            size = min(len(buffer) - filled, len(self._pending))
            buffer[filled : filled + size] = self._pending[:size]
            self._pending = self._pending[size:]
            filled += size
        return filled


@dataclass
class _Numbers:
    """Numbers of the good rows, known by the numbers of those that are skipped: runs of them, not each."""

    _given: int = 0
    _skipped: int = 0
    _good_before: "array[int]" = field(default_factory=lambda: array("q"))
    """How many good rows stand before each run."""
    _skipped_through: "array[int]" = field(default_factory=lambda: array("q", [0]))
    """How many rows are skipped up to before the first run, and up to the end of each."""

    def skip(self, number: int) -> None:
        """Leave out a row; numbers come in order."""
        good_before = number - 1 - self._skipped
        self._skipped += 1
        if not self._good_before or self._good_before[-1] != good_before:
            self._good_before.append(good_before)
            self._skipped_through.append(0)
        self._skipped_through[-1] = self._skipped

    def take(self, rows: int) -> pl.Series:
        """The numbers of the next good rows."""
        nth = pl.int_range(self._given, self._given + rows, eager=True)
        runs = pl.Series(self._good_before, dtype=pl.Int64).search_sorted(nth, side="right")
        numbers = nth + 1 + pl.Series(self._skipped_through, dtype=pl.Int64).gather(runs)
        self._given += rows
        done = sum(1 for before in self._good_before if before < self._given)
        del self._good_before[:done], self._skipped_through[:done]
        return numbers

    @property
    def next_free(self) -> int:
        """The number after all that were given or skipped."""
        last_skipped = self._good_before[-1] + self._skipped if self._good_before else 0
        return max(self._given + self._skipped_through[0], last_skipped) + 1
