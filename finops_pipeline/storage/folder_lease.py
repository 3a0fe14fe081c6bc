"""A lease in a local folder: a file that says who is writing, kept locked (flock) for as long as the lease is held.

The kernel drops the lock when the holder's process ends, however it ends. So on one host a lease is alive exactly
while its lock is taken, and no process id has to be trusted, which a restarted container would use again. A lease of
another host is alive until it expires.
"""

import contextlib
import datetime as dt
import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from finops_pipeline.leases import lost, taken

LEASE_TIME = dt.timedelta(hours=6)
"""How long another host's lease is taken for alive."""


class FolderLease:
    """Takes the lease, over an abandoned one if need be; the folder of its file must exist.

    Raises:
        LeaseHeldError: another live run holds it, in this process or another.
        OSError: the folder cannot be written.
    """

    def __init__(self, what: str, file: Path) -> None:
        self._what, self._file = unquote(what), file
        now = dt.datetime.now(dt.UTC)
        mine = {"host": socket.gethostname(), "pid": os.getpid(), "expires": (now + LEASE_TIME).isoformat()}
        with _guarded(file.parent):
            holder = _holder(file)
            if holder is not None and _alive(file, holder, now):
                raise taken(self._what, holder["host"], holder["pid"], f"if it is gone, delete {file}")
            file.unlink(missing_ok=True)
            self._lock = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.write(self._lock, json.dumps(mine).encode())
            except BaseException:
                os.close(self._lock)
                raise

    def confirm(self) -> None:
        if not self._is_ours():
            raise lost(self._what)

    def release(self) -> None:
        try:
            # On an OSError the file stays behind, unlocked: the next run takes it over.
            with contextlib.suppress(OSError), _guarded(self._file.parent):
                if self._is_ours():
                    self._file.unlink()
        finally:
            os.close(self._lock)

    def _is_ours(self) -> bool:
        """Whether the file is the one that this run has made: it is another one's where this lease had expired."""
        try:
            return os.path.samestat(self._file.stat(), os.fstat(self._lock))
        except FileNotFoundError:
            return False


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
