"""Where raw logs lie: what mediation asks of a store of objects, and the store that is a local folder.

Keys are relative to the source's uri. What a key means (dates, hours) is the layout's business, what the bytes mean
the reader's. Buckets are ``bucket.py``'s.
"""

import contextlib
import datetime as dt
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import Protocol

from isal import isal_zlib

from finops_pipeline.config.model import Config, Source
from finops_pipeline.errors import SourceError
from finops_pipeline.mediation.ahead import in_order

SIDE_BY_SIDE = 4 << 20
"""Bytes from which files are looked at side by side."""

_HASHED = 1 << 18
"""Bytes of a file that are looked at together, so that they stay in the processor's cache."""


@dataclass(frozen=True, order=True, slots=True)
class ObjectRef:
    """One object as the listing gave it.

    Attributes:
        key: Relative to the source's uri.
        size: Bytes.
        etag: The store's content tag: other bytes of the same size get another.
        modified: When the store last wrote it.
    """

    key: str
    size: int
    etag: str
    modified: dt.datetime


class ObjectGoneError(Exception):
    """An object vanished between listing and fetching."""


class Transfers:
    """What has come from a store so far; threads count into it side by side.

    Attributes:
        gets: Objects that have come whole.
        bytes: Of their bodies.
        retries: Requests, listings' included, that had to be made again: throttled, refused for the moment, broken
            off, stalled or damaged on the way.
    """

    def __init__(self) -> None:
        self.gets = self.bytes = self.retries = 0
        self._lock = threading.Lock()

    def add(self, *, gets: int = 0, bytes: int = 0, retries: int = 0) -> None:  # noqa: A002 (the unit is the name)
        with self._lock:
            self.gets += gets
            self.bytes += bytes
            self.retries += retries


Wanted = Callable[[str], bool]
"""Whether an object is asked for, by its key. A local file that is not is never opened."""


def any_key(_key: str) -> bool:
    return True


class ObjectStore(Protocol):
    """What mediation asks of a place where objects lie. Equal stores are the same place."""

    def __hash__(self) -> int: ...

    @property
    def transfers(self) -> Transfers:
        """What has come from this store since it was opened."""

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below ``prefix`` (empty, or with a slash at its end), sorted."""

    def objects(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
        """Every object whose key starts with ``prefix`` and is wanted, at any depth."""

    def files(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
        """The wanted objects directly below ``prefix`` (empty, or with a slash at its end)."""

    def fetch(self, ref: ObjectRef) -> bytes:
        """The object's bytes. Raises ObjectGoneError where it has vanished."""

    def download(self, ref: ObjectRef, target: Path) -> None:
        """Write the object's bytes to ``target``. Raises ObjectGoneError where it has vanished."""


def open_store(config: Config, source: Source, base: str = "") -> ObjectStore:
    """The store of a source, with keys relative to ``base`` (the source's uri where that is empty).

    Raises:
        SourceError: AWS settings are unusable, or the local folder does not exist.
    """
    uri = base or source.uri
    if uri.startswith("s3://"):
        from finops_pipeline.mediation.bucket import S3Store

        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        return S3Store(source.name, bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else "")
    folder = config.resolved(uri)
    if not folder.is_dir():
        raise SourceError(f"source {source.name}: there is no folder {folder}. Check its `uri` in finops.yaml.")
    return LocalStore(folder)


