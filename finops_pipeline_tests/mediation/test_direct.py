"""GETs without the SDK: signed as the SDK signs, learnt only where they can be repeated, plain answers alone."""

import contextlib
import io
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from botocore.awsrequest import AWSResponse
from botocore.credentials import Credentials, ReadOnlyCredentials

from finops_pipeline import s3
from finops_pipeline.mediation import plain_http
from finops_pipeline.mediation.direct import DirectGets, Pattern, direct_gets, pattern_of
from finops_pipeline.mediation.plain_http import NotPlainError

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith("AWS_") or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


def sent(bucket: str = "logs", key: str = "raw/a b.json") -> Any:
    """The SDK's GetObject request as it would go out; nothing goes out."""
    client = s3.client()

    def answer(request: Any, **_: object) -> AWSResponse:
        return AWSResponse(request.url, 200, {"content-length": "0"}, io.BytesIO())

    client.meta.events.register("before-send.s3.GetObject", answer)
    try:
        client.get_object(Bucket=bucket, Key=key)
    finally:
        client.meta.events.unregister("before-send.s3.GetObject", answer)
    return s3.last_get()


def test_the_signature_is_that_of_aws_own_example() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, example "GET Object"."""
    pattern = Pattern(
        scheme="https",
        host="examplebucket.s3.amazonaws.com",
        path="/",
        region="us-east-1",
        service="s3",
        headers={"range": "bytes=0-9", "x-amz-content-sha256": EMPTY_SHA256},
        agent="",
    )
    credentials = ReadOnlyCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)
    assert pattern.authorization("/test.txt", "20130524T000000Z", credentials) == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


@pytest.mark.parametrize(
    ("environment", "bucket", "endpoint"),
    [
        ({}, "logs", "https://logs.s3.eu-central-1.amazonaws.com/"),
        ({"AWS_SESSION_TOKEN": "a/token+=="}, "logs", "https://logs.s3.eu-central-1.amazonaws.com/"),
        ({}, "logs.with.dots", "https://s3.eu-central-1.amazonaws.com/logs.with.dots/"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "logs", "https://logs.s3.dualstack.eu-central-1.amazonaws.com/"),
        ({"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}, "logs", "https://logs.s3.amazonaws.com/"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"}, "logs", "http://127.0.0.1:9000/logs/"),
        ({"AWS_ENDPOINT_URL_S3": "https://127.0.0.1:443/s3"}, "logs", "https://127.0.0.1/s3/logs/"),
    ],
    ids=["virtual host", "session token", "path style", "dual stack", "us-east-1", "own endpoint", "default port"],
)
def test_every_endpoint_of_the_sdk_is_learnt_from_its_request(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], bucket: str, endpoint: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    credentials = s3.credentials()
    assert credentials is not None
    pattern = pattern_of(sent(bucket), "raw/a b.json", credentials.get_frozen_credentials())
    assert pattern is not None
    assert f"{pattern.scheme}://{pattern.host}{pattern.path}" == endpoint
    request = pattern.request("raw/c+d.json", credentials.get_frozen_credentials()).decode()
    assert request.startswith(f"GET {pattern.path}raw/c%2Bd.json HTTP/1.1\r\n")
    assert "x-amz-checksum-mode: ENABLED\r\n" in request
    assert ("X-Amz-Security-Token: a/token+==\r\n" in request) == ("AWS_SESSION_TOKEN" in environment)


@pytest.mark.parametrize(
    "key", ["a b", "a+b", "a%20b", "a//b", "ä/日本", "?x=1&y=2#z", "a=b;c,d:e@f$g", "~(a)!*'", "/a", ".", "a\\b", '"']
)
def test_keys_are_encoded_as_the_sdk_encodes_them(key: str) -> None:
    credentials = Credentials("AKIDEXAMPLE", "secret").get_frozen_credentials()
    of_another, of_this = (pattern_of(sent(key=k), k, credentials) for k in ("raw/x.json", key))
    assert of_this is not None
    assert of_this == of_another


def test_what_cannot_be_repeated_is_not_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, others = (Credentials("AKIDEXAMPLE", s).get_frozen_credentials() for s in ("secret", "other"))
    request = sent()
    assert pattern_of(request, "raw/a b.json", theirs) is not None
    assert pattern_of(request, "raw/a b.json", others) is None
    assert pattern_of(request, "raw/another.json", theirs) is None
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert pattern_of(request, "raw/a b.json", theirs) is None
    monkeypatch.setenv("NO_PROXY", "amazonaws.com")
    assert pattern_of(request, "raw/a b.json", theirs) is not None
    del request.headers["Authorization"]
    assert pattern_of(request, "raw/a b.json", theirs) is None


def test_without_a_pattern_nothing_is_fetched() -> None:
    gets = DirectGets(s3.credentials(), True)
    gets.learn(None, "key")
    assert not gets.ready
    with pytest.raises(NotPlainError, match="no request of the SDK"):
        gets.get("key")
    unsigned = DirectGets(None, True)
    unsigned.learn(sent(), "raw/a b.json")
    assert not unsigned.ready


Answers = Callable[..., "tuple[DirectGets, list[bytes]]"]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """``answering(answers, context)``: a server that gives these answers in turn, and gets that know its address.

    None closes the connection without an answer. What was asked is listed, with a line for each connection.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    open_connections: list[socket.socket] = []

    def start(answers: list[bytes | None], tls: ssl.SSLContext | None = None) -> tuple[DirectGets, list[bytes]]:
        asked: list[bytes] = []

        def serve() -> None:
            waiting = iter(answers)
            with contextlib.suppress(OSError, StopIteration):
                while True:
                    stream, _ = listener.accept()
                    asked.append(b"connected")
                    open_connections[:] = [stream]
                    with contextlib.suppress(OSError), contextlib.ExitStack() as closing:
                        closing.callback(lambda: open_connections.pop().close())
                        if tls is not None:
                            open_connections[:] = [stream := tls.wrap_socket(stream, server_side=True)]
                        while request := stream.recv(65536):
                            asked.append(request)
                            if (answer := next(waiting)) is None:
                                break
                            stream.sendall(answer)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        scheme = "https" if tls else "http"
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        gets = direct_gets(s3.settings(), "logs")
        gets.learn(sent(), "raw/a b.json")
        assert gets.ready
        return gets, asked

    yield start
    direct_gets.cache_clear()
    for end in (listener, *open_connections):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    listener.close()


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def test_connections_are_used_again(answering: Answers) -> None:
    gets, asked = answering([PLAIN, PLAIN, PLAIN])
    assert [gets.get("a"), gets.get("b"), gets.get("c")] == [b"hello"] * 3
    assert asked.count(b"connected") == 1


