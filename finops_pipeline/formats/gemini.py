"""Gemini's requests and responses, as all logs of Vertex AI hold them: their fields, and those as ``usage`` columns.

Rules and their sources: Vertex AI's API reference (``GenerateContentResponse`` with ``UsageMetadata``,
``ModalityTokenCount`` and ``GroundingMetadata``; labels of requests) and its prices. ``promptTokenCount`` includes what
was read from the cache; what tools gave to the prompt stands apart, and is input; thoughts stand apart, and are output.

Unverified: that the audio and the images of ``cacheTokensDetails`` stand in ``promptTokensDetails`` too.
"""

from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.format import HAS_USAGE, Field, count, given, json, occurrences, text
from finops_pipeline.formats.statuses import status_of
from finops_pipeline.formats.tags import tags_of_json
from finops_pipeline.formats.tokens import uncached

_MODALITIES = 6
"""Entries of a list of token counts: one a modality, and the API has six."""

_DETAILS = {"prompt": "promptTokensDetails", "cached": "cacheTokensDetails", "candidates": "candidatesTokensDetails"}

_COUNTS = ("prompt", "cached", "from_tools", "candidates", "thoughts")

_TIERS = {
    "ON_DEMAND": "standard",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_PRIORITY": "priority",
    "PROVISIONED_THROUGHPUT": "provisioned",
    "TRAFFIC_TYPE_UNSPECIFIED": None,
}
"""``trafficType``: the tier that it means."""

_SEARCH_PER_PROMPT = r"gemini-(?:live-)?[12]\b"
"""Models whose prompts are charged once for grounding; later ones are charged for each query to the search."""

_GEOGRAPHIES = ("us", "eu")
"""Locations of multi-region endpoints."""


def request_fields(request: str) -> dict[str, Field]:
    """Fields of the request at a path."""
    labels = f"{request}.labels"
    return {
        "request_model": text(f"{request}.model"),
        "labels": json(labels),
        "team": text(f"{labels}.team"),
        "project": text(f"{labels}.project"),
        "application": text(f"{labels}.application"),
        "environment": text(f"{labels}.environment"),
        "user": text(f"{labels}.user"),
        "user_id": text(f"{labels}.user_id"),
    }


def prompt_of(request: str) -> dict[str, str]:
    """Members of the prompt of the request at a path."""
    return {member: f"{request}.{member}" for member in ("systemInstruction", "contents", "tools")}


def response_fields(*paths: str) -> dict[str, Field]:
    """Fields of a response that stands at one of the paths; the names of each path's fields end with its number."""
    return {f"{name}_{n}": field for n, path in enumerate(paths) for name, field in _response(path).items()}


def function_calls(response: str) -> Field:
    """How many function calls stand in the response at a path."""
    return occurrences(f"{response}.candidates[*].content.parts[*].functionCall")


def _response(path: str) -> dict[str, Field]:
    usage, candidate = f"{path}.usageMetadata", f"{path}.candidates[0]"
    details = {f"{name}_{n}": f"{usage}.{member}[{n}]" for name, member in _DETAILS.items() for n in range(_MODALITIES)}
    return {
        "error": given(f"{path}.error"),
        "error_code": text(f"{path}.error.code"),
        "response_id": text(f"{path}.responseId"),
        "model_version": text(f"{path}.modelVersion"),
        "prompt": count(f"{usage}.promptTokenCount"),
        "cached": count(f"{usage}.cachedContentTokenCount"),
        "from_tools": count(f"{usage}.toolUsePromptTokenCount"),
        "candidates": count(f"{usage}.candidatesTokenCount"),
        "thoughts": count(f"{usage}.thoughtsTokenCount"),
        "traffic": text(f"{usage}.trafficType"),
        "finish": text(f"{candidate}.finishReason"),
        "blocked": text(f"{path}.promptFeedback.blockReason"),
        "queries": occurrences(f"{candidate}.groundingMetadata.webSearchQueries[*]"),
        **{f"{name}_modality": text(f"{detail}.modality") for name, detail in details.items()},
        **{f"{name}_tokens": count(f"{detail}.tokenCount") for name, detail in details.items()},
    }


def request_columns(resource: pl.Expr) -> dict[str, pl.Expr]:
    """The ``usage`` columns that a request says.

    Args:
        resource: The resource name that was asked, such as ``projects/p/locations/us-central1/publishers/…``.
    """
    location = resource.str.extract(r"(?:^|/)locations/([^/]+)/")
    return {
        "provider": pl.lit("google"),
        "service": pl.lit("Google Vertex AI"),
        "account": resource.str.extract(r"(?:^|/)projects/([^/]+)/"),
        "region_scope": pl.when(location == "global")
        .then(location)
        .when(location.is_in(_GEOGRAPHIES))
        .then("geo:" + location)
        .when(location.is_not_null())
        .then(pl.lit("in-region")),
        "application": pl.col("application"),
        "team": pl.col("team"),
        "project": pl.col("project"),
        "environment": pl.col("environment"),
        "user_id": pl.coalesce("user", "user_id"),
        "tags": tags_of_json(pl.col("labels")),
    }


def response_columns(paths: int, model: pl.Expr) -> Mapping[str, pl.Expr]:
    """The ``usage`` columns that a response says, and ``has_usage``.

    Args:
        paths: How many were given to ``response_fields``.
        model: The model, whose generation decides what is paid for searches.
    """

    def said(name: str) -> pl.Expr:
        return pl.coalesce(f"{name}_{n}" for n in range(paths))

    def of_modality(modality: str, name: str) -> pl.Expr:
        places = [f"{name}_{d}" for d in range(_MODALITIES)]
        return pl.sum_horizontal(
            pl.when(pl.col(f"{place}_modality_{n}") == modality).then(f"{place}_tokens_{n}")
            for place in places
            for n in range(paths)
        )

    def uncached_part(modality: str) -> pl.Expr:
        rest = of_modality(modality, "prompt") - of_modality(modality, "cached")
        # Without the cache's own details, a part can be no larger than what was not read from it.
        return pl.min_horizontal(pl.max_horizontal(rest, pl.lit(0)), fresh)

    cached = said("cached").fill_null(0)
    fresh = uncached(said("prompt").fill_null(0), cached) + said("from_tools").fill_null(0)
    queries = said("queries").fill_null(0)
    return {
        "service_tier": said("traffic").replace(_TIERS),
        HAS_USAGE: pl.any_horizontal(said(name).is_not_null() for name in _COUNTS),
        "input_tokens": fresh,
        "cache_read_tokens": cached,
        "output_tokens": said("candidates").fill_null(0) + said("thoughts").fill_null(0),
        "reasoning_tokens": said("thoughts"),
        "input_audio_tokens": uncached_part("AUDIO"),
        "input_image_tokens": uncached_part("IMAGE"),
        "output_audio_tokens": of_modality("AUDIO", "candidates"),
        "output_image_tokens": of_modality("IMAGE", "candidates"),
        "web_searches": pl.when(model.str.contains(_SEARCH_PER_PROMPT))
        .then(pl.min_horizontal(queries, pl.lit(1)))
        .otherwise(queries),
        "status": status_of(pl.any_horizontal(f"error_{n}" for n in range(paths))),
        "error_code": said("error_code"),
        "finish_reason": pl.coalesce(said("finish"), said("blocked")),
    }
