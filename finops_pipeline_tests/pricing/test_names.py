"""The catalogue's matching, kept as data: it finds what the catalogue itself finds."""

from genai_prices.data import providers

from finops_pipeline.pricing.catalogue import catalogue
from finops_pipeline.pricing.names import Names

NAMES = Names(catalogue().names)

SUFFIXES = ("", "-latest", "-2026-01-31", "-20251211", "@001", "-v1:0", "-mini", ":free", "-preview", "x")


def test_every_name_means_what_the_catalogue_says() -> None:
    """Each id at its own provider and at some others, as it stands and with what people put behind it."""
    asked = 0
    others = [p for p in providers if p.id in ("openai", "azure", "aws", "openrouter", "google")]
    for provider in providers:
        for model in provider.models:
            for suffix in SUFFIXES:
                for seller in (provider, *others):
                    name = (model.id + suffix).lower()
                    theirs = seller.find_model(name)
                    ours = NAMES.entry(seller.id, name)
                    assert (ours and ours.entry) == (theirs and theirs.id), (seller.id, name)
                    asked += 1
        if asked > 20_000:
            break
    assert asked > 20_000


def test_vendors_and_fallbacks_are_the_catalogues() -> None:
    for provider in providers:
        assert provider.id in NAMES
        fallbacks = [p for p in provider.fallback_model_providers or () if p in NAMES]
        assert list(NAMES.fallbacks(provider.id)) == fallbacks
    assert "acme" not in NAMES
    for name in ("gpt-5", "claude-opus-5", "gemini-2.5-pro", "mistral-large", "llama-3"):
        own = tuple(p.id for p in providers if p.model_match and p.model_match.is_match(name))
        assert own == () or NAMES.vendors(name) == own
