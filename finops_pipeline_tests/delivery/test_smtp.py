"""SMTP against a real server: what is encrypted, what counts as refused, and when nobody knows."""

import email
import email.policy
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import trustme
from mail_server import PASSWORD, USER, Answers, MailServer

from finops_pipeline.delivery import smtp
from finops_pipeline.delivery.ledger import Ledger, delivery_key
from finops_pipeline.delivery.once import LostReplyError, deliver_once
from finops_pipeline.delivery.smtp import Security, Smtp
from finops_pipeline.errors import AmbiguousDeliveryError, DeliveryError
from finops_pipeline.storage import open_storage

KEY = delivery_key("2026-10", 1, "finance@example.com", "c0ffee")

Mail = Callable[..., EmailMessage]


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The server's side of TLS; its authority is trusted by this process."""
    trusted = tmp_path / "trusted.pem"
    authority.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    return context_of(authority, "127.0.0.1")


def context_of(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


def plain(server: MailServer) -> Smtp:
    return Smtp(server.hostname, server.port, security="none")


# -- a mail that is taken ---------------------------------------------------------------------------------------------


def test_a_mail_arrives_as_it_was_written(answers: Answers, mail: Mail) -> None:
    text = "Grüße − 1.234,56 €\n.\n..\n. a line that begins with a dot\n" + "x" * 2000 + "\n"
    message = mail(text)
    message.add_attachment(b"a;b\r\n1;2\r\n", maintype="text", subtype="csv", filename="ledger.csv")
    with MailServer(answers) as server:
        place = plain(server).send(message, KEY)
        assert place == f"127.0.0.1:{server.port} (250 2.0.0 queued as 4F1)"
    [envelope] = answers.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("finops@example.com", ["finance@example.com"])
    content = envelope.content
    assert isinstance(content, bytes)
    assert content.isascii(), "no server on the way has to convert anything"
    assert max(len(line) for line in content.split(b"\r\n")) <= 998, "RFC 5321, 4.5.3.1.6"
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert parsed["Subject"] == "October − preliminary"
    body, attachment = parsed.get_body(), next(parsed.iter_attachments())
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == text
    assert attachment.get_payload(decode=True) == b"a;b\r\n1;2\r\n"


def test_the_mail_goes_to_one_recipient_from_the_address_in_from(answers: Answers, mail: Mail) -> None:
    with MailServer(answers) as server:
        plain(server).send(mail(From="FinOps <finops@example.com>", To="The CFO <cfo@example.com>"), KEY)
        with pytest.raises(DeliveryError, match="one address in To"):
            plain(server).send(mail(To="a@example.com, b@example.com"), KEY)
        with pytest.raises(ValueError, match="one recipient"):
            plain(server).send(mail(Cc="b@example.com"), KEY)
    assert [(e.mail_from, e.rcpt_tos) for e in answers.taken] == [("finops@example.com", ["cfo@example.com"])]


@pytest.mark.parametrize("header", ["From", "To"])
def test_an_address_beyond_ascii_is_refused_before_connecting(mail: Mail, header: str) -> None:
    with pytest.raises(DeliveryError, match=r"jörg@example\.com: many mail servers"):
        Smtp("host.invalid", 25).send(mail(**{header: "jörg@example.com"}), KEY)


def test_of_24_workers_one_mail_arrives(answers: Answers, mail: Mail, tmp_path: Path) -> None:
    together = threading.Barrier(24)

    def race(_: int) -> bool:
        together.wait()
        return deliver_once(mail(), KEY, Ledger(open_storage(tmp_path)), transport)

    with MailServer(answers) as server, ThreadPoolExecutor(24) as pool:
        transport = plain(server)
        assert sum(pool.map(race, range(24))) == 1
    assert len(answers.taken) == 1


# -- encryption and login ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_login_and_content_go_over_a_verified_connection(
    answers: Answers, mail: Mail, certificate: ssl.SSLContext, security: Security
) -> None:
    options: dict[str, Any] = (
        {"tls": certificate, "auth_require_tls": False}  # to aiosmtpd, only STARTTLS is TLS
        if security == "tls"
        else {"tls_context": certificate, "require_starttls": True, "auth_required": True}
    )
    with MailServer(answers, authenticator=answers.authenticate, **options) as server:
        Smtp(server.hostname, server.port, security, USER, PASSWORD).send(mail(), KEY)
    assert len(answers.taken) == 1
    assert answers.logins == [USER.encode()]
    if security == "starttls":
        assert answers.encrypted == [True]


