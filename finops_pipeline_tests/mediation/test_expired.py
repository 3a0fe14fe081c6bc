"""What an earlier run read stays when its raw logs are gone: once, under the config in force, and known as such."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

import polars as pl
import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.mediation import batches, buckets
from finops_pipeline.mediation.objects import LocalStore, ObjectGoneError, ObjectRef
from finops_pipeline.mediation.result import DayResult
from finops_pipeline.schemas import INGEST_OBJECTS, QUARANTINE, STRAYS, TOKEN_CLASSES, USAGE

DAY = dt.date(2026, 10, 5)
NEXT = dt.date(2026, 10, 6)
START = 1_791_187_200_000_000_000
"""2026-10-05T08:00:00Z in nanoseconds."""
A, B, C = (f"date=2026-10-05/{name}.jsonl" for name in "abc")
HASH_IDS = {"privacy": {"hash_user_ids": True}}
KEEP_RAW = {"quarantine": {"keep_raw": True}}

Mediate = Callable[..., DayResult]
Put = Callable[..., Path]
Record = Callable[..., dict[str, Any]]
MakeConfig = Callable[..., Config]


def ids(lake: Lake, date: dt.date = DAY) -> list[str]:
    return sorted(lake.scan(USAGE, date=date).collect().get_column("request_id"))


def tokens(lake: Lake, date: dt.date = DAY) -> list[int]:
    """What each call of the day consumed, all classes together."""
    used = lake.scan(USAGE, date=date).select(pl.sum_horizontal(TOKEN_CLASSES)).collect().to_series()
    return sorted(used)


def states(lake: Lake) -> dict[str, str]:
    return dict(lake.scan(INGEST_OBJECTS, date=DAY).select("key", "state").collect().iter_rows())


def digest(lake: Lake) -> str:
    stamp = lake.stamp(USAGE, source="logs", date=DAY)
    assert stamp is not None
    return stamp.input_digest


@contextmanager
def vanishing(name: str) -> Iterator[None]:
    """Objects of that name are listed, and gone when they are fetched."""
    fetch = LocalStore.fetch

    def gone(self: LocalStore, ref: ObjectRef) -> bytes:
        if name in ref.key:
            raise ObjectGoneError(ref.key)
        return fetch(self, ref)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStore, "fetch", gone)
        yield


# -- other rows, another digest ----------------------------------------------------------------------------------------


def test_a_day_that_lost_its_history_is_no_more_the_day_that_had_it(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    raw = put(A, [record("a")])
    mediate(config())
    raw.unlink()
    mediate(config())
    kept = digest(lake)
    assert ids(lake) == ["a"]
    rmtree(lake.folder(USAGE, source="logs"))  # as the README says
    mediate(config())
    assert ids(lake) == []
    assert digest(lake) != kept


def test_a_record_that_was_refused_as_future_changes_the_day_when_it_is_admitted(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put(A, [record("a"), record("b", at="2026-10-05T23:30:00Z")])
    mediate(config(), now=dt.datetime(2026, 10, 5, 20, tzinfo=dt.UTC))
    refused = digest(lake)
    mediate(config())
    assert ids(lake) == ["a", "b"]
    assert digest(lake) != refused


def test_a_rerun_of_what_is_kept_says_the_same_and_is_not_asked_for(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    raw = put(A, [record("a"), record("b"), b"{broken"])
    put(B, [record("c"), b"{broken too"])
    mediate(config())
    raw.unlink()
    assert mediate(config()).changed
    tables = (USAGE, QUARANTINE, INGEST_OBJECTS)
    once, known = digest(lake), [lake.scan(table).collect() for table in tables]
    assert not mediate(config()).changed
    assert mediate(config(), force=True).changed
    assert digest(lake) == once
    assert all(lake.scan(table).collect().equals(rows) for table, rows in zip(tables, known, strict=True))


# -- gone between the listing and the reading --------------------------------------------------------------------------


def test_what_was_read_before_stays_when_its_object_vanishes_after_the_listing(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put(A, [record("a")])
    raw = put(B, [record("b"), record("b"), b"{broken"])
    mediate(config())
    put(C, [record("c")])
    with vanishing("b.jsonl"):
        result = mediate(config())
    assert ids(lake) == ["a", "b", "c"]
    assert result.outcomes["usage"] == 3
    assert (result.outcomes["duplicate"], result.outcomes["quarantined"]) == (1, 1)
    assert states(lake) == {A: "read", B: "expired", C: "read"}
    assert any("gone from the source since the last run" in warning for warning in result.warnings)
    raw.unlink()
    assert not mediate(config()).changed
    mediate(config(), force=True)
    assert ids(lake) == ["a", "b", "c"]
    put(B, [record("b2")])
    assert mediate(config()).changed
    assert ids(lake) == ["a", "b2", "c"]


def test_what_vanishes_in_another_version_is_told_as_it_was_read(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put(A, [record("a")])
    mediate(config())
    read = lake.scan(INGEST_OBJECTS).select("size", "etag").collect().row(0)
    put(A, [record("a"), record("b")])
    with vanishing("a.jsonl"):
        mediate(config())
    assert ids(lake) == ["a"]
    assert lake.scan(INGEST_OBJECTS).select("size", "etag").collect().row(0) == read
    assert mediate(config()).changed
    assert ids(lake) == ["a", "b"]


# -- records that belong together --------------------------------------------------------------------------------------


def hour(hour: int) -> str:
    return f"y=2026/m=10/d=05/h={hour:02}/m=00/PT1H.json"


def chunk(sequence: int, at: str, prompt: int, completion: int) -> dict[str, Any]:
    """A row of an Azure call, a long message's tokens in part."""
    told = {
        "correlationId": "call", "sequenceNumber": sequence, "modelName": "gpt-4o",
        "promptTokens": prompt, "completionTokens": completion,
    }  # fmt: skip
    return {"time": at, "category": "GatewayLlmLogs", "properties": told}


