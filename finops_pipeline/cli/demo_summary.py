"""The end of `finops demo`: both months side by side, where to look, and what to try next."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from finops_pipeline.cli.terminal import console, shown
from finops_pipeline.reports import numbers

if TYPE_CHECKING:
    from finops_pipeline.chargeback.statement import Statement
    from finops_pipeline.config.model import Config
    from finops_pipeline.orchestration.runner import RunReport, StatementMade


def show(config: "Config", reports: Sequence["RunReport"], commands: Mapping[str, str]) -> None:
    """Print the summary: tables to stdout, failures to stderr."""
    from finops_pipeline.chargeback.revisions import load_statement
    from finops_pipeline.lake import Lake

    lake = Lake(config.resolved(config.lake))
    made = [statement for report in reports for statement in report.statements]
    statements = [load_statement(lake, m.month, m.revision) for m in made]
    console().print(_charges(statements))
    changed = sum(report.changed for report in reports)
    if not changed:
        print("Nothing has changed since the last run: no day was read again, no revision made, no mail written.\n")
    _print_list(_look(config, made))
    print()
    _print_list(commands)
    for report in reports:
        for failure in report.failures:
            console(stderr=True).print(Text.assemble(("Error: ", "red"), failure), soft_wrap=True)


def _charges(statements: Sequence["Statement"]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Charges, USD")
    for statement in statements:
        table.add_column(numbers.month_and_year(statement.month), justify="right")
    by_month = [{t.team: t.amount for t in statement.team_totals} for statement in statements]
    for team in [t.team for t in statements[-1].team_totals] if statements else []:
        table.add_row(
            shown(team, absent="Unallocated"),
            *(numbers.money(amounts[team]) if team in amounts else numbers.DASH for amounts in by_month),
        )
    table.add_section()
    table.add_row("Total", *(numbers.money(statement.total) for statement in statements), style="bold")
    return table


def _look(config: "Config", made: Sequence["StatementMade"]) -> dict[str, str]:
    places = {}
    for statement in made:
        places[f"Statement of {numbers.month_and_year(statement.month)}"] = short(statement.page)
    places["Mails"] = f"{short(config.resolved(config.mail.path))}/*.eml"
    places["Tables, Parquet"] = f"{short(config.resolved(config.lake))}/daily_costs/"
    return places


def _print_list(entries: Mapping[str, str]) -> None:
    width = max(map(len, entries), default=0)
    for what, where in entries.items():
        print(f"{what:<{width}}  {where}")


def short(path: Path) -> str:
    """A path as short as it can be typed from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