def test_a_wrong_password_is_a_refusal_that_does_not_repeat_it(
    answers: Answers, mail: Mail, certificate: ssl.SSLContext
) -> None:
    with MailServer(
        answers, authenticator=answers.authenticate, auth_required=True, tls_context=certificate, require_starttls=True
    ) as server:
        transport = Smtp(server.hostname, server.port, "starttls", USER, "hunter2")
        with pytest.raises(
            DeliveryError, match=r"login of finops was refused \(535\).*FINOPS_SMTP_PASSWORD"
        ) as refusal:
            transport.send(mail(), KEY)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert "hunter2" not in repr(transport)
    assert answers.taken == []


def test_a_server_that_has_no_login_is_told(answers: Answers, mail: Mail) -> None:
    with MailServer(answers) as server, pytest.raises(DeliveryError, match="AUTH extension not supported"):
        Smtp(server.hostname, server.port, "none", USER, PASSWORD).send(mail(), KEY)
    assert answers.taken == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_an_unknown_authority_is_refused(
    answers: Answers, mail: Mail, certificate: ssl.SSLContext, security: Security
) -> None:
    stranger = context_of(trustme.CA(), "127.0.0.1")
    options = {"tls": stranger} if security == "tls" else {"tls_context": stranger}
    with (
        MailServer(answers, **options) as server,
        pytest.raises(DeliveryError, match=r"certificate cannot be verified.*SSL_CERT_FILE"),
    ):
        Smtp(server.hostname, server.port, security).send(mail(), KEY)
    assert answers.taken == []


def test_a_certificate_of_another_name_is_refused(
    answers: Answers, mail: Mail, authority: trustme.CA, certificate: ssl.SSLContext
) -> None:
    elsewhere = context_of(authority, "elsewhere.example.com")
    with (
        MailServer(answers, tls_context=elsewhere) as server,
        pytest.raises(DeliveryError, match=r"cannot be verified.*`mail\.host` must be the name in it"),
    ):
        Smtp(server.hostname, server.port).send(mail(), KEY)
    assert answers.taken == []


def test_a_server_without_encryption_gets_nothing(answers: Answers, mail: Mail) -> None:
    with MailServer(answers) as server, pytest.raises(DeliveryError, match=r"offers no encryption \(STARTTLS\)"):
        Smtp(server.hostname, server.port, "starttls", USER, PASSWORD).send(mail(), KEY)
    assert answers.taken == []


def test_tls_from_the_start_on_a_port_that_begins_in_the_clear_is_told(answers: Answers, mail: Mail) -> None:
    with MailServer(answers) as server, pytest.raises(DeliveryError, match=r"no encrypted connection.*587 begins"):
        Smtp(server.hostname, server.port, "tls").send(mail(), KEY)


# -- refusals: the mail has not left, and the next run tries again -----------------------------------------------------


@pytest.mark.parametrize(
    ("step", "answer", "said"),
    [
        ("mail", "550 5.7.1 not you", r"refused the sender finops@example\.com \(550 5\.7\.1 not you\)\.$"),
        ("mail", "452 4.3.1 disk full", r"refused the sender .*The next run tries again\.$"),
        ("rcpt", "550 5.1.1 no such user", r"refused the recipient finance@example\.com \(550 5\.1\.1 no such user\)"),
        ("rcpt", "451 4.7.1 Greylisted", r"try again later, as greylisting does.*\(451 4\.7\.1 Greylisted\).*next run"),
        ("rcpt", "450 4.2.0 try later", "as greylisting does"),
        ("rcpt", "421 4.3.2 shutting down", r"refused the recipient .*421.*next run tries again"),
        ("data", "554 5.6.0 spam", r"refused the mail \(554 5\.6\.0 spam\)"),
        ("data", "451 4.3.0 try later", r"refused the mail .*next run tries again"),
    ],
)
def test_a_refusal_is_definite(answers: Answers, mail: Mail, ledger: Ledger, step: str, answer: str, said: str) -> None:
    accepted = getattr(answers, step)
    setattr(answers, step, answer)
    with MailServer(answers) as server:
        with pytest.raises(DeliveryError, match=said) as refusal:
            deliver_once(mail(), KEY, ledger, plain(server))
        assert not isinstance(refusal.value, AmbiguousDeliveryError)
        record = ledger.find(KEY)
        assert record is not None
        assert (record.state, record.reason) == ("failed", str(refusal.value))
        setattr(answers, step, accepted)
        assert deliver_once(mail(), KEY, ledger, plain(server))


