"""A lease in a bucket: an object that says who is writing, renewed for as long as the lease is held.

S3 knows no processes, so a lease is alive until it was not renewed for ``SECONDS``: long enough for a few renewals to
fail, short enough to wait for after a crash. Its age is told by the server's clock; those of hosts do not matter. Where
its holder has run on this machine and is known to be gone (``alive``), nobody waits for that. It is made by
``If-None-Match``, and renewed and taken over by ``If-Match``, so that of many one wins.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from finops_pipeline import alive
from finops_pipeline.errors import LakeError
from finops_pipeline.leases import lost, taken
from finops_pipeline.storage.storage import lease_name

if TYPE_CHECKING:
    from finops_pipeline.storage.bucket import BucketStorage

SECONDS = 120.0
"""How long a lease is alive after it was taken or renewed."""

RENEWALS = 4
"""How often it is renewed in that time."""


class BucketLease:
    """Takes the lease, over an abandoned one if need be, and renews it until it is released.

    Raises:
        LeaseHeldError: another live run holds it, in this process or another.
        LakeError: the bucket cannot be written.
    """

    def __init__(self, storage: "BucketStorage", what: str) -> None:
        self._storage, self._what, self._name = storage, unquote(what), lease_name(what)
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "token": uuid.uuid4().hex, "seconds": SECONDS}
        owner["sign"] = alive.own_sign()
        self._content = json.dumps(owner).encode()
        self._lock, self._released = threading.Lock(), threading.Event()
        self._lost = False
        self._renewed = _clocks()
        self._version = self._take()
        threading.Thread(target=self._keep_alive, name=f"lease {self._what}", daemon=True).start()

    def confirm(self) -> None:
        if self._age() > SECONDS / 2:  # renewing has failed for a while, or this process was held up
            self._renew()
        if self._lost:
            raise lost(self._what)

    def release(self) -> None:
        self._released.set()
        # What cannot be deleted now is abandoned, and ends by its age.
        with self._lock, contextlib.suppress(LakeError):
            if self._found() is not None:
                self._storage.delete(self._name)

    def _take(self) -> str:
        while True:
            version = self._storage.create(self._name, self._content)
            if version is None and (found := self._storage.read_with_age(self._name)) is not None:
                (content, abandoned), age = found
                holder = _holder(content)
                if holder is not None and age.total_seconds() < holder.seconds and not alive.has_ended(holder.sign):
                    way_out = f"if it is gone, its lease ends {holder.seconds:g} s after its last sign of life"
                    raise taken(self._what, holder.host, holder.pid, way_out)
                version = self._storage.replace(self._name, self._content, abandoned)
            if version is not None:
                return version
            self._renewed = _clocks()

    def _keep_alive(self) -> None:
        while not self._released.wait(SECONDS / RENEWALS) and not self._lost:
            with contextlib.suppress(LakeError):  # the next time may succeed; `confirm` tells where none does
                self._renew()

    def _renew(self) -> None:
        with self._lock:
            if self._released.is_set() or self._lost:
                return
            begun = _clocks()
            version = self._storage.replace(self._name, self._content, self._version)
            if version is not None:
                self._version, self._renewed = version, begun
            elif (found := self._found()) is not None:  # an earlier renewal has succeeded, and its answer was lost
                self._version = found
            else:
                self._lost = True

    def _found(self) -> str | None:
        """Version of the lease, as far as it is still this run's."""
        found = self._storage.read(self._name)
        return found.version if found is not None and found.content == self._content else None

    def _age(self) -> float:
        """Seconds since the lease was renewed for certain; either clock may stand still while a machine sleeps."""
        return max(now - then for now, then in zip(_clocks(), self._renewed, strict=True))


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.time()


@dataclass(frozen=True)
class _Holder:
    """What a lease says of the run that holds it."""

    host: str
    pid: str
    seconds: float
    sign: str


def _holder(content: bytes) -> _Holder | None:
    """Who has the lease; None where it does not say so."""
    try:
        said = json.loads(content)
        return _Holder(str(said["host"]), str(said["pid"]), float(said["seconds"]), str(said.get("sign", "")))
    except (ValueError, TypeError, KeyError):
        return None
