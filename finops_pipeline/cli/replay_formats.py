"""How ``finops replay`` shows the quarantine, and what reading it again has brought."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import click
import polars as pl
from rich import box
from rich.table import Table

from finops_pipeline.chargeback.completeness import files_of
from finops_pipeline.chargeback.revisions import latest_revision
from finops_pipeline.cli.ingest_account import older_costs
from finops_pipeline.cli.terminal import console, shown
from finops_pipeline.config.model import Config
from finops_pipeline.days import days_between, month_of, when
from finops_pipeline.ingestion import by_day, expired_records, quarantined_places, replayed
from finops_pipeline.lake import Lake
from finops_pipeline.reports import numbers
from finops_pipeline.schemas import DAILY_COSTS, INGEST_OBJECTS, OUTCOMES, QUARANTINE

ROWS_SHOWN = 30
"""Sources and reasons in a table; a row more stands for all others."""


@dataclass(frozen=True)
class InQuarantine:
    """What is quarantined and can be read again.

    Attributes:
        places: source, date, place and reason of each record.
        outcomes: How many records of these sources and days ended as what.
        expired: Of these records, those in objects that are gone.
        left_out: Records of sources that the config has no more, and of days before its ``start_date``.
        stale: Days whose costs were made from other usage than what is there now: an interrupted run leaves some.
    """

    places: pl.DataFrame
    outcomes: dict[str, int]
    expired: int
    left_out: int = 0
    stale: tuple[dt.date, ...] = ()

    @property
    def source_days(self) -> frozenset[tuple[str, dt.date]]:
        """The sources and days that they are of."""
        return frozenset(self.places.select("source", "date").unique().iter_rows())


@dataclass(frozen=True)
class Replay:
    """What reading it again has brought.

    Attributes:
        before, after: What was and what is quarantined of the same sources and days.
        records: ``ingestion.replayed`` of them.
    """

    before: InQuarantine
    after: InQuarantine
    records: pl.DataFrame


def look(lake: Lake, config: Config, days: tuple[dt.date, dt.date] | None, source: str | None) -> InQuarantine:
    """What is quarantined.

    Args:
        lake: Where the quarantine is.
        config: Whose sources can be read.
        days: First and last day to look at; None for all.
        source: The only source to look at; None for all.

    Raises:
        LakeError: the lake cannot be read.
    """
    keys: dict[str, Any] = {"date": days_between(*days)} if days else {}
    keys |= {"source": source} if source else {}
    found = quarantined_places(lake.scan(QUARANTINE, **keys))
    readable = pl.col("source").is_in([s.name for s in config.sources]) & (pl.col("date") >= config.start_date)
    places = found.filter(readable)
    priced = {part.date for part in lake.parts(DAILY_COSTS, **({"date": keys["date"]} if days else {}))}
    return replace(
        _of(lake, places, places.select("source", "date").unique()),
        left_out=found.height - places.height,
        stale=tuple(day for day, files in files_of(lake, priced).items() if files.stale),
    )


def compare(lake: Lake, before: InQuarantine) -> Replay:
    """The same sources and days as they are now.

    Raises:
        LakeError: the lake cannot be read.
    """
    pairs = before.places.select("source", "date").unique()
    now = quarantined_places(lake.scan(QUARANTINE, **_keys(pairs))).join(pairs, on=["source", "date"], how="semi")
    return Replay(before, _of(lake, now, pairs), replayed(before.places, now))


def _of(lake: Lake, places: pl.DataFrame, pairs: pl.DataFrame) -> InQuarantine:
    objects = lake.scan(INGEST_OBJECTS, **_keys(pairs)).join(pairs.lazy(), on=["source", "date"], how="semi")
    outcomes = by_day(objects).select(pl.col(OUTCOMES).sum()).collect().row(0, named=True)
    return InQuarantine(places, outcomes, expired_records(lake, pairs) if places.height else 0)


def _keys(pairs: pl.DataFrame) -> dict[str, list[Any]]:
    return {name: pairs.get_column(name).unique().to_list() for name in ("source", "date")}


def notes_before(found: InQuarantine) -> Iterator[str]:
    """What the reader must know of what is quarantined."""
    if found.expired:
        yield (
            f"{numbers.counted(found.expired, 'record')} of these lie in objects that are gone from the source: they "
            "cannot be read again, and stay."
        )
    if found.left_out:
        yield (
            f"{numbers.counted(found.left_out, 'record')} more of sources that finops.yaml has no more, or of days "
            "before its start_date: they are not read again."
        )
    if found.places.height:
        yield "the lake's table quarantine has object, line and hash of each record."
    yield from older_costs(found.stale)


def notes_after(found: Replay, lake: Lake) -> Iterator[str]:
    """What the reader must know of what is there now, and what to do about it."""
    if found.after.expired:
        yield (
            f"{numbers.counted(found.after.expired, 'record')} of those that are still quarantined lie in objects that "
            "are gone from the source: their rows stay."
        )
    changed = found.records.filter((pl.col("recovered") > 0) | (pl.col("new") > 0)).get_column("date")
    for month in sorted({month_of(day) for day in changed}):
        if latest_revision(lake, month) is not None:
            yield (
                f"{numbers.month_and_year(month)} has a statement already. `finops run --month {month}` makes a new "
                "revision where it says something else now."
            )


def print_quarantine(found: InQuarantine) -> None:
    """A row a source and reason, with the days."""
    counted = found.places.group_by("source", "reason", "date").agg(pl.len().cast(pl.Int64).alias("records"))
    console().print(_table("In quarantine", counted, ("records",)))


def print_replay(found: Replay) -> None:
    """What was quarantined and what is now, by source and reason; and what the records of these days are now."""
    counts = ("before", "recovered", "still", "new")
    console().print(
        _table("Read again", found.records, counts if found.records.get_column("new").sum() else counts[:3])
    )
    then, now = found.before.outcomes, found.after.outcomes
    told = [f"{o.replace('_', ' ')} {_change(then[o], now[o])}" for o in OUTCOMES if then[o] != now[o]]
    click.echo(f"Records of these days: {', '.join(told) or 'as before'}.")


def _change(then: int, now: int) -> str:
    return f"{numbers.count(then)} → {numbers.count(now)}"


_HEADINGS = {"still": "Still\nquarantined", "new": "New"}


def _table(title: str, records: pl.DataFrame, counts: tuple[str, ...]) -> Table:
    """The largest rows of source and reason, all others as one, and the total."""
    rows = (
        records.group_by("source", "reason")
        .agg(pl.col(counts).sum(), pl.col("date").cast(pl.String))
        .sort(*counts, "source", "reason", descending=[*(True for _ in counts), False, False])
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("Source", "Days", "Reason"):
        table.add_column(heading, overflow="fold")
    for name in counts:
        table.add_column(_HEADINGS.get(name, name.capitalize()), justify="right", no_wrap=True)
    for row in rows.head(ROWS_SHOWN).iter_rows(named=True):
        reason = shown(numbers.sentence(row["reason"]))
        table.add_row(row["source"], when(row["date"]), reason, *(numbers.count(row[name]) for name in counts))
    if rest := rows.slice(ROWS_SHOWN).select(counts).sum().rows() if rows.height > ROWS_SHOWN else []:
        table.add_row("", "", f"other ({rows.height - ROWS_SHOWN})", *map(numbers.count, rest[0]))
    if rows.height > 1:
        table.add_section()
        total = rows.select(pl.col(counts).sum()).row(0)
        table.add_row("Total", "", "", *map(numbers.count, total), style="bold")
    return table
