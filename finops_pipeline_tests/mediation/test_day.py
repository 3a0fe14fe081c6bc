"""A day's mediation: every record ends once, in its own day, and a rerun of the same inputs changes nothing."""

import datetime as dt
import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_pipeline.config.model import Config
from finops_pipeline.errors import ConservationError, LakeError, LeaseHeldError, SourceError
from finops_pipeline.lake import Lake
from finops_pipeline.mediation import buckets, fetching, inflate, spool
from finops_pipeline.mediation import day as day_module
from finops_pipeline.mediation.day import DayResult
from finops_pipeline.mediation.objects import LocalStore, ObjectGoneError, ObjectRef
from finops_pipeline.mediation.strays import days_with_fresh_strays
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES, QUARANTINE, STRAYS, USAGE

DAY = dt.date(2026, 10, 5)
NEXT = dt.date(2026, 10, 6)
Mediate = Callable[..., DayResult]
Put = Callable[..., Path]
Record = Callable[..., dict[str, Any]]
MakeConfig = Callable[..., Config]


def ids(lake: Lake, date: dt.date = DAY) -> list[str]:
    return sorted(lake.scan(USAGE, date=date).collect().get_column("request_id"))


def reasons(lake: Lake) -> list[tuple[int, str]]:
    return sorted(lake.scan(QUARANTINE).select("raw_line", "reason").collect().iter_rows())


def counted(result: DayResult) -> dict[str, int]:
    assert sum(result.outcomes.values()) == result.records
    return {name: n for name, n in result.outcomes.items() if n}


# -- every record ends once --------------------------------------------------------------------------------------------


