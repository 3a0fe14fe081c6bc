"""``finops run``: the assets in this process, for those who schedule with cron."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finops_pipeline.cli import options
from finops_pipeline.cli.options import (
    DAY,
    MONTH,
    ask_for_traceback,
    check_source,
    common_options,
    config_of,
    days_asked,
)

if TYPE_CHECKING:
    from finops_pipeline.config.model import Config

EPILOG = """\
\b
Examples:
  finops run                                    what is due: every night, from cron
  finops run --from 2026-10-01 --to 2026-10-31  a backfill of October
  finops run --month 2026-10                    October's statement only
  finops run --month 2026-10 --dry-run          who would get what: nothing is sent
  finops run --from 2026-10-07 --to 2026-10-07 --source gateway

Exits with 1 when something failed; what did not fail is written all the same, and the next run
makes the rest.
"""


@click.command(epilog=EPILOG)
@click.option("--from", "first", type=DAY, metavar="DAY", help="First day, included.")
@click.option("--to", "last", type=DAY, metavar="DAY", help="Last day, included. By default yesterday.")
@click.option("--month", type=MONTH, metavar="MONTH", help="Make this month's statement, as 2026-10.")
@click.option("--source", metavar="NAME", help="Read this source's logs only, and price nothing.")
@click.option("--force", is_flag=True, help="Make days and months again although their inputs have not changed.")
@click.option("--allow-partial", is_flag=True, help="Price days that lack a source; they are marked incomplete.")
@click.option(
    "--reprice",
    is_flag=True,
    help="Price the days with today's prices. Without it, days that are priced keep the price book that priced them.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be sent to whom and render it, from the days in the lake; write and send nothing.",
)
@click.option(
    "--preview",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    default=Path("finops-preview"),
    show_default=True,
    help="Where --dry-run puts pages and mails.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    metavar="LEVEL",
    help="Show the log from debug, info, warning or error on, in place of the bar; debug shows tracebacks too.",
)
@common_options
@click.pass_context
def run(
    ctx: click.Context,
    first: dt.date | None,
    last: dt.date | None,
    month: str | None,
    source: str | None,
    force: bool,
    allow_partial: bool,
    reprice: bool,
    dry_run: bool,
    preview: Path,
    log_level: str | None,
) -> None:
    """Read logs, price the calls, and make the month's statement.

    Without dates: yesterday and the late_days before it, and the statement of the month before once close_day has
    come. With --from and --to: these days, both included. With --month alone: that month's statement only.
    Days are UTC days, and a day that is priced keeps its prices. What has not changed since the last run is left alone.
    """
    if log_level == "debug":
        ask_for_traceback(ctx)
    config = config_of(ctx)
    today = options.now().date()
    days = days_asked(config, first, last, today)
    _check_month(config, month, today)
    _check_source(config, source, month)
    if dry_run and source is not None:
        raise click.UsageError("--source sends nothing, so there is nothing to show: leave --source or --dry-run out.")

    if dry_run:
        from finops_pipeline.cli.dry_run import show

        show(config, days, month, options.now(), preview)
        return

    from finops_pipeline.cli.run_display import RunDisplay
    from finops_pipeline.orchestration.runner import RunRequest
    from finops_pipeline.orchestration.runner import run as run_assets

    request = RunRequest(
        days=days, month=month, source=source, force=force, allow_partial=allow_partial, reprice=reprice
    )
    with RunDisplay(plain=log_level is not None) as display:
        report = run_assets(config, request, now=options.now(), on_progress=display.tell, log_level=log_level)
    display.summary(report)
    if not report.ok:
        ctx.exit(1)


def _check_month(config: "Config", month: str | None, today: dt.date) -> None:
    if month is None:
        return
    if month > f"{today:%Y-%m}":
        raise click.BadParameter(f"{month} lies in the future: today is {today}, UTC", param_hint="--month")
    if month < f"{config.start_date:%Y-%m}":
        raise click.BadParameter(
            f"{month} lies before start_date in the config, {config.start_date}", param_hint="--month"
        )


def _check_source(config: "Config", source: str | None, month: str | None) -> None:
    check_source(config, source)
    if source is not None and month is not None:
        raise click.UsageError("--source reads logs only and makes no statement: leave --source or --month out.")
