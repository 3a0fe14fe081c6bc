"""What was read and what became of it, as the lake tells it: by source and day, by reason, by object.

Mediation writes the account; here it is added up for people. How it is shown is the business of the command line and
of Dagster's metadata.
"""

import datetime as dt
from collections.abc import Collection

import polars as pl

from finops_pipeline.lake import Lake
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES, QUARANTINE, STRAYS

COUNTS = ("lines", "records", *OUTCOMES, "strays", "conflicts", "near_duplicates")
"""Columns of ``ingest_objects`` that add up. ``records`` is the sum of the outcomes; the last three are parts of
``another_day``, ``duplicate`` and ``usage``."""

TROUBLES = ("quarantined", "conflicts", "near_duplicates")
"""Counts that ask for a look, the gravest first."""

REASON_QUOTES = (
    (r", got .*$", ""),
    (r" \(byte \d+\)", ""),
    (r"\ba (line|text) of \d+ ", "a $1 of … "),
    (r"\btime_out_of_range: \S+ is ", "time_out_of_range: … is "),
    (r"^\d+ cells", "… cells"),
)
"""What tells reasons of one kind apart, a pattern and what stands in its place: values, lengths, positions."""


def by_day(objects: pl.LazyFrame) -> pl.LazyFrame:
    """``objects`` and ``COUNTS`` of each source and date, in this order; days without any object have no row.

    Args:
        objects: Rows of ``ingest_objects``.
    """
    counted = objects.group_by("source", "date").agg(pl.len().cast(pl.Int64).alias("objects"), pl.col(COUNTS).sum())
    return counted.sort("source", "date")


def by_reason(quarantine: pl.LazyFrame) -> pl.LazyFrame:
    """``records`` of each source, date and kind of reason, the most frequent of a day first.

    Args:
        quarantine: Rows of ``quarantine``.
    """
    counted = quarantine.group_by("source", "date", kind_of_reason().alias("reason")).agg(
        pl.len().cast(pl.Int64).alias("records")
    )
    return counted.sort("source", "date", "records", "reason", descending=[False, False, True, False])


def kind_of_reason() -> pl.Expr:
    """The column ``reason`` without ``REASON_QUOTES``: equal where only the quoted value differs."""
    kind = pl.col("reason")
    for pattern, replacement in REASON_QUOTES:
        kind = kind.str.replace(pattern, replacement)
    return kind


def worst_first(objects: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of ``ingest_objects``: first those that could not be read as they should be, the most quarantined first."""
    most = (-pl.col(name).fill_null(0) for name in TROUBLES)
    return objects.sort(*most, pl.col("state") == "read", "date", "source", "key")


def has_trouble() -> pl.Expr:
    """Whether an object of ``ingest_objects`` asks for a look."""
    return pl.any_horizontal(pl.col(TROUBLES).fill_null(0) > 0, pl.col("state") != "read")


def handed_over(lake: Lake, source: str, days: Collection[dt.date]) -> pl.DataFrame:
    """The strays that these days' runs have found and that wait for, or are read by, their own day.

    Returns:
        date (whose run found them), own_date (whom they belong to), records; in this order of time.

    Raises:
        LakeError: the lake cannot be read.
    """
    found_by = {f"from-{day}": day for day in days}
    waiting = {part.date for part in lake.parts(STRAYS, source=source) if part.name in found_by} if days else set()
    finders = lake.scan(INGEST_OBJECTS, source=source, date=days).filter(pl.col("strays") > 0, "own")
    strays = lake.scan(STRAYS, source=source, date=waiting)
    found = (
        strays.select(pl.col("raw_object").alias("key"), pl.col("date").alias("own_date"))
        .join(finders.select("key", "date"), on="key")
        .group_by("date", "own_date")
        .agg(pl.len().cast(pl.Int64).alias("records"))
    )
    return found.select("date", "own_date", "records").sort("date", "own_date").collect()


def quarantined_places(quarantine: pl.LazyFrame) -> pl.DataFrame:
    """source, date, place and kind of reason of each quarantined record; a place is a hash of object and line.

    Hashes, so that millions of them fit into memory; they are good within one process.

    Args:
        quarantine: Rows of ``quarantine``.
    """
    place = pl.struct("raw_object", "raw_line").hash(seed=0).alias("place")
    return quarantine.select("source", "date", place, kind_of_reason().alias("reason")).collect()


def replayed(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """What a second reading made of quarantined records.

    Args:
        before, after: ``quarantined_places`` of the same days.

    Returns:
        For each source, date and kind of reason: ``before`` = ``recovered`` + ``still`` by the reason that they had
        before, and ``new``, those whose places were not quarantined before. A record is recovered when its place is
        quarantined no more, whatever else it is now.
    """
    place, group = ["source", "date", "place"], ["source", "date", "reason"]
    now = after.select(*place, pl.lit(True).alias("still"))
    known = (
        before.join(now, on=place, how="left")
        .group_by(group)
        .agg(pl.len().alias("before"), pl.col("still").is_null().sum().alias("recovered"), pl.col("still").count())
    )
    added = after.join(before, on=place, how="anti").group_by(group).agg(pl.len().alias("new"))
    counts = ("before", "recovered", "still", "new")
    told = known.join(added, on=group, how="full", coalesce=True)
    return told.with_columns(pl.col(counts).cast(pl.Int64).fill_null(0)).select(*group, *counts).sort(group)


def expired_records(lake: Lake, source_days: pl.DataFrame) -> int:
    """How many quarantined records lie in objects that have expired: they cannot be read again, and stay.

    Args:
        lake: Where the quarantine is.
        source_days: The sources and dates to look at.

    Raises:
        LakeError: the lake cannot be read.
    """
    keys = {name: source_days.get_column(name).unique().to_list() for name in ("source", "date")}
    expired = (
        lake.scan(INGEST_OBJECTS, **keys)
        .filter(pl.col("state") == "expired")
        .join(source_days.lazy(), on=["source", "date"], how="semi")
        .select("source", "date", pl.col("key").alias("raw_object"))
    )
    rows = lake.scan(QUARANTINE, **keys).join(expired, on=["source", "date", "raw_object"], how="semi")
    return int(rows.select(pl.len()).collect().item())
