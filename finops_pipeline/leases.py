"""Leases: a file that says who is writing what, kept locked (flock) for as long as the lease is held.

The kernel drops the lock when the holder's process ends, however it ends. So on one host a lease is alive exactly
while its lock is taken, and no process id has to be trusted, which a restarted container would use again. A lease of
another host is alive until it expires. What is leased, and where the files lie, is the lake's business.
"""

import contextlib
import datetime as dt
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from finops_pipeline.errors import LeaseHeldError

LEASE_TIME = dt.timedelta(hours=6)
"""How long another host's lease is taken for alive."""


PATIENCE = dt.timedelta(minutes=10)
"""How long a run waits for another one that is making the same partition."""

PAUSE = 0.05
"""Seconds between two looks at a lease."""


def acquire(file: Path, wait: dt.timedelta = dt.timedelta()) -> int:
    """Take the lease, over an abandoned one if need be; its folder must exist.

    Args:
        file: The lease.
        wait: How long to wait while another live run holds it.

    Returns:
        The open descriptor that keeps the lease alive, for :func:`release`.

    Raises:
        LeaseHeldError: another live run holds it, in this process or another.
        OSError: the folder cannot be written.
    """
    give_up = time.monotonic() + wait.total_seconds()
    while True:
        try:
            return _acquire(file)
        except LeaseHeldError:
            if time.monotonic() >= give_up:
                raise
        time.sleep(PAUSE)


def _acquire(file: Path) -> int:
    now = dt.datetime.now(dt.UTC)
    mine = {"host": socket.gethostname(), "pid": os.getpid(), "expires": (now + LEASE_TIME).isoformat()}
    with _guarded(file.parent):
        holder = _holder(file)
        if holder is not None and _alive(file, holder, now):
            raise LeaseHeldError(
                f"{unquote(file.stem)} is being written by process {holder['pid']} on {holder['host']}. "
                f"Wait for it to end; if it is gone, delete {file}."
            )
        file.unlink(missing_ok=True)
        lock = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(lock, json.dumps(mine).encode())
        except BaseException:
            os.close(lock)
            raise
    return lock


def release(file: Path, lock: int) -> None:
    """Give the lease back; the file stays where it expired meanwhile and is another run's by now."""
    try:
        # On an OSError the file stays behind, unlocked: the next run takes it over.
        with contextlib.suppress(OSError), _guarded(file.parent):
            if os.path.samestat(file.stat(), os.fstat(lock)):
                file.unlink()
    finally:
        os.close(lock)


@contextlib.contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    """One at a time in the whole folder, so that looking at a lease and replacing it are one step."""
    with (folder / ".guard").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _holder(file: Path) -> dict[str, str] | None:
    """Who took the lease; None where nobody did, or where its writer died before it could say so."""
    try:
        said = json.loads(file.read_text())
        holder = {name: str(said[name]) for name in ("host", "pid", "expires")}
        dt.datetime.fromisoformat(holder["expires"]).astimezone(dt.UTC)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    return holder


def _alive(file: Path, holder: Mapping[str, str], now: dt.datetime) -> bool:
    if holder["host"] != socket.gethostname():
        return dt.datetime.fromisoformat(holder["expires"]).astimezone(dt.UTC) > now
    with file.open("rb") as lease:
        try:
            fcntl.flock(lease, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
