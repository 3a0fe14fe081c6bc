"""Small files that many workers change and none over another: create if absent, read, replace if unchanged.

The three are what S3 has as conditional requests (``If-None-Match: *``, ``ETag``, ``If-Match``), so that a lake there
can offer the same. Here, on a local or mounted disk, a lock on the folder makes looking and changing one step. What
the files say is not this module's business.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from finops_pipeline.errors import LakeError
from finops_pipeline.files import naming_the_lake, sync, write_atomically

_SUFFIX = ".json"
_GUARD = ".guard"


class Versioned(NamedTuple):
    """What a file says, and the version that :meth:`VersionedFiles.replace` asks for."""

    content: bytes
    version: str


class VersionedFiles:
    """The JSON files directly below one folder, which the first one makes. Names are given without ``.json``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / f"{name}{_SUFFIX}"

    def names(self) -> list[str]:
        """Names of all files, sorted.

        Raises:
            LakeError: the folder is there and cannot be listed.
        """
        with _reading(self.folder):
            try:
                return sorted(path.stem for path in self.folder.iterdir() if path.suffix == _SUFFIX)
            except FileNotFoundError:
                return []

    def read(self, name: str) -> Versioned | None:
        """The file as it is now; None where there is none.

        Raises:
            LakeError: it is there and cannot be read.
        """
        guard = self.folder / _GUARD
        with _reading(self.path(name)):
            while True:
                with contextlib.suppress(FileNotFoundError), guard.open("rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_SH)
                    return self._read(name)
                found = self._read(name)
                if not guard.exists():  # so no worker had begun to write, and what was read is whole
                    return found

    def create(self, name: str, content: bytes) -> str | None:
        """Make the file; its version, or None where it exists already.

        Raises:
            LakeError: it cannot be written; nothing half-written is left.
        """
        with self._alone(name):
            try:
                handle = os.open(self.path(name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                return None
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                sync(self.folder)
            except OSError:  # a full disk: what is half-written would be taken for somebody's file
                self.path(name).unlink()
                raise
        return _version(content)

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """Put ``content`` in place of what the file said in ``version``; the new version, or None where it has changed.

        Raises:
            LakeError: it cannot be written; what was there stays.
        """
        with self._alone(name):
            found = self._read(name)
            if found is None or found.version != version:
                return None
            write_atomically(self.path(name), content)
        return _version(content)

    def _read(self, name: str) -> Versioned | None:
        try:
            content = self.path(name).read_bytes()
        except FileNotFoundError:
            return None
        return Versioned(content, _version(content))

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """One writer at a time in the folder, and nobody reading; the lock ends with its process."""
        with naming_the_lake(self.path(name)):
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / _GUARD).open("ab") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                yield


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"{path}: cannot be read ({error.strerror or error}). Check the permissions of the lake's folder."
        ) from error
