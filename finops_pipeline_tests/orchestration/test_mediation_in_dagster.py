"""What Dagster shows of a source's day, and that late records reach their own day by the sensor: on real logs."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.lake import open_lake
from finops_pipeline.orchestration import day_steps
from finops_pipeline.orchestration.code_location import build_definitions
from finops_pipeline.orchestration.partitions import RANGE_START, range_tags
from finops_pipeline.orchestration.session import RunOptions, Session
from finops_pipeline.schemas import OUTCOMES, USAGE

NOW = dt.datetime(2026, 10, 6, 12, tzinfo=dt.UTC)
DAY, OLD = dt.date(2026, 10, 5), dt.date(2026, 10, 1)

Materialised = Callable[..., dict[str, Any]]


@pytest.fixture
def one_source(tmp_path: Path) -> Config:
    sources = [{"name": "a", "format": "record", "uri": "logs", "cost_basis": "reported"}]
    return Config.model_validate({"lake": "lake", "start_date": "2026-10-01", "sources": sources}).located(tmp_path)


def call(name: str, day: dt.date = DAY, **fields: Any) -> bytes:
    content = {"timestamp": f"{day}T08:00:00Z", "service": "OpenAI API", "model": "gpt-4o", "cost": 1}
    return json.dumps(content | {"request_id": name, "input_tokens": 1, "output_tokens": 1} | fields).encode()


def put(config: Config, day: dt.date, *lines: bytes, name: str = "a.jsonl") -> None:
    file = config.folder / "logs" / f"date={day}" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\n".join(lines))


@pytest.fixture
def materialised(one_source: Config, instance: dg.DagsterInstance) -> Materialised:
    """Materialise ``usage/a`` of a day and give its metadata; options are those of the launchpad."""

    def run(day: dt.date = DAY, **options: Any) -> dict[str, Any]:
        definitions = build_definitions(Session(one_source, now=lambda: NOW), RunOptions())
        result = definitions.resolve_job_def("nightly").execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["usage", "a"])],
            tags=range_tags(day, day),
            run_config={"resources": {"options": {"config": options}}},
        )
        [event] = result.asset_materializations_for_node("usage__a")
        return {
            name: [dict(record.data) for record in value.records]
            if isinstance(value, dg.TableMetadataValue)
            else value.value
            for name, value in event.metadata.items()
        }

    return run


# -- metadata ------------------------------------------------------------------------------------------------------


def test_every_outcome_is_a_number_of_its_own(one_source: Config, materialised: Materialised) -> None:
    put(one_source, DAY, call("x"), call("x", output_tokens=9), call("y"), b"{broken", call("late", OLD))
    shown = materialised()
    counts = {name: shown[name] for name in ("objects", "lines", "records", *OUTCOMES)}
    assert counts == {
        "objects": 1, "lines": 5, "records": 5, "usage": 2, "duplicate": 1, "merged": 0, "not_usage": 0,
        "quarantined": 1, "another_day": 1,
    }  # fmt: skip
    assert (shown["dagster/partition_row_count"], shown["conflicts"], shown["near_duplicates"]) == (2, 1, 0)
    assert shown["handed_over_to"] == {str(OLD): 1}
    assert any("quarantined" in warning for warning in shown["warnings"])


def test_the_worst_objects_and_reasons_stand_in_tables_of_bounded_length(
    one_source: Config, materialised: Materialised, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_steps, "SHOWN", 2)
    put(one_source, DAY, call("good"), name="good.jsonl")
    for n in (1, 3, 2):
        put(one_source, DAY, *[b"[]", b"7", b"null"][:n], name=f"bad{n}.jsonl")
    shown = materialised()
    assert [(row["key"], row["quarantined"]) for row in shown["objects_to_look_at"]] == [
        (f"date={DAY}/bad3.jsonl", 3),
        (f"date={DAY}/bad2.jsonl", 2),
    ]
    assert [row["records"] for row in shown["quarantine_reasons"]] == [3, 2]


def test_a_day_without_trouble_has_no_tables(one_source: Config, materialised: Materialised) -> None:
    put(one_source, DAY, call("x"))
    assert not {"handed_over_to", "quarantine_reasons", "objects_to_look_at"} & materialised().keys()


def test_an_unchanged_day_shows_the_same(one_source: Config, materialised: Materialised) -> None:
    put(one_source, DAY, call("x"), b"{broken", call("late", OLD))
    first, again = materialised(), materialised()
    assert (first.pop("changed"), again.pop("changed")) == (True, False)
    assert again == first


def test_names_from_the_store_do_nothing_to_the_page(one_source: Config, materialised: Materialised) -> None:
    put(one_source, DAY, b"{broken", name="\u202e\x1b[2J.jsonl")
    [row] = materialised()["objects_to_look_at"]
    assert row["key"] == f"date={DAY}/\ufffd\ufffd[2J.jsonl"


def test_the_launchpad_can_ask_for_a_day_to_be_read_again(one_source: Config, materialised: Materialised) -> None:
    put(one_source, DAY, call("x"))
    materialised()
    assert materialised(reread={"a": [str(OLD)]})["changed"] is False
    assert materialised(reread={"a": [str(DAY)]})["changed"] is True


# -- late records --------------------------------------------------------------------------------------------------


def asked(config: Config, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    sensor = build_definitions(Session(config, now=lambda: NOW)).resolve_sensor_def("strays")
    return list(sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).run_requests or [])


def test_the_sensor_brings_late_records_to_their_day_and_then_rests(
    one_source: Config, materialised: Materialised, instance: dg.DagsterInstance
) -> None:
    put(one_source, OLD, call("old", OLD))
    put(one_source, DAY, call("x"), call("late", OLD))
    materialised(OLD)
    materialised()
    [request] = asked(one_source, instance)
    assert request.tags[RANGE_START] == str(OLD)
    assert materialised(OLD)["usage"] == 2
    assert asked(one_source, instance) == []


def test_a_late_record_that_is_taken_back_is_taken_from_its_day(
    one_source: Config, materialised: Materialised, instance: dg.DagsterInstance
) -> None:
    put(one_source, OLD, call("old", OLD))
    put(one_source, DAY, call("x"), call("late", OLD))
    for day in (OLD, DAY, OLD):
        materialised(day)
    put(one_source, DAY, call("x"))
    materialised()
    assert [request.tags[RANGE_START] for request in asked(one_source, instance)] == [str(OLD)]
    materialised(OLD)
    assert open_lake(one_source).rows(USAGE, date=OLD) == 1
    assert asked(one_source, instance) == []
