"""Which smaller model a model's simple calls may go to: dated data, and its meaning in a price book.

A pair says nothing about prices: whoever sells the calls now is asked for the target too, in the same region scope.
What qualifies a call is in ``downgrade``.
"""

import datetime as dt
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from finops_pipeline.pricing.book import CACHED_BOOKS, PriceBook
from finops_pipeline.pricing.model_ids import family, is_customised
from finops_pipeline.savings.cache_rules import cache_rule

ONE = Decimal(1)

MODALITIES = {
    "input_audio_tokens": "input_audio",
    "input_image_tokens": "input_image",
    "output_audio_tokens": "output_audio",
    "output_image_tokens": "output_image",
}
"""Column of ``usage`` → the meter of which a model that takes or makes such tokens has a price of its own."""


@dataclass(frozen=True)
class Pair:
    """A model and the smaller one that can take its simple calls.

    Attributes:
        model: Family of the models that it is for, as ``pricing.model_ids.family`` says it.
        target: Family of the model to use in its place.
        since: First day on which everyone could use the target.
        source: Where seller or maker describe the two.
        tokeniser_factor: Tokens that the target makes of the same text, the model's own being 1.
        output_factor: Output tokens that the target needs for the same task, the model's own being 1.
        provider: Who sells the target; None: whoever sells the model.
        until: The day on which its maker shuts the target down, as announced; None: none is announced.
    """

    model: str
    target: str
    since: dt.date
    source: str
    tokeniser_factor: Decimal = ONE
    output_factor: Decimal = ONE
    provider: str | None = None
    until: dt.date | None = None


_OPENAI = "https://platform.openai.com/docs/models"
_CLAUDE = "https://platform.claude.com/docs/en/about-claude/models/overview"
_GEMINI = "https://ai.google.dev/gemini-api/docs/models"
_NOVA = "https://docs.aws.amazon.com/nova/latest/userguide/what-is-nova.html"

_SONNET_4_5, _SONNET_4_6, _HAIKU_4_5 = dt.date(2025, 9, 29), dt.date(2026, 2, 17), dt.date(2025, 10, 15)

_MINI_4_LEAVES, _MINI_5_LEAVES = dt.date(2027, 1, 14), dt.date(2026, 12, 11)
_SONNET_4_5_LEAVES, _FLASH_2_5_LEAVES = dt.date(2026, 11, 30), dt.date(2026, 12, 1)

PAIRS = (
    Pair("gpt-4o", "gpt-4o-mini", dt.date(2024, 7, 18), _OPENAI, until=_MINI_4_LEAVES),
    Pair("gpt-4-1", "gpt-4-1-mini", dt.date(2025, 4, 14), _OPENAI, until=_MINI_4_LEAVES),
    Pair("gpt-4-1-mini", "gpt-4-1-nano", dt.date(2025, 4, 14), _OPENAI, until=dt.date(2026, 10, 23)),
    Pair("gpt-5", "gpt-5-mini", dt.date(2025, 8, 7), _OPENAI, until=_MINI_5_LEAVES),
    Pair("gpt-5-1", "gpt-5-mini", dt.date(2025, 11, 13), _OPENAI, until=_MINI_5_LEAVES),
    Pair("gpt-5-2", "gpt-5-mini", dt.date(2025, 12, 11), _OPENAI, until=_MINI_5_LEAVES),
    Pair("gpt-5-mini", "gpt-5-nano", dt.date(2025, 8, 7), _OPENAI, until=_MINI_5_LEAVES),
    Pair("gpt-5-4", "gpt-5-4-mini", dt.date(2026, 3, 17), _OPENAI),
    Pair("claude-opus-4", "claude-sonnet-4-5", _SONNET_4_5, _CLAUDE, until=_SONNET_4_5_LEAVES),
    Pair("claude-opus-4-0", "claude-sonnet-4-5", _SONNET_4_5, _CLAUDE, until=_SONNET_4_5_LEAVES),
    Pair("claude-opus-4-1", "claude-sonnet-4-5", _SONNET_4_5, _CLAUDE, until=_SONNET_4_5_LEAVES),
    Pair("claude-opus-4-5", "claude-sonnet-4-5", _SONNET_4_5, _CLAUDE, until=_SONNET_4_5_LEAVES),
    Pair("claude-opus-4-6", "claude-sonnet-4-6", _SONNET_4_6, _CLAUDE),
    Pair("claude-3-7-sonnet", "claude-haiku-4-5", _HAIKU_4_5, _CLAUDE),
    Pair("claude-sonnet-4", "claude-haiku-4-5", _HAIKU_4_5, _CLAUDE),
    Pair("claude-sonnet-4-0", "claude-haiku-4-5", _HAIKU_4_5, _CLAUDE),
    Pair("claude-sonnet-4-5", "claude-haiku-4-5", _HAIKU_4_5, _CLAUDE),
    Pair("claude-sonnet-4-6", "claude-haiku-4-5", _HAIKU_4_5, _CLAUDE),
    Pair("gemini-2-5-pro", "gemini-2-5-flash", dt.date(2025, 6, 17), _GEMINI, until=_FLASH_2_5_LEAVES),
    Pair("gemini-2-5-flash", "gemini-2-5-flash-lite", dt.date(2025, 7, 22), _GEMINI),
    Pair("gemini-3-pro-preview", "gemini-3-flash-preview", dt.date(2025, 12, 17), _GEMINI),
    Pair("nova-premier", "nova-pro", dt.date(2025, 4, 30), _NOVA),
    Pair("nova-pro", "nova-lite", dt.date(2024, 12, 3), _NOVA),
    Pair("nova-lite", "nova-micro", dt.date(2024, 12, 3), _NOVA),
)
"""Pairs of one maker, whose models share a tokeniser. Newer generations wait for a page that says what they are for.
The days on which targets leave are as of November 2026: https://developers.openai.com/api/docs/deprecations,
https://platform.claude.com/docs/en/about-claude/model-deprecations, https://ai.google.dev/gemini-api/docs/deprecations.
"""

