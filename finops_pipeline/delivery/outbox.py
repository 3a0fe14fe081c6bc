"""Mail as ``.eml`` files in a folder, each exactly once, for whoever picks them up.

Order of things: the file, then the ledger. The outbox may be written twice with the same bytes under the same name, so
a crash between the two repeats itself without harm. A transport that cannot take a message back (SMTP, SES) must claim
the key before it sends.
"""

import copy
import email.policy
import hashlib
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from finops_pipeline.delivery.ledger import Ledger, checked_key
from finops_pipeline.errors import DeliveryError
from finops_pipeline.files import write_atomically
from finops_pipeline.lake import Lake


class Transport(Protocol):
    """A way for messages to leave."""

    def send(self, message: EmailMessage, key: str) -> str:
        """Hand ``message`` over and say where it went; the same key again must do no harm.

        Raises:
            DeliveryError: it did not leave.
        """
        ...


class Outbox:
    """The transport that writes ``<key>.eml`` into a folder, whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        return self.folder / f"{checked_key(key)}.eml"

    def send(self, message: EmailMessage, key: str) -> str:
        target = self.path(key)
        try:
            write_atomically(target, message.as_bytes(policy=email.policy.SMTP))
        except OSError as error:
            raise DeliveryError(
                f"{target}: cannot be written ({error.strerror or error}). "
                "Check `mail.path` in finops.yaml, the folder's permissions and the free space."
            ) from error
        return target.name


def deliver(message: EmailMessage, key: str, lake: Lake, outbox_folder: Path) -> bool:
    """Write ``message`` into the outbox, unless the lake's ledger says that the one of this key has already left.

    Args:
        message: All headers but Message-ID and X-Report-Key, which follow from ``key``.
        key: From ``delivery_key``.

    Returns:
        Whether it left now.

    Raises:
        DeliveryError: the outbox cannot be written; nothing is recorded.
        LakeError: the ledger cannot be written.
    """
    return deliver_once(message, key, Ledger(lake.root), Outbox(outbox_folder))


def deliver_once(message: EmailMessage, key: str, ledger: Ledger, transport: Transport) -> bool:
    """``deliver`` for any transport to which the same message may be handed twice."""
    with ledger.turn():
        if ledger.holds(key):
            return False
        stamped = _stamped(message, key)
        place = transport.send(stamped, key)
        return ledger.record(
            key,
            {
                "to": str(stamped["To"]),
                "subject": str(stamped["Subject"]),
                "message_id": str(stamped["Message-ID"]),
                "sent_as": place,
            },
        )


def _stamped(message: EmailMessage, key: str) -> EmailMessage:
    """The message with the headers that make a repetition recognisable, the same ones each time."""
    stamped = copy.deepcopy(message)
    del stamped["Message-ID"], stamped["X-Report-Key"]
    sender = stamped["From"].addresses[0]
    stamped["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{sender.domain or 'localhost'}>"
    stamped["X-Report-Key"] = key
    return stamped
