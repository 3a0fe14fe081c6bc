"""The catalogue: the data of ``genai-prices``, read once and turned into rows of the price book.

What belongs here is what is particular to that catalogue: its units, its matching of model names, its separate entries
per Bedrock endpoint. When its prices hold is in ``catalogue_periods``, where they are wrong in ``corrections``, what a
name means by its rules in ``names``. Its per-call API is not used: it prices what it
does not know at the standard rate or at nothing. Units that ``usage`` does not count (characters, pixels, video,
citations, storage searches) are left out, so that a model sold by those alone has no price.
"""

import datetime as dt
import functools
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import polars as pl

from finops_pipeline.pricing.catalogue_periods import MIDNIGHT, STANDARD, UNITS, price_periods
from finops_pipeline.pricing.corrections import Corrections, corrections
from finops_pipeline.pricing.model_ids import GEOGRAPHIES
from finops_pipeline.pricing.names import ENDPOINTS
from finops_pipeline.schemas import MODEL_NAMES, PRICE_BOOK
from finops_pipeline.schemas.price_book import LAYER_CATALOGUE

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

SOURCE = "genai-prices"

_BEDROCK_PLACES = {"": "in-region", "global.": "global"} | {f"{place}.": f"geo:{place}" for place in GEOGRAPHIES}


class Catalogue:
    """What the catalogue has, as rows of the price book.

    Attributes:
        rows: Its prices (``schemas.PRICE_BOOK``), as the corrections leave them.
        names: Which model a name means (``schemas.MODEL_NAMES``).
    """

    def __init__(
        self, providers: Sequence["Provider"], catalogue_version: str, corrected: Corrections | None = None
    ) -> None:
        self._version, self._corrections = catalogue_version, corrected or Corrections()
        self._release = self._corrections.releases.get(catalogue_version)
        self.rows = self._corrections.corrected(self._rows(providers))
        self.names = pl.concat([MODEL_NAMES.check(_names(providers)), self._corrections.names()])

    # -- rows ----------------------------------------------------------------------------------------------------

    def _rows(self, providers: Sequence["Provider"]) -> pl.DataFrame:
        records = [
            record
            for provider in providers
            for key, scope, model in (_bedrock_models(provider) if provider.id == "aws" else _models(provider))
            for record in self._model_rows(provider, key, scope, model)
        ]
        return PRICE_BOOK.conform(pl.LazyFrame(records, schema=_ROW_SCHEMA, orient="row")).collect()

    def _model_rows(
        self, provider: "Provider", key: str, scope: str | None, model: "ModelInfo"
    ) -> Iterator[tuple[Any, ...]]:
        url = provider.pricing_urls[0] if provider.pricing_urls else None
        known = None if self._release is None else dt.datetime.combine(self._release, MIDNIGHT, dt.UTC)
        for period in price_periods(provider.id, model, self._corrections):
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
                    known, price, unit, "USD", period.origin, LAYER_CATALOGUE,
                )  # fmt: skip


_ROW_SCHEMA = pl.Schema(
    {
        name: PRICE_BOOK.schema[name]
        for name in (
            "price_id", "provider", "model_key", "source", "source_version", "source_url", "meter", "tier",
            "region_scope", "ctx_gt", "ctx_le", "schedule", "schedule_band", "valid_from", "valid_to", "known_from",
            "unit_price", "per_qty", "currency", "rate_origin", "layer",
        )
    }
)  # fmt: skip


@functools.cache
def catalogue() -> Catalogue:
    """The installed catalogue, read and turned into rows once a process."""
    from genai_prices.data import providers  # 1.6 MB of Python: only when prices are needed

    return Catalogue(providers, version(SOURCE), corrections())


def _names(providers: Sequence["Provider"]) -> pl.DataFrame:
    """The catalogue's matching of names, provider after provider, each model's in its order."""
    rules: list[tuple[str, str, str, str | None, str | None, int | None]] = []
    for provider in providers:
        if provider.model_match:
            rules.append((provider.id, "vendor", provider.id, None, _pattern(provider.model_match), None))
        fallbacks = provider.fallback_model_providers or ()
        rules += [(provider.id, "fallback", fallback, None, None, None) for fallback in fallbacks]
        for model in provider.models:
            key = ENDPOINTS.sub("", model.id) if provider.id == "aws" else model.id
            rules.append((provider.id, "model", model.id, key, _pattern(model.match), model.context_window))
    return pl.DataFrame(rules, schema=MODEL_NAMES.schema, orient="row")


def _pattern(clause: Any) -> str:
    return json.dumps(_as_mapping(clause), separators=(",", ":"))


def _as_mapping(clause: Any) -> dict[str, Any]:
    """A matching clause of the catalogue as JSON says it: ``{"or": [{"equals": "gpt-5"}, …]}``."""
    ((kind, value),) = vars(clause).items()
    return {kind.rstrip("_"): value if isinstance(value, str) else [_as_mapping(part) for part in value]}


def _models(provider: "Provider") -> Iterator[tuple[str, str | None, "ModelInfo"]]:
    return ((model.id, None, model) for model in provider.models)


def _bedrock_models(provider: "Provider") -> Iterator[tuple[str, str | None, "ModelInfo"]]:
    """Key without endpoint, scope and entry of each Bedrock model.

    The catalogue has an entry an endpoint (``global.…``, ``regional.…``); which geographies an entry serves is asked
    of its own matcher. A model that costs the same everywhere gets one entry without scope, one that is not sold in a
    geography gets none there.
    """
    for key in dict.fromkeys(ENDPOINTS.sub("", model.id) for model in provider.models):
        entries = {scope: provider.find_model(prefix + key) for prefix, scope in _BEDROCK_PLACES.items()}
        sold = [entry for entry in entries.values() if entry is not None]
        if len(sold) == len(entries) and all(entry is sold[0] for entry in sold):
            yield key, None, sold[0]
        else:
            yield from ((key, scope, entry) for scope, entry in entries.items() if entry is not None)


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
