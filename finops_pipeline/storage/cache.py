"""Local copies of the files of a lake on S3: each version once, the least recently used go first.

By default they live in a folder of the process and go with it; what a process that was killed has left, the next one
takes away. With ``FINOPS_CACHE`` they stay, for the next run and
for others at the same time. They hold what the lake holds, so that nobody else may read them.
"""

import atexit
import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from finops_pipeline.alive import own_folder
from finops_pipeline.errors import LakeError
from finops_pipeline.files import sync
from finops_pipeline.storage.storage import Stored

MAX_BYTES = 10 << 30
"""What the copies may take together; more only while a step is at work with them."""

IN_USE_SECONDS = 1800
"""What was asked for so recently may still be read, and stays."""

UNFINISHED_SECONDS = 2 * 24 * 3600
"""The same of files in the making, which a long day writes to now and then."""

_UNFINISHED = "_unfinished"


class Cache:
    """The copies of one lake's files.

    Args:
        folder: Where they lie, with those of other lakes.
        root: The lake's.
        max_bytes: What all copies in the folder may take together.
        outlives: Whether they are for later processes too, so that they must survive a crash of the machine.

    Raises:
        LakeError: the folder cannot be used.
    """

    def __init__(self, folder: Path, root: str, max_bytes: int = MAX_BYTES, *, outlives: bool = True) -> None:
        if any("=" in step for step in folder.parts):
            raise LakeError(
                f"{folder}: the cache of the lake cannot lie below a folder with = in its name, which readers take "
                "for a partition key. Set FINOPS_CACHE to another one."
            )
        self._top, self._max_bytes, self._outlives = folder, max_bytes, outlives
        self._folder = folder / hashlib.sha256(root.encode()).hexdigest()[:16]
        self._size: int | None = None

    def find(self, file: Stored) -> Path | None:
        """The copy of that version; None where there is none."""
        path = self._path(file)
        with self.usable():
            try:
                os.utime(path)
            except FileNotFoundError:
                return None
        return path

    def keep(self, whole: Path, file: Stored) -> Path:
        """Take a finished file over as the copy of that version; it is moved."""
        path = self._path(file)
        self._make(path.parent)
        with self.usable():
            size = whole.stat().st_size
            if self._outlives:
                sync(whole)
            whole.replace(path)
        self._make_room(size)
        return path

    @contextlib.contextmanager
    def unfinished(self) -> Iterator[Path]:
        """A path for a file in the making; what is left there when the block ends is deleted."""
        file = self._folder / _UNFINISHED / uuid.uuid4().hex
        self._make(file.parent)
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    def _make(self, folder: Path) -> None:
        """Make a folder below one that is nobody else's."""
        with self.usable():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(parents=True, exist_ok=True)

    def _path(self, file: Stored) -> Path:
        """``usage/source=a/date=2026-10-01/part-0.<version>.parquet``: readers find the keys in it."""
        path = self._folder / file.name
        return path.with_name(f"{path.stem}.{quote(file.version, safe='')}{path.suffix}")

    @contextlib.contextmanager
    def usable(self) -> Iterator[None]:
        """Tell an error of the operating system as one that a person can act on."""
        try:
            yield
        except OSError as error:
            raise LakeError(
                f"{self._top}: the cache of the lake cannot be used ({error.strerror or error}). Check its "
                "permissions and the free space, or set FINOPS_CACHE to another folder."
            ) from error

    def _make_room(self, added: int) -> None:
        """Delete what was used least recently, here and by other lakes and processes, once it is too much together."""
        if self._size is not None and self._size + added <= self._max_bytes:
            self._size += added
            return
        found = []
        for file in self._top.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                status = file.stat()
                if file.is_file():
                    found.append((status.st_mtime, status.st_size, file))
        self._size = sum(size for _, size, _ in found)
        for used, size, file in sorted(found):
            if self._size <= self._max_bytes:
                break
            kept = UNFINISHED_SECONDS if file.parent.name == _UNFINISHED else IN_USE_SECONDS
            if used < time.time() - kept:
                file.unlink(missing_ok=True)
                self._size -= size


def cache_of(root: str) -> Cache:
    """The cache of the lake at ``root``: below ``FINOPS_CACHE``, or for this process alone."""
    kept = os.environ.get("FINOPS_CACHE")
    folder = Path(kept).expanduser().absolute() if kept else _folder_of(os.getpid())
    return _cache(folder, root, outlives=bool(kept))


@lru_cache(maxsize=8)
def _cache(folder: Path, root: str, *, outlives: bool) -> Cache:
    """One a process, which knows how much its folder holds."""
    return Cache(folder, root, outlives=outlives)


@lru_cache(maxsize=1)
def _folder_of(_pid: int) -> Path:
    folder = own_folder("finops-cache")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
