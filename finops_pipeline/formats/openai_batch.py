"""Results of OpenAI's batch jobs: the output and error files of a job, beside its batch object as ``batch.json``.

Rules and their sources: the API reference's "batch object" and "request output object". A line is
``{id, custom_id, response: {status_code, request_id, body} | null, error}``; what a body says stands in
``openai_body``. The tier is batch, whatever the body says. What the body does not tell (the time and the model of a
failed call, team and project) is the batch object's; the job's input file, where it lies there too, is no usage.
"""

import re
from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.format import (
    JOB_MODEL,
    JOB_PROJECT,
    JOB_TEAM,
    JOB_TIME,
    NOT_USAGE,
    Format,
    Job,
    given,
    text,
)
from finops_pipeline.formats.openai_body import body_columns, body_fields
from finops_pipeline.formats.statuses import status_of
from finops_pipeline.mediation.open_layout import OpenLayout


def _columns() -> Mapping[str, pl.Expr]:
    body = body_columns()
    refusal = pl.when(pl.col("status_code").str.contains(r"^[45]\d\d$")).then("status_code")
    code = pl.coalesce("line_error_code", "error_code", refusal)
    failed = code.is_not_null() | pl.col("line_error") | (body["status"] == "error")
    return body | {
        "request_id": pl.coalesce("request_id", "line_id"),
        "event_time": pl.coalesce(body["event_time"], JOB_TIME),
        "raw_model": pl.coalesce("model", JOB_MODEL),
        "team": pl.coalesce("team", JOB_TEAM),
        "project": pl.coalesce("project", JOB_PROJECT),
        "service_tier": pl.lit("batch"),
        "batch": pl.lit(True),
        "status": status_of(failed),
        "error_code": code,
        NOT_USAGE: pl.col("url").is_not_null() & pl.col("request_id").is_null() & ~pl.col("line_error"),
    }


OPENAI_BATCH = Format(
    name="openai_batch",
    version=1,
    layout=OpenLayout(),
    fields={
        "line_id": text("$.id"),
        "url": text("$.url"),
        "request_id": text("$.response.request_id"),
        "status_code": text("$.response.status_code"),
        "line_error": given("$.error"),
        "line_error_code": text("$.error.code"),
        **body_fields("$.response.body"),
    },
    columns=_columns,
    job=Job(
        file=re.compile(r"batch(?:_[^/]*)?\.json"),
        time=("completed_at", "expired_at", "cancelled_at", "failed_at"),
        model=("model",),
        team=("metadata.team",),
        project=("metadata.project", "metadata.project_id", "project_id"),
        records=("request_counts.total",),
    ),
)
