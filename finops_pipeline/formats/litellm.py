"""LiteLLM proxy logs in S3 (callbacks ``s3`` and ``s3_v2``): one JSON object a request, or batches of lines.

Rules and their sources: LiteLLM's ``StandardLoggingPayload``. ``prompt_tokens`` includes cache reads and writes; an
answer from the gateway's own cache repeats the tokens of the call that it saved, and none of them reached a provider.
"""

import re
from collections.abc import Mapping

import polars as pl

from finops_pipeline.distinct import once_each
from finops_pipeline.formats.durations import milliseconds
from finops_pipeline.formats.format import (
    HAS_USAGE,
    NOT_USAGE,
    REDACTED_BY_LITELLM,
    Format,
    count,
    flag,
    instant,
    json,
    money,
    occurrences,
    text,
    texts,
)
from finops_pipeline.formats.openai_body import TIER_NAMES
from finops_pipeline.formats.providers import seller_columns
from finops_pipeline.formats.statuses import status_of
from finops_pipeline.formats.tags import tags_of_json
from finops_pipeline.formats.tokens import sum_of_known, uncached
from finops_pipeline.mediation.layout import DatedKeys

_USAGE = "$.metadata.usage_object"
_CHOICE = "$.response.choices"
_CHOICES = 2
"""Answers of one call whose tool calls are counted; ``n`` above 1 is rare, and above 2 unheard of."""

_AUDIT_KEY = r"(?:^|/)audit_logs/\d{4}-\d\d-\d\d/\d"
"""Audit logs are named by the time alone; below a team that is called ``audit_logs``, ``time-`` stands before it."""


def _environment(tags: pl.Expr) -> pl.Expr:
    named = pl.element().struct.field("key").is_in(["env", "environment"])
    values = tags_of_json(tags).list.eval(pl.when(named).then(pl.element().struct.field("value")))
    return values.list.drop_nulls().list.first()


def _columns() -> Mapping[str, pl.Expr]:
    hit = pl.col("cache_hit").fill_null(False)
    read = pl.coalesce("cached", "cached_flat").fill_null(0)
    written_1h = pl.col("written_1h").fill_null(0)
    written = pl.coalesce("written", "written_flat", pl.col("written_5m").fill_null(0) + written_1h)
    unnamed = pl.when(pl.col("provider_name").is_null()).then("model")  # few: a look into each model id is dear
    provider = pl.coalesce("provider_name", unnamed.str.extract(r"^([a-z_]+)/"))
    stream = pl.coalesce("stream", "requested_stream")
    failed = (pl.col("status") == "failure") | (pl.col("status").is_null() & pl.col("error_code").is_not_null())
    # Streams of some providers are written with a cost of 0 beside their true one (LiteLLM's issue 40100).
    is_lost = ~hit & (pl.col("response_cost").fill_null(0) == 0) & (pl.col("cost_of_parts") > 0)

    def billable(tokens: pl.Expr) -> pl.Expr:
        return pl.when(hit).then(0).otherwise(tokens)

    return {
        "request_id": pl.col("request_id"),
        "event_time": pl.col("event_time"),
        **seller_columns(provider, pl.col("model")),
        "raw_model": pl.col("model"),
        "operation": pl.col("operation"),
        "team": pl.coalesce("team", "team_id"),
        "project": pl.coalesce("project", "project_alias"),
        "environment": once_each(pl.col("tags"), _environment, pl.String),
        "user_id": pl.col("user_id"),
        "end_user": pl.col("end_user"),
        "api_key_id": pl.col("api_key_id"),
        "tags": tags_of_json(pl.col("tags")),
        "service_tier": pl.col("service_tier").replace(TIER_NAMES),
        "stream": stream,
        "batch": (pl.col("operation") == "aretrieve_batch").fill_null(False)
        | (pl.col("batch_models").list.len() > 0).fill_null(False),
        "gateway_cache_hit": pl.col("cache_hit"),
        "status": status_of(failed),
        "error_code": pl.col("error_code"),
        HAS_USAGE: hit | pl.any_horizontal(pl.col("prompt_tokens", "completion_tokens").is_not_null()),
        NOT_USAGE: pl.col("raw_object").str.contains(_AUDIT_KEY)
        | (pl.col("audited_table").is_not_null() & pl.col("event_time").is_null()),
        "input_tokens": billable(uncached(pl.col("prompt_tokens"), read + written)),
        "cache_read_tokens": billable(read),
        "cache_write_5m_tokens": billable((written - written_1h).clip(0)),
        "cache_write_1h_tokens": billable(written_1h),
        "output_tokens": billable(pl.col("completion_tokens")),
        "reasoning_tokens": billable(pl.col("reasoning")),
        "input_audio_tokens": billable(pl.col("audio_in")),
        "input_image_tokens": billable(pl.col("image_in")),
        "output_audio_tokens": billable(pl.col("audio_out")),
        "output_image_tokens": billable(pl.col("image_out")),
        "tool_calls": sum_of_known(*(f"tools_{n}" for n in range(_CHOICES))),
        "latency_ms": milliseconds("event_time", "end_time"),
        "first_token_ms": pl.when(stream).then(milliseconds("event_time", "first_token_time")),
        "finish_reason": pl.col("finish_reason"),
        "trace_id": pl.col("trace_id"),
        "reported_cost": pl.when(is_lost).then("cost_of_parts").otherwise("response_cost"),
        "saved_cache_cost": pl.when(hit).then(pl.col("saved_cache_cost")),
    }


