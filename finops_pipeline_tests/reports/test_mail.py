import dataclasses
import datetime as dt
import email
import email.policy
from collections.abc import Callable
from decimal import Decimal
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports import numbers
from finops_pipeline.reports.mail import charge_rows, compose
from finops_pipeline.reports.page import render_page

StatementOf = Callable[..., Statement]

PAGE = Path("lake/reports/month=2026-10/revision=1/index.html")


def composed(statement: Statement, recipient: str = "finance@example.com") -> EmailMessage:
    """The mail as its reader gets it: through bytes and back."""
    written = compose(statement, "finops@example.com", recipient, PAGE).as_bytes()
    return email.message_from_bytes(written, policy=email.policy.default)  # type: ignore[return-value]


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace(numbers.NO_BREAK, " ")


class Html(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, text: str) -> None:
        self.text += text


def test_headers(october: Statement) -> None:
    message = composed(october)
    assert (message["From"], message["To"]) == ("finops@example.com", "finance@example.com")
    assert message["Subject"] == f"AI usage chargeback 2026-10: {numbers.money(october.total)} USD, preliminary"
    assert message["Date"].datetime == dt.datetime(2026, 11, 3, 6, tzinfo=dt.UTC)


def test_the_same_statement_gives_the_same_bytes(october: Statement) -> None:
    first, second = (
        compose(statement, "finops@example.com", "finance@example.com", PAGE).as_bytes()
        for statement in (october, dataclasses.replace(october))
    )
    assert first == second


def test_html_and_text_name_the_same_figures(october: Statement) -> None:
    message = composed(october)
    text, page = body(message, "plain"), Html(body(message, "html")).text
    for total in october.team_totals:
        assert numbers.money(total.amount) in text
        assert numbers.money(total.amount) in page
        assert numbers.change(total.change) in text
        assert numbers.change(total.change) in page
    assert numbers.money(october.total) in render_page(october)


def test_the_first_screen_of_the_text_says_final_period_amount_and_payers(october: Statement) -> None:
    first = body(composed(october), "plain").splitlines()
    assert first[0] == f"AI usage chargeback, October 2026: {numbers.money(october.total)} USD"
    assert first[1] == "Preliminary, revision 1. 1–31 October 2026 UTC."
    assert "than September" in first[3]
    assert any(line.startswith("Support") for line in first[:14])


def test_columns_of_the_text_are_aligned(october: Statement, hostile: Statement) -> None:
    for statement in (october, hostile):
        lines = body(composed(statement), "plain").splitlines()
        rules = [n for n, line in enumerate(lines) if line and set(line) <= {"-", "="}]
        table = lines[rules[0] - 1 : rules[-1] + 1]
        assert {numbers.width(line) for line in table} == {numbers.width(table[1])}
        assert numbers.width(table[1]) < 80


def test_the_mails_rows_add_up_to_the_total(statement_of: StatementOf) -> None:
    costs = [{"team": f"t{n:02}", "cost": Decimal(n + 1)} for n in range(15)]
    statement = statement_of([*costs, {"cost": Decimal("0.5")}])
    *rows, total = charge_rows(statement)
    assert [row.name for row in rows[-2:]] == ["other (5)", "Unallocated"]
    assert (len(rows), total.amount) == (12, Decimal("120.50"))
    assert sum(row.amount for row in rows) == total.amount
    assert all(row.change is None for row in [*rows, total])


def test_an_unknown_charge_is_a_dash_in_both_parts(
    statement_of: StatementOf, unpriced: Callable[..., dict[str, Any]]
) -> None:
    statement = statement_of([unpriced("dark", "x", "unresolved_model", tokens=5), {"team": "lit", "cost": Decimal(1)}])
    message = composed(statement)
    text, page = body(message, "plain"), " ".join(Html(body(message, "html")).text.split())
    (line,) = [line for line in text.splitlines() if line.startswith("dark")]
    assert line.endswith("– no price")
    assert "dark – – no price" in page
    assert "0.00" not in text + page


def test_teams_in_the_last_row_that_all_lack_a_price_are_a_dash_too(
    statement_of: StatementOf, unpriced: Callable[..., dict[str, Any]]
) -> None:
    rows = [{"team": f"t{n:02}", "cost": Decimal(1)} for n in range(10)]
    rows += [unpriced(f"u{n}", "x", "unknown_tier") for n in range(2)]
    *teams, total = charge_rows(statement_of(rows))
    assert (teams[-1].name, teams[-1].unpriced, total.unpriced) == ("other (2)", True, False)


def test_changes_of_the_other_teams_are_summed(statement_of: StatementOf, october: Statement) -> None:
    costs = [{"team": f"t{n:02}", "cost": Decimal(1)} for n in range(12)]
    *rows, total = charge_rows(statement_of(costs, previous=october.previous))
    assert rows[-2].name.startswith("other")
    assert sum(row.change or 0 for row in rows) == total.change


def test_what_is_missing_stands_in_both_parts(statement_of: StatementOf) -> None:
    statement = statement_of(lacks={"missing_days": (dt.date(2026, 10, 4),)}, revision=2, replaces=Decimal("1.00"))
    message = composed(statement)
    for text in (body(message, "plain"), Html(body(message, "html")).text):
        flat = " ".join(text.split())
        assert "Preliminary, incomplete, revision 2" in flat
        assert "1 of 31 days is missing (4 October)" in flat
        assert "Replaces revision 1 of 1.00: −1.00" in flat
        assert str(PAGE) in flat


def test_the_html_needs_no_image_script_or_svg(october: Statement) -> None:
    parsed = Html(body(composed(october), "html"))
    assert not parsed.tags & {"script", "img", "svg", "link", "iframe"}


def test_hostile_names_stay_text_in_both_parts(hostile: Statement) -> None:
    message = composed(hostile)
    assert message["Bcc"] is None
    assert set(message.keys()) == {"From", "To", "Subject", "Date", "MIME-Version", "Content-Type"}
    page, text = Html(body(message, "html")), body(message, "plain")
    assert "script" not in page.tags
    assert "onmouseover" not in page.attributes
    for shown in (page.text, text):
        assert "<script>alert(1)</script>" in shown
        assert "{{ 7 * 7 }}{% raw %}" in shown
        assert "\u202e" not in shown
        assert not any(line.startswith("Bcc:") for line in shown.splitlines())


@pytest.mark.parametrize("recipient", ["a@example.com\r\nBcc: b@example.com", "a@example.com\nX: y"])
def test_a_recipient_cannot_add_headers(october: Statement, recipient: str) -> None:
    with pytest.raises(ValueError, match="linefeed"):
        compose(october, "finops@example.com", recipient, PAGE)
