"""``finops run``: what is asked of the runner, what is refused, and how the end is told."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from finops_pipeline.config.model import Config
from finops_pipeline.errors import LakeError
from finops_pipeline.orchestration.context import Sent
from finops_pipeline.orchestration.run_report import Progress, RunReport, RunRequest, StatementMade

Finops = Callable[..., Result]


class FakeRunner:
    """Takes note of what it is asked for, tells the progress it is given, and answers with a report."""

    def __init__(self) -> None:
        self.request: RunRequest | None = None
        self.now: dt.datetime | None = None
        self.log_level: str | None = None
        self.progress: list[Progress] = []
        self.report = RunReport()
        self.error: BaseException | None = None

    def __call__(
        self,
        config: Config,
        request: RunRequest,
        *,
        now: dt.datetime,
        on_progress: Callable[[Progress], None],
        log_level: str | None,
    ) -> RunReport:
        self.request, self.now, self.log_level = request, now, log_level
        for ended in self.progress:
            on_progress(ended)
        if self.error:
            raise self.error
        return self.report


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    fake = FakeRunner()
    monkeypatch.setattr("finops_pipeline.orchestration.runner.run", fake)
    return fake


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


# -- what is asked for ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        ((), {}),
        (("--from", "2026-10-01", "--to", "2026-10-02"), {"days": (day("2026-10-01"), day("2026-10-02"))}),
        (("--from", "2026-10-05"), {"days": (day("2026-10-05"), day("2026-10-19"))}),
        (("--from", "2026-10-20"), {"days": (day("2026-10-20"), day("2026-10-20"))}),
        (("--month", "2026-09"), {"month": "2026-09"}),
        (("--month", "2026-10"), {"month": "2026-10"}),
        (
            ("--from", "2026-09-01", "--to", "2026-09-30", "--month", "2026-09"),
            {"days": (day("2026-09-01"), day("2026-09-30")), "month": "2026-09"},
        ),
        (("--source", "gateway"), {"source": "gateway"}),
        (("--force", "--allow-partial"), {"force": True, "allow_partial": True}),
    ],
)
def test_options_become_a_request(
    finops: Finops, runner: FakeRunner, arguments: tuple[str, ...], request_: dict[str, Any]
) -> None:
    assert finops("run", *arguments).exit_code == 0
    assert runner.request == RunRequest(**request_)
    assert runner.now == dt.datetime(2026, 10, 20, 9, 30, tzinfo=dt.UTC)


@pytest.mark.usefixtures("config")
def test_the_log_level_is_handed_on(finops: Finops, runner: FakeRunner) -> None:
    finops("run", "--log-level", "info")
    assert runner.log_level == "info"


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "2026-10-03", "--to", "2026-10-02"), "2026-10-03 lies after --to 2026-10-02"),
        (("--from", "2026-10-01", "--to", "2026-10-21"), "2026-10-21 lies in the future: today is 2026-10-20, UTC"),
        (("--from", "2026-10-21"), "2026-10-21 lies in the future"),
        (("--to", "2026-10-02"), "--to needs --from"),
        (("--from", "2026-08-31"), "2026-08-31 lies before start_date in the config, 2026-09-01"),
        (("--from", "yesterday"), "'yesterday' is no day: expected one such as 2026-10-31"),
        (("--month", "2026-13"), "'2026-13' is no month: expected one such as 2026-10"),
        (("--month", "October"), "'October' is no month"),
        (("--month", "2026-11"), "2026-11 lies in the future"),
        (("--month", "2026-08"), "2026-08 lies before start_date"),
        (("--source", "gatway"), "no source 'gatway' in the config: did you mean gateway?"),
        (("--source", "xyz"), "no source 'xyz' in the config: expected one of bedrock, gateway"),
        (("--source", "gateway", "--month", "2026-10"), "--source reads logs only and makes no statement"),
    ],
)
def test_what_makes_no_sense_is_refused(
    finops: Finops, runner: FakeRunner, arguments: tuple[str, ...], said: str
) -> None:
    result = finops("run", *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert runner.request is None


def test_without_a_config_nothing_is_run(finops: Finops, runner: FakeRunner) -> None:
    assert finops("run").exit_code == 2
    assert runner.request is None


# -- what is told -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("config")
def test_where_no_terminal_is_each_partition_is_a_line(finops: Finops, runner: FakeRunner) -> None:
    runner.progress = [
        Progress("usage/bedrock", "2026-10-01", "written", 1, 3),
        Progress("usage/bedrock", "2026-10-02", "unchanged", 2, 3),
        Progress("priced_usage", "2026-10-01", "failed", 3, 3),
    ]
    result = finops("run")
    assert result.stderr.splitlines() == [
        "[1/3] usage/bedrock 2026-10-01: written",
        "[2/3] usage/bedrock 2026-10-02: unchanged",
        "[3/3] priced_usage 2026-10-01: failed",
    ]
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert ["Table", "Written", "Unchanged", "Failed"] in lines
    assert ["usage/bedrock", "1", "1"] in lines
    assert ["priced_usage", "1"] in lines


@pytest.mark.usefixtures("config")
def test_statements_are_told_with_the_files_to_open(finops: Finops, runner: FakeRunner) -> None:
    page = Path("/lake/reports/index.html")
    mail = Sent("finance@example.com", "AI usage chargeback 2026-09", "/outbox/a.eml")
    runner.report = RunReport(
        statements=[
            StatementMade("2026-09", 1, Decimal("48997.07"), True, page, [mail]),
            StatementMade("2026-10", 2, Decimal("0.00"), False, page, []),
        ],
        alerts=[Sent("search@example.com", "Budget search: 80 %", "/outbox/b.eml")],
    )
    assert finops("run").stdout.splitlines() == [
        "Nothing was due.",
        "Statement of September 2026, revision 1 (new): 48,997.07 USD",
        "  /lake/reports/index.html",
        "  Mail to finance@example.com: AI usage chargeback 2026-09 (/outbox/a.eml)",
        "Statement of October 2026, revision 2 (unchanged): 0.00 USD",
        "  /lake/reports/index.html",
        "Alert to search@example.com: Budget search: 80 % (/outbox/b.eml)",
    ]


@pytest.mark.usefixtures("config")
def test_warnings_leave_the_exit_code_at_zero(finops: Finops, runner: FakeRunner) -> None:
    runner.report = RunReport(warnings=["usage/bedrock, 2026-10-01: [3] lines are quarantined"])
    result = finops("run")
    assert result.exit_code == 0
    assert result.stderr == "Warning: usage/bedrock, 2026-10-01: [3] lines are quarantined\n"


@pytest.mark.usefixtures("config")
def test_a_failure_exits_with_1_and_is_told_last_on_stderr(finops: Finops, runner: FakeRunner) -> None:
    runner.report = RunReport(warnings=["a warning"], failures=["usage/gateway, 2026-10-01: there is no bucket logs"])
    result = finops("run")
    assert result.exit_code == 1
    assert result.stderr == "Warning: a warning\nError: usage/gateway, 2026-10-01: there is no bucket logs\n"


@pytest.mark.usefixtures("config")
def test_an_error_of_ours_ends_it_with_one_message(finops: Finops, runner: FakeRunner) -> None:
    runner.error = LakeError("/lake: cannot be written")
    result = finops("run")
    assert (result.exit_code, result.stderr) == (1, "Error: /lake: cannot be written\n")


@pytest.mark.usefixtures("config")
def test_debug_keeps_tracebacks(finops: Finops, runner: FakeRunner) -> None:
    runner.error = LakeError("/lake: cannot be written")
    with pytest.raises(LakeError):
        finops("run", "--log-level", "debug")


@pytest.mark.usefixtures("config")
def test_an_interruption_exits_with_130(finops: Finops, runner: FakeRunner) -> None:
    runner.error = KeyboardInterrupt()
    assert finops("run").exit_code == 130


# -- on a terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("config")
def test_on_a_terminal_there_is_a_bar_and_no_lines(
    finops: Finops, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finops_pipeline.cli.run_display.on_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    runner.progress = [Progress("usage/bedrock", "2026-10-01", "written", 1, 2)]
    assert "[1/2]" not in finops("run").stderr
    assert "[1/2]" in finops("run", "--log-level", "warning").stderr, "the log is shown in its place"


@pytest.mark.usefixtures("config")
def test_a_dry_run_of_one_source_has_nothing_to_show(finops: Finops) -> None:
    done = finops("run", "--source", "bedrock", "--dry-run")
    assert done.exit_code == 2
    assert "leave --source or --dry-run out" in done.stderr
