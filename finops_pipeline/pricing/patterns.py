"""Patterns of model names as people write them: ``*`` stands for anything, all else for itself, whatever its case."""

import re


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression that matches, whole, what the pattern means: lower-case texts."""
    return re.compile(".*".join(re.escape(part) for part in text.lower().split("*")), re.DOTALL)