def test_connections_that_have_rested_are_not(answering: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    gets, asked = answering([PLAIN, PLAIN])
    monkeypatch.setattr(plain_http, "IDLE_SECONDS", 0)
    assert [gets.get("a"), gets.get("b")] == [b"hello"] * 2
    assert asked.count(b"connected") == 2


def test_connections_that_the_server_gives_up_are_not(answering: Answers) -> None:
    gets, asked = answering([PLAIN.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), PLAIN])
    assert [gets.get("a"), gets.get("b")] == [b"hello"] * 2
    assert asked.count(b"connected") == 2


@pytest.mark.parametrize(
    ("answer", "reason", "status"),
    [
        (b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n", "503 Slow Down", 503),
        (b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n", "301 Moved", 301),
        (b"HTTP/1.1 206 Partial\r\nContent-Length: 5\r\n\r\nhello", "206", 206),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", "HTTP/1.0", 200),
        (b"no HTTP at all\r\n\r\n", "no HTTP", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello", "3 bytes more", 0),
        (PLAIN.replace(b"OK\r\n", b'OK\r\nETag: "%s"\r\n' % (b"0" * 32)), "MD5", 0),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "broke off", 0),
        (None, "broke off", 0),
    ],
    ids=["busy", "moved", "partial", "old", "alien", "too long", "damaged", "endless", "closed"],
)
def test_any_other_answer_is_the_sdks(answering: Answers, answer: bytes | None, reason: str, status: int) -> None:
    gets, _ = answering([answer, PLAIN])
    with pytest.raises(NotPlainError, match=reason) as caught:
        gets.get("a")
    assert caught.value.status == status
    # The next one does not meet what is left of that answer.
    assert gets.get("b") == b"hello"


def test_a_connection_that_says_nothing_is_given_up(answering: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "READ_SECONDS", 0.05)
    gets, _ = answering([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", PLAIN])
    with pytest.raises(NotPlainError, match="timed out"):
        gets.get("a")
    assert gets.get("b") == b"hello"


def test_a_store_that_states_no_lengths_is_left_to_the_sdk(answering: Answers) -> None:
    gets, _ = answering([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"])
    with pytest.raises(NotPlainError, match="without a length"):
        gets.get("a")
    gets.learn(sent(), "raw/a b.json")
    assert not gets.ready


def test_a_store_that_is_not_there_is_the_sdks_to_explain(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free.getsockname()[1]}")
    gets = DirectGets(s3.credentials(), True)
    gets.learn(sent(), "raw/a b.json")
    with pytest.raises(NotPlainError, match="refused"):
        gets.get("a")


def test_tls_is_verified_against_the_configured_authorities(
    answering: Answers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    gets, _ = answering([PLAIN], server)
    assert gets.get("a") == b"hello"


def test_a_certificate_of_nobody_known_is_refused(answering: Answers) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    gets, asked = answering([PLAIN], server)
    with pytest.raises(NotPlainError, match="CERTIFICATE_VERIFY_FAILED"):
        gets.get("a")
    assert asked == [b"connected"]


def test_a_certificate_for_another_host_is_refused(
    answering: Answers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("another.example").configure_cert(server)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    gets, _ = answering([PLAIN], server)
    with pytest.raises(NotPlainError, match="CERTIFICATE_VERIFY_FAILED"):
        gets.get("a")
