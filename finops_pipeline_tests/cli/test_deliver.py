"""``finops deliver``: what is listed, what is sent, and what a person decides."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from finops_pipeline.config.model import Config
from finops_pipeline.delivery.ledger import Ledger, delivery_key
from finops_pipeline.orchestration.run_report import RunReport, RunRequest
from finops_pipeline.storage import open_storage

Finops = Callable[..., Result]

NOW = dt.datetime(2026, 10, 20, 9, 30, tzinfo=dt.UTC)


class FakeRunner:
    """Takes note of what it is asked for, and sends the mails that it was given as far as the ledger lets it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.requests: list[RunRequest] = []
        self.now: dt.datetime | None = None
        self.mails: dict[str, str] = {}
        self.handed: list[str] = []
        self.failures: list[str] = []

    def __call__(self, config: Config, request: RunRequest, *, now: dt.datetime) -> RunReport:
        self.requests.append(request)
        self.now = now
        for key, recipient in self.mails.items():
            claim = self.ledger.claim(key, facts(recipient))
            if claim is not None:
                self.handed.append(key)
                self.ledger.confirm(claim, "the post")
        return RunReport(failures=self.failures)


def facts(recipient: str) -> dict[str, str]:
    return {"to": recipient, "subject": "AI usage chargeback 2026-09: 16,657.25 USD", "message_id": "<1@example.com>"}


@pytest.fixture
def ledger(config: Path) -> Ledger:
    return Ledger(open_storage(config.parent / "lake"), lambda: NOW)


