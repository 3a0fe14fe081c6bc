"""``finops prices missing``: models without a price, and the lines that would give them one."""

import datetime as dt
from typing import TYPE_CHECKING, Any

import click

from finops_pipeline.cli import options
from finops_pipeline.cli.options import DAY, common_options, config_of, days_asked, format_option

if TYPE_CHECKING:
    from finops_pipeline.pricing.gaps import Gap

EPILOG = """\
\b
Examples:
  finops prices missing                    of the last 31 days
  finops prices missing --from 2026-10-01 --to 2026-10-31
  finops prices missing --format csv

After a fix, price the days again: finops run --reprice --from 2026-10-01 --to 2026-10-31
"""

DAYS = 31


@click.command(epilog=EPILOG)
@click.option("--from", "first", type=DAY, metavar="DAY", help="First day, included. By default 31 days ago.")
@click.option("--to", "last", type=DAY, metavar="DAY", help="Last day, included. By default yesterday.")
@format_option
@common_options
@click.pass_context
def missing(ctx: click.Context, first: dt.date | None, last: dt.date | None, form: str) -> None:
    """List what has no price, most tokens first, with the nearest known models and the line that would fix it."""
    today = options.now().date()
    config = config_of(ctx)
    begin = first or max(config.start_date, (last or today) - dt.timedelta(days=DAYS))
    days = days_asked(config, begin, last, today)
    assert days is not None

    from finops_pipeline.cli.formats import csv_text, json_text
    from finops_pipeline.cli.terminal import note
    from finops_pipeline.days import days_between
    from finops_pipeline.lake import open_lake
    from finops_pipeline.pricing.book import compile_book
    from finops_pipeline.pricing.gaps import gaps, unpriced
    from finops_pipeline.schemas import PRICED_USAGE

    lake = open_lake(config)
    found = unpriced(lake.scan(PRICED_USAGE, date=days_between(*days))).collect(engine="streaming")
    listed = list(gaps(found, compile_book(config, lake)))
    if form == "table":
        _print(listed, days)
        return
    import polars as pl

    columns = {"nearest": pl.String(), "fix": pl.String(), "place": pl.String()}
    rows = [{**gap.what, "nearest": " ".join(gap.nearest), "fix": gap.fix, "place": gap.place} for gap in listed]
    frame = pl.DataFrame(rows, schema={**found.schema, **columns})
    click.echo(csv_text(frame) if form == "csv" else json_text(frame.to_dicts()), nl=form == "json")
    if not listed:
        note(f"everything from {days[0]} to {days[1]} has a price.")


def _print(listed: "list[Gap]", days: tuple[dt.date, dt.date]) -> None:
    from rich import box
    from rich.table import Table

    from finops_pipeline.cli.terminal import console, shown
    from finops_pipeline.reports import numbers

    if not listed:
        click.echo(f"Everything from {days[0]} to {days[1]} has a price.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Provider", "Model as logged", "Reason", "Nearest"):
        table.add_column(heading, overflow="fold")
    for heading in ("Requests", "Tokens"):
        table.add_column(heading, justify="right")
    for gap in listed:
        what: Any = gap.what
        table.add_row(
            shown(what["provider"]), shown(what["raw_model"]), shown(what["price_reason"]),
            shown(", ".join(gap.nearest) or None), numbers.count(what["requests"]), numbers.count(what["tokens"]),
        )  # fmt: skip
    console().print(table)
    for place in dict.fromkeys(gap.place for gap in listed if gap.place):
        click.echo(f"Would fix it, in {place}:")
        for gap in listed:
            if gap.place == place:
                console().print("  ", shown(gap.fix), sep="", soft_wrap=True)
    first = min(gap.what["first"] for gap in listed)
    click.echo(f"Then: finops run --reprice --from {first}")
