"""OpenTelemetry GenAI spans: OTLP-JSON as the collector's ``awss3`` and ``file`` exporters write it.

Rules and their sources: OpenTelemetry's semantic conventions for generative AI (spans and agent spans), their older
names, and the collector's exporters. Input tokens include cache. An agent's span repeats the usage of the calls that
descend from it, at any depth: it counts only where none of them was read (embeddings are no part of it).

Unverified: ``llm.request.type`` and ``llm.is_streaming`` as older instrumentations (OpenLLMetry) write them in place of
``gen_ai.operation.name`` and ``gen_ai.request.stream``; ``project.name`` of a resource, beside ``team.name``.
"""

import re
from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.durations import MS, milliseconds
from finops_pipeline.formats.format import (
    GROUP,
    HAS_USAGE,
    NOT_USAGE,
    REDACTED_BY_LITELLM,
    RESOLVED,
    Documents,
    Format,
    count,
    flag,
    instant,
    number,
    occurrences,
    text,
)
from finops_pipeline.formats.openai_body import TIER_NAMES
from finops_pipeline.formats.otlp import spans
from finops_pipeline.formats.providers import seller_columns
from finops_pipeline.formats.statuses import status_of
from finops_pipeline.formats.tokens import uncached
from finops_pipeline.mediation.layout import DatedKeys
from finops_pipeline.mediation.open_layout import OwnLayout

INFERENCE = ("chat", "text_completion", "generate_content")
"""Operations that generate: what an agent's span repeats."""

EMBEDDINGS = "embeddings"
"""The other operation that calls a model itself; no agent's usage holds it."""

AGENT = "invoke_agent"
"""The operation whose span repeats the usage of those that descend from it."""

MAX_DOUBLINGS = 20
"""Of the distance between a span and its descendant: a million spans. A cycle of parents ends here at the latest."""

_SPAN_ID, _PARENT_ID = "span_id", "parent_span_id"
_UP, _COUNTS, _REPEATS = "_up", "_counts", "_repeats"
_OLD_OPERATIONS = {"completion": "text_completion", "embedding": "embeddings"}


def _of_span(attribute: str) -> str:
    return f'$.span.attributes."{attribute}"'


def _of_resource(attribute: str) -> str:
    return f'$.resource."{attribute}"'


def _columns() -> Mapping[str, pl.Expr]:
    # Azure's first names began otherwise.
    provider = pl.coalesce("provider_name", "system").str.replace(r"^az\.", "azure.")
    model = pl.coalesce("response_model", "request_model")
    prompt = pl.coalesce("input", "prompt_tokens")
    read = pl.coalesce("cache_read", "cache_read_flat").fill_null(0)
    written = pl.coalesce("cache_written", "cache_written_flat").fill_null(0)
    failed = pl.col("error_type").is_not_null() | pl.col("status_code").is_in(["2", "STATUS_CODE_ERROR"])
    operation = pl.coalesce("operation", pl.col("request_type").replace(_OLD_OPERATIONS))
    return {
        "request_id": pl.coalesce("response_id", pl.concat_str("trace_id", pl.lit("/"), "span_id")),
        "event_time": pl.col("start"),
        **seller_columns(provider, model),
        "raw_model": model,
        "operation": operation,
        "application": pl.col("service_name"),
        "team": pl.col("team"),
        "project": pl.col("project"),
        "environment": pl.coalesce("environment", "environment_old"),
        "user_id": pl.coalesce("enduser", "user"),
        "service_tier": pl.coalesce("service_tier", "service_tier_old").replace(TIER_NAMES),
        "stream": pl.coalesce("stream", "stream_old"),
        "status": status_of(failed),
        "error_code": pl.col("error_type"),
        HAS_USAGE: pl.any_horizontal(
            pl.col(
                "input", "prompt_tokens", "output", "completion_tokens", "cache_read", "cache_read_flat",
                "cache_written", "cache_written_flat", "reasoning", "reasoning_flat",
            ).is_not_null()
        ),
        NOT_USAGE: ~operation.is_in([*INFERENCE, EMBEDDINGS, AGENT]).fill_null(False),
        "input_tokens": uncached(prompt, read + written),
        "cache_read_tokens": pl.coalesce("cache_read", "cache_read_flat"),
        "cache_write_5m_tokens": pl.coalesce("cache_written", "cache_written_flat"),
        "output_tokens": pl.coalesce("output", "completion_tokens"),
        "reasoning_tokens": pl.coalesce("reasoning", "reasoning_flat"),
        "tool_calls": pl.col("tool_calls"),
        "latency_ms": milliseconds("start", "end"),
        "first_token_ms": pl.col("first_chunk") * MS,
        "finish_reason": pl.col("finish_reason"),
        "trace_id": pl.col("trace_id"),
        "session_id": pl.coalesce("conversation", "session"),
        GROUP: pl.col("trace_id"),
        _SPAN_ID: pl.col("span_id"),
        _PARENT_ID: pl.col("parent_id"),
    }  # fmt: skip


