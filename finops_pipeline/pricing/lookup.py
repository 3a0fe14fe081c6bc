"""Which price segment of a book each call falls into, looked up once per distinct combination.

A call's place is its provider, raw model, scope, tier and account, and its edges on the book's three axes (time,
context, minute of the week). A day has a few thousand distinct places at most; they are resolved and given their rates
here. What a call then costs is in ``lines``.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

import polars as pl

from finops_pipeline.errors import PriceBookError
from finops_pipeline.pricing.adjustments import Adjustment, Served, adjustments_that_hold, product
from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.segments import FRACTION_RATE, FRACTIONAL_METERS, RATE, WHOLE_METERS
from finops_pipeline.schemas.price_book import METERS, TIERS

STANDARD_TIERS = ("standard", "default", "auto", "on_demand", "on-demand")
"""What providers call the tier that one gets without asking; a log without a tier means it too. Case matters: a value
that no provider writes is an unknown tier."""

PLACE = (
    "provider", "raw_model", "region_scope", "_tier", "_account", "_instant", "_context", "_minute", "_aggregated",
    "_terms",
)  # fmt: skip

KINDS = LIST, CONTRACTED = "list", "contracted"
"""The two prices of everything: with uplifts, and with discounts too."""


def rate_column(kind: str, meter: str) -> str:
    """Column with a meter's rate: USD per unit (``segments.RATE``); of a fractional meter per ``per_column`` units."""
    return f"_{kind}_{meter}_rate"


def per_column(meter: str) -> str:
    return f"_{meter}_per"


LARGEST_PRODUCT = 1e7
"""USD. A quantity times its rate has the rate's 30 decimals, which leave 8 digits of 38 before the point."""

MOST_UNITS = float(2**62)
"""Units of a meter where no rate bounds them: what an integer of 64 bits holds."""

SCOPES_OF_SILENCE = ("in-region", "global")
"""Scopes whose rows price a call of which neither log nor id says where it was served, in this order, after rows that
serve every scope: a bare Bedrock id is the in-region endpoint."""

_UNKNOWN_TIER = "?"
_NO_TEXT = pl.lit(None, dtype=pl.String)
_ID = ("provider", "raw_model")
_LONG_AGO = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
_EXACT = Context(prec=80)
_MEANING: Mapping[str, pl.DataType] = {
    "model": pl.String(),
    "_reason": pl.String(),
    "_uncounted": pl.Boolean(),
    "_most_units": pl.Int64(),
}


@dataclass(frozen=True)
class Terms:
    """What a request brings in place of the book's own: they are part of its place.

    Attributes:
        rates: Meter → unit price in USD and the units that it buys.
        uplift: Factor of the list price; None: the book's.
        discount: Part that is taken off it; None: the book's.
    """

    rates: Mapping[str, tuple[Decimal, int]] = field(default_factory=dict)
    uplift: Decimal | None = None
    discount: Decimal | None = None


_BOOKS_OWN = Terms()
NO_TERMS: Mapping[int, Terms] = {}


def is_discounted(book: PriceBook, terms: Mapping[int, Terms] = NO_TERMS) -> bool:
    """Whether contracted rates may differ from list rates: only then are they columns of their own."""
    return any(a.kind == "discount" for a in book.adjusting) or any(
        term.discount is not None for term in terms.values()
    )


