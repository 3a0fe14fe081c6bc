"""``finops budgets``: where every budget stands in a month."""

import click

from finops_pipeline.cli import options
from finops_pipeline.cli.options import MONTH, common_options, config_of, format_option

EPILOG = """\
\b
Examples:
  finops budgets                       this month, up to the latest day that was run
  finops budgets --month 2026-09       how September ended
  finops budgets --format csv          the exact amounts, for a spreadsheet

A budget is a warning from 80 % of its limit on and exceeded from 100 % on, both included.
"At month end" is what the month comes to at the rate so far, "Runs out" the day on which the
limit is reached at that rate. Both need three days of costs.

Budgets stand in finops.yaml:

\b
  budgets:
    - {name: search, scope: {team: search}, limit: 5000}
"""


@click.command(epilog=EPILOG)
@click.option("--month", type=MONTH, metavar="MONTH", help="The month, such as 2026-10. By default this one.")
@format_option
@common_options
@click.pass_context
def budgets(ctx: click.Context, month: str | None, form: str) -> None:
    """Show what every budget has spent of its limit, and where that leads.

    Months are calendar months, UTC; amounts are USD. There is no total: scopes may lie within each other.
    """
    today = options.now().date()
    config = config_of(ctx)
    from finops_pipeline.alerts import alerts_of
    from finops_pipeline.budgets import latest_status
    from finops_pipeline.cli import budgets_formats
    from finops_pipeline.cli.terminal import note
    from finops_pipeline.days import month_of
    from finops_pipeline.lake import open_lake

    month = month or month_of(today)
    lake = open_lake(config)
    day, rows = latest_status(lake, month)
    found = budgets_formats.Standing(month, day, rows, tuple(alerts_of(lake, month)))
    budgets_formats.PRINTED[form](found)
    for text in budgets_formats.notes(found, config, today):
        note(text)
