"""The lake: tables as Hive-style folders of Parquet, replaced a partition at a time by one atomic step.

Layout: ``<root>/<table>/<key>=<value>/…/part-0.parquet``, in a local folder and on S3 alike. Partition keys stand in
the path only. The key-value metadata of each file says which schema version, inputs and run made it. What the rows
mean is none of this module's business: it checks each frame against its table's contract and refuses what does not
meet it.

Beside the tables stand ``_leases`` (who is writing what) and files for people and for later steps, which ``storage``
reads and writes. Where and how files lie is its business alone.
"""

import contextlib
import datetime as dt
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import polars as pl

from finops_pipeline.leases import PATIENCE
from finops_pipeline.partition_file import Footer, PartitionWriter, Stamp, read_footer
from finops_pipeline.schemas import Table
from finops_pipeline.storage import Stored, open_storage

if TYPE_CHECKING:
    from finops_pipeline.config.model import Config

__all__ = ["Key", "Lake", "Part", "PartitionWriter", "Stamp", "open_lake", "root_of"]

Key = str | int | dt.date

KNOWN_FOOTERS = 8192
"""Footers that a process remembers, of files whose version tells whether they are the same."""

_SUFFIX = ".parquet"
_ONLY_PART = "part-0"
_DTYPES: dict[str, pl.DataType] = {"date": pl.Date(), "revision": pl.Int64()}
_footers: dict[tuple[str, str, str], Footer] = {}
_footers_lock = threading.Lock()


@dataclass(frozen=True)
class Part:
    """One file of a table.

    Attributes:
        keys: Of its partition, as text.
        name: What tells it from other parts of the partition; nearly always ``part-0``.
        file: Where it lies.
    """

    keys: Mapping[str, str]
    name: str
    file: Stored

    @property
    def date(self) -> dt.date:
        """The day of a daily table's part."""
        return dt.date.fromisoformat(self.keys["date"])


