import dataclasses
import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.chargeback.analyses import BudgetLine
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports import numbers
from finops_pipeline.reports.mail import compose
from finops_pipeline.reports.page import render_page

StatementOf = Callable[..., Statement]
Arrive = Callable[[EmailMessage], Any]

PAGE = Path("lake/reports/month=2026-10/revision=1/index.html")


@pytest.fixture
def sent(arrived: Arrive) -> Callable[..., Any]:
    """The finance mail of a statement, as it arrives."""

    def send(statement: Statement, attachments: dict[str, bytes] | None = None) -> Any:
        return arrived(compose(statement, "finops@example.com", "finance@example.com", PAGE, attachments))

    return send


def plain(text: str) -> str:
    return text.replace(numbers.NO_BREAK, " ")


def test_headers(october: Statement, sent: Callable[..., Any]) -> None:
    message = sent(october).message
    assert (message["From"], message["To"]) == ("finops@example.com", "finance@example.com")
    assert message["Subject"] == f"AI usage chargeback 2026-10: {numbers.money(october.total)} USD, preliminary"
    assert message["Date"].datetime == dt.datetime(2026, 11, 3, 6, tzinfo=dt.UTC)


def test_the_subject_of_a_revision_arrives_whole(statement_of: StatementOf, sent: Callable[..., Any]) -> None:
    statement = statement_of([{"team": "a", "cost": Decimal("924.28")}], revision=2, replaces=Decimal("1234.50"))
    mail = sent(statement)
    subject = "AI usage chargeback 2026-10: 924.28 USD, preliminary, revision 2, -310.22"
    assert mail.message["Subject"] == subject
    assert f"\r\nSubject: {subject}\r\n".encode() in mail.bytes


def test_the_same_statement_gives_the_same_bytes(october: Statement) -> None:
    first, second = (
        compose(statement, "finops@example.com", "finance@example.com", PAGE, {"a.csv": b"1"}).as_bytes()
        for statement in (october, dataclasses.replace(october))
    )
    assert first == second


def test_html_and_text_name_the_same_figures(october: Statement, sent: Callable[..., Any]) -> None:
    mail = sent(october)
    text, html = mail.flat_text, mail.html.flat
    amounts = [numbers.money(total.amount) for total in october.team_totals]
    amounts += [numbers.change(total.change) for total in october.team_totals]
    amounts += [numbers.change(step.amount) for step in october.bridge]
    amounts += [numbers.money(action.expected) for action in october.savings.actions[:3]]
    amounts += ["121.3 % exceeded", "≥ 86.3 % warning", "82.8 % warning", numbers.money(october.savings.total)]
    for amount in amounts:
        assert amount in text, amount
        assert amount in plain(html), amount
    assert numbers.money(october.total) in render_page(october)


def test_the_first_screen_of_the_text_says_final_period_amount_and_payers(
    october: Statement, sent: Callable[..., Any]
) -> None:
    first = sent(october).text.splitlines()
    assert first[0] == f"AI usage chargeback, October 2026: {numbers.money(october.total)} USD"
    assert first[1] == "Preliminary, revision 1. 1–31 October 2026 UTC."
    assert "than September" in first[3]
    assert any(line.startswith("Support") for line in first[:14])


def test_columns_of_the_text_are_aligned(october: Statement, hostile: Statement, sent: Callable[..., Any]) -> None:
    for statement in (october, hostile):
        lines = sent(statement).text.splitlines()
        rules = [n for n, line in enumerate(lines) if line and set(line) <= {"-", "="}]
        table = lines[rules[0] - 1 : rules[2] + 1]
        width = numbers.width(table[1])
        assert {numbers.width(line) for line in table} == {width}
        assert width <= 80


def test_an_unknown_charge_is_a_dash_in_both_parts(
    statement_of: StatementOf, unpriced: Callable[..., dict[str, Any]], sent: Callable[..., Any]
) -> None:
    rows = [unpriced("dark", "x", "unresolved_model", tokens=5), {"team": "lit", "cost": Decimal(1)}]
    mail = sent(statement_of(rows))
    (line,) = [line for line in mail.text.splitlines() if line.startswith("dark")]
    assert line.endswith("– no price")
    assert "dark – no price" in mail.html.flat
    assert "0.00" not in mail.text + mail.html.flat


