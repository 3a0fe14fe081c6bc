"""``usage``: one row a model call, as its log said it, in one vocabulary for every format."""

import polars as pl

from finops_pipeline.schemas.contract import COST, INSTANT, Column, Table

TOKEN_CLASSES = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
)
"""Disjoint: their sum is what the call consumed. Reasoning, audio and image tokens are parts of input and output."""

TOKEN_PARTS = (
    "reasoning_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "output_audio_tokens",
    "output_image_tokens",
)
"""Parts of ``input_tokens`` and ``output_tokens``, never added to them."""

TAGS = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))

USAGE = Table(
    name="usage",
    version=2,
    meaning="Model calls as their logs said them, deduplicated.",
    partition_keys=("source", "date"),
    columns=(
        Column("request_id", pl.String, "The provider's or gateway's id; `<key>#<line>` where the log has none", False),
        Column("event_time", INSTANT, "When the call was made", False),
        Column("provider", pl.String, "Who sells the call, by the price catalogue's id: aws, azure, openai, …"),
        Column("service", pl.String, "The AI service that bills: Amazon Bedrock, OpenAI API, …"),
        Column("account", pl.String, "The provider's account, organisation or subscription"),
        Column("region_scope", pl.String, "global, geo:us, geo:eu, in-region, …; null where the log cannot say"),
        Column("raw_model", pl.String, "The model as the log names it"),
        Column("operation", pl.String, "The API operation: Converse, acompletion, …"),
        Column("application", pl.String, "The application that called"),
        Column("principal", pl.String, "The role or user ARN that called"),
        Column("team", pl.String, "The team that the log names"),
        Column("project", pl.String, "The project that the log names"),
        Column("environment", pl.String, "prod, staging, …"),
        Column("user_id", pl.String, "The person or workload that called"),
        Column("end_user", pl.String, "The caller's own customer"),
        Column("api_key_id", pl.String, "The key's id or hash, never the key"),
        Column("tags", TAGS, "Other labels of the call"),
        Column("service_tier", pl.String, "standard, batch, flex, priority, …; null where the log does not say"),
        Column("stream", pl.Boolean, "Whether the response was streamed"),
        Column("batch", pl.Boolean, "Whether the call was part of a batch job", False),
        Column("gateway_cache_hit", pl.Boolean, "Answered from a gateway's cache: nothing reached the provider"),
        Column("status", pl.String, "ok or error", False),
        Column("error_code", pl.String, "The provider's or gateway's code of a failed call"),
        Column("request_count", pl.Int64, "Calls in this row: 1, more in aggregated usage pages", False),
        Column("input_tokens", pl.Int64, "Uncached input tokens; null is unknown"),
        Column("cache_read_tokens", pl.Int64, "Input tokens read from the provider's prompt cache"),
        Column("cache_write_5m_tokens", pl.Int64, "Input tokens written to the 5-minute prompt cache"),
        Column("cache_write_1h_tokens", pl.Int64, "Input tokens written to the 1-hour prompt cache"),
        Column("output_tokens", pl.Int64, "Output tokens, reasoning included"),
        Column("reasoning_tokens", pl.Int64, "Part of output_tokens"),
        Column("input_audio_tokens", pl.Int64, "Part of input_tokens"),
        Column("input_image_tokens", pl.Int64, "Part of input_tokens"),
        Column("output_audio_tokens", pl.Int64, "Part of output_tokens"),
        Column("output_image_tokens", pl.Int64, "Part of output_tokens"),
        Column("web_searches", pl.Int64, "Searches that the provider ran for the call"),
        Column("tool_calls", pl.Int64, "Tool calls in the response"),
        Column("latency_ms", pl.Float64, "Milliseconds from request to the whole response"),
        Column("first_token_ms", pl.Float64, "Milliseconds to the first token, streamed calls only"),
        Column("finish_reason", pl.String, "Why the model stopped"),
        Column("trace_id", pl.String, "Shared by a request's retries and fallbacks"),
        Column("session_id", pl.String, "Shared by a conversation's calls"),
        Column("prompt_fingerprint", pl.String, "Keyed hash of the prompt, 128 bits as hex; never the prompt"),
        Column("prefix_block_hashes", pl.List(pl.Int64), "Chained keyed hashes of the prompt's leading blocks"),
        Column("reported_cost", COST, "USD that the log itself reports; kept beside our own price"),
        Column("saved_cache_cost", COST, "USD that a gateway's cache avoided, as the log reports it"),
        Column("usage_quality", pl.String, "reported, estimated or missing", False),
        Column("raw_object", pl.String, "Key of the object below the source's uri", False),
        Column("raw_line", pl.Int64, "Number of the record in that object, from 1", False),
    ),
)
