"""What a month lacks, from what the files of its days say of their making."""

import datetime as dt
from typing import Any

import pytest

from finops_pipeline.chargeback.completeness import Completeness, DayFiles, completeness_of, files_of
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.schemas import DAILY_COSTS, PRICED_USAGE, USAGE

DAY = dt.date(2026, 10, 1)


def stamp(digest: str = "", **notes: Any) -> Stamp:
    return Stamp(1, digest, "run", notes)


def day_files(usage: dict[str, str], costs_from: dict[str, str] | None, priced: str = "p1", **notes: Any) -> DayFiles:
    """A day with usage of these digests, whose costs were made from those, and from the priced usage ``p1``."""
    costs = None if costs_from is None else stamp("c", **{"sources": costs_from, "priced_usage": "p1", **notes})
    return DayFiles({source: stamp(digest) for source, digest in usage.items()}, stamp(priced), costs)


def lacking(files: DayFiles, *configured: str) -> Completeness:
    return completeness_of({DAY: files}, configured or ("a", "b"))


def test_a_day_made_from_all_that_is_there_lacks_nothing() -> None:
    found = lacking(day_files({"a": "1", "b": "2"}, {"a": "1", "b": "2"}))
    assert found.complete
    assert found == Completeness((DAY,), sources=("a", "b"))


def test_a_day_without_costs_is_missing_and_nothing_else() -> None:
    found = lacking(day_files({"a": "1", "b": "2"}, None))
    assert found == Completeness((DAY,), missing_days=(DAY,), sources=("a", "b"))
    assert not found.complete


@pytest.mark.parametrize(
    ("usage", "costs_from", "missing"),
    [
        ({"a": "1"}, {"a": "1"}, ("b",)),  # it has not delivered, or was added to the config since
        ({"a": "1", "b": "2"}, {"a": "1"}, ("b",)),  # it has delivered since, and is not priced yet
        ({}, {}, ("a", "b")),
        ({"a": "1", "b": "2", "old": "3"}, {"a": "1", "b": "2"}, ("old",)),  # left out before it left the config
    ],
)
def test_a_source_that_is_not_in_the_costs_is_missing(
    usage: dict[str, str], costs_from: dict[str, str], missing: tuple[str, ...]
) -> None:
    found = lacking(day_files(usage, costs_from))
    assert found.partial_days == ((DAY, missing),)
    assert found.stale_days == ()
    assert not found.complete


def test_a_source_that_left_the_config_and_is_still_charged_is_not_missing() -> None:
    found = lacking(day_files({"a": "1", "old": "2"}, {"a": "1", "old": "2"}), "a")
    assert found.complete
    assert found.sources == ("a", "old")


def test_costs_that_are_older_than_their_usage_are_stale() -> None:
    found = lacking(day_files({"a": "1", "b": "3"}, {"a": "1", "b": "2"}))
    assert (found.stale_days, found.partial_days) == ((DAY,), ())
    assert not found.complete


def test_costs_that_are_older_than_their_priced_usage_are_stale() -> None:
    assert lacking(day_files({"a": "1"}, {"a": "1"}, priced="p2"), "a").stale_days == (DAY,)


def test_costs_that_do_not_say_what_they_were_made_from_are_stale() -> None:
    found = lacking(DayFiles({"a": stamp("1")}, stamp("p1"), stamp("c", missing_sources=[])), "a")
    assert (found.stale_days, found.partial_days) == ((DAY,), ())


def test_a_day_that_was_not_over_is_unfinished() -> None:
    found = lacking(day_files({"a": "1"}, {"a": "1"}, unfinished=True), "a")
    assert found.unfinished_days == (DAY,)
    assert not found.complete


def test_files_are_those_of_the_day_of_every_source(lake: Lake) -> None:
    after = DAY + dt.timedelta(days=1)
    assert files_of(lake, [DAY]) == {DAY: DayFiles({}, None, None)}
    assert files_of(lake, []) == {}
    for source, day in (("a", DAY), ("old", DAY), ("b", after), ("c", after + dt.timedelta(days=1))):
        lake.write(USAGE, USAGE.empty(), stamp(source), source=source, date=day)
    lake.write(PRICED_USAGE, PRICED_USAGE.empty(), stamp("p"), date=DAY)
    lake.write(DAILY_COSTS, DAILY_COSTS.empty(), stamp("c"), date=DAY)
    files = files_of(lake, [DAY, after])
    assert files[after] == DayFiles({"b": stamp("b")}, None, None)
    found = files[DAY]
    assert {source: kept.input_digest for source, kept in found.usage.items()} == {"a": "a", "old": "old"}
    assert (found.priced, found.costs) == (stamp("p"), stamp("c"))
