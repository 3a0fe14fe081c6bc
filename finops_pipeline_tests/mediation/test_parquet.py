"""Rows of Parquet files: each is given or refused under its own number, in tables that never outgrow their bounds."""

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_day import measured

from finops_pipeline.formats.format import Format, json, text
from finops_pipeline.mediation import parquet
from finops_pipeline.mediation.documents import Bounds
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.mediation.open_layout import OpenLayout
from finops_pipeline.mediation.parquet import NOT_READABLE, DamagedError, read_parquet
from finops_pipeline.mediation.reader import LINE, columns_of, connect, read_tables
from finops_pipeline.mediation.tables import NOT_UTF8

BOUNDS = Bounds(max_line_bytes=1 << 20, max_inflate_ratio=200)
MB = 1 << 20
Given = list[tuple[int, Any]]
Refused = list[tuple[int, str, bytes | None]]
Read = Callable[..., tuple[Given, Refused]]


def repeated(value: Any, rows: int) -> pa.DictionaryArray:
    """A column that says its value once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [value])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "table.parquet"


@pytest.fixture
def read(file: Path) -> Read:
    """Writes a table, and gives (number, cell) of the rows that are given, and those that are refused."""

    def of(columns: dict[str, Any], bounds: Bounds = BOUNDS, **written: Any) -> tuple[Given, Refused]:
        pq.write_table(pa.table(columns), file, **written)
        return rows_of(file, bounds, next(iter(columns)))

    return of


def rows_of(file: Path, bounds: Bounds, column: str) -> tuple[Given, Refused]:
    refused: Refused = []
    tables = list(read_parquet(file, {column}, bounds, lambda *row: refused.append(row)))
    return [(row[""], row[column]) for table in tables for row in table.to_pylist()], refused


def test_rows_are_numbered_over_row_groups_and_tables(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS", 7)
    rows, refused = read({"a": [str(n) for n in range(1, 101)]}, row_group_size=30)
    assert rows == [(n, str(n)) for n in range(1, 101)]
    assert refused == []


# -- texts that are none ----------------------------------------------------------------------------------------------

ODD = [b"gpt-4o", b"gpt\xff", None, "größe".encode(), b"\xed\xa0\x80", b""]
IS_ODD = {2, 5}


@pytest.mark.parametrize("dictionary", [True, False], ids=["by number", "plain"])
@pytest.mark.parametrize("marked", [pa.string(), pa.binary()], ids=["marked as texts", "marked as nothing"])
@pytest.mark.parametrize(
    "nest",
    [
        lambda texts: texts,
        lambda texts: pa.StructArray.from_arrays([texts], ["in"]),
        lambda texts: pa.ListArray.from_arrays(list(range(len(texts) + 1)), texts),
    ],
    ids=["a cell", "within an object", "within a list"],
)
def test_a_text_that_is_not_utf8_costs_one_row_and_no_other(
    read: Read, nest: Callable[[pa.Array], pa.Array], marked: pa.DataType, dictionary: bool
) -> None:
    rows, refused = read({"a": nest(pa.array(ODD, pa.binary()).view(marked))}, use_dictionary=dictionary)
    assert refused == [(number, NOT_UTF8, None) for number in sorted(IS_ODD)]
    assert [number for number, _ in rows] == [1, 3, 4, 6]
    assert "größe" in str(rows)


def test_one_in_a_column_that_nobody_wants_costs_nothing(read: Read) -> None:
    assert read({"a": ["x"], "b": pa.array([b"\xff"])}) == ([(1, "x")], [])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.binary(max_size=6), st.text(max_size=3).map(str.encode)), max_size=30))
def test_texts_are_what_python_can_decode(tmp_path_factory: pytest.TempPathFactory, texts: list[bytes | None]) -> None:
    file = tmp_path_factory.mktemp("texts") / "table.parquet"
    pq.write_table(pa.table({"a": pa.array(texts, pa.binary())}), file)
    good, bad = [], []
    for number, value in enumerate(texts, start=1):
        try:
            good.append((number, None if value is None else value.decode()))
        except UnicodeDecodeError:
            bad.append((number, NOT_UTF8, None))
    assert rows_of(file, BOUNDS, "a") == (good, bad)


# -- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nest",
    [
        lambda texts: texts,
        lambda texts: pa.StructArray.from_arrays([pa.array(range(len(texts))), texts], ["n", "in"]),
        lambda texts: pa.ListArray.from_arrays(list(range(len(texts) + 1)), texts),
    ],
    ids=["a cell", "within an object", "within a list"],
)
def test_a_row_with_more_bytes_than_a_line_may_have_is_refused(
    read: Read, nest: Callable[[pa.Array], pa.Array]
) -> None:
    rows, refused = read({"a": nest(pa.array(["x", "y" * 5000, "z"]))}, Bounds(4096, 200))
    assert [number for number, _ in rows] == [1, 3]
    assert [(number, "over limits.max_line_bytes" in reason) for number, reason, _ in refused] == [(2, True)]


def test_tables_hold_no_more_than_their_bytes_and_a_row(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "TABLE", 10_000)
    pq.write_table(pa.table({"a": repeated("x" * 3_000, 100), "b": repeated("y" * 1_000, 100)}), file)
    heights = [table.num_rows for table in read_parquet(file, {"a", "b"}, BOUNDS, lambda *_: None)]
    assert sum(heights) == 100
    assert max(heights) * 4_000 <= 10_000 + 4_000


def day_of(folder: Path, columns: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """What a day of one file did that says each text of its columns once."""
    (folder / "logs").mkdir(parents=True)
    table = pa.table({"timestamp": repeated("2026-10-05T08:00:00Z", 2_000), **columns})
    pq.write_table(table, folder / "logs/2026-10-05.parquet", compression="zstd")
    fields = {"event_time": "$.timestamp", "team": "$.team", "prompt": {"messages": "$.messages"}}
    return measured(folder, format="mapped", fields=fields, **settings)


def test_a_text_that_is_said_once_for_many_rows_is_a_bomb(tmp_path: Path) -> None:
    small = day_of(tmp_path / "small", {})
    told = day_of(tmp_path / "large", {"team": repeated("x" * 300_000, 2_000)})
    assert small["outcomes"] == {"usage": 2_000}
    assert told["outcomes"] == {"quarantined": 1}
    assert told["reasons"] == ["the Parquet file grows more than 200-fold (limits.max_inflate_ratio)"]
    assert told["peak"] < small["peak"] + 100 * MB


def test_where_the_ratio_allows_it_no_more_of_them_is_held_than_of_lines(tmp_path: Path) -> None:
    small = day_of(tmp_path / "small", {})
    prompts = repeated("x" * 300_000, 2_000)
    told = day_of(tmp_path / "large", {"messages": prompts}, extra={"limits": {"max_inflate_ratio": 10_000_000}})
    assert told["outcomes"] == {"usage": 2_000}
    assert told["peak"] < small["peak"] + 200 * MB


def test_a_file_whose_pages_grow_beyond_its_ratio_is_refused(read: Read, file: Path) -> None:
    growing = {"compression": "zstd", "use_dictionary": False}
    with pytest.raises(DamagedError, match=r"grows more than 200-fold \(limits\.max_inflate_ratio\)"):
        read({"a": ["x"], "b": ["x" * 3_000_000]}, **growing)
    assert file.stat().st_size * 200 < 3_000_000
    assert read({"a": ["x"], "b": ["x" * 900_000]}, **growing) == ([(1, "x")], [])


# -- what a file may be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"PAR1", b"PAR1 but no table at all PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_what_is_no_parquet_file_says_so(file: Path, body: bytes) -> None:
    file.write_bytes(body)
    with pytest.raises(DamagedError, match=NOT_READABLE):
        rows_of(file, BOUNDS, "a")


def test_rows_before_the_damage_are_given(file: Path) -> None:
    pq.write_table(pa.table({"a": [f"{n:0100}" for n in range(2_000)]}), file, row_group_size=1_000, compression="none")
    second = pq.read_metadata(file).row_group(1).column(0).dictionary_page_offset
    body = bytearray(file.read_bytes())
    body[second : second + 16] = b"\xff" * 16
    file.write_bytes(body)
    tables = read_parquet(file, {"a"}, BOUNDS, lambda *_: None)
    assert next(tables).column(0).to_pylist() == list(range(1, 1_001))
    with pytest.raises(DamagedError, match=NOT_READABLE):
        next(tables)


def test_names_may_hold_dots_and_stand_twice(file: Path) -> None:
    columns = [
        pa.array(["dotted"]),
        pa.array([{"b": "nested", "c": "other"}]),
        pa.array(["first"]),
        pa.array(["second"]),
    ]
    pq.write_table(pa.table(columns, names=["a.b", "a", "twice", "twice"]), file)
    (cells,) = read_parquet(file, {"a.b", "twice", "absent"}, BOUNDS, lambda *_: None)
    assert cells.column_names == ["", "a.b", "twice"]
    assert cells.to_pylist() == [{"": 1, "a.b": "dotted", "twice": "first"}]


FORMAT = Format(
    name="test",
    version=1,
    layout=OpenLayout(),
    fields={"id": text("$.id"), "deep": text("$.deep.in"), "labels": json("$.labels"), "Id": text("$.Id")},
    columns=dict,
)
ID = uuid.UUID(int=7)


def rows_read(file: Path) -> pl.DataFrame:
    tables = read_parquet(file, columns_of(FORMAT), BOUNDS, lambda *_: None)
    return pl.concat(read_tables(connect(300), tables, FORMAT, FingerprintKey("k")))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (pa.array([b"abc"]), "abc"),
        (pa.array([ID.bytes], pa.uuid()), str(ID)),
        (pa.array(['{"a":1}'], pa.json_()), None),
        (pa.array([7], pa.uint64()), "7"),
        (pa.array([1.5], pa.float16()), "1.5"),
        (pa.array([0.1]), "0.1"),
        (pa.array([Decimal("1.50")], pa.decimal128(38, 2)), "1.50"),
        (pa.array([Decimal("1.50")], pa.decimal256(60, 2)), "1.50"),
        (pa.array([True]), "true"),
        (pa.array([dt.date(2026, 10, 5)]), "2026-10-05"),
        (pa.array([dt.datetime(2026, 10, 5, 8, tzinfo=dt.UTC)]), "2026-10-05 08:00:00+00"),
        (pa.array([5, 5]).dictionary_encode().slice(0, 1), "5"),
        (pa.array([[1, 2]], pa.list_(pa.int32(), 2)), None),
        (pa.nulls(1), None),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array | pa.ChunkedArray) else "",
)  # fmt: skip
def test_cells_of_every_type_have_their_text(file: Path, written: pa.Array, meant: str | None) -> None:
    pq.write_table(pa.table({"id": written}), file)
    assert rows_read(file).item(0, "id") == meant


def test_paths_lead_into_nested_columns_whose_names_differ_by_case(file: Path) -> None:
    labels = pa.array([[("env", "prod")]], pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"deep": [{"in": "x", "n": 1}], "labels": labels, "Id": ["upper"], "id": ["lower"]}), file)
    assert rows_read(file).select("id", "deep", "labels", "Id").row(0) == ("lower", "x", '{"env":"prod"}', "upper")


def test_a_file_without_any_wanted_column_has_rows_all_the_same(file: Path) -> None:
    pq.write_table(pa.table({"other": [1, 2, 3]}), file)
    assert rows_read(file).select(LINE, "id").rows() == [(1, None), (2, None), (3, None)]
