"""Statements in another currency over whole runs: the rate is read, kept and pinned; tables stay in USD.

September 2026 ends on a Wednesday. A day has four calls of 0.25 USD, so that three days come to 3 USD.
"""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from fake_mediation import FakeMediation

from finops_pipeline.chargeback.revisions import load_statement
from finops_pipeline.config.model import Config
from finops_pipeline.errors import FxRateError
from finops_pipeline.lake import Lake
from finops_pipeline.orchestration.dry_run import dry_run
from finops_pipeline.orchestration.run_report import RunReport, StatementMade
from finops_pipeline.schemas import CHARGEBACK, DAILY_COSTS, FX_RATES

Ran = Callable[..., RunReport]
Changed = Callable[..., Config]

REPORTS = {"from": "finops@example.com", "recipients": ["finance@example.com"]}
NOW = dt.datetime(2026, 10, 5, 2, tzinfo=dt.UTC)


@pytest.fixture
def rates(config: Config) -> Callable[..., None]:
    """``rates("2026-09-30,EUR,0.9,ECB", …)``: what the file of rates holds from now on."""

    def write(*lines: str) -> None:
        (config.folder / "rates.csv").write_text("\n".join(["date,currency,rate,source", *lines, ""]))

    return write


@pytest.fixture
def euro(changed: Changed, mediation: FakeMediation) -> Config:
    return changed(fx_rates=["rates.csv"], reports={**REPORTS, "currency": "EUR"})


def made(report: RunReport) -> StatementMade:
    assert report.ok, report.failures
    [statement] = report.statements
    return statement


def test_only_the_statement_is_in_the_other_currency(
    ran: Ran, euro: Config, lake: Lake, rates: Callable[..., None]
) -> None:
    rates("2026-09-29,EUR,0.91,ECB", "2026-09-30,EUR,0.9,ECB", "2026-10-01,EUR,0.89,ECB")
    statement = made(ran("2026-09-01", "2026-09-03", month="2026-09", config=euro))
    assert (statement.total, statement.currency, statement.is_new) == (Decimal("2.70"), "EUR", True)
    exchange = load_statement(lake, "2026-09").exchange
    assert exchange is not None
    assert (exchange.rate, exchange.date, exchange.source) == (Decimal("0.9"), dt.date(2026, 9, 30), "ECB")
    lines = lake.scan(CHARGEBACK, month="2026-09", revision=1)
    assert lines.select(pl.sum("exact_cost"), pl.sum("amount")).collect().row(0) == (Decimal(3), Decimal("2.70"))
    assert lake.scan(DAILY_COSTS).select(pl.sum("cost")).collect().item() == 3
    assert [mail.subject for mail in statement.mails] == [
        "AI usage chargeback 2026-09: 2.70 EUR, preliminary, incomplete"
    ]


def test_the_rates_are_kept_whole_so_that_the_statement_can_be_made_again(
    ran: Ran, euro: Config, lake: Lake, rates: Callable[..., None]
) -> None:
    rates("2026-09-30,EUR,0.9,ECB", "2026-09-30,JPY,151,BoJ")
    ran("2026-09-01", month="2026-09", config=euro)
    exchange = load_statement(lake, "2026-09").exchange
    assert exchange is not None
    kept = lake.scan(FX_RATES, version=exchange.version).select("currency", "rate").collect().rows()
    assert kept == [("EUR", Decimal("0.9")), ("JPY", Decimal(151))]


def test_a_rerun_and_later_rates_are_no_revision(ran: Ran, euro: Config, rates: Callable[..., None]) -> None:
    rates("2026-09-30,EUR,0.9,ECB")
    ran("2026-09-01", month="2026-09", config=euro)
    again = made(ran(month="2026-09", config=euro))
    rates("2026-09-30,EUR,0.9,ECB", "2026-10-30,EUR,0.95,ECB")
    longer = made(ran(month="2026-09", config=euro))
    assert [(s.revision, s.is_new, s.mails) for s in (again, longer)] == [(1, False, [])] * 2


def test_a_corrected_rate_is_a_revision_that_says_what_it_corrects(
    ran: Ran, euro: Config, lake: Lake, rates: Callable[..., None]
) -> None:
    rates("2026-09-30,EUR,0.9,ECB")
    ran("2026-09-01", "2026-09-03", month="2026-09", config=euro)
    rates("2026-09-30,EUR,0.99,ECB")
    second = made(ran(month="2026-09", config=euro))
    assert (second.revision, second.total) == (2, Decimal("2.97"))
    assert "2.97 EUR, preliminary, revision 2, +0.27" in second.mails[0].subject
    first, now = load_statement(lake, "2026-09", 1), load_statement(lake, "2026-09", 2)
    assert first.exchange is not None
    assert now.exchange is not None
    assert (first.total, first.exchange.rate) == (Decimal("2.70"), Decimal("0.9"))
    assert {keys["version"] for keys in lake.partitions(FX_RATES)} == {first.exchange.version, now.exchange.version}


def test_a_missing_rate_makes_no_statement_and_says_what_to_add(
    ran: Ran, euro: Config, lake: Lake, rates: Callable[..., None]
) -> None:
    rates("2026-09-22,EUR,0.9,ECB", "2026-10-01,EUR,0.89,ECB")
    report = ran("2026-09-01", month="2026-09", config=euro)
    assert not report.ok
    [failure] = report.failures
    assert "no rate of EUR for 2026-09-30 or the 7 days before it; the latest before is of 2026-09-22" in failure
    assert f"2026-09-30,EUR,<EUR for one USD>,<source> to {euro.folder / 'rates.csv'}" in failure
    assert not lake.partitions(CHARGEBACK)
    assert not lake.partitions(FX_RATES)
    with pytest.raises(FxRateError, match="no rate of EUR"):
        dry_run(euro, [], "2026-09", now=NOW, folder=euro.folder / "look")


