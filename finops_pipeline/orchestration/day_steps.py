"""The daily tables, a partition at a time: look at the inputs, leave alone what has not changed, make, write.

Each step takes the partition's key and gives a ``StepResult``. What the rows mean stands in the domain modules that
the steps call; the monthly steps stand in ``month_steps``. Nothing here knows Dagster.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from finops_pipeline.allocation import assign_owners, ownership_digest
from finops_pipeline.chargeback.completeness import usage_of
from finops_pipeline.config.model import Config
from finops_pipeline.costs import daily_costs
from finops_pipeline.days import is_over
from finops_pipeline.errors import IncompleteDayError
from finops_pipeline.ingestion import by_reason, handed_over, has_trouble, worst_first
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.mediation.day import DayResult, mediate_day
from finops_pipeline.orchestration.context import Fact, Preview, StepContext, StepResult
from finops_pipeline.pricing.book import PriceBook, compile_book
from finops_pipeline.pricing.kept import keep_book, kept_book
from finops_pipeline.pricing.rating import rate
from finops_pipeline.pricing.totals import PricedTotals, totals_of
from finops_pipeline.reports.numbers import visible
from finops_pipeline.schemas import DAILY_COSTS, INGEST_OBJECTS, PRICED_USAGE, QUARANTINE, USAGE

RATED_AT_ONCE = 500_000
"""Calls that are rated and written together, so that memory does not grow with the day."""

SHOWN = 20
"""Rows of a table in a partition's metadata."""


def mediate(context: StepContext, partition: str, *, source: str) -> StepResult:
    """``usage`` of one source and day from its raw logs."""
    day = dt.date.fromisoformat(partition)
    result = mediate_day(
        context.config,
        context.config.source(source),
        day,
        lake=context.lake,
        run=context.run,
        now=context.now,
        force=context.force or partition in context.reread.get(source, ()),
    )
    metadata: dict[str, Fact] = {
        "dagster/partition_row_count": result.outcomes["usage"],
        "objects": result.objects,
        "lines": result.lines,
        "records": result.records,
        **result.outcomes,
        "conflicts": result.conflicts,
        "near_duplicates": result.near_duplicates,
        "retries": result.retries,
        "warnings": list(result.warnings),
        **_details(context.lake, source, day, result),
    }
    return StepResult(result.changed, metadata, tuple(result.warnings))


def _details(lake: Lake, source: str, day: dt.date, result: DayResult) -> dict[str, Fact]:
    """What the tables say of a day beyond its counts; read only where the counts say that there is something."""
    found: dict[str, Fact] = {}
    partition: dict[str, Any] = {"source": source, "date": day}
    if result.outcomes["another_day"]:
        strays = handed_over(lake, source, [day])
        found["handed_over_to"] = {str(own): records for _, own, records in strays.iter_rows()}
    if result.outcomes["quarantined"]:
        reasons = by_reason(lake.scan(QUARANTINE, **partition)).select("reason", "records")
        found["quarantine_reasons"] = Preview(tuple(reasons.head(SHOWN).collect().to_dicts()))
    if result.warnings:
        objects = worst_first(lake.scan(INGEST_OBJECTS, **partition).filter(has_trouble()))
        rows = objects.select("key", "state", "records", "quarantined", "conflicts", "near_duplicates").head(SHOWN)
        shown = (row | {"key": visible(row["key"])} for row in rows.collect().to_dicts())
        found["objects_to_look_at"] = Preview(tuple(shown))
    return found


def price(context: StepContext, partition: str) -> StepResult:
    """``priced_usage`` of a day from every source's usage: who pays, and what it cost.

    The config says which sources the day should have, the lake which ones it has: what was ingested stays charged when
    its source leaves the config. The file's notes keep what it was made from, for the month's statement.

    Raises:
        IncompleteDayError: sources have not delivered the day, and the run may not go on without them.
    """
    config, lake, day = context.config, context.lake, dt.date.fromisoformat(partition)
    delivered, configured = usage_of(lake, day), {source.name for source in config.sources}
    missing, retired = sorted(configured - set(delivered)), sorted(set(delivered) - configured)
    if missing and not context.allow_partial:
        raise IncompleteDayError(
            f"the day lacks {', '.join(missing)}. Run the day again (finops run --from {day} --to {day}), "
            "or go on without with --allow-partial; the day and its statement are marked incomplete then."
        )
    before, unfinished = lake.stamp(PRICED_USAGE, date=day), not is_over(day, context.now)
    book, remark = _book(context, before)
    basis = _cost_basis(config, sorted(delivered), before)
    notes: dict[str, object] = {
        "sources": {name: stamp.input_digest for name, stamp in sorted(delivered.items())},
        "missing_sources": missing,
        "cost_basis": basis,
        "book_version": book.version,
        "ownership": ownership_digest(config.ownership, config.teams),
        "unfinished": unfinished,
    }
    schemas = [stamp.schema_version for _, stamp in sorted(delivered.items())]
    digest = digest_of(PRICED_USAGE.version, notes, schemas)
    with lake.making(PRICED_USAGE, digest, force=context.force, date=day) as changed:
        if changed:
            keep_book(lake, book, context.run)
            stamp = Stamp(PRICED_USAGE.version, digest, context.run, notes)
            with lake.writer(PRICED_USAGE, stamp, date=day) as append:
                totals = PricedTotals()
                for usage in _usage_batches(lake, day, sorted(delivered)):
                    owned = assign_owners(rate(usage, book, basis), config.ownership, config.teams)
                    calls = PRICED_USAGE.conform(owned).collect()
                    append(calls)
                    totals += totals_of(calls.lazy())
                append.annotate({"totals": totals.notes()})
    return StepResult(
        changed,
        {
            "dagster/partition_row_count": lake.rows(PRICED_USAGE, date=day),
            "price_book": book.version,
            "missing_sources": missing,
            "input_digest": digest[:16],
        },
        (*_remarks(missing, retired, unfinished=unfinished), *remark),
    )


