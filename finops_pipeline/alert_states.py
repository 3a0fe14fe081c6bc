"""What an alert is, and what became of it: a file an alert below ``alerts/`` in the lake, replaced by one atomic step.

Which alerts hold, and who is told, is decided in ``alerts``.
"""

import contextlib
import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pydantic import TypeAdapter

from finops_pipeline.errors import LakeError
from finops_pipeline.lake import Lake
from finops_pipeline.leases import PATIENCE

Kind = Literal["actual", "forecast"]
State = Literal["open", "retracted"]
Mail = Literal["due", "silent", "superseded"]


@dataclass(frozen=True)
class Alert:
    """One crossing of a threshold, with what was known of it when it was found.

    Attributes:
        budget: Its name in the config.
        scope: Whose spend counts: (("team", "search"),).
        period: ``2026-10``.
        kind: What has crossed: what was spent, or what the period comes to at this rate.
        threshold: Share of the limit; 1.0 is 100 %.
        limit: USD a period.
        day: The first day at whose end it held.
        spent: USD from the period's first day to the end of that day.
        forecast: USD at the period's end, as of that day; None where nothing could be forecast.
    """

    budget: str
    scope: tuple[tuple[str, str], ...]
    period: str
    kind: Kind
    threshold: Decimal
    limit: Decimal
    day: dt.date
    spent: Decimal
    forecast: Decimal | None

    @property
    def key(self) -> str:
        """Budget, period, kind, threshold and limit: what makes it this alert and no other; fit for a file name."""
        return alert_key(self.budget, self.period, self.kind, self.threshold, self.limit)

    @property
    def team(self) -> str | None:
        """The team whose spend counts, wholly or in part; None for a budget over several teams."""
        return dict(self.scope).get("team")


@dataclass(frozen=True)
class AlertState:
    """An alert, and what became of it.

    Attributes:
        alert: As it was when it opened.
        state: ``open``; ``retracted`` where a restatement took it back, or the forecast fell.
        opened_as_of: The date of the run that opened it.
        mail: ``due``: it is told, which the ledger of deliveries makes happen once; ``silent``: its day was too long
            ago; ``superseded``: a higher threshold was told in its place.
        recipients: Who is told; nobody unless the mail is due.
    """

    alert: Alert
    state: State
    opened_as_of: dt.date
    mail: Mail
    recipients: tuple[str, ...] = ()

    @property
    def forgotten(self) -> bool:
        """Whether nobody was told, and it holds no more: if it holds again, it is as good as new."""
        return self.state == "retracted" and self.mail == "silent"


_STATE = TypeAdapter(AlertState)
_SUFFIX = ".json"


class AlertStates:
    """The states of one month's alerts: ``alerts/month=<m>/<key>.json``."""

    def __init__(self, lake: Lake, month: str) -> None:
        self._storage, self._month = lake.storage, month

    def read(self) -> list[AlertState]:
        """All of them, in order of key.

        Raises:
            LakeError: naming the file that cannot be read.
        """
        names = sorted(file.name for file in self._storage.files(self._file("")) if file.name.endswith(_SUFFIX))
        contents = zip(names, self._storage.each(self._storage.read, names), strict=True)
        return [_state(self._storage.place(name), found.content) for name, found in contents if found is not None]

    def write(self, state: AlertState) -> None:
        """Make this the state of its alert.

        Raises:
            LakeError: it cannot be written; what was there stays.
        """
        self._storage.write(self._file(f"{state.alert.key}{_SUFFIX}"), _STATE.dump_json(state, indent=2))

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Evaluate alone: reading the states and writing them is one step for all runs.

        Raises:
            LeaseHeldError: another run is at it, and has not finished in time.
            LakeError: the lake cannot be written.
        """
        with self._storage.lease(f"alerts-month={self._month}", PATIENCE):
            yield

    def _file(self, name: str) -> str:
        return f"alerts/month={self._month}/{name}"


def alert_key(budget: str, period: str, kind: Kind, threshold: Decimal, limit: Decimal) -> str:
    """What makes an alert this one and no other; readable, and fit for a file name."""
    identity = json.dumps([budget, period, kind, _plain(threshold), _plain(limit)])
    readable = re.sub(r"[^A-Za-z0-9.+-]+", "_", f"{budget[:60]}-{kind}-{_plain(threshold)[:8]}")
    return f"{period}-{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _plain(number: Decimal) -> str:
    """The same text for the same number: 1 and 1.00 are one threshold."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _state(place: str, content: bytes) -> AlertState:
    try:
        return _STATE.validate_json(content)
    except ValueError as error:
        raise LakeError(
            f"{place}: no readable state of an alert. Delete it and run any day of its month again: the alert opens "
            "anew, and what was mailed is not mailed again."
        ) from error
