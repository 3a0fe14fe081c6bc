"""Rows of CSV files to frames of texts, with ragged rows kept apart. Parquet rows come through the reader."""

import csv
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from finops_pipeline.formats.format import Format, Kind
from finops_pipeline.mediation.reader import FINGERPRINT, IS_RECORD, LINE

_BLOCK = 8 << 20
"""Bytes that are parsed at once, and so the longest row."""


def read_csv(file: Path, fmt: Format, ragged: dict[int, tuple[int, str]]) -> Iterator[pl.DataFrame]:
    """Each row with as many cells as the header, with the columns of ``reader.read_json_lines`` but ``file``.

    Rows are numbered from 1, the header not counted. Those with too many or too few cells go to ``ragged``: number →
    (cells, the row's text). A file that breaks off in the middle of a row ends there: the rest is one ragged row.
    """
    header, delimiter = _header(file)
    if not header:
        return
    if len(set(header)) < len(header):
        ragged[1] = (len(header), "")
        return

    def skip(row: pacsv.InvalidRow) -> str:
        ragged[row.number - 1] = (row.actual_columns, row.text or "")
        return "skip"

    read = 0
    try:
        batches = pacsv.open_csv(
            file,
            read_options=pacsv.ReadOptions(use_threads=False, block_size=_BLOCK),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.binary() for name in header}, check_utf8=False, strings_can_be_null=False
            ),
        )
        for batch in batches:
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            numbers = _numbers(read, frame.height, ragged)
            read = numbers[-1] if numbers else read
            yield _columns(frame, fmt).with_columns(
                pl.Series(LINE, numbers, dtype=pl.Int64),
                pl.lit(True).alias(IS_RECORD),
                pl.lit(None, dtype=pl.String).alias(FINGERPRINT),
            )
    except pa.ArrowInvalid:
        ragged[max([read, *ragged]) + 1] = (0, "")


def _header(file: Path) -> tuple[list[str], str]:
    with file.open(newline="", encoding="utf-8", errors="replace") as lines:
        first = lines.readline(1 << 16)
    delimiter = max(",;\t", key=first.count) if first else ","
    return next(csv.reader([first], delimiter=delimiter), []), delimiter


def _numbers(before: int, rows: int, ragged: dict[int, tuple[int, str]]) -> list[int]:
    """The numbers of the next ``rows`` good rows after row ``before``: ragged ones have theirs already."""
    numbers, number = [], before
    for _ in range(rows):
        number += 1
        while number in ragged:
            number += 1
        numbers.append(number)
    return numbers


def _columns(frame: pl.DataFrame, fmt: Format) -> pl.DataFrame:
    columns = []
    for name, field in fmt.fields.items():
        column = field.path.removeprefix("$.")
        if column not in frame.columns:
            empty = pl.List(pl.String) if field.kind is Kind.TEXTS else pl.String
            columns.append(pl.lit(None, dtype=empty).alias(name))
        else:
            value = pl.col(column).cast(pl.String, strict=False)
            columns.append(pl.when(value != "").then(value).alias(name))
    return frame.select(columns)