def without_repeats(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows with ``resolved``: not usage are spans that call no model, and agents whose calls count themselves."""
    return rows.map_batches(_without_repeats, schema={**rows.collect_schema(), RESOLVED: pl.String()})


def _without_repeats(rows: pl.DataFrame) -> pl.DataFrame:
    agent = (pl.col("operation") == AGENT).fill_null(False)
    # Of agents within agents whose calls were not read, the innermost that says what it used.
    counts = pl.col("operation").is_in(INFERENCE).fill_null(False) | (agent & (pl.col("usage_quality") == "reported"))
    with_agents = rows.filter(agent.any().over(GROUP)).with_columns(counts.alias(_COUNTS))
    above = _ancestors(with_agents).with_columns(pl.lit(True).alias(_REPEATS))
    marked = rows.join(above, on=[GROUP, _SPAN_ID], how="left", maintain_order="left")
    is_none = pl.col(NOT_USAGE) | (agent & pl.col(_REPEATS).fill_null(False))
    return marked.with_columns(pl.when(is_none).then(pl.lit("not_usage")).alias(RESOLVED)).drop(_REPEATS)


def _ancestors(rows: pl.DataFrame) -> pl.DataFrame:
    """Group and id of each span from which one that counts descends.

    In every round a span looks twice as far up as before (pointer doubling): a chain of a million takes twenty.
    """
    up = pl.when(pl.col(_PARENT_ID) != pl.col(_SPAN_ID)).then(_PARENT_ID).alias(_UP)
    nodes = (
        rows.drop_nulls(_SPAN_ID)
        .select(GROUP, _SPAN_ID, up, _COUNTS, pl.lit(False).alias(_REPEATS))
        .group_by(GROUP, _SPAN_ID)
        .agg(pl.col(_UP).min(), pl.col(_COUNTS, _REPEATS).any())
    )
    for _ in range(MAX_DOUBLINGS):
        reached = nodes.filter(_COUNTS).select(GROUP, pl.col(_UP).alias(_SPAN_ID)).drop_nulls().unique()
        if reached.is_empty():
            break
        farther = nodes.select(GROUP, pl.col(_SPAN_ID).alias(_UP), pl.col(_UP).alias("farther"))
        nodes = (
            nodes.join(reached.with_columns(reached=True), on=[GROUP, _SPAN_ID], how="left")
            .join(farther, on=[GROUP, _UP], how="left")
            .select(
                GROUP,
                _SPAN_ID,
                pl.col("farther").alias(_UP),
                *(pl.col(name) | pl.col("reached").fill_null(False) for name in (_COUNTS, _REPEATS)),
            )
        )
    return nodes.filter(_REPEATS).select(GROUP, _SPAN_ID)


OTEL = Format(
    name="otel",
    version=1,
    layout=OwnLayout(
        DatedKeys(
            date_folder=re.compile(r"year=\d{4}"),
            key_time=re.compile(
                r"(?:^|/)year=(?P<y>\d{4})/month=(?P<m>\d\d)/day=(?P<d>\d\d)/hour=(?P<h>\d\d)/(?:minute=\d\d/)?[^/]+$"
            ),
            day_prefixes=("year=%Y/month=%m/day=%d/",),
            hour_prefixes=("year=%Y/month=%m/day=%d/hour=%H/",),
        )
    ),
    documents=Documents(whole=False, records=spans),
    fields={
        "trace_id": text("$.span.traceId"),
        "span_id": text("$.span.spanId"),
        "parent_id": text("$.span.parentSpanId"),
        "start": instant("$.span.startTimeUnixNano"),
        "end": instant("$.span.endTimeUnixNano"),
        "status_code": text("$.span.status.code"),
        "operation": text(_of_span("gen_ai.operation.name")),
        "request_type": text(_of_span("llm.request.type")),
        "provider_name": text(_of_span("gen_ai.provider.name")),
        "system": text(_of_span("gen_ai.system")),
        "request_model": text(_of_span("gen_ai.request.model")),
        "response_model": text(_of_span("gen_ai.response.model")),
        "response_id": text(_of_span("gen_ai.response.id")),
        "service_tier": text(_of_span("openai.response.service_tier")),
        "service_tier_old": text(_of_span("gen_ai.openai.response.service_tier")),
        "stream": flag(_of_span("gen_ai.request.stream")),
        "stream_old": flag(_of_span("llm.is_streaming")),
        "first_chunk": number(_of_span("gen_ai.response.time_to_first_chunk")),
        "input": count(_of_span("gen_ai.usage.input_tokens")),
        "prompt_tokens": count(_of_span("gen_ai.usage.prompt_tokens")),
        "output": count(_of_span("gen_ai.usage.output_tokens")),
        "completion_tokens": count(_of_span("gen_ai.usage.completion_tokens")),
        "cache_read": count(_of_span("gen_ai.usage.cache_read.input_tokens")),
        "cache_read_flat": count(_of_span("gen_ai.usage.cache_read_input_tokens")),
        "cache_written": count(_of_span("gen_ai.usage.cache_creation.input_tokens")),
        "cache_written_flat": count(_of_span("gen_ai.usage.cache_creation_input_tokens")),
        "reasoning": count(_of_span("gen_ai.usage.reasoning.output_tokens")),
        "reasoning_flat": count(_of_span("gen_ai.usage.reasoning_tokens")),
        "finish_reason": text(_of_span("gen_ai.response.finish_reasons") + "[0]"),
        "tool_calls": occurrences(_of_span("gen_ai.output.messages") + "[*].parts[*].name"),
        "error_type": text(_of_span("error.type")),
        "conversation": text(_of_span("gen_ai.conversation.id")),
        "session": text(_of_span("session.id")),
        "enduser": text(_of_span("enduser.id")),
        "user": text(_of_span("user.id")),
        "service_name": text(_of_resource("service.name")),
        "team": text(_of_resource("team.name")),
        "project": text(_of_resource("project.name")),
        "environment": text(_of_resource("deployment.environment.name")),
        "environment_old": text(_of_resource("deployment.environment")),
    },
    columns=_columns,
    prompt={
        "system": _of_span("gen_ai.system_instructions"),
        "messages": _of_span("gen_ai.input.messages"),
        "tools": _of_span("gen_ai.tool.definitions"),
    },
    redacted=REDACTED_BY_LITELLM,
    resolve=without_repeats,
    extras={_SPAN_ID: pl.String(), _PARENT_ID: pl.String()},
)
