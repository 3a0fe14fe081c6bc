"""What is S3's own: copies, content types, answers that are lost or damaged, and errors that say what to do."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from finops_pipeline import s3
from finops_pipeline.demo.server import S3Server
from finops_pipeline.errors import LakeError, LeaseHeldError
from finops_pipeline.storage import Stored, bucket, open_storage
from finops_pipeline.storage.bucket import BucketStorage

Head = dict[str, Any]


PARTS = 3 * bucket.PART_BYTES + 5
"""Bytes of a file that goes up in four parts."""


@pytest.fixture
def storage(s3_uri: str) -> BucketStorage:
    found = open_storage(s3_uri)
    assert isinstance(found, BucketStorage)
    return found


@pytest.fixture
def requests(storage: BucketStorage) -> Iterator[list[str]]:
    """The operations that the client is asked for, as they come."""
    asked: list[str] = []
    events = storage._client.meta.events
    events.register("before-call.s3", lambda model, **_: asked.append(model.name), unique_id="asked")
    yield asked
    events.unregister("before-call.s3", unique_id="asked")


def publish(storage: BucketStorage, name: str, content: bytes) -> None:
    with storage.staged() as staged:
        staged.write_bytes(content)
        storage.publish(staged, name)


def head(s3_server: S3Server, storage: BucketStorage, name: str) -> Head:
    bucket, _, key = storage.place(name).removeprefix("s3://").partition("/")
    answer: Head = s3_server.client().head_object(Bucket=bucket, Key=key)
    return answer


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("reports/index.html", "text/html; charset=utf-8"),
        ("reports/lines.csv", "text/csv; charset=utf-8"),
        ("reports/a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("deliveries/key.json", "application/json"),
        ("reports/chart.svg", "image/svg+xml"),
        ("unknown", "application/octet-stream"),
    ],
)
def test_browsers_are_told_what_a_file_is(
    s3_server: S3Server, storage: BucketStorage, name: str, content_type: str
) -> None:
    storage.write(name, b"x")
    assert head(s3_server, storage, name)["ContentType"] == content_type


def test_what_was_written_here_is_not_fetched_again(storage: BucketStorage, requests: list[str]) -> None:
    with storage.staged() as staged:
        staged.write_bytes(b"rows")
        storage.publish(staged, "t/p")
    assert requests == ["PutObject"]
    (file,) = storage.files("t/")
    assert storage.fetch(file).read_bytes() == b"rows"
    assert requests[1:] == ["ListObjectsV2"]


def test_a_file_is_fetched_once_a_version(storage: BucketStorage, requests: list[str]) -> None:
    storage.write("t/p", b"rows")
    (file,) = storage.files("t/")
    assert [storage.fetch(file).read_bytes() for _ in range(3)] == [b"rows"] * 3
    assert requests == ["PutObject", "ListObjectsV2", "GetObject"]


def test_a_large_file_goes_up_in_parts_and_comes_back_whole(storage: BucketStorage, requests: list[str]) -> None:
    content = os.urandom(PARTS)
    publish(storage, "t/p", content)
    assert requests.count("UploadPart") == 4
    assert storage.fetch(Stored("t/p")).read_bytes() == content


def test_an_upload_that_fails_leaves_no_parts_to_pay_for(
    s3_server: S3Server, storage: BucketStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        answer = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(answer, "UploadPart")  # type: ignore[arg-type]

    monkeypatch.setattr(storage._client, "upload_part", refuse)
    with pytest.raises(LakeError, match="access to bucket lake-of-tests is denied"):
        publish(storage, "t/p", bytes(PARTS))
    assert storage.files("") == []
    unfinished = s3_server.client().list_multipart_uploads(Bucket=storage._bucket).get("Uploads", [])
    assert [upload["Key"] for upload in unfinished if upload["Key"].startswith(storage._prefix)] == []


@pytest.mark.parametrize("size", [4, PARTS], ids=["at once", "in parts"])
def test_a_run_that_is_held_up_while_it_writes_writes_over_nothing_newer(
    storage: BucketStorage, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Between the last look at its lease and its write the run stands still, and another one takes over and writes."""
    publish(storage, "t/p", b"old")

    def held_up(params: dict[str, Any], **_: Any) -> None:
        events.unregister(event, held_up)
        storage._client.put_object(Bucket=params["Bucket"], Key=params["Key"], Body=b"newer")

    events = storage._client.meta.events
    event = f"before-parameter-build.s3.{'PutObject' if size == 4 else 'CompleteMultipartUpload'}"
    with storage.lease("t"):
        events.register(event, held_up)
        with pytest.raises(LeaseHeldError, match=r"t/p was taken over by another run"):
            publish(storage, "t/p", bytes(size))
        found = storage.read("t/p")
        assert found is not None
        assert found.content == b"newer"
        publish(storage, "t/p", b"newest")
        events.register("before-parameter-build.s3.PutObject", held_up)
        event = "before-parameter-build.s3.PutObject"
        with pytest.raises(LeaseHeldError):
            storage.write("t/new", b"ours")


