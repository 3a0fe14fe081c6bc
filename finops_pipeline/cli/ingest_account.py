"""What ``finops ingest`` has read, as the lake tells it after the run, and what the reader must know of it."""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from finops_pipeline.chargeback.completeness import files_of
from finops_pipeline.config.model import Config
from finops_pipeline.days import days_between, stretches, when
from finops_pipeline.ingestion import COUNTS, by_day, by_reason, handed_over, worst_first
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.strays import days_with_fresh_strays
from finops_pipeline.orchestration.run_report import Progress, RunReport
from finops_pipeline.reports import numbers
from finops_pipeline.schemas import INGEST_OBJECTS, QUARANTINE

STATES = {"written": "read", "unchanged": "unchanged", "failed": "failed", "skipped": "failed"}
"""How a source's day ended, in words."""


@dataclass(frozen=True)
class Ingestion:
    """What was read for some days, and what became of it.

    Attributes:
        first, last: The days that were asked for; days that were handed records by others come on top.
        days: A row a source and day: source, date, state (read, unchanged, failed), objects, ``COUNTS``; null counts
            where it failed.
        reasons: source, date, reason, records: of what is quarantined.
        strays: source, date, own_date, records, waits: of what these days handed over, and whether it is still to be
            read by its own day.
        objects: Rows of ``ingest_objects`` with source and date, the worst first; None where they are not wanted.
        stale: Days whose costs were made from other usage than what is there now.
        warnings, failures: What the run had to say.
    """

    first: dt.date
    last: dt.date
    days: pl.DataFrame
    reasons: pl.DataFrame
    strays: pl.DataFrame
    objects: pl.DataFrame | None
    stale: tuple[dt.date, ...]
    warnings: tuple[str, ...]
    failures: tuple[str, ...]


def found_in(
    lake: Lake,
    config: Config,
    days: tuple[dt.date, dt.date],
    ended: Iterable[Progress],
    report: RunReport,
    *,
    with_objects: bool,
) -> Ingestion:
    """What the lake has of the days that a run has read.

    Args:
        lake: Where the account is.
        config: Whose sources were read.
        days: First and last day that were asked for.
        ended: How each source's day ended, in order: one that was read twice counts by its last time.
        report: How the run ended.
        with_objects: Whether the account of each object is wanted.

    Raises:
        LakeError: the lake cannot be read.
    """
    tried = _tried(ended)
    read = tried.filter(pl.col("state") != "failed")
    keys = {name: read.get_column(name).unique().to_list() for name in ("source", "date")}

    def of_read(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.join(read.lazy(), on=["source", "date"], how="semi")

    objects = of_read(lake.scan(INGEST_OBJECTS, **keys))
    counted = tried.join(by_day(objects).collect(), on=["source", "date"], how="left")
    was_read = pl.col("state") != "failed"
    counts = (pl.when(was_read).then(pl.col(name).fill_null(0)).alias(name) for name in ("objects", *COUNTS))
    handing = counted.filter(pl.col("strays") > 0)
    return Ingestion(
        *days,
        days=counted.with_columns(counts).select("source", "date", "state", "objects", *COUNTS).sort("date", "source"),
        reasons=of_read(by_reason(lake.scan(QUARANTINE, **keys))).collect(),
        strays=_strays(lake, config, handing),
        objects=_with_keys_first(worst_first(objects)).collect() if with_objects else None,
        stale=tuple(day for day, files in files_of(lake, keys["date"]).items() if files.stale),
        warnings=tuple(report.warnings),
        failures=tuple(report.failures),
    )


def _tried(ended: Iterable[Progress]) -> pl.DataFrame:
    """source, date and state of each source's day, as it ended last; read where any try read it."""
    states: dict[tuple[str, dt.date], str] = {}
    for progress in ended:
        key = progress.asset.removeprefix("usage/"), dt.date.fromisoformat(progress.partition)
        state = STATES[progress.status]
        states[key] = "read" if state == "unchanged" and states.get(key) == "read" else state
    rows = [(*key, state) for key, state in states.items()]
    return pl.DataFrame(rows, schema={"source": pl.String, "date": pl.Date, "state": pl.String}, orient="row")


def _strays(lake: Lake, config: Config, handing: pl.DataFrame) -> pl.DataFrame:
    fresh = set(days_with_fresh_strays(config, lake)) if handing.height else set()
    found = [
        handed_over(lake, source, part.get_column("date").to_list()).select(pl.lit(source).alias("source"), pl.all())
        for (source,), part in handing.partition_by("source", as_dict=True).items()
    ]
    none = {"source": pl.String, "date": pl.Date, "own_date": pl.Date, "records": pl.Int64}
    rows = pl.concat([pl.DataFrame(schema=none), *found]).sort("source", "date", "own_date")
    waits = [(source, own) in fresh for source, own in rows.select("source", "own_date").iter_rows()]
    return rows.with_columns(pl.Series("waits", waits, dtype=pl.Boolean))


def _with_keys_first(objects: pl.LazyFrame) -> pl.LazyFrame:
    return objects.select("source", "date", *INGEST_OBJECTS.names)


def notes(found: Ingestion) -> Iterator[str]:
    """What the reader must know of the numbers, and what to do about it."""
    waiting = found.strays.filter("waits")
    if waiting.height:
        records = numbers.counted(int(waiting.get_column("records").sum()), "record")
        own = when(map(str, waiting.get_column("own_date")))
        yield f"{records} of {own} wait for their day to be run: `finops run` does it once the day is over."
    yield from older_costs(found.stale)
    quarantined = int(found.days.get_column("quarantined").sum())
    if quarantined:
        yield (
            f"{numbers.counted(quarantined, 'record')} quarantined: the lake's table quarantine has object and line of "
            "each. `finops replay` reads them again after a fix."
        )


def older_costs(stale: Iterable[dt.date]) -> Iterator[str]:
    """What to do about days whose costs were made from other usage than what is there now."""
    for first, last in stretches(stale):
        yield (
            f"the costs of {when(map(str, days_between(first, last)))} are older than the usage: "
            f"`finops run --from {first} --to {last}` brings them up to date."
        )
