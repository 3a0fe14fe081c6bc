"""The S3 client of this process, and what went wrong in words a person can act on.

Raw logs (``mediation.objects``) and the lake both live behind it. Settings are AWS's own: the environment (``AWS_*``),
profiles and roles.
"""

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from finops_pipeline.errors import FinopsError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECTIONS = 16
"""Parallel connections to one endpoint; boto3 is bound by the interpreter's lock beyond about eight threads."""

REQUEST_TRIES = 5
"""boto3's standard mode: throttling, 5xx and connections that fail are tried again with backoff."""


class S3SettingsError(FinopsError):
    """The AWS settings of this process are unusable."""


def client() -> "S3Client":
    """One client a process and AWS environment: clients are thread-safe and keep their connections.

    Raises:
        S3SettingsError: an AWS setting is unusable.
    """
    return _client(os.getpid(), tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_"))))


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

    match error, error_code(error):
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
            return f"there is no bucket {bucket}. Check {setting} in finops.yaml, and AWS_REGION."
        case _, ("AccessDenied" | "403" | "AllAccessDisabled"):
            return f"access to bucket {bucket} is denied. The credentials need {rights} on it."
        case _, ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken"):
            return f"the AWS credentials are not valid ({error_code(error)}). Renew them, or check AWS_PROFILE."
        case _, ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "301"):
            return f"bucket {bucket} lies in another region. Set AWS_REGION to its region."
    return f"{error}"


@lru_cache(maxsize=4)
def _client(_pid: int, _environment: tuple[tuple[str, str], ...]) -> "S3Client":
    import boto3
    from botocore.config import Config as BotoConfig

    try:
        return boto3.session.Session().client(
            "s3",
            config=BotoConfig(
                retries={"mode": "standard", "total_max_attempts": REQUEST_TRIES},
                max_pool_connections=CONNECTIONS,
                connect_timeout=10,
                read_timeout=60,
            ),
        )
    except ValueError as error:
        raise S3SettingsError(
            f"{error}. AWS_ENDPOINT_URL_S3 needs a full address such as https://s3.eu-central-1.amazonaws.com."
        ) from error
