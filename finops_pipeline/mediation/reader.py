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

from finops_pipeline.formats.format import Format, Kind
from finops_pipeline.mediation.fingerprints import FINGERPRINT_HEX, FingerprintKey

Compression = Literal["none", "gzip", "zstd"]

BATCH_ROWS = 61_440
"""Rows of one frame: a multiple of DuckDB's vector of 2,048, large enough for Polars, small enough for memory."""

FILE, LINE, IS_RECORD, FINGERPRINT = "file", "raw_line", "is_record", "prompt_fingerprint"

_ABSENT = "('null', '\"\"', '[]', '{}')"


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
    ``is_record`` (the line is one JSON object), ``prompt_fingerprint`` and the format's fields as texts
    (List(String) for texts, Int64 for occurrences).

    Raises:
        UnreadableError: as its docstring says.
    """
    sources = (
        f"read_ndjson_objects({_list(files)}, format='newline_delimited', ignore_errors=true, filename=true, "
        f"maximum_object_size={max_line_bytes}, compression='{compression}')"
    )
    plain = [name for name, f in fmt.fields.items() if f.kind not in (Kind.TEXTS, Kind.OCCURRENCES)]
    paths = ", ".join(_quoted(fmt.fields[name].path) for name in plain)
    listed = [
        f"TRY_CAST(json_extract(json, {_quoted(f.path)}) AS VARCHAR[]) AS {_name(name)}"
        for name, f in fmt.fields.items()
        if f.kind is Kind.TEXTS
    ] + [
        f"len(json_extract(json, {_quoted(f.path)})) AS {_name(name)}"
        for name, f in fmt.fields.items()
        if f.kind is Kind.OCCURRENCES
    ]
    columns = [f"texts[{i}] AS {_name(name)}" for i, name in enumerate(plain, start=1)]
    columns += [_name(n) for n, f in fmt.fields.items() if f.kind in (Kind.TEXTS, Kind.OCCURRENCES)]
    query = f"""
        SELECT filename AS {FILE}, is_record AS {IS_RECORD}, {_hash("prompt", key)} AS {FINGERPRINT},
               {", ".join(columns)}
        FROM (
            SELECT filename, coalesce(json_type(json) = 'OBJECT', false) AS is_record,
                   {_prompt(fmt)} AS prompt,
                   {", ".join([f"json_extract_string(json, [{paths}]) AS texts", *listed])}
            FROM {sources}
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


def _prompt(fmt: Format) -> str:
    """SQL for the prompt's canonical text: its members in order, each under its name; null where all are absent."""
    if not fmt.prompt:
        return "NULL::VARCHAR"
    members = [
        f"CASE WHEN coalesce(json_extract(json, {_quoted(path)})::VARCHAR, 'null') NOT IN {_ABSENT} "
        f"THEN {_quoted(label + '=')} || json_extract(json, {_quoted(path)})::VARCHAR || chr(10) ELSE '' END"
        for label, path in fmt.prompt.items()
    ]
    whole = f"nullif({' || '.join(members)}, '')"
    for marker in fmt.redacted:
        whole = f"CASE WHEN contains({whole}, {_quoted(chr(34) + marker + chr(34))}) THEN NULL ELSE {whole} END"
    return whole


def _hash(column: str, key: FingerprintKey) -> str:
    """SQL for HMAC-SHA256 (RFC 2104) of a text column, its first 128 bits as hex."""
    inner = f"unhex(sha256(unhex('{key.inner_pad.hex()}') || encode({column})))"
    return f"substr(sha256(unhex('{key.outer_pad.hex()}') || {inner}), 1, {FINGERPRINT_HEX})"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _list(files: Sequence[Path]) -> str:
    return "[" + ", ".join(_quoted(str(file)) for file in files) + "]"
