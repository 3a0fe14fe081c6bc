"""Mail over SMTP (RFC 5321), one connection a mail, encrypted and verified wherever it leaves this machine.

Until the server has asked for the content (354), whatever goes wrong means that the mail has not left. After that only
the server's answer says: 2xx taken, 4xx or 5xx refused, no answer means that nobody knows.
"""

import contextlib
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import ClassVar, Literal, TypeAlias

from finops_pipeline.delivery.once import LostReplyError
from finops_pipeline.delivery.wire import WireMail, printable, wire_mail
from finops_pipeline.errors import DeliveryError

TIMEOUT = 30.0
"""Seconds to wait for a connection and for the answer to each command."""

ACCEPTANCE_TIMEOUT = 300.0
"""Seconds to wait for the answer to the content. RFC 5321, 4.5.3.2.6 asks for long ones: who hangs up early gets
duplicates. Together with the commands' it stays below the ledger's ``LEASE_TIME``."""

Security: TypeAlias = Literal["starttls", "tls", "none"]

_TRY_LATER = (450, 451)
"""What greylisting servers answer to a recipient that they see for the first time."""


@dataclass(frozen=True)
class Smtp:
    """The transport to one mail server.

    Attributes:
        host: Its name, which its certificate must have.
        port: 587 for submission, 465 for TLS from the start, 25 for relays.
        security: ``starttls``: encrypt before anything is said; ``tls``: encrypted from the start; ``none``: plain.
        user: Who logs in; None where the server asks for nobody.
        password: Of ``user``.
    """

    host: str
    port: int
    security: Security = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    idempotent: ClassVar[bool] = False

    def send(self, message: EmailMessage, key: str) -> str:
        """Hand the mail over; the server, and what it answered.

        Raises:
            DeliveryError: it has not left: no connection, no encryption, no login, or a refusal.
            LostReplyError: the content was sent and no answer came.
        """
        mail = wire_mail(message)
        with self._refusals():
            server = self._connect()
        try:
            with self._refusals():
                self._introduce(server)
                self._open_transaction(server, mail)
            answer = self._hand_over(server, mail)
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()  # the mail is taken, whatever is said to this
        finally:
            server.close()
        return f"{self._name} ({answer})"

    @property
    def _name(self) -> str:
        return f"{self.host}:{self.port}"

    # -- until the content: whatever goes wrong, the mail has not left ---------------------------------------------

    def _connect(self) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=ssl.create_default_context())
        return smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)

    def _introduce(self, server: smtplib.SMTP) -> None:
        """Greet, encrypt, log in."""
        server.ehlo_or_helo_if_needed()
        if self.security == "starttls":
            if not server.has_extn("starttls"):
                raise DeliveryError(
                    f"{self._name}: the server offers no encryption (STARTTLS), so that nothing was sent. Use its "
                    "submission port (587, or 465 for TLS from the start); for a relay of your own that has none and "
                    "asks for no user, set `mail.starttls: false`."
                )
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
        if self.user is not None and self.password is not None:
            try:
                server.login(self.user, self.password)
            except smtplib.SMTPAuthenticationError as error:
                # Not chained and not quoted: some servers repeat what they were sent.
                raise DeliveryError(
                    f"{self._name}: the login of {self.user} was refused ({error.smtp_code}). "
                    "Check `mail.user` in finops.yaml and FINOPS_SMTP_PASSWORD."
                ) from None

    def _open_transaction(self, server: smtplib.SMTP, mail: WireMail) -> None:
        """Name sender and recipient, and announce the content."""
        options = [f"size={len(mail.content)}"] if server.has_extn("size") else []
        code, answer = server.mail(mail.sender, options)
        if code != 250:
            raise self._refusal(f"the sender {mail.sender}", code, answer)
        code, answer = server.rcpt(mail.recipient)
        if code not in (250, 251):
            if code in _TRY_LATER:
                raise DeliveryError(
                    f"{self._name}: the server asks to try again later, as greylisting does with what it sees for the "
                    f"first time ({_said(code, answer)}). The next run tries again."
                )
            raise self._refusal(f"the recipient {mail.recipient}", code, answer)
        code, answer = server.docmd("DATA")
        if code != 354:
            raise self._refusal("the mail", code, answer)

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """Tell what goes wrong before the content is sent in words that a person can act on."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise DeliveryError(
                f"{self._name}: the server's certificate cannot be verified ({error.verify_message}), so that nothing "
                "was sent. `mail.host` must be the name in it; an authority of your own is named by SSL_CERT_FILE."
            ) from error
        except ssl.SSLError as error:
            raise DeliveryError(
                f"{self._name}: no encrypted connection ({error.reason or error}). Check `mail.port`: 587 begins in "
                "the clear and encrypts then, 465 is TLS from the start."
            ) from error
        except smtplib.SMTPResponseException as error:
            raise self._refusal("the connection", error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPException as error:
            raise DeliveryError(
                f"{self._name}: {printable(str(error))}. Check `mail` in finops.yaml, or try again later."
            ) from error
        except OSError as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or error
            unknown = " There is no server of that name." if isinstance(error, socket.gaierror) else ""
            raise DeliveryError(
                f"{self._name}: no connection ({reason}).{unknown} Check `mail.host` and `mail.port` in finops.yaml, "
                "and the network."
            ) from error

    def _refusal(self, what: str, code: int, answer: bytes | str) -> DeliveryError:
        later = " The next run tries again." if 400 <= code < 500 else ""
        return DeliveryError(f"{self._name}: the server refused {what} ({_said(code, answer)}).{later}")

    # -- the content: only the answer tells ------------------------------------------------------------------------

    def _hand_over(self, server: smtplib.SMTP, mail: WireMail) -> str:
        """Send the content and return the server's answer."""
        if server.sock is not None:
            server.sock.settimeout(ACCEPTANCE_TIMEOUT)
        try:
            server.send(_dot_stuffed(mail.content) + b".\r\n")
            code, answer = server.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise LostReplyError(
                f"{self._name} took the mail's content and the connection was lost before its answer came"
            ) from error
        if 200 <= code < 300:
            return _said(code, answer)
        if 400 <= code < 600:
            raise self._refusal("the mail", code, answer)
        raise LostReplyError(f"{self._name} took the mail's content and gave no answer that can be understood")


def _dot_stuffed(content: bytes) -> bytes:
    """``content`` with the dots doubled that begin a line (RFC 5321, 4.5.2), and its last line ended."""
    stuffed = re.sub(rb"(?m)^\.", b"..", content)
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"


def _said(code: int, answer: bytes | str) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return f"{code} {printable(text)}".strip()
