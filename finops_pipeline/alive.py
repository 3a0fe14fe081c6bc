"""Signs of life, by which others know that a process has ended, and the folders that it has left then.

A sign is a file in this machine's temporary folder, locked (flock) for as long as its process runs. The kernel drops
the lock when the process ends, however it ends. So whoever finds the file unlocked knows that its process is gone;
whoever does not find it knows nothing: the process may run on another machine, or in another container.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
import uuid
from functools import lru_cache
from pathlib import Path

KEPT_SECONDS = 24 * 3600
"""How long the sign of a process that was killed stays: long after the last of its leases has ended."""


def own_sign() -> str:
    """The name of this process's sign of life; empty where none can be given."""
    return _sign_of(os.getpid())


def has_ended(sign: str) -> bool:
    """Whether the process of that sign is known to be gone."""
    return _is_locked(sign) is False


def own_folder(kind: str) -> Path:
    """A new temporary folder of this process, which nobody else may read. Whoever asks for it deletes it.

    Those of the same kind that killed processes have left are deleted: they hold logs, or tables.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}-{own_sign()}-"))
    if not own_sign():  # so those of others cannot be looked up either
        return folder
    for other in folder.parent.glob(f"{kind}-*-*"):
        sign = other.name.removeprefix(f"{kind}-").partition("-")[0]
        with contextlib.suppress(OSError):
            # Whoever has such a folder had its sign in the same place before.
            if sign and not _is_locked(sign) and other.lstat().st_uid == os.getuid():
                shutil.rmtree(other)
    return folder


def _is_locked(sign: str) -> bool | None:
    """Whether somebody holds the lock of that sign; None where there is no such sign here."""
    folder = _folder()
    if folder is None or not sign.isalnum():
        return None
    try:
        with (folder / sign).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


@lru_cache(maxsize=1)
def _sign_of(_pid: int) -> str:
    """A sign a process: one that was forked is another process."""
    folder = _folder()
    if folder is None:
        return ""
    _sweep(folder)
    sign = uuid.uuid4().hex
    try:
        file = os.open(folder / sign, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)  # open as long as the process
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return ""
    atexit.register((folder / sign).unlink, missing_ok=True)
    return sign


def _folder() -> Path | None:
    """Where the signs are: a folder that nobody else can write into. None where there is none to be had."""
    folder = Path(tempfile.gettempdir()) / f"finops-alive-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
    return folder if ours else None


def _sweep(folder: Path) -> None:
    """Delete the signs of processes that were killed long ago."""
    for file in folder.iterdir():
        with contextlib.suppress(OSError):
            if file.stat().st_mtime < time.time() - KEPT_SECONDS and has_ended(file.name):
                file.unlink()
