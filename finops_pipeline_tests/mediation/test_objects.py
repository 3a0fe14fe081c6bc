"""Listing and fetching: S3 behind boto3, with bodies fetched again and errors that say what to do."""

import datetime as dt
import json
import os
import socket
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from finops_pipeline import s3
from finops_pipeline.config.model import Config
from finops_pipeline.errors import SourceError
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.bucket import S3Store
from finops_pipeline.mediation.coverage import coverage
from finops_pipeline.mediation.objects import LocalStore, ObjectGoneError, ObjectRef, open_store
from finops_pipeline.schemas import USAGE

MakeConfig = Callable[..., Config]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(s3, "pause", lambda _attempt: None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server)
    resource = boto3.resource("s3", endpoint_url=server)
    made = resource.create_bucket(Bucket=f"logs-{abs(hash(request.node.name))}")
    yield made
    made.objects.all().delete()
    resource.meta.client.close()


def test_a_bucket_lists_and_fetches_below_its_prefix(bucket: Any, config: MakeConfig) -> None:
    for key in ("top.json", "raw/a/2026-10-05/x.json", "raw/a/2026-10-05/y.json", "raw/b/z.json", "rawer/no.json"):
        bucket.put_object(Key=key, Body=key.encode())
    source = config(uri=f"s3://{bucket.name}/raw").sources[0]
    store = open_store(config(), source)
    assert store.folders("") == ["a", "b"]
    assert [ref.key for ref in store.objects("a/2026-10-05/")] == ["a/2026-10-05/x.json", "a/2026-10-05/y.json"]
    ref = next(store.objects("b/"))
    assert (store.fetch(ref), ref.size) == (b"raw/b/z.json", 12)


def test_listings_are_complete_beyond_one_page(bucket: Any, config: MakeConfig) -> None:
    for n in range(1005):
        bucket.put_object(Key=f"{n}.json", Body=b"")
    store = open_store(config(), config(uri=f"s3://{bucket.name}").sources[0])
    assert len({ref.key for ref in store.objects("")}) == 1005


ODD_KEYS = [
    "a b", "a+b", "a%20b", "a//b", "ä/日本", "?x=1&y=2#z", "a=b;c,d:e@f$g", "~(a)!*'", '"quoted"', "&amp;<b>", "a\\b",
]  # fmt: skip