MAKERS = ("openai", "anthropic", "google")
"""Sellers whose days these are: clouds that sell a maker's model set their own."""

SOLD = ("provider", "raw_model")
"""What a model is sold as, in the log's own words."""

PRICED_WITH = (
    "target", "target_name", "target_provider", "target_scope", "same_seller", "tokeniser_factor", "output_factor",
    "cache_minimum", "cache_quantum",
)  # fmt: skip
"""What of a pair a call on the target is made of."""

_SCHEMA = pl.Schema(
    [
        ("provider", pl.String()),
        ("raw_model", pl.String()),
        ("target", pl.String()),
        ("target_name", pl.String()),
        ("target_provider", pl.String()),
        ("target_scope", pl.String()),
        ("same_seller", pl.Boolean()),
        ("since", pl.Date()),
        ("tokeniser_factor", pl.Decimal(6, 3)),
        ("output_factor", pl.Decimal(6, 3)),
        ("context_window", pl.Int64()),
        ("cache_minimum", pl.Int64()),
        ("cache_quantum", pl.Int64()),
        ("modalities", pl.List(pl.String)),
    ]
)


def targets(
    sold: Iterable[tuple[str | None, str | None, dt.date]], book: PriceBook, pairs: Sequence[Pair] = PAIRS
) -> pl.DataFrame:
    """What the price book has in place of each (provider, raw model, day); no row where no pair is for the model, or
    its target is not sold any more.

    Returns:
        ``provider`` and ``raw_model`` as given; ``target`` (key in the book) and ``target_name`` (its family);
        ``target_provider``, ``target_scope`` and ``same_seller`` to price it with; ``since``; the pair's factors;
        ``context_window``, ``cache_minimum`` and ``cache_quantum`` in tokens, null where they are not known;
        ``modalities``, the columns of tokens that the target has prices of its own for.
    """
    rows = (_row(provider, raw_model, day, book, pairs) for provider, raw_model, day in sold)
    return pl.DataFrame([row for row in rows if row], schema=_SCHEMA, orient="row")


def _row(
    provider: str | None, raw_model: str | None, day: dt.date, book: PriceBook, pairs: Sequence[Pair]
) -> tuple[object, ...] | None:
    now = book.resolver(provider, raw_model)
    if raw_model is None or now.model is None or is_customised(raw_model):
        return None
    pair = next((pair for pair in pairs if family(pair.model) == family(now.model)), None)
    if pair is None:
        return None
    seller, sold = pair.provider or now.price_provider, _families(book)
    owner = seller if (seller, family(pair.target)) in sold else None
    target = sold.get((owner, family(pair.target)))
    if target is None:
        return None
    target_provider = pair.provider or provider or now.price_provider
    if pair.until is not None and day >= pair.until and target_provider in MAKERS:
        return None
    rule = cache_rule(target, day)
    return (
        provider,
        raw_model,
        target,
        pair.target,
        target_provider,
        now.scope,
        pair.provider is None,
        pair.since,
        pair.tokeniser_factor,
        pair.output_factor,
        book.resolver.context_window(owner, target),
        rule.minimum if rule else None,
        rule.quantum if rule else None,
        [column for column, meter in MODALITIES.items() if (owner, target, meter) in _meters(book)],
    )


@functools.lru_cache(maxsize=CACHED_BOOKS)
def _families(book: PriceBook) -> Mapping[tuple[str | None, str], str]:
    """(Provider, family) → the model with the plainest name."""
    keys = book.rows.select("provider", "model_key").unique().rows()
    plainest = sorted(keys, key=lambda row: (-len(row[1]), row[1]))
    return {(provider, family(key)): key for provider, key in plainest}


@functools.lru_cache(maxsize=CACHED_BOOKS)
def _meters(book: PriceBook) -> frozenset[tuple[str | None, str, str]]:
    """(Provider, model, meter) for which the book has a price."""
    return frozenset(book.rows.select("provider", "model_key", pl.col("meter").cast(pl.String)).unique().rows())
