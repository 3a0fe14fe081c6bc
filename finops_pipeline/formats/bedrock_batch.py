"""Amazon Bedrock's batch inference jobs: ``{jobId}/{input}.jsonl.out`` beside ``manifest.json.out``.

Rules and their sources: the user guide's "View the results of a batch inference job". A line is ``{recordId,
modelInput, modelOutput}`` or has ``error`` in place of the output, whose shape is the model's own: Converse and Amazon
Nova, Anthropic, Amazon Titan, Meta Llama, or that of OpenAI's chat completions (gpt-oss, Qwen, AI21 and others). Models
that give no counts (Cohere, Mistral's text completion, images) have unknown usage. Neither time nor model stand in a
line: they are the job's. Inputs of jobs, which may lie in the same bucket, are no usage.

Unverified: that record ids are unique in a job, whose input may be many files.
"""

import re
from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.converse import cache_detail_fields, written_for
from finops_pipeline.formats.format import (
    HAS_USAGE,
    JOB_MODEL,
    JOB_TIME,
    NOT_USAGE,
    Format,
    Job,
    count,
    given,
    json,
    number,
    occurrences,
    text,
)
from finops_pipeline.formats.statuses import status_of
from finops_pipeline.formats.tags import tags_of_json
from finops_pipeline.formats.tokens import sum_of_known, uncached
from finops_pipeline.mediation.open_layout import OpenLayout
from finops_pipeline.pricing.model_ids import region_scope

_INPUT, _OUTPUT = "$.modelInput", "$.modelOutput"
_USAGE = f"{_OUTPUT}.usage"

_RESULTS = 8
"""Entries of Titan's ``results`` that are summed: it gives one a prompt."""

_RESULT_FILE = r"\.jsonl\.out(?:\.gz|\.zst)?$"
_CLASSES = (
    "input", "input_snake", "titan", "llama", "prompt", "read", "read_count", "read_snake",
    "written", "written_count", "written_snake", "output", "output_snake", "generated", "completion",
)  # fmt: skip


def _columns() -> Mapping[str, pl.Expr]:
    model, job = pl.col(JOB_MODEL), pl.col("raw_object").str.extract(r"([^/]+)/[^/]+$")

    read = pl.coalesce("read", "read_count", "read_snake", pl.lit(0))
    written_1h = pl.coalesce("anthropic_1h", written_for("1h"), pl.lit(0))
    written_5m = pl.coalesce("anthropic_5m", written_for("5m"), pl.lit(0))
    written = pl.coalesce("written", "written_count", "written_snake", written_5m + written_1h)
    cached = pl.col("cached").fill_null(0)  # only OpenAI's shape counts it as prompt
    results = [f"result_{n}" for n in range(_RESULTS)]
    return {
        "request_id": pl.when(pl.col("record_id").is_not_null()).then(
            pl.concat_str([job, "record_id"], separator="/", ignore_nulls=True)
        ),
        "event_time": pl.col(JOB_TIME),
        "provider": pl.lit("aws"),
        "service": pl.lit("Amazon Bedrock"),
        "account": model.str.extract(r"^arn:[^:]*:bedrock:[^:]*:(\d+):"),
        # The body's own name for the model says nothing of where it ran.
        "region_scope": region_scope(model),
        "raw_model": pl.coalesce(model, "body_model"),
        "team": pl.col("team"),
        "project": pl.col("project"),
        "environment": pl.col("environment"),
        "end_user": pl.col("end_user"),
        "tags": tags_of_json(pl.col("metadata")),
        "service_tier": pl.lit("batch"),
        "batch": pl.lit(True),
        "status": status_of("error"),
        "error_code": pl.col("error_code"),
        HAS_USAGE: pl.any_horizontal(pl.col(*_CLASSES, *results).is_not_null()),
        NOT_USAGE: ~pl.col("raw_object").str.contains(_RESULT_FILE),
        "input_tokens": pl.coalesce("input", "input_snake", "titan", "llama", uncached(pl.col("prompt"), cached)),
        "cache_read_tokens": pl.when(pl.col("prompt").is_null()).then(read).otherwise(cached),
        # No split is 5 minutes.
        "cache_write_5m_tokens": (written - written_1h).clip(0),
        "cache_write_1h_tokens": written_1h,
        "output_tokens": pl.coalesce("output", "output_snake", "generated", "completion", sum_of_known(*results)),
        "reasoning_tokens": pl.col("reasoning"),
        "tool_calls": sum_of_known("converse_tools", "anthropic_tools", "openai_tools"),
        "latency_ms": pl.col("latency"),
        "finish_reason": pl.coalesce("converse_stop", "stop", "titan_stop", "openai_stop"),
    }


