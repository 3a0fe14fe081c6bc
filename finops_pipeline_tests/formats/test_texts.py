"""What stands where a format expects a text, and is none: it may be a prompt, and never reaches a frame."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from line_blocks import blocks_of

from finops_pipeline.config.model import Source
from finops_pipeline.formats.format import Format, Kind
from finops_pipeline.formats.names import FORMAT_NAMES
from finops_pipeline.formats.registry import format_of
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.mediation.reader import connect, read_json_lines, read_tables

KEY = FingerprintKey("k")
SECRET = "please keep this to yourself"
NESTED = [{"messages": [{"content": SECRET}]}, [SECRET], [{"a": [SECRET]}], {}, []]
TEXTS = ["gpt-5", '{"device_id":"d","account":"a"}', "[beta] model", "{", "["]
"""Texts, some of which look like JSON: Anthropic's ``metadata.user_id`` of today is an object written as a text."""

MAPPED_TEXTS = ("request_id", "raw_model", "team", "user_id", "error_code", "session_id")


def declared(name: str) -> Format:
    fields = {"event_time": "$.at", **{column: f"$.call.{column}" for column in MAPPED_TEXTS}}
    source = {"name": "s", "format": name, "uri": "/logs"} | ({"fields": fields} if name == "mapped" else {})
    return format_of(Source.model_validate(source))


def record_with(path: str, value: Any) -> dict[str, Any]:
    """A record that has a value at a path, and what leads there."""
    steps = re.findall(r'\."([^"]+)"|\.([^.\[]+)|\[(#-)?(\d+)\]', path.removeprefix("$"))
    assert steps, path
    for quoted, key, from_end, place in reversed(steps):
        if place:
            value = [None] * (0 if from_end else int(place)) + [value] + [None] * (int(place) - 1 if from_end else 0)
        else:
            value = {quoted or key: value}
    assert isinstance(value, dict)
    return value


def read(fmt: Format, records: list[dict[str, Any]]) -> pl.DataFrame:
    lines = b"\n".join(json.dumps(record).encode() for record in records)
    return pl.concat(read_json_lines(connect(300), blocks_of(lines), fmt, KEY))


def read_cells(table: pl.DataFrame, fmt: Format) -> pl.DataFrame:
    rows = table.with_row_index("").to_arrow().to_batches()
    return pl.concat(read_tables(connect(300), iter(rows), fmt, KEY))


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_no_text_field_takes_an_object_or_an_array(name: str, tmp_path: Path) -> None:
    fmt = declared(name)
    paths = {field: f.path for field, f in fmt.fields.items() if f.kind is Kind.TEXT}
    assert paths
    asked = list(itertools.product(paths, NESTED))
    found = read(fmt, [record_with(paths[field], value) for field, value in asked])
    for row, (field, value) in enumerate(asked):
        assert found[row, field] is None, (field, value)


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_a_text_that_looks_like_json_is_a_text(name: str, tmp_path: Path) -> None:
    fmt = declared(name)
    # A value that may be JSON written as a text is what it says.
    paths = {field: f.path for field, f in fmt.fields.items() if f.kind is Kind.TEXT and f.path not in fmt.embedded}
    asked = list(itertools.product(paths, TEXTS))
    found = read(fmt, [record_with(paths[field], value) for field, value in asked])
    assert [found[row, field] for row, (field, _) in enumerate(asked)] == [value for _, value in asked]


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_numbers_and_flags_are_their_texts(name: str, tmp_path: Path) -> None:
    fmt = declared(name)
    path = next((field, f.path) for field, f in fmt.fields.items() if f.kind is Kind.TEXT)
    found = read(fmt, [record_with(path[1], value) for value in (404, True, None)])
    assert found.get_column(path[0]).to_list() == ["404", "true", None]


@pytest.mark.parametrize("name", [name for name in FORMAT_NAMES if declared(name).embedded])
def test_nor_does_one_within_a_document_that_is_written_as_a_text(name: str, tmp_path: Path) -> None:
    fmt = declared(name)
    inner = [
        (field, f.path, outer)
        for field, f in fmt.fields.items()
        for outer in fmt.embedded
        if f.kind is Kind.TEXT and f.path.startswith((f"{outer}.", f"{outer}["))
    ]
    assert inner
    asked = list(itertools.product(inner, [*NESTED, "a text"]))
    records = []
    for (_, path, outer), value in asked:
        document = json.dumps(record_with("$.x" + path.removeprefix(outer), value)["x"])
        records.append(record_with(outer, document))
    found = read(fmt, records)
    for row, ((field, _, _), value) in enumerate(asked):
        assert found[row, field] == (value if value == "a text" else None), (field, value)


@pytest.mark.parametrize("name", [name for name in FORMAT_NAMES if declared(name).tables])
def test_nor_does_a_cell(name: str) -> None:
    # Cells have no types: JSON in them is what an export has made of an object.
    fmt = declared(name)
    columns = {f.path.removeprefix("$."): field for field, f in fmt.fields.items() if f.kind is Kind.TEXT}
    cells = {column: field for column, field in columns.items() if not re.search(r"[.\[]", column)}
    written = [json.dumps(value) for value in NESTED] + [f"\n {json.dumps(NESTED[0], indent=1)}"]
    table = pl.DataFrame({column: [*written, "[beta] model", "x"] for column in cells or ["other"]})
    found = read_cells(table, fmt)
    for field in cells.values():
        assert found.get_column(field).to_list() == [None] * len(written) + ["[beta] model", "x"]


def test_nor_does_a_nested_column() -> None:
    columns = {"model": [NESTED[0]], "team": [[SECRET]], "user_id": ["u"], "tags": [{"env": "prod"}]}
    found = read_cells(pl.DataFrame(columns), declared("record"))
    assert found.select("model", "team", "user_id", "tags").row(0) == (None, None, "u", '{"env":"prod"}')


TAGS = {
    "bedrock": "$.requestMetadata",
    "bedrock_batch": "$.modelInput.requestMetadata",
    "litellm": "$.request_tags",
    "openai": "$.metadata",
    "vertex": "$.full_request.labels",
    "langfuse": "$.tags",
    "cloudflare": "$.metadata",
    "record": "$.tags",
}
"""Where labels stand; the columns made of them are beside ``tags``."""

CALLS = {
    "bedrock": {"timestamp": "2026-10-05T14:00:00Z"},
    "bedrock_batch": {"recordId": "r"},
    "litellm": {"startTime": 1791208800},
    "openai": {"created": 1791208800},
    "vertex": {"logging_time": "2026-10-05T14:00:00Z"},
    "langfuse": {"start_time": "2026-10-05T14:00:00Z", "type": "GENERATION"},
    "cloudflare": {"created_at": "2026-10-05T14:00:00Z"},
    "record": {"timestamp": "2026-10-05T14:00:00Z"},
}


@pytest.mark.parametrize("name", TAGS)
@pytest.mark.parametrize("labels", [{"env": "prod", "messages": [{"content": SECRET}]}, ["env:prod", [SECRET]]])
def test_labels_hold_no_objects(name: str, labels: Any, usage_of: Callable[..., list[dict[str, Any]]]) -> None:
    row = usage_of(name, CALLS[name] | record_with(TAGS[name], labels))[0]
    assert SECRET not in str(row)
    if name != "langfuse" or isinstance(labels, list):
        assert {"key": "env", "value": "prod"} in row["tags"]
