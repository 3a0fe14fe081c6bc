"""What became of the records that were read, object by object: the account that must balance before anything is
written (conservation).
"""

import threading
from collections.abc import Iterator
from typing import Any

import polars as pl

from finops_pipeline.errors import ConservationError
from finops_pipeline.mediation.buckets import CONFLICTS, OUTCOME, STRAY
from finops_pipeline.mediation.listed import OBJECT, Objects
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES

_READ, _NEAR = "records", "near_duplicates"
_COUNTED = (*OUTCOMES, STRAY, _READ, CONFLICTS, _NEAR)
_COUNT = pl.Enum(_COUNTED)
_SCHEMA: dict[str, Any] = {OBJECT: pl.Int32, "count": _COUNT, "number": pl.Int64}

LEDGER_ROWS = 50_000
"""Objects whose rows are made at once."""

_HELD = 50_000
"""Counts that are held before they are added up: an object's come from many places."""


class Account:
    """Records read and outcomes counted, by index of the object; by several threads."""

    def __init__(self) -> None:
        self._sums: dict[str, pl.Series] = {}
        """Of what was counted at all, the sums by index of the object: eight bytes an object, without its name."""
        self._frames: list[pl.DataFrame] = []
        self._single: list[tuple[int, str, int]] = []
        self._held = 0
        self._lock = threading.Lock()

    def read(self, index: int, records: int) -> None:
        """Count records of one object as read."""
        self.count(_READ, index, records)

    def count(self, outcome: str, index: int, records: int = 1) -> None:
        """Count records of one object under an outcome."""
        with self._lock:
            self._single.append((index, outcome, records))
            self._held += 1
            self._add_up(at=_HELD)

    def count_read(self, rows: pl.DataFrame) -> None:
        """Count rows as read, by their object."""
        self._add(rows.select(OBJECT), _READ)

    def count_near_duplicates(self, counted: pl.DataFrame) -> None:
        """Add counts of near duplicates: ``_object`` and ``records``."""
        self._hold(counted.select(OBJECT, pl.lit(_NEAR).alias("count"), pl.col("records").alias("number")))

    def count_rows(self, rows: pl.DataFrame) -> None:
        """Count rows by their object and outcome, and those that conflict."""
        counted = rows.group_by(OBJECT, pl.col(OUTCOME).alias("count")).agg(pl.len().cast(pl.Int64).alias("number"))
        self._hold(counted)
        if rows.get_column(CONFLICTS).any():
            self._add(rows.filter(CONFLICTS), CONFLICTS)

    def carry_over(self, rows: pl.DataFrame) -> None:
        """Count objects as an earlier run did, save for their usage, whose rows are resolved anew.

        Args:
            rows: Their rows of ``ingest_objects``, with ``_object``.
        """
        kept = ("duplicate", "merged", "not_usage", "quarantined", _READ, CONFLICTS)
        counts = rows.select(
            OBJECT,
            *kept,
            (pl.col("another_day") - pl.col("strays")).alias("another_day"),
            pl.col("strays").alias(STRAY),
        )
        self._hold(counts.unpivot(index=OBJECT, variable_name="count", value_name="number"))

    def records(self) -> pl.DataFrame:
        """How many records of each object were read so far: ``_object`` and ``number``."""
        read = self._summed(_READ)
        return pl.DataFrame({OBJECT: pl.int_range(len(read), dtype=pl.Int32, eager=True), "number": read})

    def totals(self) -> dict[str, int]:
        """All that was counted, over all objects: outcomes, ``records``, ``conflicts`` and ``near_duplicates``."""
        totals = {name: int(self._summed(name).sum()) for name in _COUNTED}
        totals["another_day"] += totals.pop(STRAY)
        return totals

    def ledger(self, objects: Objects) -> Iterator[pl.DataFrame]:
        """The rows of ``ingest_objects`` in order of the keys, in frames of bounded size.

        Raises:
            ConservationError: some object's records are not the sum of its outcomes.
        """
        listed = objects.frame()
        listed = listed if listed.get_column("key").is_sorted() else listed.sort("key")
        documents = pl.DataFrame(
            {OBJECT: list(objects.documents), "lines": list(objects.documents.values())},
            schema={OBJECT: pl.Int32, "lines": pl.Int64},
        )
        sums = [self._summed(name, len(objects)) for name in _COUNTED]
        for part in listed.iter_slices(LEDGER_ROWS):
            rows = (
                part.with_columns(column.gather(part.get_column(OBJECT)) for column in sums)
                .join(documents, on=OBJECT, how="left", maintain_order="left")
                .with_columns(
                    pl.col("another_day") + pl.col(STRAY), pl.col(STRAY).alias("strays"), pl.coalesce("lines", _READ)
                )
            )
            self._check(rows)
            yield rows.select(INGEST_OBJECTS.names)

    def _summed(self, count: str, objects: int = 0) -> pl.Series:
        """The sums of a count under its name, by index of the object, for so many objects at least."""
        with self._lock:
            self._add_up()
            return _lengthened(self._sums.get(count, pl.Series(count, [], dtype=pl.Int64)), objects)

    def _check(self, ledger: pl.DataFrame) -> None:
        wrong = ledger.filter(pl.col(_READ) != pl.sum_horizontal(OUTCOMES))
        for row in wrong.head(1).iter_rows(named=True):
            told = ", ".join(f"{name} {row[name]}" for name in OUTCOMES if row[name])
            raise ConservationError(
                f"{row['key']}: {row[_READ]} records were read, but {sum(row[name] for name in OUTCOMES)} are "
                f"accounted for ({told}). Nothing is written. This is a defect of the pipeline: please report it with "
                "the object's format and these numbers."
            )

    def _add(self, rows: pl.DataFrame, count: str) -> None:
        counted = rows.group_by(OBJECT).agg(pl.len().cast(pl.Int64).alias("number"))
        self._hold(counted.select(OBJECT, pl.lit(count).alias("count"), "number"))

    def _hold(self, counts: pl.DataFrame) -> None:
        with self._lock:
            self._frames.append(counts.select(OBJECT, pl.col("count").cast(_COUNT), "number"))
            self._held += counts.height
            self._add_up(at=_HELD)

    def _add_up(self, at: int = 1) -> None:
        """Add what is held to the sums, where it is so much, so that it does not grow with the records."""
        if self._held < at:
            return
        single = pl.DataFrame(self._single, schema=_SCHEMA, orient="row")
        held = pl.concat([single, *self._frames]).group_by("count", OBJECT).agg(pl.col("number").sum())
        for (count,), numbers in held.partition_by("count", as_dict=True, include_key=False).items():
            at_objects = numbers.get_column(OBJECT)
            sums = self._sums.get(count, pl.Series(count, [], dtype=pl.Int64))
            sums = _lengthened(sums, int(numbers.select(pl.col(OBJECT).max()).item()) + 1)
            self._sums[count] = sums.scatter(at_objects, sums.gather(at_objects) + numbers.get_column("number"))
        self._frames, self._single, self._held = [], [], 0


def _lengthened(sums: pl.Series, length: int) -> pl.Series:
    return sums.extend_constant(0, max(0, length - len(sums)))
