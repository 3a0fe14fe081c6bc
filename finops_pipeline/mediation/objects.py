"""Where raw logs lie: listing and fetching objects of an S3 bucket or a local folder.

Keys are relative to the source's uri. What a key means (dates, hours) is the layout's business, what the bytes mean
the reader's.
"""

import contextlib
import datetime as dt
import errno
import hashlib
import os
import random
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from finops_pipeline import s3
from finops_pipeline.config.model import Config, Source
from finops_pipeline.errors import SourceError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

BODY_TRIES = 4
"""boto3 retries requests, not bodies that break off: those are fetched again this often."""

_T = TypeVar("_T")


@dataclass(frozen=True, order=True)
class ObjectRef:
    """One object as the listing gave it.

    Attributes:
        key: Relative to the source's uri.
        size: Bytes.
        etag: The store's content tag; equal tags mean equal bytes.
        modified: When the store last wrote it.
    """

    key: str
    size: int
    etag: str
    modified: dt.datetime


class ObjectGoneError(Exception):
    """An object vanished between listing and fetching."""


Wanted = Callable[[str], bool]
"""Whether an object is asked for, by its key. A local file that is not is never opened."""


def any_key(_key: str) -> bool:
    return True


class ObjectStore(Protocol):
    """What mediation asks of a place where objects lie. Equal stores are the same place."""

    def __hash__(self) -> int: ...

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
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        return S3Store(source.name, bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else "")
    folder = config.resolved(uri)
    if not folder.is_dir():
        raise SourceError(f"source {source.name}: there is no folder {folder}. Check its `uri` in finops.yaml.")
    return LocalStore(folder)


@dataclass(frozen=True)
class LocalStore:
    """A folder of files. The content tag is a hash of the bytes, so that touching a file changes nothing.

    Links to files are read; links to folders are not followed, since they may lead back to where they stand. What is
    no regular file (pipes, sockets, links to nowhere) is no object.
    """

    _folder: Path

    def folders(self, prefix: str) -> list[str]:
        return [entry.name for entry in self._entries(prefix) if _is_folder(entry)]

    def objects(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
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
                    yield from self._ref(key)

    def files(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
        for entry in self._entries(prefix):
            if not _is_folder(entry) and wanted(prefix + entry.name):
                yield from self._ref(prefix + entry.name)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
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

    def _ref(self, key: str) -> Iterator[ObjectRef]:
        """The file as an object; nothing where it is no regular file, or no more."""
        file = self._folder / key
        try:
            if not stat.S_ISREG(file.stat().st_mode):
                return
            with file.open("rb") as handle:
                etag = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
                status = os.fstat(handle.fileno())
        except PermissionError:
            raise SourceError(f"{file}: no permission to read this file. Grant it to the pipeline's user.") from None
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            return
        yield ObjectRef(key, status.st_size, etag, dt.datetime.fromtimestamp(status.st_mtime, dt.UTC))

    def fetch(self, ref: ObjectRef) -> bytes:
        try:
            return (self._folder / ref.key).read_bytes()
        except FileNotFoundError:
            raise ObjectGoneError(ref.key) from None

    def download(self, ref: ObjectRef, target: Path) -> None:
        try:
            shutil.copyfile(self._folder / ref.key, target)
        except FileNotFoundError:
            raise ObjectGoneError(ref.key) from None


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a folder; a link to one counts as one that is not entered (see ``_entries``)."""
    return entry.is_dir(follow_symlinks=False)


@dataclass(frozen=True)
class S3Store:
    """A bucket, or a prefix of one, behind boto3 with its checksums and standard retries."""

    _source: str
    _bucket: str
    _prefix: str

    @property
    def _client(self) -> "S3Client":
        return s3.client()

    def folders(self, prefix: str) -> list[str]:
        start = len(self._prefix + prefix)
        return sorted(
            entry["Prefix"][start:].rstrip("/")
            for page in self._pages(prefix, Delimiter="/")
            for entry in page.get("CommonPrefixes", [])
        )

    def objects(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
        return self._refs(self._pages(prefix), wanted)

    def files(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
        return self._refs(self._pages(prefix, Delimiter="/"), wanted)

    def _pages(self, prefix: str, **asked: str) -> "Iterator[ListObjectsV2OutputTypeDef]":
        with self._explained("list"):
            pages = self._client.get_paginator("list_objects_v2")
            yield from pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix, **asked)  # type: ignore[arg-type]

    def _refs(self, pages: "Iterator[ListObjectsV2OutputTypeDef]", wanted: Wanted) -> Iterator[ObjectRef]:
        for page in pages:
            for entry in page.get("Contents", []):
                if wanted(key := entry["Key"][len(self._prefix) :]):
                    yield ObjectRef(key, entry["Size"], entry["ETag"].strip('"'), entry["LastModified"])

    def fetch(self, ref: ObjectRef) -> bytes:
        def get() -> bytes:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + ref.key)
            body = answer["Body"].read()
            if len(body) != answer["ContentLength"]:
                raise ConnectionError(f"{len(body)} of {answer['ContentLength']} bytes")
            return body

        return self._again(get, ref)

    def download(self, ref: ObjectRef, target: Path) -> None:
        def get() -> None:
            self._client.download_file(self._bucket, self._prefix + ref.key, str(target))

        self._again(get, ref)

    def _again(self, get: Callable[[], _T], ref: ObjectRef) -> _T:
        """``get()``, tried again with growing pauses while the body breaks off or a checksum does not match."""
        from botocore.exceptions import ClientError, FlexibleChecksumError, HTTPClientError
        from urllib3.exceptions import HTTPError

        with self._explained(f"get {ref.key}"):
            for attempt in range(BODY_TRIES):
                try:
                    return get()
                except ClientError as error:
                    if s3.is_missing(error):
                        raise ObjectGoneError(ref.key) from None
                    raise
                except (HTTPClientError, FlexibleChecksumError, HTTPError, ConnectionError):
                    if attempt == BODY_TRIES - 1:
                        raise
                    threading.Event().wait(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311 (jitter, no secret)
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except s3.S3SettingsError as error:
            raise SourceError(f"source {self._source}: {error}") from error
        except (BotoCoreError, Boto3Error, ClientError, HTTPError, ConnectionError) as error:
            why = s3.explained(error, self._bucket, "the source's `uri`", "s3:ListBucket and s3:GetObject")
            raise SourceError(f"source {self._source}, {doing}: {why}") from error
