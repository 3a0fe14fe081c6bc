"""Messages of Anthropic's API: what a message says of its model, its usage and its end, wherever it is stored.

Rules and their sources: the API reference's "Messages" and its ``usage`` object; the guides "Prompt caching", "Service
tiers", "Fast mode" and "Data residency". ``input_tokens`` excludes cache. ``cache_creation_input_tokens`` is what was
written in all, ``cache_creation`` its split by time to live; what is not split is taken to live for 5 minutes. Output
includes thinking.

Not taken: the ``iterations`` of a message whose context the server compacted (beta), which the counts leave out.
"""

from collections.abc import Callable

import polars as pl

from finops_pipeline.formats.format import HAS_USAGE, Field, count, occurrences, text

_GEO = r"^[a-z]{2}$"


def usage_fields(at: str) -> dict[str, Field]:
    """The fields of the ``usage`` of a message, or of what a stream adds to it, that stands at a path."""
    return {
        "input": count(f"{at}.input_tokens"),
        "cache_read": count(f"{at}.cache_read_input_tokens"),
        "cache_write": count(f"{at}.cache_creation_input_tokens"),
        "output": count(f"{at}.output_tokens"),
        "thinking": count(f"{at}.output_tokens_details.thinking_tokens"),
        "web_searches": count(f"{at}.server_tool_use.web_search_requests"),
    }


def message_fields(at: str) -> dict[str, Field]:
    """The fields of a message that stands at a path."""
    return {
        "id": text(f"{at}.id"),
        "model": text(f"{at}.model"),
        "stop_reason": text(f"{at}.stop_reason"),
        "written_5m": count(f"{at}.usage.cache_creation.ephemeral_5m_input_tokens"),
        "written_1h": count(f"{at}.usage.cache_creation.ephemeral_1h_input_tokens"),
        "service_tier": text(f"{at}.usage.service_tier"),
        "speed": text(f"{at}.usage.speed"),
        "geo": text(f"{at}.usage.inference_geo"),
        "tools": occurrences(f"{at}.content[*].input"),
        **usage_fields(f"{at}.usage"),
    }


def message_columns(said: Callable[[str], pl.Expr] = pl.col) -> dict[str, pl.Expr]:
    """The ``usage`` columns that a message says; the request id is the message's own.

    Args:
        said: The name of a field of ``message_fields`` → its value.
    """
    written_1h = said("written_1h").fill_null(0)
    written = pl.coalesce(said("cache_write"), said("written_5m").fill_null(0) + written_1h)
    classes = ("input", "cache_read", "cache_write", "output")
    return {
        "request_id": said("id"),
        "provider": pl.lit("anthropic"),
        "service": pl.lit("Anthropic API"),
        "region_scope": scope_of_geo(said("geo")),
        "raw_model": said("model"),
        "operation": pl.lit("messages"),
        "service_tier": tier_served(said("service_tier"), said("speed")),
        "finish_reason": said("stop_reason"),
        "tool_calls": said("tools"),
        HAS_USAGE: pl.any_horizontal(said(name).is_not_null() for name in classes),
        "input_tokens": said("input"),
        "cache_read_tokens": said("cache_read"),
        "cache_write_5m_tokens": (written - written_1h).clip(0),
        "cache_write_1h_tokens": written_1h,
        "output_tokens": said("output"),
        "reasoning_tokens": said("thinking"),
        "web_searches": said("web_searches"),
    }


def tier_served(tier: pl.Expr, speed: pl.Expr) -> pl.Expr:
    """The service tier; fast mode, which has prices of its own, is one beside the standard tier."""
    is_fast = (speed == "fast") & tier.fill_null("standard").eq("standard")
    return pl.when(is_fast).then(pl.lit("fast")).otherwise(tier)


def scope_of_geo(geo: pl.Expr) -> pl.Expr:
    """``geo:us`` of ``us``, ``global``; null where the model has no such choice (``not_available``)."""
    return pl.when(geo == "global").then(geo).when(geo.str.contains(_GEO)).then("geo:" + geo)
