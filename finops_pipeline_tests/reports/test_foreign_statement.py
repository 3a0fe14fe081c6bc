"""A statement in another currency than USD, as each of its readers gets it."""

import csv
import dataclasses
import datetime as dt
import io
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from openpyxl import load_workbook

from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.fx import FxRate
from finops_pipeline.reports import numbers
from finops_pipeline.reports.bundle import render_bundle
from finops_pipeline.reports.ledger import LEDGER_COLUMNS, ledger_name, render_ledger
from finops_pipeline.reports.mail import compose
from finops_pipeline.reports.page import render_page
from finops_pipeline.reports.paths import INDEX, team_file
from finops_pipeline.reports.summary import month_summary
from finops_pipeline.reports.team_mail import compose_team
from finops_pipeline.reports.team_page import render_team_page
from finops_pipeline.reports.workbook import render_workbook, workbook_name

RATES = {
    "EUR": "1 USD = 0.9173 EUR, 2026-10-30, source ECB reference rate",
    "JPY": "1 USD = 151.4 JPY, 2026-10-30, source Bank of Japan",
    "KWD": "1 USD = 0.30715 KWD, 2026-10-30, source Central Bank of Kuwait",
}

SHAPES = {"EUR": r"[\d,]+\.\d\d", "JPY": r"[\d,]+", "KWD": r"[\d,]+\.\d\d\d"}
"""How an amount is written."""

HOSTILE_SOURCES = (
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "=HYPERLINK(1)",
    "x;=1+1",
    'a","b',
    "Bank\r\nBcc: all@example.com",
    "ban\u202eknab",
    "בנק ישראל",
    "<r>x</r>",
)

OF_EUR = FxRate("EUR", Decimal("0.9173"), dt.date(2026, 10, 30), "ECB", "v1")


def flat(text: str) -> str:
    return " ".join(text.split())


def amount(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace(numbers.MINUS, "-").removeprefix("+"))


def column(tables: list[list[list[str]]], heading: str) -> list[str]:
    """The column of the first table that has it."""
    table = next(table for table in tables if heading in map(str.strip, table[0]))
    place = [cell.strip() for cell in table[0]].index(heading)
    return [row[place].strip() for row in table[1:] if len(row) > place and row[place].strip()]


def workbook(content: bytes, sheet: str) -> list[dict[str, Any]]:
    header, *rows = load_workbook(io.BytesIO(content))[sheet].iter_rows(values_only=True)
    return [dict(zip(map(str, header), row, strict=True)) for row in rows]


def ledger_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@pytest.fixture(scope="module")
def bundle(foreign_october: Statement) -> Mapping[str, bytes]:
    return render_bundle(foreign_october, "d1ce57")


def test_the_charges_add_up_in_its_own_minor_unit_on_page_mail_workbook_and_ledger(
    foreign_october: Statement, bundle: Mapping[str, bytes], html_of: Callable[..., Any], arrived: Callable[..., Any]
) -> None:
    currency, total = foreign_october.currency, foreign_october.total
    mail = arrived(compose(foreign_october, "finops@example.com", "cfo@example.com", "/page"))
    for tables in (html_of(bundle[INDEX].decode()).tables, mail.html.tables):
        *charges, whole = column(tables, "Charge")
        assert all(re.fullmatch(SHAPES[currency], text) for text in [*charges, whole])
        of_cost_centers = {amount for team in foreign_october.team_totals if len(team.cost_centers) > 1
                           for _, amount in team.cost_centers}  # fmt: skip
        assert sum(map(amount, charges)) in (total, total + sum(of_cost_centers)), "a team's cost centres stand apart"
        assert amount(whole) == total
    rows = ledger_rows(bundle[ledger_name(foreign_october)])
    assert sum(Decimal(row["amount"]) for row in rows) == total
    assert all(re.fullmatch(SHAPES[currency].replace(",", ""), row["amount"]) for row in rows)
    *teams, last = workbook(bundle[workbook_name(foreign_october)], "Teams")
    digits = foreign_october.exponent
    assert round(sum(Decimal(str(row["Charge"])) for row in teams), digits) == Decimal(str(last["Charge"])) == total


