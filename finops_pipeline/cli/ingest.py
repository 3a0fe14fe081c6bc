"""``finops ingest``: the raw logs of some days into the lake, and what became of every record."""

import datetime as dt
from typing import TYPE_CHECKING

import click

from finops_pipeline.cli import options
from finops_pipeline.cli.options import DAY, check_source, common_options, config_of, days_asked, format_option

if TYPE_CHECKING:
    from finops_pipeline.config.model import Config

EPILOG = """\
\b
Examples:
  finops ingest                                        yesterday, every source
  finops ingest --date 2026-10-05 --source gateway     one source's day
  finops ingest --from 2026-10-01 --to 2026-10-31 --format csv
  finops ingest --date 2026-10-05 --objects            object by object, the worst first

Exits with 1 when a source could not be read; the others are read all the same.
"""


@click.command(epilog=EPILOG)
@click.option("--date", type=DAY, metavar="DAY", help="This day only.")
@click.option("--from", "first", type=DAY, metavar="DAY", help="First day, included. By default yesterday.")
@click.option("--to", "last", type=DAY, metavar="DAY", help="Last day, included. By default yesterday.")
@click.option("--source", metavar="NAME", help="Read this source only.")
@click.option("--objects", is_flag=True, help="Show the account of each object.")
@format_option
@common_options
@click.pass_context
def ingest(
    ctx: click.Context,
    date: dt.date | None,
    first: dt.date | None,
    last: dt.date | None,
    source: str | None,
    objects: bool,
    form: str,
) -> None:
    """Read raw logs into the lake and say what became of every record.

    Each record that is read ends once: as usage, as a duplicate, merged into another record, as no usage at all,
    quarantined, or with another day. Days are UTC days; what has not changed since it was read is left alone.
    Nothing is priced: `finops run` does that too.
    """
    config = config_of(ctx)
    days = _days(config, date, first, last)
    check_source(config, source)
    if days is None:
        click.echo(f"Nothing to read: no day since start_date, {config.start_date}, is over.")
        return

    from finops_pipeline.cli import ingest_account, ingest_formats
    from finops_pipeline.cli.run_display import RunDisplay
    from finops_pipeline.cli.terminal import note
    from finops_pipeline.lake import open_lake
    from finops_pipeline.orchestration.run_report import Progress, RunRequest
    from finops_pipeline.orchestration.runner import run

    ended: list[Progress] = []
    with RunDisplay() as display:

        def tell(progress: Progress) -> None:
            ended.append(progress)
            display.tell(progress)

        request = RunRequest(days=days, source=source, usage_only=True)
        report = run(config, request, now=options.now(), on_progress=tell, log_level=None)
    found = ingest_account.found_in(open_lake(config), config, days, ended, report, with_objects=objects)
    ingest_formats.PRINTED[form](found)
    display.remarks(report)
    for text in ingest_account.notes(found):
        note(text)
    if not report.ok:
        ctx.exit(1)


def _days(
    config: "Config", date: dt.date | None, first: dt.date | None, last: dt.date | None
) -> tuple[dt.date, dt.date] | None:
    """The days asked for, by default yesterday; None where yesterday lies before the config's first day."""
    if date is not None and (first or last):
        raise click.UsageError("--date is one day, --from and --to are several: leave one or the others out.")
    today = options.now().date()
    asked = days_asked(config, date or first, date or last, today)
    yesterday = today - dt.timedelta(days=1)
    return asked or ((yesterday, yesterday) if yesterday >= config.start_date else None)