def test_an_upload_whose_answer_was_lost_is_there(storage: BucketStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = storage._client.complete_multipart_upload

    def twice(**asked: Any) -> Any:
        complete(**asked)
        return complete(**asked)

    monkeypatch.setattr(storage._client, "complete_multipart_upload", twice)
    with storage.lease("t"):
        publish(storage, "t/p", bytes(PARTS))
    assert storage.fetch(Stored("t/p")).stat().st_size == PARTS


def test_a_file_that_vanished_is_named(storage: BucketStorage) -> None:
    with pytest.raises(LakeError, match=r"t/p: it was deleted while this run was at work"):
        storage.fetch(Stored("t/p", "0" * 32))


def test_a_newer_file_than_the_listed_one_is_kept_as_what_it_is(storage: BucketStorage) -> None:
    storage.write("t/p", b"old")
    (old,) = storage.files("t/")
    storage.write("t/p", b"new")
    assert storage.fetch(old).read_bytes() == b"new"
    storage.write("t/p", b"old")
    assert storage.fetch(old).read_bytes() == b"old"


def test_a_create_whose_answer_was_lost_has_created(storage: BucketStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 sends it again, and the server refuses what is there by then: the same write's own object."""
    put = storage._client.put_object
    sent: list[int] = []

    def twice(**asked: Any) -> Any:
        sent.append(1)
        put(**asked)
        return put(**asked)

    monkeypatch.setattr(storage._client, "put_object", twice)
    version = storage.create("f/a", b"mine")
    assert version is not None
    replaced = storage.replace("f/a", b"mine too", version)
    assert replaced is not None
    assert storage.read("f/a") == (b"mine too", replaced)
    assert storage.create("f/a", b"mine too") is None, "another write of the same words"
    assert len(sent) == 3


def test_conditional_writes_that_meet_are_tried_again(storage: BucketStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    put = storage._client.put_object
    conflicts = [409, 409]

    def meets_another(**asked: Any) -> Any:
        if conflicts:
            status = conflicts.pop()
            answer = {"Error": {"Code": "ConditionalRequestConflict"}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(answer, "PutObject")  # type: ignore[arg-type]
        return put(**asked)

    monkeypatch.setattr(storage._client, "put_object", meets_another)
    monkeypatch.setattr(s3, "pause", lambda attempt: None)
    assert storage.create("f/a", b"mine") is not None


def test_a_body_that_breaks_off_is_fetched_again(storage: BucketStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write("t/p", b"0123456789")
    get, broken = storage._client.get_object, [True, True]

    def breaks_off(**asked: Any) -> Any:
        answer = get(**asked)
        if broken and broken.pop():
            answer["ContentLength"] = 99
        return answer

    monkeypatch.setattr(storage._client, "get_object", breaks_off)
    monkeypatch.setattr(s3, "pause", lambda attempt: None)
    found = storage.read("t/p")
    assert found is not None
    assert found.content == b"0123456789"
    broken += [True, True]
    assert storage.fetch(Stored("t/p")).read_bytes() == b"0123456789"
    broken += [True] * 9
    with pytest.raises(LakeError, match="10 of 99 bytes"):
        storage.read("t/p")


@pytest.mark.parametrize(
    ("ignored", "said"),
    [
        ({"IfNoneMatch"}, "does not heed If-None-Match, so"),
        ({"IfMatch"}, "does not heed If-Match, so"),
        ({"IfMatch", "IfNoneMatch"}, "does not heed If-None-Match and If-Match, so"),
    ],
)
def test_a_server_without_conditional_writes_is_refused(
    storage: BucketStorage, monkeypatch: pytest.MonkeyPatch, ignored: set[str], said: str
) -> None:
    put = storage._client.put_object

    def heedless(**asked: Any) -> Any:
        return put(**{name: value for name, value in asked.items() if name not in ignored})

    monkeypatch.setattr(storage._client, "put_object", heedless)
    with pytest.raises(LakeError, match=said):
        storage.check_writable()
    assert storage.files("") == []


def test_a_server_with_conditional_writes_is_left_as_it_was(storage: BucketStorage) -> None:
    storage.check_writable()
    assert storage.files("") == []


# -- errors -----------------------------------------------------------------------------------------------------------


def failures(storage: BucketStorage, tmp_path: Path) -> dict[str, str]:
    """What each way to use the storage fails of."""
    staged = tmp_path / "staged"
    staged.write_bytes(b"x")
    told = {}
    for name, use in {
        "files": lambda: storage.files("t/"),
        "folders": lambda: storage.folders("t/"),
        "read": lambda: storage.read("t/p"),
        "tail": lambda: storage.tail("t/p", 9),
        "fetch": lambda: storage.fetch(Stored("t/p")),
        "write": lambda: storage.write("t/p", b"x"),
        "create": lambda: storage.create("t/p", b"x"),
        "publish": lambda: storage.publish(staged, "t/p"),
        "check_reachable": storage.check_reachable,
        "check_writable": storage.check_writable,
    }.items():
        with pytest.raises(LakeError) as caught:
            use()
        told[name] = str(caught.value)
    return told


def test_a_bucket_that_is_not_there_is_named(s3_uri: str) -> None:
    """Asked by reading alone: the server of the tests makes a bucket for whoever writes."""
    storage = open_storage("s3://no-such-bucket/lake")
    with pytest.raises(LakeError, match=r"^s3://no-such-bucket/lake/t/: there is no bucket no-such-bucket\."):
        storage.files("t/")
    for look in (lambda: storage.read("t/p"), lambda: storage.fetch(Stored("t/p")), lambda: storage.tail("t/p", 9)):
        with pytest.raises(LakeError, match=r"t/p: there is no bucket no-such-bucket\. Check `lake` in finops\.yaml"):
            look()
    for check in (storage.check_reachable, storage.check_writable):
        with pytest.raises(LakeError, match=r"^s3://no-such-bucket/lake: there is no bucket no-such-bucket\."):
            check()


def test_credentials_that_are_wrong_are_told_without_their_secret(
    storage: BucketStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    for use, text in failures(storage, tmp_path).items():
        assert "credentials" in text, use
        assert "very-secret" not in text


def test_a_server_that_is_away_is_told(storage: BucketStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setattr(s3, "REQUEST_TRIES", 1)
        monkeypatch.setattr(s3, "pause", lambda attempt: None)
        with pytest.raises(LakeError, match=r"no connection to http://127\.0\.0\.1:\d+\. Check AWS_ENDPOINT_URL_S3"):
            storage.files("t/")
        with pytest.raises(LakeError, match="Check AWS_ENDPOINT_URL_S3"):
            storage.check_writable()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredToken", r"the AWS credentials are not valid \(ExpiredToken\)\. Renew them"),
        ("RequestTimeTooSkewed", "the clock of this machine is off"),
        ("PermanentRedirect", "lies in another region. Set AWS_REGION"),
        ("SlowDown", "run again later"),
    ],
)
def test_what_the_store_refuses_is_told_with_the_way_out(
    storage: BucketStorage, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "GetObject")  # type: ignore[typeddict-item]

    monkeypatch.setattr(storage._client, "get_object", refuse)
    with pytest.raises(LakeError, match=f"^{storage.place('t/p')}: .*{said}"):
        storage.read("t/p")


def test_settings_that_are_none_are_told(storage: BucketStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "localhost:9000")
    for _ in range(2):
        with pytest.raises(LakeError, match="AWS_ENDPOINT_URL_S3 needs a full address"):
            storage.files("t/")


def test_the_error_of_a_refused_write_names_the_rights_it_needs(
    storage: BucketStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        answer = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(answer, "PutObject")  # type: ignore[arg-type]

    monkeypatch.setattr(storage._client, "put_object", refuse)
    with pytest.raises(LakeError, match="s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"):
        storage.create("f/a", b"")


DIES_WHILE_UPLOADING = """
import os, sys
from finops_pipeline.storage import open_storage
storage = open_storage(sys.argv[1])
parts = []
def die(**_):
    parts.append(1)
    if len(parts) == 2:
        os._exit(9)
storage._client.meta.events.register("before-call.s3.UploadPart", die)
with storage.staged() as staged:
    staged.write_bytes(bytes(40_000_000))
    storage.publish(staged, "t/p")
"""


def test_a_process_that_dies_while_uploading_leaves_what_was_there(storage: BucketStorage) -> None:
    storage.write("t/p", b"before")
    died = subprocess.run([sys.executable, "-c", DIES_WHILE_UPLOADING, storage.root], check=False)
    assert died.returncode == 9
    found = storage.read("t/p")
    assert found is not None
    assert found.content == b"before"
    assert [file.name for file in storage.files("")] == ["t/p"]
