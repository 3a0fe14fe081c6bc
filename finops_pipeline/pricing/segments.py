"""The price book's rows, compiled into disjoint segments: time × context length × hour of the week.

Within a segment each meter of a model has one price or none. Layers are resolved here, contradictions found here.
Which segment a call falls into is decided in ``rating``.
"""

import bisect
import datetime as dt
import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

import polars as pl

from finops_pipeline.errors import PriceBookError
from finops_pipeline.schemas import INSTANT, PRICE_BOOK, UNIT_PRICE
from finops_pipeline.schemas.price_book import METERS

FRACTIONAL_METERS = ("audio_second", "page", "gpu_hour")
"""Meters whose quantity need not be whole. ``usage`` does not count them: a model that is billed by them too cannot be
priced from it, unless a price of 0 says that they do not count."""

WHOLE_METERS = tuple(meter for meter in METERS if meter not in FRACTIONAL_METERS)
"""Meters that are counted in whole tokens, searches or requests."""

WHOLE_UNITS = (1, 1000, 1_000_000)
"""Units that a price of such a meter may buy: dividing by these is exact in decimals."""

PART_OF = {
    "input_audio": "input",
    "input_image": "input",
    "output_reasoning": "output",
    "output_audio": "output",
    "output_image": "output",
}
"""Tokens without a price of their own cost what the class costs of which they are a part: providers publish a rate for
audio, image or reasoning tokens where it differs. Cache reads and writes are classes: without a price they are a hole.
"""

RATE = pl.Decimal(38, 30)
"""USD per single unit of a whole meter, adjusted: a price of 18 decimals per 1, 1000 or 1000000 units has at most 24, a
multiplier six more where all are used. The product with a whole quantity is exact and is rounded once."""

FRACTION_RATE = UNIT_PRICE
"""USD per ``per_qty`` units of a fractional meter: it is multiplied before it is divided."""

DEAREST = 1_000_000
"""USD a unit that no price reaches: no row of usage may cost as much."""

WEEK_MINUTES = 7 * 24 * 60

_BAND = re.compile(r"^([1-7])-([1-7]) (\d\d):(\d\d)-(\d\d):(\d\d)$")
_ALL_WEEK = ((0, WEEK_MINUTES),)


@dataclass(frozen=True, eq=False)
class Segments:
    """Disjoint price segments and the edges of their axes.

    A value lies ``edge`` many edges up its axis (0: below the first); a segment holds for ``from <= edge < to``.

    Attributes:
        frame: A row a segment: price_provider, model, tier, region_scope, the three pairs of edges (``instant_from``,
            ``instant_to``, ``context_…``, ``minute_…``), ``uncounted`` (it is billed by a fractional meter too), a rate
            a meter, null where none, how many units that buys of a fractional meter (``<meter>_per``), and which row of
            the book it is (``<meter>_row``).
        instants: Points in time at which some price changes; a call at an edge is above it.
        contexts: Input tokens beyond which some price changes; a call with exactly that many is below the edge.
        minutes: Minutes of the UTC week, Monday 00:00 being 0, at which some price changes.
    """

    frame: pl.DataFrame
    instants: pl.Series
    contexts: pl.Series
    minutes: pl.Series


@dataclass(frozen=True)
class _Row:
    """A price row as the compiler needs it."""

    number: int
    price_id: str
    scope: str | None
    meter: str
    rate: Decimal
    per_qty: int
    rank: tuple[int, bool]
    instant: tuple[int, int]
    context: tuple[int, int]
    minutes: tuple[tuple[int, int], ...]

    def costs_as_much_as(self, other: "_Row") -> bool:
        same_units = self.meter not in FRACTIONAL_METERS or self.per_qty == other.per_qty
        return same_units and self.rate == other.rate


