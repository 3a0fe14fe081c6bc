"""Facts about providers' prompt caches."""

import datetime as dt

import pytest

from finops_pipeline.savings.cache_rules import CACHE_RULES, cache_rule

TODAY = dt.date(2026, 11, 4)


@pytest.mark.parametrize(
    ("model", "minimum", "quantum"),
    [
        ("claude-haiku-4-5", 4096, 1),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", 4096, 1),
        ("claude-sonnet-4-5", 1024, 1),
        ("anthropic/claude-opus-4.5", 4096, 1),
        ("gpt-4o-mini", 1024, 128),
        ("openai/gpt-5-mini", 1024, 128),
        ("gemini-2.5-flash", 1024, 1),
        ("gemini-2.5-pro", 4096, 1),
        ("amazon.nova-lite-v1:0", 1000, 1),
    ],
)
def test_the_most_particular_rule_holds(model: str, minimum: int, quantum: int) -> None:
    rule = cache_rule(model, TODAY)
    assert rule is not None
    assert (rule.minimum, rule.quantum) == (minimum, quantum)


def test_no_rule_is_invented() -> None:
    assert cache_rule("mistral-large", TODAY) is None
    assert cache_rule("gpt-4o", dt.date(2024, 9, 30)) is None


def test_each_rule_names_its_source() -> None:
    assert all(rule.source.startswith("https://") for rule in CACHE_RULES)