def test_the_rate_its_date_and_source_stand_where_the_total_is(
    foreign_october: Statement, bundle: Mapping[str, bytes], html_of: Callable[..., Any], arrived: Callable[..., Any]
) -> None:
    said, usd = RATES[foreign_october.currency], f"{foreign_october.exact_total:,.2f} USD"
    part = part_of(foreign_october, "Support")
    pages = [html_of(bundle[INDEX].decode()), html_of(bundle[team_file("Support")].decode())]
    mails = [
        arrived(compose(foreign_october, "finops@example.com", "cfo@example.com", "/page")),
        arrived(compose_team(part, "finops@example.com", "lead@example.com")),
    ]
    for text in [page.flat for page in pages] + [mail.html.flat for mail in mails] + [m.flat_text for m in mails]:
        assert said in text
        assert "Budgets and savings are in USD" in text
    assert usd in pages[0].flat
    assert usd in mails[0].flat_text
    for mail in mails:
        before_the_table = mail.flat_text[: mail.flat_text.index(said)]
        assert "Total" not in before_the_table, "in the first screen"
    summary = {row[0]: row[1] for row in load_workbook(io.BytesIO(bundle[workbook_name(foreign_october)]))["Summary"]
               .iter_rows(values_only=True)}  # fmt: skip
    assert summary["Currency"] == foreign_october.currency
    assert str(summary["Rate of exchange"]).startswith(said)
    assert f"{summary['Charged, USD']:,.2f} USD" == usd


def test_the_ledger_has_what_the_amounts_came_of(foreign_october: Statement) -> None:
    exchange = foreign_october.exchange
    assert exchange is not None
    rows = ledger_rows(render_ledger(foreign_october))
    assert list(rows[0]) == [*LEDGER_COLUMNS, "exact_currency", "fx_rate", "fx_date", "fx_source"]
    assert {row["exact_currency"] for row in rows} == {"USD"}
    assert {(Decimal(row["fx_rate"]), row["fx_date"]) for row in rows} == {(exchange.rate, "2026-10-30")}
    unit = Decimal(1).scaleb(-foreign_october.exponent)
    off = [abs(Decimal(row["amount"]) - Decimal(row["exact_cost"]) * Decimal(row["fx_rate"])) for row in rows]
    assert max(off) < 2 * unit, "shared out twice: over teams, then over a team's lines"


def test_number_formats_of_the_workbook_are_those_of_the_currency(foreign_october: Statement) -> None:
    book = load_workbook(io.BytesIO(render_workbook(foreign_october)))
    zeros = {"EUR": "0.00", "JPY": "0", "KWD": "0.000"}[foreign_october.currency]

    def formats(sheet: str) -> dict[str, str]:
        header, first = book[sheet][1], book[sheet][2]
        return {str(cell.value): str(below.number_format) for cell, below in zip(header, first, strict=True)}

    teams = formats("Teams")
    assert teams["Charge"].split(";")[0] == f"#,##{zeros}"
    assert teams["Against September"] == f'+#,##{zeros};"−"#,##{zeros};{zeros}'
    assert teams["Budget, USD"].split(";")[0] == teams["Could be saved, USD"].split(";")[0] == "#,##0.00"
    assert formats("Budgets")["Over or left, USD"].startswith("+#,##0.00;")
    assert formats("Days")["Cost"] == teams["Charge"]


def test_days_add_up_to_what_is_charged(foreign_october: Statement) -> None:
    days = workbook(render_workbook(foreign_october), "Days")
    unit = Decimal(1).scaleb(-foreign_october.exponent)
    assert abs(sum(Decimal(str(row["Cost"])) for row in days) - foreign_october.total) <= unit


def test_budgets_are_in_usd_and_say_so(foreign_october: Statement, html_of: Callable[..., Any]) -> None:
    """What is spent of a limit is a fact in USD: no rate may move it."""
    page = html_of(render_page(foreign_october))
    assert column(page.tables, "Limit, USD") == ["4,000.00", "80,000.00"]
    assert column(page.tables, "Spent, USD") == ["3,310.90", "64,000.10"]
    text = compose_team(part_of(foreign_october, "Support"), "a@example.com", "b@example.com")
    assert "of 60,000.00 USD" in flat(text.get_body(("plain",)).get_content())  # type: ignore[union-attr]


