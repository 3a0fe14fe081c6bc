"""How a breakdown is printed: a table for people, CSV and JSON with the exact amounts for programs."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import click
import polars as pl
from rich import box
from rich.table import Table

from finops_pipeline.cli.formats import csv_text, json_text
from finops_pipeline.cli.terminal import print_widest, shown
from finops_pipeline.costs import MEASURES, Gaps
from finops_pipeline.money import largest_remainder, to_cents
from finops_pipeline.reports import numbers

_HEADINGS = (
    ("Requests", "Errors", "Tokens", "Cost USD", "Share", "Unpriced"),
    ("Requests", "Tokens", "Cost USD", "Share"),
    ("Requests", "Cost USD", "Share"),
    ("Cost USD",),
)
"""Measures that the table shows, as many as the terminal has room for."""


@dataclass(frozen=True)
class Breakdown:
    """A breakdown as :func:`finops_pipeline.costs.breakdown` gives it, with its period.

    Attributes:
        others: How many rows the last one stands for, where the others were summed up; else none.
    """

    first: dt.date
    last: dt.date
    by: tuple[str, ...]
    rows: pl.DataFrame
    gaps: Gaps
    others: int = 0

    def limited(self, limit: int | None) -> "Breakdown":
        """The first ``limit`` rows, and all others as one; everything without a limit."""
        if limit is None:
            return self
        rest = self.rows.slice(limit)
        if rest.is_empty():
            return self
        other = rest.select(*(pl.lit(None, rest.schema[d]).alias(d) for d in self.by), pl.col(*MEASURES, "share").sum())
        rows = pl.concat([self.rows.head(limit), other.select(self.rows.columns)])
        return replace(self, rows=rows, others=rest.height)

    def labels(self, row: Mapping[str, object], place: int) -> list[str | None]:
        """The dimensions of a row, as text; ``other (n)`` for the one that stands for n."""
        if self.others and place == self.rows.height - 1:
            return [f"other ({self.others})", *[""] * (len(self.by) - 1)]
        return [None if row[name] is None else str(row[name]) for name in self.by]


def notes(found: Breakdown) -> list[str]:
    """What the reader must know of the numbers."""
    said = []
    if missing := found.gaps.missing:
        days = (found.last - found.first).days + 1
        which = f"{len(missing)} of {days} days" if days > 1 else str(found.first)
        said.append(
            f"the lake has no costs of {which}, which count as zero. "
            f"`finops run --from {missing[0]} --to {missing[-1]}` makes them."
        )
    for day, sources in found.gaps.partial.items():
        said.append(f"{day} is incomplete: it lacks {', '.join(sources)}.")
    requests, unpriced = (sum(found.rows.get_column(c).to_list()) for c in ("requests", "unpriced_requests"))
    if unpriced:
        said.append(
            f"{numbers.count(unpriced)} of {numbers.count(requests)} requests have no price and are not in the cost."
        )
    return said


def print_table(found: Breakdown, limit: int | None) -> None:
    """Rows with costs in whole cents that add up to the total, and stay the same whatever the limit."""
    exact = found.rows.get_column("cost").to_list()
    total = to_cents(sum(exact, Decimal(0)))
    cents = largest_remainder(exact, total)
    found = found.limited(limit)
    if found.others:
        cents = [*cents[:limit], sum(cents[limit:], Decimal(0))]
    rows = found.rows.to_dicts()
    print_widest(_table(found, rows, cents, total, headings) for headings in _HEADINGS)


def _table(
    found: Breakdown,
    rows: Sequence[Mapping[str, Any]],
    cents: Sequence[Decimal],
    total: Decimal,
    headings: Sequence[str],
) -> Table:
    sums = {name: sum(row[name] for row in rows) for name in MEASURES}
    table = Table(
        title=f"{found.first} to {found.last}, UTC", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for name in found.by or ("",):
        table.add_column(name.replace("_", " ").capitalize(), overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    if found.by:
        for place, (row, cost) in enumerate(zip(rows, cents, strict=True)):
            labels = found.labels(row, place)
            cells = [shown(t, _absent(name)) if t != "" else "" for name, t in zip(found.by, labels, strict=True)]
            measures = _measures(row, cost, row["share"])
            table.add_row(*cells, *(measures[heading] for heading in headings))
        table.add_section()
    measures = _measures(sums, total, Decimal(1) if total else None)
    whole = (measures[heading] for heading in headings)
    table.add_row("Total", *[""] * (len(found.by) - 1), *whole, style="bold")
    return table


def _measures(row: Mapping[str, Any], cost: Decimal, share: Decimal | None) -> dict[str, str]:
    unpriced = row["unpriced_requests"]
    return {
        **{heading: numbers.count(row[heading.lower()]) for heading in ("Requests", "Errors", "Tokens")},
        "Cost USD": numbers.money(cost),
        "Share": numbers.share(share),
        "Unpriced": numbers.count(unpriced) if unpriced else "",
    }


def _absent(dimension: str) -> str:
    return "unallocated" if dimension == "team" else numbers.DASH


def print_csv(found: Breakdown, limit: int | None) -> None:
    """Exact amounts, the dimensions as text."""
    found = found.limited(limit)
    labels = [found.labels(row, place) for place, row in enumerate(found.rows.to_dicts())]
    texts = pl.DataFrame(labels, schema=dict.fromkeys(found.by, pl.String), orient="row") if found.by else None
    frame = found.rows if texts is None else found.rows.with_columns(texts)
    click.echo(csv_text(frame), nl=False)


def print_json(found: Breakdown, limit: int | None) -> None:
    """One object; amounts are text."""
    found = found.limited(limit)
    rows = found.rows.to_dicts()
    others = rows.pop() if found.others else None
    said = {
        "from": found.first,
        "to": found.last,
        "by": list(found.by),
        "currency": "USD",
        "rows": rows,
        "others": others and {"rows": found.others, **{k: v for k, v in others.items() if k not in found.by}},
        "missing_days": found.gaps.missing,
        "partial_days": {str(day): sources for day, sources in found.gaps.partial.items()},
    }
    click.echo(json_text(said))


PRINTED: Mapping[str, Callable[[Breakdown, int | None], None]] = {
    "table": print_table,
    "csv": print_csv,
    "json": print_json,
}