class Lake:
    """Tables below one root.

    Every method takes the partition's keys as keyword arguments, those of the table's ``partition_keys``:
    ``lake.write(DAILY_COSTS, frame, stamp, date=day)``.
    """

    def __init__(self, root: Path | str) -> None:
        """A lake in a local folder, which the first write makes, or at ``s3://bucket/prefix``.

        Raises:
            LakeError: readers of Hive-style folders would take a step of the path itself for a partition key.
        """
        self.storage = open_storage(root)

    # -- places --------------------------------------------------------------------------------------------------

    def folder(self, table: Table, **keys: Key) -> str:
        """Where a partition lies, or all partitions that share the leading keys given; for people."""
        return self.storage.place(_folder(table, keys))

    def place(self, table: Table, *, part: str = _ONLY_PART, **keys: Key) -> str:
        """Where the file of a partition lies, whether it exists or not; for people."""
        return self.storage.place(_file(table, part, keys))

    def parts(self, table: Table, **keys: Key | Iterable[Key]) -> list[Part]:
        """Files of the partitions whose keys are among those given (one value or several each), in path order.

        Raises:
            LakeError: the lake cannot be listed; a folder that does not exist simply holds nothing.
        """
        _known(table, keys)
        wanted = {name: {_step(name, value) for value in _values(keys[name])} for name in keys}
        listed = self.storage.each(self.storage.files, self._prefixes(table, wanted))
        found = sorted((file.name.split("/")[1:], file) for files in listed for file in files)
        return [
            Part(_keys(steps), name.removesuffix(_SUFFIX), file)
            for (*steps, name), file in found
            if name.endswith(_SUFFIX) and _is_wanted(table, steps, wanted)
        ]

    def partitions(self, table: Table, **keys: Key | Iterable[Key]) -> list[dict[str, str]]:
        """Keys of the partitions that exist, as text, in path order."""
        found = {tuple(part.keys.items()): dict(part.keys) for part in self.parts(table, **keys)}
        return list(found.values())

    def _prefixes(self, table: Table, wanted: Mapping[str, Iterable[str]]) -> list[str]:
        """What to list for the wanted steps: as little as can be, in as few listings."""
        prefixes = [f"{table.name}/"]
        for place, name in enumerate(table.partition_keys):
            last = place == len(table.partition_keys) - 1
            if name not in wanted:
                if not any(later in wanted for later in table.partition_keys[place:]):
                    break
                found = self.storage.each(self.storage.folders, prefixes)
                prefixes = [f"{above}{step}/" for above, steps in zip(prefixes, found, strict=True) for step in steps]
                continue
            steps = [f"{step}/" for step in sorted(wanted[name])]
            if last and len(steps) > 1:  # days, of a month as a rule: one listing for all of them
                steps = [commonprefix(steps)]  # noqa: RUF071 (a prefix of S3 is one of characters)
            prefixes = [above + step for above in prefixes for step in steps]
        return prefixes

    # -- reading -------------------------------------------------------------------------------------------------

    def stamp(self, table: Table, *, part: str = _ONLY_PART, **keys: Key) -> Stamp | None:
        """What the partition's file says of its making; None where there is no such partition.

        Raises:
            LakeError: the file is there and cannot be read.
        """
        footer = self._footer(Stored(_file(table, part, keys)))
        return None if footer is None else footer.stamp

    def stamps(self, table: Table, **keys: Key | Iterable[Key]) -> list[tuple[Part, Stamp]]:
        """The same of every file of :meth:`parts`: to be preferred where there are several.

        Raises:
            LakeError: a file is there and cannot be read.
        """
        parts = self.parts(table, **keys)
        footers = self.storage.each(lambda part: self._footer(part.file), parts)
        return [(part, footer.stamp) for part, footer in zip(parts, footers, strict=True) if footer is not None]

    def rows(self, table: Table, **keys: Key | Iterable[Key]) -> int:
        """Rows of these partitions, as their footers have them."""
        footers = self.storage.each(lambda part: self._footer(part.file), self.parts(table, **keys))
        return sum(footer.rows for footer in footers if footer is not None)

    def scan(self, table: Table, **keys: Key | Iterable[Key]) -> pl.LazyFrame:
        """The partitions whose keys are among those given, with the keys as columns; no rows where there are none.

        Files of an older contract read as the present one, with null in columns that they lack.
        """
        hive = {name: _DTYPES.get(name, pl.String()) for name in table.partition_keys}
        schema = pl.Schema({**table.schema, **hive})
        files = self.storage.each(self.storage.fetch, [part.file for part in self.parts(table, **keys)])
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

    def local_file(self, table: Table, *, part: str = _ONLY_PART, **keys: Key) -> Path:
        """A partition's file on this machine, for a reader of its own.

        Raises:
            LakeError: it cannot be read.
        """
        return self.storage.fetch(Stored(_file(table, part, keys)))

    def _footer(self, file: Stored) -> Footer | None:
        known = _footers.get((self.storage.root, *file)) if file.version else None
        if known is not None:
            return known
        footer = read_footer(self.storage.place(file.name), lambda size: self.storage.tail(file.name, size))
        if footer is not None and footer.version:
            with _footers_lock:
                while len(_footers) >= KNOWN_FOOTERS:
                    del _footers[next(iter(_footers))]
                _footers[self.storage.root, file.name, footer.version] = footer
        return footer

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, table: Table, frame: pl.DataFrame, stamp: Stamp, *, part: str = _ONLY_PART, **keys: Key) -> None:
        """Replace a partition (or one part of it) by ``frame``, whole or not at all.

        Raises:
            ContractError: the frame does not meet the table's contract.
            LeaseHeldError: a lease of this lake was lost to another run meanwhile; nothing is written.
            LakeError: the lake cannot be written.
        """
        with self.writer(table, stamp, part=part, **keys) as append:
            append(frame)

    @contextlib.contextmanager
    def writer(self, table: Table, stamp: Stamp, *, part: str = _ONLY_PART, **keys: Key) -> Iterator[PartitionWriter]:
        """Replace a partition by the frames appended, one row group each, when the block ends without an error."""
        name = _file(table, part, keys)
        with self.storage.staged() as staged:
            writer = PartitionWriter(table, staged, stamp)
            try:
                yield writer
                writer.close()
                self.storage.publish(staged, name)
            finally:
                writer.abandon()

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
        steps = (_step(key, keys[key]) for key in table.partition_keys)
        with self.storage.lease("-".join([table.name, *steps]), wait):
            yield

    @contextlib.contextmanager
    def making(self, table: Table, digest: str, *, force: bool = False, **keys: Key) -> Iterator[bool]:
        """Whether a partition is to be made from inputs of that digest; its lease is held for the block if so.

        Args:
            table: The table.
            digest: Of the inputs; a partition whose stamp has it is left alone.
            force: Make it all the same.
            keys: The partition.

        Raises:
            LeaseHeldError: another run is making it, and has not finished in time.
        """
        if not force and self._is_current(table, digest, keys):
            yield False
            return
        with self.lease(table, wait=PATIENCE, **keys):
            # Looked at again under the lease: another run may just have made it.
            yield force or not self._is_current(table, digest, keys)

    def _is_current(self, table: Table, digest: str, keys: Mapping[str, Key]) -> bool:
        footer = self._footer(Stored(_file(table, _ONLY_PART, keys)))
        return footer is not None and footer.stamp.input_digest == digest


