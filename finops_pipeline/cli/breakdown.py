"""``finops breakdown``: what the days in the lake cost, by any dimensions."""

import datetime as dt
from typing import Any

import click

from finops_pipeline.cli import options
from finops_pipeline.cli.options import DAY, common_options, config_of, format_option

EPILOG = """\
\b
Examples:
  finops breakdown                                            this month by team
  finops breakdown --by day                                   day by day
  finops breakdown --from 2026-10-01 --to 2026-10-31 --by team,model
  finops breakdown --by project --limit 10                    the ten largest
  finops breakdown --by total --format json

Dimensions: team, project, model, provider, service, source, account, environment, cost_center,
application, region_scope, service_tier, day, month; total for none.
"""


class Dimensions(click.ParamType[tuple[str, ...]]):
    """Names of dimensions, separated by commas."""

    name = "dimensions"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        from finops_pipeline.costs import dimensions

        names = [name.strip() for name in value.split(",")]
        try:
            return tuple(dimensions([name for name in names if name and name != "total"]))
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None


@click.command(epilog=EPILOG)
@click.option("--from", "first", type=DAY, metavar="DAY", help="First day, included. By default the month's first.")
@click.option("--to", "last", type=DAY, metavar="DAY", help="Last day, included. By default yesterday.")
@click.option("--by", type=Dimensions(), metavar="A,B,…", default="team", show_default=True, help="What to group by.")
@format_option
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Show the first N rows, and the others as one.")
@common_options
@click.pass_context
def breakdown(
    ctx: click.Context, first: dt.date | None, last: dt.date | None, by: tuple[str, ...], form: str, limit: int | None
) -> None:
    """Show requests, tokens and costs by team, model, day and more.

    Days are UTC days, and both --from and --to are included. Amounts are USD. Calls without a price are in requests
    and tokens, not in the cost. Days that were never run count as zero and are named.
    """
    first, last = period(first, last, options.now().date())
    config = config_of(ctx)
    from finops_pipeline.cli import breakdown_formats
    from finops_pipeline.cli.terminal import note
    from finops_pipeline.costs import breakdown_of, gaps
    from finops_pipeline.lake import open_lake

    lake = open_lake(config)
    found = breakdown_formats.Breakdown(first, last, by, breakdown_of(lake, first, last, by), gaps(lake, first, last))
    breakdown_formats.PRINTED[form](found, limit)
    for text in breakdown_formats.notes(found):
        note(text)


def period(first: dt.date | None, last: dt.date | None, today: dt.date) -> tuple[dt.date, dt.date]:
    """The days asked for, both included: by default from the first of the month to yesterday.

    Raises:
        click.BadParameter: they are in the wrong order.
    """
    yesterday = today - dt.timedelta(days=1)
    last = last or (max(first, yesterday) if first else yesterday)
    first = first or last.replace(day=1)
    if first > last:
        raise click.BadParameter(f"{first} lies after --to {last}", param_hint="--from")
    return first, last
