"""Why a model costs what it costs: the row of the book that won for each meter, and why the others did not."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from finops_pipeline.formats.providers import provider_id
from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.lookup import CONTRACTED, LIST, is_discounted, rate_column, with_rates
from finops_pipeline.pricing.resolution import Resolution
from finops_pipeline.pricing.segments import FRACTIONAL_METERS
from finops_pipeline.schemas import INSTANT
from finops_pipeline.schemas.price_book import LAYER_NAMES, METERS


@dataclass(frozen=True)
class Asked:
    """What a price is asked for: a call's place. None is what the log does not say."""

    provider: str | None
    raw_model: str
    at: dt.datetime
    tier: str | None = None
    region_scope: str | None = None
    account: str | None = None
    input_tokens: int = 0


@dataclass(frozen=True)
class MeterPrice:
    """What one meter costs.

    Attributes:
        meter: What is counted.
        row: The row of the book that won (``schemas.PRICE_BOOK``).
        listed: USD per ``row["per_qty"]`` units, uplifts included.
        contracted: The same after discounts.
    """

    meter: str
    row: Mapping[str, Any]
    listed: Decimal
    contracted: Decimal


@dataclass(frozen=True)
class Explanation:
    """The answer.

    Attributes:
        resolution: What the id means.
        reason: Why there is no price at all; None where there is one.
        prices: The meters that have a price.
        adjustments: Ids of the uplifts and discounts in them.
        others: Rows of the same model that did not win, each with the reason.
    """

    resolution: Resolution
    reason: str | None
    prices: tuple[MeterPrice, ...]
    adjustments: tuple[str, ...]
    others: tuple[tuple[Mapping[str, Any], str], ...]


def explain(book: PriceBook, asked: Asked) -> Explanation:
    """What the book says of a call at that place: the same lookup as the pipeline's."""
    call = pl.LazyFrame(
        [[asked.provider, asked.raw_model, asked.region_scope, asked.at, asked.account, asked.tier]],
        schema={
            "provider": pl.String, "raw_model": pl.String, "region_scope": pl.String, "event_time": INSTANT,
            "account": pl.String, "tier": pl.String,
        },
        orient="row",
    ).with_columns(provider=provider_id(pl.col("provider")))  # fmt: skip
    tokens = pl.lit(asked.input_tokens, dtype=pl.Int64)
    found = with_rates(call, book, METERS, tier=pl.col("tier"), input_tokens=tokens, explained=True).collect()
    place = found.row(0, named=True)
    contracted = CONTRACTED if is_discounted(book) else LIST
    rows = book.rows.with_row_index("number")
    prices = tuple(
        MeterPrice(
            meter,
            row := rows.row(place[f"_row_{meter}"], named=True),
            _per(place[rate_column(LIST, meter)], row),
            _per(place[rate_column(contracted, meter)], row),
        )
        for meter in METERS
        if place["_reason"] is None and place[f"_row_{meter}"] is not None
    )
    resolution = book.resolver(place["provider"], asked.raw_model, asked.at)
    return Explanation(
        resolution,
        place["_reason"],
        prices,
        tuple(place["_adjusted"] or ()),
        tuple(_others(rows, resolution, asked, place["_tier"], {price.row["number"] for price in prices})),
    )


def _per(rate: Decimal, row: Mapping[str, Any]) -> Decimal:
    return rate if row["meter"] in FRACTIONAL_METERS else rate * row["per_qty"]


def _others(
    rows: pl.DataFrame, resolution: Resolution, asked: Asked, tier: str, won: set[int]
) -> Iterator[tuple[Mapping[str, Any], str]]:
    if resolution.model is None:
        return
    same = rows.filter(
        pl.col("provider").eq_missing(pl.lit(resolution.price_provider)), pl.col("model_key") == resolution.model
    )
    scope = asked.region_scope or resolution.scope
    for row in same.iter_rows(named=True):
        if row["number"] not in won:
            yield row, _why_not(row, asked, tier, scope)


def _why_not(row: Mapping[str, Any], asked: Asked, tier: str, scope: str | None) -> str:
    """Why a row did not win; what keeps most rows from it comes first."""
    if row["known_to"] is not None:
        return f"superseded on {row['known_to']:%Y-%m-%d}"
    if row["tier"] != tier:
        return f"for the tier {row['tier']}"
    if row["valid_from"] is not None and asked.at < row["valid_from"]:
        return f"from {row['valid_from']:%Y-%m-%d}"
    if row["valid_to"] is not None and asked.at >= row["valid_to"]:
        return f"until {row['valid_to']:%Y-%m-%d}"
    if row["region_scope"] not in (None, scope):
        return f"for {row['region_scope']}"
    if row["ctx_gt"] is not None and asked.input_tokens <= row["ctx_gt"]:
        return f"above {row['ctx_gt']:,} input tokens"
    if row["ctx_le"] is not None and asked.input_tokens > row["ctx_le"]:
        return f"up to {row['ctx_le']:,} input tokens"
    if row["schedule_band"] is not None:
        return f"at {row['schedule_band']} {row['schedule']}"
    return f"another row goes before the {LAYER_NAMES.get(row['layer'], str(row['layer']))}'s"