@dataclass(frozen=True)
class LocalStore:
    """A folder of files. The content tag is a checksum of the bytes, so that touching a file changes nothing.

    Links to files are read; links to folders are not followed, since they may lead back to where they stand. What is
    no regular file (pipes, sockets, links to nowhere) is no object.
    """

    _folder: Path
    transfers: Transfers = field(default_factory=Transfers, compare=False, repr=False)

    def folders(self, prefix: str) -> list[str]:
        return [entry.name for entry in self._entries(prefix) if _is_folder(entry)]

    def objects(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
        return self._refs(self._keys(prefix, wanted))

    def files(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
        entries = (entry for entry in self._entries(prefix) if not _is_folder(entry))
        return self._refs((prefix + e.name, e) for e in entries if wanted(prefix + e.name))

    def _keys(self, prefix: str, wanted: Wanted) -> "Iterator[tuple[str, os.DirEntry[str]]]":
        """What stands at any depth below a prefix and is no folder, with its key."""
        start, slash, _ = prefix.rpartition("/")
        waiting = [start + slash]
        while waiting:
            folder = waiting.pop()
            for entry in self._entries(folder):
                key = folder + entry.name
                if not key.startswith(prefix):
                    continue
                if _is_folder(entry):
                    waiting.append(f"{key}/")
                elif wanted(key):
                    yield key, entry

    def _entries(self, folder: str) -> "list[os.DirEntry[str]]":
        """What stands in a folder below ours, by name; nothing where it is none of ours."""
        steps = [step for step in folder.split("/") if step]
        if any(self._folder.joinpath(*steps[: n + 1]).is_symlink() for n in range(len(steps))):
            return []
        place = self._folder.joinpath(*steps)
        try:
            with os.scandir(place) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError:
            raise SourceError(f"{place}: no permission to list this folder. Grant it to the pipeline's user.") from None
        for entry in entries:
            try:
                entry.name.encode()
            except UnicodeEncodeError:
                raise SourceError(
                    f"{place}: the name {os.fsencode(entry.name)!r} is not UTF-8, so that no table can hold it. "
                    "Rename it, or move it out of the source's folder."
                ) from None
        return entries

    def _refs(self, entries: "Iterable[tuple[str, os.DirEntry[str]]]") -> Iterator[ObjectRef]:
        """The files as objects, in the order given; what is no regular file, or no more, is none."""
        threads = os.cpu_count() or 1
        with ThreadPoolExecutor(threads) as pool:
            yield from filter(None, in_order(lambda found: _soon(pool, *found), entries, held=2 * threads))

    def fetch(self, ref: ObjectRef) -> bytes:
        try:
            with (self._folder / ref.key).open("rb") as file:
                body = file.read(ref.size)  # what was appended since is the next run's
        except FileNotFoundError:
            raise ObjectGoneError(ref.key) from None
        self.transfers.add(gets=1, bytes=len(body))
        return body

    def download(self, ref: ObjectRef, target: Path) -> None:
        # A link: what lies here already need not be copied.
        file = (self._folder / ref.key).absolute()
        if not file.exists():
            raise ObjectGoneError(ref.key)
        target.symlink_to(file)
        self.transfers.add(gets=1, bytes=ref.size)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a folder; a link to one counts as one that is not entered (see ``_entries``)."""
    return entry.is_dir(follow_symlinks=False)


def _soon(pool: ThreadPoolExecutor, key: str, entry: "os.DirEntry[str]") -> "Future[ObjectRef | None]":
    """A file as an object: a large one by a thread, a small one at once, which costs less than a task."""
    with contextlib.suppress(OSError):
        if entry.stat().st_size >= SIDE_BY_SIDE:
            return pool.submit(_ref, key, entry)
    done: Future[ObjectRef | None] = Future()
    done.set_result(_ref(key, entry))
    return done


def _ref(key: str, entry: "os.DirEntry[str]") -> ObjectRef | None:
    try:
        if not stat.S_ISREG(entry.stat().st_mode):
            return None
        with open(entry.path, "rb", buffering=0) as file:  # noqa: PTH123 (a path made anew costs more)
            tag, status = _content_tag(file), os.fstat(file.fileno())
    except PermissionError:
        raise SourceError(f"{entry.path}: no permission to read this file. Grant it to the pipeline's user.") from None
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return None
    return ObjectRef(key, status.st_size, tag, dt.datetime.fromtimestamp(status.st_mtime, dt.UTC))


def _content_tag(file: RawIOBase) -> str:
    """CRC-32 of what a file holds: 15 times as fast as SHA-256, and with the size beside it enough to see a change."""
    crc = 0
    buffer = bytearray(_HASHED)
    view = memoryview(buffer)
    while length := file.readinto(buffer):
        crc = isal_zlib.crc32(view[:length], crc)
    return f"{crc:08x}"
