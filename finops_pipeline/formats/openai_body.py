"""Bodies of OpenAI's responses: chat completions, the Responses API, embeddings and what else has a ``usage`` block.

What a body says is written here once, wherever it stands: on a line of its own (``openai``) or in a line of a batch
job's results (``openai_batch``). When it was made, and in which job, is theirs to say.

Rules and their sources: the API reference's objects "chat completion", "response" and "embeddings". Input includes
cache reads and writes, output includes reasoning. The ``service_tier`` of a body is the one that served. Of a
``web_search_call`` only the action ``search`` is billed (the guide "Web search"); a call without an action is older
than actions and is a search. The chat API's search models do not say how often they searched.

Not verified against captured records: ``cache_write_tokens`` and ``image_tokens`` among a body's details.
"""

from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.format import HAS_USAGE, Field, count, given, instant, json, occurrences, text, texts
from finops_pipeline.formats.statuses import status_of
from finops_pipeline.formats.tags import tags_of_json
from finops_pipeline.formats.tokens import uncached

_APIS = {"chat": ("prompt_tokens", "completion_tokens"), "responses": ("input_tokens", "output_tokens")}
"""What the two APIs call their counts of input and output; each has its details in a member of that name."""

_INPUT_PARTS = {
    "cached": "cached_tokens",
    "written": "cache_write_tokens",
    "audio": "audio_tokens",
    "image": "image_tokens",
}
_OUTPUT_PARTS = {"reasoning": "reasoning_tokens", "audio_out": "audio_tokens", "image_out": "image_tokens"}

_TOOL_CALL = "_call"
"""``function_call``, ``web_search_call``, ``mcp_call`` and the like; their results end with ``_output``."""

_PAGE_ACTIONS = ("open_page", "find_in_page", "find")
"""Actions of a ``web_search_call`` that look into what a search found."""

TIER_NAMES = {"default": "standard", "auto": None}
"""``auto`` is what a request asks for: it says nothing of how it was served."""


def body_fields(at: str) -> dict[str, Field]:
    """The fields of a body that stands at a path."""
    fields = {
        "id": text(f"{at}.id"),
        "created": instant(f"{at}.created"),
        "created_at": instant(f"{at}.created_at"),
        "object": text(f"{at}.object"),
        "model": text(f"{at}.model"),
        "service_tier": text(f"{at}.service_tier"),
        "state": text(f"{at}.status"),
        "error_code": text(f"{at}.error.code"),
        "error": given(f"{at}.error"),
        "chat_finish": text(f"{at}.choices[0].finish_reason"),
        "cut_short": text(f"{at}.incomplete_details.reason"),
        "team": text(f"{at}.metadata.team"),
        "project": text(f"{at}.metadata.project"),
        "environment": text(f"{at}.metadata.environment"),
        "labels": json(f"{at}.metadata"),
        "safety_identifier": text(f"{at}.safety_identifier"),
        "user": text(f"{at}.user"),
        "conversation": text(f"{at}.conversation.id"),
        "chat_tools": occurrences(f"{at}.choices[*].message.tool_calls[*].id"),
        "items": texts(f"{at}.output[*].type"),
        "actions": texts(f"{at}.output[*].action.type"),
    }
    for api, (into, out) in _APIS.items():
        fields[f"{api}_input"] = count(f"{at}.usage.{into}")
        fields[f"{api}_output"] = count(f"{at}.usage.{out}")
        for parts, whole in ((_INPUT_PARTS, into), (_OUTPUT_PARTS, out)):
            fields |= {f"{api}_{name}": count(f"{at}.usage.{whole}_details.{part}") for name, part in parts.items()}
    return fields


def body_columns() -> dict[str, pl.Expr]:
    """The ``usage`` columns that a body says, over ``body_fields``; the request id is the body's own."""
    failed = pl.col("error") | (pl.col("state") == "failed").fill_null(False)
    items, actions = pl.col("items").list, pl.col("actions").list
    pages = pl.sum_horizontal(actions.count_matches(action) for action in _PAGE_ACTIONS)
    return {
        "request_id": pl.col("id"),
        "event_time": pl.coalesce("created", "created_at"),
        "provider": pl.lit("openai"),
        "service": pl.lit("OpenAI API"),
        "raw_model": pl.col("model"),
        "operation": pl.col("object"),
        "team": pl.col("team"),
        "project": pl.col("project"),
        "environment": pl.col("environment"),
        "end_user": pl.coalesce("safety_identifier", "user"),
        "tags": tags_of_json(pl.col("labels")),
        "service_tier": pl.col("service_tier").replace(TIER_NAMES),
        "status": status_of(failed),
        "error_code": pl.col("error_code"),
        "finish_reason": pl.coalesce("chat_finish", "cut_short", "state"),
        "session_id": pl.col("conversation"),
        "tool_calls": pl.coalesce("chat_tools", items.eval(pl.element().str.ends_with(_TOOL_CALL)).list.sum()),
        "web_searches": (items.count_matches("web_search_call").cast(pl.Int64) - pages).clip(0),
        **_token_columns(),
    }


def _token_columns() -> dict[str, pl.Expr]:
    def said(name: str) -> pl.Expr:
        return pl.coalesce(f"{api}_{name}" for api in _APIS)

    into, out = said("input"), said("output")
    return {
        HAS_USAGE: pl.any_horizontal(into.is_not_null(), out.is_not_null()),
        **input_columns(into, read=said("cached"), written=said("written"), audio=said("audio"), image=said("image")),
        "output_tokens": out,
        "reasoning_tokens": said("reasoning"),
        "output_audio_tokens": said("audio_out"),
        "output_image_tokens": said("image_out"),
    }


def input_columns(
    into: pl.Expr, *, read: pl.Expr, written: pl.Expr, audio: pl.Expr, image: pl.Expr
) -> Mapping[str, pl.Expr]:
    """The input classes and parts, from OpenAI's counts.

    Audio and images are counted whether they were cached or not, and may be more than what was not cached:
    as much as can be of them is taken to be uncached, since the cache's part is not split.

    Args:
        into: Input tokens, with all that follows.
        read: Of them read from the cache.
        written: Of them written to the cache, which keeps them for no time that a log tells: 5 minutes are assumed.
        audio: Of them audio.
        image: Of them images.
    """
    fresh = uncached(into, read.fill_null(0) + written.fill_null(0))
    fresh_audio = _at_most(audio, fresh, into)
    return {
        "input_tokens": fresh,
        "cache_read_tokens": read,
        "cache_write_5m_tokens": written,
        "input_audio_tokens": fresh_audio,
        "input_image_tokens": _at_most(image, fresh - fresh_audio.fill_null(0), into),
    }


def _at_most(part: pl.Expr, fresh: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """A part no larger than its class; one that is larger than the whole input contradicts it, and stays as it is."""
    return pl.when((part > fresh) & (part <= whole)).then(fresh).otherwise(part)