def roll_up(context: StepContext, partition: str) -> StepResult:
    """``daily_costs`` of a day from its priced usage.

    Raises:
        IncompleteDayError: the day is not priced yet.
    """
    lake, day = context.lake, dt.date.fromisoformat(partition)
    priced = lake.stamp(PRICED_USAGE, date=day)
    if priced is None:
        raise IncompleteDayError(f"the day is not priced yet. Run it with: finops run --from {day} --to {day}")
    digest = digest_of(DAILY_COSTS.version, priced.schema_version, priced.input_digest)
    with lake.making(DAILY_COSTS, digest, force=context.force, date=day) as changed:
        if changed:
            costs = DAILY_COSTS.conform(daily_costs(lake.scan(PRICED_USAGE, date=day))).collect()
            notes = {**priced.notes, "priced_usage": priced.input_digest}
            notes.pop("totals", None)  # of calls; what the rows here come to is to be held against it
            lake.write(DAILY_COSTS, costs, Stamp(DAILY_COSTS.version, digest, context.run, notes), date=day)
    totals = lake.scan(DAILY_COSTS, date=day).select(pl.len(), pl.col("requests").sum(), pl.col("cost").sum()).collect()
    rows, requests, cost = totals.row(0)
    return StepResult(
        changed,
        {
            "dagster/partition_row_count": rows,
            "requests": requests,
            "cost_usd": f"{cost:f}",
            "input_digest": digest[:16],
        },
    )


def digest_of(*inputs: object) -> str:
    """SHA-256 over values that JSON can say: equal digests mean that a partition need not be made again."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _usage_batches(lake: Lake, day: dt.date, sources: list[str]) -> Iterator[pl.LazyFrame]:
    """The day's calls in order, source after source, ``RATED_AT_ONCE`` at a time; one empty batch of an empty day."""
    found = False
    for source in sources:
        calls = lake.scan(USAGE, source=source, date=day).drop("date")
        for start in range(0, lake.rows(USAGE, source=source, date=day), RATED_AT_ONCE):
            found = True
            yield calls.slice(start, RATED_AT_ONCE)
    if not found:
        yield lake.scan(USAGE, source=[], date=day).drop("date")


def _cost_basis(config: Config, sources: Sequence[str], before: Stamp | None) -> dict[str, str]:
    """What each source is charged by: as the config says, or as it last said of a source that it no longer has."""
    kept = {} if before is None else before.notes.get("cost_basis", {})
    known = {
        **(kept if isinstance(kept, dict) else {}),
        **{source.name: source.cost_basis for source in config.sources},
    }
    return {name: known.get(name, "contracted") for name in sources}


def _book(context: StepContext, before: Stamp | None) -> tuple[PriceBook, tuple[str, ...]]:
    """The price book for a day, and what a person should know of it: a day keeps the book that has priced it."""
    if before is not None and not context.reprice:
        version = str(before.notes["book_version"])
        present = context.books.get(None)
        if present is not None and present.version == version:
            return present, ()
        if pinned := kept_book(context.lake, version):
            return pinned, ()
        return present_book(context), (f"its price book {version} is not in the lake: priced with the present one",)
    return present_book(context), ()


def present_book(context: StepContext) -> PriceBook:
    """The run's book: compiled once, so that all its days have the same prices.

    Raises:
        PriceBookError: price files are wrong.
    """
    if None not in context.books:
        context.books[None] = compile_book(context.config, context.lake)
    return context.books[None]


def _remarks(missing: Sequence[str], retired: Sequence[str], *, unfinished: bool) -> tuple[str, ...]:
    remarks = []
    if missing:
        remarks.append(f"made without {', '.join(missing)}: the day is marked incomplete")
    if retired:
        remarks.append(still_charged(retired))
    if unfinished:
        remarks.append("made before the day was over: it is marked incomplete until it is run again")
    return tuple(remarks)


def still_charged(retired: Sequence[str]) -> str:
    """What a person should know of sources that the config no longer has, while the lake has usage of them."""
    folders = ", ".join(f"usage/source={name}" for name in retired)
    return (
        f"no longer in finops.yaml and still charged: {', '.join(retired)}. "
        f"To charge them no more, delete {folders} from the lake and run their days again"
    )
