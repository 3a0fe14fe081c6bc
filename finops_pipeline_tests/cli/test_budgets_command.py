"""``finops budgets``."""

import csv
import datetime as dt
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from click.testing import Result

from finops_pipeline.alerts import evaluate
from finops_pipeline.budgets import budget_status
from finops_pipeline.config.loading import load_config
from finops_pipeline.config.model import Budget
from finops_pipeline.days import days_of
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.schemas import BUDGET_STATUS, DAILY_COSTS

Finops = Callable[..., Result]

BUDGETS = """\
budgets:
  - {name: search, scope: {team: search}, limit: 200}
  - {name: chat, scope: {team: chat}, limit: 1000, warn_at: [0.1, 0.15]}
  - {name: everything, scope: {}, limit: 1000}
"""

OCTOBER = days_of("2026-10")


def run(lake: Lake, budgets: Sequence[Budget], day: int, *, missing: Sequence[int] = (), unpriced: int = 0) -> None:
    """``budget_status`` of a day of October 2026: search has spent 10.005 a day, chat 9.995, nobody else anything."""
    zeros = {column.name: 0 for column in DAILY_COSTS.columns if not column.nullable}
    of = {"search": "10.005", "chat": "9.995"}
    costs = pl.LazyFrame(
        [
            {**zeros, "source": "s", "date": date, "team": team, "cost": Decimal(cost), "unpriced_requests": unpriced}
            for date in OCTOBER[:day]
            for team, cost in of.items()
            if date.day not in missing
        ],
        schema={**DAILY_COSTS.schema, "date": pl.Date},
    )
    status = budget_status(budgets, OCTOBER[day - 1], costs, expected_days=OCTOBER[:day]).collect()
    lake.write(BUDGET_STATUS, status, Stamp(1, "", ""), date=OCTOBER[day - 1])


@pytest.fixture
def lake(config: Path) -> Lake:
    """Three budgets, held against the costs of 1 to 19 October."""
    config.write_text(config.read_text() + BUDGETS)
    lake = Lake(config.parent / "lake")
    run(lake, load_config().budgets, 19)
    return lake


def table(result: Result) -> list[list[str]]:
    """Cells of the rows, apart by two blanks at least; the title and the rule are left out."""
    text = result.stdout.replace("\N{NO-BREAK SPACE}", " ")
    lines = [[c.strip() for c in line.split("  ") if c.strip()] for line in text.splitlines()]
    return [cells for cells in lines if len(cells) > 1]


@pytest.mark.usefixtures("lake")
def test_where_everyone_stands_those_closest_to_their_limits_first(finops: Finops) -> None:
    result = finops("budgets")
    assert result.exit_code == 0
    assert result.stdout.startswith("October 2026 up to 2026-10-19, UTC")
    # 19 days of 10.005 are 190.095 and half-even 190.10 in cents; at this rate 310.155 after 31 days,
    # and 200 on the 20th; of 1000, 9.995 a day is 309.845 and both together are 620 in the month
    assert table(result) == [
        ["Budget", "Scope", "Limit USD", "Spent", "Used", "Status", "At month end", "Runs out"],
        ["search", "team=search", "200.00", "190.10", "95.0 %", "warning", "310.16", "2026-10-20"],
        ["everything", "all usage", "1,000.00", "380.00", "38.0 %", "ok", "620.00", "–"],
        ["chat", "team=chat", "1,000.00", "189.90", "19.0 %", "ok", "309.84", "–"],
    ]
    assert result.stderr == ""


def test_a_limit_that_is_reached_runs_out_no_more(finops: Finops, lake: Lake) -> None:
    run(lake, load_config().budgets, 21)
    assert table(finops("budgets"))[1][4:] == ["105.1 %", "exceeded", "310.16", "reached"]


