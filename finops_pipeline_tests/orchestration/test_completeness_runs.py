"""What a statement says of its own completeness and content, after runs that went as runs go."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from fake_mediation import FakeMediation, day_of

from finops_pipeline.chargeback import encoding
from finops_pipeline.chargeback.revisions import load_statement
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.config.model import Config
from finops_pipeline.errors import PriceBookError
from finops_pipeline.lake import Lake
from finops_pipeline.orchestration import day_steps, runner
from finops_pipeline.schemas import DAILY_COSTS

Ran = Callable[..., runner.RunReport]
Changed = Callable[..., Config]

ONLY_A = [{"name": "a", "format": "record", "uri": "./logs-a", "cost_basis": "reported"}]
LAST = "2026-09-30"

CENTS_A_CALL = Decimal("0.25")


@pytest.fixture
def statement(lake: Lake) -> Callable[[], Statement]:
    return lambda: load_statement(lake, "2026-09")


@pytest.fixture
def short_month(config: Config) -> None:
    """The config starts on 29 September: two days make the month."""
    object.__setattr__(config, "start_date", day_of("2026-09-29"))


pytestmark = pytest.mark.usefixtures("short_month")


def refuse(*given: object) -> None:
    raise PriceBookError("prices.csv: unreadable")


# -- stale ------------------------------------------------------------------------------------------------------------


def test_a_day_that_could_not_be_priced_again_makes_the_statement_incomplete(
    ran: Ran, mediation: FakeMediation, statement: Callable[[], Statement], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran("2026-09-29", LAST, month="2026-09")
    assert not statement().incomplete
    mediation.calls["a", day_of(LAST)] = 9
    with monkeypatch.context() as broken:
        broken.setattr(day_steps, "kept_book", refuse)
        report = ran(LAST, month="2026-09")
    assert report.failures == [f"priced_usage, {LAST}: prices.csv: unreadable"]
    assert statement().completeness.stale_days == (day_of(LAST),)
    assert (statement().revision, statement().incomplete) == (2, True)
    assert f"chargeback, 2026-09: the logs have changed since these days were priced, so run them again: {LAST}" in (
        report.warnings
    )
    [mail] = report.statements[0].mails
    assert "incomplete" in mail.subject
    assert "1 day is out of date" in Path(report.statements[0].page).read_text()
    ran(LAST, month="2026-09")
    assert (statement().revision, statement().incomplete) == (3, False)


def test_a_day_that_could_not_be_rolled_up_again_is_stale_too(
    ran: Ran, changed: Changed, statement: Callable[[], Statement], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran("2026-09-29", LAST)
    with monkeypatch.context() as broken:
        broken.setattr(day_steps, "daily_costs", refuse)
        ran(LAST, month="2026-09", config=changed(teams={"search": {"cost_center": "CC-2"}}))
    assert statement().completeness.stale_days == (day_of(LAST),)


# -- sources that come and go -----------------------------------------------------------------------------------------


def test_a_source_that_is_new_in_the_config_is_missing_on_days_made_before(
    ran: Ran, config: Config, changed: Changed, statement: Callable[[], Statement]
) -> None:
    ran("2026-09-29", LAST, config=changed(sources=ONLY_A))
    ran(month="2026-09")
    assert statement().completeness.partial_days == ((day_of("2026-09-29"), ("b",)), (day_of(LAST), ("b",)))
    ran("2026-09-29", LAST, month="2026-09")
    assert statement().completeness.complete


def test_a_source_that_delivers_after_its_day_was_priced_is_still_missing_there(
    ran: Ran, mediation: FakeMediation, statement: Callable[[], Statement]
) -> None:
    mediation.fail("b", LAST)
    ran("2026-09-29", LAST, allow_partial=True)
    mediation.failing.clear()
    ran(LAST, source="b")
    ran(month="2026-09")
    assert statement().completeness.partial_days == ((day_of(LAST), ("b",)),)


def test_what_was_ingested_stays_charged_when_its_source_leaves_the_config(
    ran: Ran, lake: Lake, mediation: FakeMediation, changed: Changed, statement: Callable[[], Statement]
) -> None:
    ran("2026-09-29", LAST, month="2026-09")
    before = statement()
    mediation.calls["a", day_of(LAST)] = 3
    report = ran(LAST, month="2026-09", config=changed(sources=ONLY_A))
    assert statement().total == before.total + CENTS_A_CALL, "b is charged as it was, at the cost that its log reports"
    assert statement().completeness == before.completeness
    assert statement().outcomes["usage"] == before.outcomes["usage"] + 1
    remark = (
        "no longer in finops.yaml and still charged: b. To charge them no more, delete usage/source=b from the lake "
        "and run their days again"
    )
    assert report.warnings == [f"priced_usage, {LAST}: {remark}", f"chargeback, 2026-09: {remark}"]


def test_usage_that_was_deleted_is_charged_no_more(
    ran: Ran, lake: Lake, changed: Changed, statement: Callable[[], Statement]
) -> None:
    ran("2026-09-29", LAST)
    for file in Path(lake.storage.place("usage/source=b")).rglob("*.parquet"):
        file.unlink()
    report = ran("2026-09-29", LAST, month="2026-09", config=changed(sources=ONLY_A))
    assert statement().total == 4 * CENTS_A_CALL
    assert (statement().completeness.complete, report.warnings) == (True, [])


# -- days that are not over -------------------------------------------------------------------------------------------


def test_a_day_that_is_not_over_is_incomplete_until_it_is_run_again(
    ran: Ran, lake: Lake, statement: Callable[[], Statement]
) -> None:
    noon = dt.datetime(2026, 9, 30, 12, tzinfo=dt.UTC)
    report = ran("2026-09-29", LAST, month="2026-09", now=noon)
    assert statement().completeness.unfinished_days == (day_of(LAST),)
    assert statement().completeness.missing_days == ()
    assert statement().incomplete
    assert (
        f"priced_usage, {LAST}: made before the day was over: it is marked incomplete until it is run again"
        in report.warnings
    )
    ran(month="2026-09")
    assert statement().incomplete, "that the day is over by now does not make its costs whole"
    ran(LAST, month="2026-09")
    assert (statement().revision, statement().incomplete) == (2, False)


# -- who is charged ---------------------------------------------------------------------------------------------------


def test_the_statement_charges_whom_the_costs_name_and_says_that_the_rules_have_changed(
    ran: Ran, lake: Lake, changed: Changed, statement: Callable[[], Statement]
) -> None:
    ran("2026-09-29", LAST, month="2026-09")
    moved = changed(teams={"search": {"cost_center": "CC-2"}})
    report = ran(month="2026-09", config=moved)
    assert statement().lines.get_column("cost_center").unique().to_list() == ["CC-1"]
    assert lake.scan(DAILY_COSTS).select(pl.col("cost_center").unique()).collect().rows() == [("CC-1",)]
    [warning] = report.warnings
    assert warning == (
        "chargeback, 2026-09: teams or ownership in finops.yaml have changed since the allocation of 2026-09-29 to "
        f"{LAST}; to allocate as they say now: finops run --from 2026-09-29 --to {LAST}"
    )
    assert ran("2026-09-29", LAST, month="2026-09", config=moved).warnings == []
    assert statement().lines.get_column("cost_center").unique().to_list() == ["CC-2"]


def test_a_new_owner_is_a_new_revision_and_no_other_allocation(
    ran: Ran, changed: Changed, statement: Callable[[], Statement]
) -> None:
    ran("2026-09-29", LAST, month="2026-09")
    owned = changed(teams={"search": {"cost_center": "CC-1", "owner": "Ada Lovelace"}})
    report = ran(month="2026-09", config=owned)
    assert (statement().revision, statement().owners, report.warnings) == (2, {"search": "Ada Lovelace"}, [])


# -- what makes a revision --------------------------------------------------------------------------------------------


def test_a_late_duplicate_is_no_revision_and_no_mail(
    ran: Ran, mediation: FakeMediation, statement: Callable[[], Statement]
) -> None:
    ran("2026-09-29", LAST, month="2026-09")
    mediation.duplicates["a", day_of(LAST)] = 1
    [again] = ran(LAST, month="2026-09").statements
    assert (again.revision, again.is_new, again.mails) == (1, False, [])
    assert statement().outcomes["duplicate"] == 0, "the revision keeps the account of its making"
    mediation.calls["a", day_of(LAST)] = 3
    [late] = ran(LAST, month="2026-09").statements
    assert (late.revision, late.is_new, len(late.mails)) == (2, True, 1)


def test_an_alias_that_prices_nothing_else_is_no_revision(ran: Ran, changed: Changed) -> None:
    ran("2026-09-29", LAST, month="2026-09")
    aliased = changed(model_aliases={"nobody-calls-this": "gpt-4o"})
    [again] = ran("2026-09-29", LAST, month="2026-09", config=aliased).statements
    assert (again.revision, again.mails) == (1, [])


def test_what_counts_as_content_later_sends_no_old_revision_again(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    ran("2026-09-29", LAST, month="2026-09")
    monkeypatch.setattr(encoding, "CONTENT", (*encoding.CONTENT, "lines_read"))
    [again] = ran(month="2026-09").statements
    assert (again.revision, again.is_new, again.mails) == (1, False, [])


def test_a_changed_month_before_is_no_revision_of_this_one(
    ran: Ran, mediation: FakeMediation, statement: Callable[[], Statement]
) -> None:
    october = dt.datetime(2026, 11, 5, tzinfo=dt.UTC)
    ran("2026-09-29", "2026-10-01", month="2026-09", now=october)
    ran(month="2026-10", now=october)
    mediation.calls["a", day_of(LAST)] = 9
    ran(LAST, month="2026-09", now=october)
    [again] = ran(month="2026-10", now=october).statements
    assert statement().revision == 2
    assert (again.revision, again.mails) == (1, [])


def test_the_first_month_covers_the_days_from_the_start_date_on(ran: Ran, statement: Callable[[], Statement]) -> None:
    report = ran("2026-09-29", LAST, month="2026-09")
    assert "29–30 September 2026 UTC" in Path(report.statements[0].page).read_text()
