"""One Parquet file of a table: how it is written, and what it says of its making. The lake knows where it lies."""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from finops_pipeline.errors import LakeError
from finops_pipeline.files import naming_the_lake
from finops_pipeline.schemas import Table
from finops_pipeline.storage import Versioned

FOOTER_BYTES = 1 << 16
"""Bytes at a file's end that are read to find its footer; most are shorter, and a longer one is read again whole."""

_REPEATED = 4
"""How often a value must stand in a column on average for a dictionary to be worth it (measured on usage rows)."""

_PREFIX = "finops."
_END = 8
"""Bytes after the footer: its length, and a magic number."""


@dataclass(frozen=True)
class Stamp:
    """What a partition's file says of its making.

    Attributes:
        schema_version: Version of the table's contract.
        input_digest: SHA-256 over everything that the rows depend on; equal digests mean equal rows.
        run: The run that wrote it.
        notes: Further facts for later steps, JSON values: what is missing, how much was read.
    """

    schema_version: int
    input_digest: str
    run: str
    notes: Mapping[str, object] = field(default_factory=dict)

    def encode(self) -> dict[str, str]:
        return {
            f"{_PREFIX}schema_version": str(self.schema_version),
            f"{_PREFIX}input_digest": self.input_digest,
            f"{_PREFIX}run": self.run,
            f"{_PREFIX}notes": json.dumps(dict(self.notes), sort_keys=True),
        }

    @classmethod
    def decode(cls, metadata: Mapping[str, str]) -> "Stamp":
        return cls(
            schema_version=int(metadata.get(f"{_PREFIX}schema_version", 0)),
            input_digest=metadata.get(f"{_PREFIX}input_digest", ""),
            run=metadata.get(f"{_PREFIX}run", ""),
            notes=json.loads(metadata.get(f"{_PREFIX}notes", "{}")),
        )


@dataclass(frozen=True)
class Footer:
    """What stands at a file's end: its stamp, the number of its rows, and the file's version."""

    stamp: Stamp
    rows: int
    version: str


def read_footer(place: str, tail: Callable[[int], Versioned | None]) -> Footer | None:
    """The footer of a file, of which no more is read than its end; None where there is no file.

    Args:
        place: Where the file lies, for people.
        tail: Gives its last bytes, as many as asked for.

    Raises:
        LakeError: the file is there, and damaged.
    """
    wanted = FOOTER_BYTES
    while (end := tail(wanted)) is not None:
        length = int.from_bytes(end.content[-_END:-4], "little") + _END
        if length <= len(end.content) or len(end.content) < wanted:
            return _parsed(place, end)
        wanted = length
    return None


def _parsed(place: str, end: Versioned) -> Footer:
    try:
        metadata = pq.read_metadata(pa.BufferReader(end.content))
        raw = metadata.metadata or {}
        stamp = Stamp.decode({k.decode(): v.decode() for k, v in raw.items() if k.startswith(_PREFIX.encode())})
    except (OSError, ValueError) as error:
        raise LakeError(
            f"{place}: no readable Parquet file ({str(error).strip()}). Delete it and run its day again."
        ) from error
    return Footer(stamp, metadata.num_rows, end.version)


class PartitionWriter:
    """Appends frames to one file, a row group each; each must meet the contract."""

    def __init__(self, table: Table, path: Path, stamp: Stamp) -> None:
        self._table, self._path, self._stamp = table, path, stamp
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0

    def __call__(self, frame: pl.DataFrame) -> None:
        self._table.check(frame)
        if frame.height == 0 and self._writer is not None:
            return
        arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        with naming_the_lake(self._path):
            if self._writer is None:
                self._writer = pq.ParquetWriter(
                    self._path, arrow.schema, compression="zstd", store_decimal_as_integer=True,
                    use_dictionary=_repeating(frame),
                )  # fmt: skip
            self._writer.write_table(arrow.cast(self._writer.schema))
        self.rows += frame.height

    def annotate(self, notes: Mapping[str, object], *, input_digest: str | None = None) -> None:
        """Add to the stamp what is known only once the rows are: it is written when the file is closed."""
        self._stamp = replace(
            self._stamp,
            notes={**self._stamp.notes, **notes},
            input_digest=input_digest or self._stamp.input_digest,
        )

    def close(self) -> None:
        """Finish the file; one of no rows where nothing was appended."""
        if self._writer is None:
            self(self._table.empty())
        assert self._writer is not None
        with naming_the_lake(self._path):
            self._writer.add_key_value_metadata(self._stamp.encode())
            self._writer.close()
        self._writer = None

    def abandon(self) -> None:
        """Let go of an unfinished file. What stopped the writing is the error to tell, not what this meets."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()


def _repeating(frame: pl.DataFrame) -> list[str]:
    """The columns that a dictionary makes smaller: it costs time and room where nearly all values differ."""
    flat = [column for column in frame.iter_columns() if not column.dtype.is_nested()]
    return [column.name for column in flat if column.n_unique() <= max(1, column.len() // _REPEATED)]
