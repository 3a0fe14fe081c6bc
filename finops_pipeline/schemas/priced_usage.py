"""``priced_usage``: every call with its owner and its price."""

import polars as pl

from finops_pipeline.schemas.contract import COST, Column, Table
from finops_pipeline.schemas.usage import USAGE

COST_GROUPS = ("input_cost", "cache_read_cost", "cache_write_cost", "output_cost", "other_cost")
"""Contracted USD by meter group; over a priced call they sum to ``contracted_cost``."""

PRICE_STATUSES = ("priced", "unpriced", "free")

PRICE_REASONS = (
    "unresolved_model",
    "opaque_id",
    "no_rate_for_meter",
    "unknown_tier",
    "before_history",
    "invalid_usage",
    "missing_usage",
    "no_reported_cost",
)
"""Why a call has no price. Never a guess, never zero."""

PRICED_USAGE = Table(
    name="priced_usage",
    version=2,
    meaning="Calls with owner and price.",
    partition_keys=("date",),
    columns=(
        Column("source", pl.String, "The source in the config that the call came from", False),
        *USAGE.columns,
        Column("raw_team", pl.String, "The team as the log said it, before the ownership rules"),
        Column("raw_project", pl.String, "The project as the log said it, before the ownership rules"),
        Column("model", pl.String, "The model's canonical id in the price book; null where it does not resolve"),
        Column("cost_center", pl.String, "Who is charged in the books of finance"),
        Column("allocation_rule", pl.String, "The ownership rule that decided; null where the log itself did"),
        Column("list_cost", COST, "USD at list price; null is unknown, with price_reason"),
        Column("contracted_cost", COST, "USD after negotiated rates"),
        Column("cost", COST, "USD that is charged: contracted, or reported where the source's cost_basis says so"),
        Column("input_cost", COST, "Contracted USD of uncached input"),
        Column("cache_read_cost", COST, "Contracted USD of cache reads"),
        Column("cache_write_cost", COST, "Contracted USD of cache writes"),
        Column("output_cost", COST, "Contracted USD of output, reasoning included"),
        Column("other_cost", COST, "Contracted USD of everything else (searches, images, requests)"),
        Column("price_status", pl.String, "priced, unpriced or free", False),
        Column("price_reason", pl.String, "Why there is no price; null where there is one"),
        Column("book_version", pl.String, "The price book that priced the call", False),
    ),
)