def test_an_azure_call_is_not_summed_again_when_its_first_rows_are_gone(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate
) -> None:
    first = put(hour(8), [chunk(0, "2026-10-05T08:59:59Z", 80, 20)])
    put(hour(9), [chunk(1, "2026-10-05T09:00:00Z", 0, 50)])
    settings_ = config(format="azure_apim")
    mediate(settings_)
    assert tokens(lake) == [150]
    first.unlink()
    for _ in range(3):
        result = mediate(settings_, force=True)
        assert tokens(lake) == [150]
        assert (result.outcomes["usage"], result.conflicts) == (1, 0)


def test_what_is_kept_of_calls_that_lie_in_several_objects_is_said_to_be_uncertain(
    config: MakeConfig, put: Put, mediate: Mediate
) -> None:
    put(hour(8), [chunk(0, "2026-10-05T08:59:59Z", 80, 20)])
    late = put(hour(9), [chunk(1, "2026-10-05T09:00:00Z", 0, 50)])
    settings_ = config(format="azure_apim")
    assert mediate(settings_).warnings == ()
    late.unlink()
    told = "1 of the objects gone: tokens of calls that lie in several objects may count in part or twice"
    assert told in mediate(settings_).warnings


def traces(*spans: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": list(spans)}]}]}]


def span(id: str, operation: str, parent: str = "") -> dict[str, Any]:
    told = {"gen_ai.operation.name": operation, "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}
    attributes = [{"key": name, "value": {"stringValue": value}} for name, value in told.items()]
    attributes.append({"key": "gen_ai.usage.input_tokens", "value": {"intValue": "100"}})
    return {
        "traceId": "t", "spanId": id, "parentSpanId": parent, "attributes": attributes,
        "startTimeUnixNano": str(START), "endTimeUnixNano": str(START + 1_000_000_000),
    }  # fmt: skip


@pytest.mark.parametrize("late", ["agent", "chat"])
def test_spans_delivered_a_day_later_meet_their_trace(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate, late: str
) -> None:
    spans = {"agent": span("1", "invoke_agent"), "chat": span("2", "chat", parent="1")}
    put("date=2026-10-06/late.json", traces(spans.pop(late)))
    put("date=2026-10-05/own.json", traces(*spans.values()))
    settings_ = config(format="otel")
    mediate(settings_, DAY)
    assert mediate(settings_, NEXT).stray_days == (DAY,)
    result = mediate(settings_, DAY)
    assert tokens(lake) == [100]
    assert lake.scan(USAGE).select("operation").collect().item() == "chat"
    assert {name: n for name, n in result.outcomes.items() if n} == {"usage": 1, "not_usage": 1}


def test_rows_of_an_azure_call_delivered_a_day_later_are_summed_with_the_others(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate
) -> None:
    put("date=2026-10-05/a.json", [chunk(0, "2026-10-05T23:59:58Z", 80, 20)])
    late = [chunk(1, "2026-10-05T23:59:59Z", 0, 50), chunk(2, "2026-10-05T23:59:59.5Z", 0, 25)]
    put("date=2026-10-06/b.json", late)
    settings_ = config(format="azure_apim")
    mediate(settings_, DAY)
    mediate(settings_, NEXT)
    for _ in range(2):
        mediate(settings_, DAY, force=True)
        assert tokens(lake) == [175]


def test_strays_of_an_older_lake_are_taken_as_they_are(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put("date=2026-10-06/late.jsonl", [record("late")])
    put(A, [record("a")])
    mediate(config(), NEXT)
    file = Path(lake.place(STRAYS, part=f"from-{NEXT}", source="logs", date=DAY))
    older = pl.read_parquet(file, hive_partitioning=False).drop("group_key", "group_extras")
    older.write_parquet(file)  # of a contract without these columns
    mediate(config(), DAY)
    assert ids(lake) == ["a", "late"]


# -- the config in force -----------------------------------------------------------------------------------------------


def test_raw_lines_go_when_the_config_keeps_them_no_more(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate
) -> None:
    line = b'{"prompt": "a secret'
    raw = put(A, [line])
    mediate(config(extra=KEEP_RAW))
    raw.unlink()
    mediate(config(extra=KEEP_RAW), force=True)
    assert lake.scan(QUARANTINE).select("raw").collect().item() == line
    mediate(config())
    assert lake.scan(QUARANTINE).select("raw_line", "length", "raw").collect().row(0) == (1, len(line), None)


def test_user_ids_of_what_is_kept_are_hashed_once_when_the_config_begins_to_ask_for_it(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    raw = put(A, [record("a", user_id="ana@x.com")])
    put(B, [record("b", user_id="ana@x.com")])
    mediate(config())
    raw.unlink()
    for _ in range(2):
        mediate(config(extra=HASH_IDS), force=True)
        kept, read = lake.scan(USAGE).sort("request_id").select("user_id").collect().to_series()
        assert kept == read
        assert "ana" not in kept


@pytest.mark.parametrize("expire", [False, True], ids=["there", "gone"])
def test_user_ids_of_strays_are_hashed_when_the_config_begins_to_ask_for_it(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, expire: bool
) -> None:
    put(A, [record("a", user_id="ana@x.com")])
    raw = put("date=2026-10-06/late.jsonl", [record("late", user_id="ana@x.com")])
    mediate(config(), NEXT)
    mediate(config(), DAY)
    if expire:
        raw.unlink()
    # The own day first: what waits for it is still as the other day's run has written it.
    mediate(config(extra=HASH_IDS), DAY)
    mediate(config(extra=HASH_IDS), NEXT)
    waiting = lake.scan(STRAYS).select("user_id").collect().item()
    for _ in range(2):
        kept, read = lake.scan(USAGE, date=DAY).select("user_id").collect().to_series()
        assert kept == read == waiting
        assert "ana" not in kept
        mediate(config(extra=HASH_IDS), DAY, force=True)


# -- compressed in place -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["", ".gz"])
def test_a_log_that_is_compressed_in_place_is_the_same_log(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, before: str
) -> None:
    lines = [record(None), record(None, at="2026-10-05T09:00:00Z"), b"{broken"]
    after = "" if before else ".gz"
    raw = put(A + before, lines, compress=bool(before))
    mediate(config())
    raw.unlink()
    put(A + after, lines, compress=bool(after))
    result = mediate(config())
    assert (result.outcomes["usage"], result.outcomes["quarantined"], result.records) == (2, 1, 3)
    assert states(lake) == {A + after: "read"}


def test_strays_of_a_log_that_is_compressed_in_place_are_handed_over_once(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    lines = [record(None, at="2026-10-06T01:00:00Z")]
    raw = put(A, lines)
    mediate(config(), DAY)
    raw.unlink()
    put(A + ".gz", lines, compress=True)
    mediate(config(), DAY)
    mediate(config(), NEXT)
    assert ids(lake, NEXT) == [f"{A}.gz#1"]


# -- the account -------------------------------------------------------------------------------------------------------


def test_each_table_says_its_own_contracts_version(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    put(A, [record("a"), b"{broken", record("late", at="2026-10-06T08:00:00Z")])
    mediate(config())
    for table in (USAGE, INGEST_OBJECTS, QUARANTINE):
        stamp = lake.stamp(table, source="logs", date=DAY)
        assert stamp is not None
        assert stamp.schema_version == table.version
    [(_, stamp)] = lake.stamps(STRAYS)
    assert stamp.schema_version == STRAYS.version


def test_documents_of_what_is_gone_stay_documents(lake: Lake, config: MakeConfig, put: Put, mediate: Mediate) -> None:
    documents = [*traces(span("1", "chat"), span("2", "chat")), *traces(span("3", "chat"))]
    raw = put("date=2026-10-05/a.json", documents)
    result = mediate(config(format="otel"))
    assert (result.lines, result.records) == (2, 3)
    raw.unlink()
    result = mediate(config(format="otel"))
    assert (result.lines, result.records) == (2, 3)
    assert lake.scan(INGEST_OBJECTS).select("lines", "records", "state").collect().row(0) == (2, 3, "expired")


# -- any size ----------------------------------------------------------------------------------------------------------


def _counting(add: Callable[..., None], counted: list[int]) -> Callable[..., None]:
    def counting(self: buckets.Buckets, rows: pl.DataFrame, *more: Any) -> None:
        counted.append(rows.height)
        add(self, rows, *more)

    return counting


def test_earlier_rows_make_buckets_as_logs_do() -> None:
    rows = 3 * buckets.BUCKET_BYTES // buckets.ROW_BYTES
    assert (buckets.bucket_count(0, 0), buckets.bucket_count(0, rows)) == (1, 3)
    assert buckets.bucket_count(2 * buckets.BUCKET_BYTES, rows + 1) == 6


def test_the_rows_are_the_same_whatever_the_batches(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    raws = [
        put(f"date=2026-10-05/{n}.jsonl", [record(f"{n}-{i}", at=f"2026-10-05T{i:02}:00:00Z") for i in range(20)])
        for n in range(5)
    ]
    late = [record(f"late-{i}", at=f"2026-10-05T{i:02}:30:00Z", tags={"n": i}) for i in range(20)]
    broken = [json.dumps({"n": i})[:-1].encode() for i in range(20)]
    put(A, broken).rename(raws[0].with_name("broken.jsonl"))
    put("date=2026-10-06/late.jsonl", late)
    mediate(config(), NEXT)
    mediate(config(), DAY)
    for raw in [*raws, raws[0].with_name("broken.jsonl")]:
        raw.unlink()
    mediate(config(), DAY)
    whole = lake.scan(USAGE).collect().sort("request_id")
    assert whole.height == 120
    [(_, strays)] = lake.stamps(STRAYS)
    taken = []
    for name in ("add", "add_resolved"):
        monkeypatch.setattr(buckets.Buckets, name, _counting(getattr(buckets.Buckets, name), taken))
    monkeypatch.setattr(batches, "ROWS", 7)
    monkeypatch.setattr(buckets, "BUCKET_BYTES", 16 * buckets.ROW_BYTES)
    result = mediate(config(), DAY, force=True)
    assert (result.outcomes["usage"], result.outcomes["quarantined"]) == (120, 20)
    assert lake.scan(USAGE).collect().sort("request_id").equals(whole)
    assert lake.scan(QUARANTINE).collect().height == 20
    assert (sum(taken), max(taken)) == (120, 7)
    (Path(config().resolved("logs")) / "date=2026-10-06/late.jsonl").unlink()
    assert mediate(config(), NEXT, force=True).stray_days == ()
    [(_, kept)] = lake.stamps(STRAYS)
    assert kept.input_digest == strays.input_digest
