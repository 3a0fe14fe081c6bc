"""The objects of a day, as they were listed and as they were read: a column each, since a day may have a million.

What is rare (damage, documents, job files) is kept by the object's index. What decides which objects these are is the
layout's business.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import polars as pl

from finops_pipeline.mediation.layout import Placed
from finops_pipeline.mediation.objects import ObjectRef
from finops_pipeline.schemas import INSTANT

OBJECT = "_object"
"""Column with an object's index, beside rows and in frames of objects."""

_CHUNK = 20_000
_SCHEMA: dict[str, Any] = {
    "key": pl.String, "size": pl.Int64, "etag": pl.String, "modified": INSTANT, "first_day": pl.Date,
    "last_day": pl.Date, "own": pl.Boolean, "strays": pl.Boolean, "expired": pl.Boolean,
}  # fmt: skip
_READ = ("read", "damaged")
"""States of objects that were read, or will be."""


class Objects:
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
        self.documents: dict[int, int] = {}
        self.job_files: set[int] = set()

    def append_strays(self, ref: ObjectRef, day: dt.date) -> int:
        """Add a file of strays as an object of its day; its index."""
        self._later.append(_row(Placed(ref, day, None, None), own=True, strays=True))
        return len(self) - 1

    def expire(self, gone: pl.DataFrame, at: dt.datetime) -> pl.DataFrame:
        """Take objects that an earlier run has read and that are gone, vanished ones among those that were listed.

        Args:
            gone: ``key``, ``size``, ``etag`` and ``own`` of each, as that run has told them, and perhaps more.
            at: When that was found.

        Returns:
            ``gone`` with ``_object``.
        """
        places = self._listed().select("key").with_row_index(OBJECT).cast({OBJECT: pl.Int32})
        vanished = gone.join(places, on="key", maintain_order="left")
        if vanished.height:
            at_objects = vanished.get_column(OBJECT)
            self.states.update(dict.fromkeys(at_objects, "expired"))
            told = (
                self._frame.get_column(name).scatter(at_objects, vanished.get_column(name)) for name in ("size", "etag")
            )
            self._frame = self._frame.with_columns(told)
        others = gone.join(places, on="key", how="anti", maintain_order="left")
        others = others.with_row_index(OBJECT, self._frame.height).cast({OBJECT: pl.Int32})
        known = {"modified": at, "first_day": None, "last_day": None, "strays": False, "expired": True}
        rows = others.with_columns(pl.lit(value, dtype=_SCHEMA[name]).alias(name) for name, value in known.items())
        self._frame = pl.concat([self._frame, rows.select(list(_SCHEMA))])
        return pl.concat([vanished, others.select(vanished.columns)])

    def __len__(self) -> int:
        return self._frame.height + len(self._later)

    def __getitem__(self, index: int) -> "Fetched":
        if not 0 <= index < len(self):
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
        state = listed.select(pl.when("expired").then(pl.lit("expired")).otherwise(pl.lit("read"))).to_series()
        if self.states:
            state = state.scatter(list(self.states), list(self.states.values()))
        return listed.with_row_index(OBJECT).with_columns(pl.col(OBJECT).cast(pl.Int32), state.alias("state"))

    def _listed(self) -> pl.DataFrame:
        if self._later:
            self._frame = pl.concat([self._frame, pl.DataFrame(self._later, schema=_SCHEMA, orient="row")])
            self._later = []
        return self._frame

    def digest(self) -> str:
        """SHA-256 over key, size and content tag of the objects that were read, or will be."""
        return _digest(self.frame().filter(pl.col("state").is_in(_READ) & ~pl.col("strays")), "key", "size", "etag")

    def digest_of_expired(self) -> str:
        """SHA-256 over key and content tag of the objects that an earlier run has read."""
        return _digest(self.frame().filter(pl.col("state") == "expired"), "key", "etag")


def _digest(objects: pl.DataFrame, *columns: str) -> str:
    digest = hashlib.sha256()
    for rows in objects.select(columns).sort("key").iter_slices(_CHUNK):
        digest.update(rows.write_ndjson().encode())
    return digest.hexdigest()


class Fetched:
    """One object of the day; a view, so that a million of them need no memory of their own."""

    __slots__ = ("_index", "_objects")

    def __init__(self, objects: Objects, index: int) -> None:
        self._objects, self._index = objects, index

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


def _row(placed: Placed, *, own: bool, strays: bool = False) -> tuple[Any, ...]:
    ref = placed.ref
    return ref.key, ref.size, ref.etag, ref.modified, placed.first_day, placed.last_day, own, strays, False