def test_a_month_that_is_not_over_takes_the_latest_rate(ran: Ran, euro: Config, rates: Callable[..., None]) -> None:
    rates("2026-10-02,EUR,0.88,ECB")
    assert made(ran("2026-10-01", month="2026-10", config=euro)).total == Decimal("0.88")


def test_a_dry_run_shows_the_currency_and_keeps_no_rates(
    ran: Ran, euro: Config, lake: Lake, rates: Callable[..., None]
) -> None:
    rates("2026-09-30,EUR,0.9,ECB")
    ran("2026-09-01", config=euro)
    found = dry_run(euro, [], "2026-09", now=NOW, folder=euro.folder / "look")
    assert found.statement is not None
    assert (found.statement.total, found.statement.currency, found.statement.revision) == (Decimal("0.90"), "EUR", 1)
    assert not lake.partitions(FX_RATES)


def test_a_change_of_currency_is_a_revision_that_is_held_against_nothing(
    ran: Ran, config: Config, euro: Config, lake: Lake, rates: Callable[..., None]
) -> None:
    ran("2026-09-01", month="2026-09", config=config)
    rates("2026-09-30,EUR,0.9,ECB")
    assert not made(ran(month="2026-09", config=config)).is_new, "nobody asked for euros yet"
    look = dry_run(euro, [], "2026-09", now=NOW, folder=euro.folder / "look")
    second = made(ran(month="2026-09", config=euro))
    assert (second.revision, second.total) == (2, Decimal("0.90"))
    assert second.mails[0].subject == "AI usage chargeback 2026-09: 0.90 EUR, preliminary, revision 2, incomplete"
    assert [mail.subject for mail in look.mails] == [second.mails[0].subject]
    assert load_statement(lake, "2026-09").correction is None


def test_an_owner_is_not_told_a_difference_between_two_currencies(
    ran: Ran, changed: Changed, mediation: FakeMediation, rates: Callable[..., None]
) -> None:
    teams = {"search": {"owner": "Search lead", "email": "search@example.com"}}
    ran("2026-09-01", month="2026-09", config=changed(teams=teams))
    rates("2026-09-30,EUR,0.9,ECB")
    euro = changed(teams=teams, fx_rates=["rates.csv"], reports={**REPORTS, "currency": "EUR"})
    subjects = {mail.recipient: mail.subject for mail in made(ran(month="2026-09", config=euro)).mails}
    assert subjects["search@example.com"] == (
        "AI usage of search 2026-09: 0.90 EUR, preliminary, revision 2, incomplete"
    )


def test_months_at_two_rates_are_compared_as_charged_and_the_rate_is_a_step(
    ran: Ran, euro: Config, lake: Lake, rates: Callable[..., None]
) -> None:
    rates("2026-09-30,EUR,0.9,ECB", "2026-10-04,EUR,0.8,ECB")
    ran("2026-09-01", "2026-09-03", month="2026-09", config=euro)
    ran("2026-10-01", "2026-10-03", month="2026-10", config=euro)
    statement = load_statement(lake, "2026-10")
    assert statement.previous is not None
    assert (statement.total, statement.previous.total) == (Decimal("2.40"), Decimal("2.70"))
    assert {step.name: step.amount for step in statement.bridge if step.amount} == {"Currency": Decimal("-0.30")}


def test_a_month_before_in_usd_is_compared_at_the_present_rate(
    ran: Ran, config: Config, euro: Config, lake: Lake, rates: Callable[..., None]
) -> None:
    ran("2026-09-01", "2026-09-03", month="2026-09", config=config)
    rates("2026-10-04,EUR,0.8,ECB")
    page = made(ran("2026-10-01", "2026-10-02", month="2026-10", config=euro)).page
    statement = load_statement(lake, "2026-10")
    assert statement.previous is not None
    assert (statement.previous.total, statement.previous.charged_in) == (Decimal("2.40"), "USD")
    assert sum(step.amount for step in statement.bridge) == Decimal("1.60") - Decimal("2.40")
    assert "September was charged in USD." in Path(page).read_text()


def test_a_statement_in_usd_reads_no_rates(ran: Ran, changed: Changed, lake: Lake, mediation: FakeMediation) -> None:
    made(ran("2026-09-01", month="2026-09", config=changed(fx_rates=["absent.csv"])))
    assert not lake.partitions(FX_RATES)


@pytest.mark.parametrize(("currency", "units", "total"), [("JPY", "151.4", "454"), ("KWD", "0.30715", "0.921")])
def test_other_minor_units(
    ran: Ran, changed: Changed, mediation: FakeMediation, rates: Callable[..., None], currency: str, units: str,
    total: str,
) -> None:  # fmt: skip
    rates(f"2026-09-30,{currency},{units},central bank")
    config = changed(fx_rates=["rates.csv"], reports={**REPORTS, "currency": currency})
    statement = made(ran("2026-09-01", "2026-09-03", month="2026-09", config=config))
    assert statement.total == Decimal(total)
    assert f"{total} {currency}" in statement.mails[0].subject
    assert made(ran(month="2026-09", config=config)).is_new is False
