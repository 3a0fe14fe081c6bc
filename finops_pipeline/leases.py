"""Leases: who is writing what, so that no two runs make one thing at once. ``storage`` knows how each is kept."""

import datetime as dt
import time
from collections.abc import Callable
from typing import TypeVar

from finops_pipeline.errors import LeaseHeldError

PATIENCE = dt.timedelta(minutes=10)
"""How long a run waits for another one that is making the same partition."""

_Lease = TypeVar("_Lease")


def patiently(acquire: Callable[[], _Lease], wait: dt.timedelta, pause: float) -> _Lease:
    """``acquire()``, tried again every ``pause`` seconds for as long as another live run holds the lease.

    Raises:
        LeaseHeldError: it still does after ``wait``.
    """
    give_up = time.monotonic() + wait.total_seconds()
    while True:
        try:
            return acquire()
        except LeaseHeldError:
            if time.monotonic() >= give_up:
                raise
        time.sleep(pause)


def taken(what: str, host: str, pid: str, way_out: str) -> LeaseHeldError:
    """The error that says who holds a lease."""
    return LeaseHeldError(f"{what} is being written by process {pid} on {host}. Wait for it to end; {way_out}.")


def lost(what: str) -> LeaseHeldError:
    """The error of a run that was held up for so long that another one has taken over."""
    return LeaseHeldError(
        f"{what} was taken over by another run while this one was held up. Nothing more is written; run it again."
    )
