"""Deduplication in bounded memory: rows go to hash buckets on local disk, then one bucket at a time is resolved.

Rows of one group (by default: of one request id) always meet in one bucket, so that deduplication is exact at any
size, and the rows come out the same whatever pieces the day was read in.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from finops_pipeline.errors import ConservationError
from finops_pipeline.formats.format import GROUP, RESOLVED, VERSION, Format
from finops_pipeline.mediation.listed import OBJECT
from finops_pipeline.mediation.records import beside_usage
from finops_pipeline.mediation.shards import Shards, completed
from finops_pipeline.schemas import INSTANT, TOKEN_CLASSES, USAGE

OUTCOME, CONFLICTS = "_outcome", "conflicts"

BUCKET_BYTES = 160 << 20
"""Plain bytes of raw log that become one bucket; one of many short records is divided once more (``shards``)."""

ROW_BYTES = 512
"""Plain bytes that a row of an earlier run counts for: about what its record had without its prompt."""

MAX_BUCKETS = 512

_TOLD = ("raw_model", "status", "reported_cost", *TOKEN_CLASSES)
"""What two records of one call must agree on."""

STRAY = "stray"
"""Outcome of a record that is handed over to its own day; counted as another_day."""


def bucket_count(plain_bytes: int, earlier_rows: int) -> int:
    """Buckets for a day of so many bytes of logs and rows of earlier runs, strays among them.

    A function of the input alone, so that a rerun gives the same file.
    """
    return min(MAX_BUCKETS, max(1, -(-(plain_bytes + earlier_rows * ROW_BYTES) // BUCKET_BYTES)))


class Buckets:
    """Rows of a day on local disk, in buckets of the group or the request id that they must meet by.

    Args:
        folder: Made here; holds the rows until they are resolved.
        count: How many buckets.
        fmt: The format, which may say what belongs together and what becomes of it.
    """

    def __init__(self, folder: Path, count: int, fmt: Format) -> None:
        folder.mkdir()
        self._resolve = fmt.resolve
        self._columns = {**USAGE.schema, OBJECT: pl.Int32(), **beside_usage(fmt)}
        self._groups = Shards(folder / "groups", count, GROUP) if fmt.resolve else None
        self._calls = Shards(folder / "calls", count, "request_id")

    def add(self, rows: pl.DataFrame) -> None:
        """Append ``usage`` rows with their object's index and what their format has beside them."""
        (self._groups or self._calls).add(rows)

    def add_resolved(self, rows: pl.DataFrame, made: dt.datetime) -> None:
        """Append ``usage`` rows of an earlier run, with their object's index.

        Where a format brings records together, such a row tells its whole group, or what there was of it: it stands
        for a later version of the records of its id that are read again.

        Args:
            rows: The rows.
            made: When the present run takes them.
        """
        if self._groups is not None:
            rows = rows.with_columns(pl.lit(made, dtype=INSTANT).alias(VERSION))
        self._calls.add(rows)

    def resolved(self, day: dt.date, objects: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The rows bucket by bucket, each with its outcome, in order of time; columns may be missing if all null.

        Raises:
            ConservationError: bringing rows together has lost some, or made some up.
        """
        if self._groups is not None:
            # Records of one id may stand in several groups: a client's trace and its gateway's.
            for rows in self._groups.parts(self._brought_together):
                self._calls.add(rows)
        yield from self._calls.parts(lambda rows: with_outcomes(rows, day, objects))

    def _brought_together(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of some groups with ``resolved``: what their format says of those that belong together."""
        assert self._resolve is not None
        resolved = self._resolve(completed(rows, self._columns).lazy()).collect()
        if resolved.height != rows.height:
            raise ConservationError(
                f"{rows.height} records went in, {resolved.height} came out where the format brings them together. "
                "Nothing is written. This is a defect of the pipeline: please report it with the source's format."
            )
        return resolved


def with_outcomes(rows: pl.DataFrame, day: dt.date, objects: pl.DataFrame) -> pl.DataFrame:
    """Every row with what becomes of it in the run of ``day``, and whether it ``conflicts``, ordered by time and id.

    Of the rows with one request id that their format leaves as they are, the latest version wins, then the most
    complete, then the earliest, then the first by place. A row of another day is that day's business where that day's
    run reads the object too; else it is a stray.

    Args:
        rows: ``usage`` columns, ``record_version``, ``resolved`` and ``_object``; those that are null in all rows may
            be missing, and are missing in what is returned.
        day: The day that is being run.
        objects: ``_object``, ``own`` (the key is of this day), ``first_day`` and ``last_day`` (whose runs read it).
    """
    place = ["raw_object", "raw_line"]
    given = rows.columns
    # Missing columns cost nothing: the rows are moved once, below, in those that they have.
    rows = completed(rows, {RESOLVED: pl.String(), VERSION: INSTANT}).with_row_index("row")
    own_day = pl.col("event_time").dt.date()
    reached = pl.col("first_day").is_null() | own_day.is_between(pl.col("first_day"), pl.col("last_day"))
    losing, conflicting = _twins(rows, place)
    loses = pl.when(pl.col("row").is_in(losing.implode())).then(pl.coalesce(RESOLVED, pl.lit("duplicate")))
    outcome = (
        pl.when(own_day == day)
        .then(pl.coalesce(loses, pl.lit("usage")))
        .when(~pl.col("own") | reached)
        .then(pl.lit("another_day"))
        .otherwise(pl.coalesce(loses, pl.lit(STRAY)))
    )
    # Decided over the few columns that matter, so that the others are moved once.
    told = (
        rows.select("row", "request_id", "event_time", *place, OBJECT, RESOLVED)
        .join(objects, on=OBJECT, how="left", maintain_order="left")
        .select(
            "row", "request_id", "event_time", *place, outcome.alias(OUTCOME),
            pl.col("row").is_in(conflicting.implode()).alias(CONFLICTS),
        )
        .sort("event_time", "request_id", *place)
    )  # fmt: skip
    return rows.select(given)[told.get_column("row")].hstack(told.select(OUTCOME, CONFLICTS))


def _twins(rows: pl.DataFrame, place: list[str]) -> tuple[pl.Series, pl.Series]:
    """Rows that do not become usage, and those of them that conflict with the row that is kept.

    A conflict is another model, status, cost or count of tokens where both rows say something. A later version of a
    record is no twin of an earlier one.

    Args:
        rows: With their number, ``row``.
        place: The columns that say where they stood.
    """
    known = [name for name in USAGE.names if name in rows.columns]
    complete = pl.sum_horizontal(pl.col(name).is_not_null().cast(pl.UInt8) for name in known)
    ordered = rows.filter(pl.col("request_id").is_duplicated() | pl.col(RESOLVED).is_not_null()).sort(
        "request_id", pl.col(RESOLVED).is_not_null(), VERSION, complete, "event_time", *place,
        descending=[False, False, True, True, False, False, False], nulls_last=True,
    )  # fmt: skip
    losing = ~pl.col("request_id").is_first_distinct() | pl.col(RESOLVED).is_not_null()
    kept = {name: pl.col(name).first().over("request_id") for name in (*_TOLD, VERSION) if name in rows.columns}
    differ = pl.any_horizontal((pl.col(name) != kept[name]).fill_null(False) for name in _TOLD if name in kept)
    conflicts = losing & differ & pl.col(RESOLVED).is_null() & kept[VERSION].is_null()
    told = ordered.select("row", losing.alias("losing"), conflicts.alias(CONFLICTS))
    return told.filter("losing").get_column("row"), told.filter(CONFLICTS).get_column("row")
