"""Anthropic messages that somebody stored, one call a line: Anthropic itself delivers no logs.

A line is the envelope that its writer puts around a response: ``{ts, request_id, workspace, latency_ms, stream,
response}``. ``response`` is a message, an error, or all events of a stream, from ``message_start`` on; null, with
``error`` beside it, where there was none. A writer may add ``request``, the body that was sent: its prompt is
fingerprinted, it names the model of a failed call, and the caller's own customer by ``metadata.user_id``. A message
without an envelope has no time, and is quarantined.

Rules and their sources: what a message says stands in ``anthropic_message``; the guides "Streaming messages" and
"Errors". Counts of a ``message_delta`` are cumulative: the last one's hold, and what it leaves out is
``message_start``'s.
"""

from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.anthropic_message import message_columns, message_fields, usage_fields
from finops_pipeline.formats.format import Field, Format, flag, instant, number, occurrences, text
from finops_pipeline.formats.statuses import status_of
from finops_pipeline.mediation.open_layout import OpenLayout

_START = "$.response[0].message"
_LAST = ("$.response[#-1]", "$.response[#-2]")
"""Where the last ``message_delta`` of a stream stands: before ``message_stop``, or at the end of one that broke off."""


def _event_fields(at: str) -> dict[str, Field]:
    return {"stop_reason": text(f"{at}.delta.stop_reason"), **usage_fields(f"{at}.usage")}


_MESSAGE, _MESSAGE_START = message_fields("$.response"), message_fields(_START)
_EVENTS = [_event_fields(at) for at in _LAST]
_STREAM = {
    **{f"start_{name}": field for name, field in _MESSAGE_START.items()},
    **{f"last_{n}_{name}": field for n, event in enumerate(_EVENTS) for name, field in event.items()},
    "start_tools": occurrences("$.response[*].content_block.input"),
}


def _said(name: str) -> pl.Expr:
    """A field of the message, or of the stream: the last event that has it, else the first."""
    return pl.coalesce(name, *(f"last_{n}_{name}" for n in range(len(_LAST)) if name in _EVENTS[n]), f"start_{name}")


def _columns() -> Mapping[str, pl.Expr]:
    message = message_columns(_said)
    error = pl.coalesce("error", "stream_error", "envelope_error", "error_beside")
    failed = (pl.col("type") == "error").fill_null(False) | error.is_not_null()
    return message | {
        "request_id": pl.coalesce(message["request_id"], "error_request_id", "request_id"),
        "event_time": pl.col("ts"),
        "raw_model": pl.coalesce(message["raw_model"], "requested_model"),
        "project": pl.col("workspace"),
        "end_user": pl.col("end_user"),
        "stream": pl.coalesce("stream", pl.when(pl.col("first_event") == "message_start").then(pl.lit(True))),
        "batch": message["service_tier"] == "batch",
        "status": status_of(failed),
        "error_code": error,
        "latency_ms": pl.col("latency"),
    }


ANTHROPIC = Format(
    name="anthropic",
    version=1,
    layout=OpenLayout(),
    fields={
        "ts": instant("$.ts"),
        "request_id": text("$.request_id"),
        "workspace": text("$.workspace"),
        "latency": number("$.latency_ms"),
        "stream": flag("$.stream"),
        "requested_model": text("$.request.model"),
        "end_user": text("$.request.metadata.user_id"),
        "type": text("$.response.type"),
        "first_event": text("$.response[0].type"),
        "error_request_id": text("$.response.request_id"),
        "error": text("$.response.error.type"),
        "stream_error": text("$.response[#-1].error.type"),
        "envelope_error": text("$.error.error.type"),
        "error_beside": text("$.error.type"),
        **_MESSAGE,
        **_STREAM,
    },
    columns=_columns,
    prompt={"system": "$.request.system", "messages": "$.request.messages", "tools": "$.request.tools"},
)
