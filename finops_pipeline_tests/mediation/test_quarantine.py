"""What cannot be usage is told by place and reason, in one order whoever finds it first, within bounded memory."""

import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.mediation import quarantine
from finops_pipeline.mediation.day import DayResult
from finops_pipeline.mediation.quarantine import NO_DOCUMENT, Quarantine, reason_of
from finops_pipeline.schemas import QUARANTINE

MB = 1 << 20


def rows_of(found: list[tuple[str, int, bytes | None]], *, keep_raw: bool = True) -> list[pl.DataFrame]:
    frames: list[pl.DataFrame] = []
    rows = Quarantine(frames.append, keep_raw=keep_raw)
    for key, line, raw in found:
        rows.add_line(key, line, "broken", raw)
    rows.flush()
    return frames


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 40), st.none() | st.binary(max_size=9)),
        unique_by=lambda row: row[:2],
        max_size=60,
    ),
    st.randoms(use_true_random=False),
)
def test_rows_are_in_order_however_many_and_whoever_finds_them_first(
    found: list[tuple[str, int, bytes | None]], order: random.Random
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quarantine, "ROWS", 7)
        patch.setattr(quarantine, "RAW", 30)
        shuffled = list(found)
        order.shuffle(shuffled)
        frames, again = rows_of(found), rows_of(shuffled)
    assert [frame.to_dicts() for frame in again] == [frame.to_dicts() for frame in frames]
    written = [row for frame in frames for row in frame.select("raw_object", "raw_line", "raw").rows()]
    assert written == sorted(found, key=lambda row: row[:2])
    assert all(frame.schema == QUARANTINE.schema and frame.height <= 7 for frame in frames)


def test_lines_are_kept_only_where_the_config_says_so() -> None:
    (frame,) = rows_of([("a", 1, b"secret")], keep_raw=False)
    assert frame.select("length", "raw").row(0) == (6, None)


def test_kept_lines_are_not_held() -> None:
    line = bytes(MB)
    tracemalloc.start()
    try:
        rows = Quarantine(lambda _: None, keep_raw=True)
        for number in range(64):
            rows.add_line("a", number, "broken", line[:-1] + b"x")  # a copy of its own
        rows.flush()
        assert tracemalloc.get_traced_memory()[1] < 40 * MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"resourceSpans": 5}', NO_DOCUMENT),
        (b"[1]", NO_DOCUMENT),
        (b"5", "not a JSON object: a number"),
        (b'{"a":', "not JSON: Input data was truncated"),
        (b'{"a":"\xff"}', "not UTF-8 (byte 7)"),
    ],
)
def test_a_document_of_the_wrong_structure_is_called_so(text: bytes, reason: str) -> None:
    assert reason_of(text, document=True) == reason


def test_so_it_is_in_a_day(
    lake: Lake, config: Callable[..., Config], put: Callable[..., Path], mediate: Callable[..., DayResult]
) -> None:
    put("year=2026/month=10/day=05/hour=08/a.json", [{"resourceSpans": 5}])
    mediate(config(format="otel"))
    assert lake.scan(QUARANTINE).collect().get_column("reason").to_list() == [NO_DOCUMENT]


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"])
def test_a_time_that_its_offset_takes_out_of_all_calendars_is_one_bad_record(
    lake: Lake,
    config: Callable[..., Config],
    put: Callable[..., Path],
    record: Callable[..., dict[str, Any]],
    mediate: Callable[..., DayResult],
    time: str,
) -> None:
    put("date=2026-10-05/a.jsonl", [record("a"), record("b") | {"timestamp": time}])
    assert {name: n for name, n in mediate(config()).outcomes.items() if n} == {"usage": 1, "quarantined": 1}
    reason = lake.scan(QUARANTINE).collect().get_column("reason").item()
    assert reason == f"$.timestamp: expected a time (ISO 8601 or epoch seconds), got {time}"


def test_a_rerun_writes_the_same_rows_in_the_same_order_however_many_are_bad(
    lake: Lake,
    config: Callable[..., Config],
    put: Callable[..., Path],
    mediate: Callable[..., DayResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quarantine, "ROWS", 5)
    for name in "abcd":
        put(f"date=2026-10-05/{name}.jsonl", [json.dumps([name, n]).encode() for n in range(17)])
    written = []
    for _ in range(2):
        mediate(config(), force=True)
        written.append([file.read_bytes() for file in Path(lake.storage.root).rglob("quarantine/**/*.parquet")])
    assert len(written[0]) == 1
    first, second = (pl.read_parquet(files[0]) for files in written)
    assert first.equals(second)
    assert first.select("raw_object", "raw_line").rows() == sorted(first.select("raw_object", "raw_line").rows())
