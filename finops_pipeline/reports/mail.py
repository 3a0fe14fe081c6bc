"""The statement as a mail to finance: HTML and text with the same figures. How it leaves is in ``delivery``.

The first screen says whether it is final, which period, how much and who pays. The same statement gives the same bytes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from email.message import EmailMessage

from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports import numbers, tables, wording
from finops_pipeline.reports.aligned import text_table
from finops_pipeline.reports.bridge_chart import bridge_chart
from finops_pipeline.reports.letter import letter
from finops_pipeline.reports.notices import lacking, remarks
from finops_pipeline.reports.pictures import bridge_picture
from finops_pipeline.reports.summary import mail_summary
from finops_pipeline.reports.tables import ChargeRow
from finops_pipeline.reports.templating import render, render_mail

MOST_ACTIONS = 3
"""Actions that a mail names; the page has more."""

_PICTURES = {"wide": (576, True), "narrow": (358, False)}
"""Pixels of a picture in the mail, on a desktop and on a phone, and whether it stands upright."""

_NAME_COLUMNS = 20
"""Columns of a name in the text's table, so that all of it fits into 80."""


def compose(
    statement: Statement,
    sender: str,
    recipient: str,
    page_path: str,
    attachments: Mapping[str, bytes] | None = None,
) -> EmailMessage:
    """The mail to ``recipient``, with all headers but those that delivery gives it (Message-ID, the report's key).

    Args:
        statement: A published statement.
        sender: Address that it comes from.
        recipient: One address.
        page_path: Where the page of this statement lies, a path or a URI; named in the mail, not read.
        attachments: Content by file name: the ledger, the workbook.

    Raises:
        ValueError: an address holds a line break.
    """
    rows = tables.charge_rows(statement)
    actions = tables.action_rows(statement, MOST_ACTIONS)
    chart = bridge_chart(statement, _PICTURES["wide"][0], upright=True)
    drawn = {
        kind: picture
        for kind, (width, upright) in _PICTURES.items()
        if (picture := bridge_picture(statement, width, upright=upright)) is not None
    }
    cid = {kind: f"bridge-{hashlib.sha256(picture).hexdigest()[:16]}" for kind, picture in drawn.items()}
    values = {
        "statement": statement,
        "status": wording.status(statement),
        "period": wording.period(statement),
        "summary": mail_summary(statement),
        "lacking": lacking(statement),
        "remarks": remarks(statement),
        "coverage": wording.coverage(statement),
        "replaced": wording.replaced(statement),
        "outcomes": wording.outcomes(statement),
        "drill_down": wording.drill_down(statement),
        "other_budgets": tables.budget_rows([line for line in tables.other_budgets(statement) if line.status != "ok"]),
        "actions": actions,
        "notes": tables.assumptions([row.action for row in actions]),
        "together": wording.together(statement),
        "evidence": wording.evidence([row.action for row in actions]),
        "attached": list(attachments or {}),
        "page_path": page_path,
    }
    return letter(
        sender=sender,
        recipient=recipient,
        subject=wording.subject(statement),
        date=statement.made_at,
        text=render("mail.txt", table=charge_table(statement, rows), bridge_table=bridge_table(statement), **values),
        html=render_mail(
            "mail.html",
            rows=rows,
            pictures=list(drawn),
            cid=cid,
            widths={kind: width for kind, (width, _) in _PICTURES.items()},
            bridge_sentence=wording.bridge_sentence(statement) if drawn else "",
            starts_at=None if chart is None else chart.starts_at,
            **values,
        ),
        pictures={cid[kind]: picture for kind, picture in drawn.items()},
        attachments=attachments,
    )


def charge_table(statement: Statement, rows: Sequence[ChargeRow]) -> str:
    """The charges in aligned columns, the total under a rule and over a double one."""
    header = ["Team", "Cost centre", "Charge"]
    cells = [[row.name, row.cost_center, wording.charge(statement, row.amount, row.unpriced)] for row in rows]
    if statement.budgets:
        header.append("Budget")
        cells = [[*cell, row.budget_used] for cell, row in zip(cells, rows, strict=True)]
    if statement.previous is not None:
        header.append(f"Against {numbers.month_name(statement.previous.month)[:3]}")
        cells = [[*cell, numbers.change(row.change, statement.exponent)] for cell, row in zip(cells, rows, strict=True)]
    return text_table(header, cells, names=2, total=True, longest=_NAME_COLUMNS)


def bridge_table(statement: Statement) -> str:
    """Last month, the steps and this month in aligned columns; empty where there is no bridge."""
    before = statement.previous
    if before is None or not statement.bridge:
        return ""
    exponent = statement.exponent
    steps = [[step.name, numbers.change(step.amount, exponent)] for step in statement.bridge]
    first = [numbers.month_name(before.month), numbers.money(before.total, exponent)]
    last = [numbers.month_name(statement.month), numbers.money(statement.total, exponent)]
    return text_table(["", statement.currency], [first, *steps, last], total=True)
