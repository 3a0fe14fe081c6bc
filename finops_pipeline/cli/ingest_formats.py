"""How ``finops ingest`` shows what was read and what became of it: a table for people, CSV and JSON for programs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click
import polars as pl
from rich import box
from rich.table import Table
from rich.text import Text

from finops_pipeline.cli.formats import csv_text, json_text
from finops_pipeline.cli.ingest_account import Ingestion
from finops_pipeline.cli.terminal import console, print_widest
from finops_pipeline.days import when
from finops_pipeline.reports import numbers
from finops_pipeline.schemas import OUTCOMES

REASONS_SHOWN = 10
"""Reasons for the quarantine in the table; csv and json have all of those."""

OBJECTS_SHOWN = 50
"""Objects in the table, the worst first; there may be a million."""

_PARTS = {"usage": "near_duplicates", "duplicate": "conflicts", "another_day": "strays"}
"""Of an outcome, the part that asks for a look."""

_PART_WORDS = {"near_duplicates": "near\ndup.", "conflicts": "con-\nflicts", "strays": "strays"}


# -- a table for people --------------------------------------------------------------------------------------------


def print_table(found: Ingestion) -> None:
    """What became of the records, why some are quarantined, and where others went."""
    if found.days.is_empty():
        return
    print_widest(_tables(found))
    several = found.days.get_column("date").n_unique() > 1
    if found.reasons.height:
        console().print(_reasons_table(found.reasons, several_days=several))
    if found.strays.height:
        console().print(_strays_table(found.strays))


def _tables(found: Ingestion) -> Iterator[Table]:
    """The same account with fewer and fewer columns: first those go that have nothing but zeros."""
    rows = found.days if found.objects is None else found.objects
    happened = [name for name in OUTCOMES if rows.get_column(name).sum()]
    yield _table(found, OUTCOMES, parts=True, sizes=True)
    for parts, sizes in ((True, True), (True, False), (False, False)):
        yield _table(found, happened, parts=parts, sizes=sizes)


def _table(found: Ingestion, outcomes: Sequence[str], *, parts: bool, sizes: bool) -> Table:
    """Sizes are how much was read: objects and lines where these are not the records. Parts are of an outcome."""
    rows = found.days if found.objects is None else found.objects
    table = Table(title=_title(found), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    labels = _labels(found, rows, sizes=sizes)
    for name in labels:
        table.add_column(f"\n{_WORDS.get(name, name.capitalize())}", overflow="fold")
    measures = _measures(rows, outcomes, parts=parts, sizes=sizes)
    for name in measures:
        table.add_column(_heading(name), justify="right", no_wrap=True, style="dim" if name in _PARTS.values() else "")
    listed = rows if found.objects is None else rows.head(OBJECTS_SHOWN)
    for row in listed.iter_rows(named=True):
        table.add_row(*(_label(name, row) for name in labels), *(_number(name, row[name]) for name in measures))
    if left := rows.height - listed.height:
        rest = rows.slice(OBJECTS_SHOWN).select(pl.col(set(measures)).sum()).row(0, named=True)
        blank = [""] * (len(labels) - 1)
        table.add_row(*blank, f"other ({numbers.count(left)})", *(_number(name, rest[name]) for name in measures))
    if rows.height > 1:
        table.add_section()
        total = rows.select(pl.col(measures).sum()).row(0, named=True)
        totals = (_number(name, total[name]) for name in measures)
        table.add_row("Total", *[""] * (len(labels) - 1), *totals, style="bold")
    return table


_WORDS = {"date": "Day", "key": "Object"}


def _title(found: Ingestion) -> str:
    span = str(found.first) if found.first == found.last else f"{found.first} to {found.last}"
    return f"Raw logs of {span}, UTC: what became of the records"


def _labels(found: Ingestion, rows: pl.DataFrame, *, sizes: bool) -> list[str]:
    labels = ["source"]
    if found.days.get_column("date").n_unique() > 1:
        labels.append("date")
    if found.objects is not None:
        labels.append("key")
    if sizes or (rows.get_column("state").is_in(["read", "unchanged"]).not_()).any():
        labels.append("state")
    return labels


def _measures(rows: pl.DataFrame, outcomes: Sequence[str], *, parts: bool, sizes: bool) -> list[str]:
    measures = []
    if sizes and "objects" in rows.columns:
        measures.append("objects")
    if sizes and not rows.get_column("lines").equals(rows.get_column("records")):
        measures.append("lines")
    measures.append("records")
    for outcome in outcomes:
        measures.append(outcome)
        part = _PARTS.get(outcome)
        if parts and part and rows.get_column(part).sum():
            measures.append(part)
    return measures


def _heading(name: str) -> str:
    """Two lines: the sign of the sum above, the word below."""
    if name in _PART_WORDS:
        return _PART_WORDS[name] if "\n" in _PART_WORDS[name] else f"\n{_PART_WORDS[name]}"
    words = name.replace("_", " ").capitalize()
    sign = "=" if name == "usage" else "+" if name in OUTCOMES else ""
    return f"{sign}\n{words}"


def _label(name: str, row: Mapping[str, Any]) -> Text:
    text = str(row[name])
    if name == "state":
        return Text(text, style="red" if text == "failed" else "" if text == "read" else "dim")
    return Text(numbers.visible(text))


def _number(name: str, value: int | None) -> str:
    if name in _PARTS.values():
        return f"({numbers.count(value)})" if value else ""
    return numbers.count(value)


def _reasons_table(reasons: pl.DataFrame, *, several_days: bool) -> Table:
    """The most frequent reasons of each source, and all others as one row."""
    kinds = (
        reasons.group_by("source", "reason")
        .agg(pl.col("records").sum(), pl.col("date").cast(pl.String))
        .sort("records", "source", "reason", descending=[True, False, False])
    )
    table = Table(title="Quarantined", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Source", overflow="fold")
    table.add_column("Records", justify="right", no_wrap=True)
    table.add_column("Reason", overflow="fold")
    if several_days:
        table.add_column("Days", overflow="fold")
    for row in kinds.head(REASONS_SHOWN).iter_rows(named=True):
        days = [when(row["date"])] if several_days else []
        table.add_row(row["source"], numbers.count(row["records"]), Text(numbers.sentence(row["reason"])), *days)
    if rest := kinds.slice(REASONS_SHOWN).get_column("records").to_list():
        table.add_row("", numbers.count(sum(rest)), f"other reasons ({len(rest)})")
    return table


def _strays_table(strays: pl.DataFrame) -> Table:
    title = "Handed over to the days that they belong to"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("Source", "Found on"):
        table.add_column(heading, overflow="fold")
    table.add_column("Records", justify="right", no_wrap=True)
    table.add_column("Belong to")
    table.add_column("State")
    for source, found_on, own, records, waits in strays.iter_rows():
        state = Text("wait", "yellow") if waits else "read there"
        table.add_row(source, str(found_on), numbers.count(records), str(own), state)
    return table


# -- CSV and JSON for programs -------------------------------------------------------------------------------------


def print_csv(found: Ingestion) -> None:
    """A row a source and day, or a row an object where these are wanted; all columns."""
    click.echo(csv_text(found.days if found.objects is None else found.objects), nl=False)


def print_json(found: Ingestion) -> None:
    """One object; each day has its reasons, its strays, and its objects where these are wanted."""
    details = {"quarantine": found.reasons, "handed_over": found.strays}
    if found.objects is not None:
        details["by_object"] = found.objects
    grouped = {
        name: rows.partition_by("source", "date", as_dict=True, include_key=False) for name, rows in details.items()
    }
    said = {
        "from": found.first,
        "to": found.last,
        "days": [
            row | {name: _rows(groups.get((row["source"], row["date"]))) for name, groups in grouped.items()}
            for row in found.days.iter_rows(named=True)
        ],
        "days_with_older_costs": found.stale,
        "warnings": found.warnings,
        "failures": found.failures,
    }
    click.echo(json_text(said))


def _rows(frame: pl.DataFrame | None) -> list[dict[str, Any]]:
    return [] if frame is None else frame.to_dicts()


PRINTED: Mapping[str, Callable[[Ingestion], None]] = {
    "table": print_table,
    "csv": print_csv,
    "json": print_json,
}