def test_a_month_is_told_up_to_its_latest_day(finops: Finops, lake: Lake) -> None:
    run(lake, load_config().budgets, 7)
    assert "up to 2026-10-19" in finops("budgets", "--month", "2026-10").stdout
    shutil.rmtree(lake.folder(BUDGET_STATUS, date=OCTOBER[18]))
    result = finops("budgets", "--month", "2026-10")
    assert "up to 2026-10-07" in result.stdout
    assert "Note: 2026-10-07 is the latest day so far." in result.stderr
    assert "`finops run --from 2026-10-08 --to 2026-10-19` goes on from there.\n" in result.stderr


@pytest.mark.usefixtures("lake")
def test_csv_has_the_exact_amounts(finops: Finops) -> None:
    rows = list(csv.DictReader(io.StringIO(finops("budgets", "--format", "csv").stdout)))
    assert [row["budget"] for row in rows] == ["search", "everything", "chat"]
    assert list(rows[0]) == ["date", *BUDGET_STATUS.names]
    assert (rows[0]["date"], Decimal(rows[0]["spent"]), rows[0]["p_exceed"]) == ("2026-10-19", Decimal("190.095"), "")


def test_json_has_amounts_as_text_and_the_alerts_of_each_budget(finops: Finops, lake: Lake) -> None:
    alerts(lake)
    said = json.loads(finops("budgets", "--format", "json").stdout)
    assert (said["month"], said["date"], said["currency"]) == ("2026-10", "2026-10-19", "USD")
    search, everything, chat = said["budgets"]
    assert (search["budget"], Decimal(search["spent"]), search["status"]) == ("search", Decimal("190.095"), "warning")
    assert everything["alerts"] == []
    assert [(a["kind"], a["threshold"], a["mail"], a["recipients"]) for a in chat["alerts"]] == [
        ("actual", "0.1", "superseded", []),
        ("actual", "0.15", "due", ["finance@example.com"]),
    ]


def alerts(lake: Lake, as_of: dt.date = dt.date(2026, 10, 20)) -> None:
    status = lake.scan(BUDGET_STATUS, date=list(OCTOBER)).collect()
    evaluate(
        lake, load_config().budgets, status, as_of=as_of, late_days=3, recipients=lambda _: ["finance@example.com"]
    )


def test_open_alerts_are_counted_and_whether_they_are_told(finops: Finops, lake: Lake) -> None:
    alerts(lake)
    # search: 80 % and the forecast; chat: 10 % and 15 %
    assert finops("budgets").stderr == "Note: 4 alerts are open: 3 with a mail, 1 covered by a higher one.\n"


def test_alerts_of_another_limit_are_not_counted(finops: Finops, lake: Lake, config: Path) -> None:
    alerts(lake, dt.date(2026, 11, 20))
    assert "Note: 4 alerts are open: 4 found too late for a mail.\n" in finops("budgets").stderr
    config.write_text(config.read_text().replace("limit: 200", "limit: 190"))
    result = finops("budgets")
    assert (
        "Note: search is new or was changed since 2026-10-19 was run. "
        "`finops run --from 2026-10-19 --to 2026-10-19` brings that up to date.\n"
    ) in result.stderr
    run(lake, load_config().budgets, 19)
    assert "Note: 2 alerts are open" in finops("budgets").stderr


def test_what_makes_the_numbers_a_lower_bound_is_told(finops: Finops, lake: Lake) -> None:
    run(lake, load_config().budgets, 19, missing=[3, 4], unpriced=1)
    result = finops("budgets")
    assert (
        "Note: 2 days up to 2026-10-19 have no costs: what was spent is a lower bound. "
        "`finops run --from 2026-10-01 --to 2026-10-19` makes them.\n"
    ) in result.stderr
    assert (
        "Note: calls without a price are not in what was spent: 17 of search, 17 of chat, 34 of everything.\n"
    ) in result.stderr


@pytest.mark.usefixtures("config")
def test_without_budgets_the_lines_that_add_one_are_told(finops: Finops) -> None:
    result = finops("budgets")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        "Note: the config has no budgets. Lines such as these add one:\n"
        "  budgets:\n"
        "    - {name: search, scope: {team: search}, limit: 5000}\n"
    )


