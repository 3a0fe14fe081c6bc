"""``daily_costs``: the rollup that every report reads, one row a day and combination of dimensions."""

import polars as pl

from finops_pipeline.schemas.contract import TOTAL, Column, Table
from finops_pipeline.schemas.priced_usage import COST_GROUPS

DIMENSIONS = (
    "source",
    "provider",
    "service",
    "account",
    "region_scope",
    "model",
    "service_tier",
    "team",
    "project",
    "environment",
    "cost_center",
    "application",
)

ROLLUP_KEYS = (*DIMENSIONS, "unpriced_reason")
"""What makes a row: its dimensions, and why its calls have no price, so that a row has prices or has none."""

DAILY_COSTS = Table(
    name="daily_costs",
    version=3,
    meaning="Calls, tokens and costs by day and dimension.",
    partition_keys=("date",),
    columns=(
        Column("source", pl.String, "The source in the config", False),
        Column("provider", pl.String, "Who sells the calls"),
        Column("service", pl.String, "The AI service that bills"),
        Column("account", pl.String, "The provider's account"),
        Column("region_scope", pl.String, "global, geo:us, in-region, …"),
        Column("model", pl.String, "Canonical model; the raw id where it does not resolve"),
        Column("service_tier", pl.String, "The tier that served"),
        Column("team", pl.String, "The team that is charged; null is unallocated"),
        Column("project", pl.String, "The project that is charged"),
        Column("environment", pl.String, "prod, staging, …"),
        Column("cost_center", pl.String, "Cost centre that is charged"),
        Column("application", pl.String, "The application that called"),
        Column("unpriced_reason", pl.String, "Why the row's calls have no price (PRICE_REASONS); null: they have one"),
        Column("requests", pl.Int64, "Calls", False),
        Column("errors", pl.Int64, "Failed calls, part of requests", False),
        Column("input_tokens", pl.Int64, "Uncached input tokens that are known; no class counts invalid_usage", False),
        Column("cache_read_tokens", pl.Int64, "Tokens read from prompt caches", False),
        Column("cache_write_5m_tokens", pl.Int64, "Tokens written to 5-minute caches", False),
        Column("cache_write_1h_tokens", pl.Int64, "Tokens written to 1-hour caches", False),
        Column("output_tokens", pl.Int64, "Output tokens, reasoning included", False),
        Column("reasoning_tokens", pl.Int64, "Part of output_tokens", False),
        Column("list_cost", TOTAL, "USD at list price of the calls that have one", False),
        Column("contracted_cost", TOTAL, "USD after negotiated rates of the calls that have them", False),
        Column("reported_cost", TOTAL, "USD that the logs report; null where none does"),
        Column("cost", TOTAL, "USD charged", False),
        *(Column(group, TOTAL, f"Contracted USD, part of contracted_cost: {group}", False) for group in COST_GROUPS),
        Column("estimated_tokens", pl.Int64, "Priced tokens that were estimated, not reported", False),
        Column("unpriced_requests", pl.Int64, "Calls without a price: they are in requests, not in cost", False),
        Column("unpriced_tokens", pl.Int64, "Their tokens, as far as known", False),
    ),
)
