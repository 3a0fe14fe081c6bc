"""The demo's raw logs: what objects there are, and the writing of them into a bucket, once.

`generate` is deterministic and knows nothing of S3; `write_logs` puts its objects into a bucket and keeps the manifest
beside them.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from finops_pipeline.demo.bedrock_logs import BedrockLogs
from finops_pipeline.demo.company import UNPRICED_MODEL
from finops_pipeline.demo.litellm_logs import LitellmLogs
from finops_pipeline.demo.manifest import MANIFEST_KEY, MANIFEST_VERSION, Manifest
from finops_pipeline.demo.record_logs import RecordLogs
from finops_pipeline.demo.traffic import DAYS, FIRST_DAY, LAST_DAY
from finops_pipeline.errors import FinopsError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

THREADS = 8
"""Puts at a time: more gain nothing, since boto3 is bound by the interpreter's lock."""

DELETE_BATCH = 1_000
"""The most keys that S3 deletes in one request."""

Progress = Callable[[int, int], None]
"""Called with the days done and the days in all."""


class SampleLogs:
    """One run of the generators. `manifest` is whole when `days` has been read to its end."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale
        self._writers = (BedrockLogs(scale), LitellmLogs(scale), RecordLogs(scale))

    def days(self) -> Iterator[tuple[dt.date, Iterator[tuple[str, bytes]]]]:
        """Each UTC day with the keys and bodies of its objects; read a day's objects before asking for the next."""
        for day in DAYS:
            yield day, ((f"{w.prefix}/{key}", body) for w in self._writers for key, body in w.day(day))

    @property
    def manifest(self) -> Manifest:
        return Manifest(
            version=MANIFEST_VERSION,
            scale=self._scale,
            complete=True,
            first_day=FIRST_DAY,
            last_day=LAST_DAY,
            unpriced_model=UNPRICED_MODEL,
            deliveries={w.tally.source: w.tally.delivery for w in self._writers},
            cells=[cell for w in self._writers for cell in w.tally.cells()],
        )


def generate(scale: float = 1.0) -> Iterator[tuple[str, bytes]]:
    """Keys and bodies of all sample objects, one at a time: about 200,000 calls × ``scale``."""
    for _, objects in SampleLogs(scale).days():
        yield from objects


def write_logs(client: "S3Client", bucket: str, on_progress: Progress | None = None, *, scale: float = 1.0) -> Manifest:
    """Put the sample logs into a bucket, and return what they hold.

    Nothing is written where the same version of them lies already; what an older version or a broken-off run has left
    is deleted first.

    Raises:
        FinopsError: the bucket holds objects that are not the demo's, or S3 refuses.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return _write(client, bucket, on_progress or (lambda done, total: None), scale)
    except (BotoCoreError, ClientError) as error:
        raise FinopsError(
            f"The sample logs cannot be written to the bucket {bucket} at {client.meta.endpoint_url}: {error}"
        ) from error


def _write(client: "S3Client", bucket: str, on_progress: Progress, scale: float) -> Manifest:
    present = _present(client, bucket)
    if present is not None and (present.complete, present.version, present.scale) == (True, MANIFEST_VERSION, scale):
        return present
    logs = SampleLogs(scale)
    unfinished = Manifest(MANIFEST_VERSION, scale, False, FIRST_DAY, LAST_DAY, UNPRICED_MODEL)
    client.put_object(Bucket=bucket, Key=MANIFEST_KEY, Body=unfinished.to_json())
    if present is not None:
        _clear(client, bucket)
    with ThreadPoolExecutor(THREADS) as pool:
        under_way: list[Future[Any]] = []
        for done, (_, objects) in enumerate(logs.days(), 1):
            # A day is made while the one before it is on its way; no more than the two are held in memory.
            made = [pool.submit(client.put_object, Bucket=bucket, Key=key, Body=body) for key, body in objects]
            _wait(under_way)
            under_way = made
            on_progress(done, len(DAYS))
        _wait(under_way)
    manifest = logs.manifest
    client.put_object(Bucket=bucket, Key=MANIFEST_KEY, Body=manifest.to_json())
    return manifest


def read_manifest(client: "S3Client", bucket: str) -> Manifest | None:
    """The manifest in a bucket; None where there is none that this version understands."""
    from botocore.exceptions import ClientError

    try:
        return Manifest.from_json(client.get_object(Bucket=bucket, Key=MANIFEST_KEY)["Body"].read())
    except ValueError:
        return None
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
            return None
        raise


def _present(client: "S3Client", bucket: str) -> Manifest | None:
    """The manifest that is there, whatever its state; the bucket is made where it is missing."""
    if bucket not in {b.get("Name") for b in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=bucket)
        return None
    manifest = read_manifest(client, bucket)
    if manifest is None and client.list_objects_v2(Bucket=bucket, MaxKeys=1).get("KeyCount"):
        raise FinopsError(
            f"The bucket {bucket} holds objects but no {MANIFEST_KEY}, so they are not the demo's. Use an empty bucket."
        )
    return manifest


def _clear(client: "S3Client", bucket: str) -> None:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [o["Key"] for page in pages for o in page.get("Contents", ()) if o["Key"] != MANIFEST_KEY]
    for start in range(0, len(keys), DELETE_BATCH):
        batch = keys[start : start + DELETE_BATCH]
        client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True})


def _wait(puts: list[Future[Any]]) -> None:
    for put in puts:
        put.result()
