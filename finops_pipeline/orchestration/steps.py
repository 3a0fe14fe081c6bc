"""The daily tables, a partition at a time: look at the inputs, leave alone what has not changed, make, write.

Each step takes the partition's key and gives a ``StepResult``. What the rows mean stands in the domain modules that
the steps call; the monthly steps stand in ``month_steps``. Nothing here knows Dagster.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator

import polars as pl

from finops_pipeline.allocation import assign_owners, ownership_digest
from finops_pipeline.costs import daily_costs
from finops_pipeline.errors import IncompleteDayError
from finops_pipeline.lake import Key, Lake, Stamp
from finops_pipeline.mediation.day import mediate_day
from finops_pipeline.orchestration.step import Fact, StepContext, StepResult
from finops_pipeline.pricing.book import PriceBook, compile_book
from finops_pipeline.pricing.rating import rate
from finops_pipeline.schemas import DAILY_COSTS, PRICE_BOOK, PRICED_USAGE, USAGE, Table

RATED_AT_ONCE = 500_000
"""Calls that are rated and written together, so that memory does not grow with the day."""


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
        force=context.force,
    )
    metadata: dict[str, Fact] = {
        "dagster/partition_row_count": result.outcomes.get("usage", 0),
        "objects": result.objects,
        "lines": result.lines,
        "records": result.records,
        "outcomes": dict(result.outcomes),
        "strays_handed_to": [str(stray) for stray in result.stray_days],
    }
    return StepResult(result.changed, metadata, tuple(result.warnings))


def price(context: StepContext, partition: str) -> StepResult:
    """``priced_usage`` of a day from every source's usage: who pays, and what it cost.

    Raises:
        IncompleteDayError: sources have not delivered the day, and the run may not go on without them.
    """
    config, lake, day = context.config, context.lake, dt.date.fromisoformat(partition)
    delivered = {source.name: lake.stamp(USAGE, source=source.name, date=day) for source in config.sources}
    missing = sorted(name for name, stamp in delivered.items() if stamp is None)
    if missing and not context.allow_partial:
        raise IncompleteDayError(
            f"the day lacks {', '.join(missing)}. Run the day again (finops run --from {day} --to {day}), "
            "or go on without with --allow-partial; the day and its statement are marked incomplete then."
        )
    book = compile_book(config)
    basis = {source.name: source.cost_basis for source in config.sources}
    digest = digest_of(
        PRICED_USAGE.version,
        {name: [stamp.schema_version, stamp.input_digest] for name, stamp in delivered.items() if stamp},
        missing,
        basis,
        book.version,
        ownership_digest(config.ownership, config.teams),
    )
    with lake.lease(PRICED_USAGE, date=day):
        changed = context.force or not is_current(lake.stamp(PRICED_USAGE, date=day), digest)
        if changed:
            _keep_book(context, book)
            stamp = Stamp(
                PRICED_USAGE.version, digest, context.run, {"missing_sources": missing, "book_version": book.version}
            )
            with lake.writer(PRICED_USAGE, stamp, date=day) as append:
                for usage in _usage_batches(lake, day, [name for name in sorted(delivered) if name not in missing]):
                    owned = assign_owners(usage, config.ownership, config.teams)
                    append(PRICED_USAGE.conform(rate(owned, book, basis)).collect())
    return StepResult(
        changed,
        {
            "dagster/partition_row_count": rows_of(lake, PRICED_USAGE, date=day),
            "price_book": book.version,
            "missing_sources": missing,
            "input_digest": digest[:16],
        },
        _incomplete(missing),
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
    with lake.lease(DAILY_COSTS, date=day):
        changed = context.force or not is_current(lake.stamp(DAILY_COSTS, date=day), digest)
        if changed:
            costs = DAILY_COSTS.conform(daily_costs(lake.scan(PRICED_USAGE, date=day))).collect()
            lake.write(DAILY_COSTS, costs, Stamp(DAILY_COSTS.version, digest, context.run, priced.notes), date=day)
    totals = lake.scan(DAILY_COSTS, date=day).select(pl.len(), pl.col("requests").sum(), pl.col("cost").sum()).collect()
    rows, requests, cost = totals.row(0)
    return StepResult(
        changed,
        {
            "dagster/partition_row_count": rows,
            "requests": requests,
            "cost_usd": str(cost),
            "input_digest": digest[:16],
        },
    )


def digest_of(*inputs: object) -> str:
    """SHA-256 over values that JSON can say: equal digests mean that a partition need not be made again."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def is_current(stamp: Stamp | None, digest: str) -> bool:
    """Whether the partition of this stamp is there and was made from inputs of this digest."""
    return stamp is not None and stamp.input_digest == digest


def rows_of(lake: Lake, table: Table, **keys: Key) -> int:
    """Rows of a partition, from the file's footer."""
    return int(lake.scan(table, **keys).select(pl.len()).collect().item())


def _usage_batches(lake: Lake, day: dt.date, sources: list[str]) -> Iterator[pl.LazyFrame]:
    """The day's calls in order, source after source, ``RATED_AT_ONCE`` at a time; one empty batch of an empty day."""
    found = False
    for source in sources:
        calls = lake.scan(USAGE, source=source, date=day).drop("date")
        for start in range(0, rows_of(lake, USAGE, source=source, date=day), RATED_AT_ONCE):
            found = True
            yield calls.slice(start, RATED_AT_ONCE)
    if not found:
        yield lake.scan(USAGE, source=[], date=day).drop("date")


def _keep_book(context: StepContext, book: PriceBook) -> None:
    """Keep each price book that ever priced anything: a cost can be explained as long as the lake lives."""
    if context.lake.stamp(PRICE_BOOK, version=book.version) is None:
        stamp = Stamp(PRICE_BOOK.version, book.version, context.run)
        context.lake.write(PRICE_BOOK, book.rows, stamp, version=book.version)


def _incomplete(missing: list[str]) -> tuple[str, ...]:
    return (f"made without {', '.join(missing)}: the day is marked incomplete",) if missing else ()
