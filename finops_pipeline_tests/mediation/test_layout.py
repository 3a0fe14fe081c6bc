"""Which objects a day reads, from the dates and hours in their keys."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.errors import SourceError
from finops_pipeline.formats.bedrock import BEDROCK
from finops_pipeline.formats.litellm import LITELLM
from finops_pipeline.mediation.layout import Clock, Layout
from finops_pipeline.mediation.objects import LocalStore, ObjectRef, Wanted, any_key
from finops_pipeline.mediation.open_layout import NamedKeys, OpenLayout

DAY = dt.date(2026, 10, 5)
UTC = Clock(ZoneInfo("UTC"), dt.timedelta(hours=2), dt.date(2026, 1, 1))
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
    clock = Clock(ZoneInfo("Asia/Tokyo"), dt.timedelta(hours=2), dt.date(2026, 1, 1))
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


ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "America/Nuuk", "Asia/Kolkata", "Asia/Kathmandu",
    "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia", "Pacific/Kiritimati", "Etc/GMT+12", "Africa/Casablanca",
)  # fmt: skip
CHANGES = [dt.datetime(2026, *of) for of in ((3, 8), (3, 29), (4, 5), (9, 27), (10, 4), (10, 25), (11, 1), (6, 15))]  # noqa: DTZ001 (local times)
"""Dates around which the zones above change their clocks, and one where none does."""

SPELLINGS = {
    "bedrock": (BEDROCK.layout, f"{ACCOUNT}/%Y/%m/%d/%H/x.json.gz", None),
    "litellm": (LITELLM.layout, "%Y-%m-%d/time-%H-00-00-000000_x.json", None),
    "litellm without hour": (LITELLM.layout, "%Y-%m-%d/export.json", None),
    "date folders": (OpenLayout(), "date=%Y-%m-%d/x.json", None),
    "date and hour folders": (OpenLayout(), "date=%Y-%m-%d/hour=%H/x.json", None),
    "a file beside hour folders": (OpenLayout(), "dt=%Y-%m-%d/x.json", "dt=2020-01-01/hour=00/x.json"),
    "a dated file beside date folders": (OpenLayout(), "%Y-%m-%d.json", "x/dt=2020-01-01/x.json"),
    "dates in names": (OpenLayout(), "%Y-%m-%d.json", None),
    "template": (OpenLayout(), "%Y/%m/%d/%H/x.json", "{yyyy}/{mm}/{dd}/{hh}/"),
    "template without hour": (OpenLayout(), "%Y/%m/%d.json", "{yyyy}/{mm}/{dd}"),
}
"""Layout, pattern of a key, and a template or a key that stands beside it."""


class Keyed:
    """A store of keys alone."""

    def __init__(self, *keys: str) -> None:
        self._keys = keys

    def folders(self, prefix: str) -> list[str]:
        below = {key[len(prefix) :] for key in self._keys if key.startswith(prefix)}
        return sorted({key.partition("/")[0] for key in below if "/" in key})

    def objects(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
        return (object_of(key) for key in self._keys if key.startswith(prefix) and wanted(key))

    def files(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
        return (ref for ref in self.objects(prefix, wanted) if "/" not in ref.key[len(prefix) :])


def object_of(key: str) -> ObjectRef:
    return ObjectRef(key, 1, "e", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


@settings(deadline=None, max_examples=600)
@given(
    spelling=st.sampled_from(sorted(SPELLINGS)),
    zone=st.sampled_from(ZONES),
    grace=st.sampled_from([0, 1, 2, 5, 12, 24, 72]),
    change=st.sampled_from(CHANGES),
    hours=st.integers(-48, 48),
)
def test_each_day_lists_every_object_that_is_placed_on_it(
    spelling: str, zone: str, grace: int, change: dt.datetime, hours: int
) -> None:
    layout, pattern, beside = SPELLINGS[spelling]
    clock = Clock(ZoneInfo(zone), dt.timedelta(hours=grace), dt.date(2026, 1, 1))
    key = (change + dt.timedelta(hours=hours)).strftime(pattern)
    template = f"logs/{beside}" if beside and "{" in beside else "logs"
    store = Keyed(key, *([beside] if beside and "{" not in beside else []))
    keys, roots = layout.survey(store, template)
    placed = keys.place(object_of(key), clock)
    assert placed is not None
    assert placed.first_day is not None
    assert placed.last_day is not None
    assert placed.first_day <= placed.own_day <= placed.last_day
    days = [placed.first_day + dt.timedelta(days=n) for n in range(-1, (placed.last_day - placed.first_day).days + 2)]
    readers = [day for day in days if any(p.ref.key == key for p in keys.day_objects(store, day, clock, roots))]
    assert readers == days[1:-1]


def test_a_half_hour_zone_reads_the_last_local_hour_of_a_day() -> None:
    # 05:00 to 06:00 in Kolkata is 23:30 to 00:30 UTC.
    clock = Clock(ZoneInfo("Asia/Kolkata"), dt.timedelta(0), dt.date(2026, 1, 1))
    key = f"{ACCOUNT}/2026/10/06/05/a.json.gz"
    store = Keyed(key)
    keys, roots = BEDROCK.layout.survey(store, "logs")
    read_by = {day: list(keys.day_objects(store, day, clock, roots)) for day in (DAY, dt.date(2026, 10, 6))}
    assert [p.own_day for placed in read_by.values() for p in placed] == [DAY, DAY]


def test_a_key_without_an_hour_beside_hours_belongs_to_its_date_alone(tmp_path: Path) -> None:
    clock = Clock(ZoneInfo("Europe/Berlin"), dt.timedelta(hours=2), dt.date(2026, 1, 1))
    keys = ["date=2026-10-04/hour=23/h.jsonl", "date=2026-10-05/whole.jsonl"]
    found = {day: read(tmp_path, OpenLayout(), keys, dt.date(2026, 10, day), clock).get(keys[1]) for day in (4, 5, 6)}
    assert found == {4: None, 5: True, 6: None}


def test_litellm_ids_may_hold_slashes(tmp_path: Path) -> None:
    key = "search/2026-10-05/time-14-00-00-000000_projects/p/y.json"
    assert read(tmp_path, LITELLM.layout, [key]) == {key: True}
    assert read(tmp_path, LITELLM.layout, [], dt.date(2026, 10, 6)) == {}  # the hour is read: no neighbour within grace


@pytest.mark.parametrize("uri", [ACCOUNT, ACCOUNT.rpartition("/")[0], f"team/{ACCOUNT}/", "AWSLogs", "copy-of-region"])
def test_bedrock_may_be_pointed_at_any_folder_down_to_the_region(tmp_path: Path, uri: str) -> None:
    below = "" if uri == "copy-of-region" else ACCOUNT.removeprefix(uri.removeprefix("team/").strip("/")).lstrip("/")
    key = f"{below}/2026/10/05/14/a.json.gz".lstrip("/")
    assert read(tmp_path / uri, BEDROCK.layout, [key], uri=f"{tmp_path}/{uri}") == {key: True}


def test_bedrock_pointed_below_the_region_says_where_to(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"2026/10: lies within the dates .* to s3://logs/{ACCOUNT}\."):
        BEDROCK.layout.survey(Keyed("05/14/a.json.gz"), f"s3://logs/{ACCOUNT}/2026/10")


@pytest.mark.parametrize("key", ["9999/12/31/23/a.json", "0001/01/01/00/a.json", "2026/13/01/00/a.json"])
def test_keys_beyond_the_calendar_are_no_logs(key: str) -> None:
    clock = Clock(ZoneInfo("Asia/Tokyo"), dt.timedelta(hours=2), dt.date(2026, 1, 1))
    assert BEDROCK.layout.place(object_of(key), clock) is None


def test_open_layout_reads_both_words_and_the_files_beside_the_folders(tmp_path: Path) -> None:
    keys = ["a/date=2026-10-05/x.jsonl", "b/dt=2026-10-05/x.jsonl", "b/2026-10-05.jsonl", "2026-10-05.csv"]
    others = ["a/date=2026-10-04/x.jsonl", "b/2026-10-04.jsonl", "_SUCCESS", "b/.hidden"]
    assert read(tmp_path, OpenLayout(), [*keys, *others, "b/undated.jsonl"]) == dict.fromkeys(keys, True) | {
        "b/undated.jsonl": False
    }


def test_open_layout_sees_hours_that_a_writer_began_later_or_elsewhere(tmp_path: Path) -> None:
    near = ["dt=2026-10-06/hour=01/p.jsonl", "x/dt=2026-10-04/hour=22/p.jsonl"]
    old = ["dt=2025-01-01/p.jsonl", "a/dt=2025-01-01/p.jsonl"]
    assert read(tmp_path, OpenLayout(), [*old, *near]) == dict.fromkeys(near, False)


def test_the_last_date_of_a_key_counts(tmp_path: Path) -> None:
    key = "schema-2026-01-01/2026-10-05.jsonl"
    assert read(tmp_path, OpenLayout(), [key, "2026-10-05-v99991399.csv"]).keys() == {key, "2026-10-05-v99991399.csv"}
    assert read(tmp_path, OpenLayout(), [], dt.date(2026, 1, 1)) == {}


def test_objects_without_a_date_belong_to_the_first_day_whenever_they_were_written() -> None:
    early, late = (ObjectRef("all.jsonl", 1, "e", dt.datetime(2026, 10, day, tzinfo=dt.UTC)) for day in (5, 6))
    for ref in (early, late):
        placed = NamedKeys().place(ref, UTC)
        assert placed is not None
        assert (placed.own_day, placed.first_day, placed.last_day) == (UTC.first_day, None, None)


@pytest.mark.parametrize("key", ["_SUCCESS", "logs/.DS_Store", "folder/", "2026-10-05/"])
def test_markers_are_no_logs(key: str) -> None:
    assert NamedKeys().place(object_of(key), UTC) is None


def test_files_of_other_days_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ["2026-10-04.jsonl", "2026-10-05.jsonl"]
    for key in keys:
        (tmp_path / key).write_bytes(b"{}")
    opened, opening = [], open
    monkeypatch.setattr("builtins.open", lambda name, *of, **how: (opened.append(name), opening(name, *of, **how))[1])
    assert read_only(tmp_path) == {keys[1]: True}
    assert [Path(name).name for name in opened] == [keys[1]]


def read_only(folder: Path) -> dict[str, bool]:
    return {p.ref.key: p.own_day == DAY for p in NamedKeys().day_objects(LocalStore(folder), DAY, UTC, ("",))}
