"""Rows on local disk, divided so that rows with the same key meet: what lets a day be larger than memory.

What the rows are, and what is done with those that meet, is the business of who adds them.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from finops_pipeline.mediation.ahead import in_order

HELD_ROWS = 40_000
"""Rows that wait in memory before they are divided."""


class Shards:
    """Rows divided by a hash of one column; several threads may add.

    Args:
        folder: Made here.
        count: How many parts.
        key: The column that decides.
        columns: Name and type of the columns.
    """

    def __init__(self, folder: Path, count: int, key: str, columns: Mapping[str, pl.DataType]) -> None:
        self._folder, self._count, self._key, self._columns = folder, count, key, dict(columns)
        self._held: list[pl.DataFrame] = []
        self._rows = self._written = 0
        self._lock = threading.Lock()
        folder.mkdir()

    def add(self, rows: pl.DataFrame) -> None:
        """Append rows; columns that they lack are null."""
        with self._lock:
            if rows.height:
                self._held.append(_completed(rows, self._columns))
                self._rows += rows.height
            held, number = self._take_held() if self._rows >= HELD_ROWS else ([], 0)
        if held:
            self._write(held, number)

    def parts(self, made_of: Callable[[pl.DataFrame], pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """What ``made_of`` makes of the rows that meet, part by part; one is made while another is used.

        Each part can be had once: its files are deleted.
        """
        held, number = self._take_held()
        if held:
            self._write(held, number)

        def made(part: int) -> pl.DataFrame | None:
            files = sorted(self._folder.glob(f"{part}-*.arrow"))
            return made_of(_completed(taken(files), self._columns)) if files else None

        with ThreadPoolExecutor(1) as pool:
            for rows in in_order(lambda part: pool.submit(made, part), range(self._count), held=2):
                if rows is not None:
                    yield rows

    def _take_held(self) -> tuple[list[pl.DataFrame], int]:
        held, self._held, self._rows = self._held, [], 0
        self._written += 1
        return held, self._written

    def _write(self, held: list[pl.DataFrame], number: int) -> None:
        rows = pl.concat(held)
        # A format fills half of the columns: the others need not travel.
        rows = rows.select(name for name in rows.columns if rows.get_column(name).null_count() < rows.height)
        if self._count == 1:
            parts = {(0,): rows}
        else:
            part = (pl.col(self._key).hash(seed=0) % self._count).cast(pl.Int32)
            parts = rows.with_columns(part.alias("_part")).partition_by("_part", include_key=False, as_dict=True)
        for (part_number,), rows_of in parts.items():
            rows_of.write_ipc_stream(self._folder / f"{part_number}-{number}.arrow", compression="lz4")


def taken(files: Iterable[Path]) -> pl.DataFrame:
    """The rows of Arrow files, which are deleted; columns that some lack are null in their rows."""
    frames = []
    for file in files:
        with file.open("rb") as handle:  # an open file: a path would be taken for a pattern
            frames.append(pl.read_ipc_stream(handle))
        file.unlink()
    return pl.concat(frames, how="diagonal")


def _completed(rows: pl.DataFrame, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    lacking = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in columns.items() if name not in rows.columns]
    return rows.with_columns(lacking).select(list(columns))
