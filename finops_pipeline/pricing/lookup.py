"""Which price segment of a book each call falls into, looked up once per distinct combination.

A call's place is its provider, raw model, scope and tier, and its edges on the book's three axes (time, context,
minute of the week). A day has a few thousand distinct places at most; they are resolved and given their rates here.
What a call then costs is in ``rating``.
"""

import functools

import polars as pl

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.segments import RATE, USAGE_METERS
from finops_pipeline.schemas import TOKEN_CLASSES
from finops_pipeline.schemas.price_book import TIERS

STANDARD_TIERS = ("standard", "default", "auto", "on_demand", "on-demand")
"""What providers call the tier that one gets without asking; a log without a tier means it too. Case matters: a value
that no provider writes is an unknown tier."""

PLACE = ("provider", "raw_model", "region_scope", "_tier", "_instant", "_context", "_minute", "_aggregated")
RATES = {meter: f"_{meter}_rate" for meter in USAGE_METERS}
"""Meter → column with its rate, USD per unit, ``segments.RATE``."""

LARGEST_PRODUCT = 1e13
"""USD. A quantity times its rate has the rate's 24 decimals, which leave 14 digits of 38 before the point."""

MOST_UNITS = float(2**62)
"""Units of a meter where no rate bounds them: what an integer of 64 bits holds."""

SCOPES_OF_SILENCE = ("in-region", "global")
"""Scopes whose rows price a call of which neither log nor id says where it was served, in this order, after rows that
serve every scope: a bare Bedrock id is the in-region endpoint."""

_UNKNOWN_TIER = "?"


def with_rates(usage: pl.LazyFrame, book: PriceBook) -> pl.LazyFrame:
    """``usage`` with ``model``, ``_reason`` (why the book has no segment for the call, else null) and ``RATES``.

    ``_most_units`` is how many units of a meter have an exact cost that a decimal holds, at any of these rates.
    Further columns with a leading underscore are the caller's to drop.
    """
    segments = book.segments
    placed = usage.with_columns(
        _tier().alias("_tier"),
        _edge(segments.instants, pl.col("event_time"), above_equal=True).alias("_instant"),
        _edge(segments.contexts, _input_tokens(), above_equal=False).alias("_context"),
        _edge(segments.minutes, _minute_of_week(), above_equal=True).alias("_minute"),
        _aggregated=pl.col("request_count") > 1,
    )
    places = placed.select(PLACE).unique()
    found = places.map_batches(
        functools.partial(_look_up, book),
        schema=pl.Schema(
            [
                *places.collect_schema().items(),
                ("model", pl.String),
                ("_reason", pl.String),
                *((column, RATE) for column in RATES.values()),
                ("_most_units", pl.Int64),
            ]
        ),
        predicate_pushdown=False,
        projection_pushdown=False,
        slice_pushdown=False,
    )
    return placed.join(found, on=PLACE, how="left", nulls_equal=True, maintain_order="left")


def _tier() -> pl.Expr:
    """The tier that served, as the book names it; a batch job is batch whatever its lines say."""
    tier = pl.col("service_tier")
    return (
        pl.when(pl.col("batch"))
        .then(pl.lit("batch"))
        .when(tier.is_null() | tier.is_in(STANDARD_TIERS))
        .then(pl.lit("standard"))
        .when(tier.is_in(TIERS))
        .then(tier)
        .otherwise(pl.lit(_UNKNOWN_TIER))
    )


def _input_tokens() -> pl.Expr:
    """Tokens that providers compare with a long-context threshold: all input, cache reads and writes included."""
    return pl.sum_horizontal(pl.col(name) for name in TOKEN_CLASSES if name != "output_tokens")


def _minute_of_week() -> pl.Expr:
    """Minutes since Monday 00:00 UTC."""
    time = pl.col("event_time").dt
    hours = (time.weekday().cast(pl.Int32) - 1) * 24 + time.hour().cast(pl.Int32)
    return hours * 60 + time.minute().cast(pl.Int32)


def _edge(edges: pl.Series, values: pl.Expr, *, above_equal: bool) -> pl.Expr:
    """How many edges of an axis a value has passed; one that it equals counts with ``above_equal``."""
    if edges.is_empty():
        return pl.lit(0, dtype=pl.UInt32)
    return pl.lit(edges).search_sorted(values, side="right" if above_equal else "left").cast(pl.UInt32)


