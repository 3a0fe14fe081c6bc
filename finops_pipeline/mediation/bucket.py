"""Raw logs in a bucket: listing and fetching by way of S3, with every body verified and errors that say what to do."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from finops_pipeline import s3
from finops_pipeline.errors import SourceError
from finops_pipeline.mediation.checksums import mismatch
from finops_pipeline.mediation.direct import DirectGets, direct_gets
from finops_pipeline.mediation.objects import ObjectGoneError, ObjectRef, Transfers, Wanted, any_key
from finops_pipeline.mediation.plain_http import NotPlainError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef, ResponseMetadataTypeDef

BUSY = (429, 500, 502, 503, 504)
"""Answers by which a store asks for a pause."""

READ_BYTES = 1 << 20
"""Bytes of a file that are hashed at a time."""

_T = TypeVar("_T")


class _DamagedBodyError(ConnectionError):
    """A body that is not what the store says of it: damaged on the way, as far as anybody can tell."""


@dataclass(frozen=True)
class S3Store:
    """A bucket, or a prefix of one.

    Small objects are fetched directly once the SDK has fetched one (``direct.py``); whatever goes wrong with that is
    the SDK's to do again.
    """

    _source: str
    _bucket: str
    _prefix: str
    transfers: Transfers = field(default_factory=Transfers, compare=False, repr=False)

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
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix, **asked):  # type: ignore[arg-type]
                self._count_retries(page["ResponseMetadata"])
                yield page

    def _refs(self, pages: "Iterator[ListObjectsV2OutputTypeDef]", wanted: Wanted) -> Iterator[ObjectRef]:
        for page in pages:
            for entry in page.get("Contents", []):
                if wanted(key := entry["Key"][len(self._prefix) :]):
                    yield ObjectRef(key, entry["Size"], entry["ETag"].strip('"'), entry["LastModified"])

    @cached_property
    def _direct(self) -> DirectGets:
        return direct_gets(s3.settings(), self._bucket)

    def fetch(self, ref: ObjectRef) -> bytes:
        with self._explained(f"get {ref.key}"):
            body = self._directly(ref) if self._direct.ready else None
            if body is None:
                body = self._whole(lambda: self._get(ref), ref)
        self.transfers.add(gets=1, bytes=len(body))
        return body

    def _directly(self, ref: ObjectRef) -> bytes | None:
        """The body without the SDK; None where the SDK has to be asked."""
        try:
            return self._direct.get(self._prefix + ref.key)
        except NotPlainError as error:
            if error.status != 404:
                self.transfers.add(retries=1)
            if error.status in BUSY:
                s3.pause(0)
            return None

    def _get(self, ref: ObjectRef) -> bytes:
        key = self._prefix + ref.key
        answer = self._client.get_object(Bucket=self._bucket, Key=key)
        self._count_retries(answer["ResponseMetadata"])
        body = answer["Body"].read()
        if len(body) != answer["ContentLength"]:
            raise _DamagedBodyError(f"{len(body)} of {answer['ContentLength']} bytes have come")
        if difference := mismatch([body], answer["ResponseMetadata"]["HTTPHeaders"]):
            raise _DamagedBodyError(difference)
        self._direct.learn(s3.last_get(), key)
        return body

    def download(self, ref: ObjectRef, target: Path) -> None:
        def get() -> None:
            key = self._prefix + ref.key
            self._client.download_file(self._bucket, key, str(target))
            # The SDK fetches large objects in ranges, of which no checksum is known: the whole has one.
            answer = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
            with target.open("rb") as file:
                chunks = iter(lambda: file.read(READ_BYTES), b"")
                if difference := mismatch(chunks, answer["ResponseMetadata"]["HTTPHeaders"]):
                    raise _DamagedBodyError(difference)

        with self._explained(f"get {ref.key}"):
            self._whole(get, ref)
        self.transfers.add(gets=1, bytes=target.stat().st_size)

    def _whole(self, get: Callable[[], _T], ref: ObjectRef) -> _T:
        """``get()``, tried again while the body breaks off or is not what the store took in."""
        from botocore.exceptions import ClientError

        tries = itertools.count()

        def counted() -> _T:
            if next(tries):
                self.transfers.add(retries=1)
            return get()

        try:
            return s3.with_whole_body(counted)
        except ClientError as error:
            if s3.is_missing(error):
                raise ObjectGoneError(ref.key) from None
            raise

    def _count_retries(self, answer: "ResponseMetadataTypeDef") -> None:
        if repeated := answer.get("RetryAttempts", 0):
            self.transfers.add(retries=repeated)

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except s3.S3SettingsError as error:
            raise SourceError(f"source {self._source}: {error}") from error
        except s3.errors() as error:
            why = s3.explained(error, self._bucket, "the source's `uri`", "s3:ListBucket and s3:GetObject")
            raise SourceError(f"source {self._source}, {doing}: {why}") from error
