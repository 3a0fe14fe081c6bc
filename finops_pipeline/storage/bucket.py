"""A lake below a prefix of an S3 bucket: conditional requests make each change one step.

A table's file is written locally, and is there for readers once its upload is complete; it is read by way of a cache.
Every request goes through boto3, which verifies checksums.
"""

import contextlib
import datetime as dt
import mimetypes
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from finops_pipeline import s3
from finops_pipeline.errors import LakeError
from finops_pipeline.storage.bucket_lease import BucketLease
from finops_pipeline.storage.cache import cache_of
from finops_pipeline.storage.storage import S3, Storage, Stored, Versioned

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SIDE_BY_SIDE = 8
"""Requests at once; boto3 gains nothing from more."""

RIGHTS = "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"

CONFLICT_TRIES = 8
"""Of conditional writes that meet, S3 refuses some with 409 and asks to try again."""

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
}
"""For those who open a file from the bucket; others as ``mimetypes`` has them."""

_CHUNK = 1 << 20
_WRITER = "finops-writer"
"""Metadata of each object: a number drawn for the one write that has made it."""

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")
_Answer = Mapping[str, Any]


class BucketStorage(Storage):
    """The objects below ``prefix``; all of the bucket where that is empty."""

    pause = 0.5

    def __init__(self, bucket: str, prefix: str) -> None:
        super().__init__(f"{S3}{bucket}/{prefix}".rstrip("/"))
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._cache = cache_of(self.root)

    @property
    def _client(self) -> "S3Client":
        return s3.client()

    # -- looking -------------------------------------------------------------------------------------------------

    def folders(self, prefix: str) -> list[str]:
        start = len(self._prefix + prefix)
        with self._explained(prefix):
            return sorted(
                entry["Prefix"][start:].rstrip("/")
                for page in self._pages(prefix, Delimiter="/")
                for entry in page.get("CommonPrefixes", [])
            )

    def files(self, prefix: str) -> list[Stored]:
        with self._explained(prefix):
            return [
                Stored(name, _version(entry))
                for page in self._pages(prefix)
                for entry in page.get("Contents", [])
                if not (name := entry["Key"][len(self._prefix) :]).endswith("/") and "/." not in f"/{name}"
            ]

    def _pages(self, prefix: str, **asked: Any) -> Iterator[Any]:
        pages = self._client.get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix, **asked)

    def tail(self, name: str, size: int) -> Versioned | None:
        with self._explained(name):
            try:
                return self._got(name, _content, Range=f"bytes=-{size}")
            except ClientError as error:
                if s3.error_code(error) == "InvalidRange":  # an empty object has no last bytes
                    return Versioned(b"", "")
                raise

    def fetch(self, file: Stored) -> Path:
        if file.version and (copy := self._cache.find(file)) is not None:
            return copy
        with self._cache.unfinished() as beside, self._explained(file.name):
            version = self._got(file.name, lambda answer: self._download(answer, beside))
            if version is None:
                raise LakeError(f"{self.place(file.name)}: it was deleted while this run was at work. Run it again.")
            return self._cache.keep(beside, Stored(file.name, version))

    def _download(self, answer: _Answer, target: Path) -> str:
        """Write the body to ``target``; its version, which may be newer than that of a listing."""
        with self._cache.usable():
            file = target.open("wb")
        with file:
            for chunk in answer["Body"].iter_chunks(_CHUNK):
                with self._cache.usable():
                    file.write(chunk)
            if file.tell() != answer["ContentLength"]:
                raise ConnectionError(f"{file.tell()} of {answer['ContentLength']} bytes")
        return _version(answer)

    def read(self, name: str) -> Versioned | None:
        found = self.read_with_age(name)
        return found and found[0]

    def read_with_age(self, name: str) -> tuple[Versioned, dt.timedelta] | None:
        """The same, and how long ago it was written, by the server's clock alone."""
        with self._explained(name):
            return self._got(name, lambda answer: (_content(answer), _age(answer)))

    def _got(self, name: str, take: Callable[[_Answer], _Made], **asked: Any) -> _Made | None:
        """What ``take`` makes of an object, tried again while its body breaks off; None where there is none."""

        def get() -> _Made:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name, **asked)
            with contextlib.closing(answer["Body"]):
                return take(answer)

        try:
            return s3.with_whole_body(get)
        except ClientError as error:
            if s3.is_missing(error):
                return None
            raise

    def each(self, look: Callable[[_Item], _Made], items: Iterable[_Item]) -> list[_Made]:
        items = list(items)
        if len(items) < 2:
            return super().each(look, items)
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            return list(pool.map(look, items))

    # -- writing -------------------------------------------------------------------------------------------------

    def staged(self) -> AbstractContextManager[Path]:
        return self._cache.unfinished()

    def _publish(self, staged: Path, name: str) -> None:
        labels, writer = _labels(name)
        with self._explained(name):
            self._client.upload_file(str(staged), self._bucket, self._prefix + name, ExtraArgs=labels)
            version = self._written_by(writer, name)
        if version is not None:
            self._cache.keep(staged, Stored(name, version))

    def _write(self, name: str, content: bytes) -> None:
        self._put(name, content)

    def create(self, name: str, content: bytes) -> str | None:
        return self._put(name, content, IfNoneMatch="*")

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        return self._put(name, content, IfMatch=f'"{version}"')

    def _put(self, name: str, content: bytes, **condition: Any) -> str | None:
        """The version of what was written; None where the condition did not hold."""
        labels, writer = _labels(name)
        with self._explained(name):
            for attempt in range(1, CONFLICT_TRIES + 1):
                try:
                    answer = self._client.put_object(
                        Bucket=self._bucket, Key=self._prefix + name, Body=content, **labels, **condition
                    )
                    return _version(answer)
                except ClientError as error:
                    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                    if condition and status in (404, 412) and s3.error_code(error) != "NoSuchBucket":
                        # A request that boto3 has sent twice, because the first answer was lost, is refused by what
                        # it has written itself.
                        return self._written_by(writer, name)
                    if status != 409 or attempt == CONFLICT_TRIES:
                        raise
                s3.pause(attempt)
        raise AssertionError("unreachable")

    def _written_by(self, writer: str, name: str) -> str | None:
        """The object's version, where that write has made it."""
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
        except ClientError as error:
            if s3.is_missing(error):
                return None
            raise
        return _version(head) if head["Metadata"].get(_WRITER) == writer else None

    def delete(self, name: str) -> None:
        with self._explained(name):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def check_reachable(self) -> None:
        with self._explained():
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)

    def check_writable(self) -> None:
        trial = f"_leases/trial-{uuid.uuid4().hex}.json"
        honoured = self.create(trial, b"1") is not None and self.create(trial, b"2") is None
        self.delete(trial)
        if not honoured:
            raise LakeError(
                f"{self.root}: this S3 server does not heed If-None-Match, so that two runs could write over each "
                "other and mail twice. Keep the lake on Amazon S3 or a server that has conditional writes."
            )

    def _acquire(self, what: str) -> BucketLease:
        return BucketLease(self, what)

    @contextlib.contextmanager
    def _explained(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except s3.S3SettingsError as error:
            raise LakeError(f"{self.place(name)}: {error}") from error
        except s3.errors() as error:
            # What an upload failed of stands behind boto3's own error.
            cause = error.__context__ if isinstance(error.__context__, ClientError) else error
            raise LakeError(f"{self.place(name)}: {s3.explained(cause, self._bucket, '`lake`', RIGHTS)}") from error


def _labels(name: str) -> tuple[dict[str, Any], str]:
    """What is said of an object beside its content, and the number of its writer in it."""
    writer = uuid.uuid4().hex
    content_type = CONTENT_TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return {"ContentType": content_type, "Metadata": {_WRITER: writer}}, writer


def _version(answer: Mapping[str, Any]) -> str:
    return str(answer["ETag"]).strip('"')


def _content(answer: _Answer) -> Versioned:
    body: bytes = answer["Body"].read()
    if len(body) != answer["ContentLength"]:
        raise ConnectionError(f"{len(body)} of {answer['ContentLength']} bytes")
    return Versioned(body, _version(answer))


def _age(answer: _Answer) -> dt.timedelta:
    modified: dt.datetime = answer["LastModified"]
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]) - modified
