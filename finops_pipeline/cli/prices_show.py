"""``finops prices show``: what a model costs, which row of the price book says so, and why."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from finops_pipeline.cli import options
from finops_pipeline.cli.options import DAY, book_of, common_options

if TYPE_CHECKING:
    from finops_pipeline.pricing.explanation import Explanation

EPILOG = """\
\b
Examples:
  finops prices show gpt-5
  finops prices show us.anthropic.claude-sonnet-4-5-20250929-v1:0 --at 2026-03-08
  finops prices show gemini-2.5-pro --provider google --tier batch --input-tokens 250000

Needs no config; where there is one, its prices, aliases and contracts hold.
"""


@click.command(epilog=EPILOG)
@click.argument("model")
@click.option("--provider", metavar="NAME", help="Who sells it, as logs say it: openai, aws, azure, …")
@click.option("--at", "day", type=DAY, metavar="DAY", help="On that day, at noon UTC. By default now.")
@click.option("--tier", metavar="TIER", help="standard, batch, flex, priority, fast or provisioned.")
@click.option("--region", metavar="SCOPE", help="Where it is served: global, in-region, geo:eu, …")
@click.option("--account", metavar="ID", help="The provider's account, for its discounts.")
@click.option(
    "--input-tokens", type=click.IntRange(min=0), default=0, metavar="N", help="Of a call: long ones cost more."
)
@click.option("--all", "every", is_flag=True, help="Show the rows too that did not win, each with the reason.")
@common_options
@click.pass_context
def show(
    ctx: click.Context,
    model: str,
    provider: str | None,
    day: dt.date | None,
    tier: str | None,
    region: str | None,
    account: str | None,
    input_tokens: int,
    every: bool,
) -> None:
    """Show what MODEL costs, an id as logs have it, and which row of the price book says so."""
    from finops_pipeline.pricing.explanation import Asked, explain
    from finops_pipeline.pricing.gaps import nearest

    book = book_of(ctx)
    at = dt.datetime.combine(day, dt.time(12), dt.UTC) if day else options.now()
    found = explain(book, Asked(provider, model, at, tier, region, account, input_tokens))
    _print(found, model, () if found.resolution.model else nearest(book, provider, model), every=every)
    if not found.prices:
        ctx.exit(1)


def _print(found: "Explanation", model: str, near: Sequence[str], *, every: bool) -> None:
    from rich import box
    from rich.table import Table

    from finops_pipeline.cli.terminal import console, shown
    from finops_pipeline.schemas.price_book import LAYER_NAMES

    out, meaning = console(), found.resolution
    if meaning.model is None:
        out.print(shown(model), f": no model of the price book ({meaning.reason}).", sep="")
        if near:
            out.print("Most like it: ", shown(", ".join(near)), sep="")
        return
    seller = meaning.price_provider or "any provider"
    scope = f", {meaning.scope}" if meaning.scope else ""
    borrowed = " (its standard prices hold here)" if meaning.borrowed else ""
    out.print(shown(model), " is ", shown(meaning.model), f" of {seller}{borrowed}{scope}", sep="")
    if found.reason:
        out.print(f"No price: {found.reason}")
    if found.prices:
        discounted = any(price.listed != price.contracted for price in found.prices)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("Meter")
        for heading in ("List USD", *(["Contracted USD"] if discounted else []), "Per"):
            table.add_column(heading, justify="right")
        for heading in ("Layer", "Row"):
            table.add_column(heading, overflow="fold")
        for price in found.prices:
            amounts = [price.listed, *([price.contracted] if discounted else [])]
            table.add_row(
                price.meter, *(f"{amount.normalize():f}" for amount in amounts), f"{price.row['per_qty']:,}",
                LAYER_NAMES[price.row["layer"]], shown(price.row["price_id"]),
            )  # fmt: skip
        out.print(table)
    for name in found.adjustments:
        out.print("Adjusted by ", shown(name), sep="")
    for url in dict.fromkeys(price.row["source_url"] for price in found.prices if price.row["source_url"]):
        out.print("Published at ", shown(url), sep="", soft_wrap=True)
    if every and found.others:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("Did not win", "USD", "Because it is"):
            table.add_column(heading, overflow="fold")
        for row, why in found.others:
            table.add_row(shown(row["price_id"]), f"{row['unit_price'].normalize():f}", why)
        out.print(table)
    elif found.others:
        out.print(f"{len(found.others)} more rows of the model did not win: --all shows why.")
