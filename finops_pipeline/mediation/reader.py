"""Raw records to frames of texts: the only place that knows DuckDB.

DuckDB reads, because a broken line costs it one row and no other (Polars' and pyarrow's readers fail the scan or the
block). It takes every JSON path in one pass and gives the values' texts, so that no type ever rounds or nulls a value
unnoticed. Prompts leave it in batches of a few thousand, of which only the keyed hashes go on: no prompt text enters a
frame.
"""

import re
from collections.abc import Iterator
from itertools import chain

import duckdb
import polars as pl
import pyarrow as pa

from finops_pipeline.errors import MemoryLimitError
from finops_pipeline.formats.format import Field, Format, Kind
from finops_pipeline.mediation.fingerprints import MEMBER, FingerprintKey, with_fingerprints
from finops_pipeline.mediation.prefixes import with_prefix_block_hashes

BATCH_ROWS, BATCH_BYTES = 2_048, 4 << 20
"""Rows, prompts included, that DuckDB hands over at once, and how many bytes they may come from, about."""

LEAST_ROWS, LEAST_BYTES = 32_768, 64 << 20
"""Rows, or bytes of their fields, that are gathered before they are handed on, where a file has so many."""

LINE, IS_RECORD = "raw_line", "is_record"

_BLANKS = "' ' || chr(9) || chr(10) || chr(13)"
"""SQL for what may stand before a JSON value."""

TYPES = "json types"
"""Column with the JSON types of texts that look like JSON, by document."""


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
            "threads": "1",  # whoever reads several files side by side has a thread for each
        }
    )


def read_json_lines(
    database: duckdb.DuckDBPyConnection,
    blocks: Iterator[pa.RecordBatch],
    fmt: Format,
    key: FingerprintKey,
    *,
    block_chars: int = 0,
) -> Iterator[pl.DataFrame]:
    """Each line, in order.

    Yields frames with ``raw_line`` (from 1), ``is_record`` (the line is one JSON object; null where it was refused
    before), ``prompt_fingerprint``, the format's fields as texts (List(String) for texts, Int64 for occurrences) and,
    where hashes of blocks are asked for and the format has prompts, ``prefix_block_hashes``.

    Args:
        blocks: The lines (``lines.SCHEMA``).
        block_chars: Characters of a block of the prompt's prefix hashes; 0 for none.

    Raises:
        UnreadableError: the lines are none that can be read.
        MemoryLimitError: reading needs more memory than the database may use.
    """
    taken = _Taken(fmt, fmt.embedded)
    # One call takes every path: each further JSON function would parse the whole line again.
    lines = f"""
        SELECT *, CASE WHEN json IS NOT NULL THEN texts IS NOT NULL END AS {IS_RECORD}
        FROM (
            SELECT json, TRY(json_extract_string(json, [{", ".join(map(_quoted, taken.outer))}])) AS texts FROM blocks
        )"""  # noqa: S608 (JSON paths of our own format modules)
    before = 0
    for frame in _gathered(_streamed(database, blocks, taken, lines, key, block_chars)):
        yield frame.with_row_index(LINE, before + 1).cast({LINE: pl.Int64})
        before += frame.height


def _streamed(
    database: duckdb.DuckDBPyConnection,
    blocks: Iterator[pa.RecordBatch],
    taken: "_Taken",
    records: str,
    key: FingerprintKey,
    block_chars: int,
) -> Iterator[pl.DataFrame]:
    """The frames of blocks; to the SQL of ``records``, these are the table ``blocks``."""
    for run in _runs(blocks):
        database.register("blocks", pa.RecordBatchReader.from_batches(run.schema, run))
        try:
            yield from _frames(database, taken, records, key, block_chars, rows=run.rows)
        except UnreadableError:
            if run.error is not None:
                raise run.error from None
            raise
        finally:
            database.unregister("blocks")


