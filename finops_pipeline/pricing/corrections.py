"""Where the catalogue is wrong or thin: a small reviewed layer of corrections, kept as data (``corrections.yaml``).

Each names its source, says why, and when it was reviewed: from then on it is known. What a correction means for the
catalogue's rows is here; how they are made, in ``catalogue``.
"""

import datetime as dt
import functools
from collections.abc import Mapping
from decimal import Decimal
from importlib.resources import files
from typing import Annotated, Any

import polars as pl
import yaml
from pydantic import BeforeValidator, Field

from finops_pipeline.config.section import Section, Text
from finops_pipeline.schemas import INSTANT, MODEL_NAMES, PRICE_BOOK, RATE_ADJUSTMENTS, Table
from finops_pipeline.schemas.price_book import LAYER_CORRECTION

SOURCE = "corrections"

Links = Annotated[list[Text], BeforeValidator(lambda value: value if isinstance(value, list) else [value])]
Money = Annotated[Decimal, BeforeValidator(lambda value: Decimal(value) if isinstance(value, str) else value)]
"""Amounts stand in quotes: YAML's numbers are floats."""


class _Correction(Section):
    source_url: Links = Field(description="Where it can be read", min_length=1)
    why: Text
    reviewed: dt.date
    provider: Text


class Since(_Correction):
    """The catalogue's price of a meter, undated there, holds only from a day on."""

    model: Text
    meter: Text
    valid_from: dt.date


class Price(_Correction):
    """A price that overrides the catalogue's."""

    model: Text
    meter: Text
    unit_price: Money
    per_qty: int = 1_000_000
    tier: Text = "standard"
    region_scope: Text | None = None
    ctx_gt: int | None = None
    ctx_le: int | None = None
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None


class Uplift(_Correction):
    """A multiplier of list prices."""

    models: list[Text] = Field(min_length=1)
    region_scope: Text
    multiplier: Money
    meters: list[Text] | None = None
    tier: Text | None = None
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None


class Spelling(_Correction):
    """A part of a name that the catalogue takes for another model."""

    part: Text
    model: Text


class Unpublished(_Correction):
    """Prices that a tier does not have, though the catalogue's variants take the standard ones."""

    tier: Text
    meters: list[Text]


class OffPeakWeekends(_Correction):
    """Models whose peak hours are on Monday to Friday only, and since when."""

    models: list[Text]
    valid_from: dt.date


class Corrections(Section):
    """The whole of ``corrections.yaml``.

    Attributes:
        releases: Version of the catalogue → the day on which it was released: since then its rows are known.
    """

    releases: Mapping[str, dt.date] = {}
    since: list[Since] = Field(default=[])
    prices: list[Price] = Field(default=[])
    uplifts: list[Uplift] = Field(default=[])
    spellings: list[Spelling] = Field(default=[])
    unpublished: list[Unpublished] = Field(default=[])
    weekends_off_peak: list[OffPeakWeekends] = Field(default=[])

    def without_prices(self, provider: str, tier: str) -> frozenset[str]:
        """Meters that have no published price in a tier, though the standard tier has one."""
        told = (u.meters for u in self.unpublished if (u.provider, u.tier) == (provider, tier))
        return frozenset(meter for meters in told for meter in meters)

    def weekends_off_peak_from(self, provider: str, model: str) -> dt.date | None:
        """Since when a model has no peak hours on Saturday and Sunday; None where it has, or has none at all."""
        found = (w.valid_from for w in self.weekends_off_peak if w.provider == provider and model in w.models)
        return next(found, None)

    def corrected(self, catalogue_rows: pl.DataFrame) -> pl.DataFrame:
        """The catalogue's rows with ``since`` put right, and the rows of ``prices``.

        A price to which the catalogue itself gives a time is left alone: it needs no correction any more.
        """
        for rule in self.since:
            undated = pl.all_horizontal(
                pl.col("provider") == rule.provider,
                pl.col("model_key") == rule.model,
                pl.col("meter") == rule.meter,
                pl.col("tier") == "standard",
                pl.col("valid_from", "valid_to").is_null(),
            )
            begin = pl.lit(_midnight(rule.valid_from), dtype=INSTANT)
            catalogue_rows = catalogue_rows.with_columns(
                valid_from=pl.when(undated).then(begin).otherwise("valid_from")
            )
        records = [
            {
                "price_id": f"{SOURCE}:{price.provider}/{price.model}/{price.tier}#{price.meter}/{number}",
                "model_key": price.model,
                "source": SOURCE,
                "source_url": price.source_url[0],
                "known_from": _midnight(price.reviewed),
                "currency": "USD",
                "rate_origin": "overridden",
                "layer": LAYER_CORRECTION,
                **price.model_dump(exclude={"model", "source_url", "why", "reviewed", "valid_from", "valid_to"}),
                "valid_from": _midnight(price.valid_from),
                "valid_to": _midnight(price.valid_to),
            }
            for number, price in enumerate(self.prices, start=1)
        ]
        return pl.concat([catalogue_rows, _frame(records, PRICE_BOOK)])

    def adjustments(self) -> pl.DataFrame:
        """``uplifts`` as rows of ``schemas.RATE_ADJUSTMENTS``."""
        return _frame(
            [
                {
                    "adjustment_id": f"{SOURCE}:{uplift.provider}/{model}/{uplift.region_scope}"
                    + (f"#{meter}" if meter else ""),
                    "provider": uplift.provider,
                    "model": model.lower(),
                    "meter": meter,
                    "tier": uplift.tier,
                    "region_scope": uplift.region_scope,
                    "kind": "uplift",
                    "multiplier": uplift.multiplier,
                    "stack": 0,
                    "valid_from": _midnight(uplift.valid_from),
                    "valid_to": _midnight(uplift.valid_to),
                    "known_from": _midnight(uplift.reviewed),
                    "source": SOURCE,
                    "source_url": uplift.source_url[0],
                    "layer": LAYER_CORRECTION,
                }
                for uplift in self.uplifts
                for model in uplift.models
                for meter in ((None,) if uplift.meters is None else uplift.meters)
            ],
            RATE_ADJUSTMENTS,
        )

    def names(self) -> pl.DataFrame:
        """``spellings`` as rows of ``schemas.MODEL_NAMES``."""
        rows = [
            {
                "provider": rule.provider,
                "role": "spelling",
                "entry": rule.part,
                "model_key": rule.model,
                "pattern": f'{{"contains": "{rule.part}"}}',
            }
            for rule in self.spellings
        ]
        return _frame(rows, MODEL_NAMES)


@functools.cache
def corrections() -> Corrections:
    """The corrections of this release."""
    text = files(__package__).joinpath("corrections.yaml").read_text(encoding="utf-8")
    return Corrections.model_validate(yaml.safe_load(text))


def _midnight(day: dt.date | None) -> dt.datetime | None:
    return None if day is None else dt.datetime.combine(day, dt.time(0), dt.UTC)


def _frame(records: list[dict[str, Any]], table: Table) -> pl.DataFrame:
    if not records:
        return table.empty()
    return table.conform(pl.LazyFrame(records, schema={name: table.schema[name] for name in records[0]})).collect()
