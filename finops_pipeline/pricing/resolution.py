"""Which model of the price book a call means: (provider, raw model) as logged → seller and key in the book.

Each distinct pair is resolved once. What the model costs is none of this module's business.

The order, first hit wins:

1. an alias of the config replaces the id (the whole id as logged, or the last part of an ARN);
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

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass

from finops_pipeline.pricing.catalogue import Catalogue
from finops_pipeline.pricing.model_ids import ModelId, take_apart

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


class Resolver:
    """Resolves ids against the keys of one price book."""

    def __init__(
        self,
        keys: Set[tuple[str | None, str]],
        aliases: Mapping[str, str],
        load_catalogue: Callable[[], Catalogue] | None,
    ) -> None:
        """``keys``: (provider, model) of the book."""
        self._keys = {(provider, model.lower()): model for provider, model in keys}
        self._aliases = {raw.strip().lower(): model for raw, model in aliases.items()}
        self._catalogue = load_catalogue() if load_catalogue else None
        self._known: dict[tuple[str | None, str | None], Resolution] = {}

    def __call__(self, provider: str | None, raw_model: str | None) -> Resolution:
        pair = (provider, raw_model)
        if pair not in self._known:
            self._known[pair] = self._resolve(provider, raw_model) if raw_model else _UNRESOLVED
        return self._known[pair]

    def context_window(self, price_provider: str | None, model: str) -> int | None:
        """Input tokens that a model of the book takes at most; None where the catalogue does not say."""
        if self._catalogue is None or price_provider is None:
            return None
        return self._catalogue.context_window(price_provider, model)

    def _resolve(self, provider: str | None, raw_model: str) -> Resolution:
        ident = take_apart(self._alias(raw_model))
        for seller, borrowed in self._sellers(provider, ident):
            for name in ident.names:
                found = self._find(seller, name, exactly=ident.opaque)
                if found:
                    scope = ident.region_scope if seller in ("aws", None) else None
                    return Resolution(*found, scope=scope, borrowed=borrowed)
        return _OPAQUE if ident.opaque else _UNRESOLVED

    def _alias(self, raw_model: str) -> str:
        text = raw_model.strip().lower()
        arn_resource = text.partition("arn:")[2].rpartition(":")[2]
        for spelling in (text, arn_resource, text.rpartition("/")[2]):
            if spelling in self._aliases:
                return self._aliases[spelling]
        return raw_model

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
