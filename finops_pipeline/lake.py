"""The lake: tables as Hive-style folders of Parquet, replaced a partition at a time by one atomic step.

Layout: ``<root>/<table>/<key>=<value>/…/part-0.parquet``. Partition keys stand in the path only. The key-value
metadata of each file says which schema version, inputs and run made it. What the rows mean is none of this module's
business: it checks each frame against its table's contract and refuses what does not meet it.
"""

import contextlib
import datetime as dt
import fcntl
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import polars as pl
import pyarrow.parquet as pq

from finops_pipeline.errors import LakeError, LeaseHeldError
from finops_pipeline.schemas import Table

Key = str | int | dt.date

LEASE_TIME = dt.timedelta(hours=6)
"""A lease older than this is abandoned; one whose process is gone on this host is abandoned at once."""

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
        self.root = root

    # -- paths ---------------------------------------------------------------------------------------------------

    def folder(self, table: Table, **keys: Key) -> Path:
        """Folder of a partition, or of all partitions that share the leading keys given."""
        unknown = set(keys) - set(table.partition_keys)
        if unknown:
            raise ValueError(f"{table.name} has no partition key {', '.join(sorted(unknown))}")
        given = [name for name in table.partition_keys if name in keys]
        return self.root.joinpath(table.name, *(f"{name}={quote(str(keys[name]), safe='')}" for name in given))

    def path(self, table: Table, *, part: str = "part-0", **keys: Key) -> Path:
        """File of a partition, whether it exists or not."""
        missing = set(table.partition_keys) - set(keys)
        if missing:
            raise ValueError(f"{table.name} needs the partition key {', '.join(sorted(missing))}")
        return self.folder(table, **keys) / f"{part}.parquet"

    def files(self, table: Table, **keys: Key | Iterable[Key]) -> list[Path]:
        """Files of the partitions whose keys are among those given (one value or several each), in path order."""
        folders = [self.root / table.name]
        for name in table.partition_keys:
            wanted = keys.get(name)
            if wanted is None:
                folders = [f for folder in folders for f in sorted(folder.glob(f"{name}=*"))]
            else:
                values = [wanted] if isinstance(wanted, str | int | dt.date) else list(wanted)
                folders = [folder / f"{name}={quote(str(v), safe='')}" for folder in folders for v in values]
        return [file for folder in folders for file in sorted(folder.glob("*.parquet"))]

    def partitions(self, table: Table, **keys: Key) -> list[dict[str, str]]:
        """Keys of the partitions that exist, as text, in path order."""
        found = []
        for file in self.files(table, **keys):
            steps = file.parent.relative_to(self.root / table.name).parts
            found.append({name: unquote(value) for name, _, value in (step.partition("=") for step in steps)})
        return [keys for i, keys in enumerate(found) if i == 0 or keys != found[i - 1]]

    # -- reading -------------------------------------------------------------------------------------------------

    def stamp(self, table: Table, *, part: str = "part-0", **keys: Key) -> Stamp | None:
        """What the partition's file says of its making; None where there is no such partition."""
        return self.stamp_of(self.path(table, part=part, **keys))

    def stamp_of(self, file: Path) -> Stamp | None:
        try:
            raw = pq.read_metadata(file).metadata or {}
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise LakeError(f"{file}: not a readable Parquet file ({error}). Delete it and run its day again.") from error
        return Stamp.decode({k.decode(): v.decode() for k, v in raw.items() if k.startswith(_PREFIX.encode())})

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
            hive_partitioning=True,
            hive_schema=hive,
            missing_columns="insert",
            extra_columns="ignore",
        ).select(schema.names())

    # -- writing -------------------------------------------------------------------------------------------------

    def write(
        self, table: Table, frame: pl.DataFrame, stamp: Stamp, *, part: str = "part-0", **keys: Key
    ) -> Path:
        """Replace a partition (or one part of it) by ``frame``, whole or not at all."""
        with self.writer(table, stamp, part=part, **keys) as append:
            append(frame)
        return self.path(table, part=part, **keys)

    @contextlib.contextmanager
    def writer(
        self, table: Table, stamp: Stamp, *, part: str = "part-0", **keys: Key
    ) -> Iterator["PartitionWriter"]:
        """Replace a partition by the frames appended, one row group each, when the block ends without an error."""
        target = self.path(table, part=part, **keys)
        with _explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
            os.close(handle)
        try:
            writer = PartitionWriter(table, Path(beside), stamp)
            try:
                yield writer
                with _explained(target):
                    writer.close()
                    _publish(Path(beside), target)
            finally:
                writer.abandon()
        finally:
            Path(beside).unlink(missing_ok=True)

    def remove(self, table: Table, *, part: str | None = None, **keys: Key) -> None:
        """Delete a partition, or one part of it; nothing happens where there is none."""
        if part is not None:
            self.path(table, part=part, **keys).unlink(missing_ok=True)
        else:
            shutil.rmtree(self.folder(table, **keys), ignore_errors=True)

    # -- concurrency ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lease(self, table: Table, **keys: Key) -> Iterator[None]:
        """Hold the right to write a partition for the length of the block.

        Raises:
            LeaseHeldError: another live run holds it.
        """
        folder = self.root / "_leases"
        name = "-".join([table.name, *(f"{k}={quote(str(keys[k]), safe='')}" for k in table.partition_keys)])
        file = folder / f"{name}.json"
        with _explained(file):
            folder.mkdir(parents=True, exist_ok=True)
            _acquire(file)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)

    def claim(self, table: Table, **keys: Key) -> bool:
        """Create the partition's folder; False where somebody else already has. Revisions are claimed this way."""
        folder = self.folder(table, **keys)
        with _explained(folder):
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
        if self._writer is None:
            schema = arrow.schema.with_metadata({k: v for k, v in self._stamp.encode().items()})
            self._writer = pq.ParquetWriter(self._path, schema, compression="zstd", store_decimal_as_integer=True)
        self._writer.write_table(arrow.cast(self._writer.schema))
        self.rows += frame.height

    def close(self) -> None:
        if self._writer is None:
            self(self._table.empty())
        assert self._writer is not None
        self._writer.close()
        self._writer = None

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _publish(beside: Path, target: Path) -> None:
    """Move a finished file into place so that it survives a crash of the machine."""
    beside.chmod(0o644)
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"{path}: cannot be written ({error.strerror or error}). "
            "Check `lake` in finops.yaml, the folder's permissions and the free space."
        ) from error


def _acquire(file: Path) -> None:
    """Create the lease file, taking over one that is abandoned. A guard lock makes look-and-replace one step."""
    now = dt.datetime.now(dt.UTC)
    mine = {"host": socket.gethostname(), "pid": os.getpid(), "expires": (now + LEASE_TIME).isoformat()}
    with (file.parent / ".guard").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        holder = _holder(file)
        if holder is not None and _alive(holder, now):
            raise LeaseHeldError(
                f"{file.stem} is being written by process {holder['pid']} on {holder['host']}. "
                f"Wait for it to end; if it is gone, delete {file}."
            )
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644), "w") as handle:
            json.dump(mine, handle)


def _holder(file: Path) -> dict[str, str | int] | None:
    try:
        holder: dict[str, str | int] = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        return None
    return holder


def _alive(holder: Mapping[str, str | int], now: dt.datetime) -> bool:
    if dt.datetime.fromisoformat(str(holder["expires"])) < now:
        return False
    if holder["host"] != socket.gethostname():
        return True
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
