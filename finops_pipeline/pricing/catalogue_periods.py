"""When the catalogue's prices hold: the spans of time, bands of the week and service tiers of each of its models.

What the prices are called and counted in is in ``catalogue``. The catalogue dates prices by their first day, knows
daily windows, and says in variants in what a tier differs; which span a call falls into is decided in ``lookup``.
"""

import copy
import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finops_pipeline.pricing.corrections import Corrections
from finops_pipeline.schemas.price_book import TIERS

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

STANDARD = TIERS[0]

MIDNIGHT = dt.time(0)

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


TIER_OF: Mapping[tuple[tuple[str, str], ...], str] = {
    (("processing", "batch"),): "batch",
    (("service_tier", "flex"),): "flex",
    (("service_tier", "priority"),): "priority",
    (("service_tier", "fast"),): "fast",
    (("speed", "fast"),): "fast",
}
"""What a variant of the catalogue's prices is asked for by → the tier whose prices it has. Other variants (routes,
kinds of search) are no tiers and have no rows."""


@dataclass(frozen=True)
class Period:
    """Prices that hold in one span of time, and in one band of the week if there is one."""

    prices: "ModelPrice"
    valid_from: dt.datetime | None = None
    valid_to: dt.datetime | None = None
    band: str | None = None
    origin: str = "explicit"
    tier: str = STANDARD


def price_periods(provider: str, model: "ModelInfo", corrected: Corrections) -> Iterator[Period]:
    """The spans of time of a model's prices, the standard tier's first; none that are not understood."""
    standard = tuple(_standard_periods(model, corrected.weekends_off_peak_from(provider, model.id)))
    yield from standard
    yield from _tier_periods(standard, model, lambda tier: corrected.without_prices(provider, tier))


def _standard_periods(model: "ModelInfo", weekends_free_from: dt.date | None) -> Iterator[Period]:
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
    instants = [None, *(dt.datetime.combine(day, MIDNIGHT, dt.UTC) for day, _ in starts), None]
    spans = list(zip(instants[:-1], instants[1:], [model.prices[0].prices, *(p for _, p in starts)], strict=True))
    if not windows:
        yield from (Period(prices, begin, end) for begin, end, prices in spans)
        return
    yield from _scheduled(spans, sorted(windows, key=lambda w: w[0]), weekends_free_from)


def _tier_periods(
    standard: Sequence[Period], model: "ModelInfo", unpublished: Callable[[str], Collection[str]]
) -> Iterator[Period]:
    """The prices of a model's other tiers, in the spans of time for which the catalogue has them.

    A variant names the prices in which a tier differs. In the others the catalogue has it cost what the standard tier
    costs (Gemini's cache reads and Anthropic's web searches do, in a batch job): rows of origin ``inherited``, but for
    what is ``unpublished`` for a tier. Of variants for one tier the first that has begun holds.
    """
    begun: dict[str, dt.datetime | None] = {}
    for variant in model.price_variants or ():
        tier = TIER_OF.get(tuple(variant.when.items()))
        day = getattr(variant.constraint, "start_date", None)
        if tier is None or (day is None and variant.constraint is not None):
            continue
        begin = dt.datetime.combine(day, MIDNIGHT, dt.UTC) if day else None
        end = begun.get(tier)
        if tier in begun and (end is None or (begin is not None and begin >= end)):
            continue
        begun[tier] = begin
        yield Period(variant.prices, begin, end, tier=tier)
        for period in standard:
            first = max((edge for edge in (begin, period.valid_from) if edge), default=None)
            last = min((edge for edge in (end, period.valid_to) if edge), default=None)
            if first is None or last is None or first < last:
                named = {key for key, price in vars(variant.prices).items() if price is not None}
                missing = {key for key, (meter, _) in UNITS.items() if meter in unpublished(tier)}
                inherited = _without(period.prices, named | missing)
                yield Period(inherited, first, last, period.band, "inherited", tier)


def _without(prices: "ModelPrice", keys: Iterable[str]) -> "ModelPrice":
    left = copy.copy(prices)
    vars(left).update(dict.fromkeys(keys))
    return left


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
    free = dt.datetime.combine(weekends_free_from, MIDNIGHT, dt.UTC) if weekends_free_from else None
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