_KEY = ("price_provider", "model", "tier", "region_scope")
_EDGES = ("instant_from", "instant_to", "context_from", "context_to", "minute_from", "minute_to")
_SCHEMA = pl.Schema(
    [
        *((name, pl.String) for name in _KEY),
        *((name, pl.UInt32) for name in _EDGES),
        ("uncounted", pl.Boolean),
        *((meter, FRACTION_RATE if meter in FRACTIONAL_METERS else RATE) for meter in METERS),
        *((f"{meter}_per", pl.Int64) for meter in FRACTIONAL_METERS),
        *((f"{meter}_row", pl.UInt32) for meter in METERS),
    ]
)


def compile_segments(rows: pl.DataFrame, edges: Collection[dt.datetime] = ()) -> Segments:
    """Segments of a price book's rows.

    Args:
        rows: By ``schemas.PRICE_BOOK``.
        edges: Further points in time at which something changes for calls: adjustments, aliases.

    In a segment the highest layer has the price of a meter; on one layer a row for the scope beats one for every
    scope. Rows that are known to be wrong (``known_to``) price nothing.

    Raises:
        PriceBookError: one layer has two different prices for a meter in one segment, or a row cannot be used.
    """
    records = PRICE_BOOK.check(rows).with_row_index("number").filter(pl.col("known_to").is_null()).to_dicts()
    bands = {(record["schedule"], record["schedule_band"]): _minutes(record) for record in records}
    instants = sorted({*edges, *(record[edge] for record in records for edge in ("valid_from", "valid_to"))} - {None})
    contexts = sorted({record[edge] for record in records for edge in ("ctx_gt", "ctx_le")} - {None})
    minutes = sorted({edge for spans in bands.values() for span in spans for edge in span} - {0, WEEK_MINUTES})
    groups: defaultdict[tuple[str | None, str, str], list[_Row]] = defaultdict(list)
    for record in records:
        row = _row(record, instants, contexts, minutes, bands[record["schedule"], record["schedule_band"]])
        groups[record["provider"], record["model_key"], record["tier"]].append(row)
    axes = (len(instants) + 1, len(contexts) + 1, len(minutes) + 1)
    frame = pl.DataFrame(
        [
            (*key, scope, *cell)
            for key, group in groups.items()
            for scope in dict.fromkeys(row.scope for row in group)
            for cell in _cells(key, [row for row in group if row.scope in (scope, None)], axes)
        ],
        schema=_SCHEMA,
        orient="row",
    )
    return Segments(
        frame,
        pl.Series("instants", instants, dtype=INSTANT),
        pl.Series("contexts", contexts, dtype=pl.Int64),
        pl.Series("minutes", minutes, dtype=pl.Int32),
    )


def _row(
    record: Mapping[str, Any],
    instants: Sequence[dt.datetime],
    contexts: Sequence[int],
    minutes: Sequence[int],
    band: Sequence[tuple[int, int]],
) -> _Row:
    end = len(minutes) + 1
    return _Row(
        number=record["number"],
        price_id=record["price_id"],
        scope=record["region_scope"],
        meter=record["meter"],
        rate=_rate(record),
        per_qty=record["per_qty"],
        rank=(record["layer"], record["region_scope"] is not None),
        instant=_span(instants, record["valid_from"], record["valid_to"]),
        context=_span(contexts, record["ctx_gt"], record["ctx_le"]),
        minutes=tuple(
            (bisect.bisect_right(minutes, start), end if stop == WEEK_MINUTES else bisect.bisect_right(minutes, stop))
            for start, stop in band
        ),
    )


def _span(edges: Sequence[Any], low: Any, high: Any) -> tuple[int, int]:
    """Positions from ``low`` to ``high`` on an axis; null is open."""
    return (
        0 if low is None else bisect.bisect_right(edges, low),
        len(edges) + 1 if high is None else bisect.bisect_right(edges, high),
    )


