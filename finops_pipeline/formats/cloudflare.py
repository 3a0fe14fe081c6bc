"""Cloudflare AI Gateway: pages of its Logs API, stored as they came.

Rules and their sources: Cloudflare's API reference, "List Gateway Logs", and AI Gateway's "Logging", "Caching" and
"Workers Logpush". A page's ``result`` holds the calls; they are listed without bodies, so that nothing is known of
prompts, of streams, of reasoning, or of what the provider's own prompt cache held: ``tokens_in`` is all input.
``cached`` says that the gateway answered from its own cache. A fallback (``step`` above 0) is a call of its own, under
its own id. ``metadata`` is what the caller attached, at most five texts, numbers or flags, written as JSON: ``team``,
``project``, ``environment``, ``user`` and ``session`` are taken by these names, and all of it as tags.

Logpush delivers the same calls without tokens, their bodies encrypted: such logs are refused.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec
import polars as pl

from finops_pipeline.formats.format import (
    HAS_USAGE,
    REFUSED,
    Documents,
    Format,
    count,
    flag,
    instant,
    json,
    money,
    number,
    text,
)
from finops_pipeline.formats.providers import seller_columns
from finops_pipeline.formats.statuses import status_of
from finops_pipeline.formats.tags import tags_of_json
from finops_pipeline.mediation.open_layout import OpenLayout

_LOGPUSH_NAME = re.compile(r"\.log(\.gz|\.zst)?$", re.IGNORECASE)
_LOGPUSH = (
    "these are AI Gateway's Logpush records: they carry no token counts, and their bodies are encrypted. Store the "
    "pages of the Logs API instead (GET /accounts/{account}/ai-gateway/gateways/{gateway}/logs), and point the "
    "source's `uri` to them."
)

_SLUGS = {
    "google-ai-studio": "gemini",
    "google-vertex-ai": "vertex_ai",
    "aws-bedrock": "bedrock",
    "azure-openai": "azure",
    "workers-ai": "cloudflare",
    "perplexity-ai": "perplexity",
    "grok": "xai",
}
"""AI Gateway's provider slugs that are no one else's: the names that are known."""

_ERROR_CODE = r"^[45]\d\d$"


def _records(document: bytes) -> Iterator[bytes]:
    """The calls of a page; or the lines, each a page or a call, of what is more than one JSON object."""
    try:
        yield from _calls(document)
        return
    except ValueError:
        lines = list(filter(bytes.strip, document.split(b"\n")))
        if len(lines) == 1 or not any(map(_is_object, lines)):
            raise  # a page, perhaps over many lines, that is broken: one record
    for line in lines:
        yield from _calls(line) if _is_object(line) else [line]


def _is_object(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return False
    return True


def _calls(document: bytes) -> Iterator[bytes]:
    page = msgspec.json.decode(document, type=msgspec.Raw)
    try:
        result = msgspec.json.decode(page, type=dict[str, msgspec.Raw]).get("result", page)
        yield from map(bytes, msgspec.json.decode(result, type=list[msgspec.Raw]))
    except msgspec.ValidationError:
        yield document


def _columns() -> Mapping[str, pl.Expr]:
    hit = pl.col("cached").fill_null(False)
    provider = pl.col("provider").replace(_SLUGS)
    failed = (pl.col("success").not_() | pl.col("status_code").str.contains(_ERROR_CODE)).fill_null(False)
    return {
        "request_id": pl.col("request_id"),
        "event_time": pl.col("event_time"),
        **seller_columns(provider, pl.col("model")),
        "raw_model": pl.col("model"),
        "operation": pl.col("path"),
        "team": pl.col("team"),
        "project": pl.col("project"),
        "environment": pl.col("environment"),
        "user_id": pl.col("user"),
        "session_id": pl.col("session"),
        "tags": tags_of_json(pl.col("metadata")),
        "gateway_cache_hit": pl.col("cached"),
        "status": status_of(failed),
        "error_code": pl.when(failed).then(pl.col("status_code")),
        REFUSED: pl.when(
            pl.col("event_time").is_null()
            & pl.col("logpush_gateway").is_not_null()
            & pl.col("logpush_model").is_not_null()
        ).then(pl.lit(_LOGPUSH)),
        HAS_USAGE: hit | pl.any_horizontal(pl.col("tokens_in", "tokens_out").is_not_null()),
        "input_tokens": pl.when(hit).then(0).otherwise(pl.col("tokens_in")),
        "output_tokens": pl.when(hit).then(0).otherwise(pl.col("tokens_out")),
        "latency_ms": pl.col("duration"),
        "reported_cost": pl.col("cost"),
    }


CLOUDFLARE = Format(
    name="cloudflare",
    version=1,
    layout=OpenLayout(),
    fields={
        "request_id": text("$.id"),
        "event_time": instant("$.created_at"),
        "provider": text("$.provider"),
        "model": text("$.model"),
        "path": text("$.path"),
        "cached": flag("$.cached"),
        "success": flag("$.success"),
        "status_code": text("$.status_code"),
        "tokens_in": count("$.tokens_in"),
        "tokens_out": count("$.tokens_out"),
        "cost": money("$.cost"),
        "duration": number("$.duration"),
        "metadata": json("$.metadata"),
        "team": text("$.metadata.team"),
        "project": text("$.metadata.project"),
        "environment": text("$.metadata.environment"),
        "user": text("$.metadata.user"),
        "session": text("$.metadata.session"),
        "logpush_gateway": text("$.Gateway"),
        "logpush_model": text("$.Model"),
    },
    columns=_columns,
    embedded=("$.metadata",),
    documents=Documents(whole=True, records=_records, applies=lambda key: _LOGPUSH_NAME.search(key) is None),
)
