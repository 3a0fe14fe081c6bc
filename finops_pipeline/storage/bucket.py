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
from finops_pipeline.leases import lost
from finops_pipeline.storage.bucket_lease import BucketLease
from finops_pipeline.storage.cache import cache_of
from finops_pipeline.storage.storage import S3, Storage, Stored, Versioned

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

SIDE_BY_SIDE = 8
"""Requests at once; boto3 gains nothing from more."""

RIGHTS = "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"

CONFLICT = 409
CONFLICT_TRIES = 8
"""Of conditional writes that meet, S3 refuses some with 409 and asks to try again."""

PART_BYTES = 8 << 20
"""Of an object that is uploaded in parts, since it is larger than that."""

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
}
"""For those who open a file from the bucket; others as ``mimetypes`` has them."""

UNMET: Mapping[str, dict[str, str]] = {
    "If-None-Match": {"IfNoneMatch": "*"},
    "If-Match": {"IfMatch": '"0"'},
}
"""Conditions, by their headers, that do not hold for an object that is there."""

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
            with self._cache.usable():
                file.flush()
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

    def publish(self, staged: Path, name: str) -> None:
        condition = self._still_ours(name)
        with self._cache.usable():
            if staged.stat().st_size > PART_BYTES:
                version = self._put_in_parts(name, staged, **condition)
            else:
                version = self._put(name, staged.read_bytes(), **condition)
        if version is None:
            raise lost(self.place(name))
        self._cache.keep(staged, Stored(name, version))

    def write(self, name: str, content: bytes) -> None:
        if self._put(name, content, **self._still_ours(name)) is None:
            raise lost(self.place(name))

    def _still_ours(self, name: str) -> dict[str, str]:
        """The condition under which a file may be written: nobody has since this run was known to hold its leases.

        A run that is held up between that and the write, for however long, so writes over nothing that is newer.
        """
        if not self._held:
            return {}
        with self._explained(name):
            head = self._head(name)
        self._confirm()
        return {"IfNoneMatch": "*"} if head is None else {"IfMatch": head["ETag"]}

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
                    if condition and _is_refused(error):
                        return self._written_by(writer, name)
                    if _status(error) != CONFLICT or attempt == CONFLICT_TRIES:
                        raise
                s3.pause(attempt)
        raise AssertionError("unreachable")

    def _put_in_parts(self, name: str, staged: Path, **condition: Any) -> str | None:
        """The same of a large file: its parts go up side by side, and are no object before the last request."""
        labels, writer = _labels(name)
        key: _Answer = {"Bucket": self._bucket, "Key": self._prefix + name}
        with self._explained(name):
            made = self._client.create_multipart_upload(**key, **labels, ChecksumAlgorithm="CRC32")
            upload: _Answer = {**key, "UploadId": made["UploadId"]}

            def put(number: int) -> "CompletedPartTypeDef":
                with staged.open("rb") as file:
                    file.seek((number - 1) * PART_BYTES)
                    part = file.read(PART_BYTES)
                answer = self._client.upload_part(**upload, PartNumber=number, Body=part, ChecksumAlgorithm="CRC32")
                completed: CompletedPartTypeDef = {"PartNumber": number, "ETag": answer["ETag"]}
                if "ChecksumCRC32" in answer:  # Amazon S3 wants it repeated; others do not know it
                    completed["ChecksumCRC32"] = answer["ChecksumCRC32"]
                return completed

            with contextlib.ExitStack() as undo:
                undo.callback(self._abort, upload)
                try:
                    parts = self.each(put, range(1, -(-staged.stat().st_size // PART_BYTES) + 1))
                    answer = self._client.complete_multipart_upload(
                        **upload, MultipartUpload={"Parts": parts}, **condition
                    )
                    version: str | None = _version(answer)
                except ClientError as error:
                    if not _is_refused(error):
                        raise
                    version = self._written_by(writer, name)
                if version is not None:
                    undo.pop_all()
                return version

    def _abort(self, upload: _Answer) -> None:
        """Have the parts of an upload deleted, which would be paid for otherwise."""
        with contextlib.suppress(*s3.errors()):
            self._client.abort_multipart_upload(**upload)

    def _written_by(self, writer: str, name: str) -> str | None:
        """The object's version, where that write has made it.

        A request that boto3 has sent twice, because the first answer was lost, is refused by what it has done itself.
        """
        head = self._head(name)
        return _version(head) if head is not None and head["Metadata"].get(_WRITER) == writer else None

    def _head(self, name: str) -> _Answer | None:
        try:
            return self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
        except ClientError as error:
            if s3.is_missing(error):
                return None
            raise

    def delete(self, name: str) -> None:
        with self._explained(name):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def check_reachable(self) -> None:
        with self._explained():
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)

    def check_writable(self) -> None:
        self.check_reachable()
        trial = f"_leases/trial-{uuid.uuid4().hex}.json"
        self._put(trial, b"1")
        ignored = [name for name, condition in UNMET.items() if self._put(trial, b"2", **condition) is not None]
        self.delete(trial)
        if ignored:
            raise LakeError(
                f"{self.root}: this S3 server does not heed {' and '.join(ignored)}, so that two runs could write over "
                "each other and mail twice. Keep the lake on Amazon S3 or a server that has conditional writes."
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
            raise LakeError(f"{self.place(name)}: {s3.explained(error, self._bucket, '`lake`', RIGHTS)}") from error


def _labels(name: str) -> tuple[dict[str, Any], str]:
    """What is said of an object beside its content, and the number of its writer in it."""
    writer = uuid.uuid4().hex
    content_type = CONTENT_TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return {"ContentType": content_type, "Metadata": {_WRITER: writer}}, writer


def _status(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _is_refused(error: ClientError) -> bool:
    """Whether a write's condition did not hold: what it asks for is gone (404), or something else is there (412)."""
    return _status(error) in (404, 412) and s3.error_code(error) != "NoSuchBucket"


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
