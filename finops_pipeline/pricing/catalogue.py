"""The catalogue: the data of ``genai-prices``, read once and turned into rows of the price book.

What belongs here is what is particular to that catalogue: its units, its matching of model names, its time windows,
its separate entries per Bedrock endpoint. Its per-call API is not used: it prices what it does not know at the
standard rate or at nothing. Units that ``usage`` does not count (characters, pixels, video, citations, storage
searches) are left out, so that a model sold by those alone has no price.
"""

import datetime as dt
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import polars as pl

from finops_pipeline.pricing.model_ids import GEOGRAPHIES
from finops_pipeline.schemas import INSTANT, PRICE_BOOK, UNIT_PRICE
from finops_pipeline.schemas.price_book import LAYER_CATALOGUE, TIERS

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

SOURCE = "genai-prices"

MILLION = 1_000_000

UNITS: dict[str, tuple[str, int]] = {
    "input_mtok": ("input", MILLION),
    "cache_read_mtok": ("cache_read", MILLION),
    "cache_write_mtok": ("cache_write_5m", MILLION),
    "cache_write_1h_mtok": ("cache_write_1h", MILLION),
    "input_audio_mtok": ("input_audio", MILLION),
    "input_image_mtok": ("input_image", MILLION),
    "cache_audio_read_mtok": ("cache_read_audio", MILLION),
    "output_mtok": ("output", MILLION),
    "output_reasoning_mtok": ("output_reasoning", MILLION),
    "output_audio_mtok": ("output_audio", MILLION),
    "output_image_mtok": ("output_image", MILLION),
    "web_searches_kcount": ("web_search", 1000),
    "requests_kcount": ("request", 1000),
    "audio_hours": ("audio_second", 3600),
    "input_document_kpages": ("page", 1000),
}
"""The catalogue's price keys → meter, and the units that the price buys. A cache write without a named lifetime is one
of the default lifetime, five minutes; one-hour writes have a price of their own or none."""

WEEKENDS_OFF_PEAK_FROM = {
    ("deepseek", "deepseek-flash"): dt.date(2026, 8, 23),
    ("deepseek", "deepseek-v4-flash"): dt.date(2026, 8, 23),
    ("deepseek", "deepseek-v4-pro"): dt.date(2026, 8, 23),
}
"""Models whose peak hours are on Monday to Friday only, and since when: https://github.com/pydantic/genai-prices/issues/582.
The catalogue says it in comments, its data cannot. China's public holidays are off-peak too, but no source here has
their calendar: on those days the peak price is an upper bound, and marked ``inferred``."""


@dataclass(frozen=True)
class FormerPrice:
    """A price that the catalogue once had for a meter of a model, and has overwritten without a date.

    Attributes:
        valid_to: First day of the price that the catalogue has now.
        price: USD per ``UNITS`` of the meter, up to and including ``ctx_le`` input tokens; above, it is not known.
        ctx_le: Input tokens up to which it is known; None: any number.
    """

    valid_to: dt.date
    price: Decimal
    ctx_le: int | None = None


FORMER_PRICES = {
    ("google", "gemini-2.5-pro", "cache_read"): FormerPrice(dt.date(2025, 11, 7), Decimal("0.31"), ctx_le=200_000),
}
"""(provider, model, meter) → its former price. Source: the history of ``prices/data.json`` at
https://github.com/pydantic/genai-prices; the day is that of the change there, Google's own is not recorded."""

OTHER_SPELLINGS = {("google", "gemini-1.5-flash-8b"): "gemini-flash-1.5-8b"}
"""(provider, part of a name) → the model it means, where the catalogue has that model under another spelling only and
takes the name for a larger model."""

VARIANTS = frozenset(TIERS[1:]) | {"highspeed", "image", "lite", "mini", "nano", "tts", "turbo", "ultrafast"}
"""Words of a name that make it a product with a price of its own: service tiers, speeds, sizes, other output."""

_ENDPOINT = re.compile(r"^(?:global|regional|us)\.")
_BEDROCK_PLACES = {"": "in-region", "global.": "global"} | {f"{place}.": f"geo:{place}" for place in GEOGRAPHIES}
_MIDNIGHT = dt.time(0)


