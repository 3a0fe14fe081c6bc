"""How providers' own prompt caches work, a family of models at a time: dated facts with their sources.

Prices of reads and writes are in the price book; caches of whole answers are in ``caching``.
"""

import datetime as dt
import re
from dataclasses import dataclass

from finops_pipeline.pricing.model_ids import family


@dataclass(frozen=True)
class CacheRule:
    """What a prompt cache takes.

    Attributes:
        models: Pattern of the families (``pricing.model_ids.family``) that it holds for, from their beginning.
        since: First day from which it is taken to hold.
        minimum: Tokens of the shortest prefix that is cached at all.
        quantum: Tokens by which a read grows; the rest of the prefix is fresh input.
        source: Where it is written.
    """

    models: str
    since: dt.date
    minimum: int
    quantum: int
    source: str


_CLAUDE = "https://platform.claude.com/docs/en/build-with-claude/prompt-caching"
_OPENAI = "https://platform.openai.com/docs/guides/prompt-caching"
_GEMINI = "https://ai.google.dev/gemini-api/docs/caching"
_NOVA = "https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html"

CACHE_RULES = (
    CacheRule(r"claude-haiku-4-5", dt.date(2025, 10, 15), 4096, 1, _CLAUDE),
    CacheRule(r"claude-opus-4-[56]", dt.date(2025, 11, 24), 4096, 1, _CLAUDE),
    CacheRule(r"claude-opus-4-7", dt.date(2026, 4, 16), 2048, 1, _CLAUDE),
    CacheRule(r"claude-3-(?:5-)?haiku", dt.date(2024, 8, 14), 2048, 1, _CLAUDE),
    CacheRule(r"claude-(?:3-|(?:opus|sonnet)-4)", dt.date(2024, 8, 14), 1024, 1, _CLAUDE),
    CacheRule(r"(?:gpt-|o\d)", dt.date(2024, 10, 1), 1024, 128, _OPENAI),
    CacheRule(r"gemini-(?:2-5|3)-pro", dt.date(2025, 5, 8), 4096, 1, _GEMINI),
    CacheRule(r"gemini-", dt.date(2025, 5, 8), 1024, 1, _GEMINI),
    CacheRule(r"nova-", dt.date(2025, 4, 7), 1000, 1, _NOVA),
)
"""The first that fits holds: the most particular stand first."""


def cache_rule(model: str, day: dt.date) -> CacheRule | None:
    """The rule for a model of the price book on that day; None where none is known."""
    name = family(model)
    return next((rule for rule in CACHE_RULES if rule.since <= day and re.match(rule.models, name)), None)
