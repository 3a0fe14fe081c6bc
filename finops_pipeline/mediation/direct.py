"""GETs of small objects without the SDK's own cost, which is nine tenths of what a small GET takes.

One request of the SDK that was answered is the pattern: its address, its headers, its region. It is taken only where
signing it once more gives the SDK's own signature, so that endpoints, addressing styles and credentials remain the
SDK's business; expiring credentials come from the SDK for each request. Only a plain answer is understood: status 200,
a length, a body that is whole and matches its checksum. Everything else is left to the SDK, which asks again, follows,
waits or explains.
"""

import hashlib
import hmac
import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from finops_pipeline import s3
from finops_pipeline.mediation.checksums import mismatch
from finops_pipeline.mediation.plain_http import Connections, ForeignAnswerError, NotPlainError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.credentials import Credentials, ReadOnlyCredentials

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>.+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<names>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)

_CHANGING = ("host", "x-amz-date", "x-amz-security-token")
"""Signed headers that are not the same for every request of a bucket."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What the GETs of a bucket have in common.

    Attributes:
        scheme, host: Of the endpoint; the host as the header states it.
        path: What stands before each key.
        region, service: Of the signature's scope.
        headers: Signed headers that are the same for every request.
        agent: The SDK's User-Agent, which tells of retries too.
    """

    scheme: str
    host: str
    path: str
    region: str
    service: str
    headers: dict[str, str]
    agent: str = field(compare=False)

    def authorization(self, target: str, at: str, credentials: "ReadOnlyCredentials") -> str:
        """The header that signs a GET of ``target`` (Signature Version 4) at a time such as 20260102T030405Z."""
        signed = self.headers | {"host": self.host, "x-amz-date": at}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        payload = self.headers["x-amz-content-sha256"]
        canonical = hashlib.sha256(f"GET\n{target}\n\n{lines}\n{names}\n{payload}".encode()).hexdigest()
        scope = f"{at[:8]}/{self.region}/{self.service}/aws4_request"
        key = _signing_key(credentials.secret_key, at[:8], self.region, self.service)
        signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{canonical}".encode(), "sha256").hex()
        return (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )

    def request(self, key: str, credentials: "ReadOnlyCredentials") -> bytes:
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = self.path + _encoded(key)
        sent = self.headers | {
            "Host": self.host,
            "User-Agent": self.agent,
            "Accept-Encoding": "identity",
            "X-Amz-Date": at,
            "Authorization": self.authorization(target, at, credentials),
        }
        if credentials.token:
            sent["X-Amz-Security-Token"] = credentials.token
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode()


class DirectGets:
    """The GETs of one bucket; safe to share by threads."""

    def __init__(self, credentials: "Credentials | None", ca_bundle: str | bool) -> None:
        self._credentials, self._ca_bundle = credentials, ca_bundle
        self._known: tuple[Pattern, Connections] | None = None
        self._foreign = False

    @property
    def ready(self) -> bool:
        """Whether a pattern is known."""
        return self._known is not None

    def learn(self, request: "AWSPreparedRequest | None", key: str) -> None:
        """Take the SDK's request of an object that was answered for the pattern, where it can be repeated exactly."""
        if self._credentials is None or request is None or self._foreign:
            return
        known, pattern = self._known, pattern_of(request, key, self._credentials.get_frozen_credentials())
        if pattern is None:
            self._known = None
        elif known is None or known[0] != pattern:
            self._known = pattern, Connections(pattern.scheme, pattern.host, self._ca_bundle)

    def get(self, key: str) -> bytes:
        """An object's body.

        Raises:
            NotPlainError: the answer is not a plain one, or there was none; the SDK may fare better.
        """
        known = self._known
        if known is None or self._credentials is None:
            raise NotPlainError("no request of the SDK has been answered yet")
        pattern, connections = known
        request = pattern.request(key, self._credentials.get_frozen_credentials())
        try:
            body, headers = connections.exchange(request)
        except ForeignAnswerError as error:
            self._foreign, self._known = True, None
            raise NotPlainError(str(error)) from error
        except OSError as error:
            raise NotPlainError(str(error)) from error
        if difference := mismatch([body], headers):
            raise NotPlainError(difference)
        return body


@lru_cache(maxsize=16)
def direct_gets(_settings: s3.Settings, _bucket: str) -> DirectGets:
    """One a bucket, process and AWS environment, so that connections are used again from one day to the next."""
    return DirectGets(s3.credentials(), s3.ca_bundle())


def pattern_of(request: "AWSPreparedRequest", key: str, credentials: "ReadOnlyCredentials") -> Pattern | None:
    """What the SDK's request tells of all others; None where it is not one that can be repeated."""
    from botocore.utils import get_environ_proxies

    url = urlsplit(request.url)
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if (
        found is None
        or request.method != "GET"
        or url.query
        or url.scheme not in ("http", "https")
        or not url.path.endswith(f"/{_encoded(key)}")
        or get_environ_proxies(request.url)
        or not {"x-amz-date", "x-amz-content-sha256"} <= headers.keys()
    ):
        return None
    pattern = Pattern(
        scheme=url.scheme,
        host=url.netloc.removesuffix({"http": ":80", "https": ":443"}[url.scheme]),
        path=url.path.removesuffix(_encoded(key)),
        region=found["region"],
        service=found["service"],
        headers={name: headers[name] for name in found["names"].split(";") if name not in _CHANGING},
        agent=headers.get("user-agent", ""),
    )
    repeated = pattern.authorization(url.path, headers["x-amz-date"], credentials)
    return pattern if repeated == headers["authorization"] else None


@lru_cache(maxsize=8)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for step in (date, region, service, "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


def _encoded(key: str) -> str:
    """A key as the SDK writes it into a path."""
    return quote(key, safe="/~")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