@dataclass(frozen=True)
class Period:
    """Prices that hold in one span of time, and in one band of the week if there is one."""

    prices: "ModelPrice"
    valid_from: dt.datetime | None = None
    valid_to: dt.datetime | None = None
    band: str | None = None
    origin: str = "explicit"


class Catalogue:
    """The catalogue's rows, and its knowledge of which model a name means."""

    def __init__(self, providers: Sequence["Provider"], catalogue_version: str) -> None:
        self._providers: Mapping[str, Provider] = {provider.id: provider for provider in providers}
        self._version = catalogue_version
        self.rows = self._rows()

    def __contains__(self, provider: object) -> bool:
        return provider in self._providers

    def find(self, provider: str, name: str) -> str | None:
        """Key of the model that ``name`` means at that provider, priced or not; None where the catalogue has none."""
        for (owner, part), key in OTHER_SPELLINGS.items():
            if owner == provider and part in name:
                return key
        prefixes = ("", "us.", "global.") if provider == "aws" else ("",)
        found = (self._providers[provider].find_model(prefix + name) for prefix in prefixes)
        model = next((model for model in found if model), None)
        if model is None or _is_variant(name, model):
            return None
        return _ENDPOINT.sub("", model.id) if provider == "aws" else model.id

    def fallbacks(self, provider: str) -> tuple[str, ...]:
        """Providers whose standard prices hold for this one's models too, by the catalogue: OpenAI's on Azure."""
        return tuple(p for p in self._providers[provider].fallback_model_providers or () if p in self._providers)

    def vendors(self, name: str) -> tuple[str, ...]:
        """Providers who sell a model of that name as their own; else those whose key of a model it is."""
        providers = self._providers.values()
        own = tuple(p.id for p in providers if p.model_match and p.model_match.is_match(name))
        return own or tuple(p.id for p in providers if any(model.id == name for model in p.models))

    # -- rows ----------------------------------------------------------------------------------------------------

    def _rows(self) -> pl.DataFrame:
        records = [
            record
            for provider in self._providers.values()
            for key, scope, model in (_bedrock_models(provider) if provider.id == "aws" else _models(provider))
            for record in self._model_rows(provider, key, scope, model)
        ]
        rows = PRICE_BOOK.conform(pl.LazyFrame(records, schema=_ROW_SCHEMA, orient="row")).collect()
        return _with_former_prices(rows)

    def _model_rows(
        self, provider: "Provider", key: str, scope: str | None, model: "ModelInfo"
    ) -> Iterator[tuple[Any, ...]]:
        url = provider.pricing_urls[0] if provider.pricing_urls else None
        for period in _periods(provider.id, model):
            for unit, meter, price, ctx_gt, ctx_le in _unit_prices(period.prices):
                where = "/".join(
                    str(part)
                    for part in (provider.id, key, scope, period.band, period.valid_from and period.valid_from.date())
                    if part
                )
                yield (
                    f"{SOURCE}:{where}#{meter}>{ctx_gt or 0}",
                    provider.id, key, SOURCE, self._version, url, meter, "standard", scope, ctx_gt, ctx_le,
                    "UTC" if period.band else None, period.band, period.valid_from, period.valid_to,
                    price, unit, "USD", period.origin, LAYER_CATALOGUE,
                )  # fmt: skip


_ROW_SCHEMA = pl.Schema(
    {
        name: PRICE_BOOK.schema[name]
        for name in (
            "price_id", "provider", "model_key", "source", "source_version", "source_url", "meter", "tier",
            "region_scope", "ctx_gt", "ctx_le", "schedule", "schedule_band", "valid_from", "valid_to",
            "unit_price", "per_qty", "currency", "rate_origin", "layer",
        )
    }
)  # fmt: skip


@functools.cache
def catalogue() -> Catalogue:
    """The installed catalogue, read and turned into rows once a process."""
    from genai_prices.data import providers  # 1.6 MB of Python: only when prices are needed

    return Catalogue(providers, version(SOURCE))


