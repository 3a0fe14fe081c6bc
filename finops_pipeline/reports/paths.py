"""What the files of a month's reports are called, relative to their folder: fit for any file system and any URL."""

import hashlib
import re
import unicodedata

INDEX = "index.html"
"""The month's page."""

TEAMS = "teams"
"""Folder of the teams' pages."""

_LONGEST = 40
"""Characters of the readable part."""


def team_file(team: str) -> str:
    """``teams/data-platform-1f0c9a2e.html``: another team's is another, whatever their names have in common."""
    return f"{TEAMS}/{team_slug(team)}.html"


def team_slug(team: str) -> str:
    """What can be read of a name in a-z, 0-9 and hyphens, and eight digits of the SHA-256 of all of it."""
    plain = unicodedata.normalize("NFKD", team[: 4 * _LONGEST]).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST].strip("-") or "team"
    return f"{readable}-{hashlib.sha256(team.encode()).hexdigest()[:8]}"
