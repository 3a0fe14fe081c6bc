"""Raw records to frames of texts: the only place that knows DuckDB.

DuckDB reads, because a broken line costs it one row and no other (Polars' and pyarrow's readers fail the scan or the
block). It takes every JSON path in one pass and gives the values' texts, so that no type ever rounds or nulls a value
unnoticed; the prompt's keyed hash is taken inside it, so that no prompt text enters a frame.
"""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl

from finops_pipeline.errors import MemoryLimitError
from finops_pipeline.formats.format import Field, Format, Kind
from finops_pipeline.mediation.fingerprints import FINGERPRINT_HEX, FingerprintKey

BATCH_ROWS = 61_440
"""Rows of one frame: a multiple of DuckDB's vector of 2,048, large enough for Polars, small enough for memory."""

LEAST_ROWS = 16_384
"""Rows that are gathered before they are handed on, where a file has so many."""

LINE, IS_RECORD, FINGERPRINT = "raw_line", "is_record", "prompt_fingerprint"

_ABSENT = "('', '[]', '{}')"


LINE_BUFFER = 16 << 20
"""Least size of the reader's line buffer, in bytes: about that of a piece (measured: smaller ones need more memory)."""


class UnreadableError(Exception):
    """The file is none that can be read."""


def connect(memory_mb: int) -> duckdb.DuckDBPyConnection:
    """A private in-memory database that installs nothing and spills nothing to disk."""
    return duckdb.connect(
        config={
            "memory_limit": f"{memory_mb}MB",
            "temp_directory": "",  # prompts are not left lying about
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "true",
        }
    )


def read_json_lines(
    database: duckdb.DuckDBPyConnection,
    file: Path,
    fmt: Format,
    key: FingerprintKey,
    *,
    longest: int,
) -> Iterator[pl.DataFrame]:
    """Each non-blank line of a plain file, in order.

    Yields frames with ``raw_line`` (from 1, blank lines not counted), ``is_record`` (the line is one JSON object),
    ``prompt_fingerprint`` and the format's fields as texts (List(String) for texts, Int64 for occurrences).

    Args:
        longest: Bytes of the file's longest line.

    Raises:
        UnreadableError: the file is none that can be read.
        MemoryLimitError: reading needs more memory than the database may use.
    """
    paths = [*fmt.prompt.values(), *(_container(f) for f in fmt.fields.values())]
    columns = [
        f"{_column(f, f'texts[{i}]')} AS {_name(name)}"
        for i, (name, f) in enumerate(fmt.fields.items(), start=len(fmt.prompt) + 1)
    ]
    # One call takes every path: each further JSON function would parse the whole line again, into memory of its own.
    query = f"""
        SELECT is_record AS {IS_RECORD}, {_hash(_prompt(fmt), key)} AS {FINGERPRINT}, {", ".join(columns)}
        FROM (
            SELECT coalesce(starts_with(json::VARCHAR, '{{'), false) AS is_record,
                   json_extract_string(json, [{", ".join(map(_quoted, paths))}]) AS texts
            FROM read_ndjson_objects(
                {_quoted(str(file))}, format='newline_delimited', ignore_errors=true,
                maximum_object_size={max(LINE_BUFFER, longest + 1024)}, compression='none'
            )
        )"""  # noqa: S608 (a path of our own temporary folder, JSON paths of our own format modules)
    yield from _numbered(_frames(database, query))


def read_parquet(
    database: duckdb.DuckDBPyConnection, file: Path, fmt: Format, key: FingerprintKey
) -> Iterator[pl.DataFrame]:
    """Each row of a Parquet file, with the same columns as ``read_json_lines``.

    Raises:
        UnreadableError: the file is no Parquet file, or is damaged.
    """
    table = f"read_parquet({_quoted(str(file))}, hive_partitioning=false, binary_as_string=true)"
    try:
        present = {row[0] for row in database.execute(f"DESCRIBE FROM {table}").fetchall()}
    except duckdb.Error as error:
        raise UnreadableError(str(error)) from error
    columns = []
    for name, f in fmt.fields.items():
        column = f.path.removeprefix("$.")
        kind = "VARCHAR[]" if f.kind is Kind.TEXTS else "VARCHAR"
        columns.append(f"TRY_CAST({_name(column) if column in present else 'NULL'} AS {kind}) AS {_name(name)}")
    query = f"""SELECT true AS {IS_RECORD}, NULL::VARCHAR AS {FINGERPRINT}, {", ".join(columns)}
        FROM {table}"""  # noqa: S608 (as above)
    yield from _numbered(_frames(database, query))


def _frames(database: duckdb.DuckDBPyConnection, query: str) -> Iterator[pl.DataFrame]:
    try:
        for batch in database.sql(query).to_arrow_reader(BATCH_ROWS):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame
    except (duckdb.Error, OSError) as error:
        if "Out of Memory" in str(error):
            raise MemoryLimitError(
                "the reader ran out of its share of memory: raise limits.memory_mb, or lower limits.max_line_bytes, "
                "in finops.yaml"
            ) from error
        raise UnreadableError(str(error)) from error


def _numbered(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Number the rows from 1 on, in frames that are worth the overhead of an expression."""
    rows, held, height = 0, [], 0
    for frame in frames:
        held.append(frame)
        height += frame.height
        if height >= LEAST_ROWS:
            yield _with_lines(held, rows)
            rows, held, height = rows + height, [], 0
    if held:
        yield _with_lines(held, rows)


def _with_lines(frames: list[pl.DataFrame], before: int) -> pl.DataFrame:
    return pl.concat(frames).with_row_index(LINE, before + 1).cast({LINE: pl.Int64})


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