def _look_up(book: PriceBook, places: pl.DataFrame) -> pl.DataFrame:
    """Model, reason and rates of each place."""
    named = _named(book, places)
    offers = named.join(
        book.segments.frame.rename(RATES), on=["price_provider", "model"], nulls_equal=True, suffix="_offered"
    )
    of_tier = offers.filter(
        pl.col("tier") == pl.col("_tier"), ~pl.col("_borrowed") | (pl.col("tier") == "standard")
    ).with_columns(_scope_rank().alias("_rank"))
    of_scope = of_tier.filter(pl.col("_rank").is_not_null())
    inside = [
        (pl.col(f"{axis}_from") <= pl.col(f"_{axis}")) & (pl.col(f"_{axis}") < pl.col(f"{axis}_to"))
        for axis in ("instant", "context", "minute")
    ]
    chosen = of_scope.filter(*inside).sort("_rank").unique("_place", keep="first")
    starts = of_scope.group_by("_place").agg(_starts=pl.col("instant_from").min())
    return (
        named.join(chosen.select("_place", "uncounted", "context_from", *RATES.values()), on="_place", how="left")
        .join(starts, on="_place", how="left")
        .with_columns(
            _offered=pl.col("_place").is_in(offers["_place"].unique().implode()),
            _in_tier=pl.col("_place").is_in(of_tier["_place"].unique().implode()),
        )
        .with_columns(_reason=_reason(), _most_units=_most_units())
        .select(*PLACE, "model", "_reason", *RATES.values(), "_most_units")
    )


def _named(book: PriceBook, places: pl.DataFrame) -> pl.DataFrame:
    """Places with a number, and with what their ids mean; each pair of provider and raw model is resolved once."""
    pairs = places.select("provider", "raw_model").unique().rows()
    meanings = pl.DataFrame(
        [
            (*pair, found.price_provider, found.model, found.scope, found.borrowed, found.reason)
            for pair in pairs
            for found in [book.resolver(*pair)]
        ],
        schema={
            "provider": pl.String,
            "raw_model": pl.String,
            "price_provider": pl.String,
            "model": pl.String,
            "_id_scope": pl.String,
            "_borrowed": pl.Boolean,
            "_unresolved": pl.String,
        },
        orient="row",
    )
    return (
        places.with_row_index("_place")
        .join(meanings, on=["provider", "raw_model"], nulls_equal=True)
        .with_columns(_scope=pl.coalesce("region_scope", "_id_scope"))
    )


def _scope_rank() -> pl.Expr:
    """Which of the offered scopes to prefer, 0 first; null for those that do not serve the call."""
    wanted, offered = pl.col("_scope"), pl.col("region_scope_offered")
    return (
        pl.when(wanted == offered)
        .then(0)
        .when(offered.is_null())
        .then(1)
        .otherwise(
            pl.coalesce(
                pl.when(wanted.is_null() & (offered == scope)).then(2 + rank)
                for rank, scope in enumerate(SCOPES_OF_SILENCE)
            )
        )
    )


def _most_units() -> pl.Expr:
    """What keeps the product with the dearest rate within ``LARGEST_PRODUCT``: a bound, hence floats will do."""
    dearest = pl.max_horizontal(pl.col(*RATES.values()).cast(pl.Float64))
    return (LARGEST_PRODUCT / dearest).fill_null(MOST_UNITS).clip(upper_bound=MOST_UNITS).cast(pl.Int64)


def _reason() -> pl.Expr:
    """Why a place has no price; null where it has a segment of usable rates.

    A row of several calls that together pass a context threshold does not say which of them did.
    """
    found = pl.col("uncounted").is_not_null()
    unknown_context = pl.col("_aggregated") & (pl.col("context_from") > 0)
    return (
        pl.when(pl.col("_unresolved").is_not_null())
        .then(pl.col("_unresolved"))
        .when(found & (pl.col("uncounted") | unknown_context))
        .then(pl.lit("missing_usage"))
        .when(found)
        .then(pl.lit(None, dtype=pl.String))
        .when(~pl.col("_offered"))
        .then(pl.lit("no_rate_for_meter"))
        .when(~pl.col("_in_tier"))
        .then(pl.lit("unknown_tier"))
        .when(pl.col("_instant") < pl.col("_starts"))
        .then(pl.lit("before_history"))
        .otherwise(pl.lit("no_rate_for_meter"))
    )
