"""Mail as ``.eml`` files in a folder, for whoever picks them up: the transport that needs no server."""

import email.policy
from email.message import EmailMessage
from pathlib import Path

from finops_pipeline.delivery.ledger import checked_key
from finops_pipeline.errors import DeliveryError
from finops_pipeline.files import write_atomically


class Outbox:
    """Writes ``<key>.eml``, whole or not at all; the same key again writes the same bytes under the same name."""

    idempotent = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        return self.folder / f"{checked_key(key)}.eml"

    def send(self, message: EmailMessage, key: str) -> str:
        """Write the file and return its path.

        Raises:
            DeliveryError: it cannot be written.
        """
        target = self.path(key)
        try:
            write_atomically(target, message.as_bytes(policy=email.policy.SMTP))
        except OSError as error:
            raise DeliveryError(
                f"{target}: cannot be written ({error.strerror or error}). "
                "Check `mail.path` in finops.yaml, the folder's permissions and the free space."
            ) from error
        return str(target)
