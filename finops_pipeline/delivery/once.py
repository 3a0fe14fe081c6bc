"""Handing a mail over once: claim it in the ledger, give it to the transport, record how that ended.

What the ledger keeps and how a transport works stand beside this module.
"""

import copy
import hashlib
from email.message import EmailMessage
from typing import Protocol

from finops_pipeline.delivery.ledger import Ledger
from finops_pipeline.errors import DeliveryError


class LostReplyError(Exception):
    """A transport may have handed the mail over, and got no answer that says so."""


class Transport(Protocol):
    """A way for mails to leave."""

    @property
    def idempotent(self) -> bool:
        """Whether the same mail under the same key again does no harm."""

    def send(self, message: EmailMessage, key: str) -> str:
        """Hand ``message`` over and say where it went.

        Raises:
            DeliveryError: it has not left, for certain.
            LostReplyError: it may have left. So it may after any other exception.
        """


def deliver_once(message: EmailMessage, key: str, ledger: Ledger, transport: Transport) -> bool:
    """Hand ``message`` over, unless the mail of this key has left or another worker is handing it over.

    Args:
        message: To one recipient, with all headers but Message-ID and X-Report-Key, which follow from ``key``.
        key: From ``delivery_key``.
        ledger: Of the lake.
        transport: From ``transport_of``.

    Returns:
        Whether it left now. Where it did not, ``ledger.find(key)`` says whether it is ``sent`` or ``in progress``.

    Raises:
        DeliveryError: it has not left, for certain; a later run tries again.
        AmbiguousDeliveryError: now or earlier it may have left; nobody sends it again until a person decides.
        LakeError: the ledger cannot be written.
    """
    stamped = _stamped(message, key)
    facts = {"to": str(stamped["To"]), "subject": str(stamped["Subject"]), "message_id": str(stamped["Message-ID"])}
    claim = ledger.claim(key, facts, idempotent=transport.idempotent)
    if claim is None:
        return False
    try:
        place = transport.send(stamped, key)
    except DeliveryError as refusal:
        ledger.fail(claim, str(refusal))
        raise
    except LostReplyError as lost:
        raise ledger.doubt(claim, str(lost)) from lost
    except BaseException:
        ledger.doubt(claim, "its sender was stopped while it handed the mail over")
        raise
    return ledger.confirm(claim, place)


def _stamped(message: EmailMessage, key: str) -> EmailMessage:
    """The message with the headers that make a repetition recognisable, the same ones each time."""
    stamped = copy.deepcopy(message)
    del stamped["Message-ID"], stamped["X-Report-Key"]
    sender = stamped["From"].addresses[0]
    stamped["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{sender.domain or 'localhost'}>"
    stamped["X-Report-Key"] = key
    return stamped
