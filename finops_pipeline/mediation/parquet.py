"""Rows of Parquet files to tables of bounded size, whatever the files hold.

A Parquet file says a text once and repeats it by number: a kilobyte may stand for gigabytes. So texts are read with
their numbers, rows are measured like that, and only as many are written out at once as are of a bearable size. What
the cells mean is the business of the formats and the casts.
"""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from finops_pipeline.mediation.documents import Bounds
from finops_pipeline.mediation.inflate import ALWAYS_ALLOWED
from finops_pipeline.mediation.tables import NOT_UTF8, Refuse

TABLE = 8 << 20
"""Bytes of the cells of a table, about: one row more at most."""

ROWS = 16_384
"""Rows of a table at most."""

NOT_READABLE = "not a readable Parquet file"

_VALUE = 8
"""Bytes that a value counts for that is no text."""

_BUFFER = 1 << 20

_UTF8 = (
    r"^(?s:[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    r"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})*$"
)
"""Bytes that are well-formed UTF-8 (The Unicode Standard, table 3-7)."""

_Measure = Callable[[pa.Array], pl.Series]
"""Takes texts as bytes, and gives a number for each, or null."""


class DamagedError(Exception):
    """The file cannot be read, or no further; its text is the reason that is told."""


def read_parquet(file: Path, wanted: Collection[str], bounds: Bounds, refuse: Refuse) -> Iterator[pa.RecordBatch]:
    """The rows: their numbers, from 1, and the wanted columns that there are, of two of one name the first.

    Byte arrays are texts. Refused are rows with texts that are not UTF-8, and rows with more bytes than a line may
    have.

    Raises:
        DamagedError: the file is no Parquet file, is damaged, or grows beyond the bounds.
    """
    growth = _Growth(file, bounds)
    before = 0
    for batch in _batches(file, wanted, growth):
        numbers = pl.int_range(before + 1, before + 1 + batch.num_rows, eager=True)
        before += batch.num_rows
        sizes = _of_rows(batch, _length)
        growth.add_rows(int(sizes.sum()))
        reasons = pl.select(
            pl.when(_of_rows(batch, _is_malformed) > 0)
            .then(pl.lit(NOT_UTF8))
            .when(sizes > bounds.max_line_bytes)
            .then(pl.format("a row of {} bytes, over limits.max_line_bytes", sizes))
        ).to_series()
        if reasons.null_count() < len(reasons):
            good = reasons.is_null()
            for number, reason in zip(numbers.filter(~good), reasons.filter(~good), strict=True):
                refuse(number, reason, None)
            batch, numbers, sizes = batch.filter(good.to_arrow()), numbers.filter(good), sizes.filter(good)
        start = 0
        for rows in (sizes.cum_sum() // TABLE).rle().struct.field("len"):
            yield _written_out(numbers.slice(start, rows), batch.slice(start, rows))
            start += rows


class _Growth:
    """How much a file has grown, pages inflated and texts repeated: either may be a bomb."""

    def __init__(self, file: Path, bounds: Bounds) -> None:
        self._ratio = bounds.max_inflate_ratio
        self._allowed = max(ALWAYS_ALLOWED, self._ratio * file.stat().st_size)
        self._pages = self._rows = 0

    def add_pages(self, size: int) -> None:
        self._pages += size
        self._check(self._pages)

    def add_rows(self, size: int) -> None:
        self._rows += size
        self._check(self._rows)

    def _check(self, grown: int) -> None:
        if grown > self._allowed:
            raise DamagedError(f"the Parquet file grows more than {self._ratio}-fold (limits.max_inflate_ratio)")


def _batches(file: Path, wanted: Collection[str], growth: _Growth) -> Iterator[pa.RecordBatch]:
    """The wanted columns, each once, their texts as numbers."""
    try:
        metadata = pq.read_metadata(file)
        paths = [metadata.schema.column(n).path for n in range(metadata.num_columns)]
        asked = [n for n, path in enumerate(paths) if any(f"{path}.".startswith(f"{name}.") for name in wanted)]
        parquet = pq.ParquetFile(
            file, metadata=metadata, read_dictionary=paths, buffer_size=_BUFFER, coerce_int96_timestamp_unit="us"
        )
        with parquet:
            for n in range(metadata.num_row_groups):
                group = metadata.row_group(n)
                growth.add_pages(group.total_byte_size)
                read = sum(group.column(n).total_uncompressed_size for n in asked)
                rows = max(1, min(ROWS, TABLE * group.num_rows // max(1, read)))
                columns = [paths[n] for n in asked]
                for batch in parquet.iter_batches(rows, row_groups=[n], columns=columns, use_threads=False):
                    names = batch.schema.names
                    yield batch.select([names.index(name) for name in dict.fromkeys(names) if name in wanted])
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise DamagedError(NOT_READABLE) from error


def _written_out(numbers: pl.Series, batch: pa.RecordBatch) -> pa.RecordBatch:
    cells = [column.cast(_type_of(column.type), safe=False) for column in batch.columns]
    return pa.record_batch([numbers.to_arrow(), *cells], names=["", *batch.schema.names])


def _type_of(written: pa.DataType) -> pa.DataType:
    """The type that values have for us: one that the database knows."""
    types = pa.types
    if isinstance(written, pa.BaseExtensionType):
        return written if written.extension_name == "arrow.uuid" else _type_of(written.storage_type)
    if types.is_dictionary(written):
        return _type_of(written.value_type)
    if types.is_struct(written):
        return pa.struct([(field.name, _type_of(field.type)) for field in written])
    if types.is_map(written):
        return pa.map_(_type_of(written.key_type), _type_of(written.item_type))
    if _is_list(written):
        return pa.large_list(_type_of(written.value_type))
    if _is_text(written) or types.is_decimal256(written):
        return pa.string()
    return pa.float32() if types.is_float16(written) else written


# -- rows are measured by the distinct texts in them -------------------------------------------------------------------


def _of_rows(batch: pa.RecordBatch, measure: _Measure) -> pl.Series:
    """The sum of a measure over the texts of each row."""
    return sum((_summed(column, measure) for column in batch.columns), pl.zeros(batch.num_rows, pl.Int64, eager=True))


def _summed(values: pa.Array, measure: _Measure) -> pl.Series:
    """The sum of a measure over the texts in each value."""
    if isinstance(values, pa.ExtensionArray):
        return _summed(values.storage, measure)
    if isinstance(values, pa.DictionaryArray):
        places = pl.Series(values.indices)
        return _summed(values.dictionary, measure).gather(places).fill_null(0)
    if isinstance(values, pa.MapArray):
        pairs = pa.struct([("key", values.type.key_type), ("value", values.type.item_type)])
        return _summed(values.cast(pa.list_(pairs)), measure)
    if isinstance(values, pa.StructArray):
        parts = (_summed(part, measure) for part in values.flatten())
        return sum(parts, pl.zeros(len(values), pl.Int64, eager=True))
    if _is_list(values.type):
        lengths = pl.Series(pc.list_value_length(values)).cast(pl.Int64).fill_null(0)
        up_to = pl.concat([pl.Series([0]), _summed(pc.list_flatten(values), measure).cum_sum()])
        ends = lengths.cum_sum()
        return up_to.gather(ends) - up_to.gather(ends - lengths)
    if _is_text(values.type):
        return measure(values.cast(pa.large_binary())).cast(pl.Int64).fill_null(0)
    return pl.Series(values.is_valid()).cast(pl.Int64) * (_VALUE if measure is _length else 0)


def _length(texts: pa.Array) -> pl.Series:
    return pl.Series(pc.binary_length(texts))


def _is_malformed(texts: pa.Array) -> pl.Series:
    try:
        texts.cast(pa.large_string())
    except pa.ArrowInvalid:
        return pl.Series(pc.invert(pc.match_substring_regex(texts, pattern=_UTF8)))
    return pl.repeat(0, len(texts), eager=True)


def _is_text(of: pa.DataType) -> bool:
    types = pa.types
    return any(
        is_such(of)
        for is_such in (
            types.is_string, types.is_large_string, types.is_string_view,
            types.is_binary, types.is_large_binary, types.is_binary_view,
        )
    )  # fmt: skip


def _is_list(of: pa.DataType) -> bool:
    types = pa.types
    return any(
        is_such(of)
        for is_such in (
            types.is_list, types.is_large_list, types.is_fixed_size_list,
            types.is_list_view, types.is_large_list_view,
        )
    )  # fmt: skip
