"""What one object, one line or very many of them may cost: bombs, monsters and swarms stay within their bounds."""

import gzip
import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from measured_day import measured

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.day import DayResult
from finops_pipeline.schemas import INGEST_OBJECTS, QUARANTINE, USAGE

Mediate = Callable[..., DayResult]
Put = Callable[..., Path]
Record = Callable[..., dict[str, Any]]
MakeConfig = Callable[..., Config]

KEY = "date=2026-10-05/a.jsonl"
MB = 1 << 20
DEEP = 100_000
JOB_TIME = "2026-10-05T14:00:00Z"


def ids(lake: Lake) -> list[str]:
    return sorted(lake.scan(USAGE).collect().get_column("request_id"))


def quarantined(lake: Lake) -> list[tuple[int, str]]:
    return sorted(lake.scan(QUARANTINE).select("raw_line", "reason").collect().iter_rows())


def counted(result: DayResult) -> dict[str, int]:
    assert sum(result.outcomes.values()) == result.records
    return {name: n for name, n in result.outcomes.items() if n}


# -- a line of 50 MB --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def text_of_50_mb() -> str:
    """A text that no compression makes small: not a bomb, only long."""
    return random.Random(5).randbytes(25 * MB).hex()


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("allowed", [False, True], ids=["over the limit", "within the limit"])
def test_a_line_of_50_mb(
    lake: Lake,
    config: MakeConfig,
    put: Put,
    record: Record,
    mediate: Mediate,
    text_of_50_mb: str,
    compress: bool,
    allowed: bool,
) -> None:
    long = json.dumps(record("long", prompt=text_of_50_mb)).encode()
    body = b"\n".join([json.dumps(record("a")).encode(), long, json.dumps(record("b")).encode()])
    put(KEY, zstandard.compress(body, 1) if compress else body)
    limits = {"limits": {"max_line_bytes": 64 * MB}} if allowed else {}
    result = mediate(config(extra=limits))
    if allowed:
        assert counted(result) == {"usage": 3}
        assert ids(lake) == ["a", "b", "long"]
        return
    assert counted(result) == {"usage": 2, "quarantined": 1}
    assert ids(lake) == ["a", "b"]
    row = lake.scan(QUARANTINE).collect().to_dicts()[0]
    assert (row["raw_line"], row["length"], row["sha256"]) == (2, len(long), hashlib.sha256(long).hexdigest())
    assert row["reason"] == f"a line of {len(long)} bytes, over limits.max_line_bytes"


# -- bombs ------------------------------------------------------------------------------------------------------------

BOMB = 128
"""Times a mebibyte that a bomb holds, in as many members or frames."""

_RECORD = b'{"timestamp":"2026-10-05T08:00:00Z","model":"gpt-4o-mini","input_tokens":1,"team":"%b"}\n' % (b"x" * 900)
FILLS = {
    "a line": b"x" * MB,
    "blank lines": b"\n" * MB,
    "records": _RECORD * (MB // len(_RECORD)),
    "brackets": b"[" * MB,
}
PACKS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress}
NEEDED = 150 * MB
"""Bytes of memory beyond those of a day with one small object: less than any of the bombs holds."""


