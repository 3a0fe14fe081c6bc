"""A lake in a local or mounted folder: renames and locks of the file system make each change one step.

``_staging`` holds files that are not finished yet, on the same file system as the tables.
"""

import contextlib
import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from finops_pipeline.errors import LakeError
from finops_pipeline.files import naming_the_lake, sync, write_atomically
from finops_pipeline.storage.folder_lease import FolderLease
from finops_pipeline.storage.storage import Storage, Stored, Versioned, lease_name

STAGING_SECONDS = 2 * 24 * 3600
"""What was not touched in the staging folder for this long was left there by a run that died."""

_GUARD = ".guard"


class FolderStorage(Storage):
    """The files below one folder, which the first write makes."""

    pause = 0.05

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self._folder = folder

    # -- looking -------------------------------------------------------------------------------------------------

    def folders(self, prefix: str) -> list[str]:
        return sorted(entry.name for entry in self._entries(prefix) if entry.is_dir())

    def files(self, prefix: str) -> list[Stored]:
        folder, slash, start = prefix.rpartition("/")
        return [Stored(name) for name in self._below(folder + slash, start)]

    def _below(self, folder: str, start: str = "") -> Iterator[str]:
        for entry in self._entries(folder):
            if not entry.name.startswith(start):
                continue
            if entry.is_dir():
                yield from self._below(f"{folder}{entry.name}/")
            else:
                yield folder + entry.name

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        place = self._folder / folder
        try:
            with os.scandir(place) as found:
                return [entry for entry in found if not entry.name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LakeError(
                f"{place}: cannot be listed ({error.strerror or error}). "
                "Check `lake` in finops.yaml and the folder's permissions."
            ) from error

    def tail(self, name: str, size: int) -> Versioned | None:
        with self._reading(name), contextlib.suppress(FileNotFoundError), (self._folder / name).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return Versioned(file.read(), "")
        return None

    def fetch(self, file: Stored) -> Path:
        return self._folder / file.name

    def read(self, name: str) -> Versioned | None:
        guard = (self._folder / name).parent / _GUARD
        with self._reading(name):
            while True:
                with contextlib.suppress(FileNotFoundError), guard.open("rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_SH)
                    return self._read(name)
                found = self._read(name)
                if not guard.exists():  # so no worker had begun to write, and what was read is whole
                    return found

    def _read(self, name: str) -> Versioned | None:
        try:
            content = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        return Versioned(content, _version(content))

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LakeError(
                f"{self.place(name)}: cannot be read ({error.strerror or error}). "
                "Check the permissions of the lake's folder."
            ) from error

    # -- writing -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def staged(self) -> Iterator[Path]:
        with naming_the_lake(self._folder / "_staging"):
            file = self._staging() / uuid.uuid4().hex
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    def publish(self, staged: Path, name: str) -> None:
        self._confirm()
        target = self._folder / name
        with naming_the_lake(target):
            sync(staged)
            made = [folder for folder in target.parents if not folder.exists()]
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
            for changed in (target.parent, *(folder.parent for folder in made)):
                sync(changed)

    def write(self, name: str, content: bytes) -> None:
        self._confirm()
        with naming_the_lake(self._folder / name):
            write_atomically(self._folder / name, content)

    def create(self, name: str, content: bytes) -> str | None:
        file = self._folder / name
        with self._alone(file):
            try:
                handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                return None
            try:
                with os.fdopen(handle, "wb") as made:
                    made.write(content)
                    made.flush()
                    os.fsync(made.fileno())
                sync(file.parent)
            except OSError:  # a full disk: what is half-written would be taken for somebody's file
                file.unlink()
                raise
        return _version(content)

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        file = self._folder / name
        with self._alone(file):
            found = self._read(name)
            if found is None or found.version != version:
                return None
            write_atomically(file, content)
        return _version(content)

    def check_reachable(self) -> None:
        there = next(step for step in (self._folder, *self._folder.parents) if step.exists())
        if not there.is_dir():
            raise LakeError(f"{self.root}: {there} is no folder. Check `lake` in finops.yaml.")
        if not os.access(there, os.W_OK | os.X_OK):
            raise LakeError(f"{self.root}: {there} cannot be written. Check `lake` in finops.yaml and the permissions.")

    def check_writable(self) -> None:
        with self.staged() as trial, naming_the_lake(self._folder):
            trial.write_bytes(b"x")

    def _staging(self) -> Path:
        """The folder of unfinished files, swept of what dead runs left."""
        folder = self._folder / "_staging"
        folder.mkdir(parents=True, exist_ok=True)
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                if entry.stat().st_mtime < time.time() - STAGING_SECONDS:
                    entry.unlink()
        return folder

    # -- one at a time -------------------------------------------------------------------------------------------

    def _acquire(self, what: str) -> FolderLease:
        file = self._folder / lease_name(what)
        with naming_the_lake(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            return FolderLease(what, file)

    @contextlib.contextmanager
    def _alone(self, file: Path) -> Iterator[None]:
        """One writer at a time in the file's folder, and nobody reading; the lock ends with its process."""
        with naming_the_lake(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with (file.parent / _GUARD).open("ab") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                yield


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