def with_rates(
    calls: pl.LazyFrame,
    book: PriceBook,
    meters: Sequence[str],
    *,
    tier: pl.Expr,
    input_tokens: pl.Expr,
    aggregated: pl.Expr | None = None,
    terms: Mapping[int, Terms] = NO_TERMS,
    explained: bool = False,
) -> pl.LazyFrame:
    """``calls`` with what the book has for them, on columns with a leading underscore that are the caller's to drop.

    ``model``; ``_reason``, why the book has no segment for the call, else null; ``_uncounted``, whether the model is
    billed by a fractional meter too; ``_most_units``, how many units of a meter have an exact cost that a decimal
    holds, at any of these rates; and the columns of :func:`rate_column` and :func:`per_column`.

    Args:
        calls: ``provider``, ``raw_model``, ``region_scope``, ``event_time``, ``account``; ``_terms`` with ``terms``.
        book: The prices.
        meters: Those whose rates are wanted.
        tier: The tier that served, as logged: what providers call the standard one is that, others are ``TIERS``.
        input_tokens: What providers compare with a long-context threshold: all input, cache reads and writes included.
        aggregated: Whether the row stands for several calls; by default none does.
        terms: What requests bring in place of the book's own, by number; ``_terms`` is null for those that do not.
        explained: With ``_row_<meter>``, the number of the book's row that won, and ``_adjusted``, the ids of the
            adjustments.
    """
    segments = book.segments
    accounts = {adjustment.account for adjustment in book.adjusting} - {None}
    account = pl.when(pl.col("account").is_in(list(accounts))).then("account") if accounts else _NO_TEXT
    placed = calls.with_columns(
        _served(tier).alias("_tier"),
        account.alias("_account"),
        _edge(segments.instants, pl.col("event_time"), above_equal=True).alias("_instant"),
        _edge(segments.contexts, input_tokens, above_equal=False).alias("_context"),
        _edge(segments.minutes, _minute_of_week(), above_equal=True).alias("_minute"),
        (pl.lit(False) if aggregated is None else aggregated).alias("_aggregated"),
        *([] if terms else [pl.lit(None, dtype=pl.Int64).alias("_terms")]),
    )
    kinds = (LIST, CONTRACTED) if is_discounted(book, terms) else (LIST,)
    found = {
        **_MEANING,
        **{rate_column(kind, meter): _rate_type(meter) for kind in kinds for meter in meters},
        **{per_column(meter): pl.Int64() for meter in meters if meter in FRACTIONAL_METERS},
        **({f"_row_{meter}": pl.UInt32() for meter in meters} if explained else {}),
        **({"_adjusted": pl.List(pl.String())} if explained else {}),
    }
    places = placed.select(PLACE).unique()
    looked_up = places.map_batches(
        lambda asked: look_up(book, asked, terms).select(*PLACE, *found),
        schema=pl.Schema({**places.collect_schema(), **found}),
        predicate_pushdown=False,
        projection_pushdown=False,
        slice_pushdown=False,
    )
    return placed.join(looked_up, on=PLACE, how="left", nulls_equal=True, maintain_order="left")


def look_up(book: PriceBook, places: pl.DataFrame, terms: Mapping[int, Terms] = NO_TERMS) -> pl.DataFrame:
    """What the book has for each place: the columns of :func:`with_rates`, explained, of all meters and both kinds."""
    named = _named(book, places)
    offers = named.join(book.segments.frame, on=["price_provider", "model"], nulls_equal=True, suffix="_offered")
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
    rates = [
        pl.col("uncounted").alias("_uncounted"),
        "context_from",
        *(pl.col(meter).cast(_rate_type(meter)).alias(rate_column(kind, meter)) for kind in KINDS for meter in METERS),
        *(pl.col(f"{meter}_per").alias(per_column(meter)) for meter in FRACTIONAL_METERS),
        *(pl.col(f"{meter}_row").alias(f"_row_{meter}") for meter in METERS),
    ]
    found = (
        named.join(chosen.select("_place", *rates), on="_place", how="left")
        .join(starts, on="_place", how="left")
        .with_columns(
            _offered=pl.col("_place").is_in(offers["_place"].unique().implode()),
            _in_tier=pl.col("_place").is_in(of_tier["_place"].unique().implode()),
        )
        .with_columns(_reason=_reason())
        .sort("_place")
    )
    return _changed(book, found, terms).with_columns(_most_units=_most_units())


def _changed(book: PriceBook, places: pl.DataFrame, terms: Mapping[int, Terms]) -> pl.DataFrame:
    """The places with their adjustments and terms; each distinct kind of call is looked at once."""
    rates = [rate_column(kind, meter) for kind in KINDS for meter in METERS]
    rows = [f"_row_{meter}" for meter in METERS]
    columns = ["_place", "_reason", "_adjusted", *rates, *rows, *map(per_column, FRACTIONAL_METERS)]
    schema = {
        "_adjusted": pl.List(pl.String),
        **{name: dtype for name, dtype in places.schema.items() if name in columns},
    }
    if not book.adjusting and not terms:
        return places.with_columns(pl.lit(None, dtype=schema["_adjusted"]).alias("_adjusted"))
    told = places.select("_scope", "price_provider", "model", *PLACE, *(c for c in columns if c != "_adjusted"))
    changed = [_of_place(book, place, terms) for place in told.iter_rows(named=True)]
    as_columns = {name: pl.Series(name, [place[name] for place in changed], schema[name]) for name in columns}
    return places.with_columns(**as_columns)