class _Run:
    """Blocks whose lines are about as long, one after the other.

    Attributes:
        schema: Theirs.
        rows: Lines that may be handed over at once, their prompts included.
        error: What stopped the blocks from coming: the database tells only that something did.
    """

    def __init__(self, first: pa.RecordBatch, others: Iterator[pa.RecordBatch]) -> None:
        self.schema = first.schema
        self._longest = 4 * max(1, first.nbytes // len(first))
        self.rows = max(1, min(BATCH_ROWS, 4 * BATCH_BYTES // self._longest))
        self.next: pa.RecordBatch | None = first
        self.error: Exception | None = None
        self._others = others

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            while self.next is not None and self.next.nbytes <= self._longest * len(self.next):
                yield self.next
                self.next = next(self._others, None)
        except Exception as error:
            self.error = error
            raise


def _runs(blocks: Iterator[pa.RecordBatch]) -> Iterator[_Run]:
    block = next(blocks, None)
    while block is not None:
        run = _Run(block, blocks)
        yield run
        block = run.next


def columns_of(fmt: Format) -> set[str]:
    """The columns of tables that a format looks into."""
    return set(map(_column_of, _of_cells(fmt).outer))


def read_tables(
    database: duckdb.DuckDBPyConnection,
    tables: Iterator[pa.RecordBatch],
    fmt: Format,
    key: FingerprintKey,
    *,
    block_chars: int = 0,
) -> Iterator[pl.DataFrame]:
    """Each row, in order, with the columns of ``read_json_lines``.

    Args:
        tables: Parts of one table, none without rows. Their first column is the rows' number, whatever its name.
    """
    first = next(tables, None)
    if first is None:
        return
    taken = _of_cells(fmt)
    # Under names of our own: to DuckDB, "Model" and "model" are one.
    names = [f"c{place}" for place in range(len(first.schema))]
    texts = {field.name: _text_of(name, field.type) for name, field in list(zip(names, first.schema, strict=True))[1:]}
    cells = [texts.get(_column_of(path), "NULL::VARCHAR") for path in taken.outer]
    rows = f"SELECT c0 AS {LINE}, true AS {IS_RECORD}, [{', '.join(cells)}] AS texts FROM blocks"  # noqa: S608 (as above)
    blocks = (table.rename_columns(names) for table in chain([first], tables))
    yield from _gathered(_streamed(database, blocks, taken, rows, key, block_chars))


def _of_cells(fmt: Format) -> "_Taken":
    """How paths are taken from the rows of a table: the first step is a column, and what is in its text follows."""
    paths = [*fmt.prompt.values(), *(_container(f) for f in fmt.fields.values())]
    whole = {path for path in fmt.embedded if _first_step(path) == path}
    embedded = sorted({step for path in paths if (step := _first_step(path)) != path} | whole)
    return _Taken(fmt, tuple(embedded), of_cells=True)


def _column_of(path: str) -> str:
    return path.removeprefix("$.").strip('"')


def _text_of(column: str, written: pa.DataType) -> str:
    """SQL for the text of a column of a type: of nested values, and of lists, their JSON."""
    return f"to_json({column})::VARCHAR" if pa.types.is_nested(written) else f"TRY_CAST({column} AS VARCHAR)"


def _first_step(path: str) -> str:
    """``$.usage`` of ``$.usage.input``; a path of one step is its own."""
    found = re.match(r'\$\.(?:"[^"]*"|[^.\[]+)', path)
    return found[0] if found else path


class _Taken:
    """How the paths of a format are taken from records: at once, save for those that lead into embedded documents.

    Args:
        fmt: The format.
        embedded: Paths of values that may be JSON documents written as texts.
        of_cells: Whether paths of one step are cells, which have no type but what their texts look like.
    """

    def __init__(self, fmt: Format, embedded: tuple[str, ...], *, of_cells: bool = False) -> None:
        self.fmt, self._of_cells = fmt, of_cells
        self.outer: list[str] = list(embedded)
        """Paths into the record itself; the query's innermost part gives their texts as the list ``texts``."""
        self._inner: list[list[str]] = [[] for _ in embedded]
        self._places: dict[str, str] = {}
        self._stands: dict[str, tuple[str, str]] = {}
        """Path: SQL for the JSON document that its value stands in, and the path in there."""
        for path in [*fmt.prompt.values(), *(_container(f) for f in fmt.fields.values())]:
            self._places.setdefault(path, self._place(path, embedded))
        self._texts: dict[str, dict[str, str]] = {}
        """SQL for a JSON document: the fields that are texts in it, with their paths there."""
        for name, field in fmt.fields.items():
            if field.kind is Kind.TEXT:
                document, path = self._stands[field.path]
                self._texts.setdefault(document, {})[name] = path

    def _place(self, path: str, embedded: tuple[str, ...]) -> str:
        for n, outer in enumerate(embedded):
            if path == outer or path.startswith((f"{outer}.", f"{outer}[")):
                self._inner[n].append("$" + path.removeprefix(outer))
                self._stands[path] = f"TRY_CAST(texts[{n + 1}] AS JSON)", self._inner[n][-1]
                found = f"texts_{n}[{len(self._inner[n])}]"
                # As JSON, so that it is the same text however it was written; else as it stands.
                return f"coalesce({found}, texts[{n + 1}])" if path == outer else found
        if path not in self.outer:
            self.outer.append(path)
        place = f"texts[{self.outer.index(path) + 1}]"
        self._stands[path] = (f"TRY_CAST({place} AS JSON)", "$") if self._of_cells else ("json", path)
        return place

    def query(self, records: str) -> str:
        """SQL for the columns of ``read_json_lines`` from SQL that gives ``is_record`` and ``texts``.

        In the place of hashes stand the members of the prompt, which they are taken of.
        """
        within = [
            f"json_extract_string(TRY_CAST(texts[{n + 1}] AS JSON), [{', '.join(map(_quoted, paths))}]) AS texts_{n}"
            for n, paths in enumerate(self._inner)
            if paths
        ]
        if within:
            records = f"SELECT *, {', '.join(within)} FROM ({records})"  # noqa: S608 (as above)
        columns = [f"{self._column(f)} AS {_name(name)}" for name, f in self.fmt.fields.items()]
        prompt = {member: self._places[path] for member, path in self.fmt.prompt.items()}
        columns += [f"{text} AS {_name(MEMBER + member)}" for member, text in prompt.items()]
        columns += [f"{self._types()} AS {_name(TYPES)}"] if self._texts else []
        numbers = [LINE] if self._of_cells else []
        return f"SELECT {', '.join([*numbers, IS_RECORD, *columns])} FROM ({records})"  # noqa: S608 (as above)

    def _types(self) -> str:
        """SQL for the JSON types of the texts, in the order of ``_texts``; null where nothing looks like JSON.

        One look at all texts of a record decides, since asking parses it again. Values of a record are written without
        blanks before them; cells of a table stand as they are.
        """
        texts = [self._places[f.path] for f in self.fmt.fields.values() if f.kind is Kind.TEXT]
        begins = (lambda text: f"ltrim({text}, {_BLANKS})") if self._of_cells else (lambda text: text)
        signs = ", ".join(str(ord(sign)) for sign in "{[")
        looks_like_json = (f"ascii({begins(text)}) IN ({signs})" for text in texts)
        asked = [
            f"json_type({document}, [{', '.join(_quoted(path) for path in fields.values())}])"
            for document, fields in self._texts.items()
        ]
        return f"CASE WHEN {' OR '.join(looks_like_json)} THEN [{', '.join(asked)}] END"

    def without_nested(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with null in place of texts that are none, but objects or arrays: they may hold prompts."""
        if TYPES not in frame.columns:
            return frame
        types = frame.get_column(TYPES)
        frame = frame.drop(TYPES)
        if types.null_count() == frame.height:
            return frame
        cleared = []
        for n, fields in enumerate(self._texts.values()):
            of_document = types.list.get(n)
            for place, name in enumerate(fields):
                nested = of_document.list.get(place).is_in(["OBJECT", "ARRAY"]).fill_null(False)
                cleared.append(frame.get_column(name).set(nested, None))
        return frame.with_columns(cleared)

    def _column(self, field: Field) -> str:
        """SQL for a field."""
        container = _container(field)
        taken, inner = self._places[container], "$" + field.path.removeprefix(container)
        match field.kind:
            case Kind.GIVEN:
                return f"coalesce({taken} NOT IN ('', 'null'), false)"
            case Kind.TEXTS:
                whole = f"TRY_CAST(TRY_CAST({taken} AS JSON) AS JSON[])"
                found = whole if inner == "$" else _matches(taken, inner)
                scalar = "CASE WHEN json_type(x) NOT IN ('OBJECT', 'ARRAY') THEN x ->> '$' END"
                return _where_given(taken, f"list_transform({found}, lambda x: {scalar})")
            case Kind.OCCURRENCES:
                return _where_given(taken, f"len({_matches(taken, inner)})")
        return taken


def _frames(
    database: duckdb.DuckDBPyConnection,
    taken: _Taken,
    records: str,
    key: FingerprintKey,
    block_chars: int,
    *,
    rows: int = BATCH_ROWS,
) -> Iterator[pl.DataFrame]:
    try:
        for batch in database.sql(taken.query(records)).to_arrow_reader(rows):
            hashed = with_fingerprints(batch, key, taken.fmt.redacted)
            if block_chars:
                hashed = with_prefix_block_hashes(hashed, key, block_chars)
            # A copy: columns that are taken as they are would keep all of their batch, and with it the prompts.
            kept = hashed.drop_columns([c for c in batch.schema.names if c.startswith(MEMBER)])
            frame = pl.from_arrow(kept.copy_to(pa.default_cpu_memory_manager()))
            assert isinstance(frame, pl.DataFrame)
            yield taken.without_nested(frame)
    except (duckdb.Error, OSError) as error:
        if "Out of Memory" in str(error):
            raise MemoryLimitError(
                "the reader ran out of its share of memory: raise limits.memory_mb, or lower limits.max_line_bytes, "
                "in finops.yaml"
            ) from error
        raise UnreadableError(str(error)) from error


def _gathered(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The rows in frames that are worth the overhead of an expression."""
    held, height, size = [], 0, 0
    for frame in frames:
        held.append(frame)
        height, size = height + frame.height, size + int(frame.estimated_size())
        if height >= LEAST_ROWS or size >= LEAST_BYTES:
            yield pl.concat(held)
            held, height, size = [], 0, 0
    if held:
        yield pl.concat(held)


def _container(field: Field) -> str:
    """The path that is taken from the line: with wildcards, only what stands before the first."""
    return field.path.partition("[*]")[0]


def _matches(document: str, path: str) -> str:
    """SQL for the list of what a path with wildcards leads to in a document that is a text."""
    return f"json_extract(TRY_CAST({document} AS JSON), {_quoted(path)})"


def _where_given(text: str, expression: str) -> str:
    """SQL for a dear expression over a text that most records lack: nothing is computed for these."""
    return f"CASE WHEN {text} IS NOT NULL THEN {expression} END"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
