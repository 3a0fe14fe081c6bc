"""A mail as servers take it: who it is from, who it goes to, its bytes; and a server's words as people can read them.

How it is handed over is the transports' business.
"""

import email.policy
from dataclasses import dataclass
from email.message import EmailMessage

from finops_pipeline.errors import DeliveryError

# Seven bits, so that no server on the way has to convert anything.
_POLICY = email.policy.SMTP.clone(cte_type="7bit")


@dataclass(frozen=True)
class WireMail:
    """One mail to one recipient.

    Attributes:
        sender: The envelope's sender: the address in From.
        recipient: The envelope's recipient: the address in To.
        content: Headers and body in ASCII, lines ended by CR LF.
    """

    sender: str
    recipient: str
    content: bytes


def wire_mail(message: EmailMessage) -> WireMail:
    """``message`` as it goes over the wire.

    Raises:
        DeliveryError: it is not from one address to one address, or an address has letters beyond ASCII.
        ValueError: it has further recipients: each gets a mail of their own.
    """
    if message["Cc"] or message["Bcc"]:
        raise ValueError("a mail has one recipient, in To")
    return WireMail(
        _address(message, "From", "`reports.from`"),
        _address(message, "To", "`reports.recipients` and the teams' `email`"),
        message.as_bytes(policy=_POLICY),
    )


def _address(message: EmailMessage, header: str, key: str) -> str:
    addresses = [address.addr_spec for found in message.get_all(header, []) for address in found.addresses]
    if len(addresses) != 1:
        raise DeliveryError(f"a mail needs one address in {header}. Check {key} in finops.yaml.")
    address: str = addresses[0]
    if not address.isascii():
        raise DeliveryError(
            f"{address}: many mail servers take no address with letters beyond ASCII. "
            f"Name an ASCII one under {key} in finops.yaml."
        )
    return address


def printable(text: str) -> str:
    """A server's words in one line, without what could do something to a terminal, and not too many."""
    return "".join(c if c.isprintable() else " " for c in text)[:200].strip()
