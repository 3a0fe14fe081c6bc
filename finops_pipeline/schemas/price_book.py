"""``price_book``: what a meter of a model costs, from when, for whom; a version a content."""

import polars as pl

from finops_pipeline.schemas.contract import INSTANT, UNIT_PRICE, Column, Table

METERS = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "input_audio",
    "input_image",
    "cache_read_audio",
    "output",
    "output_reasoning",
    "output_audio",
    "output_image",
    "web_search",
    "request",
    "audio_second",
    "page",
    "gpu_hour",
)
"""What is counted and billed. Disjoint: a token is on one meter only."""

TIERS = ("standard", "batch", "flex", "priority", "fast", "provisioned")
"""Service tiers, as served and billed."""

RATE_ORIGINS = ("explicit", "inherited", "inferred", "overridden")

LAYER_CATALOGUE, LAYER_CLOUD_FEED, LAYER_USER, LAYER_CONTRACT = 0, 10, 20, 30
"""Where rows overlap, the higher layer's price holds."""

PRICE_BOOK = Table(
    name="price_book",
    version=1,
    meaning="Unit prices, effective-dated; the compiled book that priced a call is named on the call.",
    partition_keys=("version",),
    columns=(
        Column("price_id", pl.String, "Names the row: where it comes from and what it prices", False),
        Column("provider", pl.String, "Who sells; null serves every provider"),
        Column("model_key", pl.String, "Canonical model", False),
        Column("source", pl.String, "genai-prices, or the file's name", False),
        Column("source_version", pl.String, "Version of the catalogue; null for files"),
        Column("source_url", pl.String, "Where the provider publishes the price"),
        Column("meter", pl.Enum(METERS), "What is counted", False),
        Column("tier", pl.Enum(TIERS), "Service tier", False),
        Column("region_scope", pl.String, "global, geo:us, in-region, …; null serves every scope"),
        Column("ctx_gt", pl.Int64, "Holds above this many input tokens, cache reads and writes included; null: from 0"),
        Column("ctx_le", pl.Int64, "Holds up to this many; null: without limit"),
        Column("schedule", pl.String, "Time zone of schedule_band; null: at any hour"),
        Column("schedule_band", pl.String, "Hours of the week, ISO days: `1-5 01:00-04:00`"),
        Column("valid_from", INSTANT, "First instant; null: always until valid_to"),
        Column("valid_to", INSTANT, "First instant after; null: until further notice"),
        Column("known_from", INSTANT, "When the row was learnt"),
        Column("known_to", INSTANT, "When it was found wrong; such rows price nothing any more"),
        Column("unit_price", UNIT_PRICE, "Currency per per_qty units of the meter", False),
        Column("per_qty", pl.Int64, "Units that unit_price buys: 1, 1000, 1000000, 3600", False),
        Column("min_qty", pl.Decimal(18, 6), "Least quantity that is billed"),
        Column("currency", pl.String, "ISO 4217", False),
        Column("rate_origin", pl.Enum(RATE_ORIGINS), "How the price is known", False),
        Column("layer", pl.Int8, "0 catalogue, 10 cloud feed, 20 user, 30 contract", False),
    ),
)
