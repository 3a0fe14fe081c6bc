"""Quotes: what calls would cost, asked and answered as JSON lines.

The same rows, resolved, looked up and multiplied as those of the pipeline (``lookup``, ``lines``): a quote is no second
implementation. What differs is that a request counts its meters itself, those too that usage has no columns for, and
may bring terms of its own.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl

from finops_pipeline.formats.providers import provider_id
from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.lines import MICRO, line
from finops_pipeline.pricing.lookup import CONTRACTED, LIST, Terms, is_discounted, rate_column, with_rates
from finops_pipeline.pricing.rating import COST_LIMIT
from finops_pipeline.pricing.segments import FRACTIONAL_METERS, WHOLE_METERS, WHOLE_UNITS
from finops_pipeline.schemas import INSTANT
from finops_pipeline.schemas.price_book import METERS

CACHE_METERS = ("cache_read", "cache_read_audio", "cache_write_5m", "cache_write_1h")
INPUT_METERS = ("input", "input_audio", "input_image", *CACHE_METERS)
"""Meters of tokens that a model takes in: together they are compared with a context threshold."""

TEXTS = ("provider", "raw_model", "tier", "region_scope", "account")
"""Members of a request that are texts, or absent."""

_MOST = 2**62
_LARGEST_FRACTION = 1e19
"""USD in millionths of a unit: a product of 18 decimals that 38 digits hold."""


class RequestError(ValueError):
    """A line is no valid request."""


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        texts: ``TEXTS``.
        time: UTC.
        usage: Meter → quantity; what cannot be (negative, half a token) among it.
        terms: What it brings in place of the book's own; None for nothing.
        free: The call failed, or a gateway's cache has answered it.
        id: What the request calls itself; None for nothing.
    """

    texts: Mapping[str, str | None]
    time: dt.datetime
    usage: Mapping[str, Decimal] = field(default_factory=dict)
    terms: Terms | None = None
    free: bool = False
    id: object = None


def quotes(
    lines: Sequence[str | bytes], book: PriceBook, *, now: dt.datetime, first: int = 1
) -> Iterator[dict[str, Any]]:
    """The answer to each line, in order: values that JSON can say, amounts as texts.

    A valid request gets ``status`` (priced, unpriced, free), ``reason``, ``model``, ``list_cost``, ``contracted_cost``,
    ``lines`` (meter → list cost), ``price_rows`` (meter → the row that won), ``adjustments`` and ``book_version``; any
    other line ``status`` error, with ``error``. ``id`` is repeated where there is one.

    Args:
        lines: JSON objects with ``raw_model`` and, where given, ``provider``, ``timestamp``, ``tier``,
            ``region_scope``, ``account``, ``usage`` (meter → quantity; ``input_total`` may stand for ``input``),
            ``rate_usd``, ``rate_per``, ``uplift``, ``discount``, ``call_status``, ``gateway_cache_hit``, ``id``; other
            members are left alone.
        book: The prices.
        now: The time of requests that name none.
        first: Number of the first line.
    """
    asked: list[Request | str] = []
    for number, text in enumerate(lines, start=first):
        try:
            asked.append(request_of(text, now))
        except RequestError as error:
            asked.append(f"line {number}: {error}")
    answers = _answers([request for request in asked if isinstance(request, Request)], book)
    for request in asked:
        if isinstance(request, str):
            yield {"status": "error", "reason": "invalid_request", "error": request}
        else:
            yield ({} if request.id is None else {"id": request.id}) | next(answers)


# -- requests --------------------------------------------------------------------------------------------------------


def request_of(text: str | bytes, now: dt.datetime) -> Request:
    """One line as a request.

    Raises:
        RequestError: it is none.
    """
    try:
        told = json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"no JSON ({error})") from None
    if not isinstance(told, dict):
        raise RequestError("expected a JSON object")
    texts = {name: _text(told, name) for name in TEXTS}
    if not texts["raw_model"]:
        raise RequestError("raw_model is missing")
    status = _text(told, "call_status")
    if status not in (None, "ok", "error"):
        raise RequestError("call_status: expected ok or error")
    return Request(
        texts=texts,
        time=_time(_text(told, "timestamp"), now),
        usage=_usage(told.get("usage")),
        terms=_terms(told),
        free=status == "error" or told.get("gateway_cache_hit") is True,
        id=told.get("id"),
    )


