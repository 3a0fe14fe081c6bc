"""Mail through Amazon SES (API v2), as raw MIME. Credentials and endpoint are those of the AWS environment.

SES has no idempotency token, so a request is made once and never again by the SDK: an answer that is lost leaves the
question open.
"""

import os
from dataclasses import dataclass
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, ClassVar

from finops_pipeline.delivery.once import LostReplyError
from finops_pipeline.delivery.wire import printable, wire_mail
from finops_pipeline.errors import ConfigError, DeliveryError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 60.0
"""Seconds."""

_REFUSED_FOR_NOW = 503
"""Turned away at the door. Another 5xx may come after SES has taken the mail."""


def region_of_environment() -> str | None:
    """The AWS region that the environment or the profile names; None where neither does.

    Raises:
        ConfigError: the profile that the environment names does not exist.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return os.environ.get("AWS_REGION") or boto3.session.Session().region_name
    except BotoCoreError as error:
        raise ConfigError(f"{error}. Check AWS_PROFILE and ~/.aws/config.") from error


@dataclass(frozen=True)
class Ses:
    """The transport to Amazon SES in ``region``."""

    region: str

    idempotent: ClassVar[bool] = False

    def send(self, message: EmailMessage, key: str) -> str:
        """Hand the mail over; SES and the id that it gave the mail.

        Raises:
            DeliveryError: it has not left: no credentials, no connection, or a refusal.
            LostReplyError: the request was made and no answer came that says what became of it.
        """
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as NoConnectionError
        from botocore.parsers import ResponseParserError

        mail = wire_mail(message)
        client = self._client()
        try:
            answer = client.send_email(
                FromEmailAddress=mail.sender,
                Destination={"ToAddresses": [mail.recipient]},
                Content={"Raw": {"Data": mail.content}},
            )
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status >= 500 and status != _REFUSED_FOR_NOW:
                raise LostReplyError(f"{self._name} answered with an error of its own ({status})") from error
            raise self._refusal(error) from error
        except NoConnectionError as error:
            if _during_handshake(error):
                raise DeliveryError(f"{self._name}: {error} Check AWS_ENDPOINT_URL_SESV2 and the network.") from error
            raise LostReplyError(f"the connection to {self._name} broke") from error
        except (HTTPClientError, ResponseParserError) as error:
            raise LostReplyError(f"{self._name} was sent the mail and gave no answer") from error
        except BotoCoreError as error:
            raise DeliveryError(f"{self._name}: {error}") from error
        if not (given := answer.get("MessageId")):  # not SES: a proxy in between
            raise LostReplyError(f"{self._name} gave an answer that names no mail")
        return f"{self._name}, id {given}"

    @property
    def _name(self) -> str:
        return f"Amazon SES in {self.region}"

    def _client(self) -> Any:
        """A client whose credentials are there already: what getting them runs into is no lost mail."""
        import boto3
        from botocore.config import Config as BotoConfig
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            session = boto3.session.Session(region_name=self.region)
            credentials = session.get_credentials()
            if credentials is not None:
                credentials.get_frozen_credentials()
                return session.client(
                    "sesv2",
                    config=BotoConfig(
                        retries={"mode": "standard", "total_max_attempts": 1},
                        connect_timeout=CONNECT_TIMEOUT,
                        read_timeout=READ_TIMEOUT,
                    ),
                )
        except (BotoCoreError, ClientError, ValueError) as error:
            raise DeliveryError(f"{self._name}: {error} Check AWS_PROFILE and the AWS environment.") from error
        raise DeliveryError(
            f"{self._name}: no AWS credentials found. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or run where an instance or task role provides them."
        )

    def _refusal(self, error: "ClientError") -> DeliveryError:
        """What SES refused, and what to do about it."""
        said = error.response.get("Error", {})
        code = said.get("Code", "")
        way_out = _WAYS_OUT.get(code, "The next run tries again.")
        return DeliveryError(f"{self._name} refused the mail ({code}: {printable(said.get('Message', ''))}). {way_out}")


_RENEW = "Renew the AWS credentials, or check AWS_PROFILE."
_PERMIT = "The credentials need ses:SendEmail and ses:SendRawEmail on the sender's identity."
_VERIFY = "Verify the sender in SES, and the recipient too while the account is in the sandbox."
_WAYS_OUT = {
    "MessageRejected": _VERIFY,
    "MailFromDomainNotVerifiedException": _VERIFY,
    "AccessDeniedException": _PERMIT,
    "AccessDenied": _PERMIT,
    "InvalidClientTokenId": _RENEW,
    "UnrecognizedClientException": _RENEW,
    "ExpiredTokenException": _RENEW,
    "SignatureDoesNotMatch": _RENEW,
}


def _during_handshake(error: Exception) -> bool:
    """Whether the connection failed before anything could be sent over it."""
    from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError

    before = isinstance(error, ConnectTimeoutError | EndpointConnectionError | ProxyConnectionError)
    return before or "CERTIFICATE_VERIFY_FAILED" in str(error)
