"""Which model of the catalogue a name means: the catalogue's own matching, kept with the book as data.

A book that the lake keeps resolves ids as it did when it priced, whatever catalogue is installed since. The rules are
rows of ``schemas.MODEL_NAMES``; what they match by is the catalogue's business (``catalogue``), what a whole id means,
``resolution``'s.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from finops_pipeline.schemas.price_book import TIERS

ENDPOINTS = re.compile(r"^(?:global|regional|us)\.")
"""What stands before the model in the catalogue's ids of Amazon Bedrock: its entries are an endpoint each."""

VARIANTS = frozenset(TIERS[1:]) | {"highspeed", "image", "lite", "mini", "nano", "tts", "turbo", "ultrafast"}
"""Words of a name that make it a product with a price of its own: service tiers, speeds, sizes, other output."""

_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")

Matches = Callable[[str], bool]


@dataclass(frozen=True)
class _Entry:
    """An entry of the catalogue: what it is called there, the model that it is, what matches it."""

    entry: str
    model_key: str
    pattern: Mapping[str, Any]
    matches: Matches
    context_window: int | None


class Names:
    """The rules of one book.

    Args:
        rules: Rows of ``schemas.MODEL_NAMES``, in the catalogue's order.
    """

    def __init__(self, rules: pl.DataFrame) -> None:
        self._models: dict[str, list[_Entry]] = {}
        self._spellings: dict[str, list[_Entry]] = {}
        self._vendors: dict[str, Matches] = {}
        self._fallbacks: dict[str, list[str]] = {}
        for rule in rules.iter_rows(named=True):
            provider, role, entry = rule["provider"], rule["role"], rule["entry"]
            models = self._models.setdefault(provider, [])
            if role == "fallback":
                self._fallbacks.setdefault(provider, []).append(entry)
                continue
            pattern = json.loads(rule["pattern"])
            if role == "vendor":
                self._vendors[provider] = _matcher(pattern)
                continue
            known = models if role == "model" else self._spellings.setdefault(provider, [])
            known.append(_Entry(entry, rule["model_key"], pattern, _matcher(pattern), rule["context_window"]))

    def __contains__(self, provider: object) -> bool:
        return provider in self._models

    def find(self, provider: str, name: str) -> str | None:
        """Key of the model that ``name`` means at that provider, priced or not; None where the catalogue has none."""
        if spelt := next((rule for rule in self._spellings.get(provider, ()) if rule.matches(name)), None):
            return spelt.model_key
        prefixes = ("", "us.", "global.") if provider == "aws" else ("",)
        entry = next((found for prefix in prefixes if (found := self.entry(provider, prefix + name))), None)
        if entry is None or _is_variant(name, entry):
            return None
        return entry.model_key

    def entry(self, provider: str, name: str) -> _Entry | None:
        """The first entry that matches the name, or the name with its date as the catalogue writes dates."""
        for spelling in dict.fromkeys((name.lower(), _COMPACT_DATE.sub(r"-\1-\2-\3", name.lower()))):
            found = next((entry for entry in self._models.get(provider, ()) if entry.matches(spelling)), None)
            if found:
                return found
        return None

    def context_window(self, provider: str, key: str) -> int | None:
        """Input tokens that a model takes at most; None where the catalogue does not say."""
        windows = (e.context_window for e in self._models.get(provider, ()) if e.model_key == key)
        return min((window for window in windows if window), default=None)

    def fallbacks(self, provider: str) -> tuple[str, ...]:
        """Providers whose standard prices hold for this one's models too, by the catalogue: OpenAI's on Azure."""
        return tuple(self._fallbacks.get(provider, ()))

    def vendors(self, name: str) -> tuple[str, ...]:
        """Providers who sell a model of that name as their own; else those whose key of a model it is."""
        own = tuple(provider for provider, matches in self._vendors.items() if matches(name))
        return own or tuple(p for p, entries in self._models.items() if any(e.entry == name for e in entries))


def _matcher(pattern: Mapping[str, Any]) -> Matches:
    """What a pattern of the catalogue matches. Its texts ignore case, its regular expressions do not."""
    ((kind, value),) = pattern.items()
    if kind in ("or", "and"):
        parts, every = [_matcher(part) for part in value], all if kind == "and" else any
        return lambda name: every(part(name) for part in parts)
    if kind == "regex":
        found = re.compile(value).search
        return lambda name: found(name) is not None
    text = value.lower()
    return {
        "equals": lambda name: name.lower() == text,
        "starts_with": lambda name: name.lower().startswith(text),
        "ends_with": lambda name: name.lower().endswith(text),
        "contains": lambda name: text in name.lower(),
    }[kind]


def _is_variant(name: str, entry: _Entry) -> bool:
    """Whether a name that the catalogue does not list has a word of ``VARIANTS`` that is not the model's own.

    The catalogue matches by the start of names too: ``claude-opus-4-6-fast`` would cost what the model costs without.
    """
    spellings = [(True, entry.entry), *_spellings(entry.pattern)]
    if any(whole and name == text.lower() for whole, text in spellings):
        return False
    return bool(VARIANTS & _words(name) - _words(*(text for _, text in spellings)))


def _spellings(pattern: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """The texts by which a pattern knows a model, and whether they are whole names."""
    for kind, value in pattern.items():
        if isinstance(value, str):
            yield kind == "equals", value
        else:
            yield from (spelling for part in value for spelling in _spellings(part))


def _words(*texts: str) -> set[str]:
    return {word for text in texts for word in re.split(r"[^a-z0-9]+", text.lower())}
