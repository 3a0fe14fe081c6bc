"""The terminal: where tables go and how texts from logs are shown on it."""

import shutil
import sys
import textwrap
from collections.abc import Iterable

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from finops_pipeline.reports import numbers

_UNBOUNDED = 10_000
"""Columns in which any table fits: what it would take."""


def console(*, stderr: bool = False) -> Console:
    """A console on stdout, or on stderr; as wide as the content where that goes into a file or a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 200, highlight=False, soft_wrap=False)


def note(text: str, kind: str = "Note") -> None:
    """``Note: …`` on stderr; on a terminal, lines are broken between words, and never within a name or a path."""
    said = f"{kind}: {text}"
    if sys.stderr.isatty():
        columns = shutil.get_terminal_size().columns
        lines = (
            textwrap.wrap(line, columns, break_long_words=False, break_on_hyphens=False, drop_whitespace=True)
            for line in said.split("\n")
        )
        said = "\n".join("\n".join(wrapped) for wrapped in lines)
    click.echo(said, err=True)


def shown(text: str | None, absent: str = numbers.DASH) -> Text:
    """A name from a log for a table cell: neither its control characters nor its brackets do anything."""
    return Text(absent if text is None else numbers.name(text), style="dim" if text is None else "")


def print_widest(tables: Iterable[Table]) -> None:
    """Print the first table for which the terminal has room; the last, folded, where it has room for none."""
    out = console()
    for table in tables:
        if out.measure(table, options=out.options.update(max_width=_UNBOUNDED)).maximum <= out.width:
            break
    out.print(table)
