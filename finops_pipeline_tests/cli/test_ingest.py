"""``finops ingest``: real logs into a real lake, and what it says of every record."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from raw_records import BROKEN, call, put, write_config

from finops_pipeline.cli import ingest_formats
from finops_pipeline.config.loading import load_config
from finops_pipeline.lake import Lake, open_lake
from finops_pipeline.schemas import DAILY_COSTS, OUTCOMES, USAGE

Finops = Callable[..., Result]

YESTERDAY, BEFORE, LONG_AGO, TODAY = "2026-10-19", "2026-10-18", "2026-10-01", "2026-10-20"


@pytest.fixture
def logs(folder: Path) -> Path:
    """Yesterday: gateway has a bit of everything, internal two good calls."""
    write_config(folder)
    put(
        folder, "gateway", YESTERDAY,
        call("a"), call("b"), call("b", output_tokens=9), call("b"), BROKEN, call("negative", input_tokens=-1),
        call("late", f"{LONG_AGO}T08:00:00Z"), call("later", f"{LONG_AGO}T09:00:00Z"),
    )  # fmt: skip
    put(folder, "gateway", YESTERDAY, call("c"), name="b.jsonl")
    put(folder, "internal", YESTERDAY, call("i"), call("j"))
    return folder


def lake_of(folder: Path) -> Lake:
    return open_lake(load_config(folder / "finops.yaml"))


def told(result: Result) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def days(result: Result) -> dict[tuple[str, str], dict[str, Any]]:
    return {(day["source"], day["date"]): day for day in told(result)["days"]}


def cells(output: str, first: str) -> list[list[str]]:
    """The table rows that begin with ``first``."""
    return [line.split() for line in output.splitlines() if line.split()[:1] == [first]]


# -- what became of the records ------------------------------------------------------------------------------------


def test_each_record_is_told_once_by_what_became_of_it(logs: Path, finops: Finops) -> None:
    result = finops("ingest", "--format", "json")
    assert result.exit_code == 0
    gateway = days(result)["gateway", YESTERDAY]
    assert {name: gateway[name] for name in ("state", "objects", "lines", "records", *OUTCOMES)} == {
        "state": "read", "objects": 2, "lines": 9, "records": 9, "usage": 3, "duplicate": 2, "merged": 0,
        "not_usage": 0, "quarantined": 2, "another_day": 2,
    }  # fmt: skip
    assert (gateway["conflicts"], gateway["strays"], gateway["near_duplicates"]) == (1, 2, 0)
    assert sorted(reason["records"] for reason in gateway["quarantine"]) == [1, 1]
    assert gateway["handed_over"] == [{"own_date": LONG_AGO, "records": 2, "waits": False}]


def test_in_the_table_each_row_adds_up_and_so_does_the_total(logs: Path, finops: Finops) -> None:
    said = finops("ingest").stdout
    [gateway] = [row for row in cells(said, "gateway") if row[1:3] == [YESTERDAY, "read"]]
    objects, records, usage, duplicate, conflicts, merged, not_usage, quarantined, another, strays = gateway[3:]
    assert (objects, records) == ("2", "9")
    assert int(records) == sum(map(int, (usage, duplicate, merged, not_usage, quarantined, another)))
    assert (conflicts, strays) == ("(1)", "(2)"), "parts stand beside their outcome, in brackets"
    [total] = cells(said, "Total")
    assert total[1:3] == ["4", "13"], "nine of gateway, two of internal, two of the day that received strays"


def test_nothing_is_priced(logs: Path, finops: Finops) -> None:
    finops("ingest")
    assert lake_of(logs).rows(USAGE) == 7
    assert lake_of(logs).partitions(DAILY_COSTS) == []


def test_an_unchanged_day_is_told_as_it_was_read(logs: Path, finops: Finops) -> None:
    first, again = (days(finops("ingest", "--format", "json"))["gateway", YESTERDAY] for _ in range(2))
    assert again == first | {"state": "unchanged"}


def test_a_day_without_objects_is_a_row_of_zeros(folder: Path, finops: Finops) -> None:
    write_config(folder)
    put(folder, "gateway", YESTERDAY, call("a"))
    put(folder, "internal", BEFORE, call("a"))
    internal = days(finops("ingest", "--format", "json"))["internal", YESTERDAY]
    assert (internal["state"], internal["objects"], internal["records"]) == ("read", 0, 0)


def test_near_duplicates_are_told(folder: Path, finops: Finops) -> None:
    write_config(folder)
    one, other = (call(name, f"{YESTERDAY}T08:00:00.00000{n}Z", trace_id="one") for n, name in enumerate("ab"))
    put(folder, "gateway", YESTERDAY, one, other)
    result = finops("ingest", "--source", "gateway", "--format", "json")
    assert days(result)["gateway", YESTERDAY]["near_duplicates"] == 1
    assert "1 of the calls are like another within a millisecond" in result.stderr


# -- strays --------------------------------------------------------------------------------------------------------


def test_days_that_are_handed_records_are_read_in_a_second_pass(logs: Path, finops: Finops) -> None:
    result = finops("ingest", "--format", "json")
    own = days(result)["gateway", LONG_AGO]
    assert (own["state"], own["usage"]) == ("read", 2)
    handed = finops("ingest").stdout.split("Handed over to the days that they belong to")[1]
    assert ["gateway", YESTERDAY, "2", LONG_AGO, "read", "there"] in cells(handed, "gateway")


def test_records_of_a_day_that_is_not_over_wait(folder: Path, finops: Finops) -> None:
    write_config(folder)
    put(folder, "gateway", BEFORE, call("early", f"{TODAY}T08:00:00Z"))
    result = finops("ingest", "--date", BEFORE, "--source", "gateway", "--format", "json")
    assert days(result)["gateway", BEFORE]["handed_over"] == [{"own_date": TODAY, "records": 1, "waits": True}]
    assert ("gateway", TODAY) not in days(result)
    assert f"1 record of {TODAY} wait" in result.stderr


def test_costs_that_are_older_than_the_usage_are_told(logs: Path, finops: Finops) -> None:
    assert finops("run", "--from", YESTERDAY, "--to", YESTERDAY).exit_code == 0
    assert "older than the usage" not in finops("ingest").stderr
    put(logs, "internal", YESTERDAY, call("k"), name="b.jsonl")
    result = finops("ingest", "--format", "json")
    assert f"`finops run --from {YESTERDAY} --to {YESTERDAY}` brings them up to date" in result.stderr
    assert told(result)["days_with_older_costs"] == [YESTERDAY]


# -- which days and sources ----------------------------------------------------------------------------------------


def test_one_source_of_several_days(logs: Path, finops: Finops) -> None:
    put(logs, "internal", BEFORE, call("x", f"{BEFORE}T08:00:00Z"))
    result = finops("ingest", "--from", BEFORE, "--to", YESTERDAY, "--source", "internal", "--format", "json")
    assert {key: day["usage"] for key, day in days(result).items()} == {
        ("internal", BEFORE): 1, ("internal", YESTERDAY): 2,
    }  # fmt: skip
    assert (told(result)["from"], told(result)["to"]) == (BEFORE, YESTERDAY)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--date", YESTERDAY, "--from", BEFORE), "leave one or the others out"),
        (("--date", "2026-10-21"), "2026-10-21 lies in the future"),
        (("--date", "2026-08-31"), "lies before start_date in the config"),
        (("--source", "gatway"), "did you mean gateway?"),
    ],
)
def test_what_makes_no_sense_is_refused(folder: Path, finops: Finops, arguments: tuple[str, ...], said: str) -> None:
    write_config(folder)
    result = finops("ingest", *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not (folder / "lake").exists()


def test_on_the_first_day_there_is_nothing_to_read(folder: Path, finops: Finops) -> None:
    write_config(folder)
    text = (folder / "finops.yaml").read_text()
    (folder / "finops.yaml").write_text(text.replace("2026-09-01", TODAY))
    result = finops("ingest")
    assert (result.exit_code, result.stdout) == (0, f"Nothing to read: no day since start_date, {TODAY}, is over.\n")


# -- failures ------------------------------------------------------------------------------------------------------


def test_a_source_that_fails_is_told_and_the_others_are_read(folder: Path, finops: Finops) -> None:
    write_config(folder)
    put(folder, "internal", YESTERDAY, call("i"))
    result = finops("ingest", "--format", "json")
    assert result.exit_code == 1
    gateway, internal = (days(result)[source, YESTERDAY] for source in ("gateway", "internal"))
    assert (gateway["state"], gateway["records"], gateway["quarantined"]) == ("failed", None, None)
    assert (internal["state"], internal["usage"]) == ("read", 1)
    [failure] = told(result)["failures"]
    assert failure.startswith(f"usage/gateway, {YESTERDAY}: ")
    assert f"Error: {failure}" in result.stderr.replace("\n", "")


def test_a_source_that_fails_shows_dashes_and_no_older_numbers(logs: Path, finops: Finops) -> None:
    finops("ingest")
    (logs / "logs" / "gateway").rename(logs / "gone")
    result = finops("ingest")
    assert result.exit_code == 1
    [gateway] = cells(result.stdout, "gateway")
    assert gateway == ["gateway", "failed", *["–"] * 8]
    assert "Quarantined\n" not in result.stdout


# -- objects, CSV, what is hostile ---------------------------------------------------------------------------------


def test_objects_are_told_one_by_one_the_worst_first(logs: Path, finops: Finops) -> None:
    rows = list(csv.DictReader(io.StringIO(finops("ingest", "--objects", "--format", "csv").stdout)))
    assert [(row["source"], row["key"], row["records"], row["quarantined"]) for row in rows] == [
        ("gateway", f"date={YESTERDAY}/a.jsonl", "8", "2"),
        ("gateway", f"strays/from-{YESTERDAY}", "2", "0"),
        ("gateway", f"date={YESTERDAY}/b.jsonl", "1", "0"),
        ("internal", f"date={YESTERDAY}/a.jsonl", "2", "0"),
    ]
    by_object = days(finops("ingest", "--objects", "--format", "json"))["internal", YESTERDAY]["by_object"]
    assert [(row["key"], row["usage"]) for row in by_object] == [(f"date={YESTERDAY}/a.jsonl", 2)]


def test_csv_has_a_row_a_source_and_day(logs: Path, finops: Finops) -> None:
    result = finops("ingest", "--source", "internal", "--format", "csv")
    header, row = csv.reader(io.StringIO(result.stdout))
    assert dict(zip(header, row, strict=True)) == {
        "source": "internal", "date": YESTERDAY, "state": "read", "objects": "1", "lines": "2", "records": "2",
        "usage": "2", "duplicate": "0", "merged": "0", "not_usage": "0", "quarantined": "0", "another_day": "0",
        "strays": "0", "conflicts": "0", "near_duplicates": "0",
    }  # fmt: skip


def test_of_many_objects_the_table_shows_the_worst_and_sums_up_the_rest(
    folder: Path, finops: Finops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_formats, "OBJECTS_SHOWN", 2)
    write_config(folder)
    for n in range(5):
        put(folder, "gateway", YESTERDAY, call(f"{n}"), *[BROKEN] * (n == 3), name=f"{n}.jsonl")
    said = finops("ingest", "--source", "gateway", "--objects").stdout
    keys = re.findall(r"date=\S+/(\d)\.jsonl", said)
    assert keys == ["3", "0"]
    [rest] = [line.split() for line in said.splitlines() if "other (3)" in line]
    assert rest[:3] == ["other", "(3)", "3"]
    assert cells(said, "Total")[0][1:3] == ["6", "5"]


def test_names_and_lines_from_logs_do_nothing_to_the_terminal(folder: Path, finops: Finops) -> None:
    write_config(folder)
    put(folder, "gateway", YESTERDAY, BROKEN, b"\x1b[31m", call("a"), name="\x1b[2J[red]=x.jsonl")
    result = finops("ingest", "--source", "gateway", "--objects")
    assert "\x1b" not in result.output
    assert "�[2J[red]=x.jsonl" in result.stdout
    assert "secret" not in result.output
    assert "\x1b" not in finops("ingest", "--source", "gateway", "--objects", "--format", "json").output


def test_reasons_beyond_the_first_are_summed_up(folder: Path, finops: Finops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_formats, "REASONS_SHOWN", 1)
    write_config(folder)
    put(folder, "gateway", YESTERDAY, b"[]", b"[]", b"7", b"null")
    said = finops("ingest", "--source", "gateway").stdout
    assert cells(said, "gateway")[1] == ["gateway", "2", "not", "a", "JSON", "object:", "an", "array"]
    assert ["2", "other", "reasons", "(2)"] in [line.split() for line in said.splitlines()]
