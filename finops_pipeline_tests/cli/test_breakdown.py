"""``finops breakdown``."""

import csv
import datetime as dt
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import Result

from finops_pipeline.cli.breakdown import period
from finops_pipeline.costs import BREAKDOWN_DIMENSIONS
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.schemas import DAILY_COSTS, TOTAL

Finops = Callable[..., Result]

COUNTS = {name: 0 for name in DAILY_COSTS.names if DAILY_COSTS.schema[name] == pl.Int64}
AMOUNTS = {column.name: Decimal(0) for column in DAILY_COSTS.columns if column.dtype == TOTAL and not column.nullable}


def write(lake: Lake, day: int, *rows: dict[str, Any], missing_sources: tuple[str, ...] = ()) -> None:
    frame = pl.DataFrame([{"source": "s", **COUNTS, **AMOUNTS, **row} for row in rows], schema=DAILY_COSTS.schema)
    stamp = Stamp(1, "", "", {"missing_sources": list(missing_sources)})
    lake.write(DAILY_COSTS, frame, stamp, date=dt.date(2026, 10, day))


def costs(team: str | None, cost: str, requests: int = 10, **columns: Any) -> dict[str, Any]:
    return {"team": team, "cost": Decimal(cost), "requests": requests, "input_tokens": 1000, **columns}


@pytest.fixture
def lake(config: Path) -> Lake:
    """Costs of 1 to 19 October: three teams on the first day, nothing after."""
    lake = Lake(config.parent / "lake")
    write(lake, 1, costs("search", "1.005"), costs("chat", "2.005", errors=3), costs(None, "0.004999999999"))
    for day in range(2, 20):
        write(lake, day)
    return lake


def table(result: Result) -> list[list[str]]:
    """Cells of the rows, apart by two blanks at least; the title and the rule are left out."""
    lines = [[c.strip() for c in line.split("  ") if c.strip()] for line in result.stdout.splitlines()]
    return [cells for cells in lines if len(cells) > 1]


@pytest.mark.usefixtures("lake")
def test_by_default_the_month_so_far_by_team(finops: Finops) -> None:
    result = finops("breakdown")
    assert result.exit_code == 0
    assert result.stdout.startswith("2026-10-01 to 2026-10-19, UTC")
    assert table(result)[0] == ["Team", "Requests", "Errors", "Tokens", "Cost USD", "Share", "Unpriced"]
    assert [row[0] for row in table(result)[1:]] == ["chat", "search", "unallocated", "Total"]
    assert result.stderr == ""


@pytest.mark.usefixtures("lake")
def test_the_cents_shown_add_up_to_the_total(finops: Finops) -> None:
    # exactly 2.005 + 1.005 + 0.004999999999 = 3.014999999999, which is 3.01; each part alone would round to 3.00
    rows = table(finops("breakdown"))[1:]
    assert [row[4] for row in rows] == ["2.01", "1.00", "0.00", "3.01"]
    assert rows[0][1:4] == ["10", "3", "1,000"]
    assert rows[-1][1:4] == ["30", "3", "3,000"]


@pytest.mark.usefixtures("lake")
def test_both_ends_are_included(finops: Finops) -> None:
    result = finops("breakdown", "--from", "2026-10-01", "--to", "2026-10-02", "--by", "day")
    assert [row[0] for row in table(result)[1:]] == ["2026-10-01", "2026-10-02", "Total"]


@pytest.mark.usefixtures("lake")
def test_the_total_alone(finops: Finops) -> None:
    assert [row[0] for row in table(finops("breakdown", "--by", "total"))[1:]] == ["Total"]


@pytest.mark.usefixtures("lake")
def test_a_limit_sums_up_the_others(finops: Finops) -> None:
    rows = table(finops("breakdown", "--limit", "1"))[1:]
    assert [(row[0], row[1], row[4]) for row in rows] == [
        ("chat", "10", "2.01"),
        ("other (2)", "20", "1.00"),
        ("Total", "30", "3.01"),
    ]
    assert "other" not in finops("breakdown", "--limit", "3").stdout


@pytest.mark.usefixtures("lake")
def test_csv_has_the_exact_amounts_and_every_row(finops: Finops) -> None:
    result = finops("breakdown", "--format", "csv", "--by", "team,source")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(r["team"], r["source"], Decimal(r["cost"])) for r in rows] == [
        ("chat", "s", Decimal("2.005")),
        ("search", "s", Decimal("1.005")),
        ("", "s", Decimal("0.004999999999")),
    ]


@pytest.mark.usefixtures("lake")
def test_csv_of_the_total_and_with_a_limit(finops: Finops) -> None:
    assert finops("breakdown", "--format", "csv", "--by", "total").stdout.splitlines() == [
        "requests,errors,tokens,cost,share,unpriced_requests,unpriced_tokens",
        "30,3,3000,3.014999999999,1.000000,0,0",
    ]
    limited = finops("breakdown", "--format", "csv", "--limit", "1").stdout.splitlines()
    assert [line.split(",")[0] for line in limited] == ["team", "chat", "other (2)"]