def _of_place(book: PriceBook, place: dict[str, Any], terms: Mapping[int, Terms]) -> dict[str, Any]:
    """A place's rates after its adjustments and its own terms."""
    own = terms.get(place["_terms"], _BOOKS_OWN) if place["_terms"] is not None else _BOOKS_OWN
    serving: list[Adjustment] = []
    if place["model"] is not None:
        served = Served(
            place["provider"] or place["price_provider"], place["model"], place["_tier"], place["_account"],
            place["_scope"], place["_instant"],
        )  # fmt: skip
        serving = [adjustment for adjustment in book.adjusting if adjustment.serves(served)]
    adjusted: dict[str, None] = {}
    for meter in METERS:
        price = place[rate_column(LIST, meter)]
        if meter in own.rates:
            price, per = own.rates[meter]
            place[f"_row_{meter}"] = None
            if meter in FRACTIONAL_METERS:
                place[per_column(meter)] = per
            else:
                price = _EXACT.divide(price, Decimal(per))
        if price is None:
            continue
        uplifts = adjustments_that_hold(serving, "uplift", meter) if own.uplift is None else []
        discounts = adjustments_that_hold(serving, "discount", meter) if own.discount is None else []
        adjusted |= {adjustment.id: None for adjustment in (*uplifts, *discounts)}
        uplift = product(uplifts) if own.uplift is None else own.uplift
        multiplier = product(discounts) if own.discount is None else 1 - own.discount
        listed = _EXACT.multiply(price, uplift)
        place[rate_column(LIST, meter)] = _storable(listed, meter, place, adjusted)
        place[rate_column(CONTRACTED, meter)] = _storable(_EXACT.multiply(listed, multiplier), meter, place, adjusted)
    if own.rates and place["_tier"] != _UNKNOWN_TIER:
        place["_reason"] = None
    return {**place, "_adjusted": list(adjusted)}


def _storable(rate: Decimal, meter: str, place: Mapping[str, Any], adjusted: Iterable[str]) -> Decimal:
    """The rate, which a column of rates can hold without rounding."""
    scale = _rate_type(meter).scale
    stored = rate.quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    if rate != stored:
        raise PriceBookError(
            f"{place['provider'] or 'any provider'} {place['raw_model']}, {meter}: with "
            f"{', '.join(adjusted) or 'its terms'} a price of {rate} has more than {scale} decimals. "
            "Give prices and multipliers with fewer."
        )
    return stored


def _served(tier: pl.Expr) -> pl.Expr:
    """The tier as the book names it."""
    return (
        pl.when(tier.is_null() | tier.is_in(STANDARD_TIERS))
        .then(pl.lit("standard"))
        .when(tier.is_in(TIERS))
        .then(tier)
        .otherwise(pl.lit(_UNKNOWN_TIER))
    )


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


def _named(book: PriceBook, places: pl.DataFrame) -> pl.DataFrame:
    """Places with a number, and with what their ids mean; each distinct id is resolved once."""
    ident = [*_ID, *(["_instant"] if book.resolver.by_time else [])]
    meanings = pl.DataFrame(
        [
            (*asked, found.price_provider, found.model, found.scope, found.borrowed, found.reason)
            for asked in places.select(ident).unique().rows()
            for found in [book.resolver(asked[0], asked[1], _begin(book, asked[2]) if len(asked) > len(_ID) else None)]
        ],
        schema={
            **{name: places.schema[name] for name in ident},
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
        .join(meanings, on=ident, nulls_equal=True)
        .with_columns(_scope=pl.coalesce("region_scope", "_id_scope"))
    )


def _begin(book: PriceBook, edges: int) -> dt.datetime:
    """When a span of the axis of time begins."""
    begin: dt.datetime = book.segments.instants[edges - 1] if edges else _LONG_AGO
    return begin


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
    dearest = pl.max_horizontal(
        pl.col(rate_column(kind, meter)).cast(pl.Float64) for kind in KINDS for meter in WHOLE_METERS
    )
    return (LARGEST_PRODUCT / dearest).fill_null(MOST_UNITS).clip(upper_bound=MOST_UNITS).cast(pl.Int64)


def _rate_type(meter: str) -> pl.Decimal:
    return FRACTION_RATE if meter in FRACTIONAL_METERS else RATE


def _reason() -> pl.Expr:
    """Why a place has no price; null where it has a segment of usable rates.

    A row of several calls that together pass a context threshold does not say which of them did.
    """
    found = pl.col("_uncounted").is_not_null()
    unknown_context = pl.col("_aggregated") & (pl.col("context_from") > 0)
    return (
        pl.when(pl.col("_unresolved").is_not_null())
        .then(pl.col("_unresolved"))
        .when(found & unknown_context)
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