def _no_number(name: str) -> Any:
    raise RequestError(f"{name} is no number")


def _text(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError(f"{name}: expected a text")
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise RequestError(f"{name}: expected a text of whole characters") from None
    return value


def _time(text: str | None, now: dt.datetime) -> dt.datetime:
    if text is None:
        return now
    try:
        time = dt.datetime.fromisoformat(text)
        return time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        raise RequestError("timestamp: expected one such as 2026-11-08T00:00:00Z") from None


def _mapping(told: Any, name: str) -> dict[str, Any]:
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise RequestError(f"{name}: expected an object of meters")
    return told


def _number(value: Any, name: str) -> Decimal:
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise InvalidOperation
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        raise RequestError(f"{name}: expected a number, or a text that is one") from None
    if not number.is_finite() or abs(number.adjusted()) > 40:
        raise RequestError(f"{name}: expected a number of a usual size")
    return number


def _usage(told: Any) -> dict[str, Decimal]:
    usage = {name: _number(value, f"usage.{name}") for name, value in _mapping(told, "usage").items()}
    unknown = [name for name in usage if name not in (*METERS, "input_total")]
    if unknown:
        raise RequestError(
            f"usage: unknown meter {unknown[0][:40]!r}, expected input_total or any of {', '.join(METERS)}"
        )
    if "input_total" in usage:
        if "input" in usage:
            raise RequestError("usage: input and input_total, expected one of them")
        usage["input"] = usage.pop("input_total") - sum(
            (usage.get(name, Decimal(0)) for name in CACHE_METERS), Decimal(0)
        )
    return usage


def _terms(told: Mapping[str, Any]) -> Terms | None:
    prices, units = _mapping(told.get("rate_usd"), "rate_usd"), _mapping(told.get("rate_per"), "rate_per")
    rates = {}
    for meter, value in prices.items():
        if meter not in METERS:
            raise RequestError(f"rate_usd: unknown meter {meter[:40]!r}, expected any of {', '.join(METERS)}")
        price, per = _number(value, f"rate_usd.{meter}"), _number(units.get(meter, 1), f"rate_per.{meter}")
        if not 0 <= price < COST_LIMIT or -int(price.as_tuple().exponent) > 18:
            raise RequestError(f"rate_usd.{meter}: expected 0 or more, below {COST_LIMIT}, of at most 18 decimals")
        if per != per.to_integral_value() or not 0 < per <= MICRO:
            raise RequestError(f"rate_per.{meter}: expected a whole number of units up to {MICRO}")
        if meter not in FRACTIONAL_METERS and per not in WHOLE_UNITS:
            raise RequestError(f"rate_per.{meter}: expected one of {', '.join(map(str, WHOLE_UNITS))}")
        rates[meter] = (price, int(per))
    uplift = None if told.get("uplift") is None else _number(told["uplift"], "uplift")
    discount = None if told.get("discount") is None else _number(told["discount"], "discount")
    for name, value, most in (("uplift", uplift, 1000), ("discount", discount, 1)):
        if value is not None and (not 0 <= value <= most or -int(value.as_tuple().exponent) > 6):
            raise RequestError(f"{name}: expected 0 to {most}, of at most 6 decimals")
    return Terms(rates, uplift, discount) if rates or (uplift, discount) != (None, None) else None


# -- answers ---------------------------------------------------------------------------------------------------------


def _answers(requests: Sequence[Request], book: PriceBook) -> Iterator[dict[str, Any]]:
    terms = {number: request.terms for number, request in enumerate(requests) if request.terms is not None}
    calls = pl.LazyFrame(
        [_row(number, request) for number, request in enumerate(requests)], schema=_SCHEMA, orient="row"
    ).with_columns(provider=provider_id(pl.col("provider")))
    contracted = CONTRACTED if is_discounted(book, terms) else LIST
    inputs = pl.sum_horizontal(pl.col(meter).fill_null(0) for meter in INPUT_METERS)
    placed = with_rates(calls, book, METERS, tier=pl.col("tier"), input_tokens=inputs, terms=terms, explained=True)
    known = placed.with_columns(_countable=_is_countable()).with_columns(
        pl.when("_countable").then(meter).alias(meter) for meter in METERS
    )
    lines = {f"_{kind}:{meter}": line(kind, meter, pl.col(meter)) for kind in {LIST, contracted} for meter in METERS}
    for row in known.with_columns(**lines).collect().iter_rows(named=True):
        yield _answer(row, contracted, book)


_SCHEMA = pl.Schema(
    [
        *((name, pl.String()) for name in TEXTS),
        ("event_time", INSTANT),
        ("_terms", pl.Int64()),
        ("_free", pl.Boolean()),
        ("_whole", pl.Boolean()),
        ("_asked", pl.List(pl.String())),
        *((meter, pl.Int64()) for meter in METERS),
    ]
)


def _row(number: int, request: Request) -> tuple[Any, ...]:
    scaled = {m: quantity * (MICRO if m in FRACTIONAL_METERS else 1) for m, quantity in request.usage.items()}
    possible = all(value == value.to_integral_value() and 0 <= value <= _MOST for value in scaled.values())
    return (
        *(request.texts[name] for name in TEXTS),
        request.time,
        None if request.terms is None else number,
        request.free,
        possible,
        list(request.usage),
        *(int(scaled.get(meter, 0)) if possible else 0 for meter in METERS),
    )


def _is_countable() -> pl.Expr:
    """Whether each quantity can be, and has a cost that a decimal holds."""
    most = {
        meter: (_LARGEST_FRACTION / pl.col(rate_column(LIST, meter)).cast(pl.Float64)).fill_null(float(_MOST))
        for meter in FRACTIONAL_METERS
    }
    return pl.all_horizontal(
        pl.col("_whole"),
        *(pl.col(meter) <= pl.col("_most_units") for meter in WHOLE_METERS),
        *(pl.col(meter).cast(pl.Float64) <= bound for meter, bound in most.items()),
    )


def _answer(row: Mapping[str, Any], contracted: str, book: PriceBook) -> dict[str, Any]:
    """One request's answer, from its row of lines: the rules are those of ``rating``."""
    reason = row["_reason"] if row["_countable"] or row["_reason"] else "invalid_usage"
    rated = reason in (None, "no_rate_for_meter")
    asked = row["_asked"]
    charged = [meter for meter in METERS if meter in asked or (meter == "request" and row[f"_{LIST}:request"])]
    lines = {meter: row[f"_{LIST}:{meter}"] for meter in charged} if rated else {}
    if rated and any(cost is None for cost in lines.values()):
        reason = "no_rate_for_meter"
    listed = sum(lines.values(), Decimal(0)) if reason is None else None
    net = sum((row[f"_{contracted}:{meter}"] for meter in charged), Decimal(0)) if reason is None else None
    if listed is not None and listed >= COST_LIMIT:
        reason, listed, net, lines = "invalid_usage", None, None, {}
    status = "priced" if reason is None else "unpriced"
    if row["_free"]:
        status, reason, listed, net, lines = "free", None, Decimal(0), Decimal(0), {}
    return {
        "status": status,
        "reason": reason,
        "model": row["model"],
        "list_cost": _amount(listed),
        "contracted_cost": _amount(net),
        "lines": {meter: _amount(cost) for meter, cost in lines.items()},
        "price_rows": {meter: _won(row, meter, book) for meter in lines if lines[meter] is not None},
        "adjustments": row["_adjusted"] or [],
        "book_version": book.version,
    }


def _won(row: Mapping[str, Any], meter: str, book: PriceBook) -> str | None:
    """Id of the book's row that priced a meter; None where the request's own rate did, or none was needed."""
    number = row[f"_row_{meter}"]
    return None if number is None else str(book.rows["price_id"][number])


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:.12f}"