def open_lake(config: "Config") -> Lake:
    """The lake of a config.

    Raises:
        LakeError: its place cannot hold a lake.
    """
    return Lake(root_of(config))


def root_of(config: "Config") -> Path | str:
    """Where the lake of a config lies: a folder, or ``s3://bucket/prefix``."""
    return config.lake if "://" in config.lake else config.resolved(config.lake)


def _values(wanted: Key | Iterable[Key]) -> Sequence[Key]:
    return [wanted] if isinstance(wanted, str | int | dt.date) else list(wanted)


def _known(table: Table, keys: Iterable[str]) -> None:
    unknown = set(keys) - set(table.partition_keys)
    if unknown:
        raise ValueError(f"{table.name} has no partition key {', '.join(sorted(unknown))}")


def _complete(table: Table, keys: Iterable[str]) -> None:
    _known(table, keys)
    missing = set(table.partition_keys) - set(keys)
    if missing:
        raise ValueError(f"{table.name} needs the partition key {', '.join(sorted(missing))}")


def _folder(table: Table, keys: Mapping[str, Key]) -> str:
    _known(table, keys)
    given = table.partition_keys[: len(keys)]
    if set(given) != set(keys):
        raise ValueError(f"{table.name}: {', '.join(keys)} are not the leading partition keys")
    return "/".join([table.name, *(_step(name, keys[name]) for name in given)])


def _file(table: Table, part: str, keys: Mapping[str, Key]) -> str:
    _complete(table, keys)
    return f"{_folder(table, keys)}/{part}{_SUFFIX}"


def _step(name: str, value: Key) -> str:
    """One step of a partition's path, percent-encoded as Hive readers expect it."""
    text = str(value)
    if not text or isinstance(value, dt.datetime):
        raise ValueError(f"{name}: expected a name, a number or a day, got {value!r}")
    return f"{name}={quote(text, safe='')}"


def _keys(steps: Iterable[str]) -> dict[str, str]:
    return {name: unquote(value) for name, _, value in (step.partition("=") for step in steps)}


def _is_wanted(table: Table, steps: Sequence[str], wanted: Mapping[str, Collection[str]]) -> bool:
    """Whether a path below the table's folder is that of a partition, and of one that is asked for."""
    names = [step.partition("=")[0] for step in steps]
    return names == list(table.partition_keys) and all(
        name not in wanted or step in wanted[name] for name, step in zip(names, steps, strict=True)
    )
