"""Pages of OpenAI's usage API: what an organisation used in a minute, an hour or a day, by the dimensions asked for.

Rules and their sources: the API reference's "Usage". How pages are read stands in ``usage_pages``. ``input_tokens``
holds cached and cache-write tokens; ``input_uncached_tokens``, where it is given, does not. ``input_audio_tokens`` and
``input_image_tokens`` are uncached ones (an earlier edition of the reference had the audio's cached tokens in them, and
text alone in ``input_tokens``: pages of that time cannot be told apart). Reasoning is not split.

Embeddings and moderations have tokens too. Results that count something else (images, characters, seconds, sessions,
bytes, searches) are no usage here. Pages of the costs API are refused.
"""

from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.format import HAS_USAGE, NOT_USAGE, REFUSED, Format, count, flag, text
from finops_pipeline.formats.openai_body import TIER_NAMES, input_columns
from finops_pipeline.formats.usage_pages import LAST_STORED, PAGES, page_columns, page_fields
from finops_pipeline.mediation.open_layout import OpenLayout

_COSTS = "organization.costs.result"
_ARE_COSTS = (
    "a page of OpenAI's costs API, which has amounts and no tokens. Point the source's `uri` to pages of the usage API "
    "(GET /v1/organization/usage/completions)."
)
_ENDPOINT = r"^organization\.usage\.(.+)\.result$"


def _columns() -> Mapping[str, pl.Expr]:
    endpoint = pl.col("object").str.extract(_ENDPOINT)
    has_tokens = pl.any_horizontal(pl.col("input", "uncached", "output").is_not_null())
    inputs = input_columns(
        pl.col("input"),
        read=pl.col("cached"), written=pl.col("written"), audio=pl.col("audio"), image=pl.col("image"),
    )  # fmt: skip
    batch = pl.coalesce("batch", pl.col("service_tier") == "batch").fill_null(False)
    return {
        **page_columns(),
        "provider": pl.lit("openai"),
        "service": pl.lit("OpenAI API"),
        "raw_model": pl.col("model"),
        "operation": endpoint,
        "project": pl.col("project"),
        "user_id": pl.col("user"),
        "api_key_id": pl.col("api_key"),
        "service_tier": pl.when(batch).then(pl.lit("batch")).otherwise(pl.col("service_tier").replace(TIER_NAMES)),
        "batch": batch,
        "request_count": pl.col("requests"),
        REFUSED: pl.when(pl.col("object") == _COSTS).then(pl.lit(_ARE_COSTS)),
        NOT_USAGE: (endpoint != "completions") & ~has_tokens,
        HAS_USAGE: has_tokens,
        **inputs,
        "input_tokens": pl.coalesce("uncached", inputs["input_tokens"]),
        "output_tokens": pl.col("output"),
        "output_audio_tokens": pl.col("audio_out"),
        "output_image_tokens": pl.col("image_out"),
    }


OPENAI_USAGE = Format(
    name="openai_usage",
    version=1,
    layout=OpenLayout(),
    fields={
        **page_fields("start_time", "end_time"),
        "object": text("$.result.object"),
        "model": text("$.result.model"),
        "project": text("$.result.project_id"),
        "user": text("$.result.user_id"),
        "api_key": text("$.result.api_key_id"),
        "service_tier": text("$.result.service_tier"),
        "batch": flag("$.result.batch"),
        "requests": count("$.result.num_model_requests"),
        "input": count("$.result.input_tokens"),
        "uncached": count("$.result.input_uncached_tokens"),
        "cached": count("$.result.input_cached_tokens"),
        "written": count("$.result.input_cache_write_tokens"),
        "audio": count("$.result.input_audio_tokens"),
        "image": count("$.result.input_image_tokens"),
        "output": count("$.result.output_tokens"),
        "audio_out": count("$.result.output_audio_tokens"),
        "image_out": count("$.result.output_image_tokens"),
    },
    columns=_columns,
    documents=PAGES,
    job=LAST_STORED,
)
