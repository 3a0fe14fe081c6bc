"""The S3 client of this process, and what went wrong in words a person can act on.

Raw logs (``mediation.objects``) and the lake both live behind it. Settings are AWS's own: the environment (``AWS_*``),
profiles and roles.
"""

import os
import random
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from finops_pipeline.errors import FinopsError

if TYPE_CHECKING:
    import boto3
    import botocore.session
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.credentials import Credentials
    from mypy_boto3_s3 import S3Client

CONNECTIONS = 32
"""Parallel connections to one endpoint: where an answer takes 20 ms, that is 1,600 small objects a second."""

CONNECT_SECONDS = 10
READ_SECONDS = 60
"""How long a connection may say nothing before it counts as lost."""

REQUEST_TRIES = 5
"""boto3's standard mode: throttling, 5xx and connections that fail are tried again with backoff."""

BODY_TRIES = 4
"""boto3 retries requests, not bodies that break off: those are fetched again this often."""


_T = TypeVar("_T")


class S3SettingsError(FinopsError):
    """The AWS settings of this process are unusable."""


Settings = tuple[int, tuple[tuple[str, str], ...]]

_sent = threading.local()


def client() -> "S3Client":
    """One client a process and AWS environment: clients are thread-safe and keep their connections.

    Raises:
        S3SettingsError: an AWS setting is unusable.
    """
    return _client(settings())


def credentials() -> "Credentials | None":
    """The credentials that the client signs with, renewed by the SDK where they expire; None where there are none."""
    core, _ = _sessions(settings())
    return core.get_credentials()


def ca_bundle() -> str | bool:
    """The file of certificate authorities that the client trusts; True for the SDK's own."""
    core, _ = _sessions(settings())
    return core.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE") or True


def last_get() -> "AWSPreparedRequest | None":
    """The last GetObject request of this thread as the client sent it, signed."""
    return getattr(_sent, "request", None)


def settings() -> Settings:
    """What a client depends on: the process, since connections do not survive a fork, and its AWS environment."""
    return os.getpid(), tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))


def error_code(error: Exception) -> str:
    """S3's code of an error, such as ``NoSuchKey``; empty where the error is no answer of S3."""
    from botocore.exceptions import ClientError

    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


def is_missing(error: Exception) -> bool:
    """Whether an error says that the object is not there."""
    return error_code(error) in ("NoSuchKey", "404", "NotFound")


def explained(error: Exception, bucket: str, setting: str, rights: str) -> str:
    """What went wrong, and what to do about it.

    Args:
        error: Of boto3, botocore or urllib3.
        bucket: The bucket that was asked.
        setting: Where the bucket stands in the config, as in ``the source's `uri```.
        rights: What the credentials need, as in ``s3:ListBucket and s3:GetObject``.
    """
    from botocore import exceptions
    from urllib3.exceptions import HTTPError

    match error, error_code(error):
        case ((exceptions.NoCredentialsError() | exceptions.PartialCredentialsError()), _):
            return (
                "no AWS credentials found. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or run where an instance or task role provides them."
            )
        case exceptions.ProfileNotFound(), _:
            return f"{error}. Check AWS_PROFILE and ~/.aws/config."
        case ((exceptions.EndpointConnectionError() | exceptions.ConnectTimeoutError()), _):
            scheme, host, *_ = urlsplit(str(error.kwargs.get("endpoint_url", "")))
            return f"no connection to {scheme}://{host}. Check AWS_ENDPOINT_URL_S3, AWS_REGION and the network."
        case _, "NoSuchBucket":
            return f"there is no bucket {bucket}. Check {setting} in finops.yaml, and AWS_REGION."
        case _, ("AccessDenied" | "403" | "AllAccessDisabled"):
            return f"access to bucket {bucket} is denied. The credentials need {rights} on it."
        case _, ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken"):
            return f"the AWS credentials are not valid ({error_code(error)}). Renew them, or check AWS_PROFILE."
        case _, "RequestTimeTooSkewed":
            return "the clock of this machine is off, and S3 refuses its requests. Set it, by NTP for example."
        case _, ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "301"):
            return f"bucket {bucket} lies in another region. Set AWS_REGION to its region."
        case _, ("SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout"):
            return f"{error}. The store is busy or out of order: run again later."
        case (
            (exceptions.HTTPClientError() | exceptions.FlexibleChecksumError() | HTTPError() | ConnectionError()),
            _,
        ):
            tried = f"at the last of {BODY_TRIES} tries"
            return f"{error} ({tried}). Check the network and what lies in between, then run again."
    return f"{error}"


def errors() -> tuple[type[Exception], ...]:
    """What a request may raise: of boto3, of botocore, and of the connection below them."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    return BotoCoreError, Boto3Error, ClientError, HTTPError, ConnectionError


def with_whole_body(get: Callable[[], _T]) -> _T:
    """``get()``, tried again with growing pauses while the body breaks off or a checksum does not match."""
    from botocore.exceptions import FlexibleChecksumError, HTTPClientError
    from urllib3.exceptions import HTTPError

    for attempt in range(1, BODY_TRIES):
        try:
            return get()
        except (HTTPClientError, FlexibleChecksumError, HTTPError, ConnectionError):
            pause(attempt)
    return get()


def pause(attempt: int) -> None:
    """Wait before the next try: a random time, up to twice as long after each."""
    threading.Event().wait(random.uniform(0, 0.1 * 2**attempt))  # noqa: S311 (jitter, no secret)


@lru_cache(maxsize=4)
def _sessions(_settings: Settings) -> "tuple[botocore.session.Session, boto3.session.Session]":
    """The SDK's session in its two layers: settings and credentials below, clients above."""
    import boto3
    import botocore.session

    core = botocore.session.Session()
    return core, boto3.session.Session(botocore_session=core)


@lru_cache(maxsize=4)
def _client(of: Settings) -> "S3Client":
    from botocore.config import Config as BotoConfig

    _, session = _sessions(of)
    try:
        made = session.client(
            "s3",
            config=BotoConfig(
                retries={"mode": "standard", "total_max_attempts": REQUEST_TRIES},
                max_pool_connections=CONNECTIONS,
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
            ),
        )
    except ValueError as error:
        raise S3SettingsError(
            f"{error}. AWS_ENDPOINT_URL_S3 needs a full address such as https://s3.eu-central-1.amazonaws.com."
        ) from error
    made.meta.events.register("before-send.s3.GetObject", _note)
    return made


def _note(request: "AWSPreparedRequest", **_: object) -> None:
    _sent.request = request
