"""Writing the sample logs into a real S3 server: whole, once, and never over somebody else's objects."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from finops_pipeline.demo.logs import generate, read_manifest, write_logs
from finops_pipeline.demo.manifest import MANIFEST_KEY, Manifest
from finops_pipeline.demo.server import S3Server
from finops_pipeline.errors import FinopsError

SCALE = 0.002


def keys(client: Any, bucket: str) -> set[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {o["Key"] for page in pages for o in page.get("Contents", ())}


def test_objects_and_manifest_arrive_whole(server: S3Server) -> None:
    client, days = server.client(), []
    manifest = write_logs(client, "whole", lambda done, total: days.append((done, total)), scale=SCALE)
    objects = dict(generate(SCALE))
    assert keys(client, "whole") == {*objects, MANIFEST_KEY}
    assert manifest.objects == len(objects)
    assert manifest == read_manifest(client, "whole")
    assert days == [(n, 61) for n in range(1, 62)]
    for key in list(objects)[::50]:
        assert client.get_object(Bucket="whole", Key=key)["Body"].read() == objects[key]


def test_second_write_puts_nothing(server: S3Server) -> None:
    client, days = server.client(), []
    first = write_logs(client, "twice", scale=SCALE)
    client.delete_object(Bucket="twice", Key=next(iter(generate(SCALE)))[0])  # would come back with a second write
    before = keys(client, "twice")
    assert write_logs(client, "twice", lambda done, total: days.append(done), scale=SCALE) == first
    assert keys(client, "twice") == before
    assert days == []


@pytest.mark.parametrize("change", [{"complete": False}, {"version": 0}, {"scale": 0.5}])
def test_broken_off_or_older_logs_are_replaced(server: S3Server, change: dict[str, object]) -> None:
    client, bucket = server.client(), f"older-{next(iter(change))}"
    manifest = write_logs(client, bucket, scale=SCALE)
    for name, value in change.items():
        setattr(manifest, name, value)
    client.put_object(Bucket=bucket, Key=MANIFEST_KEY, Body=manifest.to_json())
    client.put_object(Bucket=bucket, Key="internal/date=2026-09-01/part-9.jsonl", Body=b"{}")
    write_logs(client, bucket, scale=SCALE)
    assert keys(client, bucket) == {MANIFEST_KEY, *(key for key, _ in generate(SCALE))}


@pytest.mark.parametrize("manifest", [None, b"not the demo's"])
def test_bucket_with_other_objects_is_left_alone(server: S3Server, manifest: bytes | None) -> None:
    client, bucket = server.client(), f"others-{manifest is None}".lower()
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="precious", Body=b"kept")
    if manifest is not None:
        client.put_object(Bucket=bucket, Key=MANIFEST_KEY, Body=manifest)
    before = keys(client, bucket)
    with pytest.raises(FinopsError, match="empty bucket"):
        write_logs(client, bucket, scale=SCALE)
    assert keys(client, bucket) == before


def test_refusal_of_s3_is_one_error_and_leaves_the_logs_incomplete(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = server.client()
    put = client.put_object

    def refuse(**request: object) -> object:
        if str(request["Key"]).startswith("internal/date=2026-10-01"):
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "no"}}, "PutObject")
        return put(**request)

    monkeypatch.setattr(client, "put_object", refuse)
    with pytest.raises(FinopsError, match=r"refusing.*SlowDown"):
        write_logs(client, "refusing", scale=SCALE)
    left = read_manifest(client, "refusing")
    assert isinstance(left, Manifest)
    assert not left.complete


def test_no_manifest_in_an_absent_bucket(server: S3Server) -> None:
    assert read_manifest(server.client(), "absent") is None
