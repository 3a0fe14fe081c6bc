"""Budgets and their alerts over whole runs: a dollar a day of team search, on days that the runs make."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import dagster as dg
import pytest
from fake_mediation import FakeMediation, day_of

from finops_pipeline.alerts import alerts_of
from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.orchestration.code_location import build_definitions
from finops_pipeline.orchestration.dry_run import dry_run
from finops_pipeline.orchestration.run_report import RunReport
from finops_pipeline.orchestration.session import Session
from finops_pipeline.schemas import BUDGET_STATUS

Ran = Callable[..., RunReport]


@pytest.fixture
def watched(changed: Callable[..., Config]) -> Config:
    """Ten dollars a month for search, whose owner has an e-mail; two days are late."""
    return changed(
        teams={"search": {"owner": "Search lead", "email": "search@example.com"}},
        budgets=[{"name": "search", "scope": {"team": "search"}, "limit": 10, "warn_at_forecast": []}],
    )


@pytest.fixture
def nights(ran: Ran, watched: Config, mediation: FakeMediation) -> Callable[..., RunReport]:
    """The days ``first`` to ``last`` of September, run in the night after the last one."""

    def run(first: int, last: int, **asked: object) -> RunReport:
        now = asked.pop("now", dt.datetime(2026, 9, last, 2, tzinfo=dt.UTC) + dt.timedelta(days=1))
        return ran(f"2026-09-{first:02}", f"2026-09-{last:02}", **{"config": watched, "now": now, **asked})

    return run


def told(config: Config) -> list[tuple[str, str]]:
    """Recipient and subject of every mail in the outbox."""
    found = [mail(file) for file in sorted((config.folder / "outbox").glob("*.eml"))]
    return sorted((str(m["To"]), str(m["Subject"])) for m in found)


def mail(file: Path) -> EmailMessage:
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_each_day_says_where_the_budget_stands_at_its_end(nights: Callable[..., RunReport], lake: Lake) -> None:
    nights(1, 10)
    rows = lake.scan(BUDGET_STATUS).sort("date").select("date", "spent", "status").collect().rows()
    assert rows[6:] == [
        (day_of("2026-09-07"), Decimal(7), "ok"),
        (day_of("2026-09-08"), Decimal(8), "warning"),
        (day_of("2026-09-09"), Decimal(9), "warning"),
        (day_of("2026-09-10"), Decimal(10), "exceeded"),
    ]


def test_owner_and_finance_are_told_of_each_threshold_once(nights: Callable[..., RunReport], watched: Config) -> None:
    reports = [nights(max(1, day - 2), day) for day in range(1, 13)]
    assert [len(report.alerts) for report in reports] == [0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 0]
    assert {alert.recipient for alert in reports[7].alerts} == {"search@example.com", "finance@example.com"}
    assert len(told(watched)) == 4
    assert nights(1, 12).alerts == []
    assert nights(1, 12, force=True).alerts == []
    assert len(told(watched)) == 4


def test_a_backfill_of_old_days_changes_states_and_tells_nobody(
    nights: Callable[..., RunReport], watched: Config, lake: Lake
) -> None:
    late = dt.datetime(2026, 9, 25, 2, tzinfo=dt.UTC)
    assert nights(1, 12, now=late).alerts == []
    assert [(state.state, state.mail) for state in alerts_of(lake, "2026-09")] == [("open", "silent")] * 2
    assert nights(12, 12).alerts == [], "what opened silently stays silent"
    assert not (watched.folder / "outbox").exists()


def test_an_alert_whose_mail_failed_is_due_until_it_has_left(nights: Callable[..., RunReport], watched: Config) -> None:
    outbox = watched.folder / "outbox"
    outbox.write_text("a file where the folder should be")
    broken = nights(1, 8)
    assert not broken.ok
    assert "not left" in " ".join(broken.failures)
    outbox.unlink()
    mended = nights(6, 8)
    assert mended.ok
    assert sorted(alert.recipient for alert in mended.alerts) == ["finance@example.com", "search@example.com"]


def test_an_alert_whose_mail_failed_leaves_in_the_next_month_too(
    ran: Ran, nights: Callable[..., RunReport], watched: Config
) -> None:
    """A dollar a day exceeds 10 on the 30th where the first three weeks are not there; the mail server is down then."""
    outbox = watched.folder / "outbox"
    outbox.write_text("a file where the folder should be")
    assert not nights(21, 30).ok
    outbox.unlink()
    october = dt.datetime(2026, 10, 9, 2, tzinfo=dt.UTC)
    report = ran("2026-10-06", "2026-10-08", config=watched, now=october)
    assert sorted(alert.recipient for alert in report.alerts) == ["finance@example.com", "search@example.com"]
    assert {"exceeded" in alert.subject or "100" in alert.subject for alert in report.alerts} == {True}
    assert ran("2026-10-06", "2026-10-08", config=watched, now=october).alerts == []


def test_a_dry_run_names_the_alerts_that_the_run_sends(
    ran: Ran, nights: Callable[..., RunReport], watched: Config, tmp_path: Path
) -> None:
    outbox, september, october = watched.folder / "outbox", day_of("2026-09-30"), day_of("2026-10-01")
    outbox.write_text("a file where the folder should be")
    nights(21, 30)
    outbox.unlink()
    now = dt.datetime(2026, 10, 2, 2, tzinfo=dt.UTC)
    for days in ([september, october], [october]):
        planned = dry_run(watched, days, None, now=now, folder=tmp_path / "look").mails
        assert [(mail.recipient, mail.state) for mail in planned] == [
            ("search@example.com", "failed"),
            ("finance@example.com", "failed"),
        ]
    sent = ran("2026-09-30", "2026-10-01", config=watched, now=now).alerts
    assert [(mail.recipient, mail.subject) for mail in sent] == [(mail.recipient, mail.subject) for mail in planned]
    assert sorted(file.stem for file in outbox.iterdir()) == sorted(mail.file.stem for mail in planned)


def test_an_alert_that_failed_is_not_sent_to_who_is_no_recipient_any_more(
    ran: Ran, nights: Callable[..., RunReport], watched: Config, changed: Callable[..., Config]
) -> None:
    outbox = watched.folder / "outbox"
    outbox.write_text("a file where the folder should be")
    assert not nights(21, 30).ok
    outbox.unlink()
    keys = watched.model_dump(by_alias=True)
    later = changed(budgets=keys["budgets"], teams={"search": {"owner": "Search lead"}})
    report = ran("2026-10-06", config=later, now=dt.datetime(2026, 10, 9, 2, tzinfo=dt.UTC))
    assert [alert.recipient for alert in report.alerts] == ["finance@example.com"]


def test_a_budget_over_its_limit_is_a_failing_check_that_blocks_nothing(
    nights: Callable[..., RunReport], watched: Config
) -> None:
    report = nights(1, 11)
    assert report.ok
    assert report.warnings == []
    with dg.DagsterInstance.ephemeral() as instance:
        result = (
            build_definitions(Session(watched))
            .resolve_job_def("nightly")
            .execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey("budget_status")],
                partition_key="2026-09-11",
            )
        )
    [check] = [c for c in result.get_asset_check_evaluations() if c.check_name == "within_budget"]
    assert result.success
    assert (check.passed, check.severity, check.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert check.description == "exceeded: search at 110.0%"


def test_a_budget_is_shown_in_whole_cents(watched: Config, mediation: FakeMediation) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = (
            build_definitions(Session(watched))
            .resolve_job_def("nightly")
            .execute_in_process(instance=instance, partition_key="2026-09-01")
        )
    [made] = result.asset_materializations_for_node("budget_status")
    shown = made.metadata["status"]
    assert isinstance(shown, dg.TableMetadataValue)
    assert [dict(record.data) for record in shown.records] == [
        {"budget": "search", "status": "ok", "spent": "1.00", "limit": "10.00", "scope": "team=search"}
    ]


def test_days_after_one_that_changed_are_brought_up_to_date(
    nights: Callable[..., RunReport], lake: Lake, mediation: FakeMediation
) -> None:
    """Two calls of 0.25 from each of two sources a day; ten more on the 3rd."""
    nights(1, 6)
    mediation.calls["a", day_of("2026-09-03")] = 12
    nights(3, 3, now=dt.datetime(2026, 9, 7, 2, tzinfo=dt.UTC))
    spent = lake.scan(BUDGET_STATUS).sort("date").select("spent").collect().to_series().to_list()
    assert spent == [Decimal(1), Decimal(2), *(Decimal(day) + Decimal("2.50") for day in range(3, 7))]


def test_late_records_of_an_earlier_day_reach_the_days_after_it(
    nights: Callable[..., RunReport], lake: Lake, mediation: FakeMediation
) -> None:
    mediation.hands_over["a", day_of("2026-09-05")] = day_of("2026-09-02")
    nights(1, 6)
    before = lake.scan(BUDGET_STATUS).sort("date").select("spent").collect().to_series().to_list()
    assert nights(1, 6).changed == 0
    assert lake.scan(BUDGET_STATUS).sort("date").select("spent").collect().to_series().to_list() == before
