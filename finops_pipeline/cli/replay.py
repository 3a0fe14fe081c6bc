"""``finops replay``: what is quarantined is read again, after a fix, and everything below is brought up to date."""

import datetime as dt

import click

from finops_pipeline.cli import options
from finops_pipeline.cli.options import DAY, check_source, common_options, config_of, days_asked

EPILOG = """\
\b
Examples:
  finops replay --dry-run                     what is quarantined, and why
  finops replay                               read all of it again
  finops replay --from 2026-10-01 --to 2026-10-31 --source gateway

After a fix: a raised limit in finops.yaml, a corrected file, a later version of this program.
Exits with 1 when something failed; what is still quarantined is no failure.
"""


@click.command(epilog=EPILOG)
@click.option("--from", "first", type=DAY, metavar="DAY", help="First day, included. By default the very first.")
@click.option("--to", "last", type=DAY, metavar="DAY", help="Last day, included. By default yesterday.")
@click.option("--source", metavar="NAME", help="Only what this source has in quarantine.")
@click.option("--dry-run", is_flag=True, help="Show what is quarantined, and read nothing.")
@common_options
@click.pass_context
def replay(ctx: click.Context, first: dt.date | None, last: dt.date | None, source: str | None, dry_run: bool) -> None:
    """Read again what was quarantined, after a fix, and bring costs up to date.

    The logs of every source and day that have something in quarantine are read again, whether they have changed or
    not. Then these days are priced, as `finops run` does it.
    """
    config = config_of(ctx)
    days = days_asked(config, first or (config.start_date if last else None), last, options.now().date())
    check_source(config, source)

    from finops_pipeline.cli import replay_formats
    from finops_pipeline.cli.run_display import RunDisplay
    from finops_pipeline.cli.terminal import note
    from finops_pipeline.lake import open_lake
    from finops_pipeline.orchestration.run_report import RunRequest
    from finops_pipeline.orchestration.runner import run

    lake = open_lake(config)
    before = replay_formats.look(lake, config, days, source)
    if before.places.is_empty():
        span = f" from {days[0]} to {days[1]}" if days else ""
        click.echo(f"Nothing is quarantined{span}{f' of {source}' if source else ''}.")
    else:
        replay_formats.print_quarantine(before)
    if dry_run or before.places.is_empty():
        for text in replay_formats.notes_before(before):
            note(text)
        return
    with RunDisplay() as display:
        request = RunRequest(reread=before.source_days)
        report = run(config, request, now=options.now(), on_progress=display.tell, log_level=None)
    display.summary(report)
    found = replay_formats.compare(lake, before)
    replay_formats.print_replay(found)
    for text in replay_formats.notes_after(found, lake):
        note(text)
    if not report.ok:
        ctx.exit(1)
