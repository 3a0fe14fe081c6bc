"""Langfuse's blob storage export: observations as JSON lines, JSON arrays, CSV or Parquet, one file a time window.

Rules and their sources: Langfuse's "Blob storage export field reference" and its "Token and cost tracking". A file's
name is the end of its window, in UTC; it holds what was updated within. An observation is written anew when it changes,
and the latest ``updated_at`` counts. Generations and embeddings are model calls; other types (spans, agents, tools)
are not, nor are the ``scores``, ``traces`` and ``manifests`` beside them.

- Usage types are disjoint: ``input`` leaves out every ``input_*`` beside it, ``output`` every ``output_*``; Langfuse
  takes them apart where it maps a provider's usage itself. What it is sent ready made stays as it is (its issues 10592
  and 12306). Where a total is input and output alone, as OpenAI counts, these hold the parts already; not so beside
  Anthropic's names for the cache, since its input never holds it [inferred].
- Cache writes without a time to live are 5 minutes.
- Durations come from the times: the export's own are seconds, but milliseconds where it was set up before April 2026.
- ``completion_start_time`` is set for streams only, but not for all of them: without it nobody knows.
- An ERROR has a message and no code; a status code with which the message begins is taken.

A JSON array is one document: more than ``limits.max_line_bytes`` of it is quarantined whole (JSON lines are not).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import polars as pl

from finops_pipeline.formats.durations import MS, milliseconds
from finops_pipeline.formats.format import (
    HAS_USAGE,
    NOT_USAGE,
    REDACTED_BY_LITELLM,
    VERSION,
    Documents,
    Format,
    count,
    instant,
    money,
    number,
    occurrences,
    text,
    texts,
)
from finops_pipeline.formats.statuses import status_of
from finops_pipeline.formats.tags import tags_of_texts
from finops_pipeline.formats.tokens import uncached
from finops_pipeline.mediation.layout import DatedKeys, Keys
from finops_pipeline.mediation.objects import ObjectStore

_MODEL_CALLS = ("GENERATION", "EMBEDDING")
_USAGE = "$.usage_details"
_JSON_NAME = re.compile(r"\.json(\.gz|\.zst)?$", re.IGNORECASE)

_TOKENS = {
    "input": ("input", "input_tokens"),
    "cached": ("input_cached_tokens", "cache_read_input_tokens", "input_cache_read"),
    "written": ("cache_creation_input_tokens", "input_cache_creation"),
    "written_5m": ("input_cache_creation_5m",),
    "written_1h": ("input_cache_creation_1h",),
    "text_in": ("input_text_tokens",),
    "audio_in": ("input_audio_tokens",),
    "image_in": ("input_image_tokens",),
    "output": ("output", "output_tokens"),
    "reasoning": ("output_reasoning_tokens", "output_reasoning", "reasoning_tokens"),
    "text_out": ("output_text_tokens",),
    "audio_out": ("output_audio_tokens",),
    "image_out": ("output_image_tokens",),
    "predicted": ("output_accepted_prediction_tokens",),
    "mispredicted": ("output_rejected_prediction_tokens",),
    "total": ("total",),
}
"""What is counted → its names among the usage types, the first that is there counts: those of Langfuse's price list
and of the details of OpenAI's usage, which get ``input_`` and ``output_`` before their names."""

_EXCLUSIVE = (("cached", 1), ("cached", 2), ("written", 0), ("written", 1), ("written_5m", 0), ("written_1h", 0))
"""Anthropic's names for the cache among them."""


@dataclass(frozen=True)
class _Observations(DatedKeys):
    """Folders of observations, below the uri or the uri itself."""

    def survey(self, store: ObjectStore, uri: str) -> tuple[Keys, tuple[str, ...]]:
        keys, roots = super().survey(store, uri)
        return keys, roots or ("",)


def _records(document: bytes) -> Iterator[bytes]:
    """The elements of an array; the lines of what is none: some write JSON lines under this name too."""
    if document.lstrip()[:1] == b"[":
        yield from map(bytes, msgspec.json.decode(document, type=list[msgspec.Raw]))
    else:
        yield from filter(bytes.strip, document.split(b"\n"))


