"""Results of Anthropic's message batches: ``results.jsonl`` in a folder that is named after its batch.

Rules and their sources: the API reference's "Retrieve message batch results". A line is ``{custom_id, result}``, with a
message where ``result.type`` is ``succeeded``; ``errored``, ``canceled`` and ``expired`` are not billed. Lines carry no
time: it is the source's ``job_time``, else when the batch ended, where its object lies beside them as ``batch.json``,
else when the object was last modified. Where no message has an id, batch and ``custom_id`` are it.
"""

import re
from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.anthropic_message import message_columns, message_fields
from finops_pipeline.formats.format import JOB_MODEL, JOB_TIME, Format, Job, text
from finops_pipeline.formats.statuses import status_of
from finops_pipeline.mediation.open_layout import OpenLayout


def _columns() -> Mapping[str, pl.Expr]:
    message = message_columns()
    batch = pl.coalesce(pl.col("raw_object").str.extract(r"([^/]+)/[^/]*$"), "raw_object")
    failed = (pl.col("result") != "succeeded").fill_null(False)
    return message | {
        "request_id": pl.coalesce("id", pl.concat_str(batch, pl.lit("/"), "custom_id")),
        "event_time": pl.col(JOB_TIME),
        "raw_model": pl.coalesce("model", JOB_MODEL),
        "service_tier": pl.lit("batch"),
        "batch": pl.lit(True),
        "status": status_of(failed),
        "error_code": pl.when(failed).then(pl.coalesce("error", "result")),
    }


ANTHROPIC_BATCH = Format(
    name="anthropic_batch",
    version=1,
    layout=OpenLayout(),
    fields={
        "custom_id": text("$.custom_id"),
        "result": text("$.result.type"),
        "error": text("$.result.error.error.type"),
        **message_fields("$.result.message"),
    },
    columns=_columns,
    job=Job(file=re.compile(r"batch(?:_[^/]*)?\.json"), time=("ended_at",)),
)
