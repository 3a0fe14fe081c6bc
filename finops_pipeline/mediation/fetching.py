"""The bodies of many objects: small ones side by side within bounded memory, large ones one by one by way of files.

How one object is fetched, verified and tried again is the store's business (``objects.py``, ``bucket.py``); what its
bytes mean, that of who takes them.
"""

import io
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from finops_pipeline import s3
from finops_pipeline.mediation.ahead import in_order
from finops_pipeline.mediation.objects import ObjectGoneError, ObjectRef, ObjectStore

SMALL = 1 << 20
"""Objects up to this many bytes are fetched side by side, the others one by one."""

FETCHED = 16 << 20
"""Bytes of small objects that are fetched, or under way, before anyone asks for them."""

OVERHEAD = 4096
"""Bytes that an object counts for beside its own: it bounds the number of objects fetched ahead."""

THREADS = s3.CONNECTIONS
"""Objects that are fetched at once."""

TOGETHER = 16
"""Objects that one thread fetches at a stretch: a task for each would cost a quarter more of the processor."""

_Indexed = tuple[int, ObjectRef]


def bodies(store: ObjectStore, refs: Iterable[ObjectRef], folder: Path) -> Iterator[tuple[int, BinaryIO | None]]:
    """The objects' bytes, each with its object's place in ``refs``: the small ones in order, then the large ones.

    ``refs`` is read as there is room, so it may be lazy; large ones are kept until the end. None stands for an object
    that has vanished since it was listed. ``store.transfers`` counts what has come, and what had to be asked for again.

    Args:
        store: Where the objects lie.
        refs: The objects.
        folder: Takes the large ones, one at a time; a file loses its name when the next body is asked for.

    Raises:
        SourceError: an object cannot be fetched.
    """
    large: list[_Indexed] = []
    stopped = threading.Event()

    def fetch(stretch: list[_Indexed]) -> list[tuple[int, bytes | None]]:
        return [(i, _fetch(store, ref)) for i, ref in stretch if not stopped.is_set()]

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            stretches = _stretches(refs, large)
            for fetched in in_order(lambda s: pool.submit(fetch, s), stretches, held=FETCHED, weight=_weight):
                for i, body in fetched:
                    yield i, None if body is None else io.BytesIO(body)
        finally:
            stopped.set()
    for i, ref in large:
        path = folder / f"{i}.raw"
        try:
            store.download(ref, path)
            yield i, path.open("rb")
        except (ObjectGoneError, FileNotFoundError):  # a local file may go in between
            yield i, None
        finally:
            path.unlink(missing_ok=True)


def _fetch(store: ObjectStore, ref: ObjectRef) -> bytes | None:
    try:
        return store.fetch(ref)
    except ObjectGoneError:
        return None


def _stretches(refs: Iterable[ObjectRef], large: list[_Indexed]) -> Iterator[list[_Indexed]]:
    """The small objects in groups that are each worth a task; the others are put aside."""
    stretch: list[_Indexed] = []
    for i, ref in enumerate(refs):
        if ref.size > SMALL:
            large.append((i, ref))
            continue
        stretch.append((i, ref))
        if len(stretch) == TOGETHER or _weight(stretch) >= FETCHED // THREADS:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _weight(stretch: list[_Indexed]) -> int:
    return sum(ref.size + OVERHEAD for _, ref in stretch)