def test_the_lines_that_add_a_budget_are_right(config: Path, finops: Finops) -> None:
    lines = finops("budgets").stderr.partition("\n")[2]
    config.write_text(config.read_text() + "\n".join(line.removeprefix("  ") for line in lines.splitlines()))
    assert load_config().budgets == [Budget(name="search", scope={"team": "search"}, limit=Decimal(5000))]


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    ("month", "said"),
    [
        (
            "2026-09",
            (
                "no day of September 2026 has been held against the budgets yet. "
                "`finops run --from 2026-09-01 --to 2026-09-30` does it."
            ),
        ),
        ("2026-12", "December 2026 has no day that is over."),
        ("2026-08", "August 2026 lies before start_date, 2026-09-01."),
    ],
)
def test_a_month_without_a_status_says_how_to_make_one(finops: Finops, month: str, said: str) -> None:
    result = finops("budgets", "--month", month)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"Note: {said}\n")
    empty = finops("budgets", "--month", month, "--format", "csv")
    assert empty.stdout == ",".join(["date", *BUDGET_STATUS.names]) + "\n"
    assert json.loads(finops("budgets", "--month", month, "--format", "json").stdout)["budgets"] == []


def test_the_command_for_this_month_ends_with_yesterday(finops: Finops, lake: Lake) -> None:
    shutil.rmtree(lake.folder(BUDGET_STATUS, date=OCTOBER[18]))
    assert "`finops run --from 2026-10-01 --to 2026-10-19` does it." in finops("budgets").stderr


def test_a_day_that_is_not_over_is_shown_too(finops: Finops, lake: Lake) -> None:
    shutil.rmtree(lake.folder(BUDGET_STATUS))
    run(lake, load_config().budgets, 20)
    assert finops("budgets").stderr == ""


@pytest.mark.usefixtures("lake")
def test_names_do_nothing_to_the_terminal_or_a_spreadsheet(finops: Finops, lake: Lake) -> None:
    names = ["=1+1", "[bold]x[/bold]", "a\x1b[2Jb"]
    run(lake, [Budget(name=name, scope={"team": name}, limit=Decimal(1)) for name in names], 19)
    shown = finops("budgets").stdout
    assert "[bold]x[/bold]" in shown
    assert "\x1b[2J" not in shown
    rows = list(csv.DictReader(io.StringIO(finops("budgets", "--format", "csv").stdout)))
    assert ("'=1+1", "team==1+1") in [(row["budget"], row["scope"]) for row in rows]


@pytest.mark.usefixtures("lake")
def test_a_wrong_month_is_a_wrong_call(finops: Finops) -> None:
    result = finops("budgets", "--month", "2026-13")
    assert result.exit_code == 2
    assert "'2026-13' is no month" in result.stderr


def test_a_damaged_lake_is_one_error(finops: Finops, lake: Lake) -> None:
    Path(lake.place(BUDGET_STATUS, date=OCTOBER[18])).write_bytes(b"not parquet")
    result = finops("budgets")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "--force" in result.stderr


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    ("columns", "bars", "scopes"), [(120, True, True), (98, False, True), (80, False, False)], ids=str
)
def test_a_terminal_gets_what_it_has_room_for(folder: Path, columns: int, bars: bool, scopes: bool) -> None:
    code = (
        "import os, pty, sys\n"
        "pid, master = pty.fork()\n"
        "if not pid:\n"
        "    os.execvp(sys.executable, [sys.executable, '-m', 'finops_pipeline', 'budgets', '--month', '2026-10'])\n"
        "said = b''\n"
        "while True:\n"
        "    try:\n"
        "        piece = os.read(master, 4096)\n"
        "    except OSError:\n"
        "        break\n"
        "    if not piece:\n"
        "        break\n"
        "    said += piece\n"
        "os.waitpid(pid, 0)\n"
        "sys.stdout.buffer.write(said)\n"
    )
    environment = {"COLUMNS": str(columns), "TERM": "xterm-256color", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    shown = ended.stdout
    assert "search" in shown
    assert "310.16" in shown
    assert ("█████████░" in shown, "team=search" in shown) == (bars, scopes)
    assert "\x1b[33m" in shown
