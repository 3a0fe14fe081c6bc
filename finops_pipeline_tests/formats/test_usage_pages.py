"""Pages of usage APIs: no result is lost, none counts twice however often it was fetched, the last word holds."""

import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.config.model import Config
from finops_pipeline.formats.usage_pages import PAGES
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.day import mediate_day
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES, USAGE

OutcomesOf = Callable[..., dict[str, int]]

DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
MODIFIED = dt.datetime(2026, 10, 6, 1, tzinfo=dt.UTC)


def result(tokens: int, **members: Any) -> dict[str, Any]:
    return {"object": "organization.usage.completions.result", "input_tokens": tokens, "output_tokens": 1} | members


def page(*results: Any, start: int = 1791158400, end: int = 1791244800) -> dict[str, Any]:
    return {"object": "page", "data": [{"start_time": start, "end_time": end, "results": list(results)}]}


@pytest.fixture
def mediated(tmp_path: Path) -> Callable[..., Lake]:
    """``mediated({key: page, …})``: the lake after pages that were stored an hour after one another."""

    def mediate(pages: dict[str, Any]) -> Lake:
        for hour, (key, said) in enumerate(pages.items()):
            file = tmp_path / "logs" / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(said))
            stored = (MODIFIED + dt.timedelta(hours=hour)).timestamp()
            os.utime(file, (stored, stored))
        source = {"name": "s", "format": "openai_usage", "uri": str(tmp_path / "logs")}
        config = Config.model_validate(
            {"lake": str(tmp_path / "lake"), "start_date": "2026-01-01", "sources": [source]}
        )
        lake = Lake(tmp_path / "lake")
        mediate_day(config, config.sources[0], DAY, lake=lake, run="r", now=NOW)
        return lake

    return mediate


def tokens(lake: Lake) -> list[int]:
    return lake.scan(USAGE).select("input_tokens").collect().to_series().sort().to_list()


def outcomes(lake: Lake) -> dict[str, int]:
    counts = lake.scan(INGEST_OBJECTS).select(pl.col(*OUTCOMES, "conflicts").sum()).collect().row(0, named=True)
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize("order", [("a.json", "b.json"), ("b.json", "a.json")])
def test_of_a_page_that_was_fetched_again_the_last_counts(
    order: tuple[str, str], mediated: Callable[..., Lake]
) -> None:
    early, late = result(10, model="m"), result(25, model="m")
    lake = mediated(dict(zip(order, (page(early), page(result(7, model="n"), late)), strict=True)))
    assert tokens(lake) == [7, 25]
    assert outcomes(lake) == {"usage": 2, "duplicate": 1}


def test_a_later_page_may_correct_downwards_and_order_does_not_matter(mediated: Callable[..., Lake]) -> None:
    first = page(result(10, model="m", project_id="p"), result(20, model="n"))
    again = page(result(20, model="n"), result(9, project_id="p", model="m"))
    assert tokens(mediated({"1.json": first, "2.json": again})) == [9, 20]


def test_what_is_null_says_nothing_of_which_result_it_is(mediated: Callable[..., Lake]) -> None:
    assert tokens(
        mediated({"1.json": page(result(1)), "2.json": page(result(2, project_id=None, api_source=None))})
    ) == [2]


@pytest.mark.parametrize(
    "other",
    [{"model": "n"}, {"model": "m", "batch": True}, {"model": "m", "a_new_dimension": "x"}, {"model": "m&batch=true"}],
)
def test_another_dimension_is_another_result(other: dict[str, Any], mediated: Callable[..., Lake]) -> None:
    assert tokens(mediated({"1.json": page(result(1, model="m"), result(2, **other))})) == [1, 2]


def test_another_bucket_is_another_result(mediated: Callable[..., Lake]) -> None:
    hour = page(result(2), end=1791162000)
    assert tokens(mediated({"1.json": page(result(1)), "2.json": hour})) == [1, 2]


def test_the_time_of_a_result_is_its_bucket_s(mediated: Callable[..., Lake]) -> None:
    next_day = page(result(2), start=1791244800, end=1791331200)
    lake = mediated({"1.json": page(result(1)), "2.json": next_day})
    assert outcomes(lake) == {"usage": 1, "another_day": 1}


def test_an_empty_page_has_no_records(outcomes_of: OutcomesOf) -> None:
    assert outcomes_of("openai_usage", {"2026-10-05.json": [page()], "2026-10-05b.json": [{"data": []}]}) == {}


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ([1, 2], {"quarantined": 1}),
        ({"results": []}, {"quarantined": 1}),
        ({"data": None}, {"quarantined": 1}),
        ({"data": {}}, {"quarantined": 1}),
        ({"data": [1, None]}, {"quarantined": 2}),
        ({"data": [{"start_time": 1791158400, "results": None}]}, {"quarantined": 1}),
        ({"data": [{"start_time": 1791158400}]}, {"quarantined": 1}),
        ({"data": [{"results": [result(1)]}]}, {"quarantined": 1}),
        ({"data": [{"start_time": "soon", "results": [result(1)]}]}, {"quarantined": 1}),
        ({"data": [{"start_time": 1791158400, "results": [result(1), 5, result(-1)]}]}, {"usage": 1, "quarantined": 2}),
        ({"data": [7, {"start_time": 1791158400, "results": [result(1)]}]}, {"usage": 1, "quarantined": 1}),
    ],
)  # fmt: skip
def test_what_is_no_page_bucket_or_result_is_quarantined_alone(
    said: Any, counted: dict[str, int], outcomes_of: OutcomesOf
) -> None:
    assert outcomes_of("openai_usage", {"2026-10-05.json": [said]}) == counted


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3))
BUCKETS = st.dictionaries(st.sampled_from(["start_time", "end_time", "results"]), VALUES | st.lists(VALUES, max_size=3))


@settings(max_examples=100, deadline=None)
@given(st.lists(BUCKETS | VALUES, max_size=4))
def test_every_result_becomes_one_record(data: list[Any]) -> None:
    def records_of(bucket: Any) -> int:
        found = bucket.get("results") if isinstance(bucket, dict) else None
        return len(found) if isinstance(found, list) else 1

    records = list(PAGES.records(json.dumps({"data": data}).encode()))
    assert len(records) == sum(map(records_of, data))
    for record in records:
        json.loads(record)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=5), LEAVES, max_size=5))
def test_a_record_holds_its_result_unchanged(said: dict[str, Any]) -> None:
    (record,) = PAGES.records(json.dumps(page(said), indent=1).encode())
    read = json.loads(record)
    assert read["result"] == said
    assert read["bucket"] == {"start_time": 1791158400, "end_time": 1791244800}
