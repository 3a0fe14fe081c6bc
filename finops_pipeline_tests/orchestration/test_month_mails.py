"""Who gets what at the month's end, over whole runs: finance the whole, each owner their part, each revision once."""

import datetime as dt
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from fake_mediation import FakeMediation, day_of

from finops_pipeline.chargeback.revisions import load_statement
from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.orchestration.dry_run import dry_run
from finops_pipeline.orchestration.run_report import RunReport, StatementMade

Ran = Callable[..., RunReport]

OWNERS = {
    "search": {"owner": "Search lead", "email": "search@example.com", "cost_center": "CC-1"},
    "payroll": {"owner": "Head of Payroll", "email": "payroll@example.com", "cost_center": "CC-2"},
}


@pytest.fixture
def two_teams(changed: Callable[..., Config], mediation: FakeMediation) -> Config:
    """Source a's calls are search's, source b's are payroll's."""
    return changed(
        teams=OWNERS,
        ownership=[
            {"name": "b-is-payroll", "match": {"source": "b"}, "set": {"team": "payroll", "project": "payslips"}},
        ],
    )


def eml(config: Config) -> dict[str, EmailMessage]:
    """The mails in the outbox by recipient and revision."""
    found = {}
    for file in sorted((config.folder / "outbox").glob("*.eml")):
        message = message_from_bytes(file.read_bytes(), policy=policy.default)
        assert isinstance(message, EmailMessage)
        revision = file.name.split("-")[2]
        found[f"{message['To']} {revision}"] = message
    return found


def everything_in(message: EmailMessage) -> str:
    """Headers, texts and text attachments of a mail."""
    parts = [str(message.items())]
    for part in message.walk():
        if part.get_content_maintype() == "text":
            content = part.get_content()
            parts.append(content if isinstance(content, str) else content.decode())
        elif part.get_content_type() in ("text/csv", "text/html"):
            parts.append(part.get_payload(decode=True).decode())
    return "\n".join(parts)


def made(report: RunReport) -> StatementMade:
    [statement] = report.statements
    return statement


def test_finance_gets_the_whole_and_each_owner_their_own(ran: Ran, two_teams: Config) -> None:
    report = ran("2026-09-01", "2026-09-30", month="2026-09", config=two_teams)
    assert report.ok, report.failures
    mails = eml(two_teams)
    assert sorted(mails) == ["finance@example.com r1", "payroll@example.com r1", "search@example.com r1"]
    assert sorted(mail.recipient for mail in made(report).mails) == [
        "finance@example.com",
        "payroll@example.com",
        "search@example.com",
    ]
    finance = everything_in(mails["finance@example.com r1"])
    assert "search" in finance
    assert "payroll" in finance
    assert "30.00" in finance, "30 days with two calls of 0.25 from each of two sources"
    own = everything_in(mails["search@example.com r1"])
    assert "15.00" in own
    for of_others in ("payroll", "payslips", "CC-2", "30.00", "Head of Payroll"):
        assert of_others not in own


def test_the_files_of_a_statement_lie_beside_its_page(ran: Ran, two_teams: Config) -> None:
    report = ran("2026-09-01", "2026-09-02", month="2026-09", config=two_teams)
    folder = Path(made(report).page).parent
    assert {file.suffix for file in folder.rglob("*") if file.is_file()} == {".html", ".csv", ".xlsx"}
    assert len(list((folder / "teams").iterdir())) == 2


def test_an_owner_whose_part_did_not_change_gets_no_mail_of_a_new_revision(
    ran: Ran, two_teams: Config, mediation: FakeMediation
) -> None:
    ran("2026-09-01", "2026-09-02", month="2026-09", config=two_teams)
    mediation.calls["b", day_of("2026-09-02")] = 9
    again = ran("2026-09-01", "2026-09-02", month="2026-09", config=two_teams)
    assert made(again).revision == 2
    assert sorted(mail.recipient for mail in made(again).mails) == ["finance@example.com", "payroll@example.com"]


def test_an_owner_whose_mail_failed_gets_it_although_a_later_revision_leaves_their_part_as_it_was(
    ran: Ran, two_teams: Config, mediation: FakeMediation
) -> None:
    outbox = two_teams.folder / "outbox"
    outbox.write_text("a file where the folder should be")
    assert not ran("2026-09-01", "2026-09-02", month="2026-09", config=two_teams).ok
    outbox.unlink()
    mediation.calls["b", day_of("2026-09-02")] = 9
    report = ran("2026-09-01", "2026-09-02", month="2026-09", config=two_teams)
    assert report.ok, report.failures
    assert made(report).revision == 2
    assert sorted(mail.recipient for mail in made(report).mails) == [
        "finance@example.com",
        "payroll@example.com",
        "search@example.com",
    ]
    assert "revision 2" in str(eml(two_teams)["search@example.com r1"]["Subject"])
    assert made(ran(month="2026-09", config=two_teams)).mails == []


