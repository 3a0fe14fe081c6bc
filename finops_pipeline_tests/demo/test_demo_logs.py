"""The sample logs hold what their manifest says, and every oddity that the demo promises."""

import datetime as dt
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from demo_readback import CLASSES, Reading, Sample, key_time, read_back

from finops_pipeline.demo.company import MODELS
from finops_pipeline.demo.logs import SampleLogs, generate
from finops_pipeline.demo.manifest import MANIFEST_VERSION, Manifest, Totals
from finops_pipeline.demo.oddities import GARBAGE
from finops_pipeline.demo.record_logs import IMPOSSIBLE

SOURCES = ("bedrock", "gateway", "internal")

CONTENT = {3: "c9e4ddf35db4d73758b54e95ef2f64539cf148e89894a652f22aed9a07291b87"}
"""Content of each version of the sample logs at scale 0.01: whoever changes them raises MANIFEST_VERSION."""


def content_digest(objects: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256 of keys and decompressed content: what zlib and Parquet make of it may differ by version."""
    digest = hashlib.sha256()
    for key, body in objects:
        if key.endswith(".gz"):
            body = gzip.decompress(body)
        elif key.endswith(".parquet"):
            body = repr(pq.read_table(io.BytesIO(body)).to_pylist()).encode()
        digest.update(f"{key} {len(body)} ".encode() + body)
    return digest.hexdigest()


# -- the same everywhere ----------------------------------------------------------------------------------------------


def test_content_changes_with_its_version_only() -> None:
    assert content_digest(generate(0.01)) == CONTENT[MANIFEST_VERSION]


def test_two_generations_are_equal_byte_for_byte() -> None:
    assert list(generate(0.01)) == list(generate(0.01))


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_logs_do_not_depend_on_the_hash_seed(hash_seed: str) -> None:
    code = (
        "import hashlib; from finops_pipeline.demo.logs import generate; d = hashlib.sha256()\n"
        "for key, body in generate(0.002): d.update(key.encode() + body)\n"
        "print(d.hexdigest())"
    )
    here = hashlib.sha256(b"".join(key.encode() + body for key, body in generate(0.002))).hexdigest()
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2])}
    there = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_manifest_survives_json(sample: Sample) -> None:
    assert Manifest.from_json(sample.manifest.to_json()) == sample.manifest


# -- the manifest against a count of its own --------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_manifest_counts_what_the_objects_hold(sample: Sample, source: str) -> None:
    reading, told = sample.readings[source], sample.manifest.deliveries[source]
    calls = reading.first
    assert told.objects == len(reading.objects)
    assert told.bytes == sum(map(len, reading.objects.values()))
    assert told.zero_byte_objects == reading.empty
    assert told.offloaded_bodies == reading.bodies
    assert told.calls == len(calls)
    assert told.duplicates == len(reading.seen) - len(calls)
    assert told.broken == len(reading.broken)
    assert told.not_usage == reading.audit_lines
    assert told.records == told.calls + told.duplicates + told.broken + told.not_usage


@pytest.mark.parametrize("source", SOURCES)
def test_manifest_places_calls_as_their_keys_do(sample: Sample, source: str) -> None:
    strays = late = 0
    for call in sample.readings[source].first.values():
        day, hour = key_time(call.key)
        midnight = dt.datetime.combine(call.at.date() + dt.timedelta(1), dt.time(), dt.UTC)
        if day == call.at.date():
            continue
        delivered = dt.datetime.combine(day, dt.time(hour or 0), dt.UTC)
        if hour is not None and midnight <= delivered < midnight + dt.timedelta(hours=2):
            late += 1
        else:
            strays += 1
    told = sample.manifest.deliveries[source]
    assert (told.strays, told.late_within_grace) == (strays, late)


def test_cells_hold_every_call_token_and_cost(sample: Sample) -> None:
    prices = {model.raw: model.nano_usd_per_token for model in MODELS.values()}
    counted: defaultdict[tuple[object, ...], Totals] = defaultdict(Totals)
    for source, reading in sample.readings.items():
        for call in reading.first.values():
            cell = (source, call.at.date(), call.team, call.project, call.model)
            cost = sum(n * price for n, price in zip(call.tokens, prices[call.model], strict=True))
            counted[cell] += Totals(1, int(call.failed), *call.tokens, cost)
    assert sample.manifest.totals_by("source", "day", "team", "project", "model") == dict(counted)


def test_totals_by_any_dimension_sum_to_the_same(sample: Sample) -> None:
    whole = sample.manifest.totals_by()[()]
    assert whole.calls == sample.manifest.calls
    for dimension in ("source", "day", "team", "model"):
        parts = sample.manifest.totals_by(dimension).values()
        assert sum(p.calls for p in parts) == whole.calls
        assert sum(p.tokens for p in parts) == whole.tokens


def test_reported_costs_are_what_the_gateway_and_the_services_wrote(sample: Sample) -> None:
    gateway = sum(round(c.raw["response_cost"] * 10**9) for c in sample.readings["gateway"].first.values())
    internal = sum(round(float(c.raw["cost"] or 0) * 10**9) for c in sample.readings["internal"].first.values())
    assert sample.manifest.deliveries["gateway"].reported_nano_usd == gateway
    assert sample.manifest.deliveries["internal"].reported_nano_usd == internal
    assert sample.manifest.deliveries["bedrock"].reported_nano_usd == 0


# -- layouts and oddities ---------------------------------------------------------------------------------------------


def copies(reading: Reading) -> list[list[dict[str, object]]]:
    by_id: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
    for call in reading.seen:
        by_id[call.request_id].append(call.raw)
    return [records for records in by_id.values() if len(records) > 1]


def test_every_call_lies_in_september_and_october(sample: Sample) -> None:
    for source, reading in sample.readings.items():
        days = {call.at.date() for call in reading.seen}
        assert dt.date(2026, 9, 1) <= min(days), source
        assert max(days) <= dt.date(2026, 10, 31), source
    assert len({call.at.date() for reading in sample.readings.values() for call in reading.seen}) == 61


def test_calls_come_close_to_midnight(sample: Sample) -> None:
    times = [call.at.time() for reading in sample.readings.values() for call in reading.seen]
    assert max(times) > dt.time(23, 55)
    assert min(times) < dt.time(0, 5)


def test_keys_have_the_layout_of_their_format(sample: Sample) -> None:
    root = r"bedrock/AWSLogs/\d{12}/BedrockModelInvocationLogs"
    layout = {
        "bedrock": rf"{root}/(us-east-1|eu-west-1)/\d{{4}}/\d\d/\d\d/\d\d/(\d{{8}}T\d{{9}}Z_[0-9a-f]{{16}}\.json\.gz"
        rf"|data/[0-9a-f-]{{36}}_input\.json\.gz|amazon-bedrock-logs-permission-check)"
        rf"|{root}/amazon-bedrock-logs-permission-check",
        "gateway": r"gateway/llm-logs/(\w+/)?\d{4}-\d\d-\d\d/time-\d\d-\d\d-\d\d-\d{6}_chatcmpl-.+\.json"
        r"|gateway/llm-logs/audit_logs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d_aud-\d+\.json",
        "internal": r"internal/date=\d{4}-\d\d-\d\d/part-0\.(jsonl|csv|parquet)",
    }
    for source, reading in sample.readings.items():
        assert [k for k in reading.objects if not re.fullmatch(layout[source], k)] == []


def test_bedrock_keys_tell_the_delivery_which_follows_the_call(sample: Sample) -> None:
    for call in sample.readings["bedrock"].seen:
        day, hour = key_time(call.key)
        assert hour is not None
        assert call.at < dt.datetime.combine(day, dt.time(hour, 59, 59), dt.UTC)


def test_internal_days_come_in_all_three_forms(sample: Sample) -> None:
    forms = Counter(key.rpartition(".")[2] for key in sample.readings["internal"].objects)
    assert forms.keys() == {"jsonl", "csv", "parquet"}
    assert forms.total() == 61


def test_gateway_names_the_team_in_the_key(sample: Sample) -> None:
    for call in sample.readings["gateway"].seen:
        folders = call.key.split("/")[2:-2]
        assert folders == ([call.team] if call.team else [])


def test_there_are_identical_and_nearly_identical_duplicates(sample: Sample) -> None:
    for source in ("bedrock", "internal"):
        same = [records[0] == records[1] for records in copies(sample.readings[source])]
        assert any(same)
        assert not all(same)
    assert copies(sample.readings["gateway"])


def test_duplicates_tell_the_same_tokens_of_the_same_day(sample: Sample) -> None:
    for reading in sample.readings.values():
        first = reading.first
        for call in reading.seen:
            told = first[call.request_id]
            assert call.at.date() == told.at.date()
            assert call.tokens == told.tokens


def test_gateway_duplicates_lie_microseconds_apart(sample: Sample) -> None:
    for one, other in copies(sample.readings["gateway"]):
        assert 0 < abs(one["startTime"] - other["startTime"]) < 0.001


def test_broken_lines_are_of_several_kinds(sample: Sample) -> None:
    for source, least in {"bedrock": 2, "gateway": 1, "internal": 2}.items():
        assert len(set(sample.readings[source].broken)) >= least
    torn = [line for line in sample.readings["bedrock"].broken if line.startswith(b'{"schemaType"')]
    assert torn
    assert len(torn) < len(sample.readings["bedrock"].broken)


@pytest.mark.parametrize("line", GARBAGE)
def test_garbage_is_no_json_object(line: bytes) -> None:
    assert read_back({"internal/date=2026-09-01/part-0.jsonl": line})["internal"].seen == []


@pytest.mark.parametrize("values", IMPOSSIBLE)
def test_impossible_values_spoil_a_record(sample: Sample, values: dict[str, object]) -> None:
    key = "internal/date=2026-09-01/part-0.jsonl"
    good = json.loads(sample.objects[key].split(b"\n")[0])
    assert len(read_back({key: json.dumps(good).encode()})["internal"].seen) == 1
    assert len(read_back({key: json.dumps(good | values).encode()})["internal"].broken) == 1


def test_there_are_strays_and_late_records_within_the_grace_hours(sample: Sample) -> None:
    told = sample.manifest.deliveries
    assert told["bedrock"].strays
    assert told["bedrock"].late_within_grace
    assert told["internal"].strays


def test_no_stray_arrives_after_the_last_day(sample: Sample) -> None:
    """The demo runs no later day, so nothing would look for it."""
    for reading in sample.readings.values():
        for call in reading.seen:
            day, hour = key_time(call.key)
            assert day <= dt.date(2026, 10, 31) or (call.at.date() == dt.date(2026, 10, 31) and hour in (0, 1))


def test_throttled_bedrock_calls_carry_no_bodies_and_come_again_under_a_new_id(sample: Sample) -> None:
    reading = sample.readings["bedrock"]
    failed = [call for call in reading.seen if call.failed]
    assert failed
    for call in failed:
        assert not {"input", "output"} & call.raw.keys()
        again = [
            c
            for c in reading.seen
            if not c.failed
            and c.request_id != call.request_id
            and (c.model, c.raw["identity"]) == (call.model, call.raw["identity"])
            and dt.timedelta(0) < c.at - call.at < dt.timedelta(seconds=11)
        ]
        assert again


def test_gateway_retries_share_their_trace(sample: Sample) -> None:
    reading = sample.readings["gateway"]
    failed = {c.raw["trace_id"] for c in reading.seen if c.failed}
    answered = {c.raw["trace_id"] for c in reading.seen if not c.failed}
    assert failed
    assert failed <= answered


def test_gateway_cache_hits_have_an_id_of_their_own_and_cost_nothing(sample: Sample) -> None:
    hits = [c for c in sample.readings["gateway"].first.values() if c.raw["cache_hit"]]
    assert len(hits) == sample.manifest.deliveries["gateway"].gateway_cache_hits > 0
    for hit in hits:
        assert "_cache_hit" in hit.request_id
        assert hit.raw["response_cost"] == 0
        assert hit.raw["saved_cache_cost"] > 0


def test_prompts_are_cached_and_come_again(sample: Sample) -> None:
    totals = sample.manifest.totals_by("source")
    assert all(getattr(totals["bedrock",], name) for name in CLASSES)
    prompts = Counter(
        json.dumps(c.raw["input"]["inputBodyJson"])
        for c in sample.readings["bedrock"].first.values()
        if "inputBodyJson" in c.raw.get("input", {})
    )
    assert sum(n for n in prompts.values() if n > 1) > 0.03 * prompts.total()
    assert sum(n for n in prompts.values() if n == 1) > 0.5 * prompts.total()


def test_markers_audit_lines_and_offloaded_bodies_are_there(sample: Sample) -> None:
    told = sample.manifest.deliveries
    assert told["bedrock"].zero_byte_objects
    assert told["bedrock"].offloaded_bodies
    assert told["gateway"].not_usage
    for call in sample.readings["bedrock"].first.values():
        if path := call.raw.get("input", {}).get("inputBodyS3Path"):
            assert path.partition("//")[2].partition("/")[2] in sample.objects


def test_calls_without_a_team_come_from_every_source(sample: Sample) -> None:
    totals = sample.manifest.totals_by("source", "team")
    assert all(totals[source, None].calls for source in SOURCES)


# -- the company ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole() -> Manifest:
    """The demo as users get it, without its bytes."""
    logs = SampleLogs()
    for _, objects in logs.days():
        for _ in objects:
            pass
    return logs.manifest


def test_the_whole_demo_has_the_size_that_the_readme_tells(whole: Manifest) -> None:
    assert 195_000 < whole.calls < 205_000
    assert 115_000 < whole.deliveries["bedrock"].calls < 125_000
    assert 70_000 < whole.deliveries["internal"].calls < 80_000
    assert whole.deliveries["gateway"].objects <= 4_000
    assert sum(d.bytes for d in whole.deliveries.values()) < 60_000_000


def test_one_unknown_model_has_a_small_share_of_the_tokens(whole: Manifest) -> None:
    share = whole.totals_by("model")[whole.unpriced_model,].tokens / whole.totals_by()[()].tokens
    assert 0.0005 < share < 0.003


def test_engineering_grows_much_and_the_company_a_little(whole: Manifest) -> None:
    def tokens(month: int, team: str | None = None) -> int:
        cells = (c for c in whole.cells if c.day.month == month and team in (None, c.team))
        return sum(c.totals.tokens for c in cells)

    assert tokens(10, "engineering") > 1.7 * tokens(9, "engineering")
    assert 1.15 < tokens(10) / tokens(9) < 1.7


def test_a_month_costs_tens_of_thousands(whole: Manifest) -> None:
    for month in (9, 10):
        nano_usd = sum(c.totals.cost_nano_usd for c in whole.cells if c.day.month == month)
        assert 10_000 < nano_usd / 10**9 < 40_000


def test_weekends_are_quiet(whole: Manifest) -> None:
    by_day = {day: totals.calls for (day,), totals in whole.totals_by("day").items()}
    assert len(by_day) == 61
    weekend = [n for day, n in by_day.items() if day.weekday() >= 5]
    week = [n for day, n in by_day.items() if day.weekday() < 5]
    assert sum(weekend) / len(weekend) < 0.6 * sum(week) / len(week)