BEDROCK_BATCH = Format(
    name="bedrock_batch",
    version=1,
    layout=OpenLayout(),
    fields={
        "record_id": text("$.recordId"),
        "error": given("$.error"),
        "error_code": text("$.error.errorCode"),
        "metadata": json(f"{_INPUT}.requestMetadata"),
        "team": text(f"{_INPUT}.requestMetadata.team"),
        "project": text(f"{_INPUT}.requestMetadata.project"),
        "environment": text(f"{_INPUT}.requestMetadata.environment"),
        "end_user": text(f"{_INPUT}.metadata.user_id"),
        "body_model": text(f"{_OUTPUT}.model"),
        "input": count(f"{_USAGE}.inputTokens"),
        "input_snake": count(f"{_USAGE}.input_tokens"),
        "titan": count(f"{_OUTPUT}.inputTextTokenCount"),
        "llama": count(f"{_OUTPUT}.prompt_token_count"),
        "prompt": count(f"{_USAGE}.prompt_tokens"),
        "cached": count(f"{_USAGE}.prompt_tokens_details.cached_tokens"),
        "read": count(f"{_USAGE}.cacheReadInputTokens"),
        "read_count": count(f"{_USAGE}.cacheReadInputTokenCount"),
        "read_snake": count(f"{_USAGE}.cache_read_input_tokens"),
        "written": count(f"{_USAGE}.cacheWriteInputTokens"),
        "written_count": count(f"{_USAGE}.cacheWriteInputTokenCount"),
        "written_snake": count(f"{_USAGE}.cache_creation_input_tokens"),
        "anthropic_5m": count(f"{_USAGE}.cache_creation.ephemeral_5m_input_tokens"),
        "anthropic_1h": count(f"{_USAGE}.cache_creation.ephemeral_1h_input_tokens"),
        **cache_detail_fields(_USAGE),
        "output": count(f"{_USAGE}.outputTokens"),
        "output_snake": count(f"{_USAGE}.output_tokens"),
        "generated": count(f"{_OUTPUT}.generation_token_count"),
        "completion": count(f"{_USAGE}.completion_tokens"),
        "reasoning": count(f"{_USAGE}.completion_tokens_details.reasoning_tokens"),
        **{f"result_{n}": count(f"{_OUTPUT}.results[{n}].tokenCount") for n in range(_RESULTS)},
        "latency": number(f"{_OUTPUT}.metrics.latencyMs"),
        "converse_stop": text(f"{_OUTPUT}.stopReason"),
        "stop": text(f"{_OUTPUT}.stop_reason"),
        "titan_stop": text(f"{_OUTPUT}.results[0].completionReason"),
        "openai_stop": text(f"{_OUTPUT}.choices[0].finish_reason"),
        "converse_tools": occurrences(f"{_OUTPUT}.output.message.content[*].toolUse"),
        "anthropic_tools": occurrences(f"{_OUTPUT}.content[*].input"),
        "openai_tools": occurrences(f"{_OUTPUT}.choices[*].message.tool_calls[*].function"),
    },
    columns=_columns,
    prompt={
        "system": f"{_INPUT}.system",
        "messages": f"{_INPUT}.messages",
        "prompt": f"{_INPUT}.prompt",
        "inputText": f"{_INPUT}.inputText",
        "tools": f"{_INPUT}.tools",
        "toolConfig": f"{_INPUT}.toolConfig",
    },
    job=Job(file=re.compile(r"manifest\.json\.out"), records=("totalRecordCount",)),
)
