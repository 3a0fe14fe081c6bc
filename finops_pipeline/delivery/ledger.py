"""The ledger of deliveries: ``deliveries/<key>.json`` below the lake's root, one record a mail, so that it leaves once.

Claim, send, confirm: a worker enters the mail as ``sending`` before it hands it over, and as ``sent`` or ``failed``
(refused for certain, to be tried again) after. What is still ``sending`` when its worker is gone may have left or not:
it is ambiguous, and a person decides. How mail leaves is not this module's business.
"""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from finops_pipeline.delivery import record as records
from finops_pipeline.delivery.record import DeliveryRecord
from finops_pipeline.delivery.versioned import VersionedFiles
from finops_pipeline.errors import AmbiguousDeliveryError, DeliveryError, LakeError
from finops_pipeline.storage import Storage

FINANCE = "finance"
"""The audience that gets the whole statement."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
"""A key is a file name in the ledger and in the outbox, and a word on the command line."""


def delivery_key(month: str, revision: int, recipient: str, content: str, audience: str = FINANCE) -> str:
    """Key of the one mail about this content in this revision to this recipient; readable, and fit for a file name.

    Args:
        month: As ``2026-10``.
        revision: Of the statement; 0 for a mail about something that has none.
        recipient: Its address.
        content: Digest of what the mail says.
        audience: In which capacity the recipient gets it; one address may stand for several.
    """
    identity = [month, revision, recipient, content] + ([] if audience == FINANCE else [audience])
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9.+-]+", "_", recipient.replace("@", "_at_"))[:60]
    return f"{month}-r{revision}-{readable}-{digest[:16]}"


def checked_key(key: str) -> str:
    """``key``, which is fit for a file name.

    Raises:
        ValueError: it is not.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no delivery key: letters, digits and ._+- only, at most 200, no leading dot")
    return key


@dataclass(frozen=True)
class Claim:
    """The right to hand over one mail, which one worker has at a time."""

    key: str
    facts: Mapping[str, str]
    version: str