def test_the_most_complete_twin_wins(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put("date=2026-10-05/a.jsonl", [record("x"), record("x", team="search"), record("x"), record("y")])
    assert counted(mediate(config())) == {"usage": 2, "duplicate": 2}
    assert dict(lake.scan(USAGE).select("request_id", "team").collect().iter_rows()) == {"x": "search", "y": None}


def test_equal_twins_are_decided_by_time_then_place(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put("date=2026-10-05/b.jsonl", [record("x"), record("t", at="2026-10-05T09:00:00Z")])
    put("date=2026-10-05/a.jsonl", [record("x"), record("t", at="2026-10-05T09:00:01Z")])
    mediate(config())
    won = {r[0]: r[1:] for r in lake.scan(USAGE).select("request_id", "raw_object", "raw_line").collect().iter_rows()}
    assert won == {"x": ("date=2026-10-05/a.jsonl", 1), "t": ("date=2026-10-05/b.jsonl", 2)}


def test_broken_lines_are_quarantined_by_place_length_and_hash(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    broken = b'{"prompt": "a secret'
    put("date=2026-10-05/a.jsonl", [record("a"), b"", broken, record("b"), b"[1]"])
    assert counted(mediate(config())) == {"usage": 2, "quarantined": 2}
    rows = lake.scan(QUARANTINE).drop("source", "date").collect().to_dicts()
    assert rows[0] == {
        "raw_object": "date=2026-10-05/a.jsonl",
        "raw_line": 2,
        "length": len(broken),
        "sha256": hashlib.sha256(broken).hexdigest(),
        "reason": "not JSON: Input data was truncated",
        "raw": None,
    }
    assert rows[1]["reason"] == "not a JSON object: an array"
    assert b"secret" not in b"".join(f.read_bytes() for f in Path(lake.storage.root).rglob("*.parquet"))


def test_keep_raw_keeps_the_line(lake: Lake, config: MakeConfig, put: Put, mediate: Mediate) -> None:
    put("date=2026-10-05/a.jsonl", [b"{broken"])
    mediate(config(extra={"quarantine": {"keep_raw": True}}))
    assert lake.scan(QUARANTINE).collect().get_column("raw").to_list() == [b"{broken"]


def test_times_before_the_start_or_in_the_future_are_quarantined(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put("date=2026-10-05/a.jsonl", [record("old", at="2025-12-31T23:59:59Z"), record("new", at="2026-12-24T00:00:00Z")])
    assert counted(mediate(config())) == {"quarantined": 2}
    assert [reason.partition(":")[0] for _, reason in reasons(lake)] == ["time_out_of_range", "time_out_of_range"]


def test_a_record_without_id_time_or_usage(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    silent = record("silent") | {"input_tokens": None, "output_tokens": None}
    failed = silent | {"request_id": "failed", "status": "error"}
    timeless = {k: v for k, v in record("timeless").items() if k != "timestamp"}
    put("date=2026-10-05/a.jsonl", [record(None), silent, failed, timeless])
    assert counted(mediate(config())) == {"usage": 3, "quarantined": 1}
    assert reasons(lake) == [(4, "$.timestamp: no time")]
    columns = ("input_tokens", "output_tokens", "reasoning_tokens", "usage_quality")
    rows = {r[0]: r[1:] for r in lake.scan(USAGE).select("request_id", *columns).collect().iter_rows()}
    assert rows == {
        "date=2026-10-05/a.jsonl#1": (10, 2, 0, "reported"),
        "silent": (None, None, None, "missing"),
        "failed": (0, 0, 0, "reported"),
    }


def test_a_truncated_gzip_member_is_read_to_the_damage(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    lines = [json.dumps(record(f"r{i}", team=hashlib.sha256(str(i).encode()).hexdigest())) for i in range(400)]
    packed = gzip.compress("\n".join(lines).encode())
    put("date=2026-10-05/a.jsonl", packed[: len(packed) * 2 // 3])
    put("date=2026-10-05/b.jsonl", [record("whole")])
    result = mediate(config())
    assert counted(result).keys() == {"usage", "quarantined"}
    assert result.outcomes["quarantined"] == 1
    got = ids(lake)
    assert "whole" in got
    assert 1 < len(got) < 401
    assert reasons(lake) == [(len(got), "the gzip stream ends early")]
    assert set(lake.scan(INGEST_OBJECTS).select("key", "state").collect().iter_rows()) == {
        ("date=2026-10-05/a.jsonl", "damaged"), ("date=2026-10-05/b.jsonl", "read"),
    }  # fmt: skip


def test_objects_are_recognised_by_their_bytes(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put("date=2026-10-05/really-plain.jsonl.gz", [record("plain")])
    put("date=2026-10-05/really-gzip.jsonl", [record("gzip")], compress=True)
    put("date=2026-10-05/bom.jsonl", b"\xef\xbb\xbf" + json.dumps(record("bom")).encode())
    mediate(config())
    assert ids(lake) == ["bom", "gzip", "plain"]


def test_an_object_that_vanishes_after_the_listing_is_told_and_the_run_goes_on(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("date=2026-10-05/a.jsonl", [record("a")])
    put("date=2026-10-05/gone.jsonl", [record("b")])
    fetch = LocalStore.fetch

    def vanish(self: LocalStore, ref: ObjectRef) -> bytes:
        if "gone" in ref.key:
            raise ObjectGoneError(ref.key)
        return fetch(self, ref)

    monkeypatch.setattr(LocalStore, "fetch", vanish)
    result = mediate(config())
    assert counted(result) == {"usage": 1}
    assert "1 of the objects vanished between listing and reading" in result.warnings
    states = dict(lake.scan(INGEST_OBJECTS).select("key", "state").collect().iter_rows())
    assert states["date=2026-10-05/gone.jsonl"] == "vanished"


def test_an_account_that_does_not_balance_writes_nothing(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("date=2026-10-05/a.jsonl", [record("a"), record("b")])
    whole = buckets.with_outcomes
    monkeypatch.setattr(buckets, "with_outcomes", lambda *args: whole(*args).head(1))
    with pytest.raises(ConservationError, match=r"date=2026-10-05/a\.jsonl: 2 records were read, but 1"):
        mediate(config())
    assert lake.partitions(USAGE) == []
    assert lake.partitions(INGEST_OBJECTS) == []


@pytest.mark.parametrize("size", [1_040_000, 5_000_000, 60_000_000], ids=["joined", "read", "refused by the reader"])
def test_an_overlong_line_costs_itself_only(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, size: int
) -> None:
    long = json.dumps(record("long", team="x" * size)).encode()
    put("date=2026-10-05/a.jsonl", [record("a"), long, record("b")])
    assert counted(mediate(config(extra={"limits": {"max_line_bytes": 1_000_000}}))) == {"usage": 2, "quarantined": 1}
    row = lake.scan(QUARANTINE).collect().to_dicts()[0]
    assert (row["raw_line"], row["length"], row["sha256"]) == (2, len(long), hashlib.sha256(long).hexdigest())
    assert row["reason"] == f"a line of {len(long)} bytes, over limits.max_line_bytes"


def test_large_objects_are_read_as_they_are_and_made_readable_where_they_must_be(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SMALL", 10)
    lines = [record(f"gz{i}", team=hashlib.sha256(str(i).encode()).hexdigest()) for i in range(50)]
    put("date=2026-10-05/a.gz", lines, compress=True)
    packed = gzip.compress(
        b"\n".join(json.dumps(line | {"request_id": f"cut{i}"}).encode() for i, line in enumerate(lines))
    )
    put("date=2026-10-05/cut.gz", packed[:-600])
    put("date=2026-10-05/bom.jsonl", b"\xef\xbb\xbf" + json.dumps(record("bom")).encode() + b"\n{broken")
    result = mediate(config())
    assert counted(result)["quarantined"] == 2
    got = ids(lake)
    assert {"bom", *(f"gz{i}" for i in range(50))} <= set(got)
    assert 51 < len(got) < 101


def test_a_corrupted_object_is_damaged_however_large(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SMALL", 10)
    lines = "\n".join(json.dumps(record(f"r{i}", input_tokens=1000)) for i in range(100)).encode()
    stored = gzip.compress(lines, compresslevel=0)
    put("date=2026-10-05/a.gz", stored.replace(b'"input_tokens": 1000', b'"input_tokens": 9000', 1))
    # Nobody can say which of the bytes is wrong: none of what the checksum covers is taken.
    assert counted(mediate(config())) == {"quarantined": 1}
    assert reasons(lake) == [(1, "the gzip stream is damaged (incorrect checksum found)")]


def test_a_bomb_is_refused_however_large(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SMALL", 10)
    put("date=2026-10-05/a.gz", gzip.compress(json.dumps(record("a")).encode() + b"\n" + b" " * 20_000_000))
    assert counted(mediate(config(extra={"limits": {"max_inflate_ratio": 50}}))) == {"usage": 1, "quarantined": 1}
    assert reasons(lake)[0][1] == "the gzip stream grows more than 50-fold (limits.max_inflate_ratio)"


def test_an_object_that_spans_pieces_keeps_its_line_numbers(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "PIECE", 1)
    monkeypatch.setattr(inflate, "_CHUNK", 700)
    lines = [record(f"{n}") if n % 7 else b"{broken" for n in range(1, 50)]
    put("date=2026-10-05/a.jsonl", [b"", *lines])
    put("date=2026-10-05/b.jsonl", [record("b"), b"{broken too"])
    assert counted(mediate(config())) == {"usage": 43, "quarantined": 8}
    placed = lake.scan(USAGE).filter(pl.col("raw_object").str.ends_with("a.jsonl")).collect()
    assert (placed["request_id"].cast(pl.Int64) == placed["raw_line"]).all()
    assert [line for line, _ in reasons(lake)] == [2, 7, 14, 21, 28, 35, 42, 49]


# -- every record in its own day -----------------------------------------------------------------------------------


def test_a_stray_is_handed_to_its_day_and_counted_once(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put(
        "date=2026-10-06/a.jsonl", [record("late", at="2026-10-05T08:00:00Z"), record("own", at="2026-10-06T08:00:00Z")]
    )
    put("date=2026-10-05/a.jsonl", [record("early")])
    settings_ = config()
    mediate(settings_, DAY)
    result = mediate(settings_, NEXT)
    assert counted(result) == {"usage": 1, "another_day": 1}
    assert result.stray_days == (DAY,)
    assert days_with_fresh_strays(settings_, lake) == [("logs", DAY)]
    assert counted(mediate(settings_, DAY)) == {"usage": 2}
    assert (ids(lake, DAY), ids(lake, NEXT)) == (["early", "late"], ["own"])
    assert days_with_fresh_strays(settings_, lake) == []
    assert not mediate(settings_, DAY).changed
    assert not mediate(settings_, NEXT).changed


def test_a_stray_that_its_day_knows_already_is_a_duplicate(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put("date=2026-10-06/a.jsonl", [record("x")])
    put("date=2026-10-05/a.jsonl", [record("x")])
    mediate(config(), NEXT)
    assert counted(mediate(config(), DAY)) == {"usage": 1, "duplicate": 1}


def test_strays_that_are_gone_are_taken_back(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put("date=2026-10-06/a.jsonl", [record("late")])
    mediate(config(), NEXT)
    mediate(config(), DAY)
    assert ids(lake, DAY) == ["late"]
    put("date=2026-10-06/a.jsonl", [record("late", at="2026-10-06T08:00:00Z")])
    assert mediate(config(), NEXT).stray_days == (DAY,)
    assert days_with_fresh_strays(config(), lake) == [("logs", DAY)]
    mediate(config(), DAY)
    assert (ids(lake, DAY), ids(lake, NEXT)) == ([], ["late"])


def bedrock(id: str, at: str) -> dict[str, Any]:
    return {"requestId": id, "timestamp": at, "modelId": "amazon.nova-pro-v1:0", "input": {"inputTokenCount": 1}}


def hour(day_hour: str) -> str:
    return f"AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/10/{day_hour}/a.json.gz"


def test_records_near_midnight_are_found_in_the_neighbours_hours(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate
) -> None:
    put(
        hour("06/00"), [bedrock("before", "2026-10-05T23:59:59Z"), bedrock("after", "2026-10-06T00:00:00Z"), b"{broken"]
    )
    settings_ = config(format="bedrock")
    first, second = mediate(settings_, DAY), mediate(settings_, NEXT)
    assert counted(first) == {"usage": 1, "another_day": 2}
    assert counted(second) == {"usage": 1, "another_day": 1, "quarantined": 1}
    assert (ids(lake, DAY), ids(lake, NEXT)) == (["before"], ["after"])
    assert first.stray_days == second.stray_days == ()


def test_twins_on_both_sides_of_midnight_count_once(lake: Lake, config: MakeConfig, put: Put, mediate: Mediate) -> None:
    put(hour("05/23"), [bedrock("twin", "2026-10-05T23:59:59Z")])
    put(hour("06/00"), [bedrock("twin", "2026-10-06T00:00:00Z")])
    settings_ = config(format="bedrock")
    assert counted(mediate(settings_, DAY)) == {"usage": 1, "another_day": 1}
    assert counted(mediate(settings_, NEXT)) == {"duplicate": 1, "another_day": 1}


def test_undated_objects_are_read_for_each_day_and_counted_once(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put("all.jsonl", [record("a"), record("b", at="2026-10-06T08:00:00Z")])
    first, second = mediate(config(), DAY), mediate(config(), NEXT)
    assert counted(first) == counted(second) == {"usage": 1, "another_day": 1}
    assert lake.parts(STRAYS) == []
    assert any("without a date in their keys" in warning for warning in first.warnings)


# -- the same inputs change nothing --------------------------------------------------------------------------------


def test_an_unchanged_day_is_left_alone(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put("date=2026-10-05/a.jsonl", [record("a")])
    first = mediate(config())
    written = Path(lake.place(USAGE, source="logs", date=DAY))
    before = written.stat().st_ino
    file.touch()
    monkeypatch.setattr(LocalStore, "fetch", None)  # nothing is read
    second = mediate(config())
    assert (first.changed, second.changed) == (True, False)
    assert (second.outcomes, second.records) == (first.outcomes, first.records)
    assert written.stat().st_ino == before


@pytest.mark.parametrize(
    "change",
    [
        {"grace_hours": 3},
        {"start_date": "2026-02-01"},
        {"privacy": {"hash_user_ids": True}},
        {"quarantine": {"keep_raw": True}},
    ],
    ids=lambda c: next(iter(c)),
)
def test_a_changed_config_changes_the_digest(
    config: MakeConfig, put: Put, record: Record, mediate: Mediate, change: dict[str, Any]
) -> None:
    put("date=2026-10-05/a.jsonl", [record("a")])
    mediate(config())
    assert mediate(config(extra=change)).changed


def test_changed_objects_and_the_fingerprint_key_change_the_digest(
    config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("date=2026-10-05/a.jsonl", [record("a")])
    mediate(config())
    put("date=2026-10-05/b.jsonl", [record("b")])
    assert mediate(config()).changed
    monkeypatch.setenv("FINOPS_FINGERPRINT_KEY", "another")
    assert mediate(config()).changed
    assert not mediate(config()).changed
    assert mediate(config(), force=True).changed


def test_who_is_charged_on_what_basis_is_no_input_of_mediation(
    config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put("date=2026-10-05/a.jsonl", [record("a")])
    mediate(config())
    assert not mediate(config(cost_basis="reported")).changed


def test_a_day_without_objects_is_recorded_and_told_once_there_is_history(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    assert mediate(config(), DAY - dt.timedelta(1)).warnings == ()
    put("date=2026-10-05/a.jsonl", [record("a")])
    mediate(config(), DAY)
    result = mediate(config(), NEXT)
    assert any(warning.startswith("no objects") for warning in result.warnings)
    for days in range(2, 12):
        silent = mediate(config(), DAY + dt.timedelta(days))
    assert any(warning.startswith("no objects") for warning in silent.warnings)
    assert lake.stamp(USAGE, source="logs", date=NEXT) is not None


def test_two_runs_of_one_day_do_not_write_at_once(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_module, "PATIENCE", dt.timedelta())
    put("date=2026-10-05/a.jsonl", [record("a")])
    with lake.lease(USAGE, source="logs", date=DAY), pytest.raises(LeaseHeldError):
        mediate(config())


def test_a_run_that_waited_for_another_does_not_put_older_logs_in_the_place_of_newer(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("date=2026-10-05/a.jsonl", [record("a")])
    lease, others = Lake.lease, []

    def after_another(self: Lake, *what: Any, **keys: Any) -> Any:
        if not others:
            others.append("which has listed later")
            put("date=2026-10-05/b.jsonl", [record("b")])
            mediate(config())
        return lease(self, *what, **keys)

    monkeypatch.setattr(Lake, "lease", after_another)
    assert not mediate(config()).changed
    assert ids(lake) == ["a", "b"]


def test_a_run_that_ended_while_this_one_was_listing_is_seen_to_be_newer(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("date=2026-10-05/a.jsonl", [record("a")])
    listed, others = day_module.Objects, []

    def before_another(*args: Any) -> Any:
        objects = listed(*args)
        if not others:
            others.append("which has listed later")
            put("date=2026-10-05/b.jsonl", [record("b")])
            mediate(config())
        return objects

    monkeypatch.setattr(day_module, "Objects", before_another)
    assert not mediate(config()).changed
    assert ids(lake) == ["a", "b"]


def test_an_object_that_vanished_is_read_when_it_is_back(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("date=2026-10-05/a.jsonl", [record("a")])
    put("date=2026-10-05/b.jsonl", [record("b")])
    with monkeypatch.context() as patch:
        fetch = LocalStore.fetch

        def vanish(self: LocalStore, ref: ObjectRef) -> bytes:
            if ref.key.endswith("b.jsonl"):
                raise ObjectGoneError(ref.key)
            return fetch(self, ref)

        patch.setattr(LocalStore, "fetch", vanish)
        mediate(config())
    assert ids(lake) == ["a"]
    assert mediate(config()).changed
    assert ids(lake) == ["a", "b"]
    assert not mediate(config()).changed


def test_a_record_of_the_future_is_taken_when_its_time_has_come(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put("date=2026-10-05/a.jsonl", [record("a"), record("b", at="2026-10-05T23:30:00Z")])
    evening = dt.datetime(2026, 10, 5, 20, tzinfo=dt.UTC)
    assert counted(mediate(config(), now=evening)) == {"usage": 1, "quarantined": 1}
    assert not mediate(config(), now=evening + dt.timedelta(hours=1)).changed
    assert counted(mediate(config(), now=evening + dt.timedelta(hours=4))) == {"usage": 2}
    assert not mediate(config()).changed


def test_what_was_read_stays_when_its_raw_logs_have_expired(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    old = put(
        "date=2026-10-05/a.jsonl", [record("a"), record("a"), b"{broken", record("late", at="2026-10-06T01:00:00Z")]
    )
    settings_ = config()
    first = mediate(settings_, DAY)
    mediate(settings_, NEXT)
    old.unlink()
    put("date=2026-10-07/b.jsonl", [record("stray"), record("a", team="twin of what is gone")])
    mediate(settings_, dt.date(2026, 10, 7))
    again = mediate(settings_, DAY)
    assert ids(lake, DAY) == ["a", "stray"]
    assert counted(first) == {"usage": 1, "duplicate": 1, "quarantined": 1, "another_day": 1}
    assert counted(again) == {"usage": 2, "duplicate": 2, "quarantined": 1, "another_day": 1}
    assert any("gone from the source since the last run" in warning for warning in again.warnings)
    assert [reason for _, reason in reasons(lake)] == ["not JSON: object keys must be strings (byte 1)"]
    assert (
        lake.scan(INGEST_OBJECTS, date=DAY).filter(pl.col("state") == "expired").select("strays").collect().item() == 1
    )
    assert again.stray_days == ()
    assert ids(lake, NEXT) == ["late"]
    assert not mediate(settings_, DAY).changed
    assert not mediate(settings_, NEXT).changed


def test_another_uri_keeps_nothing_of_the_old_one(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put("old/date=2026-10-05/a.jsonl", [record(None)])
    put("new/date=2026-10-05/a.jsonl", [record(None)])
    mediate(config(uri="logs/old"))
    assert counted(mediate(config(uri="logs/new"))) == {"usage": 1}


# -- any size, any chunking ------------------------------------------------------------------------------------------


def test_the_rows_are_the_same_whatever_the_pieces(
    config: MakeConfig, put: Put, record: Record, mediate: Mediate, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in range(5):
        lines = [
            record(f"r{n % 400}", at=f"2026-10-05T{part:02}:00:{n % 60:02}Z")
            for n in range(part * 100, part * 100 + 200)
        ]
        put(f"date=2026-10-05/{part}.jsonl", lines)
    whole = mediate(config())
    rows = lake.scan(USAGE).collect().sort("request_id")
    monkeypatch.setattr(spool, "PIECE", 4096)
    monkeypatch.setattr(fetching, "FETCHED", 8192)
    monkeypatch.setattr(buckets, "BUCKET_BYTES", 8192)
    pieces = mediate(config(), force=True)
    assert counted(pieces) == counted(whole)
    assert lake.scan(USAGE).collect().sort("request_id").equals(rows)


def test_parquet_and_csv_rows_are_records(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, tmp_path: Path
) -> None:
    put(
        "date=2026-10-05/a.csv",
        b"timestamp,model,input_tokens,cost\n2026-10-05T08:00:00Z,gpt-4o,5,0.1\nonly,three,cells\n",
    )
    table = pa.table(
        {
            "timestamp": pa.array([dt.datetime(2026, 10, 5, 9, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
            "model": ["gpt-4o"],
            "input_tokens": [7],
            "cost": [0.25],
            "unknown": [{"a": 1}],
        }
    )
    pq.write_table(table, tmp_path / "logs/date=2026-10-05/b.parquet")
    put("date=2026-10-05/c.parquet", b"PAR1 but no table at all PAR1")
    assert counted(mediate(config())) == {"usage": 2, "quarantined": 2}
    rows = lake.scan(USAGE).select("raw_object", "input_tokens", "reported_cost").sort("raw_object").collect().rows()
    assert [(key.rpartition("/")[2], tokens, str(cost)) for key, tokens, cost in rows] == [
        ("a.csv", 5, "0.100000000000"), ("b.parquet", 7, "0.250000000000"),
    ]  # fmt: skip
    assert reasons(lake) == [(1, "not a readable Parquet file"), (2, "3 cells, where the header has 4")]


def test_half_a_row_of_a_table_that_breaks_off_is_no_row(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate
) -> None:
    table = b"timestamp,model,input_tokens\n2026-10-05T08:00:00Z,gpt-4o,111\n2026-10-05T08:00:01Z,gpt-4o,222222"
    stored = gzip.compress(table, compresslevel=0)
    put("date=2026-10-05/a.csv", stored[:-11])  # the checksum, the length and three digits are missing
    assert counted(mediate(config())) == {"usage": 1, "quarantined": 1}
    assert lake.scan(USAGE).collect().get_column("input_tokens").to_list() == [111]
    assert reasons(lake) == [(2, "the gzip stream ends early")]


def test_user_ids_are_hashed_where_the_config_says_so(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate
) -> None:
    arn = "arn:aws:sts::1:assumed-role/AWSReservedSSO_Dev_0/ana@example.com"
    put(hour("05/14"), [bedrock("a", "2026-10-05T14:00:00Z") | {"identity": {"arn": arn}}])
    mediate(config(format="bedrock", extra={"privacy": {"hash_user_ids": True}}))
    user, principal = lake.scan(USAGE).select("user_id", "principal").collect().row(0)
    assert len(user) == 32
    assert principal == f"arn:aws:sts::1:assumed-role/AWSReservedSSO_Dev_0/{user}"


JUNK = st.one_of(
    st.binary(max_size=60).map(lambda b: b.replace(b"\n", b"")),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ).map(lambda v: json.dumps(v).encode()),
    st.fixed_dictionaries(
        {"timestamp": st.sampled_from(["2026-10-05T08:00:00Z", "x", None, 5, 1791208801, []])},
        optional={
            name: st.sampled_from([1, -1, 1.5, "7", "x", None, [], {}, 10**30, True])
            for name in (
                "input_tokens",
                "output_tokens",
                "cost",
                "request_id",
                "status",
                "stream",
                "latency_ms",
                "team",
            )
        },
    ).map(lambda v: json.dumps(v).encode()),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(JUNK, max_size=30))
def test_whatever_the_lines_hold_the_account_balances(
    lines: list[bytes], lake: Lake, config: MakeConfig, put: Put, mediate: Mediate
) -> None:
    lines = [b'{"first": "so that no magic bytes begin the object"}', *lines]
    put("date=2026-10-05/a.jsonl", lines)
    result = mediate(config(), force=True)
    records = sum(1 for line in b"\n".join(lines).split(b"\n") if line.strip())
    assert result.records == records == sum(result.outcomes.values())
    assert set(result.outcomes) == set(OUTCOMES)


# -- errors that a user can act on -----------------------------------------------------------------------------------


def test_a_missing_folder_is_one_clear_error(config: MakeConfig, mediate: Mediate) -> None:
    with pytest.raises(SourceError, match=r"source logs: there is no folder .*/nowhere\. Check its `uri`"):
        mediate(config(uri="nowhere"))


def test_an_unwritable_lake_is_one_clear_error(
    config: MakeConfig, put: Put, record: Record, tmp_path: Path, mediate: Mediate
) -> None:
    put("date=2026-10-05/a.jsonl", [record("a")])
    (tmp_path / "lake").write_text("a file where the lake should be")
    with pytest.raises(LakeError):
        mediate(config())
