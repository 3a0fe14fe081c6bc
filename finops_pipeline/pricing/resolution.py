"""Which model of the price book a call means: (provider, raw model) as logged → seller and key in the book.

Each distinct pair is resolved once. What the model costs is none of this module's business.

The order, first hit wins:

1. an alias replaces the id (the whole id as logged, or the last part of an ARN), if it serves the call's provider and
   time: an exact one before a pattern, one for the provider before one for any;
2. for each spelling of the id, from the one logged to the most stripped: a model of the book with exactly that key
   (a row without provider serves every provider), then the catalogue's own matching at that provider;
3. at a provider for which the catalogue names fallbacks (Azure sells OpenAI's models at OpenAI's standard prices) those
   of them that are ``CLOSED_VENDORS``;
4. without a provider in the log, the one that the id names (``bedrock/…``, an ARN, ``anthropic.claude-…``) and its
   fallbacks; where it names none, or where the catalogue does not know the provider in the log, the one of
   ``CLOSED_VENDORS`` whose model it is.

An open-weight model is never taken at another provider's price: it costs at each host what that host asks, on one's
own machines nothing a token, and its name does not say whose host answered.

Fine-tuned models (``ft:…``) are never taken for their base model, which costs less.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import polars as pl

from finops_pipeline.pricing.model_ids import ModelId, take_apart
from finops_pipeline.pricing.names import Names
from finops_pipeline.pricing.patterns import pattern

CLOSED_VENDORS = ("anthropic", "google", "openai", "voyageai", "x-ai")
"""Vendors whose models run at no stranger's, but for those below."""

OPEN_WEIGHT = ("gemma", "gpt-oss", "voyage-4-nano")
"""Families of theirs with published weights."""

HUB_PATHS = ("openai",)
"""Routes that are also the vendor's name on Hugging Face: ``openai/gpt-oss-20b`` may be served by anyone."""


@dataclass(frozen=True)
class Resolution:
    """What a pair of provider and raw model means.

    Attributes:
        price_provider: Whose rows price it; None where the model's row serves every provider.
        model: Key in the book; None where the id does not resolve.
        scope: Where the id itself says that it is served.
        borrowed: The rows are another provider's: its standard prices hold, its other tiers do not.
        reason: Why it does not resolve: ``unresolved_model`` or ``opaque_id``.
    """

    price_provider: str | None = None
    model: str | None = None
    scope: str | None = None
    borrowed: bool = False
    reason: str | None = None


class Alias:
    """One row of ``schemas.MODEL_ALIASES``: what is logged, and the model that it means."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.provider: str | None = row["provider"]
        self.model: str = row["model"]
        self.region_scope: str | None = row["region_scope"]
        self._valid_from: dt.datetime | None = row["valid_from"]
        self._valid_to: dt.datetime | None = row["valid_to"]
        self.alias: str = row["alias"]
        self.is_dated = (self._valid_from or self._valid_to) is not None
        self._pattern = pattern(self.alias) if "*" in self.alias else None
        # The most particular first: an exact one, one of a provider, a long one.
        self.rank = "*" in self.alias, self.provider is None, -len(self.alias)

    def means(self, provider: str | None, spelling: str, at: dt.datetime | None) -> bool:
        """Whether a model that is called so at a provider, at a time, is meant; at any time where none is given."""
        if self.provider not in (None, provider):
            return False
        if at is not None and self.is_dated:
            begun = self._valid_from is None or self._valid_from <= at
            if not begun or (self._valid_to is not None and at >= self._valid_to):
                return False
        return spelling == self.alias if self._pattern is None else self._pattern.fullmatch(spelling) is not None


class Resolver:
    """Resolves ids against the keys of one price book.

    Args:
        keys: (provider, model) of the book.
        aliases: Rows of ``schemas.MODEL_ALIASES``.
        names: The catalogue's matching; None for a book of one's own rows alone, which matches its own keys only.
    """

    def __init__(self, keys: Set[tuple[str | None, str]], aliases: pl.DataFrame, names: Names | None) -> None:
        self._keys = {(provider, model.lower()): model for provider, model in keys}
        self._aliases = sorted((Alias(row) for row in aliases.iter_rows(named=True)), key=lambda alias: alias.rank)
        self.by_time = any(alias.is_dated for alias in self._aliases)
        """Whether an id's meaning depends on when it was logged."""
        self._catalogue = names
        self._known: dict[tuple[str | None, str | None, dt.datetime | None], Resolution] = {}

    def __call__(self, provider: str | None, raw_model: str | None, at: dt.datetime | None = None) -> Resolution:
        asked = (provider, raw_model, at if self.by_time else None)
        if asked not in self._known:
            self._known[asked] = self._resolve(provider, raw_model, at) if raw_model else _UNRESOLVED
        return self._known[asked]

    def context_window(self, price_provider: str | None, model: str) -> int | None:
        """Input tokens that a model of the book takes at most; None where the catalogue does not say."""
        if self._catalogue is None or price_provider is None:
            return None
        return self._catalogue.context_window(price_provider, model)

    def keys_of(self, provider: str | None) -> list[str]:
        """Models of the book that a provider sells, those of any provider among them."""
        return sorted(model for (owner, _), model in self._keys.items() if owner in (provider, None))

    def _resolve(self, provider: str | None, raw_model: str, at: dt.datetime | None) -> Resolution:
        alias = self._alias(provider, raw_model, at)
        ident = take_apart(alias.model if alias else raw_model)
        for seller, borrowed in self._sellers(provider, ident):
            for name in ident.names:
                found = self._find(seller, name, exactly=ident.opaque)
                if found:
                    scope = ident.region_scope if seller in ("aws", None) else None
                    scope = (alias.region_scope if alias else None) or scope
                    return Resolution(*found, scope=scope, borrowed=borrowed)
        return _OPAQUE if ident.opaque else _UNRESOLVED

    def _alias(self, provider: str | None, raw_model: str, at: dt.datetime | None) -> Alias | None:
        text = raw_model.strip().lower()
        arn_resource = text.partition("arn:")[2].rpartition(":")[2]
        spellings = dict.fromkeys(s for s in (text, arn_resource, text.rpartition("/")[2]) if s)
        found = (alias for alias in self._aliases for s in spellings if alias.means(provider, s, at))
        return next(found, None)

    def _find(self, seller: str | None, name: str, *, exactly: bool) -> tuple[str | None, str] | None:
        for owner in (seller, None):
            if key := self._keys.get((owner, name)):
                return owner, key
        if exactly or self._catalogue is None or seller is None or seller not in self._catalogue:
            return None
        key = self._catalogue.find(seller, name)
        return (seller, key) if key else None

    def _sellers(self, provider: str | None, ident: ModelId) -> Iterator[tuple[str | None, bool]]:
        """Providers in whose rows to look, and whether theirs are borrowed."""
        yield provider, False
        if self._catalogue is None:
            return
        open_weight = any(family in ident.names[-1] for family in OPEN_WEIGHT)
        seller = provider
        if provider is None and not (open_weight and ident.provider in HUB_PATHS):
            seller = ident.provider
            yield seller, False
        if open_weight:
            return
        if seller is not None and seller in self._catalogue:
            vendors = self._catalogue.fallbacks(seller)
        else:
            vendors = tuple(dict.fromkeys(v for name in ident.names for v in self._catalogue.vendors(name)))
        yield from ((vendor, seller is not None) for vendor in vendors if vendor in CLOSED_VENDORS)


_UNRESOLVED = Resolution(reason="unresolved_model")
_OPAQUE = Resolution(reason="opaque_id")
