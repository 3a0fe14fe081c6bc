"""``finops replay``: what is quarantined is read again after a fix, and costs follow."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import Result
from raw_records import BROKEN, call, put, write_config

from finops_pipeline.cli import replay_formats
from finops_pipeline.config.loading import load_config
from finops_pipeline.costs import breakdown_of
from finops_pipeline.lake import Lake, open_lake
from finops_pipeline.schemas import QUARANTINE, USAGE

Finops = Callable[..., Result]

YESTERDAY, BEFORE, LONG_AGO = "2026-10-19", "2026-10-18", "2026-10-01"

LONG = call("long", f"{BEFORE}T08:00:00Z", team="x" * 3000)
"""A line over a limit of 2,000 bytes."""


def lake_of(folder: Path) -> Lake:
    return open_lake(load_config(folder / "finops.yaml"))


def cost_of(folder: Path, day: str) -> Decimal:
    date = dt.date.fromisoformat(day)
    cost: Decimal = breakdown_of(lake_of(folder), date, date, []).get_column("cost").item()
    return cost


def cells(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


@pytest.fixture
def priced(folder: Path, finops: Finops) -> Path:
    """Two days that are priced; gateway has three records in quarantine, one of them too long."""
    write_config(folder, "limits: {max_line_bytes: 2000}\n")
    put(folder, "gateway", BEFORE, call("a", f"{BEFORE}T08:00:00Z"), LONG)
    put(folder, "gateway", YESTERDAY, call("b"), BROKEN, call("negative", input_tokens=-1))
    put(folder, "internal", BEFORE, call("i", f"{BEFORE}T08:00:00Z"))
    put(folder, "internal", YESTERDAY, call("j"))
    assert finops("run", "--from", BEFORE, "--to", YESTERDAY).exit_code == 0
    return folder


def raise_the_limit(folder: Path) -> None:
    write_config(folder)


# -- what is there -------------------------------------------------------------------------------------------------


def test_where_nothing_is_quarantined_it_says_so_and_reads_nothing(folder: Path, finops: Finops) -> None:
    write_config(folder)
    for arguments in ((), ("--dry-run",)):
        result = finops("replay", *arguments)
        assert (result.exit_code, result.output) == (0, "Nothing is quarantined.\n")
    narrowed = finops("replay", "--from", BEFORE, "--to", YESTERDAY, "--source", "gateway")
    assert narrowed.stdout == f"Nothing is quarantined from {BEFORE} to {YESTERDAY} of gateway.\n"


def test_a_dry_run_shows_the_quarantine_by_source_reason_and_day(priced: Path, finops: Finops) -> None:
    raise_the_limit(priced)
    result = finops("replay", "--dry-run")
    assert result.exit_code == 0
    rows = [row for row in cells(result.stdout) if row[:1] == ["gateway"]]
    assert sorted((row[1], row[-1]) for row in rows) == [(BEFORE, "1"), (YESTERDAY, "1"), (YESTERDAY, "1")]
    assert ["Total", "3"] in cells(result.stdout)
    assert "of … bytes, over limits.max_line_bytes" in result.stdout
    assert "secret" not in result.output
    assert lake_of(priced).rows(QUARANTINE) == 3


def test_days_with_the_same_reason_share_a_row(priced: Path, finops: Finops) -> None:
    put(priced, "gateway", BEFORE, BROKEN, name="b.jsonl")
    finops("ingest", "--date", BEFORE)
    said = finops("replay", "--dry-run").stdout
    [row] = [line for line in said.splitlines() if "not JSON" in line]
    assert f"{BEFORE} to {YESTERDAY}" in row
    assert row.split()[-1] == "2"


# -- after a fix ---------------------------------------------------------------------------------------------------


def test_after_a_raised_limit_the_record_is_usage_and_priced(priced: Path, finops: Finops) -> None:
    assert cost_of(priced, BEFORE) == 2
    raise_the_limit(priced)
    result = finops("replay")
    assert result.exit_code == 0
    again = result.stdout.split("Read again")[1]
    over = next(row for row in cells(again) if "limits.max_line_bytes" in row)
    assert over[-3:] == ["1", "1", "0"], "before, recovered, still quarantined"
    assert ["Total", "3", "1", "2"] in cells(again)
    assert "Records of these days: usage 2 → 3, quarantined 3 → 2." in again
    assert (cost_of(priced, BEFORE), cost_of(priced, YESTERDAY)) == (3, 2)


def test_after_a_corrected_file_its_records_are_usage(priced: Path, finops: Finops) -> None:
    put(priced, "gateway", YESTERDAY, call("b"), call("c"), call("negative", input_tokens=1))
    result = finops("replay", "--from", YESTERDAY, "--to", YESTERDAY)
    assert ["Total", "2", "2", "0"] in cells(result.stdout)
    assert cost_of(priced, YESTERDAY) == 4
    assert lake_of(priced).rows(QUARANTINE) == 1, "the day before was not asked for"


def test_without_a_fix_all_stays_and_is_read_all_the_same(priced: Path, finops: Finops) -> None:
    before = {day: lake_of(priced).stamp(USAGE, source="gateway", date=day) for day in (BEFORE, YESTERDAY)}
    result = finops("replay")
    assert result.exit_code == 0
    assert ["Total", "3", "0", "3"] in cells(result.stdout)
    assert "Records of these days: as before." in result.stdout
    for day, stamp in before.items():
        again = lake_of(priced).stamp(USAGE, source="gateway", date=day)
        assert again is not None
        assert stamp is not None
        assert again.run != stamp.run


def test_only_what_has_something_in_quarantine_is_read_again(priced: Path, finops: Finops) -> None:
    before = lake_of(priced).stamp(USAGE, source="internal", date=YESTERDAY)
    finops("replay")
    assert lake_of(priced).stamp(USAGE, source="internal", date=YESTERDAY) == before


def test_one_source_of_those_in_quarantine(priced: Path, finops: Finops) -> None:
    put(priced, "internal", YESTERDAY, call("j"), BROKEN)
    finops("ingest")
    result = finops("replay", "--source", "internal")
    assert ["Total", "3"] not in cells(result.stdout)
    [row] = [row for row in cells(result.stdout.split("Read again")[1]) if row[:1] == ["internal"]]
    assert row[-3:] == ["1", "0", "1"]


def test_what_is_newly_quarantined_has_a_column(priced: Path, finops: Finops) -> None:
    put(priced, "gateway", YESTERDAY, call("b"), call("c"), call("d"), BROKEN, BROKEN)
    again = finops("replay", "--from", YESTERDAY).stdout.split("Read again")[1]
    assert ["Total", "2", "2", "0", "2"] in cells(again)


def test_a_recovered_record_reaches_the_day_that_it_belongs_to(priced: Path, finops: Finops) -> None:
    fixed = call("late", f"{LONG_AGO}T08:00:00Z")
    put(priced, "gateway", LONG_AGO, call("old", f"{LONG_AGO}T08:00:00Z"))
    put(priced, "internal", LONG_AGO, call("older", f"{LONG_AGO}T08:00:00Z"))
    finops("run", "--from", LONG_AGO, "--to", LONG_AGO)
    put(priced, "gateway", YESTERDAY, call("b"), fixed, call("negative", input_tokens=-1))
    assert finops("replay").exit_code == 0
    assert (cost_of(priced, LONG_AGO), cost_of(priced, YESTERDAY)) == (3, 2)


# -- what cannot be read again -------------------------------------------------------------------------------------


def test_records_of_objects_that_are_gone_stay_and_it_is_said(priced: Path, finops: Finops) -> None:
    (priced / "logs" / "gateway" / f"date={YESTERDAY}" / "a.jsonl").unlink()
    result = finops("replay")
    assert result.exit_code == 0
    assert "2 records of those that are still quarantined lie in objects that are gone" in result.stderr
    assert lake_of(priced).rows(QUARANTINE) == 3
    assert cost_of(priced, YESTERDAY) == 2, "nor is the usage lost that was read from them"
    assert "2 records of these lie in objects that are gone" in finops("replay", "--dry-run").stderr


def test_sources_that_the_config_has_no_more_are_left_out(priced: Path, finops: Finops) -> None:
    text = (priced / "finops.yaml").read_text()
    (priced / "finops.yaml").write_text("\n".join(line for line in text.splitlines() if "gateway" not in line))
    result = finops("replay")
    assert (result.exit_code, result.stdout) == (0, "Nothing is quarantined.\n")
    assert "3 records more of sources that finops.yaml has no more" in result.stderr


def test_a_source_that_fails_keeps_its_quarantine_and_exits_with_1(priced: Path, finops: Finops) -> None:
    (priced / "logs" / "gateway").rename(priced / "gone")
    result = finops("replay")
    assert result.exit_code == 1
    assert "Error: usage/gateway" in result.stderr
    assert ["Total", "3", "0", "3"] in cells(result.stdout)
    assert lake_of(priced).rows(QUARANTINE) == 3


# -- what follows --------------------------------------------------------------------------------------------------


def test_a_month_that_has_a_statement_is_named(folder: Path, finops: Finops) -> None:
    write_config(folder)
    for source in ("gateway", "internal"):
        put(folder, source, "2026-09-30", call(source, "2026-09-30T08:00:00Z"), BROKEN)
    finops("run", "--from", "2026-09-30", "--to", "2026-09-30", "--month", "2026-09")
    assert "has a statement already" not in finops("replay").stderr, "nothing has changed"
    put(folder, "gateway", "2026-09-30", call("gateway", "2026-09-30T08:00:00Z"))
    assert "September 2026 has a statement already. `finops run --month 2026-09`" in finops("replay").stderr


def test_costs_that_an_interrupted_run_left_behind_are_told(priced: Path, finops: Finops) -> None:
    put(priced, "gateway", BEFORE, call("a", f"{BEFORE}T08:00:00Z"))
    put(priced, "gateway", YESTERDAY, call("b"), call("c"))
    finops("ingest", "--from", BEFORE, "--to", YESTERDAY)
    result = finops("replay")
    assert result.stdout == "Nothing is quarantined.\n"
    assert f"the costs of {BEFORE} to {YESTERDAY} are older than the usage" in result.stderr


def test_of_many_reasons_the_table_shows_the_first(
    folder: Path, finops: Finops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_formats, "ROWS_SHOWN", 1)
    write_config(folder)
    put(folder, "gateway", YESTERDAY, b"[]", b"[]", b"7", b"null")
    finops("ingest", "--source", "gateway")
    said = cells(finops("replay", "--dry-run").stdout)
    assert ["other", "(2)", "2"] in said
    assert ["Total", "4"] in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "2026-10-03", "--to", "2026-10-02"), "2026-10-03 lies after --to 2026-10-02"),
        (("--to", "2026-10-21"), "2026-10-21 lies in the future"),
        (("--source", "xyz"), "expected one of gateway, internal"),
    ],
)
def test_what_makes_no_sense_is_refused(folder: Path, finops: Finops, arguments: tuple[str, ...], said: str) -> None:
    write_config(folder)
    result = finops("replay", *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
