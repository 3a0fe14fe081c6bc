"""OTLP-JSON taken apart: one line a span whatever stands around it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.formats.otlp import spans


def taken(*listed: Any) -> list[Any]:
    document = {"resourceSpans": [{"scopeSpans": [{"spans": list(listed)}]}]}
    return [json.loads(line) for line in spans(json.dumps(document).encode())]


def test_attributes_become_members() -> None:
    values = [
        {"key": "text", "value": {"stringValue": "x"}},
        {"key": "yes", "value": {"boolValue": True}},
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"arrayValue": {}}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"doubleValue": 0.5}}]}}},
        {"key": "nothing", "value": {}},
        {"key": "null", "value": None},
    ]
    (line,) = taken({"attributes": values})
    assert line["span"]["attributes"] == {
        "text": "x", "yes": True, "list": ["1", []], "map": {"k": 0.5}, "nothing": None, "null": None,
    }  # fmt: skip


def test_numbers_pass_as_they_are_written() -> None:
    document = b"""{"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [
        {"key": "n", "value": {"intValue": 123456789012345678901234567890}},
        {"key": "d", "value": {"doubleValue": 1e400}}
    ]}]}]}]}"""
    (line,) = spans(document)
    assert b'"n":123456789012345678901234567890' in line
    assert b'"d":1e400' in line


@pytest.mark.parametrize(
    ("nanoseconds", "seconds"),
    [
        ("1791209100100000000", "1791209100.100000000"),
        (1791209100100000001, "1791209100.100000001"),
        ("5", "0.000000005"),
        ("soon", "soon"),
        (-5, -5),
        (1.5, 1.5),
        (None, None),
    ],
)
def test_nanoseconds_become_seconds_exactly(nanoseconds: Any, seconds: Any) -> None:
    assert taken({"startTimeUnixNano": nanoseconds})[0]["span"]["startTimeUnixNano"] == seconds


def test_older_scopes_are_known() -> None:
    old = {"resourceSpans": [{"instrumentationLibrarySpans": [{"spans": [{"spanId": "a"}]}]}]}
    (line,) = spans(json.dumps(old).encode())
    assert json.loads(line)["span"]["spanId"] == "a"


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"5", b"{}", b'{"id": 1}', b'{"resourceSpans": 5}', b'{"resourceSpans"']
)
def test_what_is_no_document_is_said_so(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(spans(document))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["attributes", "events", "key", "value", "values", "arrayValue", "kvlistValue", "intValue", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ANY, max_size=6))
def test_every_span_gives_one_line(listed: list[Any]) -> None:
    assert len(taken(*listed)) == len(listed)
