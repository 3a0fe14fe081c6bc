"""Rating: each call of ``usage`` gets the price of the book that held when, where and how large it was.

Where prices come from is in ``book``, which row holds in ``lookup``, what a line costs in ``lines``, who pays in
``allocation``. The rules here:

- A failed call and an answer from a gateway's cache are ``free``: every cost is 0.
- A call whose tokens are unknown has no price (``missing_usage``), nor has one of a model that is billed by what usage
  does not count (seconds, hours, pages). Unknown parts (reasoning, audio, images) and searches count as none.
- Nor has one that cannot be (``invalid_usage``): parts are negative or exceed their class, or it would cost
  ``COST_LIMIT`` or more. No log line may keep the other calls of its day from their price.
- Meters are disjoint: text input is input less its audio and images, text output is output less reasoning, audio and
  images.
- A meter with a quantity and without a rate leaves the call unpriced (``no_rate_for_meter``); the other groups of
  meters keep their costs. A meter without a quantity needs no rate; a fee a request exists only where it has one.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import polars as pl

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.lines import ZERO_COST, line
from finops_pipeline.pricing.lookup import CONTRACTED, LIST, is_discounted, with_rates
from finops_pipeline.schemas import COST, TOKEN_CLASSES, TOKEN_PARTS
from finops_pipeline.schemas.priced_usage import COST_GROUPS

_PART = {name: pl.col(name).fill_null(0) for name in TOKEN_PARTS}

QUANTITIES: Mapping[str, pl.Expr] = {
    "input": pl.col("input_tokens") - _PART["input_audio_tokens"] - _PART["input_image_tokens"],
    "input_audio": _PART["input_audio_tokens"],
    "input_image": _PART["input_image_tokens"],
    "cache_read": pl.col("cache_read_tokens"),
    "cache_write_5m": pl.col("cache_write_5m_tokens"),
    "cache_write_1h": pl.col("cache_write_1h_tokens"),
    "output": pl.col("output_tokens")
    - _PART["reasoning_tokens"]
    - _PART["output_audio_tokens"]
    - _PART["output_image_tokens"],
    "output_reasoning": _PART["reasoning_tokens"],
    "output_audio": _PART["output_audio_tokens"],
    "output_image": _PART["output_image_tokens"],
    "web_search": pl.col("web_searches").fill_null(0),
    "request": pl.col("request_count"),
}
"""Quantity of each meter, from the columns of ``usage``."""

METERS_OF_GROUP: Mapping[str, tuple[str, ...]] = {
    "input_cost": ("input", "input_audio", "input_image"),
    "cache_read_cost": ("cache_read",),
    "cache_write_cost": ("cache_write_5m", "cache_write_1h"),
    "output_cost": ("output", "output_reasoning", "output_audio", "output_image"),
    "other_cost": ("web_search", "request"),
}

COST_LIMIT = Decimal(1_000_000)
"""USD that one row of usage stays below: ``schemas.COST`` holds no more. A row of that cost is a broken log line, or a
price in the wrong unit."""


def rate(usage: pl.LazyFrame, book: PriceBook, cost_basis: Mapping[str, str]) -> pl.LazyFrame:
    """``usage`` with ``model``, costs in USD, ``price_status``, ``price_reason`` and ``book_version``.

    ``list_cost`` is at list price, uplifts included; ``contracted_cost`` and the groups of meters are after negotiated
    discounts. ``cost`` is what is charged: the contracted cost or, for a source whose basis is ``reported``, the cost
    in the log. A call of such a source without a reported cost has none (``no_reported_cost``): our price in its place
    would be a guess. With one, it is ``priced`` even where our own price is unknown, and ``price_reason`` says why
    ``list_cost`` is null. What such a log reports for a failed call is charged.

    Args:
        usage: Columns of ``schemas.USAGE`` and ``source``; other columns pass through.
        book: The prices.
        cost_basis: Source → ``contracted`` or ``reported``; a source that is not named is ``contracted``.
    """
    reported = pl.col("source").is_in([source for source, basis in cost_basis.items() if basis == "reported"])
    discounted = is_discounted(book)
    listed = "_listed" if discounted else "_contracted"
    return (
        with_rates_of_usage(usage, book)
        .with_columns(_free=_is_free(), _countable=_is_countable())
        .with_columns(_reason=_own_reason())
        .with_columns(_group(CONTRACTED if discounted else LIST, group).alias(group) for group in COST_GROUPS)
        .with_columns(_known=pl.sum_horizontal(COST_GROUPS), _listed=_listed() if discounted else None)
        .with_columns(
            _possible=pl.max_horizontal("_known", "_listed") < COST_LIMIT
            if discounted
            else pl.col("_known") < COST_LIMIT
        )
        .with_columns(
            *(pl.when("_possible").then(group).cast(COST).alias(group) for group in COST_GROUPS),
            _contracted=pl.when("_possible", pl.col(*COST_GROUPS).is_not_null()).then("_known").cast(COST),
            _reason=pl.when("_possible").then("_reason").otherwise(pl.lit("invalid_usage")),
        )
        .with_columns(
            list_cost=pl.when("_possible").then(listed).cast(COST),
            contracted_cost=pl.col("_contracted"),
            cost=pl.when(~reported)
            .then("_contracted")
            .when("_free")
            .then(pl.col("reported_cost").fill_null(ZERO_COST.cast(COST)))
            .otherwise("reported_cost"),
        )
        .with_columns(price_status=_status(), price_reason=_price_reason(reported))
        .with_columns(book_version=pl.lit(book.version))
        .drop("^_.*$")
    )


def with_rates_of_usage(usage: pl.LazyFrame, book: PriceBook) -> pl.LazyFrame:
    """``usage`` with the rates of ``QUANTITIES`` (``lookup.with_rates``)."""
    aggregated = pl.col("request_count") > 1
    return with_rates(usage, book, tuple(QUANTITIES), tier=_tier(), input_tokens=_input_tokens(), aggregated=aggregated)


def _tier() -> pl.Expr:
    """The tier that served; a batch job is batch whatever its lines say."""
    return pl.when(pl.col("batch")).then(pl.lit("batch")).otherwise("service_tier")


def _input_tokens() -> pl.Expr:
    """All input, cache reads and writes included."""
    return pl.sum_horizontal(pl.col(name) for name in TOKEN_CLASSES if name != "output_tokens")


def _is_free() -> pl.Expr:
    return (pl.col("status") == "error") | pl.col("gateway_cache_hit").fill_null(False)


def _is_countable() -> pl.Expr:
    """Whether each quantity is 0 or more and has a cost that a decimal holds: a product beyond raises for all calls."""
    return pl.all_horizontal(quantity.is_between(0, pl.col("_most_units")) for quantity in QUANTITIES.values())


def _own_reason() -> pl.Expr:
    """Why we have no price for the call as a whole; what only a missing rate says is found with the lines."""
    missing = (pl.col("usage_quality") == "missing") | pl.any_horizontal(pl.col(*TOKEN_CLASSES).is_null())
    return (
        pl.when(missing)
        .then(pl.lit("missing_usage"))
        .when(~pl.col("_countable"))
        .then(pl.lit("invalid_usage"))
        .when(pl.col("_reason").is_null() & pl.col("_uncounted"))
        .then(pl.lit("missing_usage"))
        .otherwise(pl.col("_reason"))
    )


def _group(kind: str, group: str) -> pl.Expr:
    return _sum(kind, METERS_OF_GROUP[group])


def _listed() -> pl.Expr:
    return _sum(LIST, QUANTITIES)


def _sum(kind: str, meters: Iterable[str]) -> pl.Expr:
    """What these meters cost together; null where one has a quantity and no rate, or the call has no price at all."""
    countable = {meter: pl.when("_countable").then(QUANTITIES[meter]) for meter in meters}
    lines = pl.sum_horizontal(
        (line(kind, meter, quantity) for meter, quantity in countable.items()), ignore_nulls=False
    )
    rated = pl.col("_reason").is_null() | (pl.col("_reason") == "no_rate_for_meter")
    return pl.when(pl.col("_free")).then(ZERO_COST).when(rated).then(lines)


def _status() -> pl.Expr:
    return (
        pl.when(pl.col("cost").is_null())
        .then(pl.lit("unpriced"))
        .when(pl.col("_free") & (pl.col("cost") == 0))
        .then(pl.lit("free"))
        .otherwise(pl.lit("priced"))
    )


def _price_reason(reported: pl.Expr) -> pl.Expr:
    return (
        pl.when(reported & pl.col("cost").is_null())
        .then(pl.lit("no_reported_cost"))
        .when(pl.col("list_cost").is_null())
        .then(pl.col("_reason").fill_null("no_rate_for_meter"))
    )
