"""The lake: tables as Hive-style folders of Parquet, replaced a partition at a time by one atomic step.

Layout: ``<root>/<table>/<key>=<value>/…/part-0.parquet``. Partition keys stand in the path only. The key-value
metadata of each file says which schema version, inputs and run made it. What the rows mean is none of this module's
business: it checks each frame against its table's contract and refuses what does not meet it.

Beside the tables stand ``_leases`` (who is writing what) and ``_staging`` (files not finished yet, deletions under
way). No reader looks there, so whoever reads a table's folder sees whole partitions only.
"""

import contextlib
import datetime as dt
import json
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote

import polars as pl
import pyarrow.parquet as pq

from finops_pipeline import leases
from finops_pipeline.errors import LakeError
from finops_pipeline.files import naming_the_lake, sync
from finops_pipeline.schemas import Table

Key = str | int | dt.date

STAGING_TIME = dt.timedelta(days=2)
"""What was not touched in the staging folder for this long was left there by a run that died."""

_PREFIX = "finops."
_DTYPES: dict[str, pl.DataType] = {"date": pl.Date(), "revision": pl.Int64()}


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


class Lake:
    """Tables below one local folder.

    Every method takes the partition's keys as keyword arguments, those of the table's ``partition_keys``:
    ``lake.write(DAILY_COSTS, frame, stamp, date=day)``.
    """

    def __init__(self, root: Path) -> None:
        """A lake at ``root``, which the first write makes.

        Raises:
            LakeError: readers of Hive-style folders would take a step of the path itself for a partition key.
        """
        if any("=" in step for step in root.absolute().parts):
            raise LakeError(
                f"{root.absolute()}: a lake cannot lie below a folder with = in its name, which readers take for a "
                "partition key. Choose another folder for `lake` in finops.yaml."
            )
        self.root = root

    # -- paths ---------------------------------------------------------------------------------------------------

    def folder(self, table: Table, **keys: Key) -> Path:
        """Folder of a partition, or of all partitions that share the leading keys given."""
        _known(table, keys)
        given = table.partition_keys[: len(keys)]
        if set(given) != set(keys):
            raise ValueError(f"{table.name}: {', '.join(keys)} are not the leading partition keys")
        return self.root.joinpath(table.name, *(_step(name, keys[name]) for name in given))

    def path(self, table: Table, *, part: str = "part-0", **keys: Key) -> Path:
        """File of a partition, whether it exists or not."""
        _complete(table, keys)
        return self.folder(table, **keys) / f"{part}.parquet"

    def files(self, table: Table, **keys: Key | Iterable[Key]) -> list[Path]:
        """Files of the partitions whose keys are among those given (one value or several each), in path order.

        Raises:
            LakeError: a folder cannot be listed; one that does not exist simply holds nothing.
        """
        _known(table, keys)
        folders = [self.root / table.name]
        for name in table.partition_keys:
            wanted = keys.get(name)
            if wanted is None:
                folders = [folder / n for folder in folders for n in _names(folder) if n.startswith(f"{name}=")]
            else:
                values = [wanted] if isinstance(wanted, str | int | dt.date) else list(wanted)
                folders = [folder / step for folder in folders for step in sorted({_step(name, v) for v in values})]
        return [folder / n for folder in folders for n in _names(folder) if n.endswith(".parquet")]

    def partitions(self, table: Table, **keys: Key | Iterable[Key]) -> list[dict[str, str]]:
        """Keys of the partitions that exist, as text, in path order."""
        folders = dict.fromkeys(file.parent for file in self.files(table, **keys))
        steps = (folder.relative_to(self.root / table.name).parts for folder in folders)
        return [{name: unquote(value) for name, _, value in (s.partition("=") for s in path)} for path in steps]

    # -- reading -------------------------------------------------------------------------------------------------

    def stamp(self, table: Table, *, part: str = "part-0", **keys: Key) -> Stamp | None:
        """What the partition's file says of its making; None where there is no such partition."""
        return self.stamp_of(self.path(table, part=part, **keys))

    def stamp_of(self, file: Path) -> Stamp | None:
        """The same for a file of :meth:`files`.

        Raises:
            LakeError: the file is there and cannot be read.
        """
        try:
            raw = pq.read_metadata(file).metadata or {}
            return Stamp.decode({k.decode(): v.decode() for k, v in raw.items() if k.startswith(_PREFIX.encode())})
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise LakeError(f"{file}: cannot be read. Check the permissions of the lake's folder.") from error
        except (OSError, ValueError) as error:
            raise LakeError(
                f"{file}: no readable Parquet file ({str(error).strip()}). Delete it and run its day again."
            ) from error

    def scan(self, table: Table, **keys: Key | Iterable[Key]) -> pl.LazyFrame:
        """The partitions whose keys are among those given, with the keys as columns; no rows where there are none.

        Files of an older contract read as the present one, with null in columns that they lack.
        """
        hive = {name: _DTYPES.get(name, pl.String()) for name in table.partition_keys}
        schema = pl.Schema({**table.schema, **hive})
        files = self.files(table, **keys)
        if not files:
            return pl.LazyFrame(schema=schema)
        return pl.scan_parquet(
            files,
            schema=table.schema,
            glob=False,
            hive_partitioning=True,
            hive_schema=hive,
            missing_columns="insert",
            extra_columns="ignore",
        ).select(schema.names())

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, table: Table, frame: pl.DataFrame, stamp: Stamp, *, part: str = "part-0", **keys: Key) -> Path:
        """Replace a partition (or one part of it) by ``frame``, whole or not at all.

        Raises:
            ContractError: the frame does not meet the table's contract.
            LakeError: the lake cannot be written.
        """
        with self.writer(table, stamp, part=part, **keys) as append:
            append(frame)
        return self.path(table, part=part, **keys)

    @contextlib.contextmanager
    def writer(self, table: Table, stamp: Stamp, *, part: str = "part-0", **keys: Key) -> Iterator["PartitionWriter"]:
        """Replace a partition by the frames appended, one row group each, when the block ends without an error."""
        target = self.path(table, part=part, **keys)
        with naming_the_lake(target):
            staged = self._staging() / f"{table.name}-{uuid.uuid4().hex}.parquet"
        writer = PartitionWriter(table, staged, stamp)
        try:
            yield writer
            writer.close()
            with naming_the_lake(target):
                _publish(staged, target)
        finally:
            writer.abandon()
            staged.unlink(missing_ok=True)

    def remove(self, table: Table, *, part: str | None = None, **keys: Key) -> None:
        """Delete a partition, or one part of it, in one step; nothing happens where there is none.

        Raises:
            LakeError: it is there and cannot be deleted.
        """
        _complete(table, keys)
        target = self.folder(table, **keys) if part is None else self.path(table, part=part, **keys)
        with naming_the_lake(target):
            if not target.exists():
                return
            leaving = self._staging() / f"{table.name}-{uuid.uuid4().hex}.removed"
            with contextlib.suppress(FileNotFoundError):
                target.rename(leaving)
        _discard(leaving)

    def check_writable(self) -> None:
        """Write a file and take it away again, so that a run says once what every partition would fail of.

        Raises:
            LakeError: the lake cannot be written.
        """
        with naming_the_lake(self.root):
            trial = self._staging() / f"trial-{uuid.uuid4().hex}"
            trial.write_bytes(b"x")
            trial.unlink()

    def _staging(self) -> Path:
        """The folder of unfinished files, on the same file system as the tables, swept of what dead runs left."""
        folder = self.root / "_staging"
        folder.mkdir(parents=True, exist_ok=True)
        for entry in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime < time.time() - STAGING_TIME.total_seconds():
                    _discard(entry)
        return folder

    # -- concurrency ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lease(self, table: Table, *, wait: dt.timedelta = dt.timedelta(), **keys: Key) -> Iterator[None]:
        """Hold the right to write a partition for the length of the block.

        Args:
            table: The table.
            wait: How long to wait for another run to finish; not at all by default.
            keys: The partition.

        Raises:
            LeaseHeldError: another live run holds it, in this process or another, and has not finished in time.
        """
        _complete(table, keys)
        name = "-".join([table.name, *(_step(key, keys[key]) for key in table.partition_keys)])
        file = self.root / "_leases" / f"{name}.json"
        with naming_the_lake(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = leases.acquire(file, wait)
        try:
            yield
        finally:
            leases.release(file, lock)

    def claim(self, table: Table, **keys: Key) -> bool:
        """Create the partition's folder; False where somebody else already has. Revisions are claimed this way."""
        _complete(table, keys)
        folder = self.folder(table, **keys)
        with naming_the_lake(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir()
            except FileExistsError:
                return False
        return True


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
                schema = arrow.schema
                self._writer = pq.ParquetWriter(self._path, schema, compression="zstd", store_decimal_as_integer=True)
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


def _known(table: Table, keys: Iterable[str]) -> None:
    unknown = set(keys) - set(table.partition_keys)
    if unknown:
        raise ValueError(f"{table.name} has no partition key {', '.join(sorted(unknown))}")


def _complete(table: Table, keys: Iterable[str]) -> None:
    _known(table, keys)
    missing = set(table.partition_keys) - set(keys)
    if missing:
        raise ValueError(f"{table.name} needs the partition key {', '.join(sorted(missing))}")


def _step(name: str, value: Key) -> str:
    """One step of a partition's path, percent-encoded as Hive readers expect it."""
    text = str(value)
    if not text or isinstance(value, dt.datetime):
        raise ValueError(f"{name}: expected a name, a number or a day, got {value!r}")
    return f"{name}={quote(text, safe='')}"


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LakeError(
            f"{folder}: cannot be listed ({error.strerror or error}). "
            "Check `lake` in finops.yaml and the folder's permissions."
        ) from error


def _publish(staged: Path, target: Path) -> None:
    """Move a finished file into place so that it survives a crash of the machine."""
    sync(staged)
    made = []
    folder = target.parent
    while not folder.exists():
        made.append(folder)
        folder = folder.parent
    target.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(target)
    for changed in [target.parent, *(created.parent for created in made)]:
        sync(changed)


def _discard(path: Path) -> None:
    """Delete what no reader sees any more; what cannot be deleted now is swept later."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
