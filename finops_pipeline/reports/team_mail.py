"""A team's part of the statement as a mail to its owner: their amount, their budget, what to do. Nothing of others."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage

from finops_pipeline.chargeback.statement import Statement, ratio
from finops_pipeline.reports import numbers, tables, wording
from finops_pipeline.reports.aligned import text_columns, text_table
from finops_pipeline.reports.letter import letter
from finops_pipeline.reports.notices import notices
from finops_pipeline.reports.summary import team_summary
from finops_pipeline.reports.tables import DetailRow
from finops_pipeline.reports.templating import render, render_mail

MOST_ACTIONS = 3
"""Actions that the mail names; the page has more."""


@dataclass(frozen=True)
class Standing:
    """What the amount is held against: last month, a budget. ``state`` is a budget's status, or empty."""

    what: str
    value: str
    remark: str
    state: str = ""


def compose_team(
    part: Statement, sender: str, recipient: str, attachments: Mapping[str, bytes] | None = None
) -> EmailMessage:
    """The mail to a team's owner, with all headers but those that delivery gives it.

    Args:
        part: ``part_of`` a published statement.
        sender: Address that it comes from.
        recipient: The owner's address.
        attachments: Content by file name: the team's page, and nothing of others.

    Raises:
        ValueError: ``part`` is a whole statement, or an address holds a line break.
    """
    if part.only_team is None:
        raise ValueError(f"the statement of {part.month} is of all teams: an owner gets their team's part of it")
    total = next(iter(part.team_totals), None)
    rows = [] if total is None or not total.requests else tables.team_details(part, total)
    actions = tables.action_rows(part, MOST_ACTIONS)
    standings = team_standings(part)
    values = {
        "statement": part,
        "team": wording.team_name(part.only_team),
        "charged": wording.charged(part),
        "status": wording.status(part),
        "period": wording.period(part),
        "summary": team_summary(part),
        "notices": notices(part),
        "coverage": wording.coverage(part),
        "replaced": wording.replaced(part),
        "drill_down": wording.drill_down(part),
        "savings_command": wording.savings_command(part.month, part.only_team),
        "owner": None if total is None else total.owner,
        "cost_centers": [] if total is None else [numbers.name(name) for name, _ in total.cost_centers if name],
        "standings": standings,
        "rows": rows,
        "actions": actions,
        "notes": tables.assumptions([row.action for row in actions]),
        "together": wording.together(part),
        "evidence": wording.evidence([row.action for row in actions]),
        "attached": list(attachments or {}),
    }
    sum_shown = wording.charge(part, part.total, wording.nothing_priced(part))
    return letter(
        sender=sender,
        recipient=recipient,
        subject=wording.subject(part),
        date=part.made_at,
        text=render(
            "team_mail.txt",
            standing_table=text_columns([[row.what, row.value, row.remark] for row in standings]),
            detail_table=_detail_table(part, rows, sum_shown),
            **values,
        ),
        html=render_mail("team_mail.html", total=sum_shown, **values),
        attachments=attachments,
    )


def team_standings(part: Statement) -> list[Standing]:
    """The month before and each budget that counts what the team spends, wholly or in part."""
    standings = []
    if part.previous is not None:
        change = None if wording.nothing_priced(part) else part.change
        relative = None if change is None else ratio(change, part.previous.total)
        month = numbers.month_name(part.previous.month)
        remark = f"{month}: {numbers.money(part.previous.total, part.exponent)}"
        share = f" ({numbers.share_change(relative)})" if relative is not None else ""
        standings.append(Standing(f"Against {month}", numbers.change(change, part.exponent), remark + share))
    for line in part.budgets:
        what = "Budget" if line.of_whole_team else f"Budget {numbers.name(line.budget)}"
        of = f"{numbers.money(line.spent)} of {numbers.usd(line.limit, part.currency)}"
        remark = of if line.of_whole_team else f"{of} ({wording.scope(line)})"
        state = "" if line.status == "ok" else line.status
        standings.append(Standing(what, wording.budget_used(line), remark, state))
    return standings


def _detail_table(part: Statement, rows: list[DetailRow], total: str) -> str:
    cells = [
        [
            f"other ({row.others})" if row.others else numbers.name(row.project),
            "" if row.others else numbers.name(row.model),
            wording.charge(part, row.amount, row.unpriced),
            numbers.share(row.share),
        ]
        for row in rows
    ]
    header = ["Project", "Model", "Charge", "Share"]
    return text_table(header, [*cells, [wording.TOTAL, "", total, ""]], names=2, total=True, longest=26)
