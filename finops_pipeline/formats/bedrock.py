"""Amazon Bedrock model invocation logs: gzip JSON lines that Bedrock delivers to S3 by account, region and hour.

Rules and their sources: the user guide's "Monitor model invocation using CloudWatch Logs and Amazon S3", and captured
records. ``inputTokenCount`` excludes cache; the split of cache writes by time to live, latency and service tier stand
in the response body only, whose shape follows the operation (Converse, InvokeModel, streams of either).
"""

import re
from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.converse import cache_detail_fields, written_for
from finops_pipeline.formats.format import HAS_USAGE, Format, count, instant, json, number, occurrences, text
from finops_pipeline.formats.statuses import status_of
from finops_pipeline.formats.tags import tags_of_json
from finops_pipeline.formats.tokens import sum_of_known
from finops_pipeline.mediation.layout import DatedKeys
from finops_pipeline.pricing.model_ids import region_scope

_BODY = "$.output.outputBodyJson"
_STREAM_METRICS = f'{_BODY}[#-1]."amazon-bedrock-invocationMetrics"'
_SSO_ROLE = r"^AWSReservedSSO_"


def _is_log(key: str) -> bool:
    """Not the marker of the permission check, not a body over 100 KB that lies beside the log."""
    folder, _, name = key.rpartition("/")
    return not name.endswith("amazon-bedrock-logs-permission-check") and not folder.endswith("/data")


def _columns() -> Mapping[str, pl.Expr]:
    arn = pl.col("arn")
    role = arn.str.extract(r":assumed-role/([^/]+)/")
    session = arn.str.extract(r":assumed-role/[^/]+/(.+)$")
    user = arn.str.extract(r":user/(?:.*/)?([^/]+)$")

    written_1h = pl.coalesce("invoke_1h", "stream_1h", written_for("1h")).fill_null(0)
    written = pl.col("cache_write").fill_null(
        pl.coalesce("invoke_5m", "stream_5m", written_for("5m")).fill_null(0) + written_1h
    )
    return {
        "request_id": pl.col("request_id"),
        "event_time": pl.col("event_time"),
        "provider": pl.lit("aws"),
        "service": pl.lit("Amazon Bedrock"),
        "account": pl.col("account"),
        "region_scope": region_scope(pl.col("model")),
        "raw_model": pl.col("model"),
        "operation": pl.col("operation"),
        "principal": arn,
        "team": pl.coalesce("team", "body_team"),
        "project": pl.coalesce("project", "body_project"),
        "environment": pl.coalesce("environment", "body_environment"),
        "user_id": pl.when(role.str.contains(_SSO_ROLE))
        .then(session)
        .otherwise(pl.coalesce(pl.concat_str(role, pl.lit("/"), session), user)),
        "end_user": pl.col("end_user"),
        "tags": tags_of_json(pl.coalesce("metadata", "body_metadata")),
        "service_tier": pl.coalesce("converse_tier", "invoke_tier", "stream_tier"),
        "stream": pl.col("operation").str.contains("Stream"),
        "status": status_of(pl.col("error_code").is_not_null()),
        "error_code": pl.col("error_code"),
        HAS_USAGE: pl.any_horizontal(pl.col("input", "cache_read", "cache_write", "output", "titan").is_not_null()),
        "input_tokens": pl.coalesce("input", "titan"),
        "cache_read_tokens": pl.col("cache_read"),
        # What the log gives in all counts; the body says how much of it lives for an hour. No split is 5 minutes.
        "cache_write_5m_tokens": (written - written_1h).clip(0),
        "cache_write_1h_tokens": written_1h,
        "output_tokens": pl.col("output"),
        "tool_calls": sum_of_known("converse_tools", "invoke_tools", "stream_tools"),
        "latency_ms": pl.coalesce("latency", "stream_latency"),
        "first_token_ms": pl.col("first_byte"),
        "finish_reason": pl.coalesce("converse_stop", "invoke_stop", "stream_stop"),
    }


BEDROCK = Format(
    name="bedrock",
    version=3,
    layout=DatedKeys(
        date_folder=re.compile(r"\d{4}"),
        key_time=re.compile(r"(?:^|/)(?P<y>\d{4})/(?P<m>\d\d)/(?P<d>\d\d)/(?P<h>\d\d)/[^/]+$"),
        day_prefixes=("%Y/%m/%d/",),
        hour_prefixes=("%Y/%m/%d/%H/",),
        root=re.compile(r"(^|/)BedrockModelInvocationLogs/[^/]+/$"),
        is_log=_is_log,
    ),
    fields={
        "request_id": text("$.requestId"),
        "event_time": instant("$.timestamp"),
        "account": text("$.accountId"),
        "model": text("$.modelId"),
        "operation": text("$.operation"),
        "arn": text("$.identity.arn"),
        "error_code": text("$.errorCode"),
        "team": text("$.requestMetadata.team"),
        "project": text("$.requestMetadata.project"),
        "environment": text("$.requestMetadata.environment"),
        "body_team": text("$.input.inputBodyJson.requestMetadata.team"),
        "body_project": text("$.input.inputBodyJson.requestMetadata.project"),
        "body_environment": text("$.input.inputBodyJson.requestMetadata.environment"),
        "metadata": json("$.requestMetadata"),
        "body_metadata": json("$.input.inputBodyJson.requestMetadata"),
        "end_user": text("$.input.inputBodyJson.metadata.user_id"),
        "input": count("$.input.inputTokenCount"),
        "titan": count(f"{_BODY}.inputTextTokenCount"),
        "cache_read": count("$.input.cacheReadInputTokenCount"),
        "cache_write": count("$.input.cacheWriteInputTokenCount"),
        "output": count("$.output.outputTokenCount"),
        "invoke_5m": count(f"{_BODY}.usage.cache_creation.ephemeral_5m_input_tokens"),
        "invoke_1h": count(f"{_BODY}.usage.cache_creation.ephemeral_1h_input_tokens"),
        "stream_5m": count(f"{_BODY}[0].message.usage.cache_creation.ephemeral_5m_input_tokens"),
        "stream_1h": count(f"{_BODY}[0].message.usage.cache_creation.ephemeral_1h_input_tokens"),
        **cache_detail_fields(f"{_BODY}.usage"),
        "converse_tier": text(f"{_BODY}.serviceTier.type"),
        "invoke_tier": text(f"{_BODY}.usage.service_tier"),
        "stream_tier": text(f"{_BODY}[0].message.usage.service_tier"),
        "latency": number(f"{_BODY}.metrics.latencyMs"),
        "stream_latency": number(f"{_STREAM_METRICS}.invocationLatency"),
        "first_byte": number(f"{_STREAM_METRICS}.firstByteLatency"),
        "converse_stop": text(f"{_BODY}.stopReason"),
        "invoke_stop": text(f"{_BODY}.stop_reason"),
        "stream_stop": text(f"{_BODY}[#-2].delta.stop_reason"),
        "converse_tools": occurrences(f"{_BODY}.output.message.content[*].toolUse"),
        "invoke_tools": occurrences(f"{_BODY}.content[*].input"),
        "stream_tools": occurrences(f"{_BODY}[*].content_block.input"),
    },
    columns=_columns,
    prompt={
        "system": "$.input.inputBodyJson.system",
        "messages": "$.input.inputBodyJson.messages",
        "prompt": "$.input.inputBodyJson.prompt",
        "inputText": "$.input.inputBodyJson.inputText",
        "tools": "$.input.inputBodyJson.tools",
        "toolConfig": "$.input.inputBodyJson.toolConfig",
    },
)
