"""What the ledger says of one mail, and how that stands in its file: a state, facts for people, an owner meanwhile.

No record holds a mail's body or a secret. What brings a record from one state to the next is the ledger's business.
"""

import datetime as dt
import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

LEASE_TIME = dt.timedelta(minutes=10)
"""How long handing a mail over may take; the transports give up earlier. After that, a claim is nobody's."""

SHORT_KEY = 8
"""Characters of a key that name a mail to a person."""

State: TypeAlias = Literal["sent", "failed", "in progress", "ambiguous"]


@dataclass(frozen=True)
class DeliveryRecord:
    """What the ledger says of one mail.

    Attributes:
        key: From ``delivery_key``.
        state: ``sent``; ``failed``: refused for certain, and tried again by the next run; ``in progress``: a live
            worker is handing it over; ``ambiguous``: it may have left, and nobody sends it again before a person
            decides.
        recipient: Its address.
        subject: Its subject.
        message_id: Its Message-ID, by which mail servers know it.
        at: When it came to this state, UTC; None where that is not recorded.
        place: Where it went; empty unless it is sent.
        reason: Why it failed, or why nobody knows; empty otherwise.
    """

    key: str
    state: State
    recipient: str
    subject: str
    message_id: str
    at: dt.datetime | None
    place: str
    reason: str

    @property
    def month(self) -> str:
        """The month that the mail is about, as ``2026-10``."""
        return self.key[:7]

    @property
    def short_key(self) -> str:
        """As much of the key as a person needs to name the mail."""
        return self._digest[:SHORT_KEY]

    def has_key(self, key: str) -> bool:
        """Whether ``key`` names this mail: the whole key, or at least as much of its end as the short one has."""
        return key == self.key or (len(key) >= SHORT_KEY and self._digest.startswith(key))

    @property
    def facts(self) -> dict[str, str]:
        """What every record of the mail says, whatever its state."""
        return {"to": self.recipient, "subject": self.subject, "message_id": self.message_id}

    @property
    def _digest(self) -> str:
        return self.key.rpartition("-")[2]


def claimed(key: str, facts: Mapping[str, str], now: dt.datetime) -> bytes:
    """The record of a mail that this process is about to hand over."""
    owner = {"host": socket.gethostname(), "pid": str(os.getpid()), "expires": (now + LEASE_TIME).isoformat()}
    return _written(key, "sending", facts, now, owner)


def doubtful(key: str, facts: Mapping[str, str], now: dt.datetime, reason: str) -> bytes:
    """The record of a mail that may have left or not."""
    return _written(key, "sending", facts, now, {"reason": reason})


def refused(key: str, facts: Mapping[str, str], now: dt.datetime, reason: str) -> bytes:
    """The record of a mail that has not left, for certain."""
    return _written(key, "failed", facts, now, {"reason": reason})


def sent(key: str, facts: Mapping[str, str], now: dt.datetime, place: str) -> bytes:
    """The record of a mail that has left."""
    return _written(key, "sent", facts, now, {"sent_as": place})


def _written(key: str, state: str, facts: Mapping[str, str], at: dt.datetime, details: Mapping[str, str]) -> bytes:
    return json.dumps({"key": key, "state": state, **facts, "at": at.isoformat(), **details}, indent=2).encode()


def read_record(key: str, content: bytes, now: dt.datetime) -> DeliveryRecord:
    """What a record's file says at the time ``now``: whether a claim is still alive depends on it."""
    said = _parsed(content)
    state, reason = _state(said, now)
    return DeliveryRecord(
        key,
        state,
        recipient=said.get("to", ""),
        subject=said.get("subject", ""),
        message_id=said.get("message_id", ""),
        at=_time(said.get("at", "")),
        place=said.get("sent_as", ""),
        reason=reason,
    )


def _parsed(content: bytes) -> dict[str, str]:
    """The file's fields; none where it is no record."""
    try:
        said = json.loads(content)
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in said.items()} if isinstance(said, dict) else {}


def _state(said: Mapping[str, str], now: dt.datetime) -> tuple[State, str]:
    """The state as a person sees it, and the reason for it."""
    reason = said.get("reason", "")
    match said.get("state"):
        case "sent":
            return "sent", ""
        case "failed":
            return "failed", reason
        case "sending" if not reason and _alive(said, now):
            return "in progress", ""
        case "sending":
            return "ambiguous", reason or "its sender ended before it could say whether the mail had left"
        case None if said:  # of an earlier version, which wrote records of mails that had left only
            return "sent", ""
    return "ambiguous", "its record in the ledger cannot be read"


def _time(text: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except ValueError:
        return None


def _alive(said: Mapping[str, str], now: dt.datetime) -> bool:
    """Whether the claim's worker may still be at it: its time is not over and, on this host, its process runs."""
    expires = _time(said.get("expires", ""))
    if expires is None or expires <= now:
        return False
    return said.get("host") != socket.gethostname() or _runs(said.get("pid", ""))


def _runs(pid: str) -> bool:
    """Whether a process of that id runs. Another one may have it by now: then the claim lives until it expires."""
    if not re.fullmatch(r"[1-9]\d{0,9}", pid):
        return False
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
