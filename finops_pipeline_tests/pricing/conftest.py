"""Calls and prices of a few words, for tests of rating."""

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.pricing.aliases import aliases_of
from finops_pipeline.pricing.book import PriceBook, compile_book
from finops_pipeline.pricing.rating import rate
from finops_pipeline.schemas import PRICE_BOOK, USAGE

NOON = dt.datetime(2026, 11, 4, 12, tzinfo=dt.UTC)

PLAIN_CALL: Mapping[str, Any] = {
    "source": "gateway",
    "request_id": "r-1",
    "event_time": NOON,
    "provider": "openai",
    "raw_model": "gpt-5",
    "batch": False,
    "status": "ok",
    "request_count": 1,
    "input_tokens": 0,
    "cache_read_tokens": 0,
    "cache_write_5m_tokens": 0,
    "cache_write_1h_tokens": 0,
    "output_tokens": 0,
    "usage_quality": "reported",
    "raw_object": "o",
    "raw_line": 1,
}

PLAIN_PRICE: Mapping[str, Any] = {
    "provider": "acme",
    "model_key": "m",
    "source": "test",
    "meter": "input",
    "tier": "standard",
    "unit_price": Decimal(1),
    "per_qty": 1_000_000,
    "currency": "USD",
    "rate_origin": "explicit",
    "layer": 20,
}

Calls = Callable[..., pl.LazyFrame]
Book = Callable[..., PriceBook]
Rated = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def calls() -> Calls:
    """A frame of calls, each given by what is particular to it; `record` has no other tokens than those named."""

    def make(*particulars: Mapping[str, Any]) -> pl.LazyFrame:
        schema = {"source": pl.String, **USAGE.schema}
        return pl.LazyFrame([{**PLAIN_CALL, **call} for call in particulars], schema=schema)

    return make


@pytest.fixture(scope="session")
def book_of() -> Book:
    """A book of rows, each given by what is particular to it: by default model m of acme at 1 USD a million."""

    def make(*particulars: Mapping[str, Any], aliases: Mapping[str, str] | None = None) -> PriceBook:
        rows = [{**PLAIN_PRICE, "price_id": f"row {number}", **row} for number, row in enumerate(particulars)]
        frame = pl.LazyFrame(rows, schema={name: PRICE_BOOK.schema[name] for name in {k for row in rows for k in row}})
        rows = PRICE_BOOK.conform(frame).collect()
        return PriceBook.from_rows(
            rows, aliases=aliases_of({raw: {"model": model} for raw, model in (aliases or {}).items()})
        )

    return make


@pytest.fixture(scope="session")
def config_of() -> Callable[..., Config]:
    """A config with the sections given."""

    def make(**sections: Any) -> Config:
        return Config(lake="./lake", sources=[{"name": "gateway", "format": "record", "uri": "./logs"}], **sections)

    return make


@pytest.fixture(scope="session")
def catalogue_book(config_of: Callable[..., Config]) -> PriceBook:
    """The book of a config without prices of its own."""
    return compile_book(config_of())


@pytest.fixture(scope="session")
def rated(calls: Calls, catalogue_book: PriceBook) -> Rated:
    """One call, rated: its row."""

    def make(book: PriceBook | None = None, basis: str = "contracted", **call: Any) -> dict[str, Any]:
        frame = rate(calls(call), book or catalogue_book, {"gateway": basis}).collect()
        return frame.row(0, named=True)

    return make