def _models(provider: "Provider") -> Iterator[tuple[str, str | None, "ModelInfo"]]:
    return ((model.id, None, model) for model in provider.models)


def _bedrock_models(provider: "Provider") -> Iterator[tuple[str, str | None, "ModelInfo"]]:
    """Key without endpoint, scope and entry of each Bedrock model.

    The catalogue has an entry an endpoint (``global.…``, ``regional.…``); which geographies an entry serves is asked
    of its own matcher. A model that costs the same everywhere gets one entry without scope, one that is not sold in a
    geography gets none there.
    """
    for key in dict.fromkeys(_ENDPOINT.sub("", model.id) for model in provider.models):
        entries = {scope: provider.find_model(prefix + key) for prefix, scope in _BEDROCK_PLACES.items()}
        sold = [entry for entry in entries.values() if entry is not None]
        if len(sold) == len(entries) and all(entry is sold[0] for entry in sold):
            yield key, None, sold[0]
        else:
            yield from ((key, scope, entry) for scope, entry in entries.items() if entry is not None)


def _with_former_prices(rows: pl.DataFrame) -> pl.DataFrame:
    """``rows`` with ``FORMER_PRICES`` before the day of their change, and today's prices from it on.

    A price to which the catalogue itself gives a time is left alone: it needs no correction any more.
    """
    for (provider, model, meter), former in FORMER_PRICES.items():
        instant = pl.lit(dt.datetime.combine(former.valid_to, _MIDNIGHT, dt.UTC), dtype=INSTANT)
        changed = pl.all_horizontal(
            pl.col("provider") == provider,
            pl.col("model_key") == model,
            pl.col("meter") == meter,
            pl.col("valid_from", "valid_to").is_null(),
        )
        before = rows.filter(changed).unique("region_scope", keep="first", maintain_order=True)
        rows = pl.concat(
            [
                rows.with_columns(valid_from=pl.when(changed).then(instant).otherwise("valid_from")),
                before.with_columns(
                    price_id=pl.col("price_id") + f" until {former.valid_to}",
                    ctx_gt=pl.lit(None, dtype=pl.Int64),
                    ctx_le=pl.lit(former.ctx_le, dtype=pl.Int64),
                    valid_to=instant,
                    unit_price=pl.lit(former.price).cast(UNIT_PRICE),
                    rate_origin=pl.lit("overridden").cast(rows.schema["rate_origin"]),
                ),
            ]
        )
    return rows


def _is_variant(name: str, model: "ModelInfo") -> bool:
    """Whether a name that the catalogue does not list has a word of ``VARIANTS`` that is not the model's own.

    The catalogue matches by the start of names too: ``claude-opus-4-6-fast`` would cost what the model costs without.
    """
    spellings = [(True, model.id), *_spellings(model.match)]
    if any(whole and name == text.lower() for whole, text in spellings):
        return False
    return bool(VARIANTS & _words(name) - _words(*(text for _, text in spellings)))


def _spellings(clause: Any) -> Iterator[tuple[bool, str]]:
    """The texts by which a matching clause of the catalogue knows a model, and whether they are whole names."""
    for kind, value in vars(clause).items():
        if isinstance(value, str):
            yield kind == "equals", value
        else:
            yield from (spelling for part in value for spelling in _spellings(part))


def _words(*texts: str) -> set[str]:
    return {word for text in texts for word in re.split(r"[^a-z0-9]+", text.lower())}


def _unit_prices(prices: "ModelPrice") -> Iterator[tuple[int, str, Decimal, int | None, int | None]]:
    """Units per price, meter, price and the span of input tokens ``(gt, le]`` in which it holds."""
    for price_key, value in vars(prices).items():
        if value is None or price_key not in UNITS:
            continue
        meter, unit = UNITS[price_key]
        if isinstance(value, Decimal):
            yield unit, meter, value, None, None
            continue
        starts = [tier.start for tier in value.tiers]
        spans = zip([None, *starts], [*starts, None], [value.base, *(t.price for t in value.tiers)], strict=True)
        for ctx_gt, ctx_le, price in spans:
            yield unit, meter, price, ctx_gt, ctx_le


