"""How savings are printed: a table for people, CSV and JSON with the exact amounts for programs; and what to know."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property

import click
import polars as pl
from rich import box
from rich.table import Table

from finops_pipeline.chargeback.analyses import Action
from finops_pipeline.cli.formats import csv_text, json_text
from finops_pipeline.cli.terminal import console, shown
from finops_pipeline.config.model import Config
from finops_pipeline.days import ONE_DAY, days_of
from finops_pipeline.errors import LakeError
from finops_pipeline.lake import Lake
from finops_pipeline.money import CENT
from finops_pipeline.reports import numbers
from finops_pipeline.savings.found import SAME, actions_of, monthly
from finops_pipeline.schemas import DAILY_COSTS, SAVINGS
from finops_pipeline.schemas.contract import Table as Contract


@dataclass(frozen=True)
class Savings:
    """What would have cost less in a month.

    Attributes:
        month: ``2026-10``.
        days: The days that were analysed, in order.
        team: The only team that is looked at; None: all.
        rows: The month's rows of ``savings`` with their ``date``.
        callers: The teams that called on these days; looked up where ``team`` has no rows.
    """

    month: str
    days: tuple[dt.date, ...]
    team: str | None
    rows: pl.DataFrame
    callers: tuple[str, ...] = ()

    @cached_property
    def actions(self) -> tuple[Action, ...]:
        """All of them, in whole cents, by expected saving, descending."""
        return actions_of(self.rows.lazy())

    @property
    def saving(self) -> list[Action]:
        """Those that save a cent or more; the first of them save the most."""
        return [action for action in self.actions if action.expected >= CENT]

    @property
    def losing(self) -> list[Action]:
        """Those that would cost more, the largest loss first."""
        return [action for action in reversed(self.actions) if action.expected <= -CENT]

    @property
    def possible(self) -> list[Action]:
        """Those that save nothing unless the assumptions are favourable, and then a cent or more."""
        return [action for action in self.actions if -CENT < action.expected < CENT and action.high >= CENT]


def found_in(lake: Lake, month: str, team: str | None) -> Savings:
    """What the lake has of a month.

    Raises:
        LakeError: the lake cannot be read.
    """
    analysed = [part.date for part in lake.parts(SAVINGS, date=days_of(month))]
    rows = _read(lake, SAVINGS, analysed)
    if team is not None:
        rows = rows.filter(pl.col("team") == team)
    callers: tuple[str, ...] = ()
    if team is not None and rows.is_empty():
        callers = tuple(_read(lake, DAILY_COSTS, analysed).get_column("team").drop_nulls().unique().sort())
    return Savings(month, tuple(analysed), team, rows, callers)


def _read(lake: Lake, table: Contract, days: Sequence[dt.date]) -> pl.DataFrame:
    try:
        return lake.scan(table, date=days).collect()
    except (pl.exceptions.ComputeError, OSError) as error:
        raise LakeError(f"{lake.folder(table)}: cannot be read ({error}). Run the days again.") from error


def notes(found: Savings, config: Config, today: dt.date) -> Iterator[str]:
    """What the reader must know of the numbers, and what to do about it."""
    month = numbers.month_and_year(found.month)
    first = max(days_of(found.month)[0], config.start_date)
    last = min(days_of(found.month)[-1], today - ONE_DAY)
    whose = "" if found.team is None else f" of {numbers.name(found.team)}"
    if first > last:
        yield f"{month} has no day that is over since start_date, {config.start_date}."
    elif not found.days:
        yield f"no day of {month} has been analysed yet. `finops run --from {first} --to {last}` does it."
    elif missing := [day for day in days_of(found.month) if first <= day <= last and day not in found.days]:
        yield (
            f"{numbers.counted(len(missing), 'day')} of {month} not analysed. "
            f"`finops run --from {missing[0]} --to {missing[-1]}` does it."
        )
    if found.days and found.team is not None and found.rows.is_empty() and found.team not in found.callers:
        close = get_close_matches(found.team, found.callers, n=1)
        hint = f" Did you mean {numbers.name(close[0])}?" if close else ""
        yield f"no call of {month} is charged to a team {numbers.name(found.team)}.{hint}"
    elif found.days and not found.saving:
        yield f"nothing{whose} would have cost less in {month}, as far as can be told from the logs."
    if possible := found.possible:
        most = sum((action.high for action in possible), Decimal(0))
        yield (
            f"{len(possible)} more {'action' if len(possible) == 1 else 'actions'} would save something only under "
            "favourable assumptions, "
            f"at most {numbers.money(most)} USD: --format csv lists them."
        )


def print_table(found: Savings, limit: int | None) -> None:
    """Actions, what they come to together, what would cost more, and the assumptions; nothing without an analysis."""
    out = console()
    said = _assumptions([*found.saving[:limit], *found.losing[:limit]])
    if found.saving:
        out.print(_table(f"{_title(found)}: what would have cost less", found.saving, limit, said))
        together = sum((action.incremental for action in found.saving), Decimal(0))
        if [action.expected for action in found.saving] != [together]:
            out.print(
                f"All together would have saved {numbers.money(together)} USD: "
                "levers overlap, and the lines do not add up to it.\n"
            )
    if found.losing:
        out.print(_table(f"{_title(found)}: what would have cost more", found.losing, limit, said))
    for number, text in enumerate(said, 1):
        out.print(f"{number}) {text}", markup=False)


def _title(found: Savings) -> str:
    days = numbers.counted(len(found.days), "day")
    return f"{numbers.month_and_year(found.month)}, {days}, USD"


def _table(title: str, actions: Sequence[Action], limit: int | None, assumptions: Sequence[str]) -> Table:
    """The first actions, each with the number of its assumptions, and the others as one."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Team", overflow="fold")
    table.add_column("Action", overflow="fold", min_width=20)
    for heading in ("Low", "Expected", "High"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Evidence", no_wrap=True)
    for action in actions[:limit]:
        table.add_row(
            shown(action.team, "unallocated"),
            shown(action.action),
            *(numbers.money(amount) for amount in (action.low, action.expected, action.high)),
            f"{action.evidence} {assumptions.index(action.assumptions) + 1})",
        )
    if rest := actions[len(actions[:limit]) :]:
        sums = (sum((getattr(a, name) for a in rest), Decimal(0)) for name in ("low", "expected", "high"))
        table.add_row("", f"other ({len(rest)})", *(numbers.money(amount) for amount in sums), "")
    return table


def _assumptions(actions: Sequence[Action]) -> list[str]:
    """Each once, in order of appearance."""
    return list(dict.fromkeys(action.assumptions for action in actions))


def print_csv(found: Savings, limit: int | None) -> None:
    """A row an action, those that would cost more as well; exact amounts."""
    click.echo(csv_text(_exact(found, limit)), nl=False)


def print_json(found: Savings, limit: int | None) -> None:
    """One object; amounts are text. ``together`` is of all that save, whatever the limit."""
    together = monthly(found.rows.lazy()).filter(pl.col("expected") > 0).select(pl.col("incremental").sum())
    said = {
        "month": found.month,
        "team": found.team,
        "currency": "USD",
        "days_analysed": found.days,
        "together": together.collect().item(),
        "actions": _exact(found, limit).to_dicts(),
    }
    click.echo(json_text(said))


def _exact(found: Savings, limit: int | None) -> pl.DataFrame:
    rows = monthly(found.rows.lazy()).collect()
    return rows.select(*SAME, pl.exclude(SAME)).head(limit or rows.height)


PRINTED: Mapping[str, Callable[[Savings, int | None], None]] = {
    "table": print_table,
    "csv": print_csv,
    "json": print_json,
}
