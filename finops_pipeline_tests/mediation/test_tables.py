"""Rows of CSV files: each is given or refused, under its own number, and none takes others with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.mediation import tables
from finops_pipeline.mediation.tables import BREAKS_OFF, NO_HEADER, NOT_UTF8, read_csv

HEADER = b"timestamp,model,team\n"
Given = list[tuple[int, str | None]]
Refused = list[tuple[int, str, bytes | None]]
Read = Callable[[bytes], tuple[Given, Refused]]


def rows_of(file: Path) -> tuple[Given, Refused]:
    """(number, team) of the rows that are given, and those that are refused."""
    refused: Refused = []
    frames = list(read_csv(file, lambda *row: refused.append(row)))
    given = [row for numbers, cells in frames if len(numbers) for row in zip(numbers, cells["team"], strict=True)]
    return given, refused


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of(body: bytes) -> tuple[Given, Refused]:
        file = tmp_path / "table.csv"
        file.write_bytes(body)
        return rows_of(file)

    return of


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("delimiter", [b",", b";", b"\t"])
def test_rows_are_numbered_whatever_ends_and_separates_them(read: Read, end: bytes, delimiter: bytes) -> None:
    body = (HEADER + b"t,m,a\nt,m,b").replace(b"\n", end).replace(b",", delimiter)
    assert read(body) == ([(1, "a"), (2, "b")], [])


def test_a_byte_order_mark_is_no_part_of_the_first_name(read: Read) -> None:
    assert read(b"\xef\xbb\xbfteam,model\na,m\n") == ([(1, "a")], [])


def test_blank_rows_do_not_count_and_those_before_the_header_neither(read: Read) -> None:
    assert read(b"\n \r\n\n" + HEADER + b"\nt,m,a\n\n\r\nt,m,b\n\n") == ([(1, "a"), (2, "b")], [])


def test_cells_may_hold_line_ends_quotes_and_delimiters(read: Read) -> None:
    assert read(HEADER + b't,m,"a\nb"\nt,m,"say ""a"", b"\nt,m,c\n')[0] == [(1, "a\nb"), (2, 'say "a", b'), (3, "c")]


def test_header_names_may_be_quoted_and_hold_line_ends_and_other_delimiters(read: Read) -> None:
    assert read(b'"time\nstamp","a;b;c;d", team\nt,m,a\n') == ([(1, "a")], [])


def test_ragged_rows_are_refused_with_their_bytes(read: Read) -> None:
    rows, refused = read(HEADER + b"t,m,a\nonly,two\nt,m,b\nt,m,c,more\nt,m,d\n")
    assert rows == [(1, "a"), (3, "b"), (5, "d")]
    assert refused == [
        (2, "2 cells, where the header has 3", b"only,two"),
        (4, "4 cells, where the header has 3", b"t,m,c,more"),
    ]


@pytest.mark.parametrize("cell", ["Zürich", "Orléans", "é"])
def test_a_row_in_another_encoding_is_refused_alone(read: Read, cell: str) -> None:
    body = HEADER + b"t,m,a\nt,m," + cell.encode("latin-1") + b"\nt,m," + "Zürich".encode() + b"\n"
    assert read(body) == ([(1, "a"), (3, "Zürich")], [(2, NOT_UTF8, None)])


def test_so_is_one_with_such_bytes_in_a_column_that_no_field_takes(read: Read) -> None:
    assert read(b"note,team\n\xff,a\nn,b\n") == ([(2, "b")], [(1, NOT_UTF8, None)])


def test_a_ragged_row_in_another_encoding_is_refused_too(read: Read) -> None:
    assert read(HEADER + b"\xfc,two\nt,m,a\n") == ([(2, "a")], [(1, NOT_UTF8, None)])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ((HEADER + b"t,m,a\n").decode().encode("utf-16"), NOT_UTF8),
        ((HEADER + b"t,m,a\n").decode().encode("utf-16-le"), NOT_UTF8),
        ("größe,team\n1,a\n".encode("latin-1"), NOT_UTF8),
        (b"\n\n  \n", NO_HEADER),
        (b",,\n1,2,3\n", NO_HEADER),
        (b'timestamp,"model\nteam\nt,m,a\n', BREAKS_OFF),
    ],
)
def test_a_table_without_a_readable_header_is_one_refused_row(read: Read, body: bytes, reason: str) -> None:
    assert read(body) == ([], [(1, reason, None)])


@pytest.mark.parametrize("body", [b"", b"\xef\xbb\xbf", HEADER, HEADER.strip(), HEADER + b"\n\n"])
def test_a_table_without_rows_has_none(read: Read, body: bytes) -> None:
    assert read(body) == ([], [])


def test_columns_without_a_name_are_ignored(read: Read) -> None:
    assert read(b",timestamp,,team,,\n1,t,2,a,,\n1,t,2,b,,3\n") == ([(1, "a"), (2, "b")], [])


def test_two_columns_of_one_name_refuse_each_row(read: Read) -> None:
    told = 'two columns are named "team"'
    rows, refused = read(b"team,model,team\na,m,b\nonly\na,m,c\n")
    assert rows == []
    assert sorted(refused) == [
        (1, told, None), (2, "1 cells, where the header has 3", b"only"), (3, told, None),
    ]  # fmt: skip


def test_empty_cells_are_null(read: Read) -> None:
    assert read(HEADER + b't,m,\nt,m,""\n')[0] == [(1, None), (2, None)]


def test_a_quote_that_nothing_closes_takes_no_rows_in_silence(read: Read) -> None:
    assert read(HEADER + b't,m,a\nt,m,"oops\nt,m,b\nt,m,c\n') == ([(1, "a")], [(2, BREAKS_OFF, None)])


def test_a_lone_quote_within_a_cell_is_a_character(read: Read) -> None:
    assert read(HEADER + b't,m,5" disk\nt,m,b\n') == ([(1, '5" disk'), (2, "b")], [])


def test_a_row_without_an_end_is_refused_with_all_that_follows(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BLOCK", 64)
    rows, refused = read(HEADER + b"t,m,a\nragged\nt,m,b\nt,m," + b"x" * 200 + b"\nt,m,c\n")
    assert rows == [(1, "a"), (3, "b")]
    assert refused == [(2, "1 cells, where the header has 3", b"ragged"), (4, BREAKS_OFF, None)]


def test_a_header_without_an_end_is_refused(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BLOCK", 16)
    assert read(b"timestamp,model,team\nt,m,a\n") == ([], [(1, BREAKS_OFF, None)])


GOOD, RAGGED, FOREIGN, BLANK = b"t,m,a", b"x,y", b"t,m,\xe9", b""


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from([GOOD, RAGGED, FOREIGN, BLANK]), max_size=60), st.sampled_from([24, 40, 1 << 20]))
def test_every_row_is_given_or_refused_under_its_own_number(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block: int
) -> None:
    file = tmp_path_factory.mktemp("csv") / "table.csv"
    file.write_bytes(HEADER + b"\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "BLOCK", block)
        rows, refused = rows_of(file)
    kinds = [line for line in lines if line]
    assert [number for number, _ in rows] == [n for n, kind in enumerate(kinds, 1) if kind == GOOD]
    assert sorted((n, why == NOT_UTF8) for n, why, _ in refused) == [
        (n, kind == FOREIGN) for n, kind in enumerate(kinds, 1) if kind != GOOD
    ]
