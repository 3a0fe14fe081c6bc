"""The statement as a mail to finance: HTML and text with the same figures. How it leaves is in ``delivery``.

The first screen says whether it is final, which period, how much and who pays. The same statement gives the same bytes.
"""

import email.policy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from finops_pipeline.chargeback.statement import Statement, TeamTotal
from finops_pipeline.reports import numbers, wording
from finops_pipeline.reports.templating import render

LONGEST_TABLE = 10
"""Teams that the mail lists before the rest is one row; the page has them all."""

_NAME_COLUMNS = 26
"""Widest column of names in the text alternative."""


@dataclass(frozen=True)
class ChargeRow:
    """One row of the mail's table. ``change`` is None where there is nothing to compare with.

    ``unpriced``: no call of it has a price.
    """

    name: str
    cost_center: str
    amount: Decimal
    change: Decimal | None
    kind: str = "team"
    unpriced: bool = False


def compose(statement: Statement, sender: str, recipient: str, page_path: Path) -> EmailMessage:
    """The mail to ``recipient``, with all headers but those that delivery gives it (Message-ID, the report's key).

    Args:
        statement: A published statement.
        sender: Address that it comes from.
        recipient: One address.
        page_path: Where the page of this statement lies; named in the mail, not read.

    Raises:
        ValueError: an address holds a line break or is no address.
    """
    rows = charge_rows(statement)
    values = {
        "statement": statement,
        "status": wording.status(statement),
        "period": wording.period(statement),
        "summary": wording.summary(statement),
        "notices": wording.notices(statement),
        "coverage": wording.coverage(statement),
        "outcomes": wording.outcomes(statement),
        "drill_down": wording.drill_down(statement),
        "rows": rows,
        "no_price": wording.NO_PRICE,
        "page_path": str(page_path),
    }
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = wording.subject(statement)
    message["Date"] = format_datetime(statement.made_at)
    text = render("mail.txt", table=text_table(statement, rows), **values)
    html = render("mail.html", **values)
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    message.set_boundary("=_" + hashlib.sha256(f"{text}\0{html}".encode()).hexdigest()[:40])
    return message


def charge_rows(statement: Statement) -> list[ChargeRow]:
    """The table of the mail: the ten largest teams, the others in one row, the unallocated, the total."""
    teams = [total for total in statement.team_totals if total.team is not None]
    shown = len(teams) if len(teams) <= LONGEST_TABLE + 1 else LONGEST_TABLE
    rows = [_row(total, wording.team_name(total.team), "team") for total in teams[:shown]]
    if rest := teams[shown:]:
        changes = [total.change for total in rest if total.change is not None]
        change = sum(changes, Decimal("0.00")) if statement.previous else None
        amount = sum((total.amount for total in rest), Decimal("0.00"))
        unpriced = all(total.unpriced for total in rest)
        rows.append(ChargeRow(f"other ({len(rest)})", "", amount, change, "other", unpriced))
    rows += [_row(total, wording.UNALLOCATED, "unallocated") for total in statement.team_totals if total.team is None]
    return [*rows, ChargeRow("Total", "", statement.total, statement.change, "total")]


def _row(total: TeamTotal, name: str, kind: str) -> ChargeRow:
    return ChargeRow(name, _cost_centers(total.cost_centers), total.amount, total.change, kind, total.unpriced)


def text_table(statement: Statement, rows: Sequence[ChargeRow]) -> str:
    """``rows`` in aligned columns, figures to the right, the total under a rule and over a double one."""
    header = ["Team", "Cost centre", "Charge"]
    cells = [[row.name, row.cost_center, wording.charge(row.amount, row.unpriced)] for row in rows]
    if statement.previous is not None:
        header.append(f"Against {numbers.month_name(statement.previous.month)[:3]}")
        cells = [[*cell, numbers.change(row.change)] for cell, row in zip(cells, rows, strict=True)]
    cells = [[_cut(cell) for cell in row] for row in [header, *cells]]
    widths = [max(map(numbers.width, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(_padded(cell, width, right=n > 1) for n, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    ]
    rule = sum(widths) + 2 * (len(widths) - 1)
    return "\n".join(line.rstrip() for line in [lines[0], "-" * rule, *lines[1:-1], "-" * rule, lines[-1], "=" * rule])


def _cost_centers(cost_centers: Sequence[tuple[str | None, Decimal]]) -> str:
    if len(cost_centers) > 1:
        return f"{len(cost_centers)} cost centres"
    return numbers.name(cost_centers[0][0]) if cost_centers else numbers.DASH


def _cut(cell: str) -> str:
    """As much of a name as its column has room for."""
    if numbers.width(cell) <= _NAME_COLUMNS:
        return cell
    kept = cell[:_NAME_COLUMNS]
    while numbers.width(kept) > _NAME_COLUMNS - 1:
        kept = kept[:-1]
    return kept + "…"


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - numbers.width(cell))
    return space + cell if right else cell + space
