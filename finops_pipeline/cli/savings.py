"""``finops savings``: what would have cost less in a month."""

import click

from finops_pipeline.cli import options
from finops_pipeline.cli.options import MONTH, common_options, config_of, format_option

EPILOG = """\
\b
Examples:
  finops savings                            this month, as far as it was run
  finops savings --month 2026-10 --limit 5  the five largest of October
  finops savings --team search              those of one team
  finops savings --format csv               the exact amounts, for a spreadsheet

Each call is priced again as it would have been: on a smaller model, in a batch job, or not at all
because its answer was known. Levers overlap: what all together would have saved is less than the
sum of the lines.
"""


@click.command(epilog=EPILOG)
@click.option("--month", type=MONTH, metavar="MONTH", help="The month, such as 2026-10. By default this one.")
@click.option("--team", metavar="NAME", help="Only what this team would have saved.")
@format_option
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Show the N largest.")
@common_options
@click.pass_context
def savings(ctx: click.Context, month: str | None, team: str | None, form: str, limit: int | None) -> None:
    """Show what would have cost less, the largest expected saving first.

    Months are calendar months, UTC; amounts are USD. Low, expected and high are savings under strict, usual and
    favourable assumptions, which stand below.
    """
    today = options.now().date()
    config = config_of(ctx)
    from finops_pipeline.cli import savings_formats
    from finops_pipeline.cli.terminal import note
    from finops_pipeline.days import month_of
    from finops_pipeline.lake import open_lake

    month = month or month_of(today)
    found = savings_formats.found_in(open_lake(config), month, team)
    savings_formats.PRINTED[form](found, limit)
    for text in savings_formats.notes(found, config, today):
        note(text)