def _columns() -> Mapping[str, pl.Expr]:
    def of(name: str) -> pl.Expr:
        return pl.coalesce(f"{name}_{n}" for n in range(len(_TOKENS[name])))

    def parts(*names: str) -> pl.Expr:
        return pl.sum_horizontal(of(name) for name in names)

    given, output = of("input"), of("output")
    read, written_1h = of("cached").fill_null(0), of("written_1h").fill_null(0)
    written_5m = pl.coalesce(of("written_5m"), pl.when(of("written_1h").is_null()).then(of("written")), 0)
    of_cache = read + written_5m + written_1h
    # As OpenAI counts; Anthropic's input leaves the cache out whatever the total says.
    inclusive = (of("total") == given + output).fill_null(False) & pl.all_horizontal(
        pl.col(f"{name}_{n}").is_null() for name, n in _EXCLUSIVE
    )
    beside_input = parts("text_in", "audio_in", "image_in")
    beside_output = parts("reasoning", "text_out", "audio_out", "image_out", "predicted", "mispredicted")

    stream = pl.when(pl.col("first_token_time").is_not_null()).then(True)
    failed = pl.col("level") == "ERROR"
    return {
        "request_id": pl.col("request_id"),
        "event_time": pl.col("event_time"),
        VERSION: pl.col("updated_at"),
        "raw_model": pl.col("model"),
        "operation": pl.col("type"),
        "team": pl.col("team"),
        "project": pl.col("project"),
        "environment": pl.col("environment"),
        "user_id": pl.col("user_id"),
        "tags": tags_of_texts(pl.col("tags")),
        "stream": stream,
        "status": status_of(failed),
        "error_code": pl.when(failed).then(pl.col("message").str.extract(r"^\s*([45]\d\d)\b")),
        NOT_USAGE: pl.col("type").is_in(_MODEL_CALLS).not_().fill_null(False),
        HAS_USAGE: pl.any_horizontal(of(name).is_not_null() for name in _TOKENS if name != "total"),
        "input_tokens": pl.when(inclusive).then(uncached(given, of_cache)).otherwise(given.fill_null(0) + beside_input),
        "cache_read_tokens": read,
        "cache_write_5m_tokens": written_5m,
        "cache_write_1h_tokens": written_1h,
        "output_tokens": pl.when(inclusive).then(output).otherwise(output.fill_null(0) + beside_output),
        "reasoning_tokens": of("reasoning"),
        "input_audio_tokens": of("audio_in"),
        "input_image_tokens": of("image_in"),
        "output_audio_tokens": of("audio_out"),
        "output_image_tokens": of("image_out"),
        "tool_calls": pl.col("tool_calls"),
        "latency_ms": pl.coalesce(milliseconds("event_time", "end_time"), pl.col("latency") * MS),
        "first_token_ms": milliseconds("event_time", "first_token_time"),
        "trace_id": pl.col("trace_id"),
        "session_id": pl.col("session_id"),
        "reported_cost": pl.col("total_cost"),
    }


LANGFUSE = Format(
    name="langfuse",
    version=1,
    layout=_Observations(
        date_folder=re.compile(r"observations(_v2)?"),
        key_time=re.compile(
            r"(?:^|(?:^|/)observations(?:_v2)?/)(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)(?:T(?P<h>\d\d)[^/]*|[^/T]*)$"
        ),
        day_prefixes=("observations_v2/%Y-%m-%d", "observations/%Y-%m-%d", "%Y-%m-%d"),
        hour_prefixes=("observations_v2/%Y-%m-%dT%H", "observations/%Y-%m-%dT%H", "%Y-%m-%dT%H"),
    ),
    fields={
        "request_id": text("$.id"),
        "event_time": instant("$.start_time"),
        "end_time": instant("$.end_time"),
        "first_token_time": instant("$.completion_start_time"),
        "updated_at": instant("$.updated_at"),
        "type": text("$.type"),
        "model": text("$.provided_model_name"),
        "level": text("$.level"),
        "message": text("$.status_message"),
        "team": text("$.metadata.team"),
        "project": text("$.project_id"),
        "environment": text("$.environment"),
        "user_id": text("$.user_id"),
        "session_id": text("$.session_id"),
        "trace_id": text("$.trace_id"),
        "tags": texts("$.tags"),
        **{
            f"{counted}_{n}": count(f"{_USAGE}.{name}")
            for counted, names in _TOKENS.items()
            for n, name in enumerate(names)
        },
        "tool_calls": occurrences("$.tool_calls[*]"),
        "latency": number("$.latency"),
        "total_cost": money("$.total_cost"),
    },
    columns=_columns,
    prompt={"input": "$.input", "tools": "$.tool_definitions"},
    redacted=REDACTED_BY_LITELLM,
    embedded=("$.input", "$.metadata"),
    tables=True,
    documents=Documents(whole=True, records=_records, applies=lambda key: _JSON_NAME.search(key) is not None),
)
