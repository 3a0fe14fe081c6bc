"""How budgets are printed: a table for people, CSV and JSON with the exact amounts for programs; and what to know."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import click
import polars as pl
from rich import box
from rich.table import Table
from rich.text import Text

from finops_pipeline.alert_states import AlertState, Mail
from finops_pipeline.budgets import scope_text
from finops_pipeline.cli.formats import csv_text, json_text
from finops_pipeline.cli.terminal import console, print_widest, shown
from finops_pipeline.config.model import Config
from finops_pipeline.days import ONE_DAY, days_of
from finops_pipeline.reports import numbers

STYLES = {"ok": "", "warning": "yellow", "exceeded": "red"}
"""Colour of a status; the word always stands beside it."""

BAR_CELLS = 10
"""Characters of a whole bar."""

_MAIL_WORDS: Mapping[Mail, str] = {
    "due": "with a mail",
    "superseded": "covered by a higher one",
    "silent": "found too late for a mail",
}


@dataclass(frozen=True)
class Standing:
    """Where the budgets of a month stand.

    Attributes:
        month: ``2026-10``.
        day: Up to the end of which day; None where no day of the month was held against the budgets yet.
        rows: That day's ``budget_status``.
        alerts: The month's alerts.
    """

    month: str
    day: dt.date | None
    rows: pl.DataFrame
    alerts: tuple[AlertState, ...]

    @property
    def by_share(self) -> pl.DataFrame:
        """The rows, those closest to their limits or furthest beyond first."""
        return self.rows.sort("share", "budget", descending=[True, False])

    def alerts_of(self, row: Mapping[str, object]) -> list[AlertState]:
        """The alerts of a row's budget and limit."""
        return [
            state for state in self.alerts if (state.alert.budget, state.alert.limit) == (row["budget"], row["limit"])
        ]


def notes(found: Standing, config: Config, today: dt.date) -> Iterator[str]:
    """What the reader must know of the numbers, and what to do about it."""
    first = max(days_of(found.month)[0], config.start_date)
    last = min(days_of(found.month)[-1], today - ONE_DAY)
    month = numbers.month_and_year(found.month)
    if not config.budgets:
        yield (
            "the config has no budgets. Lines such as these add one:\n"
            "  budgets:\n    - {name: search, scope: {team: search}, limit: 5000}"
        )
    elif found.day is None and first <= last:
        yield f"no day of {month} has been held against the budgets yet. {_run(first, last)} does it."
    elif found.day is None:
        before = days_of(found.month)[-1] < config.start_date
        yield f"{month} {f'lies before start_date, {config.start_date}' if before else 'has no day that is over'}."
    if found.day is None or not config.budgets:
        return
    if found.day < last:
        yield f"{found.day} is the latest day so far. {_run(found.day + ONE_DAY, last)} goes on from there."
    yield from _outdated(found, config)
    if missing := max(found.rows.get_column("missing_days"), default=0):
        verb = "has" if missing == 1 else "have"
        yield (
            f"{numbers.counted(missing, 'day')} up to {found.day} {verb} no costs: what was spent is a lower bound. "
            f"{_run(first, found.day)} makes them."
        )
    unpriced = found.rows.filter(pl.col("unpriced_requests") > 0).select("budget", "unpriced_requests")
    if calls := [f"{numbers.count(number)} of {numbers.name(budget)}" for budget, number in unpriced.iter_rows()]:
        yield f"calls without a price are not in what was spent: {', '.join(calls)}."
    yield from _alerts(found)


def print_table(found: Standing) -> None:
    """A row a budget, with bars and scopes as far as the terminal has room for them; nothing without a budget."""
    if found.rows.is_empty():
        return
    widths = ((console().is_terminal, True), (False, True), (False, False))
    print_widest(_table(found, bars=bars, scopes=scopes) for bars, scopes in widths)


def _table(found: Standing, *, bars: bool, scopes: bool) -> Table:
    table = Table(
        title=f"{numbers.month_and_year(found.month)} up to {found.day}, UTC",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("Budget", overflow="fold", min_width=8)
    if scopes:
        table.add_column("Scope", overflow="fold")
    for heading in ("Limit USD", "Spent", "Used"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    for heading in ("At month end", "Runs out"):
        table.add_column(heading, justify="right", no_wrap=True)
    shares = [_used(row) for row in found.by_share.to_dicts()]
    widest = max(map(len, shares))
    for row, used in zip(found.by_share.to_dicts(), shares, strict=True):
        style = STYLES[row["status"]]
        table.add_row(
            shown(row["budget"]),
            *([shown(row["scope"])] if scopes else []),
            numbers.money(row["limit"]),
            numbers.money(row["spent"]),
            Text(f"{_bar(row['share'])}  " if bars else "", style).append(used.rjust(widest)),
            Text(row["status"], style),
            numbers.money(row["forecast"]),
            "reached" if row["status"] == "exceeded" else str(row["run_out_date"] or numbers.DASH),
        )
    return table


def print_csv(found: Standing) -> None:
    """The columns of ``budget_status`` with the day; exact amounts."""
    click.echo(csv_text(found.by_share.select(pl.lit(found.day, pl.Date).alias("date"), pl.all())), nl=False)


def print_json(found: Standing) -> None:
    """One object; amounts are text. Each budget has its alerts."""
    said = {
        "month": found.month,
        "date": found.day,
        "currency": "USD",
        "budgets": [
            {
                **row,
                "alerts": [
                    {
                        "kind": state.alert.kind,
                        "threshold": state.alert.threshold,
                        "day": state.alert.day,
                        "state": state.state,
                        "mail": state.mail,
                        "recipients": state.recipients,
                    }
                    for state in found.alerts_of(row)
                ],
            }
            for row in found.by_share.to_dicts()
        ],
    }
    click.echo(json_text(said))


def _run(first: dt.date, last: dt.date) -> str:
    return f"`finops run --from {first} --to {last}`"


def _outdated(found: Standing, config: Config) -> Iterator[str]:
    """Budgets that the config has and the day's rows do not, as they are now."""
    then = set(found.rows.select("budget", "scope", "limit").iter_rows())
    changed = [b.name for b in config.budgets if (b.name, scope_text(b), b.limit) not in then]
    if changed and found.day is not None:
        verb = "is new or was changed" if len(changed) == 1 else "are new or were changed"
        names = ", ".join(numbers.name(name) for name in changed)
        yield f"{names} {verb} since {found.day} was run. {_run(found.day, found.day)} brings that up to date."


def _alerts(found: Standing) -> Iterator[str]:
    states = [state for row in found.rows.to_dicts() for state in found.alerts_of(row) if state.state == "open"]
    if states:
        told = Counter(state.mail for state in states)
        words = ", ".join(f"{told[mail]} {said}" for mail, said in _MAIL_WORDS.items() if told[mail])
        yield f"{numbers.counted(len(states), 'alert')} {'is' if len(states) == 1 else 'are'} open: {words}."


def _used(row: Mapping[str, Any]) -> str:
    """``105.3 %``; at least that much, ``≥``, where calls of the budget have no price."""
    least = f"≥{numbers.NO_BREAK}" if row["unpriced_requests"] else ""
    return f"{least}{numbers.share(row['share'])}"


def _bar(share: Decimal) -> str:
    filled = min(max(int(share * BAR_CELLS), 0), BAR_CELLS)
    return "█" * filled + "░" * (BAR_CELLS - filled)


PRINTED: Mapping[str, Callable[[Standing], None]] = {
    "table": print_table,
    "csv": print_csv,
    "json": print_json,
}
