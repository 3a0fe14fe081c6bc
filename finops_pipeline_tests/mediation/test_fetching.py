"""Bodies of many objects: in order, within bounds, and right whatever happens on the way."""

import contextlib
import datetime as dt
import http.client
import itertools
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_pipeline import s3
from finops_pipeline.config.model import Config
from finops_pipeline.demo.server import S3Server
from finops_pipeline.errors import SourceError
from finops_pipeline.mediation import fetching
from finops_pipeline.mediation.bucket import S3Store
from finops_pipeline.mediation.direct import direct_gets
from finops_pipeline.mediation.fetching import bodies
from finops_pipeline.mediation.objects import ObjectGoneError, ObjectRef, ObjectStore, Transfers, open_store

MakeConfig = Callable[..., Config]


def ref(key: str, size: int = 2) -> ObjectRef:
    return ObjectRef(key, size, "e", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


class Shelf:
    """A store in memory: the body of an object is its key, and those that have gone are named."""

    def __init__(self, *gone: str) -> None:
        self.gone, self.fetched, self.transfers = gone, 0, Transfers()
        self._lock = threading.Lock()

    def fetch(self, ref: ObjectRef) -> bytes:
        with self._lock:
            self.fetched += 1
        if ref.key in self.gone:
            raise ObjectGoneError(ref.key)
        if ref.key == "refused":
            raise SourceError("access is denied")
        return ref.key.encode()

    def download(self, ref: ObjectRef, target: Path) -> None:
        target.write_bytes(self.fetch(ref))

    folders = objects = files = None  # what fetching has no use for


def read(store: Any, refs: Any, folder: Path) -> list[tuple[int, bytes | None]]:
    found = []
    for i, body in bodies(store, refs, folder):
        if body is None:
            found.append((i, None))
        else:
            with body:
                found.append((i, body.read()))
    return found


def test_small_objects_come_in_order_and_large_ones_after_them(tmp_path: Path) -> None:
    refs = [ref("a"), ref("large", fetching.SMALL + 1), ref("b"), ref("too", fetching.SMALL + 1), ref("c")]
    found = read(Shelf(), refs, tmp_path)
    assert found == [(0, b"a"), (2, b"b"), (4, b"c"), (1, b"large"), (3, b"too")]
    assert list(tmp_path.iterdir()) == []


def test_what_has_vanished_is_told_and_the_rest_comes(tmp_path: Path) -> None:
    refs = [ref("a"), ref("b"), ref("c"), ref("d", fetching.SMALL + 1), ref("e", fetching.SMALL + 1)]
    found = read(Shelf("b", "d"), refs, tmp_path)
    assert found == [(0, b"a"), (1, None), (2, b"c"), (3, None), (4, b"e")]
    assert list(tmp_path.iterdir()) == []


@given(sizes=st.lists(st.sampled_from([0, 1, 5000, 300_000, fetching.SMALL, fetching.SMALL + 1]), max_size=80))
@settings(max_examples=30, deadline=None)
def test_every_object_comes_once(sizes: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    refs = [ref(f"{i}", size) for i, size in enumerate(sizes)]
    found = read(Shelf(), iter(refs), tmp_path_factory.getbasetemp())
    assert sorted(found) == [(i, b"%d" % i) for i in range(len(sizes))]


@pytest.mark.parametrize("size", [0, 2000, 300_000, fetching.SMALL])
def test_no_more_is_fetched_ahead_than_the_bound(tmp_path: Path, size: int) -> None:
    listed = itertools.count()
    refs = (ref(f"{next(listed)}", size) for _ in itertools.repeat(None))
    fetched = bodies(Shelf(), refs, tmp_path)  # type: ignore[arg-type]
    next(fetched)
    fetched.close()  # type: ignore[attr-defined]
    one_more_stretch = fetching.TOGETHER * (size + fetching.OVERHEAD)
    assert next(listed) * (size + fetching.OVERHEAD) <= fetching.FETCHED + one_more_stretch


def test_an_error_ends_the_fetching(tmp_path: Path) -> None:
    listed = itertools.count()
    refs = (ref("refused" if next(listed) == 100 else "a") for _ in itertools.repeat(None))
    with pytest.raises(SourceError, match="access is denied"):
        read(Shelf(), refs, tmp_path)


# -- a real server, and what may go wrong on the way to it -------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        client = running.client()
        client.create_bucket(Bucket="logs")
        for key, body in STORED.items():
            client.put_object(Bucket="logs", Key=key, Body=body)
        client.close()
        yield running


STORED = {f"{n:02}.json": b"%02d " % n * (200 + 40 * n) for n in range(20)} | {
    "large.json": b"0123456789abcdef" * 131072
}


class Proxy:
    """A way to the server on which things happen.

    Attributes:
        faults: What happens to the next requests for a key, in turn; nothing more when they are used up.
        connections: How many have been made.
    """

    def __init__(self, upstream: str) -> None:
        self.faults: dict[str, list[str]] = {}
        self.connections = 0
        self._open: set[socket.socket] = set()
        proxy = self

        class Server(ThreadingHTTPServer):
            daemon_threads = False
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                """Whoever is being tested may hang up."""

            def shutdown_request(self, request: Any) -> None:
                proxy._open.discard(request)
                self.close_request(request)  # without the courtesy of a FIN where a reset is wanted

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                proxy.connections += 1
                proxy._open.add(self.connection)
                self.upstream = http.client.HTTPConnection(urlsplit(upstream).netloc)

            def finish(self) -> None:
                self.upstream.close()
                with contextlib.suppress(OSError):
                    super().finish()

            def do_GET(self) -> None:
                key = unquote(urlsplit(self.path).path).removeprefix("/logs/")
                waiting = proxy.faults.get(key, [])
                proxy.answer(self, waiting.pop(0) if waiting else "")

            do_HEAD = do_GET  # noqa: N815 (its base class names it)

            def log_message(self, *_: object) -> None:
                pass

        self._http = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def answer(self, to: Any, fault: str) -> None:
        if fault.isdecimal():
            self.refuse(to, int(fault))
        elif fault == "reset before":
            self.reset(to)
        elif fault == "silence":
            self.wait(to)
        else:
            self.forward(to, fault)

    def refuse(self, to: Any, status: int) -> None:
        body = b"<Error><Code>SlowDown</Code><Message>later</Message></Error>"
        to.send_response(status)
        to.send_header("Content-Length", str(len(body)))
        to.end_headers()
        to.wfile.write(body)

    def forward(self, to: Any, fault: str) -> None:
        to.upstream.request(to.command, to.path, headers=dict(to.headers))
        got = to.upstream.getresponse()
        body = got.read()
        if fault == "flip" and body:
            body = body[:-1] + bytes([body[-1] ^ 4])
        to.send_response_only(got.status, got.reason)
        for name, value in got.getheaders():
            to.send_header(name, value)
        to.end_headers()
        broken = fault in ("truncate", "stall", "reset after")
        to.wfile.write(body[: len(body) // 2] if broken else body)
        to.close_connection |= broken
        if fault == "stall":
            self.wait(to)
        elif fault == "reset after":
            self.reset(to)

    def reset(self, to: Any) -> None:
        to.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        to.close_connection = True

    def wait(self, to: Any) -> None:
        """Say nothing until the other side has had enough."""
        to.close_connection = True
        with contextlib.suppress(OSError):
            to.connection.recv(1)

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._http.server_close()


BODY_FAULTS = ["truncate", "flip", "reset before", "reset after"]
STALLS = ["stall", "silence"]
STATUSES = ["429", "500", "502", "503", "504"]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    # Nobody waits in a test: neither we nor the SDK.
    monkeypatch.setattr(s3, "pause", lambda _attempt: None)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


@pytest.fixture
def proxy(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    running = Proxy(server.endpoint_url)
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", running.url)
    yield running
    direct_gets.cache_clear()
    running.close()


@pytest.fixture
def store(proxy: Proxy, config: MakeConfig) -> ObjectStore:
    return open_store(config(), config(uri="s3://logs").sources[0])


def all_of(store: ObjectStore, folder: Path) -> dict[str, bytes | None]:
    refs = list(store.objects(""))
    return {refs[i].key: body for i, body in read(store, refs, folder)}


def test_all_objects_come_as_they_were_stored(store: ObjectStore, tmp_path: Path) -> None:
    assert all_of(store, tmp_path) == STORED
    assert (store.transfers.gets, store.transfers.retries) == (21, 0)
    assert store.transfers.bytes == sum(map(len, STORED.values()))


def test_connections_outlive_the_day_that_made_them(
    store: ObjectStore, config: MakeConfig, proxy: Proxy, tmp_path: Path
) -> None:
    all_of(store, tmp_path)
    made = proxy.connections
    again = open_store(config(), config(uri="s3://logs").sources[0])
    refs = [r for r in again.objects("") if r.key != "large.json"]
    assert len(read(again, refs * 20, tmp_path)) == 400
    assert proxy.connections - made <= fetching.THREADS


@pytest.mark.parametrize("fault", [*BODY_FAULTS, *STALLS, *STATUSES])
@pytest.mark.parametrize("way", ["direct", "SDK"])
def test_what_goes_wrong_once_is_made_good_and_counted(
    monkeypatch: pytest.MonkeyPatch, store: ObjectStore, proxy: Proxy, fault: str, way: str
) -> None:
    monkeypatch.setattr(s3, "READ_SECONDS", 0.3)
    if way == "direct":
        store.fetch(ref("00.json"))
    proxy.faults["19.json"] = [fault]
    assert store.fetch(ref("19.json")) == STORED["19.json"]
    assert proxy.faults["19.json"] == []
    assert store.transfers.retries == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.dictionaries(
        st.sampled_from([key for key in STORED if key != "large.json"]),
        st.lists(st.sampled_from([*BODY_FAULTS, "503"]), min_size=1, max_size=3),
    )
)
def test_whatever_goes_wrong_every_body_arrives_right(
    store: ObjectStore, proxy: Proxy, tmp_path: Path, plan: dict[str, list[str]]
) -> None:
    before = store.transfers.retries
    proxy.faults |= {key: list(faults) for key, faults in plan.items()}
    assert all_of(store, tmp_path) == STORED
    assert store.transfers.retries - before == sum(map(len, plan.values()))


@pytest.mark.parametrize("fault", [*BODY_FAULTS, "503"])
def test_what_always_goes_wrong_is_one_clear_error(
    store: ObjectStore, proxy: Proxy, tmp_path: Path, fault: str
) -> None:
    proxy.faults["07.json"] = [fault] * 1000
    with pytest.raises(SourceError, match=r"source logs, get 07\.json: (?s:.+)[:,] (then )?run again"):
        all_of(store, tmp_path)
    assert len(proxy.faults["07.json"]) > 900


@pytest.mark.parametrize("fault", ["truncate", "reset after"])
def test_large_objects_are_fetched_again_too(store: ObjectStore, proxy: Proxy, tmp_path: Path, fault: str) -> None:
    proxy.faults["large.json"] = ["", fault]  # the first request asks for the size
    store.download(ref("large.json"), tmp_path / "large")
    assert (tmp_path / "large").read_bytes() == STORED["large.json"]


def test_large_objects_are_verified_as_a_whole(store: ObjectStore, proxy: Proxy, tmp_path: Path) -> None:
    """The SDK asks for them in ranges, whose checksums no store states."""
    proxy.faults["large.json"] = ["", "flip"]
    store.download(ref("large.json"), tmp_path / "large")
    assert (tmp_path / "large").read_bytes() == STORED["large.json"]
    assert store.transfers.retries == 1


def test_what_has_vanished_is_no_repetition(store: ObjectStore) -> None:
    store.fetch(ref("00.json"))
    with pytest.raises(ObjectGoneError):
        store.fetch(ref("gone.json"))
    assert store.transfers.retries == 0


def test_listings_that_had_to_be_repeated_are_counted(store: ObjectStore, proxy: Proxy) -> None:
    proxy.faults["/logs"] = ["503", "503"]
    assert len(list(store.objects(""))) == len(STORED)
    assert store.transfers.retries == 2


def test_a_busy_store_is_given_a_pause(store: ObjectStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[int] = []
    monkeypatch.setattr(s3, "pause", pauses.append)
    store.fetch(ref("00.json"))
    proxy.faults["01.json"], proxy.faults["02.json"] = ["503"], ["truncate"]
    store.fetch(ref("01.json"))
    assert pauses == [0]
    store.fetch(ref("02.json"))
    assert pauses == [0]


ODD_KEYS = ["a b", "a+b", "a%20b", "ä/日本", "?x=1&y=2#z", "a=b;c,d:e@f$g", "~(a)!*'", '"quoted"', "&amp;<b>"]


def test_odd_keys_are_fetched_either_way(
    server: S3Server, proxy: Proxy, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = server.client()
    client.create_bucket(Bucket="odd-keys")
    for key in ODD_KEYS:
        client.put_object(Bucket="odd-keys", Key=f"raw dir/{key}", Body=key.encode())
    client.close()
    store = open_store(config(), config(uri="s3://odd-keys/raw dir/").sources[0])
    refs = list(store.objects(""))
    assert sorted(r.key for r in refs) == sorted(ODD_KEYS)
    assert [store.fetch(refs[0]).decode()] == [refs[0].key]  # by the SDK
    monkeypatch.setattr(S3Store, "_get", None)
    assert [store.fetch(r).decode() for r in refs] == [r.key for r in refs]