def test_an_excess_is_told_in_usd(statement_of: Callable[..., Statement], october: Statement) -> None:
    budget = next(line for line in october.budgets if line.status == "exceeded")
    over = dataclasses.replace(budget, limit=Decimal(10), spent=Decimal("15.50"))
    foreign = statement_of([{"team": "Search", "cost": Decimal("15.5")}], exchange=OF_EUR, budgets=(over,))
    assert "Search is 5.50 USD over its budget." in flat(month_summary(foreign))
    at_home = statement_of([{"team": "Search", "cost": Decimal("15.5")}], budgets=(over,))
    assert "Search is 5.50 over its budget." in month_summary(at_home)


def test_savings_are_in_usd_and_say_so(foreign_october: Statement, arrived: Callable[..., Any]) -> None:
    mail = arrived(compose(foreign_october, "finops@example.com", "cfo@example.com", "/page"))
    assert "2,640.00 USD (980.20 to 3,105.75)" in mail.flat_text
    assert "would have saved 5,612.52 USD" in mail.flat_text
    assert "Saves, USD" in mail.html.flat


def test_the_subject_has_the_amount_and_its_currency(statement_of: Callable[..., Statement]) -> None:
    yen = FxRate("JPY", Decimal("151.4"), dt.date(2026, 10, 30), "BoJ", "v1")
    statement = statement_of([{"team": "a", "cost": Decimal(1000)}], exchange=yen, revision=2, replaces=Decimal(151390))
    message = compose(statement, "finops@example.com", "cfo@example.com", "/page")
    assert str(message["Subject"]) == "AI usage chargeback 2026-10: 151,400 JPY, preliminary, revision 2, +10"


def test_a_month_before_in_another_currency_is_said_to_be_converted(
    statement_of: Callable[..., Statement], html_of: Callable[..., Any]
) -> None:
    previous = PreviousMonth("2026-09", Decimal("9.17"), {"a": Decimal("9.17")}, False, charged_in="USD")
    rows = [{"team": "a", "cost": Decimal(20)}]
    foreign = statement_of(rows, exchange=OF_EUR, previous=previous)
    said = "September was charged in USD. Here it stands at this statement’s rate, so that the months compare."
    assert said in html_of(render_page(foreign)).flat
    assert said in html_of(render_team_page(part_of(foreign, "a"))).flat
    back = statement_of(rows, previous=dataclasses.replace(previous, charged_in="EUR"))
    assert "September was charged in EUR. Here it stands in USD" in html_of(render_page(back)).flat


@pytest.mark.parametrize("source", HOSTILE_SOURCES)
def test_a_source_is_text_wherever_it_stands(
    statement_of: Callable[..., Statement], html_of: Callable[..., Any], arrived: Callable[..., Any], source: str
) -> None:
    exchange = dataclasses.replace(OF_EUR, source=source)
    statement = statement_of([{"team": "a", "cost": Decimal(5)}], exchange=exchange)
    harmless = statement_of([{"team": "a", "cost": Decimal(5)}], exchange=OF_EUR)
    shown = html_of(render_page(statement))
    assert (shown.tags, shown.attributes) == (
        html_of(render_page(harmless)).tags,
        html_of(render_page(harmless)).attributes,
    )
    assert "\u202e" not in shown.text
    mail = arrived(compose(statement, "finops@example.com", "cfo@example.com", "/page"))
    assert mail.message["Bcc"] is None
    assert "\u202e" not in mail.text
    assert mail.html.tags == arrived(compose(harmless, "finops@example.com", "cfo@example.com", "/page")).html.tags
    [row] = ledger_rows(render_ledger(statement))
    assert not re.search(r"(^|;)[=+@-]", row["fx_source"])
    for sheet in load_workbook(io.BytesIO(render_workbook(statement))).worksheets:
        assert not [cell for line in sheet.iter_rows() for cell in line if cell.data_type == "f"]