LITELLM = Format(
    name="litellm",
    version=3,
    layout=DatedKeys(
        date_folder=re.compile(r"\d{4}-\d\d-\d\d"),
        key_time=re.compile(
            r"(?:^|/)(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)/(?s:(?:time-|batch_)(?P<h>\d\d)-\d\d-\d\d[-_].*|[^/]*)$"
        ),
        day_prefixes=("%Y-%m-%d/",),
        hour_prefixes=("%Y-%m-%d/time-%H-", "%Y-%m-%d/batch_%H-"),
    ),
    fields={
        "request_id": text("$.id"),
        "event_time": instant("$.startTime"),
        "end_time": instant("$.endTime"),
        "first_token_time": instant("$.completionStartTime"),
        "audited_table": text("$.table_name"),
        "provider_name": text("$.custom_llm_provider"),
        "model": text("$.model"),
        "operation": text("$.call_type"),
        "team": text("$.metadata.user_api_key_team_alias"),
        "team_id": text("$.metadata.user_api_key_team_id"),
        "project": text("$.metadata.user_api_key_project_id"),
        "project_alias": text("$.metadata.user_api_key_project_alias"),
        "user_id": text("$.metadata.user_api_key_user_id"),
        "end_user": text("$.end_user"),
        "api_key_id": text("$.metadata.user_api_key_hash"),
        "tags": json("$.request_tags"),
        "service_tier": text("$.response.service_tier"),
        "stream": flag("$.stream"),
        "requested_stream": flag("$.model_parameters.stream"),
        "batch_models": texts("$.hidden_params.batch_models"),
        "cache_hit": flag("$.cache_hit"),
        "status": text("$.status"),
        "error_code": text("$.error_information.error_code"),
        "prompt_tokens": count("$.prompt_tokens"),
        "completion_tokens": count("$.completion_tokens"),
        "cached": count(f"{_USAGE}.prompt_tokens_details.cached_tokens"),
        "cached_flat": count(f"{_USAGE}.cache_read_input_tokens"),
        "written": count(f"{_USAGE}.prompt_tokens_details.cache_creation_tokens"),
        "written_flat": count(f"{_USAGE}.cache_creation_input_tokens"),
        "written_5m": count(f"{_USAGE}.prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens"),
        "written_1h": count(f"{_USAGE}.prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens"),
        "reasoning": count(f"{_USAGE}.completion_tokens_details.reasoning_tokens"),
        "audio_in": count(f"{_USAGE}.prompt_tokens_details.audio_tokens"),
        "image_in": count(f"{_USAGE}.prompt_tokens_details.image_tokens"),
        "image_out": count(f"{_USAGE}.completion_tokens_details.image_tokens"),
        "audio_out": count(f"{_USAGE}.completion_tokens_details.audio_tokens"),
        **{
            f"tools_{n}": occurrences(f"$.response.choices[{n}].message.tool_calls[*].function")
            for n in range(_CHOICES)
        },
        "finish_reason": text("$.response.choices[0].finish_reason"),
        "trace_id": text("$.trace_id"),
        "response_cost": money("$.response_cost"),
        "cost_of_parts": money("$.cost_breakdown.total_cost"),
        "saved_cache_cost": money("$.saved_cache_cost"),
    },
    columns=_columns,
    prompt={"messages": "$.messages", "tools": "$.model_parameters.tools"},
    redacted=REDACTED_BY_LITELLM,
)
