"""Calls of a few words, priced by the rules that price real ones, and the price book of the worked cases."""

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from finops_pipeline.pricing.aliases import aliases_of
from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.rating import rate
from finops_pipeline.savings.calls import GRADES, flag
from finops_pipeline.schemas import PRICE_BOOK, PRICED_USAGE, USAGE
from finops_pipeline.schemas.savings import LEVERS

CONTENT = json.loads((Path(__file__).parents[1] / "cases" / "savings_cases.json").read_text())

MIDNIGHT = dt.datetime(2026, 11, 4, tzinfo=dt.UTC)

PLAIN_CALL: Mapping[str, Any] = {
    "source": "gateway",
    "request_id": "r",
    "event_time": MIDNIGHT + dt.timedelta(hours=12),
    "provider": "openai",
    "service": "OpenAI API",
    "raw_model": "gpt-4o",
    "team": "search",
    "project": "ranking",
    "batch": False,
    "status": "ok",
    "request_count": 1,
    "input_tokens": 0,
    "cache_read_tokens": 0,
    "cache_write_5m_tokens": 0,
    "cache_write_1h_tokens": 0,
    "output_tokens": 0,
    "reasoning_tokens": 0,
    "tool_calls": 0,
    "usage_quality": "reported",
    "raw_object": "o",
    "raw_line": 1,
}

METERS = {"in": "input", "read": "cache_read", "write": "cache_write_5m", "write_1h": "cache_write_1h", "out": "output"}

PROVIDERS = {"claude": "anthropic", "gemini": "google"}


def case(number: str) -> dict[str, Any]:
    """A worked case."""
    return next(found for found in CONTENT["cases"] if found["id"] == number)


def seller(model: str) -> str:
    return PROVIDERS.get(model.partition("-")[0], "openai")


def at(seconds: float) -> dt.datetime:
    """So many seconds after noon."""
    return MIDNIGHT + dt.timedelta(hours=12, seconds=seconds)


def price_rows(prices: Mapping[str, Any], tiers: tuple[str, ...] = ("standard",)) -> list[dict[str, Any]]:
    """Rows of a price book from prices as the cases write them, a million tokens each; batch by their multiplier."""
    rows = []
    for model, price in prices.items():
        for name, meter in METERS.items():
            if name not in price:
                continue
            amounts = dict.fromkeys(tiers, Decimal(price[name]))
            if "batch_mult" in price and (name in ("in", "out") or price.get("batch_cache")):
                amounts["batch"] = Decimal(price[name]) * Decimal(price["batch_mult"])
            rows += [
                {
                    "price_id": f"{model} {meter} {tier}", "provider": seller(model), "model_key": model,
                    "source": "cases", "meter": meter, "tier": tier, "unit_price": amount, "per_qty": 1_000_000,
                    "currency": "USD", "rate_origin": "explicit", "layer": 20,
                }
                for tier, amount in amounts.items()
            ]  # fmt: skip
    return rows


def book_of(rows: list[dict[str, Any]], aliases: Mapping[str, str] | None = None) -> PriceBook:
    schema = {name: PRICE_BOOK.schema[name] for name in {key for row in rows for key in row}}
    return PriceBook.from_rows(
        PRICE_BOOK.conform(pl.LazyFrame(rows, schema=schema)).collect(),
        aliases=aliases_of({raw: {"model": model} for raw, model in (aliases or {}).items()}),
    )


def priced(calls: list[dict[str, Any]], book: PriceBook) -> pl.LazyFrame:
    """``priced_usage`` of calls, each given by what is particular to it."""
    schema = {"source": pl.String, **USAGE.schema}
    usage = pl.LazyFrame([{**PLAIN_CALL, **call} for call in calls], schema=schema)
    return PRICED_USAGE.conform(rate(usage, book, {})).collect().lazy()


def flags(**expected: bool) -> dict[str, bool]:
    """Flags of a call: the same for each grade, and none of a lever that is not named."""
    return {flag(lever, grade): expected.get(lever, False) for lever in LEVERS for grade in GRADES}


def score(value: float | None) -> dict[str, float | None]:
    """A call of which everything is known, or nothing."""
    return {"score": value, "score_low": value, "score_high": value, "coverage": None if value is None else 1.0}
