"""The price book, a version a content: ``price_book`` (what a meter of a model costs, from when, for whom),
``rate_adjustments`` (uplifts and discounts), ``model_aliases`` and ``model_names`` (which model an id means)."""

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

LAYER_CATALOGUE, LAYER_CORRECTION, LAYER_CLOUD_FEED, LAYER_USER, LAYER_CONTRACT = 0, 5, 10, 20, 30
"""Where rows overlap, the higher layer's price holds."""

LAYER_NAMES = {
    LAYER_CATALOGUE: "catalogue",
    LAYER_CORRECTION: "correction",
    LAYER_CLOUD_FEED: "cloud feed",
    LAYER_USER: "user",
    LAYER_CONTRACT: "contract",
}

ADJUSTMENTS = ("uplift", "discount")
"""Uplifts are part of the list price; discounts make the contracted price of it."""

MULTIPLIER = pl.Decimal(9, 6)

NAME_ROLES = ("model", "vendor", "fallback", "spelling")

PRICE_BOOK = Table(
    name="price_book",
    version=2,
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
        Column("per_qty", pl.Int64, "Units that unit_price buys: 1, 60, 1000, 3600, 1000000", False),
        Column("currency", pl.String, "ISO 4217", False),
        Column("rate_origin", pl.Enum(RATE_ORIGINS), "How the price is known", False),
        Column("layer", pl.Int8, "0 catalogue, 5 correction, 10 cloud feed, 20 user, 30 contract", False),
    ),
)

RATE_ADJUSTMENTS = Table(
    name="rate_adjustments",
    version=1,
    meaning="Multipliers of prices: uplifts of the list price, negotiated discounts.",
    partition_keys=("version",),
    columns=(
        Column("adjustment_id", pl.String, "Names the row: where it comes from", False),
        Column("provider", pl.String, "Whose prices; null: anybody's"),
        Column("model", pl.String, "Pattern of canonical models, * standing for anything", False),
        Column("meter", pl.Enum(METERS), "What is counted; null: everything"),
        Column("tier", pl.Enum(TIERS), "Service tier; null: every one"),
        Column("account", pl.String, "Account of the provider as logged; null: every one"),
        Column("region_scope", pl.String, "Calls served there only; null: anywhere"),
        Column("kind", pl.Enum(ADJUSTMENTS), "uplift or discount", False),
        Column("multiplier", MULTIPLIER, "What the price is multiplied by: 1.1 for ten per cent on top", False),
        Column("stack", pl.Int16, "Of one number one holds, the most particular; different numbers multiply", False),
        Column("valid_from", INSTANT, "First instant; null: always until valid_to"),
        Column("valid_to", INSTANT, "First instant after; null: until further notice"),
        Column("known_from", INSTANT, "When the row was learnt"),
        Column("known_to", INSTANT, "When it was found wrong; such rows change no price any more"),
        Column("source", pl.String, "Where it comes from: the file's name", False),
        Column("source_url", pl.String, "Where it is published"),
        Column("layer", pl.Int8, "As in price_book", False),
    ),
)

MODEL_ALIASES = Table(
    name="model_aliases",
    version=1,
    meaning="Ids that say nothing, or the wrong thing, and the models that they mean: deployments, profiles.",
    partition_keys=("version",),
    columns=(
        Column("provider", pl.String, "Calls of that provider only; null: of any"),
        Column("alias", pl.String, "Model as logged, or a pattern, * standing for anything; lower case", False),
        Column("model", pl.String, "Model to look up in its place", False),
        Column("region_scope", pl.String, "Where it is served, if the log does not say; null: unknown"),
        Column("valid_from", INSTANT, "First instant; null: always until valid_to"),
        Column("valid_to", INSTANT, "First instant after; null: until further notice"),
    ),
)

MODEL_NAMES = Table(
    name="model_names",
    version=1,
    meaning="Which model of the catalogue a name means, as the catalogue has it; the first that matches holds.",
    partition_keys=("version",),
    columns=(
        Column("provider", pl.String, "Who sells", False),
        Column(
            "role",
            pl.Enum(NAME_ROLES),
            "model: a name of the entry; vendor: names of the provider's own models; "
            "fallback: a provider whose standard prices hold too; spelling: a correction",
            False,
        ),
        Column("entry", pl.String, "The catalogue's id of the entry, or the fallback provider", False),
        Column("model_key", pl.String, "Canonical model; null for vendor and fallback"),
        Column("pattern", pl.String, "What matches, as JSON: equals, starts_with, ends_with, contains, regex, or, and"),
        Column("context_window", pl.Int64, "Input tokens that the model takes at most; null: unknown"),
    ),
)
