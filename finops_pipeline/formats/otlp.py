"""OTLP-JSON taken apart: trace documents to one JSON line a span, with its attributes as plain members.

A line is ``{"resource": {attribute: value}, "span": {…, "attributes": {attribute: value}}}``. Only how OTLP writes
things is known here; what an attribute means stands in ``otel``. Values pass as they are written, so that no number is
rounded, and a span that is odd costs itself and not its document.

Source: the OTLP specification's "JSON Protobuf Encoding", and the protobuf definitions of traces and common values.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw

OTHER_SIGNALS = ("resourceLogs", "resourceMetrics", "resourceProfiles")
"""What documents of other signals hold in place of ``resourceSpans``."""

NO_TRACES = b'{"other_signal":true}'
"""The record of a document of another signal."""

EVENT_ATTRIBUTES = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
)
"""Attributes that instrumentations write to the span or to an event of it, as they please."""

_TIMES = ("startTimeUnixNano", "endTimeUnixNano")
_NANOS_OF_A_SECOND = 9

AnyValue = dict[str, Raw]
"""A value under the name of its kind, as it is written."""


class _Attribute(msgspec.Struct):
    key: str = ""
    value: AnyValue | None = None


class _Array(msgspec.Struct):
    values: list[AnyValue | None] | None = None


class _Mapping(msgspec.Struct):
    values: list[_Attribute] | None = None


_members = msgspec.json.Decoder(dict[str, Raw]).decode
_elements = msgspec.json.Decoder(list[Raw]).decode
_listed = msgspec.json.Decoder(list[_Attribute] | None).decode
_array = msgspec.json.Decoder(_Array).decode
_mapping = msgspec.json.Decoder(_Mapping).decode


def spans(document: bytes) -> Iterator[bytes]:
    """One JSON line a span of a document, in order.

    What stands where a resource, a scope or a span should be and is none is given in brackets, which are no record, so
    that it is quarantined alone. Times in nanoseconds are given in seconds.

    Raises:
        ValueError: it is no OTLP document.
    """
    whole = _members(document)
    if "resourceSpans" not in whole:
        if not any(signal in whole for signal in OTHER_SIGNALS):
            raise ValueError("no OTLP document")
        yield NO_TRACES
        return
    for of_resource in _elements(whole["resourceSpans"]):
        yield from _spans_of_resource(of_resource)


def _spans_of_resource(of_resource: Raw) -> Iterator[bytes]:
    try:
        group = _members(of_resource)
        resource = msgspec.json.encode(_attributes(_members_or_none(group.get("resource")).get("attributes")))
        scopes = _elements_or_none(group.get("scopeSpans", group.get("instrumentationLibrarySpans")))
    except (ValueError, RecursionError):
        yield _odd(of_resource)
        return
    for of_scope in scopes:
        try:
            found = _elements_or_none(_members(of_scope).get("spans"))
        except (ValueError, RecursionError):
            yield _odd(of_scope)
            continue
        for span in found:
            try:
                yield msgspec.json.encode({"resource": Raw(resource), "span": _span(_members(span))})
            except (ValueError, RecursionError):
                yield _odd(span)


def _span(span: dict[str, Raw]) -> dict[str, Any]:
    attributes = _attributes(span.get("attributes"))
    for event in _elements_or_none(span.pop("events", None)):
        of_event = _attributes(_members(event).get("attributes"))
        attributes = {name: of_event[name] for name in EVENT_ATTRIBUTES if name in of_event} | attributes
    return span | {name: _seconds(span[name]) for name in _TIMES if name in span} | {"attributes": attributes}


def _seconds(nanoseconds: Raw) -> Raw:
    """Epoch seconds of epoch nanoseconds, exactly; what is no whole number stays as it is."""
    digits = bytes(nanoseconds).strip(b'"')
    if not digits.isdigit():
        return nanoseconds
    digits = digits.rjust(_NANOS_OF_A_SECOND + 1, b"0")
    return Raw(b'"%b.%b"' % (digits[:-_NANOS_OF_A_SECOND], digits[-_NANOS_OF_A_SECOND:]))


def _attributes(listed: Raw | None) -> dict[str, Any]:
    """Attribute → plain value of a list of keys and values."""
    return {} if listed is None else _plain(_listed(listed))


def _plain(attributes: list[_Attribute] | None) -> dict[str, Any]:
    return {attribute.key: _value(attribute.value) for attribute in attributes or ()}


def _value(value: AnyValue | None) -> Any:
    """The plain value: scalars as they are written, lists and mappings of such; null where there is none."""
    for kind, inner in (value or {}).items():
        match kind:
            case "arrayValue":
                return [_value(element) for element in _array(inner).values or ()]
            case "kvlistValue":
                return _plain(_mapping(inner).values)
        return inner
    return None


def _members_or_none(value: Raw | None) -> dict[str, Raw]:
    return {} if value is None or bytes(value) == b"null" else _members(value)


def _elements_or_none(value: Raw | None) -> list[Raw]:
    return [] if value is None or bytes(value) == b"null" else _elements(value)


def _odd(piece: Raw) -> bytes:
    return b"[%b]" % bytes(piece)
