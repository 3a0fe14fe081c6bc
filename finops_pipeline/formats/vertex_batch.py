"""Vertex AI's batch jobs of Gemini models: JSON lines in the folder of the job, or rows of a BigQuery table.

Rules and their sources: Vertex AI's documentation of batch inference from Cloud Storage and BigQuery; what a request
and a response say is in ``gemini``. A line is ``{status, processed_time, request, response}``; a status that is not
empty is an error. In a table, request and response are JSON texts.

Unverified: the code within the status of a failed line (``Bad Request: {"error": {"code": 400, …}}``, or an object of
the type ``google.rpc.Status``, whose code 0 is no error).
"""

from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.format import JOB_MODEL, JOB_TIME, Format, Job, instant, json
from finops_pipeline.formats.gemini import (
    function_calls,
    prompt_of,
    request_columns,
    request_fields,
    response_columns,
    response_fields,
)
from finops_pipeline.mediation.open_layout import OpenLayout

_REQUEST, _RESPONSE = "$.request", "$.response"


def _columns() -> Mapping[str, pl.Expr]:
    model = pl.coalesce("model_version_0", "request_model", JOB_MODEL)
    failure = pl.col("failure")
    code = failure.str.extract(r'"code"\s*:\s*"?(\w+)')
    failed = (failure != "{}").fill_null(False) & code.ne_missing("0")
    response = response_columns(1, model)
    return {
        **request_columns(pl.coalesce("request_model", JOB_MODEL)),
        **response,
        "tool_calls": pl.col("calls"),
        "request_id": pl.col("response_id_0"),
        "event_time": pl.coalesce("processed_time", JOB_TIME),
        "raw_model": model,
        "service_tier": pl.lit("batch"),
        "batch": pl.lit(True),
        "status": pl.when(failed).then(pl.lit("error")).otherwise(response["status"]),
        "error_code": pl.when(failed).then(code).otherwise(response["error_code"]),
    }


VERTEX_BATCH = Format(
    name="vertex_batch",
    version=1,
    layout=OpenLayout(),
    fields={
        "failure": json("$.status"),
        "processed_time": instant("$.processed_time"),
        **request_fields(_REQUEST),
        **response_fields(_RESPONSE),
        "calls": function_calls(_RESPONSE),
    },
    columns=_columns,
    prompt=prompt_of(_REQUEST),
    embedded=(_REQUEST, _RESPONSE),
    tables=True,
    job=Job(),
)
