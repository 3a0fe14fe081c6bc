"""The end of `finops demo`: both months side by side, where to look, and what to try next."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from finops_pipeline.cli.terminal import console, shown
from finops_pipeline.reports import numbers, wording

if TYPE_CHECKING:
    from finops_pipeline.chargeback.analyses import BudgetLine
    from finops_pipeline.chargeback.statement import Statement
    from finops_pipeline.config.model import Config
    from finops_pipeline.orchestration.context import Sent
    from finops_pipeline.orchestration.run_report import RunReport, StatementMade

ACTIONS = 5
"""Actions that are shown."""


def show(config: "Config", reports: Sequence["RunReport"], commands: Mapping[str, str]) -> None:
    """Print the summary: tables to stdout, failures to stderr."""
    from finops_pipeline.chargeback.revisions import load_statement
    from finops_pipeline.lake import open_lake

    lake = open_lake(config)
    made = [statement for report in reports for statement in report.statements]
    statements = [load_statement(lake, m.month, m.revision) for m in made]
    if statements:
        console().print(_charges(statements))
        console().print(_actions(statements[-1]))
        print(f"{_read(statements)}\n")
    if not any(report.changed for report in reports):
        print("Nothing has changed since the last run: no day was read again, no revision made, no mail written.\n")
    mails = [mail for report in reports for mail in report.alerts] + [mail for m in made for mail in m.mails]
    _print_list(_look(config, made, mails))
    print()
    _print_list(commands)
    for report in reports:
        for failure in report.failures:
            console(stderr=True).print(Text.assemble(("Error: ", "red"), failure), soft_wrap=True)


def _charges(statements: Sequence["Statement"]) -> Table:
    """The months side by side, and the last one against its budgets."""
    last = statements[-1]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Charges, USD")
    for statement in statements:
        table.add_column(numbers.month_and_year(statement.month), justify="right")
    table.add_column("Budget", justify="right")
    table.add_column("Used", justify="right")
    by_month = [{t.team: t.amount for t in statement.team_totals} for statement in statements]
    for total in last.team_totals:
        table.add_row(
            shown(total.team, absent="Unallocated"),
            *(numbers.money(amounts.get(total.team)) for amounts in by_month),
            *_against(total.budget),
        )
    table.add_section()
    table.add_row("Total", *(numbers.money(statement.total) for statement in statements), style="bold")
    return table


def _against(budget: "BudgetLine | None") -> tuple[str, Text]:
    if budget is None:
        return numbers.DASH, Text("")
    style = {"exceeded": "red", "warning": "yellow"}.get(budget.status, "")
    return numbers.money(budget.limit), Text(wording.budget_used(budget), style=style)


def _actions(statement: "Statement") -> Table:
    """What would have cost less in the last month, the largest first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"What would have cost less in {numbers.month_name(statement.month)}")
    for heading in ("Low", "Expected", "High"):
        table.add_column(heading, justify="right")
    for action in statement.savings.actions[:ACTIONS]:
        amounts = (numbers.money(amount) for amount in (action.low, action.expected, action.high))
        table.add_row(shown(action.action), *amounts)
    table.add_section()
    table.add_row("All together, for they overlap", "", numbers.money(statement.savings.total), style="bold")
    return table


def _read(statements: Sequence["Statement"]) -> str:
    """What became of all that was read."""
    outcomes = sum((Counter(statement.outcomes) for statement in statements), Counter[str]())
    return wording.outcomes_of(outcomes, sum(statement.lines_read for statement in statements)) + "."


def _look(config: "Config", made: Sequence["StatementMade"], mails: Sequence["Sent"]) -> dict[str, str]:
    places = {}
    for statement in made:
        places[f"Statement of {numbers.month_and_year(statement.month)}"] = short(Path(statement.page))
    new = f" ({len(mails)} new)" if mails else ""
    places["Mails"] = f"{short(config.resolved(config.mail.path))}/*.eml{new}"
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