@pytest.fixture
def runner(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    fake = FakeRunner(ledger)
    monkeypatch.setattr("finops_pipeline.orchestration.runner.run", fake)
    return fake


@pytest.fixture
def statement(config: Path) -> Callable[[str], None]:
    """A month that has a statement, as far as the lake's listing tells."""

    def make(month: str) -> None:
        folder = config.parent / "lake" / "chargeback" / f"month={month}" / "revision=1"
        folder.mkdir(parents=True)
        (folder / "part-0.parquet").touch()

    return make


@pytest.fixture
def on_record(ledger: Ledger) -> Callable[..., str]:
    """``on_record("ambiguous")``: a mail of September in that state; its key."""

    def enter(state: str, recipient: str = "finance@example.com", month: str = "2026-09") -> str:
        key = delivery_key(month, 1, recipient, "c0ffee")
        claim = ledger.claim(key, facts(recipient))
        assert claim is not None
        match state:
            case "sent":
                ledger.confirm(claim, "the post")
            case "failed":
                ledger.fail(claim, "mailbox full")
            case "ambiguous":
                ledger.doubt(claim, "the answer was lost")
        return key

    return enter


def state(ledger: Ledger, key: str) -> str:
    record = ledger.find(key)
    assert record is not None
    return record.state


def short(key: str) -> str:
    return key[-16:-8]


def test_the_latest_statements_mails_are_sent_and_listed(
    finops: Finops, runner: FakeRunner, statement: Callable[[str], None], on_record: Callable[..., str]
) -> None:
    statement("2026-08")
    statement("2026-09")
    sent = on_record("sent")
    new = delivery_key("2026-09", 1, "search@example.com", "c0ffee")
    runner.mails = {sent: "finance@example.com", new: "search@example.com"}
    result = finops("deliver")
    assert result.exit_code == 0
    assert runner.requests == [RunRequest(month="2026-09", deliver_only=True)]
    assert runner.now == NOW
    assert runner.handed == [new]
    for key, recipient in runner.mails.items():
        [line] = [line for line in result.stdout.splitlines() if short(key) in line]
        assert [cell.strip() for cell in line.split("  ") if cell.strip()] == [
            recipient,
            "AI usage chargeback 2026-09: 16,657.25 USD",
            "sent",
            "2026-10-20 09:30",
            short(key),
        ]


def test_a_month_can_be_named_and_shows_its_own_mails_only(
    finops: Finops, runner: FakeRunner, on_record: Callable[..., str]
) -> None:
    september, october = on_record("sent"), on_record("sent", month="2026-10")
    result = finops("deliver", "--month", "2026-10")
    assert runner.requests == [RunRequest(month="2026-10", deliver_only=True)]
    assert short(october) in result.stdout
    assert short(september) not in result.stdout


@pytest.mark.usefixtures("runner")
def test_a_month_without_mails_says_so(finops: Finops) -> None:
    result = finops("deliver", "--month", "2026-09")
    assert (result.exit_code, result.stdout) == (0, "No mail of September 2026 is on record.\n")


def test_without_a_statement_the_way_out_is_named(finops: Finops, runner: FakeRunner) -> None:
    result = finops("deliver")
    assert result.exit_code == 1
    assert "there is no statement yet" in result.stderr
    assert runner.requests == []


def test_a_failure_is_told_once_and_the_exit_code_tells_it(
    finops: Finops, runner: FakeRunner, on_record: Callable[..., str]
) -> None:
    on_record("failed")
    runner.failures = ["report_delivery, 2026-09: 1 mails did not leave. finance@example.com: mailbox full"]
    result = finops("deliver", "--month", "2026-09")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {runner.failures[0]}\n"


@pytest.mark.usefixtures("runner")
def test_an_ambiguous_mail_is_named_with_both_ways_out(finops: Finops, on_record: Callable[..., str]) -> None:
    key = on_record("ambiguous")
    result = finops("deliver", "--month", "2026-09")
    assert result.exit_code == 1
    assert result.stderr == (
        f"Ambiguous: finance@example.com ({short(key)}): the answer was lost. If it arrived: finops deliver --arrived "
        f"{short(key)}; if it did not: finops deliver --resend {short(key)}\n"
    )


@pytest.mark.parametrize("long", [True, False])
def test_resend_lets_the_run_send_it_again(
    finops: Finops, runner: FakeRunner, ledger: Ledger, on_record: Callable[..., str], long: bool
) -> None:
    key = on_record("ambiguous")
    runner.mails = {key: "finance@example.com"}
    result = finops("deliver", "--resend", key if long else short(key))
    assert result.exit_code == 0, result.stderr
    assert runner.requests == [RunRequest(month="2026-09", deliver_only=True)], "the month of the key"
    assert runner.handed == [key]
    assert state(ledger, key) == "sent"


def test_arrived_takes_it_for_sent(
    finops: Finops, runner: FakeRunner, ledger: Ledger, on_record: Callable[..., str]
) -> None:
    key = on_record("ambiguous")
    runner.mails = {key: "finance@example.com"}
    assert finops("deliver", "--arrived", short(key)).exit_code == 0
    assert runner.handed == []
    assert state(ledger, key) == "sent"


def test_several_are_decided_at_once_each_in_its_month(
    finops: Finops, runner: FakeRunner, ledger: Ledger, on_record: Callable[..., str]
) -> None:
    keys = [on_record("ambiguous", month=month) for month in ("2026-09", "2026-10")]
    third = on_record("ambiguous", "search@example.com")
    runner.mails = dict.fromkeys(keys, "finance@example.com")
    result = finops("deliver", "--resend", keys[0], "--resend", keys[1], "--arrived", third)
    assert result.exit_code == 0, result.stderr
    assert [request.month for request in runner.requests] == ["2026-09", "2026-10"]
    assert runner.handed.count(keys[0]) == runner.handed.count(keys[1]) == 1
    assert {state(ledger, key) for key in (*keys, third)} == {"sent"}


@pytest.mark.usefixtures("runner")
def test_a_mail_that_no_run_sends_any_more_is_told(
    finops: Finops, ledger: Ledger, on_record: Callable[..., str]
) -> None:
    key = on_record("ambiguous")
    result = finops("deliver", "--resend", key)
    assert result.exit_code == 1
    assert "was not sent. Where no error says why, a later revision has taken its place" in result.stderr
    assert state(ledger, key) == "failed"


def test_a_dry_run_decides_and_sends_nothing(
    finops: Finops, runner: FakeRunner, ledger: Ledger, on_record: Callable[..., str]
) -> None:
    first, second = on_record("ambiguous"), on_record("ambiguous", "search@example.com")
    result = finops("deliver", "--dry-run", "--resend", first, "--arrived", second)
    assert result.exit_code == 1
    assert f"Would be sent again: finance@example.com ({short(first)})" in result.stdout
    assert f"Would be taken for sent: search@example.com ({short(second)})" in result.stdout
    assert runner.requests == []
    assert state(ledger, first) == state(ledger, second) == "ambiguous"


@pytest.mark.parametrize(("state_", "code"), [("sent", 0), ("failed", 1), ("ambiguous", 1), ("in progress", 0)])
def test_a_dry_run_tells_by_its_exit_code_whether_something_is_amiss(
    finops: Finops, runner: FakeRunner, on_record: Callable[..., str], state_: str, code: int
) -> None:
    on_record(state_)
    result = finops("deliver", "--dry-run", "--month", "2026-09")
    assert result.exit_code == code
    assert f" {state_} " in result.stdout
    assert runner.requests == []


def test_what_makes_no_sense_is_refused(finops: Finops, runner: FakeRunner, on_record: Callable[..., str]) -> None:
    key = on_record("ambiguous")
    for arguments, said in (
        (("--resend", "4ead5c68"), "Invalid value for --resend: '4ead5c68': no mail of that key is on record"),
        (("--arrived", key[-16:-9]), "no mail of that key is on record"),
        (("--resend", key, "--arrived", short(key)), "either --resend or --arrived, not both"),
        (("--month", "October"), "'October' is no month"),
    ):
        result = finops("deliver", *arguments)
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())
    assert runner.requests == []


def test_what_has_left_is_not_sent_again(finops: Finops, runner: FakeRunner, on_record: Callable[..., str]) -> None:
    key = on_record("sent")
    result = finops("deliver", "--resend", key)
    assert result.exit_code == 1
    assert "has left on 2026-10-20 at 09:30 UTC and is not sent again" in result.stderr
    assert runner.requests == []


@pytest.mark.usefixtures("runner")
def test_hostile_names_stay_text(finops: Finops, config: Path) -> None:
    folder = config.parent / "lake" / "deliveries"
    folder.mkdir(parents=True)
    key = delivery_key("2026-09", 1, "x", "c0ffee")
    hostile = {"key": key, "state": "sent", "to": "[bold]x[/bold]", "subject": "\x1b[31mred\n=1+1"}
    (folder / f"{key}.json").write_text(json.dumps(hostile))
    result = finops("deliver", "--month", "2026-09")
    assert "[bold]x[/bold]" in result.stdout
    assert "\x1b" not in result.stdout


def test_the_help_explains_every_state(finops: Finops) -> None:
    said = finops("deliver", "--help").stdout
    for word in ("sent ", "failed ", "in progress ", "ambiguous ", "--resend KEY", "--arrived KEY"):
        assert f"\n    {word}" in said or f"\n  {word}" in said
