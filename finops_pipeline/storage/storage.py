"""What a lake asks of the place where its files lie; ``FolderStorage`` and ``BucketStorage`` answer it.

A file's name is its path below the lake's root, with slashes. Names that begin with a dot are no files of the lake.
"""

import contextlib
import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from finops_pipeline.errors import LakeError
from finops_pipeline.leases import patiently

S3 = "s3://"

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class Stored(NamedTuple):
    """A file that a listing found. Equal versions of a name are equal bytes; an empty version says nothing."""

    name: str
    version: str = ""


class Versioned(NamedTuple):
    """What a file says, or the end of it, and the version that :meth:`Storage.replace` asks for."""

    content: bytes
    version: str


class Lease(Protocol):
    """The right to write something, which one run has at a time."""

    def confirm(self) -> None:
        """Nothing, as long as the lease is still held. Raises LeaseHeldError where it was lost to another run."""

    def release(self) -> None:
        """Give it back. It stays with whoever has taken it over meanwhile."""


class Storage(ABC):
    """The files of one lake. What cannot be read or written raises LakeError, naming the file and the way out."""

    pause: float
    """Seconds between two looks at a lease that another run holds."""

    def __init__(self, root: str) -> None:
        if any("=" in step for step in root.split("/")):
            raise LakeError(
                f"{root}: a lake cannot lie below a folder with = in its name, which readers take for a partition "
                "key. Choose another place for `lake` in finops.yaml."
            )
        self.root = root
        self._held: list[Lease] = []

    def place(self, name: str = "") -> str:
        """Where a file lies, for people: a path, or a URI."""
        return f"{self.root}/{name}" if name else self.root

    # -- looking -------------------------------------------------------------------------------------------------

    @abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below ``prefix``, which ends with a slash; sorted."""

    @abstractmethod
    def files(self, prefix: str) -> list[Stored]:
        """All files whose names start with ``prefix``, at any depth; in no order."""

    @abstractmethod
    def tail(self, name: str, size: int) -> Versioned | None:
        """The last ``size`` bytes of a file, all of it where it has less; None where there is none."""

    @abstractmethod
    def fetch(self, file: Stored) -> Path:
        """A local file with the content, in that version or a newer one, and the file's own path at its end.

        It is not to be written, and good for the step that asked for it.
        """

    @abstractmethod
    def read(self, name: str) -> Versioned | None:
        """A small file as it is now; None where there is none."""

    def each(self, look: Callable[[_Item], _Made], items: Iterable[_Item]) -> list[_Made]:
        """``look`` at every item, in their order; side by side where that is faster."""
        return list(map(look, items))

    # -- writing -------------------------------------------------------------------------------------------------

    @abstractmethod
    def staged(self) -> AbstractContextManager[Path]:
        """A path for a local file that no reader sees; what is left there when the block ends is deleted."""

    @abstractmethod
    def publish(self, staged: Path, name: str) -> None:
        """Make the staged file the one of that name, by one step, unless a lease held here was lost.

        Raises:
            LeaseHeldError: another run has taken over what this one was making.
        """

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Make a small file say ``content``, by one step; a lost lease as in :meth:`publish`."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> str | None:
        """Make a small file; its version, or None where it exists already."""

    @abstractmethod
    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """Put ``content`` in place of what the file said in ``version``; its new version, or None where it changed."""

    @abstractmethod
    def check_reachable(self) -> None:
        """Look whether the lake can be read and, as far as looking can tell, written. Writes nothing."""

    @abstractmethod
    def check_writable(self) -> None:
        """Write a file and take it away again, so that a run says once what every partition would fail of."""

    # -- one at a time -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lease(self, what: str, wait: dt.timedelta = dt.timedelta()) -> Iterator[None]:
        """Hold the right to write ``what`` for the length of the block.

        Args:
            what: Fit for a file name; named where it is taken.
            wait: How long to wait for another run to finish; not at all by default.

        Raises:
            LeaseHeldError: another live run holds it, in this process or another, and has not finished in time.
        """
        lease = patiently(lambda: self._acquire(what), wait, self.pause)
        self._held.append(lease)
        try:
            yield
        finally:
            self._held.remove(lease)
            lease.release()

    def _confirm(self) -> None:
        """Let nobody write whose lease was lost: what the next holder has made is newer."""
        for lease in list(self._held):
            lease.confirm()

    @abstractmethod
    def _acquire(self, what: str) -> Lease:
        """Take the lease, over an abandoned one if need be. Raises LeaseHeldError where it is taken."""


def lease_name(what: str) -> str:
    """Name of the file that says who has the lease."""
    return f"_leases/{what}.json"


def open_storage(root: Path | str) -> Storage:
    """The storage at a local folder or at ``s3://bucket/prefix``; nothing is looked at or written yet.

    Raises:
        LakeError: readers of Hive-style folders would take a step of the path itself for a partition key.
    """
    if isinstance(root, str) and root.startswith(S3):
        from finops_pipeline.storage.bucket import BucketStorage

        bucket, _, prefix = root.removeprefix(S3).partition("/")
        return BucketStorage(bucket, prefix.strip("/"))
    from finops_pipeline.storage.folder import FolderStorage

    return FolderStorage(Path(root).absolute())
