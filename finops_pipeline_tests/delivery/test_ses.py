"""Amazon SES: the request as moto takes it, and answers that refuse, fail or get lost from a server of our own."""

import base64
import email
import email.policy
import json
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from finops_pipeline.delivery import ses
from finops_pipeline.delivery.ledger import Ledger, delivery_key
from finops_pipeline.delivery.once import LostReplyError, deliver_once
from finops_pipeline.delivery.ses import Ses
from finops_pipeline.errors import AmbiguousDeliveryError, DeliveryError

KEY = delivery_key("2026-10", 1, "finance@example.com", "c0ffee")
REGION = "eu-central-1"

Mail = Callable[..., EmailMessage]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Invented credentials, and no profile of whoever runs the tests."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SESV2", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


# -- as moto takes it -------------------------------------------------------------------------------------------------


@mock_aws
def test_a_mail_arrives_as_it_was_written(mail: Mail, ledger: Ledger) -> None:
    boto3.client("sesv2", region_name=REGION).create_email_identity(EmailIdentity="finops@example.com")
    assert deliver_once(mail("Grüße\n"), KEY, ledger, Ses(REGION))
    [taken] = ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages
    assert (taken.source, set(taken.destinations)) == ("finops@example.com", {"finance@example.com"})
    parsed = email.message_from_string(taken.raw_data, policy=email.policy.default)
    assert parsed["Subject"] == "October − preliminary"
    assert parsed["X-Report-Key"] == KEY
    body = parsed.get_body()
    assert body is not None
    assert body.get_content() == "Grüße\n"
    record = ledger.find(KEY)
    assert record is not None
    assert record.place == f"Amazon SES in {REGION}, id {taken.id}"


@mock_aws
def test_a_sender_that_is_not_verified_is_refused_with_the_way_out(mail: Mail, ledger: Ledger) -> None:
    with pytest.raises(
        DeliveryError, match=r"refused the mail \(MessageRejected: .*Verify the sender in SES"
    ) as refusal:
        deliver_once(mail(), KEY, ledger, Ses(REGION))
    assert not isinstance(refusal.value, AmbiguousDeliveryError)
    record = ledger.find(KEY)
    assert record is not None
    assert record.state == "failed"


# -- a server of our own ----------------------------------------------------------------------------------------------


class Endpoint(HTTPServer):
    """Answers every request with ``status`` and ``body``; with a status of 0 it hangs up without an answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body, self.code = 200, b'{"MessageId": "m-1"}', ""
        self.requests: list[dict[str, Any]] = []

    def refuse(self, status: int, code: str, message: str = "no") -> None:
        self.status, self.code, self.body = status, code, json.dumps({"message": message}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        self.server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if not self.server.status:
            self.close_connection = True
            return
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        if self.server.code:
            self.send_header("x-amzn-ErrorType", self.server.code)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with Endpoint() as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()
        serving.join()


def test_the_request_names_sender_and_recipient_and_has_the_raw_mail(mail: Mail, endpoint: Endpoint) -> None:
    assert Ses(REGION).send(mail(), KEY) == f"Amazon SES in {REGION}, id m-1"
    [request] = endpoint.requests
    assert request["FromEmailAddress"] == "finops@example.com"
    assert request["Destination"] == {"ToAddresses": ["finance@example.com"]}
    raw = base64.b64decode(request["Content"]["Raw"]["Data"])
    assert raw.isascii()
    assert email.message_from_bytes(raw)["To"] == "finance@example.com"


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (400, "MessageRejected", "Verify the sender in SES"),
        (400, "MailFromDomainNotVerifiedException", "Verify the sender in SES"),
        (403, "AccessDeniedException", "The credentials need ses:SendEmail"),
        (403, "ExpiredTokenException", "Renew the AWS credentials"),
        (429, "TooManyRequestsException", "The next run tries again"),
        (503, "ServiceUnavailable", "The next run tries again"),
    ],
)
def test_a_refusal_is_definite_and_made_once(
    mail: Mail, ledger: Ledger, endpoint: Endpoint, status: int, code: str, said: str
) -> None:
    endpoint.refuse(status, code)
    with pytest.raises(DeliveryError, match=rf"refused the mail \({code}: no\)\. {said}") as refusal:
        deliver_once(mail(), KEY, ledger, Ses(REGION))
    assert not isinstance(refusal.value, AmbiguousDeliveryError)
    assert len(endpoint.requests) == 1, "the SDK does not repeat it"


@pytest.mark.parametrize(
    ("status", "body"), [(0, b""), (500, b"{}"), (502, b"<html>"), (504, b""), (200, b"{broken")], ids=str
)
def test_a_lost_or_broken_answer_leaves_it_open_and_is_not_repeated(
    mail: Mail, ledger: Ledger, endpoint: Endpoint, status: int, body: bytes
) -> None:
    endpoint.status, endpoint.body = status, body
    with pytest.raises(AmbiguousDeliveryError, match=f"finops deliver --resend {KEY}"):
        deliver_once(mail(), KEY, ledger, Ses(REGION))
    assert len(endpoint.requests) == 1
    endpoint.status, endpoint.body = 200, b'{"MessageId": "m-2"}'
    with pytest.raises(AmbiguousDeliveryError):
        deliver_once(mail(), KEY, ledger, Ses(REGION))
    assert len(endpoint.requests) == 1
    ledger.release(KEY)
    assert deliver_once(mail(), KEY, ledger, Ses(REGION))


def test_an_answer_that_does_not_come_in_time_leaves_it_open(
    mail: Mail, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_now = threading.Event()

    def slow(handler: _Handler) -> None:
        answer_now.wait(30)

    monkeypatch.setattr(_Handler, "do_POST", slow)
    monkeypatch.setattr(ses, "READ_TIMEOUT", 0.05)
    with pytest.raises(LostReplyError, match="gave no answer"):
        Ses(REGION).send(mail(), KEY)
    answer_now.set()


def test_without_a_server_nothing_has_left(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), _Handler) as gone:
        port = gone.server_port
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"http://127.0.0.1:{port}")
    with pytest.raises(DeliveryError, match=r"Could not connect.*Check AWS_ENDPOINT_URL_SESV2 and the network"):
        Ses(REGION).send(mail(), KEY)


def test_without_credentials_nothing_is_sent(mail: Mail, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DeliveryError, match="no AWS credentials found"):
        Ses(REGION).send(mail(), KEY)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(DeliveryError, match=r"nobody.*Check AWS_PROFILE"):
        Ses(REGION).send(mail(), KEY)
    assert endpoint.requests == []