def test_what_a_server_says_cannot_harm_a_terminal(answers: Answers, mail: Mail) -> None:
    answers.rcpt = "550 \x1b[31mred " + "x" * 400
    with MailServer(answers) as server, pytest.raises(DeliveryError) as refusal:
        plain(server).send(mail(), KEY)
    assert "\x1b" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_without_a_server_nothing_has_left(mail: Mail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(DeliveryError, match=rf"127\.0\.0\.1:{port}: no connection \(Connection refused\)"):
        Smtp("127.0.0.1", port, "none").send(mail(), KEY)


def test_a_name_that_does_not_exist_is_told(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DeliveryError, match=r"There is no server of that name\. Check `mail\.host`"):
        Smtp("smtp.invalid", 587).send(mail(), KEY)


# -- servers that break off -------------------------------------------------------------------------------------------


@contextmanager
def scripted(*answers: bytes | None) -> Iterator[Smtp]:
    """A server that says these lines, one for each thing it hears, then hangs up; None: it hangs and says nothing."""
    done = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as heard:
            for place, answer in enumerate(answers):
                if place:
                    hear(heard, before=answers[place - 1])
                if answer is None:
                    done.wait(30)
                    return
                connection.sendall(answer)
            if answers:
                hear(heard, before=answers[-1])

    def hear(heard: BinaryIO, before: bytes | None) -> None:
        """One command; after 354, the content."""
        end = b".\r\n" if before and before.startswith(b"354") else b"\n"
        while (line := heard.readline()) and not line.endswith(end):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve)
        try:
            yield Smtp("127.0.0.1", listening.getsockname()[1], "none")
        finally:
            done.set()
        serving.result(timeout=30)


UP_TO_CONTENT = (b"220 hello\r\n", b"250 hello\r\n", b"250 sender\r\n", b"250 recipient\r\n", b"354 go on\r\n")


@pytest.mark.parametrize("steps", range(5))
def test_whoever_hangs_up_before_the_content_has_nothing(
    mail: Mail, ledger: Ledger, post: Callable[..., Any], steps: int
) -> None:
    with scripted(*UP_TO_CONTENT[:steps]) as server, pytest.raises(DeliveryError) as refusal:
        deliver_once(mail(), KEY, ledger, server)
    assert not isinstance(refusal.value, AmbiguousDeliveryError)
    assert deliver_once(mail(), KEY, ledger, post()), "the next run tries again"


def test_whoever_hangs_up_after_the_content_leaves_it_open(answers: Answers, mail: Mail, ledger: Ledger) -> None:
    answers.data = None
    with MailServer(answers) as server:
        with pytest.raises(AmbiguousDeliveryError, match="connection was lost before its answer came"):
            deliver_once(mail(), KEY, ledger, plain(server))
        answers.data = "250 OK"
        with pytest.raises(AmbiguousDeliveryError):
            deliver_once(mail(), KEY, ledger, plain(server))
        assert len(answers.taken) == 1
        ledger.release(KEY)
        assert deliver_once(mail(), KEY, ledger, plain(server))
    messages = [email.message_from_bytes(envelope.content) for envelope in answers.taken if envelope.content]
    assert len({message["Message-ID"] for message in messages}) == 1, "a mailbox can tell that both are one mail"
    assert len(messages) == 2


@pytest.mark.parametrize("answer", [b"what?\r\n", b"199 hm\r\n", b"354 more\r\n", b"250 " + b"x" * 10_000 + b"\r\n"])
def test_an_answer_that_means_nothing_leaves_it_open(mail: Mail, answer: bytes) -> None:
    with scripted(*UP_TO_CONTENT, answer) as server, pytest.raises(LostReplyError):
        server.send(mail(), KEY)


def test_a_server_that_takes_the_content_and_hangs_leaves_it_open(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "ACCEPTANCE_TIMEOUT", 0.05)
    with scripted(*UP_TO_CONTENT, None) as server, pytest.raises(LostReplyError, match="before its answer came"):
        server.send(mail(), KEY)


@pytest.mark.parametrize("steps", range(5))
def test_a_server_that_hangs_before_is_given_up(mail: Mail, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT", 0.05)
    with scripted(*UP_TO_CONTENT[:steps], None) as server, pytest.raises(DeliveryError):
        server.send(mail(), KEY)


def test_a_taken_mail_is_taken_whatever_is_said_to_the_farewell(mail: Mail) -> None:
    with scripted(*UP_TO_CONTENT, b"250 taken\r\n", b"500 never heard of it\r\n") as server:
        assert server.send(mail(), KEY).endswith("(250 taken)")
    with scripted(*UP_TO_CONTENT, b"250 taken\r\n") as server:
        assert server.send(mail(), KEY).endswith("(250 taken)")