def test_odd_keys_are_fetched_with_the_sdk_and_without(
    bucket: Any, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ODD_KEYS:
        bucket.put_object(Key=f"raw dir/{key}", Body=key.encode())
    store = open_store(config(), config(uri=f"s3://{bucket.name}/raw dir/").sources[0])
    refs = list(store.objects(""))
    assert sorted(ref.key for ref in refs) == sorted(ODD_KEYS)
    assert store.fetch(refs[0]).decode() == refs[0].key  # by the SDK
    monkeypatch.setattr(S3Store, "_get", None)
    assert [store.fetch(ref).decode() for ref in refs] == [ref.key for ref in refs]


def test_what_has_come_is_counted(bucket: Any, config: MakeConfig, tmp_path: Path) -> None:
    for folder in (tmp_path / "raw", tmp_path / "copies"):
        folder.mkdir()
    for key, body in (("a", b"1"), ("b", b"22")):
        bucket.put_object(Key=key, Body=body)
        (tmp_path / "raw" / key).write_bytes(body)
    for store in (open_store(config(), config(uri=f"s3://{bucket.name}").sources[0]), LocalStore(tmp_path / "raw")):
        a, b = store.objects("")
        store.fetch(a)
        store.fetch(a)
        store.download(b, tmp_path / "copies" / type(store).__name__)
        assert (store.transfers.gets, store.transfers.bytes, store.transfers.retries) == (3, 4, 0)


def test_a_day_is_mediated_from_s3(
    bucket: Any, config: MakeConfig, mediate: Callable[..., Any], lake: Lake, record: Callable[..., dict[str, Any]]
) -> None:
    bucket.put_object(Key="p/date=2026-10-05/a.jsonl", Body=json.dumps(record("a")).encode())
    settings = config(uri=f"s3://{bucket.name}/p/")
    assert mediate(settings).outcomes["usage"] == 1
    assert lake.scan(USAGE).collect().get_column("raw_object").to_list() == ["date=2026-10-05/a.jsonl"]
    assert not mediate(settings).changed


def test_an_object_that_is_gone_says_so(bucket: Any, config: MakeConfig, tmp_path: Path) -> None:
    store = open_store(config(), config(uri=f"s3://{bucket.name}").sources[0])
    ref = ObjectRef("never/was.json", 1, "e", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    with pytest.raises(ObjectGoneError):
        store.fetch(ref)
    with pytest.raises(ObjectGoneError):
        store.download(ref, tmp_path / "target")
    with pytest.raises(ObjectGoneError):
        LocalStore(tmp_path).fetch(ref)


def test_a_wrong_bucket_is_one_clear_error(bucket: Any, config: MakeConfig) -> None:
    store = open_store(config(), config(uri="s3://no-such-bucket").sources[0])
    with pytest.raises(SourceError, match=r"source logs, list: there is no bucket no-such-bucket\. Check the"):
        list(store.objects(""))


def test_no_credentials_is_one_clear_error(server: str, config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    store = open_store(config(), config(uri="s3://bucket").sources[0])
    with pytest.raises(SourceError, match=r"no AWS credentials found\. Set AWS_PROFILE"):
        store.folders("")


def test_an_unknown_profile_is_one_clear_error(config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    store = open_store(config(), config(uri="s3://bucket").sources[0])
    with pytest.raises(SourceError, match=r"\(nobody\) could not be found. Check AWS_PROFILE"):
        store.folders("")


def test_an_endpoint_that_does_not_answer_is_one_clear_error(
    config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(s3, "REQUEST_TRIES", 1)
    store = open_store(config(), config(uri="s3://bucket").sources[0])
    with pytest.raises(SourceError, match="Check AWS_ENDPOINT_URL_S3, AWS_REGION and the network"):
        store.folders("")


def test_an_endpoint_without_a_scheme_is_one_clear_error(config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "127.0.0.1:1")
    store = open_store(config(), config(uri="s3://bucket").sources[0])
    with pytest.raises(SourceError, match="AWS_ENDPOINT_URL_S3 needs a full address"):
        store.folders("")


@pytest.fixture
def breaking() -> Iterator[tuple[str, list[int]]]:
    """An endpoint whose bodies break off: (url, how many bytes each answer leaves out, in turn)."""
    short: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"0123456789"
            left_out = short.pop(0) if short else 0
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"e"')
            self.end_headers()
            self.wfile.write(body[: len(body) - left_out])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}", short
    http.shutdown()
    thread.join()
    http.server_close()


REF = ObjectRef("key", 10, "e", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


def test_a_body_that_breaks_off_is_fetched_again(
    breaking: tuple[str, list[int]], config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, short = breaking
    short += [3, 10]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    assert open_store(config(), config(uri="s3://bucket").sources[0]).fetch(REF) == b"0123456789"
    assert short == []


def test_a_body_that_always_breaks_off_is_one_clear_error(
    breaking: tuple[str, list[int]], config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, short = breaking
    short += [3] * 100
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    with pytest.raises(SourceError, match="source logs, get key: "):
        open_store(config(), config(uri="s3://bucket").sources[0]).fetch(REF)
    assert len(short) == 100 - s3.BODY_TRIES


def test_coverage_counts_each_object_once_and_tells_its_days(config: MakeConfig, put: Callable[..., Path]) -> None:
    for key in ("2026-10-05/time-01-00-00-000000_a.json", "search/2026-10-07/time-01-00-00-000000_b.json"):
        put(key, [{}])
    put("search/readme.txt", b"no log")
    found = coverage(config(format="litellm"), config(format="litellm").sources[0])
    assert (found.objects, found.complete, found.undated) == (2, True, 0)
    assert (found.first_day, found.last_day) == (dt.date(2026, 10, 5), dt.date(2026, 10, 7))


def test_coverage_of_an_empty_source_is_nothing(config: MakeConfig) -> None:
    found = coverage(config(), config().sources[0])
    assert (found.objects, found.first_day, found.newest) == (0, None, None)


def test_touching_a_local_file_changes_no_tag(config: MakeConfig, put: Callable[..., Path]) -> None:
    file = put("a.jsonl", [{}])
    store = open_store(config(), config().sources[0])
    before = next(store.objects("")).etag
    os.utime(file, (1, 1))
    assert next(store.objects("")).etag == before
    file.write_bytes(b"other")
    assert next(store.objects("")).etag != before


@given(
    body=st.binary(min_size=1, max_size=200), at=st.integers(0, 199), other=st.integers(1, 255), times=st.integers(1, 3)
)
def test_one_other_byte_makes_another_tag(body: bytes, at: int, other: int, times: int) -> None:
    changed = bytearray(body * times)
    changed[at % len(changed)] ^= other
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a").write_bytes(body * times)
        (Path(folder) / "b").write_bytes(changed)
        tags = [ref.etag for ref in LocalStore(Path(folder)).objects("")]
    assert len(set(tags)) == 2
    assert tags[0] == f"{zlib.crc32(body * times):08x}"


def test_files_directly_in_a_folder_are_listed_apart(bucket: Any, config: MakeConfig, tmp_path: Path) -> None:
    keys = ["top.json", "a/x.json", "a/y.txt", "a/b/deep.json", "ab/other.json"]
    for key in keys:
        bucket.put_object(Key=f"raw/{key}", Body=b"1")
        (tmp_path / "raw" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / key).write_bytes(b"1")
    for store in (
        open_store(config(), config(uri=f"s3://{bucket.name}/raw").sources[0]),
        LocalStore(tmp_path / "raw"),
    ):
        assert [ref.key for ref in store.files("")] == ["top.json"]
        assert [ref.key for ref in store.files("a/")] == ["a/x.json", "a/y.txt"]
        assert [ref.key for ref in store.files("a/", lambda key: key.endswith(".json"))] == ["a/x.json"]
        assert sorted(ref.key for ref in store.objects("a", lambda key: key.endswith(".json"))) == [
            "a/b/deep.json", "a/x.json", "ab/other.json",
        ]  # fmt: skip
        assert store.folders("") == ["a", "ab"]
        assert store.folders("no/such/") == []
        assert list(store.files("no/such/")) == []


def test_what_is_no_regular_file_is_no_object(tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").write_bytes(b"{}")
    (tmp_path / "linked.jsonl").symlink_to("real.jsonl")
    (tmp_path / "dangling.jsonl").symlink_to("nowhere.jsonl")
    (tmp_path / "circle.jsonl").symlink_to("circle.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    store = LocalStore(tmp_path)
    assert sorted(ref.key for ref in store.objects("")) == ["linked.jsonl", "real.jsonl"]
    assert sorted(ref.key for ref in store.files("")) == ["linked.jsonl", "real.jsonl"]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "date=2026-10-05").mkdir()
    (tmp_path / "date=2026-10-05/a.jsonl").write_bytes(b"{}")
    (tmp_path / "loop").symlink_to(".")
    store = LocalStore(tmp_path)
    assert store.folders("") == ["date=2026-10-05"]
    assert store.folders("loop/") == []
    assert [ref.key for ref in store.objects("")] == ["date=2026-10-05/a.jsonl"]
    assert list(store.objects("loop/date=2026-10-05/")) == []


def test_a_source_that_is_a_link_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.jsonl").write_bytes(b"{}")
    (tmp_path / "link").symlink_to("real")
    assert [ref.key for ref in LocalStore(tmp_path / "link").objects("")] == ["a.jsonl"]


def test_a_file_that_vanishes_while_listing_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # two are looked at ahead
    for name in "abcdefg":
        (tmp_path / name).write_bytes(b"{}")
    listed = LocalStore(tmp_path).objects("")
    found = [next(listed).key]
    (tmp_path / "f").unlink()
    assert found + [ref.key for ref in listed] == [*"abcdeg"]


def test_a_name_that_is_not_utf8_is_one_clear_error(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/2026-10-05-\xff.jsonl", "wb"):  # noqa: PTH123 (Path takes no bytes)
        pass
    with pytest.raises(SourceError, match=r"the name b'2026-10-05-\\xff.jsonl' is not UTF-8.* Rename it"):
        list(LocalStore(tmp_path).objects(""))


def test_what_may_not_be_read_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    (tmp_path / "a.jsonl").write_bytes(b"{}")
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refuse)
        with pytest.raises(SourceError, match="no permission to read this file"):
            list(LocalStore(tmp_path).objects(""))
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceError, match="no permission to list this folder"):
        list(LocalStore(tmp_path).objects(""))


def test_large_files_are_copied_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n" * 1000)
    store = LocalStore(tmp_path)
    ref = next(store.objects(""))
    monkeypatch.setattr(Path, "read_bytes", None)
    store.download(ref, tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_size == ref.size == 3000


def test_a_local_file_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(ObjectGoneError):
        LocalStore(tmp_path).download(REF, tmp_path / "target")