def _rate(record: Mapping[str, Any]) -> Decimal:
    """USD per single unit, exact; of a fractional meter per ``per_qty`` units."""
    price: Decimal = record["unit_price"]
    if record["currency"] != "USD":
        raise PriceBookError(f"{record['price_id']}: currency {record['currency']}, expected USD")
    if not 0 <= price < DEAREST * record["per_qty"]:
        raise PriceBookError(f"{record['price_id']}: {price} is not a price, 0 or more, below {DEAREST:,} USD a unit")
    if record["meter"] in FRACTIONAL_METERS:
        return price
    if record["per_qty"] not in WHOLE_UNITS:
        raise PriceBookError(
            f"{record['price_id']}: a price per {record['per_qty']} of {record['meter']}, expected one per "
            f"{', '.join(map(str, WHOLE_UNITS))}"
        )
    with localcontext(prec=60):
        rate: Decimal = price / record["per_qty"]
        return rate


def _minutes(record: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """Spans of minutes of the UTC week that a row's band, such as ``1-5 01:00-04:00``, covers."""
    band = record["schedule_band"]
    if band is None:
        return _ALL_WEEK
    found = _BAND.match(band)
    if not found or record["schedule"] != "UTC":
        raise PriceBookError(
            f"{record['price_id']}: schedule {record['schedule']} {band!r}, expected UTC and a band of the week such "
            "as '1-5 01:00-04:00'"
        )
    first, last, *clock = map(int, found.groups())
    start, stop = clock[0] * 60 + clock[1], clock[2] * 60 + clock[3]
    return tuple(((day - 1) * 1440 + start, (day - 1) * 1440 + stop) for day in range(first, last + 1))


def _cells(
    key: tuple[str | None, str, str], rows: Sequence[_Row], axes: tuple[int, int, int]
) -> Iterator[tuple[object, ...]]:
    """The segments of one model, tier and scope: edges, uncounted, rates, what they buy, and their rows."""
    for instant in _steps((row.instant for row in rows), axes[0]):
        held = [row for row in rows if _covers(row.instant, instant)]
        for context in _steps((row.context for row in held), axes[1]):
            sized = [row for row in held if _covers(row.context, context)]
            for minute in _steps((span for row in sized for span in row.minutes), axes[2]):
                timed = [row for row in sized if any(_covers(span, minute) for span in row.minutes)]
                held_by = _rows_that_hold(key, timed)
                if not held_by:
                    continue
                uncounted = any(held_by[meter].rate for meter in FRACTIONAL_METERS if meter in held_by)
                for part, whole in PART_OF.items():
                    if whole in held_by:
                        held_by.setdefault(part, held_by[whole])
                found = [held_by.get(meter) for meter in METERS]
                yield (
                    *instant, *context, *minute, uncounted,
                    *(row and row.rate for row in found),
                    *(row.per_qty if (row := held_by.get(meter)) else None for meter in FRACTIONAL_METERS),
                    *(row and row.number for row in found),
                )  # fmt: skip


def _steps(spans: Iterator[tuple[int, int]], end: int) -> Iterator[tuple[int, int]]:
    """The axis cut at every start and stop."""
    edges = sorted({0, end}.union(*spans))
    return itertools.pairwise(edges)


def _covers(span: tuple[int, int], step: tuple[int, int]) -> bool:
    return span[0] <= step[0] and step[1] <= span[1]


def _rows_that_hold(key: tuple[str | None, str, str], rows: Sequence[_Row]) -> dict[str, _Row]:
    """The row of each meter: that of the highest rank."""
    best: dict[str, _Row] = {}
    for row in rows:
        other = best.get(row.meter)
        if other is not None and other.rank == row.rank and not other.costs_as_much_as(row):
            provider, model, tier = key
            raise PriceBookError(
                f"{other.price_id} and {row.price_id} give {provider or 'any provider'} {model} ({tier}) two prices "
                f"for {row.meter} at the same time. Remove one, or end it with valid_to."
            )
        if other is None or other.rank < row.rank:
            best[row.meter] = row
    return best
