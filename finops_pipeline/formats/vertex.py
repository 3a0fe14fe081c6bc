"""Vertex AI's request-response logs: rows of the BigQuery table that it writes, exported as JSON lines or Parquet.

Rules and their sources: Vertex AI's documentation of request-response logging and captured rows; what a request and a
response say is in ``gemini``. ``full_request``, ``full_response`` and ``metadata`` are JSON, which an export may write
as texts. A row without a response, or with an error for one, is a failed call. The log is a sample where its
``sampling_rate`` is below 1: what it left out is nowhere, and nothing here makes up for it.

Unverified: that a streamed response may be a list of its chunks, whose last one then has the whole usage.
"""

from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.format import Format, given, instant, number, text
from finops_pipeline.formats.gemini import (
    function_calls,
    prompt_of,
    request_columns,
    request_fields,
    response_columns,
    response_fields,
)
from finops_pipeline.formats.tokens import sum_of_known
from finops_pipeline.mediation.open_layout import OpenLayout

_REQUEST, _RESPONSE = "$.full_request", "$.full_response"
_RESPONSES = (_RESPONSE, f"{_RESPONSE}[#-1]")
"""A whole response, or the last chunk of a streamed one."""


def _columns() -> Mapping[str, pl.Expr]:
    versions = [f"model_version_{n}" for n in range(len(_RESPONSES))]
    model = pl.coalesce("model", "request_model", *versions, "endpoint")
    response = response_columns(len(_RESPONSES), model)
    return {
        **request_columns(pl.coalesce("request_model", "endpoint", "model")),
        **response,
        "request_id": pl.col("request_id"),
        "event_time": pl.col("logging_time"),
        "raw_model": model,
        "operation": pl.col("api_method"),
        "stream": pl.col("api_method").str.contains("(?i)stream"),
        "status": pl.when("responded").then(response["status"]).otherwise(pl.lit("error")),
        "tool_calls": sum_of_known("calls", "calls_of_chunks"),
        "latency_ms": pl.col("latency"),
    }


VERTEX = Format(
    name="vertex",
    version=1,
    layout=OpenLayout(),
    fields={
        "request_id": text("$.request_id"),
        "logging_time": instant("$.logging_time"),
        "model": text("$.model"),
        "endpoint": text("$.endpoint"),
        "api_method": text("$.api_method"),
        "latency": number("$.metadata.request_latency"),
        "responded": given(_RESPONSE),
        "calls": function_calls(_RESPONSE),
        "calls_of_chunks": function_calls(f"{_RESPONSE}[*]"),
        **request_fields(_REQUEST),
        **response_fields(*_RESPONSES),
    },
    columns=_columns,
    prompt=prompt_of(_REQUEST),
    embedded=(_REQUEST, _RESPONSE, "$.metadata"),
    tables=True,
)