def test_what_is_missing_stands_in_both_parts_before_the_amounts(
    statement_of: StatementOf, sent: Callable[..., Any]
) -> None:
    statement = statement_of(lacks={"missing_days": (dt.date(2026, 10, 4),)}, revision=2, replaces=Decimal("1.00"))
    mail = sent(statement)
    for flat in (mail.flat_text, plain(mail.html.flat)):
        assert "Preliminary, incomplete, revision 2" in flat
        assert flat.index("1 of 31 days is missing (4 October)") < flat.index("Total")
        assert "Replaces revision 1 of 1.00: −1.00" in flat
        assert str(PAGE) in flat


def test_the_bridge_is_a_picture_whose_numbers_are_in_the_text_too(
    october: Statement, sent: Callable[..., Any]
) -> None:
    mail = sent(october)
    shown = {part["Content-ID"].strip("<>") for part in mail.message.walk() if part.get_content_type() == "image/png"}
    assert {link.removeprefix("cid:") for link in mail.html.links} == shown
    assert len(shown) == 2
    assert "alt" in mail.html.attributes
    steps = ", ".join(f"{step.name} {numbers.change(step.amount)}" for step in october.bridge)
    sentence = (
        f"September 68,043.46, {steps}, October {numbers.money(october.total)}; the picture’s axis starts at 62,000."
    )
    assert sentence in mail.html.flat


def test_without_a_bridge_there_is_no_picture(statement_of: StatementOf, sent: Callable[..., Any]) -> None:
    mail = sent(statement_of([{"team": "a", "cost": Decimal(1)}]))
    assert not mail.html.tags & {"img"}
    assert "Why it changed" not in mail.text + mail.html.text


def test_what_is_attached_is_named_and_arrives(october: Statement, sent: Callable[..., Any]) -> None:
    files = {"chargeback-2026-10-r1.csv": b"a\r\n", "chargeback-2026-10-r1.xlsx": b"PK"}
    mail = sent(october, files)
    assert mail.attached == files
    for flat in (mail.flat_text, mail.html.flat):
        assert "Attached: chargeback-2026-10-r1.csv, chargeback-2026-10-r1.xlsx." in flat
    assert "Attached" not in sent(october).text


def test_budgets_within_their_limit_are_not_listed_apart(statement_of: StatementOf, sent: Callable[..., Any]) -> None:
    fine = BudgetLine("fine", (("model", "x"),), Decimal(10), Decimal(1), "ok")
    near = BudgetLine("near", (("model", "y"),), Decimal(10), Decimal(9), "warning")
    mail = sent(statement_of([{"team": "a", "cost": Decimal(1)}], budgets=(fine, near)))
    for flat in (mail.flat_text, plain(mail.html.flat)):
        assert "Budget near (model y): 90.0 % warning, 9.00 of 10.00" in flat
        assert "fine" not in flat


def test_the_html_needs_no_script_or_svg_and_asks_nobody(october: Statement, sent: Callable[..., Any]) -> None:
    mail = sent(october)
    assert not mail.html.tags & {"script", "svg", "link", "iframe", "form"}
    assert not [link for link in mail.html.links if not link.startswith("cid:")]
    part = mail.message.get_body(("html",)).get_content()
    assert not re.search(r"https?:|url\(|@import", part)


def test_styles_stand_in_the_elements_and_dark_colours_in_the_head(
    october: Statement, sent: Callable[..., Any]
) -> None:
    html = sent(october).message.get_body(("html",)).get_content()
    head, body = html.split("</head>")
    assert "prefers-color-scheme" in head
    assert ".exceeded" not in re.sub(r"@media.*", "", head, flags=re.DOTALL)
    assert re.search(r'<td[^>]*style="[^"]*color: ?#b3261e', body)


def test_hostile_names_stay_text_in_both_parts(hostile: Statement, sent: Callable[..., Any]) -> None:
    mail = sent(hostile)
    assert set(mail.message.keys()) == {"From", "To", "Subject", "Date", "MIME-Version", "Content-Type"}
    assert "script" not in mail.html.tags
    assert "onmouseover" not in mail.html.attributes
    for shown in (mail.html.text, mail.text):
        assert "<script>alert(1)" in shown
        assert "{{ 7 * 7 }}{% raw" in shown
        assert "\u202e" not in shown
        assert not any(line.startswith("Bcc:") for line in shown.splitlines())


@pytest.mark.parametrize("recipient", ["a@example.com\r\nBcc: b@example.com", "a@example.com\nX: y"])
def test_a_recipient_cannot_add_headers(october: Statement, recipient: str) -> None:
    with pytest.raises(ValueError, match="linefeed"):
        compose(october, "finops@example.com", recipient, PAGE)
