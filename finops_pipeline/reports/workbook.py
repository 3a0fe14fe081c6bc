"""A statement, or a team's part of one, as a workbook to filter, sort and go on with. Nothing here computes a charge.

How a table stands on its sheet is in ``sheets``. The record is the CSV ledger: a spreadsheet's numbers have 15 digits.
"""

import hashlib
from collections.abc import Iterator, Mapping
from decimal import Decimal

from finops_pipeline.chargeback.analyses import Action, BudgetLine
from finops_pipeline.chargeback.statement import Statement, TeamTotal, ratio
from finops_pipeline.money import to_cents
from finops_pipeline.reports import numbers, wording
from finops_pipeline.reports.ledger import ledger, ledger_name, render_ledger
from finops_pipeline.reports.notices import notices
from finops_pipeline.reports.sheets import Column, Sheets, Style, Value
from finops_pipeline.reports.summary import month_summary, team_summary

MOST_TEAMS = 100
"""Teams that have a column of their own among the days; the others are one."""

_LEDGER_STYLES: Mapping[str, Style] = {
    "requests": "count",
    "tokens": "count",
    "unpriced_requests": "count",
    "exact_cost": "exact",
    "amount": "money",
    "fx_rate": "rate",
    "fx_date": "date",
}


def workbook_name(statement: Statement) -> str:
    """``chargeback-2026-10-r1.xlsx``: what the ledger is called, but for the ending."""
    return ledger_name(statement).removesuffix(".csv") + ".xlsx"


def render_workbook(statement: Statement) -> bytes:
    """The workbook as a file. The same statement gives the same bytes.

    Sheets: Summary, Teams, Lines (the ledger's columns and rows), Days, Budgets, Savings, Why it changed. Of a team's
    part they have its own. Names are written as ``ledger.cell_text`` has them; amounts and exact costs are numbers, to
    add up and to sort by; what is unknown is a dash or says so.
    """
    sheets = Sheets(wording.subject(statement).partition(":")[0], statement.made_at, statement.exponent)
    sheets.entries("Summary", _summary(statement))
    _teams(sheets, statement)
    lines = ledger(statement)
    sheets.table("Lines", [Column(name, _LEDGER_STYLES.get(name, "text")) for name in lines.columns], lines.rows())
    _days(sheets, statement)
    _budgets(sheets, statement)
    _savings(sheets, statement)
    _bridge(sheets, statement)
    return sheets.content()


def _summary(statement: Statement) -> Iterator[tuple[str, Value, Style]]:
    whole = statement.only_team is None
    yield "Period", wording.period(statement), "text"
    yield "Status", wording.status(statement), "text"
    yield "Made at", numbers.instant(statement.made_at), "text"
    yield "Currency", statement.currency, "text"
    if (exchange := wording.exchange(statement)) is not None:
        yield "Rate of exchange", f"{exchange}. Budgets and savings are in USD.", "prose"
    yield "In short", month_summary(statement) if whole else team_summary(statement), "prose"
    yield "Charged", _total(statement), "money"
    if statement.exchange is not None:
        yield "Charged, USD", to_cents(statement.exact_total), "usd"
    if statement.correction is not None:
        yield f"Against revision {statement.revision - 1}", statement.correction, "change"
    if (previous := statement.previous) is not None:
        yield numbers.month_and_year(previous.month), previous.total, "money"
        yield f"Against {numbers.month_name(previous.month)}", statement.change, "change"
    if whole:
        yield "Unallocated", statement.unallocated, "money"
    for line in statement.budgets:
        if line.status != "ok":
            of = f"{numbers.money(line.spent)} of {numbers.usd(line.limit, statement.currency)}"
            yield f"Budget {wording.budget_name(line)}", f"{wording.budget_used(line)}: {of}", "text"
    if statement.savings.days:
        yield f"Could have been saved{wording.in_usd(statement.currency)}", statement.savings.total, "usd"
    yield "Completeness", wording.coverage(statement), "text"
    for notice in notices(statement):
        yield "To know", f"{notice.headline} {notice.explanation}", "prose"
    yield "Calls", statement.requests, "count"
    yield "Tokens", statement.tokens, "count"
    yield "Tokens without a price", statement.unpriced_share, "share"
    if whole:
        yield "Tokens measured", statement.measured_share, "share"
        yield "Tokens estimated", statement.estimated_share, "share"
        yield "Cost unallocated", statement.unallocated_share, "share"
        yield "Logs", wording.outcomes(statement), "prose"
        yield "Price books", ", ".join(statement.book_versions), "text"
    yield "Ledger", ledger_name(statement), "text"
    yield "SHA-256 of the ledger", hashlib.sha256(render_ledger(statement)).hexdigest(), "text"
    rounded = "whole cents" if statement.exchange is None else f"whole units of {wording.unit(statement.currency)}"
    yield "To add up", f"Amounts are {rounded} and add up. Exact costs are exact in the ledger alone.", "prose"


def _total(statement: Statement) -> Decimal | str:
    """What is charged; that there is no price where a team's calls all lack one."""
    unknown = statement.only_team is not None and wording.nothing_priced(statement)
    return wording.NO_PRICE if unknown else statement.total


