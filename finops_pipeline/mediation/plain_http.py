"""Kept-alive HTTP connections that understand one kind of answer: status 200, a length, a body of that length.

Whoever gets anything else has another client to turn to. Requests come ready to be sent.
"""

import contextlib
import socket
import ssl
import time
import weakref
from collections import deque
from urllib.parse import urlsplit

from finops_pipeline import s3

IDLE_SECONDS = 4.0
"""A connection that has rested for longer is not used again: servers close theirs after 5 seconds or more."""

HEAD_BYTES = 64 << 10
"""Answers whose headers are longer are not understood."""


class NotPlainError(Exception):
    """The answer is none that is understood here.

    Attributes:
        status: HTTP status; 0 where there was no whole answer.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class ForeignAnswerError(Exception):
    """A successful answer of a kind that is not understood: this store is left to the SDK from now on."""


class Connections:
    """Open connections to one endpoint, used again while they are fresh."""

    def __init__(self, scheme: str, host: str, ca_bundle: str | bool) -> None:
        """``host`` as the Host header states it; ``ca_bundle`` a file of authorities, or True for the SDK's own."""
        self._context = _tls(ca_bundle) if scheme == "https" else None
        address = urlsplit(f"{scheme}://{host}")
        self._host = address.hostname or ""
        self._port = address.port or {"http": 80, "https": 443}[scheme]
        self._idle: deque[tuple[socket.socket, float]] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def exchange(self, request: bytes) -> tuple[bytes, dict[str, str]]:
        """The body and the headers of a plain answer to a request.

        Raises:
            OSError: there is no connection, or it breaks off or stalls.
            NotPlainError: any other answer.
            ForeignAnswerError: success in a form that is not understood.
        """
        connection = self._fresh() or self._new()
        try:
            body, headers = _answer(connection, request)
        except BaseException:
            connection.close()
            raise
        if headers.get("connection", "").lower() == "close":
            connection.close()
        else:
            self._idle.append((connection, time.monotonic()))
        return body, headers

    def _fresh(self) -> socket.socket | None:
        """A connection that was used a moment ago."""
        with contextlib.suppress(IndexError):
            while True:
                connection, since = self._idle.pop()
                if time.monotonic() - since < IDLE_SECONDS:
                    return connection
                connection.close()
        return None

    def _new(self) -> socket.socket:
        connection = socket.create_connection((self._host, self._port), s3.CONNECT_SECONDS)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_hostname=self._host)
            connection.settimeout(s3.READ_SECONDS)
        except BaseException:
            connection.close()
            raise
        return connection


def _tls(ca_bundle: str | bool) -> ssl.SSLContext:
    from botocore.httpsession import get_cert_path

    return ssl.create_default_context(cafile=get_cert_path(True) if ca_bundle is True else str(ca_bundle))


def _close_all(idle: deque[tuple[socket.socket, float]]) -> None:
    for connection, _ in idle:
        connection.close()


def _answer(connection: socket.socket, request: bytes) -> tuple[bytes, dict[str, str]]:
    """The whole body of a plain answer, and its headers with their names in lower case."""
    connection.sendall(request)
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        part = connection.recv(HEAD_BYTES)
        if not part or len(received) > HEAD_BYTES:
            raise NotPlainError("the connection broke off")
        received += part
    status, *lines = received[:end].decode("latin-1").split("\r\n")
    if not status.startswith("HTTP/1.1 200"):
        code = status[9:12]
        raise NotPlainError(status, int(code) if code.isdecimal() else 0)
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    length = headers.get("content-length", "")
    if not length.isdecimal() or "transfer-encoding" in headers:
        raise ForeignAnswerError("a body without a length")
    body = [received[end + 4 :]]
    missing = int(length) - len(body[0])
    while missing > 0:
        part = connection.recv(min(missing, 1 << 18))
        if not part:
            raise NotPlainError(f"{missing} of {length} bytes are missing")
        body.append(part)
        missing -= len(part)
    if missing < 0:
        raise NotPlainError(f"{-missing} bytes more than {length}")
    return b"".join(body), headers
