"""The ledger of deliveries: ``deliveries/<key>.json`` below the lake's root, one file a message that has left.

The file's existence is the fact, its content is for people. What is delivered, and how, is not this module's business.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from finops_pipeline.files import naming_the_lake

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
"""A key is a file name in the ledger and in the outbox."""


def delivery_key(month: str, revision: int, recipient: str, content: str) -> str:
    """Key of the one mail about this content in this revision to this recipient; readable, and fit for a file name.

    Args:
        content: Digest of what the mail says.
    """
    identity = hashlib.sha256(json.dumps([month, revision, recipient, content]).encode()).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9.+-]+", "_", recipient.replace("@", "_at_"))[:60]
    return f"{month}-r{revision}-{readable}-{identity[:16]}"


def checked_key(key: str) -> str:
    """``key``, which is fit for a file name.

    Raises:
        ValueError: it is not.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no delivery key: letters, digits and ._+- only, at most 200, no leading dot")
    return key


class Ledger:
    """What has left, below ``root`` (the lake's)."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "deliveries"

    def path(self, key: str) -> Path:
        return self.folder / f"{checked_key(key)}.json"

    def holds(self, key: str) -> bool:
        """Whether the message of that key has left."""
        return self.path(key).exists()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Deliver alone: look, send and record are one step for all workers. The lock ends with its process."""
        with naming_the_lake(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            guard = (self.folder / ".guard").open("a")
        with guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield

    def record(self, key: str, facts: Mapping[str, str]) -> bool:
        """Enter the message as sent; False where somebody else already has.

        Raises:
            LakeError: the ledger cannot be written.
        """
        with naming_the_lake(self.path(key)):
            try:
                handle = os.open(self.path(key), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                return False
            with os.fdopen(handle, "w") as file:
                json.dump({"key": key, **facts}, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
        return True
