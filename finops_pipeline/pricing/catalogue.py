"""The catalogue: the data of ``genai-prices``, read once and turned into rows of the price book.

What belongs here is what is particular to that catalogue: its units, its matching of model names, its separate entries
per Bedrock endpoint; when its prices hold is in ``catalogue_periods``. Its per-call API is not used: it prices what it
does not know at the standard rate or at nothing. Units that ``usage`` does not count (characters, pixels, video,
citations, storage searches) are left out, so that a model sold by those alone has no price.
"""

import datetime as dt
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import polars as pl

from finops_pipeline.pricing.catalogue_periods import MIDNIGHT, STANDARD, price_periods
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

    def context_window(self, provider: str, key: str) -> int | None:
        """Input tokens that a model takes at most; None where the catalogue does not say."""
        models = self._providers[provider].models if provider in self._providers else ()
        return min(
            (m.context_window for m in models if _ENDPOINT.sub("", m.id) == key and m.context_window), default=None
        )

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
        for period in price_periods(provider.id, model):
            for unit, meter, price, ctx_gt, ctx_le in _unit_prices(period.prices):
                parts = (
                    provider.id, key, scope, period.tier if period.tier != STANDARD else None, period.band,
                    period.valid_from and period.valid_from.date(),
                )  # fmt: skip
                where = "/".join(str(part) for part in parts if part)
                yield (
                    f"{SOURCE}:{where}#{meter}>{ctx_gt or 0}",
                    provider.id, key, SOURCE, self._version, url, meter, period.tier, scope, ctx_gt, ctx_le,
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
        instant = pl.lit(dt.datetime.combine(former.valid_to, MIDNIGHT, dt.UTC), dtype=INSTANT)
        changed = pl.all_horizontal(
            pl.col("provider") == provider,
            pl.col("model_key") == model,
            pl.col("meter") == meter,
            pl.col("tier") == STANDARD,
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