@pytest.fixture(scope="module")
def small_peak(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Bytes that a day of one small object needs at most."""
    folder = tmp_path_factory.mktemp("small")
    peak: int = bombed(folder, b'{"timestamp":"2026-10-05T08:00:00Z","request_id":"a"}')["peak"]
    return peak


def bombed(folder: Path, body: bytes, **settings: Any) -> dict[str, Any]:
    (folder / "logs").mkdir()
    (folder / "logs/2026-10-05.json").write_bytes(body)
    return measured(folder, **{"format": "record"} | settings)


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("fill", FILLS)
def test_a_bomb_is_cut_off_at_its_ratio(tmp_path: Path, small_peak: int, fill: str, pack: str) -> None:
    told = bombed(tmp_path, PACKS[pack](FILLS[fill]) * BOMB)
    assert told["outcomes"]["quarantined"] == 1
    assert (told["outcomes"].keys() == {"quarantined"}) == (fill != "records")
    assert told["reasons"] == [f"the {pack} stream grows more than 200-fold (limits.max_inflate_ratio)"]
    # What is usage is read like any other day's: within limits.memory_mb.
    assert told["peak"] < (700 * MB if fill == "records" else small_peak + NEEDED)


@pytest.mark.parametrize("pack", PACKS)
def test_where_the_ratio_allows_it_a_line_of_half_a_gigabyte_is_not_held(
    tmp_path: Path, small_peak: int, pack: str
) -> None:
    bomb = PACKS[pack](FILLS["a line"]) * 4 * BOMB
    told = bombed(tmp_path, bomb, extra={"limits": {"max_inflate_ratio": 100_000}})
    assert told["outcomes"] == {"quarantined": 1}
    assert told["reasons"] == [f"a line of {4 * BOMB * MB} bytes, over limits.max_line_bytes"]
    assert told["peak"] < small_peak + NEEDED


@pytest.mark.parametrize("pack", PACKS)
def test_a_document_that_is_a_bomb_is_one_record(tmp_path: Path, small_peak: int, pack: str) -> None:
    told = bombed(tmp_path, PACKS[pack](FILLS["brackets"]) * BOMB, format="cloudflare")
    assert told["outcomes"] == {"quarantined": 1}
    assert told["reasons"] == [f"the {pack} stream grows more than 200-fold (limits.max_inflate_ratio)"]
    assert told["peak"] < small_peak + NEEDED


# -- job files: what describes a job is bounded like any other object -------------------------------------------------

FIRST_DAY = {"start_date": "2026-10-05"}
"""The day is the lake's first: what has no date of its own, such as a job's own file, is counted there."""

RESULT = b'{"recordId":"r1","modelInput":{},"modelOutput":{"usage":{"input_tokens":1,"output_tokens":1}}}\n'


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        (gzip.compress(b" " * (8 * MB)), "the gzip stream grows more than 200-fold (limits.max_inflate_ratio)"),
        (zstandard.compress(b" " * (8 * MB)), "the zstd stream grows more than 200-fold (limits.max_inflate_ratio)"),
        (b'{"a":"' + b"x" * MB + b'"}', f"a line of {MB + 8} bytes, over limits.max_line_bytes"),
        (gzip.compress(b'{"a":1}')[:-3], "the gzip stream ends early"),
        (b"[" * DEEP + b"]" * DEEP, "not JSON: "),
        (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "not JSON: "),
        (b'{"totalRecordCount":', "not JSON: "),
        (b"[]", "not a JSON object: an array"),
    ],
    ids=["a gzip bomb", "a zstd bomb", "too long", "cut off", "nested", "nested objects", "half", "an array"],
)
def test_a_job_file_that_cannot_be_read_is_one_quarantined_record(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate, described: bytes, reason: str
) -> None:
    put("job/manifest.json.out", described)
    put("job/records.jsonl.out", RESULT)
    extra = FIRST_DAY | {"limits": {"max_line_bytes": 768 << 10}}
    result = mediate(config(format="bedrock_batch", job_time=JOB_TIME, extra=extra))
    assert counted(result) == {"usage": 1, "quarantined": 1}
    assert [told.startswith(reason) for _, told in quarantined(lake)] == [True]
    row = lake.scan(QUARANTINE).collect().to_dicts()[0]
    assert (row["raw_object"], row["raw_line"], len(row["sha256"])) == ("job/manifest.json.out", 1, 64)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_a_job_file_may_be_compressed(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate, pack: Callable[[bytes], bytes]
) -> None:
    put("job/manifest.json.out", pack(b'\xef\xbb\xbf{"totalRecordCount":2}'))
    put("job/records.jsonl.out", RESULT)
    result = mediate(config(format="bedrock_batch", job_time=JOB_TIME, extra=FIRST_DAY))
    assert counted(result) == {"usage": 1, "not_usage": 1}
    assert "job: the job had 2 records, and 1 were read" in result.warnings


@pytest.mark.parametrize("number", ['"²"', '"1e400"', "1e400", "9" * 5000, '"' + "9" * 5000 + '"', "-1", "true", "[1]"])
def test_a_job_file_s_count_that_is_none_is_not_compared(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate, number: str
) -> None:
    put("job/manifest.json.out", b'{"totalRecordCount":%b}' % number.encode())
    put("job/records.jsonl.out", RESULT)
    result = mediate(config(format="bedrock_batch", job_time=JOB_TIME, extra=FIRST_DAY))
    assert result.outcomes["usage"] == 1
    assert not [warning for warning in result.warnings if "the job had" in warning]


# -- depth ------------------------------------------------------------------------------------------------------------

NESTED = {
    "arrays": b"[" * DEEP + b"]" * DEEP,
    "objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "open arrays": b"[" * DEEP,
    "open objects": b'{"a":' * DEEP,
}
DOCUMENTS = {
    "otel": ("year=2026/month=10/day=05/hour=14/minute=05/traces_{}.json", b'{"resourceSpans":%b}'),
    "cloudflare": ("2026-10-05-{}.json", b'{"result":[%b]}'),
    "openai_usage": ("2026-10-05-{}.json", b'{"data":[{"start_time":1791158400,"results":[%b]}]}'),
    "anthropic_usage": ("2026-10-05-{}.json", b'{"data":[%b]}'),
    "langfuse": ("p/observations_v2/2026-10-05T15-00-00-{}.json", b"[%b]"),
    "azure_apim": ("y=2026/m=10/d=05/h=14/m=00/{}.json", b'{"properties":%b}'),
    "openai_batch": ("batch_1/{}.jsonl", b'{"response":{"body":{"choices":%b}}}'),
    "litellm": ("2026-10-05/batch_14-00-00_{}.jsonl", b'{"messages":%b,"request_tags":%b}'),
    "record": ("date=2026-10-05/{}.jsonl", b'{"tags":%b}'),
}  # fmt: skip


@pytest.mark.parametrize("nested", NESTED)
@pytest.mark.parametrize("format", DOCUMENTS)
def test_a_hundred_thousand_levels_cost_their_document_at_most(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate, format: str, nested: str
) -> None:
    key, around = DOCUMENTS[format]
    put(key.format("bare"), NESTED[nested])
    put(key.format("within"), around.replace(b"%b", NESTED[nested]))
    mediate(config(format=format, job_time=JOB_TIME))
    ledger = lake.scan(INGEST_OBJECTS).select("key", "state", "lines", "records").sort("key").collect()
    assert ledger.rows() == [(key.format(name), "read", 1, 1) for name in ("bare", "within")]
    assert all(reason for _, reason in quarantined(lake))


# -- many -------------------------------------------------------------------------------------------------------------


def test_a_page_of_a_million_results(tmp_path: Path, small_peak: int) -> None:
    told = bombed(tmp_path, b'{"result":[' + b",".join([b"{}"] * 1_000_000) + b"]}", format="cloudflare")
    assert told["outcomes"] == {"quarantined": 1_000_000}
    assert set(told["reasons"]) == {"$.created_at: no time"}
    assert told["peak"] < small_peak + 300 * MB


def test_a_hundred_thousand_more_objects_need_less_than_700_bytes_each(tmp_path: Path) -> None:
    peaks = []
    for objects in (50_000, 150_000):
        (tmp_path / f"{objects}/logs").mkdir(parents=True)
        told = measured(tmp_path / f"{objects}", format="record", objects=objects)
        assert told["outcomes"] == {"usage": objects}
        peaks.append(told["peak"])
    assert (peaks[1] - peaks[0]) / 100_000 < 700
