"""``finops savings``."""

import csv
import datetime as dt
import io
import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import Result

from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.schemas import DAILY_COSTS, SAVINGS

Finops = Callable[..., Result]

PLAIN = {
    "lever": "caching", "team": "search", "project": "p", "service": "s", "model": "m", "requests": 1, "cost": "9",
    "saving_low": "0", "saving": "0", "saving_high": "0", "incremental": "0", "evidence": "measured",
    "assumptions": "Answers may be given twice.", "action": "Answer repeated prompts of p from a cache",
}  # fmt: skip

AMOUNTS = ("cost", "saving_low", "saving", "saving_high", "incremental")


def write(lake: Lake, day: int, *rows: dict[str, Any]) -> None:
    records = [{**PLAIN, **row} for row in rows]
    exact = [{**record, **{name: Decimal(record[name]) for name in AMOUNTS}} for record in records]
    lake.write(SAVINGS, pl.DataFrame(exact, schema=SAVINGS.schema), Stamp(1, "", ""), date=dt.date(2026, 10, day))


def saving(low: str, expected: str, high: str, **row: Any) -> dict[str, Any]:
    return {"saving_low": low, "saving": expected, "saving_high": high, "incremental": expected, **row}


SMALLER = {"lever": "downgrade", "target": "t", "evidence": "heuristic", "assumptions": "Simple calls are simple."}


@pytest.fixture
def lake(config: Path) -> Lake:
    """1 to 19 October, analysed: two days with something to say."""
    lake = Lake(config.parent / "lake")
    write(
        lake,
        1,
        saving("1", "1.004", "3"),
        {**saving("2", "20", "30", team=None, action="Send simple calls to t", **SMALLER), "incremental": "12.5"},
        saving("-4", "-2.5", "0", team="legal", action="Send simple calls of l to t", **SMALLER) | {"incremental": "0"},
        saving("0", "0", "7", team="legal", action="Send x through the batch tier", lever="batching"),
    )
    write(lake, 2, saving("1", "1.002", "3"))
    for day in range(3, 20):
        write(lake, day)
    return lake


def cells(result: Result) -> list[list[str]]:
    """Cells of the tables' rows, apart by two blanks at least."""
    lines = [[c.strip() for c in line.split("  ") if c.strip()] for line in result.stdout.splitlines()]
    return [row for row in lines if len(row) > 2]


@pytest.mark.usefixtures("lake")
def test_the_largest_expected_saving_first(finops: Finops) -> None:
    result = finops("savings")
    assert result.exit_code == 0
    assert result.stdout.startswith("October 2026, 19 days, USD: what would have cost less")
    assert cells(result) == [
        ["Team", "Action", "Low", "Expected", "High", "Evidence"],
        ["unallocated", "Send simple calls to t", "2.00", "20.00", "30.00", "heuristic 1)"],
        ["search", "Answer repeated prompts of p from a cache", "2.00", "2.01", "6.00", "measured 2)"],
        ["Team", "Action", "Low", "Expected", "High", "Evidence"],
        ["legal", "Send simple calls of l to t", "−4.00", "−2.50", "0.00", "heuristic 1)"],
    ]


@pytest.mark.usefixtures("lake")
def test_what_stands_below(finops: Finops) -> None:
    result = finops("savings")
    # 12.50 of the downgrade, and 2.006 of the cache in whole cents
    assert "All together would have saved 14.51 USD: levers overlap" in result.stdout
    assert "what would have cost more" in result.stdout
    assert "1) Simple calls are simple." in result.stdout
    assert "2) Answers may be given twice." in result.stdout
    assert result.stderr == (
        "Note: 1 more action would save something only under favourable assumptions, at most 7.00 USD: "
        "--format csv lists them.\n"
    )


@pytest.mark.usefixtures("lake")
def test_of_one_team(finops: Finops) -> None:
    result = finops("savings", "--team", "search")
    assert [row[0] for row in cells(result)] == ["Team", "search"]
    assert "2.01" in result.stdout
    assert "All together" not in result.stdout  # it is one action