@pytest.mark.usefixtures("lake")
def test_json_has_amounts_as_text(finops: Finops) -> None:
    said = json.loads(finops("breakdown", "--format", "json", "--limit", "1").stdout)
    assert (said["from"], said["to"], said["by"]) == ("2026-10-01", "2026-10-19", ["team"])
    (first,) = said["rows"]
    assert (first["team"], Decimal(first["cost"]), first["requests"]) == ("chat", Decimal("2.005"), 10)
    assert (said["others"]["rows"], Decimal(said["others"]["cost"])) == (2, Decimal("1.009999999999"))
    assert said["missing_days"] == []


@pytest.mark.usefixtures("config")
def test_an_empty_lake_is_zeros_and_says_how_to_fill_it(finops: Finops) -> None:
    result = finops("breakdown", "--by", "day", "--from", "2026-10-01", "--to", "2026-10-02")
    assert result.exit_code == 0
    assert [row[:5] for row in table(result)[1:]] == [
        ["2026-10-01", "0", "0", "0", "0.00"],
        ["2026-10-02", "0", "0", "0", "0.00"],
        ["Total", "0", "0", "0", "0.00"],
    ]
    assert result.stderr == (
        "Note: the lake has no costs of 2 of 2 days, which count as zero. "
        "`finops run --from 2026-10-01 --to 2026-10-02` makes them.\n"
    )


def test_incomplete_days_and_calls_without_a_price_are_told(finops: Finops, lake: Lake) -> None:
    write(lake, 3, costs("search", "0", unpriced_requests=4, unpriced_tokens=7), missing_sources=("gateway",))
    result = finops("breakdown")
    assert "Note: 2026-10-03 is incomplete: it lacks gateway.\n" in result.stderr
    assert "Note: 4 of 40 requests have no price and are not in the cost.\n" in result.stderr


def test_names_from_logs_do_nothing_to_the_terminal_or_a_spreadsheet(finops: Finops, lake: Lake) -> None:
    names = ("=1+1", "[bold]x[/bold]", "a\x1b[2Jb", "@cmd", 'q"uote,')
    write(lake, 2, *(costs(name, "9") for name in names))
    shown = finops("breakdown").stdout
    assert "[bold]x[/bold]" in shown
    assert "\x1b[2J" not in shown
    teams = [r["team"] for r in csv.DictReader(io.StringIO(finops("breakdown", "--format", "csv").stdout))]
    assert set(teams) >= {"'=1+1", "[bold]x[/bold]", "'@cmd", 'q"uote,'}


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "teem"), "no dimension teem: expected any of source, provider"),
        (("--from", "2026-10-32"), "'2026-10-32' is no day: expected one such as 2026-10-31"),
        (("--from", "20261001"), "'20261001' is no day"),
        (("--from", "2026-10-05", "--to", "2026-10-04"), "2026-10-05 lies after --to 2026-10-04"),
        (("--limit", "0"), "--limit"),
        (("--format", "xml"), "--format"),
    ],
)
def test_wrong_calls_are_explained(finops: Finops, arguments: tuple[str, ...], said: str) -> None:
    result = finops("breakdown", *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_a_damaged_lake_is_one_error(finops: Finops, lake: Lake) -> None:
    Path(lake.place(DAILY_COSTS, date=dt.date(2026, 10, 1))).write_bytes(b"not parquet")
    result = finops("breakdown")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr


def test_help_names_every_dimension(finops: Finops) -> None:
    said = finops("breakdown", "--help").stdout
    assert [d for d in BREAKDOWN_DIMENSIONS if d not in said] == []


@pytest.mark.parametrize(
    ("first", "last", "today", "expected"),
    [
        (None, None, "2026-10-20", ("2026-10-01", "2026-10-19")),
        (None, None, "2026-10-01", ("2026-09-01", "2026-09-30")),
        (None, None, "2027-01-01", ("2026-12-01", "2026-12-31")),
        ("2026-08-15", None, "2026-10-20", ("2026-08-15", "2026-10-19")),
        ("2026-10-20", None, "2026-10-20", ("2026-10-20", "2026-10-20")),
        (None, "2026-08-15", "2026-10-20", ("2026-08-01", "2026-08-15")),
        ("2026-08-15", "2026-08-15", "2026-10-20", ("2026-08-15", "2026-08-15")),
    ],
)
def test_the_period_where_dates_are_left_out(
    first: str | None, last: str | None, today: str, expected: tuple[str, str]
) -> None:
    given = [dt.date.fromisoformat(day) if day else None for day in (first, last)]
    found = period(given[0], given[1], dt.date.fromisoformat(today))
    assert tuple(map(str, found)) == expected
