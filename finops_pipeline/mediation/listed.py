"""The objects of a day, as they were listed and as they were read: a column each, since a day may have a million.

What is rare (holes, damage, job files) is kept by the object's index. What decides which objects these are is the
layout's business.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

import polars as pl

from finops_pipeline.mediation.layout import Placed
from finops_pipeline.mediation.objects import ObjectRef
from finops_pipeline.schemas import INSTANT

OBJECT = "_object"
"""Column with an object's index, beside rows and in frames of objects."""

Hole = tuple[int, str, str]
"""Length, SHA-256 and reason of a record that is quarantined before any reader sees it."""

_CHUNK = 20_000
_SCHEMA: dict[str, Any] = {
    "key": pl.String, "size": pl.Int64, "etag": pl.String, "modified": INSTANT, "own_day": pl.Date,
    "first_day": pl.Date, "last_day": pl.Date, "own": pl.Boolean, "strays": pl.Boolean,
}  # fmt: skip


class Objects(Sequence["Fetched"]):
    """The objects of a day, in order of their keys, each once; what is appended later follows.

    Args:
        placed: The objects, in any order.
        day: The day that is being run.
    """

    def __init__(self, placed: Iterable[Placed], day: object) -> None:
        listed, rows = [pl.DataFrame(schema=_SCHEMA)], iter(_row(p, own=p.own_day == day) for p in placed)
        while chunk := list(islice(rows, _CHUNK)):
            listed.append(pl.DataFrame(chunk, schema=_SCHEMA, orient="row"))
        in_order = pl.concat(listed).sort("key")
        # Equal keys stand side by side now: a set of all keys would be as large as the frame.
        again = in_order.get_column("key").eq(in_order.get_column("key").shift(1)).fill_null(False)
        self._frame = in_order.filter(~again) if again.any() else in_order
        self._later: list[tuple[Any, ...]] = []
        self.states: dict[int, str] = {}
        self.holes: dict[int, dict[int, Hole]] = {}
        self.documents: dict[int, int] = {}
        self.job_files: set[int] = set()

    def append(self, placed: Placed, *, own: bool, strays: bool = False, state: str = "read") -> int:
        """Add an object; its index."""
        self._later.append(_row(placed, own=own, strays=strays))
        index = len(self) - 1
        if state != "read":
            self.states[index] = state
        return index

    def __len__(self) -> int:
        return self._frame.height + len(self._later)

    @overload
    def __getitem__(self, index: int) -> "Fetched": ...
    @overload
    def __getitem__(self, index: slice) -> "list[Fetched]": ...
    def __getitem__(self, index: int | slice) -> "Fetched | list[Fetched]":
        if isinstance(index, slice):
            return [Fetched(self, i) for i in range(*index.indices(len(self)))]
        if index >= len(self):
            raise IndexError(index)
        return Fetched(self, index)

    def row(self, index: int) -> dict[str, Any]:
        """What was listed of one object."""
        height = self._frame.height
        if index < height:
            return self._frame.row(index, named=True)
        return dict(zip(_SCHEMA, self._later[index - height], strict=True))

    def keys(self, indexes: Sequence[int]) -> pl.Series:
        """The keys of some objects."""
        return self._listed().get_column("key").gather(pl.Series(indexes, dtype=pl.Int64))

    def refs(self, indexes: Iterable[int]) -> Iterator[ObjectRef]:
        """Some objects as the listing gave them, made as they are asked for."""
        for index in indexes:
            row = self.row(index)
            yield ObjectRef(row["key"], row["size"], row["etag"], row["modified"])

    def frame(self) -> pl.DataFrame:
        """Everything that was listed, with ``_object`` and ``state``."""
        listed = self._listed()
        state = pl.Series("state", ["read"] if listed.height else [], dtype=pl.String)
        state = state.new_from_index(0, listed.height) if listed.height else state
        if self.states:
            state = state.scatter(list(self.states), list(self.states.values()))
        return listed.with_row_index(OBJECT).with_columns(pl.col(OBJECT).cast(pl.Int32), state)

    def _listed(self) -> pl.DataFrame:
        if self._later:
            self._frame = pl.concat([self._frame, pl.DataFrame(self._later, schema=_SCHEMA, orient="row")])
            self._later = []
        return self._frame

    def digest(self) -> str:
        """SHA-256 over key, size and content tag of the objects that were read, or will be."""
        read = self.frame().filter(pl.col("state").is_in(["read", "damaged"]) & ~pl.col("strays"))
        digest = hashlib.sha256()
        for rows in read.select("key", "size", "etag").sort("key").iter_slices(_CHUNK):
            digest.update(rows.write_ndjson().encode())
        return digest.hexdigest()


class Fetched:
    """One object of the day; a view, so that a million of them need no memory of their own."""

    __slots__ = ("_index", "_objects")

    def __init__(self, objects: Objects, index: int) -> None:
        self._objects, self._index = objects, index

    @property
    def ref(self) -> ObjectRef:
        """The object as the listing gave it."""
        return next(self._objects.refs([self._index]))

    @property
    def key(self) -> str:
        return str(self._objects.row(self._index)["key"])

    @property
    def own(self) -> bool:
        """Whether its key belongs to the day that is being run."""
        return bool(self._objects.row(self._index)["own"])

    @property
    def state(self) -> str:
        """read, damaged, vanished or expired."""
        return self._objects.states.get(self._index, "read")

    @state.setter
    def state(self, state: str) -> None:
        self._objects.states[self._index] = state

    @property
    def holes(self) -> dict[int, Hole]:
        """Lines that are quarantined before any reader sees them, by their number."""
        return self._objects.holes.get(self._index, {})

    def add_hole(self, number: int, hole: Hole) -> None:
        self._objects.holes.setdefault(self._index, {})[number] = hole

    def count_document(self) -> None:
        """Count one of the documents that it holds, where its format has them."""
        self._objects.documents[self._index] = self._objects.documents.get(self._index, 0) + 1


def _row(placed: Placed, *, own: bool, strays: bool = False) -> tuple[Any, ...]:
    ref = placed.ref
    return (
        ref.key, ref.size, ref.etag, ref.modified, placed.own_day, placed.first_day, placed.last_day, own, strays,
    )  # fmt: skip
