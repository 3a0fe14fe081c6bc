"""Where raw logs lie: listing and fetching objects of an S3 bucket or a local folder.

Keys are relative to the source's uri. What a key means (dates, hours) is the layout's business, what the bytes mean
the reader's.
"""

import contextlib
import datetime as dt
import hashlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from finops_pipeline.config.model import Config, Source
from finops_pipeline.errors import SourceError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECTIONS = 16
"""Parallel connections to one endpoint; boto3 is bound by the interpreter's lock beyond about eight threads."""

REQUEST_TRIES = 5
"""boto3's standard mode: throttling, 5xx and connections that fail are tried again with backoff."""

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


class ObjectStore(Protocol):
    """What mediation asks of a place where objects lie. Equal stores are the same place."""

    def __hash__(self) -> int: ...

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below ``prefix`` (empty, or with a slash at its end), sorted."""

    def objects(self, prefix: str) -> Iterator[ObjectRef]:
        """Every object whose key starts with ``prefix``, at any depth."""

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
    """A folder of files. The content tag is a hash of the bytes, so that touching a file changes nothing."""

    _folder: Path

    def folders(self, prefix: str) -> list[str]:
        place = self._folder / prefix
        if not place.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(place) if entry.is_dir())

    def objects(self, prefix: str) -> Iterator[ObjectRef]:
        start = prefix.rpartition("/")[0]
        for folder, _, names in os.walk(self._folder / start):
            for name in sorted(names):
                file = Path(folder, name)
                key = file.relative_to(self._folder).as_posix()
                if key.startswith(prefix):
                    yield self._ref(file, key)

    def _ref(self, file: Path, key: str) -> ObjectRef:
        with file.open("rb") as handle:
            etag = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            status = os.fstat(handle.fileno())
        return ObjectRef(key, status.st_size, etag, dt.datetime.fromtimestamp(status.st_mtime, dt.UTC))

    def fetch(self, ref: ObjectRef) -> bytes:
        try:
            return (self._folder / ref.key).read_bytes()
        except FileNotFoundError:
            raise ObjectGoneError(ref.key) from None

    def download(self, ref: ObjectRef, target: Path) -> None:
        target.write_bytes(self.fetch(ref))


@dataclass(frozen=True)
class S3Store:
    """A bucket, or a prefix of one, behind boto3 with its checksums and standard retries."""

    _source: str
    _bucket: str
    _prefix: str

    @property
    def _client(self) -> "S3Client":
        return _client(os.getpid(), tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_"))))

    def folders(self, prefix: str) -> list[str]:
        start = self._prefix + prefix
        names = []
        with self._explained("list"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=start, Delimiter="/"
            )
            for page in pages:
                names += [entry["Prefix"][len(start) :].rstrip("/") for entry in page.get("CommonPrefixes", [])]
        return sorted(names)

    def objects(self, prefix: str) -> Iterator[ObjectRef]:
        with self._explained("list"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    yield ObjectRef(
                        key=entry["Key"][len(self._prefix) :],
                        size=entry["Size"],
                        etag=entry["ETag"].strip('"'),
                        modified=entry["LastModified"],
                    )

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
                    if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404", "NotFound"):
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
        except (BotoCoreError, Boto3Error, ClientError, HTTPError, ConnectionError) as error:
            raise SourceError(f"source {self._source}, {doing}: {_reason(error, self._bucket)}") from error


def _reason(error: Exception, bucket: str) -> str:
    """What went wrong, and what to do about it."""
    from botocore import exceptions

    code = error.response.get("Error", {}).get("Code", "") if isinstance(error, exceptions.ClientError) else ""
    match error, code:
        case ((exceptions.NoCredentialsError() | exceptions.PartialCredentialsError()), _):
            return (
                "no AWS credentials found. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or run where an instance or task role provides them."
            )
        case exceptions.ProfileNotFound(), _:
            return f"{error}. Check AWS_PROFILE and ~/.aws/config."
        case ((exceptions.EndpointConnectionError() | exceptions.ConnectTimeoutError()), _):
            return f"{error} Check AWS_ENDPOINT_URL_S3, AWS_REGION and the network."
        case _, "NoSuchBucket":
            return f"there is no bucket {bucket}. Check the source's `uri` in finops.yaml, and AWS_REGION."
        case _, ("AccessDenied" | "403" | "AllAccessDisabled"):
            return f"access to bucket {bucket} is denied. The credentials need s3:ListBucket and s3:GetObject on it."
        case _, ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken"):
            return f"the AWS credentials are not valid ({code}). Renew them, or check AWS_PROFILE."
        case _, ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "301"):
            return f"bucket {bucket} lies in another region. Set AWS_REGION to its region."
    return f"{error}"


@lru_cache(maxsize=4)
def _client(_pid: int, _environment: tuple[tuple[str, str], ...]) -> "S3Client":
    """One client a process and AWS environment: clients are thread-safe and keep their connections."""
    import boto3
    from botocore.config import Config as BotoConfig

    return boto3.session.Session().client(
        "s3",
        config=BotoConfig(
            retries={"mode": "standard", "total_max_attempts": REQUEST_TRIES},
            max_pool_connections=CONNECTIONS,
            connect_timeout=10,
            read_timeout=60,
        ),
    )
