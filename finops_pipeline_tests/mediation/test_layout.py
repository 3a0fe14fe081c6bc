"""Which objects a day reads, from the dates and hours in their keys."""

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from finops_pipeline.errors import SourceError
from finops_pipeline.formats.bedrock import BEDROCK
from finops_pipeline.formats.litellm import LITELLM
from finops_pipeline.mediation.layout import Clock, Layout, OpenLayout
from finops_pipeline.mediation.objects import LocalStore

DAY = dt.date(2026, 10, 5)
UTC = Clock(ZoneInfo("UTC"), dt.timedelta(hours=2))
ACCOUNT = "AWSLogs/123456789012/BedrockModelInvocationLogs/us-east-1"


def read(
    folder: Path, layout: Layout, keys: list[str], day: dt.date = DAY, clock: Clock = UTC, uri: str = ""
) -> dict[str, bool]:
    """Keys that ``day`` reads → whether they are its own."""
    for key in keys:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(b"{}")
    store = LocalStore(folder)
    spelling, roots = layout.survey(store, uri or str(folder))
    return {p.ref.key: p.own_day == day for p in spelling.day_objects(store, day, clock, roots)}


def test_bedrock_reads_its_hours_and_the_neighbours_within_grace(tmp_path: Path) -> None:
    hours = ["04/21", "04/22", "04/23", "05/00", "05/14", "05/23", "06/00", "06/01", "06/02"]
    found = read(tmp_path, BEDROCK.layout, [f"{ACCOUNT}/2026/10/{h}/x.json.gz" for h in hours])
    assert {key[len(ACCOUNT) + 9 : -10]: own for key, own in found.items()} == {
        "04/22": False, "04/23": False, "05/00": True, "05/14": True, "05/23": True, "06/00": False, "06/01": False,
    }  # fmt: skip


def test_bedrock_skips_markers_and_offloaded_bodies(tmp_path: Path) -> None:
    hour = f"{ACCOUNT}/2026/10/05/14"
    keys = [
        f"{hour}/a.json.gz",
        f"{hour}/amazon-bedrock-logs-permission-check",
        f"{hour}/data/a_input.json.gz",
        f"{ACCOUNT.rpartition('/')[0]}/amazon-bedrock-logs-permission-check",
    ]
    assert read(tmp_path, BEDROCK.layout, keys) == {f"{hour}/a.json.gz": True}


def test_bedrock_finds_accounts_and_regions_below_any_prefix(tmp_path: Path) -> None:
    keys = [
        f"team/logs/AWSLogs/{account}/BedrockModelInvocationLogs/{region}/2026/10/05/14/a.json.gz"
        for account in ("111111111111", "222222222222")
        for region in ("us-east-1", "eu-central-1")
    ]
    other = "team/logs/AWSLogs/111111111111/CloudTrail/us-east-1/2026/10/05/14/a.json.gz"
    assert read(tmp_path, BEDROCK.layout, [*keys, other]) == dict.fromkeys(keys, True)


def test_litellm_reads_team_folders_and_hours_of_neighbouring_dates(tmp_path: Path) -> None:
    own = ["2026-10-05/time-00-10-00-000000_a.json", "search/key-1/2026-10-05/batch_23-59-59_0.jsonl"]
    near = ["search/2026-10-04/time-22-00-00-000000_b.json", "2026-10-06/batch_01-59-59_0.jsonl"]
    far = ["search/2026-10-04/time-21-59-59-000000_c.json", "2026-10-06/time-02-00-00-000000_d.json"]
    found = read(tmp_path, LITELLM.layout, [*own, *near, *far])
    assert found == dict.fromkeys(own, True) | dict.fromkeys(near, False)


def test_a_key_belongs_to_the_utc_day_of_its_local_hour(tmp_path: Path) -> None:
    # 01:00 in Tokyo on the 6th is 16:00 UTC on the 5th.
    clock = Clock(ZoneInfo("Asia/Tokyo"), dt.timedelta(hours=2))
    key = "2026-10-06/time-01-00-00-000000_a.json"
    assert read(tmp_path, LITELLM.layout, [key], DAY, clock) == {key: True}
    assert read(tmp_path, LITELLM.layout, [key], dt.date(2026, 10, 6), clock) == {}


@pytest.mark.parametrize("word", ["date", "dt"])
def test_open_layout_takes_dated_folders(tmp_path: Path, word: str) -> None:
    keys = [f"x/{word}=2026-10-{d}/part-0.jsonl" for d in ("04", "05", "06")]
    assert read(tmp_path, OpenLayout(), keys) == {keys[1]: True}


def test_open_layout_takes_hours_of_dated_folders(tmp_path: Path) -> None:
    keys = [f"dt=2026-10-{d}/hour={h}/p.jsonl" for d, h in (("04", "21"), ("04", "22"), ("05", "07"), ("06", "01"))]
    assert read(tmp_path, OpenLayout(), keys) == {keys[1]: False, keys[2]: True, keys[3]: False}


def test_open_layout_takes_dates_in_names(tmp_path: Path) -> None:
    keys = ["2026-10-05.csv", "usage_20261005_2.csv", "2026-10-06.csv", "99999999.csv", "v2026-10-055.csv"]
    found = read(tmp_path, OpenLayout(), keys)
    assert {"2026-10-05.csv", "usage_20261005_2.csv"} <= found.keys()
    assert "2026-10-06.csv" not in found


def test_objects_without_a_date_are_read_for_each_day(tmp_path: Path) -> None:
    assert read(tmp_path, OpenLayout(), ["all.jsonl"]).keys() == {"all.jsonl"}
    assert read(tmp_path, OpenLayout(), [], dt.date(2025, 1, 1)).keys() == {"all.jsonl"}


def test_open_layout_takes_a_template(tmp_path: Path) -> None:
    uri = f"{tmp_path}/logs/{{yyyy}}/{{mm}}/{{dd}}/"
    layout = OpenLayout()
    assert layout.base(uri) == f"{tmp_path}/logs"
    keys = ["2026/10/05/a.jsonl", "2026/10/06/b.jsonl"]
    assert read(tmp_path / "logs", layout, keys, uri=uri) == {keys[0]: True}


def test_a_template_with_hours_has_grace(tmp_path: Path) -> None:
    uri = f"{tmp_path}/y={{yyyy}}/m={{mm}}/d={{dd}}/h={{hh}}"
    keys = [f"y=2026/m=10/d={d}/h={h}/a.jsonl" for d, h in (("04", "21"), ("04", "23"), ("05", "12"), ("06", "00"))]
    assert read(tmp_path, OpenLayout(), keys, uri=uri) == {keys[1]: False, keys[2]: True, keys[3]: False}


@pytest.mark.parametrize("template", ["{yyyy}/{mm}", "{yyyy}/{mm}/{dd}/{minute}"])
def test_a_template_that_names_no_day_or_more_is_refused(tmp_path: Path, template: str) -> None:
    with pytest.raises(SourceError, match="a template needs"):
        OpenLayout().survey(LocalStore(tmp_path), f"{tmp_path}/{template}")
