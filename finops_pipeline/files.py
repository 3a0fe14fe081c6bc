"""Small files for people, put in place by one atomic step: pages, mails. Tables are streamed by ``lake`` itself."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from finops_pipeline.errors import LakeError


def write_atomically(path: Path, content: bytes) -> None:
    """Make ``path`` hold ``content``, whole or not at all, so that it survives a crash of the machine.

    Raises:
        OSError: it cannot be written; what was there before stays, and nothing half-written is left.
    """
    made = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o644)
        beside.replace(path)
        for folder in (path.parent, *(folder.parent for folder in made)):
            sync(folder)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def naming_the_lake(path: Path) -> Iterator[None]:
    """Tell an error of the operating system about a file in the lake as one that a person can act on.

    Raises:
        LakeError: naming ``path`` and the way out.
    """
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"{path}: cannot be written ({error.strerror or error}). "
            "Check `lake` in finops.yaml, the folder's permissions and the free space."
        ) from error


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's entries, durable: a renamed file is only there for good once its folder is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
