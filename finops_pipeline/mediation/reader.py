"""Raw records to frames of texts: the only place that knows DuckDB.

DuckDB reads, because a broken line costs it one row and no other (Polars' and pyarrow's readers fail the scan or the
block). It takes every JSON path in one pass and gives the values' texts, so that no type ever rounds or nulls a value
unnoticed; the prompt's keyed hash is taken inside it, so that no prompt text enters a frame.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import duckdb
import polars as pl

from finops_pipeline.errors import MemoryLimitError
from finops_pipeline.formats.format import Field, Format, Kind
from finops_pipeline.mediation.fingerprints import FINGERPRINT_HEX, FingerprintKey

Compression = Literal["none", "gzip", "zstd"]

BATCH_ROWS = 61_440
"""Rows of one frame: a multiple of DuckDB's vector of 2,048, large enough for Polars, small enough for memory."""

FILE, LINE, IS_RECORD, FINGERPRINT = "file", "raw_line", "is_record", "prompt_fingerprint"

_ABSENT = "('', '[]', '{}')"


class UnreadableError(Exception):
    """The files cannot be read in one go: a damaged stream, or a line over the limit. Read them apart."""


def connect(memory_mb: int) -> duckdb.DuckDBPyConnection:
    """A private in-memory database that installs nothing and stays within its share of ``memory_mb``."""
    return duckdb.connect(
        config={
            "memory_limit": f"{max(memory_mb, 128)}MB",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "true",
        }
    )


def read_json_lines(
    database: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    fmt: Format,
    key: FingerprintKey,
    *,
    compression: Compression = "none",
    max_line_bytes: int,
) -> Iterator[pl.DataFrame]:
    """Each non-blank line of the files, in file and line order.

    Yields frames with ``file`` (path as given), ``raw_line`` (from 1 in each file, blank lines not counted),
    ``is_record`` (the line is one JSON object within the limit), ``prompt_fingerprint`` and the format's fields as
    texts (List(String) for texts, Int64 for occurrences).

    Raises:
        UnreadableError: as its docstring says.
    """
    paths = [*fmt.prompt.values(), *(_container(f) for f in fmt.fields.values())]
    columns = [
        f"{_column(f, f'texts[{i}]')} AS {_name(name)}"
        for i, (name, f) in enumerate(fmt.fields.items(), start=len(fmt.prompt) + 1)
    ]
    # One call takes every path: each further JSON function would parse the whole line again, into memory of its own.
    query = f"""
        SELECT filename AS {FILE}, is_record AS {IS_RECORD}, {_hash(_prompt(fmt), key)} AS {FINGERPRINT},
               {", ".join(columns)}
        FROM (
            SELECT filename,
                   coalesce(starts_with(json::VARCHAR, '{{') AND strlen(json::VARCHAR) <= {max_line_bytes}, false)
                       AS is_record,
                   json_extract_string(json, [{", ".join(map(_quoted, paths))}]) AS texts
            FROM read_ndjson_objects(
                {_list(files)}, format='newline_delimited', ignore_errors=true, filename=true,
                maximum_object_size={max_line_bytes}, compression='{compression}'
            )
        )"""  # noqa: S608 (paths of our own temporary files, JSON paths of our own format modules)
    yield from _numbered(_frames(database, query))


def read_parquet(
    database: duckdb.DuckDBPyConnection, file: Path, fmt: Format, key: FingerprintKey
) -> Iterator[pl.DataFrame]:
    """Each row of a Parquet file, with the same columns as ``read_json_lines``."""
    try:
        present = {row[0] for row in database.execute(f"DESCRIBE FROM read_parquet({_quoted(str(file))})").fetchall()}
    except duckdb.Error as error:
        raise UnreadableError(str(error)) from error
    columns = []
    for name, f in fmt.fields.items():
        column = f.path.removeprefix("$.")
        kind = "VARCHAR[]" if f.kind is Kind.TEXTS else "VARCHAR"
        columns.append(f"TRY_CAST({_name(column) if column in present else 'NULL'} AS {kind}) AS {_name(name)}")
    query = f"""SELECT {_quoted(str(file))} AS {FILE}, true AS {IS_RECORD}, NULL::VARCHAR AS {FINGERPRINT},
        {", ".join(columns)} FROM read_parquet({_quoted(str(file))})"""  # noqa: S608 (as above)
    yield from _numbered(_frames(database, query))


def _frames(database: duckdb.DuckDBPyConnection, query: str) -> Iterator[pl.DataFrame]:
    try:
        for batch in database.sql(query).to_arrow_reader(BATCH_ROWS):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame
    except duckdb.OutOfMemoryException as error:
        raise MemoryLimitError(
            "the reader ran out of its share of memory: raise limits.memory_mb, or lower limits.max_line_bytes, "
            "in finops.yaml"
        ) from error
    except (duckdb.Error, OSError) as error:
        raise UnreadableError(str(error)) from error


def _numbered(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Number the rows of each file from 1; a file may reach over several frames."""
    file, rows = None, 0
    for frame in frames:
        if frame.height == 0:
            continue
        before = pl.when(pl.col(FILE) == file).then(rows).otherwise(0) if file is not None else pl.lit(0)
        numbered = frame.with_columns((pl.int_range(1, pl.len() + 1).over(FILE) + before).alias(LINE))
        last = numbered.row(-1, named=True)
        file, rows = last[FILE], last[LINE]
        yield numbered


def _container(field: Field) -> str:
    """The path that is taken from the line: with wildcards, only what stands before the first."""
    return field.path.partition("[*]")[0]


def _column(field: Field, taken: str) -> str:
    """SQL for a field from the text of its container."""
    match field.kind:
        case Kind.TEXTS:
            return f"TRY_CAST(TRY_CAST({taken} AS JSON) AS VARCHAR[])"
        case Kind.OCCURRENCES:
            inner = _quoted("$" + field.path.removeprefix(_container(field)))
            return f"len(json_extract(TRY_CAST({taken} AS JSON), {inner}))"
    return taken


def _prompt(fmt: Format) -> str:
    """SQL for the prompt's canonical text: its members in order, each under its name; null where all are absent."""
    if not fmt.prompt:
        return "NULL::VARCHAR"
    members = [
        f"CASE WHEN coalesce(texts[{i}], '') IN {_ABSENT} THEN '' "
        f"ELSE {_quoted(label + '=')} || texts[{i}] || chr(10) END"
        for i, label in enumerate(fmt.prompt, start=1)
    ]
    whole = f"nullif({' || '.join(members)}, '')"
    for marker in fmt.redacted:
        given = " OR ".join(
            f"contains(texts[{i}], {_quoted(chr(34) + marker + chr(34))}) OR texts[{i}] = {_quoted(marker)}"
            for i in range(1, len(fmt.prompt) + 1)
        )
        whole = f"CASE WHEN {given} THEN NULL ELSE {whole} END"
    return whole


def _hash(text: str, key: FingerprintKey) -> str:
    """SQL for HMAC-SHA256 (RFC 2104) of a text, its first 128 bits as hex."""
    inner = f"unhex(sha256(unhex('{key.inner_pad.hex()}') || encode({text})))"
    return f"substr(sha256(unhex('{key.outer_pad.hex()}') || {inner}), 1, {FINGERPRINT_HEX})"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _list(files: Sequence[Path]) -> str:
    return "[" + ", ".join(_quoted(str(file)) for file in files) + "]"