def _periods(provider: str, model: "ModelInfo") -> Iterator[Period]:
    """The spans of time of a model's prices; none where the catalogue says it in a way that is not understood."""
    if not isinstance(model.prices, list):
        yield Period(model.prices)
        return
    if not model.prices or model.prices[0].constraint is not None:
        return
    starts: list[tuple[dt.date, ModelPrice]] = []
    windows: list[tuple[dt.time, dt.time, ModelPrice]] = []
    for conditional in model.prices[1:]:
        start_date = getattr(conditional.constraint, "start_date", None)
        start, end = (getattr(conditional.constraint, f"{edge}_time", None) for edge in ("start", "end"))
        if start_date is not None and not windows and (not starts or starts[-1][0] < start_date):
            starts.append((start_date, conditional.prices))
        elif start is not None and end is not None and _plain(start) and _plain(end) and _before(start, end):
            windows.append((start, end, conditional.prices))
        else:
            return
    instants = [None, *(dt.datetime.combine(day, _MIDNIGHT, dt.UTC) for day, _ in starts), None]
    spans = list(zip(instants[:-1], instants[1:], [model.prices[0].prices, *(p for _, p in starts)], strict=True))
    if not windows:
        yield from (Period(prices, begin, end) for begin, end, prices in spans)
        return
    yield from _scheduled(spans, sorted(windows, key=lambda w: w[0]), WEEKENDS_OFF_PEAK_FROM.get((provider, model.id)))


def _scheduled(
    spans: Sequence[tuple[dt.datetime | None, dt.datetime | None, "ModelPrice"]],
    windows: Sequence[tuple[dt.time, dt.time, "ModelPrice"]],
    weekends_free_from: dt.date | None,
) -> Iterator[Period]:
    """Prices by the hour of the week, in disjoint bands.

    The catalogue cannot say since when its windows hold. Before a first change of price there were none (the flat
    price held at any hour); between the first and the last change they had prices that it no longer has: a hole there
    is better than today's price. With the last change they are those that it shows.
    """
    free = dt.datetime.combine(weekends_free_from, _MIDNIGHT, dt.UTC) if weekends_free_from else None
    for number, (begin, end, prices) in enumerate(spans):
        if number == 0 and len(spans) > 1:
            yield Period(prices, begin, end)
            continue
        for days, first, last in _weeks(begin, end, free):
            for start, stop in _gaps(windows):
                yield Period(prices, first, last, f"{days} {start}-{stop}")
            if days == "1-5":
                yield Period(prices, first, last, "6-7 00:00-24:00")
            if number == len(spans) - 1:
                origin = "inferred" if days == "1-5" else "explicit"
                for start_time, end_time, peak in windows:
                    yield Period(peak, first, last, f"{days} {start_time:%H:%M}-{end_time:%H:%M}", origin)


def _weeks(
    begin: dt.datetime | None, end: dt.datetime | None, free: dt.datetime | None
) -> Iterable[tuple[str, dt.datetime | None, dt.datetime | None]]:
    """The span cut where weekends become off-peak, with the days that have peak hours."""
    if free is None or (end is not None and end <= free):
        return [("1-7", begin, end)]
    if begin is not None and begin >= free:
        return [("1-5", begin, end)]
    return [("1-7", begin, free), ("1-5", free, end)]


def _gaps(windows: Sequence[tuple[dt.time, dt.time, Any]]) -> list[tuple[str, str]]:
    """What the windows, in order, leave of a day."""
    starts = ["00:00", *(f"{end:%H:%M}" for _, end, _ in windows)]
    stops = [*(f"{start:%H:%M}" for start, _, _ in windows), "24:00"]
    return [(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]


def _plain(time: dt.time) -> bool:
    """A whole minute of UTC."""
    return time.utcoffset() in (None, dt.timedelta(0)) and not time.second and not time.microsecond


def _before(start: dt.time, end: dt.time) -> bool:
    return start.replace(tzinfo=None) < end.replace(tzinfo=None)
