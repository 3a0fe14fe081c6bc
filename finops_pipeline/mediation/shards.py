"""Rows on local disk, divided so that rows with the same key meet: what lets a day be larger than memory.

What the rows are, and what is done with those that meet, is the business of who adds them.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from finops_pipeline.mediation.ahead import in_order

HELD_ROWS, HELD_BYTES = 80_000, 64 << 20
"""Rows, or their bytes, that wait in memory before they are divided: fewer would make many small files."""

ROWS_AT_ONCE, BYTES_AT_ONCE = 60_000, 64 << 20
"""Rows, or their bytes, that are used together at most: a part that has more is divided once more."""

_DEEPEST = 3
"""How often rows are divided: those that share their key cannot be."""


class Shards:
    """Rows divided by a hash of one column; several threads may add.

    Args:
        folder: Made here.
        count: How many parts, to begin with.
        key: The column that decides.
        depth: How often the rows have been divided before.
    """

    def __init__(self, folder: Path, count: int, key: str, *, depth: int = 0) -> None:
        self._folder, self._count, self._key, self._depth = folder, count, key, depth
        self._held: list[pl.DataFrame] = []
        self._rows = self._bytes = self._written = 0
        self._files: dict[int, list[Path]] = {}
        self._heights: Counter[int] = Counter()
        self._sizes: Counter[int] = Counter()
        self._lock = threading.Lock()
        folder.mkdir()

    def add(self, rows: pl.DataFrame) -> None:
        """Append rows; columns that they lack, and others have, are null."""
        with self._lock:
            if rows.height:
                self._held.append(rows)
                self._rows += rows.height
                self._bytes += int(rows.estimated_size())
            full = self._rows >= HELD_ROWS or self._bytes >= HELD_BYTES
            held, number = self._take_held() if full else ([], 0)
        if held:
            self._write(held, number)

    def parts(self, made_of: Callable[[pl.DataFrame], pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """What ``made_of`` makes of the rows that meet, part by part; one is made while another is used.

        Columns that are null in all rows of a part may be missing: see ``completed``. Each part can be had once: its
        files are deleted.
        """
        with ThreadPoolExecutor(1) as pool:
            yield from in_order(lambda files: pool.submit(lambda: made_of(taken(files))), self._parts(), held=2)

    def _parts(self) -> Iterator[list[Path]]:
        """The files of each part."""
        held, number = self._take_held()
        if held:
            self._write(held, number)
        for part in sorted(self._files):
            pieces = max(-(-self._heights[part] // ROWS_AT_ONCE), -(-self._sizes[part] // BYTES_AT_ONCE))
            if pieces == 1 or self._depth == _DEEPEST:
                yield self._files[part]
                continue
            finer = Shards(self._folder / str(part), pieces, self._key, depth=self._depth + 1)
            for file in self._files[part]:
                finer.add(taken([file]))
            yield from finer._parts()

    def _take_held(self) -> tuple[list[pl.DataFrame], int]:
        held, self._held, self._rows, self._bytes = self._held, [], 0, 0
        self._written += 1
        return held, self._written

    def _write(self, held: list[pl.DataFrame], number: int) -> None:
        rows = pl.concat(held, how="diagonal")
        # A format fills half of the columns: the others need not travel.
        rows = rows.select(name for name in rows.columns if rows.get_column(name).null_count() < rows.height)
        if self._count == 1:
            parts = {(0,): rows}
        else:
            part = (pl.col(self._key).hash(seed=self._depth) % self._count).cast(pl.Int32)
            parts = rows.with_columns(part.alias("_part")).partition_by("_part", include_key=False, as_dict=True)
        for (part_number,), rows_of in parts.items():
            file = self._folder / f"{part_number}-{number}.arrow"
            rows_of.write_ipc_stream(file, compression="lz4")
            with self._lock:
                self._files.setdefault(part_number, []).append(file)
                self._heights[part_number] += rows_of.height
                self._sizes[part_number] += int(rows_of.estimated_size())


def taken(files: Iterable[Path]) -> pl.DataFrame:
    """The rows of Arrow files, which are deleted; columns that some lack are null in their rows."""
    frames = []
    for file in files:
        with file.open("rb") as handle:  # an open file: a path would be taken for a pattern
            frames.append(pl.read_ipc_stream(handle))
        file.unlink()
    return pl.concat(frames, how="diagonal")


def completed(rows: pl.DataFrame, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The rows with all of these columns; null in those that they lack."""
    lacking = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in columns.items() if name not in rows.columns]
    return rows.with_columns(lacking)
