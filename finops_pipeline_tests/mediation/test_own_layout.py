"""Formats with dated folders of their own, whose logs may lie elsewhere too."""

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from finops_pipeline.formats.azure_apim import AZURE_APIM
from finops_pipeline.formats.otel import OTEL
from finops_pipeline.mediation.layout import Clock, Layout
from finops_pipeline.mediation.objects import LocalStore

DAY = dt.date(2026, 10, 5)
CLOCK = Clock(ZoneInfo("UTC"), dt.timedelta(hours=2), dt.date(2026, 1, 1))
RESOURCE = "resourceId=/SUBSCRIPTIONS/0/RESOURCEGROUPS/RG1/PROVIDERS/MICROSOFT.APIMANAGEMENT/SERVICE/APIM1"
LLM = f"insights-logs-gatewayllmlogs/{RESOURCE}"
OTHER = f"insights-logs-requestresponse/{RESOURCE}"


def read(folder: Path, layout: Layout, keys: list[str], uri: str = "") -> dict[str, bool]:
    """Keys that the day reads → whether they are its own."""
    for key in keys:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(b"{}")
    store = LocalStore(folder)
    spelling, roots = layout.survey(store, uri or str(folder))
    return {p.ref.key: p.own_day == DAY for p in spelling.day_objects(store, DAY, CLOCK, roots)}


def test_the_collector_s_folders_have_hours(tmp_path: Path) -> None:
    times = [
        "04/hour=21/minute=59",
        "04/hour=22/minute=00",
        "05/hour=14/minute=05",
        "06/hour=01/minute=59",
        "06/hour=02/minute=00",
    ]
    found = read(tmp_path, OTEL.layout, [f"otel/year=2026/month=10/day={time}/traces_a.json" for time in times])
    assert {key[len("otel/year=2026/month=10/day=") :][:10]: own for key, own in found.items()} == {
        "04/hour=22": False, "05/hour=14": True, "06/hour=01": False,
    }  # fmt: skip


def test_the_collector_s_folders_may_end_at_the_hour(tmp_path: Path) -> None:
    key = "year=2026/month=10/day=05/hour=14/traces_a.json.gz"
    assert read(tmp_path, OTEL.layout, [key]) == {key: True}


def test_elsewhere_the_open_rule_holds(tmp_path: Path) -> None:
    keys = ["traces.jsonl", "traces-2026-10-05T14-00-00.000.jsonl", "traces-2026-10-06T14-00-00.000.jsonl"]
    assert read(tmp_path, OTEL.layout, keys).keys() == {keys[0], keys[1]}


def test_a_template_beats_the_format_s_own_folders(tmp_path: Path) -> None:
    base = "year=2026/month=10"
    keys = [f"{base}/2026-10-05/a.json", f"{base}/2026-10-06/a.json"]
    uri = f"{tmp_path}/year={{yyyy}}/month={{mm}}/{{yyyy}}-{{mm}}-{{dd}}/"
    assert OTEL.layout.base(uri) == str(tmp_path)
    assert read(tmp_path, OTEL.layout, keys, uri).keys() == {keys[0]}


@pytest.mark.parametrize("above", ["", "prod/", "tenant/prod/"])
def test_azure_s_resource_ids_are_deep(tmp_path: Path, above: str) -> None:
    key = f"{above}{LLM}/y=2026/m=10/d=05/h=14/m=00/PT1H.json"
    assert read(tmp_path, AZURE_APIM.layout, [key]) == {key: True}


def test_other_containers_are_read_only_where_there_is_nothing_else(tmp_path: Path) -> None:
    llm, other = (f"{place}/y=2026/m=10/d=05/h=14/m=00/PT1H.json" for place in (LLM, OTHER))
    assert read(tmp_path / "one", AZURE_APIM.layout, [other]) == {other: True}
    assert read(tmp_path / "both", AZURE_APIM.layout, [other, llm]) == {llm: True}


def test_containers_that_are_passed_over_are_not_listed(tmp_path: Path) -> None:
    asked = []

    class Listed(LocalStore):
        def folders(self, prefix: str) -> list[str]:
            asked.append(prefix)
            return super().folders(prefix)

    for place in (LLM, OTHER):
        (tmp_path / place / "y=2026").mkdir(parents=True)
    AZURE_APIM.layout.survey(Listed(tmp_path), str(tmp_path))
    assert asked
    assert not any(prefix.startswith("insights-logs-requestresponse") for prefix in asked)