class Ledger:
    """What has left and what is leaving, in the lake's storage."""

    def __init__(self, storage: Storage, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._files = VersionedFiles(storage, "deliveries")
        self._now = now

    # -- looking -------------------------------------------------------------------------------------------------

    def find(self, key: str) -> DeliveryRecord | None:
        """What is recorded under that key; None where nothing is.

        Raises:
            LakeError: the ledger cannot be read.
        """
        return self._look(key)[0]

    def records(self) -> list[DeliveryRecord]:
        """Everything on record, by key: month after month.

        Raises:
            LakeError: the ledger cannot be read.
        """
        now = self._now()
        return [records.read_record(key, file.content, now) for key, file in self._files.all().items()]

    # -- claim, send, confirm ------------------------------------------------------------------------------------

    def claim(self, key: str, facts: Mapping[str, str], *, idempotent: bool = False) -> Claim | None:
        """Take the right to hand the mail over; None where it has left or another worker is at it.

        Args:
            key: From :func:`delivery_key`.
            facts: ``to``, ``subject`` and ``message_id``, for people.
            idempotent: The same mail may be handed over twice without harm: one that may have left simply goes again.

        Raises:
            AmbiguousDeliveryError: it may have left.
            LakeError: the ledger cannot be written.
        """
        while True:
            record, version = self._look(key)
            if record is not None:
                if record.state in ("sent", "in progress"):
                    return None
                if record.state == "ambiguous" and not idempotent:
                    raise _undecided(record)
            taken = self._put(key, records.claimed(key, facts, self._now()), version)
            if taken is not None:
                return Claim(key, facts, taken)

    def confirm(self, claim: Claim, place: str) -> bool:
        """Record that the mail has left; False where that is on record already.

        Whatever else the ledger says by now, a mail that is known to have left must not be sent again.

        Raises:
            LakeError: the ledger cannot be written; the text says how to make up for it.
        """
        content = records.sent(claim.key, claim.facts, self._now(), place)
        version: str | None = claim.version
        try:
            while self._put(claim.key, content, version) is None:
                record, version = self._look(claim.key)
                if record is not None and record.state == "sent":
                    return False
        except LakeError as error:
            raise LakeError(
                f"{error} The mail to {claim.facts.get('to', '')} has left, and the ledger does not say so: "
                f"finops deliver --arrived {claim.key}"
            ) from error
        return True

    def fail(self, claim: Claim, reason: str) -> None:
        """Record that the mail was refused for certain, so that the next run tries again."""
        # Where the ledger cannot be written, the claim stays and becomes ambiguous: too careful, but no reason to hide
        # why the mail was refused.
        with suppress(LakeError):
            content = records.refused(claim.key, claim.facts, self._now(), reason)
            self._files.replace(claim.key, content, claim.version)

    def doubt(self, claim: Claim, reason: str) -> AmbiguousDeliveryError:
        """Record that nobody knows whether the mail has left; the error that says so."""
        now = self._now()
        content = records.doubtful(claim.key, claim.facts, now, reason)
        with suppress(LakeError):  # the claim stays and becomes ambiguous all the same
            self._files.replace(claim.key, content, claim.version)
        return _undecided(records.read_record(claim.key, content, now))

    # -- a person's decisions ------------------------------------------------------------------------------------

    def release(self, key: str) -> None:
        """Let an ambiguous mail be sent again.

        Raises:
            DeliveryError: there is no such mail, it has left, or a worker is handing it over.
            LakeError: the ledger cannot be written.
        """
        record = self._settle(
            key, lambda facts, now: records.refused(key, facts, now, "to be sent again, as a person decided")
        )
        if record.state == "sent":
            when = "" if record.at is None else f" on {record.at:%Y-%m-%d at %H:%M} UTC"
            raise DeliveryError(f"{key}: this mail to {record.recipient} has left{when} and is not sent again.")

    def mark_sent(self, key: str) -> None:
        """Take a mail for sent because a person says that it arrived.

        Raises:
            DeliveryError: there is no such mail, or a worker is handing it over.
            LakeError: the ledger cannot be written.
        """
        self._settle(key, lambda facts, now: records.sent(key, facts, now, "arrived, as a person said"))

    def _settle(self, key: str, decided: Callable[[Mapping[str, str], dt.datetime], bytes]) -> DeliveryRecord:
        """Replace the record of a mail that is not known to have left; the record as it was."""
        while True:
            record, version = self._look(key)
            if record is None:
                raise DeliveryError(f"{key}: no mail of that key is on record. `finops deliver` lists those that are.")
            if record.state == "in progress":
                raise DeliveryError(f"{key}: this mail is being handed over now. Look again in a few minutes.")
            if record.state == "sent" or self._put(key, decided(record.facts, self._now()), version) is not None:
                return record

    # -- files ---------------------------------------------------------------------------------------------------

    def _look(self, key: str) -> tuple[DeliveryRecord | None, str | None]:
        """The record and its version; None for both where there is none."""
        found = self._files.read(checked_key(key))
        return (None, None) if found is None else (records.read_record(key, found.content, self._now()), found.version)

    def _put(self, key: str, content: bytes, version: str | None) -> str | None:
        """Write the record over ``version`` of it; the new version, or None where somebody else was faster."""
        if version is None:
            return self._files.create(key, content)
        return self._files.replace(key, content, version)


def _undecided(record: DeliveryRecord) -> AmbiguousDeliveryError:
    to = f" to {record.recipient}" if record.recipient else ""
    known_as = f" as {record.message_id}" if record.message_id else ""
    return AmbiguousDeliveryError(
        f"the mail{to} may have left, and nobody knows: {record.reason}. It is not sent again by itself. Look whether "
        f"it arrived (mail servers know it{known_as}), then say so: finops deliver --arrived {record.key}; "
        f"or have it sent again: finops deliver --resend {record.key}"
    )
