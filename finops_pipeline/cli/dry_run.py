"""``finops run --dry-run``: what a run would do and send, in words; pages and mails are rendered for a look."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.table import Table
from rich.text import Text

from finops_pipeline.cli.terminal import console, note, shown
from finops_pipeline.reports import numbers

if TYPE_CHECKING:
    from finops_pipeline.config.model import Config
    from finops_pipeline.orchestration.dry_run import DryRun, PlannedMail


def show(
    config: "Config", days: tuple[dt.date, dt.date] | None, month: str | None, now: dt.datetime, folder: Path
) -> None:
    """Render what the run would send below ``folder`` and print who would get it."""
    from finops_pipeline.days import days_between
    from finops_pipeline.orchestration.dry_run import dry_run
    from finops_pipeline.orchestration.periods import closed_month, nightly_window

    if days is None and month is None:
        days, month = nightly_window(config, now.date()), closed_month(config, now.date())
    if days is None and month is None:
        click.echo("Nothing is due.")
        return
    if days is not None:
        first, last = days
        span = str(first) if first == last else f"{first} to {last}"
        click.echo(f"Days: {span} would be run. What follows is from the days that the lake holds now.")
    try:
        found = dry_run(config, days_between(*days) if days else [], month, now=now, folder=folder)
    except OSError as error:
        raise click.ClickException(
            f"{folder}: cannot be written ({error.strerror or error}). See --preview."
        ) from error
    _statement(found)
    _mails(found.mails)
    for remark in found.remarks:
        note(remark, "Warning")
    click.echo("Nothing was written to the lake, and nothing was sent.")


def _statement(found: "DryRun") -> None:
    if found.statement is None:
        click.echo("Statement: none is due. With --month 2026-10, that of October 2026 is shown.")
        return
    made = found.statement
    state = "would be made" if found.is_new else "is there already"
    total = f"{numbers.money(made.total, made.exponent)} {made.currency}"
    click.echo(f"Statement of {numbers.month_and_year(made.month)}, revision {made.revision} ({state}): {total}")
    click.echo(f"  {found.page}")


def _mails(mails: tuple["PlannedMail", ...]) -> None:
    if not mails:
        click.echo("Mails: none.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("To", "Subject", "Would"):
        table.add_column(heading, overflow="fold")
    for mail in mails:
        does = {None: "be sent", "sent": "not be sent again", "failed": "be tried again"}
        table.add_row(shown(mail.recipient), shown(mail.subject), Text(does.get(mail.state, mail.state or "")))
    console().print(table)
    click.echo(f"Each as an .eml file below {mails[0].file.parent}")