def test_an_owner_whose_address_is_mended_gets_the_latest_revision_once(
    ran: Ran, two_teams: Config, mediation: FakeMediation, changed: Callable[..., Config]
) -> None:
    ran("2026-09-01", "2026-09-02", month="2026-09", config=two_teams)
    mediation.calls["b", day_of("2026-09-02")] = 9
    ran("2026-09-01", "2026-09-02", month="2026-09", config=two_teams)
    teams = {**OWNERS, "search": {**OWNERS["search"], "email": "search-lead@example.com"}}
    mended = changed(teams=teams, ownership=two_teams.model_dump(by_alias=True)["ownership"])
    assert [mail.recipient for mail in made(ran(month="2026-09", config=mended)).mails] == ["search-lead@example.com"]
    assert made(ran(month="2026-09", config=mended)).mails == []


def test_a_part_that_goes_back_to_what_it_was_is_told_again(
    ran: Ran, two_teams: Config, mediation: FakeMediation
) -> None:
    ran("2026-09-01", "2026-09-02", month="2026-09", config=two_teams)
    for calls in (9, 2):
        mediation.calls["b", day_of("2026-09-02")] = calls
        report = ran("2026-09-01", "2026-09-02", month="2026-09", config=two_teams)
        assert "payroll@example.com" in [mail.recipient for mail in made(report).mails]
    assert made(report).revision == 3


def test_a_team_that_nobody_can_reach_is_named_to_finance(
    ran: Ran, changed: Callable[..., Config], mediation: FakeMediation
) -> None:
    config = changed(teams={"search": {"cost_center": "CC-1"}})
    report = ran("2026-09-01", month="2026-09", config=config)
    assert [mail.recipient for mail in made(report).mails] == ["finance@example.com"]
    assert load_statement(Lake(config.resolved(config.lake)), "2026-09").unreachable == (("search", "no e-mail"),)
    assert "no e-mail" in everything_in(eml(config)["finance@example.com r1"])


def test_files_that_are_gone_are_an_error_with_the_way_out(ran: Ran, two_teams: Config) -> None:
    page = made(ran("2026-09-01", month="2026-09", config=two_teams)).page
    next(Path(page).parent.glob("*.csv")).unlink()
    report = ran(month="2026-09", deliver_only=True, config=two_teams)
    assert not report.ok
    assert "finops run --month 2026-09" in " ".join(report.failures)


def test_delivering_alone_makes_no_statement_and_sends_what_has_not_left(ran: Ran, two_teams: Config) -> None:
    outbox = two_teams.folder / "outbox"
    outbox.write_text("a file where the folder should be")
    assert not ran("2026-09-01", month="2026-09", config=two_teams).ok
    outbox.unlink()
    report = ran(month="2026-09", deliver_only=True, config=two_teams)
    assert report.ok
    assert report.days == 0
    assert len(made(report).mails) == 3
    assert ran(month="2026-09", deliver_only=True, config=two_teams).statements[0].mails == []


def test_a_dry_run_renders_what_would_be_sent_and_writes_nothing_to_the_lake(
    ran: Ran, two_teams: Config, lake: Lake, tmp_path: Path
) -> None:
    ran("2026-09-01", "2026-09-02", config=two_teams)
    before = {file: file.stat().st_mtime_ns for file in Path(lake.storage.root).rglob("*")}
    now = dt.datetime(2026, 10, 5, 2, tzinfo=dt.UTC)
    found = dry_run(two_teams, [], "2026-09", now=now, folder=tmp_path / "look")
    assert {file: file.stat().st_mtime_ns for file in Path(lake.storage.root).rglob("*")} == before
    assert not (two_teams.folder / "outbox").exists()
    assert found.statement is not None
    assert (found.statement.revision, found.is_new, str(found.statement.total)) == (1, True, "2.00")
    assert [(mail.recipient, mail.state) for mail in found.mails] == [
        ("finance@example.com", None),
        ("payroll@example.com", None),
        ("search@example.com", None),
    ]
    assert all(mail.file.is_file() for mail in found.mails)
    ran(month="2026-09", config=two_teams)
    after = dry_run(two_teams, [], "2026-09", now=now, folder=tmp_path / "look")
    assert not after.is_new
    assert {mail.state for mail in after.mails} == {"sent"}


def test_a_source_that_held_nothing_all_month_is_said(ran: Ran, two_teams: Config, mediation: FakeMediation) -> None:
    mediation.calls |= {("b", day_of(f"2026-09-{day:02}")): 0 for day in range(1, 4)}
    ran("2026-09-01", "2026-09-03", month="2026-09", config=two_teams)
    statement = load_statement(Lake(two_teams.resolved(two_teams.lake)), "2026-09")
    assert statement.silent_sources == ("b",)
