"""``finops check``: is the config valid, can every source and the lake be reached, and what is there."""

from typing import TYPE_CHECKING

import click

from finops_pipeline.cli.options import common_options, config_of
from finops_pipeline.errors import FinopsError, FxRateError, LakeError, SourceError

if TYPE_CHECKING:
    from finops_pipeline.config.model import Config, Source
    from finops_pipeline.mediation.coverage import Coverage

EPILOG = """\
\b
Examples:
  finops check
  finops --config /etc/finops.yaml check

Exits with 2 when the config has mistakes, with 1 when a source or the lake cannot be used.
"""


@click.command(epilog=EPILOG)
@common_options
@click.pass_context
def check(ctx: click.Context) -> None:
    """Validate the config and say what each source holds.

    Lists the sources and reads none of their objects; writes nothing.
    """
    from finops_pipeline.cli.terminal import note
    from finops_pipeline.lake import root_of
    from finops_pipeline.mediation.fingerprints import KNOWN_KEY, FingerprintKey

    config = config_of(ctx)
    problems = [str(e) for e in (_lake_error(config), _price_error(config), _mail_error(config)) if e is not None]
    notes = _unreached(config)
    try:
        notes += _rate_of_exchange(config)
    except FxRateError as error:
        problems.append(str(error))
    if FingerprintKey.from_environment().is_default:
        notes.append(KNOWN_KEY)
    click.echo(f"Lake: {root_of(config)}\n")
    found = {}
    for source in config.sources:
        try:
            found[source.name] = _coverage(config, source)
        except SourceError as error:
            problems.append(str(error))
    _show(config, found)
    for source in config.sources:
        if source.name in found:
            notes += _remarks(config, source, found[source.name])
    for text in notes:
        click.echo(f"Note: {text}")
    for problem in problems:
        note(problem, "Error")
    if problems:
        ctx.exit(1)
    click.echo("The config is valid and every source can be reached.")


def _coverage(config: "Config", source: "Source") -> "Coverage":
    from finops_pipeline.mediation.coverage import coverage

    return coverage(config, source)


def _lake_error(config: "Config") -> FinopsError | None:
    from finops_pipeline.lake import open_lake

    try:
        open_lake(config).storage.check_reachable()
    except LakeError as error:
        return error
    return None


def _price_error(config: "Config") -> FinopsError | None:
    """What is wrong with the config's own price files."""
    if not config.prices:
        return None
    from finops_pipeline.pricing.book import compile_book

    try:
        compile_book(config)
    except FinopsError as error:
        return error
    return None


def _mail_error(config: "Config") -> FinopsError | None:
    """What mail lacks to leave: better said today than at the month's end."""
    from finops_pipeline.delivery.transports import transport_of

    try:
        transport_of(config)
    except FinopsError as error:
        return error
    return None


def _rate_of_exchange(config: "Config") -> list[str]:
    """In words what the latest rate means, for a person to see that it is not its inverse.

    Raises:
        FxRateError: a file of rates has mistakes.
    """
    from finops_pipeline.fx import configured_rates
    from finops_pipeline.money import USD
    from finops_pipeline.reports import wording

    currency = config.reports.currency
    latest = configured_rates(config).latest(currency) if config.fx_rates else None
    if currency == USD:
        return []
    rate = f"no rate of {currency} is known" if latest is None else f"the latest rate is {wording.exchange_of(latest)}"
    return [f"statements are in {currency}; {rate}."]


def _unreached(config: "Config") -> list[str]:
    """Who would get no mail."""
    notes = []
    if not config.reports.recipients:
        notes.append("reports.recipients is empty: nobody gets the month's statement by mail.")
    if silent := [name for name, team in config.teams.items() if team.email is None]:
        notes.append(f"no e-mail, so no page and no alerts: {', '.join(silent)}.")
    return notes + [
        f"budget {budget.name} is of team {team}, which `teams` does not name: a slip of the pen?"
        for budget in config.budgets
        if (team := budget.scope.get("team")) is not None and team not in config.teams
    ]


def _remarks(config: "Config", source: "Source", found: "Coverage") -> list[str]:
    from finops_pipeline.reports import numbers

    remarks = []
    if not found.objects:
        remarks.append(f"{source.name}: no log objects below {source.uri}. Is the prefix right?")
    if found.undated:
        remarks.append(
            f"{source.name}: {numbers.count(found.undated)} objects carry no date in their keys and are read for "
            "each day."
        )
    if found.first_day and found.first_day < config.start_date:
        remarks.append(
            f"{source.name}: days before start_date ({config.start_date}) are not run; the logs begin on "
            f"{found.first_day}."
        )
    if found.last_day and found.last_day < config.start_date:
        remarks.append(f"{source.name}: every log lies before start_date ({config.start_date}).")
    return remarks


def _show(config: "Config", found: "dict[str, Coverage]") -> None:
    from rich import box
    from rich.table import Table

    from finops_pipeline.cli.terminal import console
    from finops_pipeline.reports import numbers

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Source", "Format", "Reachable"):
        table.add_column(heading)
    table.add_column("Objects", justify="right")
    table.add_column("Days covered")
    table.add_column("Newest object")
    for source in config.sources:
        covered = found.get(source.name)
        if covered is None:
            table.add_row(source.name, source.format, "no", *[numbers.DASH] * 3, style="red")
            continue
        days = f"{covered.first_day} to {covered.last_day}" if covered.first_day else numbers.DASH
        table.add_row(
            source.name,
            source.format,
            "yes",
            numbers.count(covered.objects) + ("" if covered.complete else " and more"),
            days if covered.complete or not covered.first_day else f"{days} and more",
            numbers.instant(covered.newest) if covered.newest else numbers.DASH,
        )
    console().print(table)