def _teams(sheets: Sheets, statement: Statement) -> None:
    previous = statement.previous
    in_usd = wording.in_usd(statement.currency)
    month = "Last month" if previous is None else numbers.month_name(previous.month)
    columns = [
        Column("Team"), Column("Owner"), Column("Cost centre"), Column("Charge", "money"), Column("Share", "share"),
        Column(month, "money"), Column(f"Against {month}", "change"), Column(f"Budget{in_usd}", "usd"),
        Column("Used", "share"), Column("Status", "status"), Column(f"Could be saved{in_usd}", "usd"),
        Column("Calls", "count"), Column("Tokens", "count"),
    ]  # fmt: skip
    total: list[Value] = [
        wording.TOTAL, None, None, _total(statement), ratio(statement.total, statement.total),
        None if previous is None else previous.total, statement.change, None, None, None,
        statement.savings.total if statement.savings.days else None, statement.requests, statement.tokens,
    ]  # fmt: skip
    sheets.table("Teams", columns, [_team(statement, team) for team in statement.team_totals], total=total)


def _team(statement: Statement, team: TeamTotal) -> list[Value]:
    budget, before, savings = team.budget, statement.previous, statement.savings
    centers = ", ".join(numbers.name(cost_center) for cost_center, _ in team.cost_centers if cost_center is not None)
    return [
        wording.team_name(team.team),
        team.owner,
        centers or None,
        wording.NO_PRICE if team.unpriced else team.amount,
        team.share,
        None if before is None else before.by_team.get(team.team, Decimal("0.00")),
        team.change,
        budget.limit if budget else None,
        budget.share if budget else None,
        budget.status if budget else None if team.team is None else wording.NO_BUDGET,
        savings.together.get(team.team, Decimal("0.00")) if savings.days else None,
        team.requests,
        team.tokens,
    ]


def _days(sheets: Sheets, statement: Statement) -> None:
    """A row a day: all of it, and each team's: zero where it has no cost, unknown where the day is missing."""
    by_team = {
        team: {day: statement.converted(cost) for day, cost in rows.select("date", "cost").iter_rows()}
        for (team,), rows in statement.team_days.group_by("team", maintain_order=True)
    }
    named = (
        []
        if statement.only_team is not None
        else [total.team for total in statement.team_totals if total.team in by_team]
    )
    shown, others = named[:MOST_TEAMS], named[MOST_TEAMS:]
    columns = [Column("Day", "date"), Column("Cost", "money")]
    columns += [Column(wording.team_name(team), "money") for team in shown]
    columns += [Column(f"other ({len(others)})", "money")] if others else []
    rows: list[list[Value]] = []
    for day, cost in statement.days.iter_rows():
        costs = [by_team[team].get(day, Decimal(0)) for team in shown]
        costs += [sum((by_team[team].get(day, Decimal(0)) for team in others), Decimal(0))] if others else []
        whole_day = "missing" if cost is None else statement.converted(cost)
        rows.append([day, whole_day, *(None if cost is None else own for own in costs)])
    sheets.table("Days", columns, rows)


def _budgets(sheets: Sheets, statement: Statement) -> None:
    in_usd = wording.in_usd(statement.currency)
    columns = [
        Column("Budget"), Column("Scope"), Column(f"Limit{in_usd}", "usd"), Column(f"Spent{in_usd}", "usd"),
        Column("Used", "share"), Column(f"Over or left{in_usd}", "usd_change"), Column("Status", "status"),
        Column("Calls without a price", "count"),
    ]  # fmt: skip
    sheets.table("Budgets", columns, map(_budget, statement.budgets))


def _budget(line: BudgetLine) -> list[Value]:
    return [
        line.budget, wording.scope(line), line.limit, line.spent, line.share, line.over, line.status,
        line.unpriced_requests,
    ]  # fmt: skip


def _savings(sheets: Sheets, statement: Statement) -> None:
    in_usd = wording.in_usd(statement.currency)
    columns = [
        Column("Team"), Column("Project"), Column("Application"), Column("Service"), Column("Model"), Column("Lever"),
        Column("To"), Column("Finding", "status"), Column("Calls", "count"), Column(f"Cost{in_usd}", "usd"),
        Column(f"Low{in_usd}", "usd"), Column(f"Expected{in_usd}", "usd"), Column(f"High{in_usd}", "usd"),
        Column(f"Together{in_usd}", "usd"),
        Column("Evidence"), Column("What to do", "prose"), Column("What has to hold", "prose"),
    ]  # fmt: skip
    found = statement.savings
    rows = [_action(action, "saves") for action in found.actions]
    rows += [_action(action, "would cost more") for action in found.would_cost_more]
    note = "With those beyond this list, in order, so that none counts what another has saved."
    total: list[Value] = ["All together", *[None] * 12, found.total, None, note, None]
    sheets.table("Savings", columns, rows, total=total if found.actions else None)


def _action(action: Action, finding: str) -> list[Value]:
    return [
        wording.team_name(action.team), action.project, action.application, action.service, action.model, action.lever,
        action.target, finding, action.requests, action.cost, action.low, action.expected, action.high,
        action.incremental, action.evidence, action.action, action.assumptions,
    ]  # fmt: skip


def _bridge(sheets: Sheets, statement: Statement) -> None:
    """From the month before to this one, with what each step comes to."""
    columns = [Column("Step"), Column("Change", "change"), Column("Comes to", "money"), Column("What it is")]
    previous = statement.previous
    if previous is None:
        rows: list[list[Value]] = [["Not known", None, None, "There is no statement of the month before."]]
    else:
        rows = [[numbers.month_and_year(previous.month), None, previous.total, None]]
        reached = previous.total
        for step in statement.bridge:
            reached += step.amount
            rows.append([step.name, step.amount, reached, wording.BRIDGE_MEANINGS.get(step.name)])
    total: list[Value] = [numbers.month_and_year(statement.month), statement.change, statement.total, None]
    sheets.table("Why it changed", columns, rows, total=total)