@pytest.mark.usefixtures("lake")
def test_a_limit_sums_up_the_others(finops: Finops) -> None:
    assert cells(finops("savings", "--limit", "1"))[1:3] == [
        ["unallocated", "Send simple calls to t", "2.00", "20.00", "30.00", "heuristic 1)"],
        ["other (1)", "2.00", "2.01", "6.00"],
    ]


@pytest.mark.usefixtures("lake")
def test_csv_has_every_action_and_exact_amounts(finops: Finops) -> None:
    rows = list(csv.DictReader(io.StringIO(finops("savings", "--format", "csv").stdout)))
    assert [Decimal(row["expected"]) for row in rows] == [20, Decimal("2.006"), 0, Decimal("-2.5")]
    assert rows[1]["high"] == "6.000000000000"


@pytest.mark.usefixtures("lake")
def test_json_is_one_object_with_amounts_as_text(finops: Finops) -> None:
    said = json.loads(finops("savings", "--format", "json", "--limit", "1").stdout)
    assert (said["month"], said["team"], said["currency"], len(said["days_analysed"])) == ("2026-10", None, "USD", 19)
    assert Decimal(said["together"]) == Decimal("14.506")
    assert [(action["lever"], action["expected"]) for action in said["actions"]] == [("downgrade", "20.000000000000")]


@pytest.mark.usefixtures("config")
def test_a_month_that_was_not_analysed(finops: Finops) -> None:
    result = finops("savings")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no day of October 2026 has been analysed yet" in result.stderr
    assert "`finops run --from 2026-10-01 --to 2026-10-19`" in result.stderr


@pytest.mark.usefixtures("config")
def test_a_month_before_the_first_day_and_one_to_come(finops: Finops) -> None:
    for month in ("2026-08", "2026-11"):
        assert "has no day that is over since start_date" in finops("savings", "--month", month).stderr


def test_days_that_are_missing_are_named(lake: Lake, finops: Finops) -> None:
    shutil.rmtree(lake.folder(SAVINGS, date=dt.date(2026, 10, 4)))
    stderr = finops("savings").stderr
    assert "1 day of October 2026 not analysed. `finops run --from 2026-10-04 --to 2026-10-04` does it." in stderr


@pytest.mark.usefixtures("lake")
def test_a_team_that_would_save_nothing(finops: Finops) -> None:
    result = finops("savings", "--team", "legal")
    assert "what would have cost less" not in result.stdout
    assert "nothing of legal would have cost less in October 2026" in result.stderr


def test_a_team_that_called_and_would_save_nothing_is_told_from_one_that_nobody_knows(
    lake: Lake, finops: Finops
) -> None:
    calls = {column.name: 0 for column in DAILY_COSTS.columns if not column.nullable}
    costs = pl.DataFrame([{**calls, "source": "s", "team": "research"}], schema=DAILY_COSTS.schema)
    lake.write(DAILY_COSTS, costs, Stamp(1, "", ""), date=dt.date(2026, 10, 3))
    known = finops("savings", "--team", "research")
    assert known.stderr.startswith("Note: nothing of research would have cost less in October 2026")
    unknown = finops("savings", "--team", "reserch")
    assert (unknown.exit_code, unknown.stdout) == (0, "")
    assert unknown.stderr == "Note: no call of October 2026 is charged to a team reserch. Did you mean research?\n"


def test_names_from_logs_do_nothing(config: Path, finops: Finops) -> None:
    hostile = "[red]=cmd|'/c calc'!A0\x1b[2J\r\n{}"
    lake = Lake(config.parent / "lake")
    write(
        lake, 1, saving("1", "1", "1", team=hostile, project=hostile, action=f"=Send {hostile} through the batch tier")
    )
    table = finops("savings").stdout
    assert "\x1b" not in table
    assert "[red]=cmd" in table
    (row,) = csv.DictReader(io.StringIO(finops("savings", "--format", "csv").stdout, newline=""))
    assert row["action"].startswith("'=Send")
    assert json.loads(finops("savings", "--format", "json").stdout)["actions"][0]["team"] == hostile


def test_a_table_that_cannot_be_read(lake: Lake, finops: Finops) -> None:
    path = Path(lake.place(SAVINGS, date=dt.date(2026, 10, 1)))
    path.write_bytes(path.read_bytes()[:-9])
    result = finops("savings", raises=False)
    assert result.exit_code == 1
