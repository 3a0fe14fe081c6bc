"""What a day's mediation did: told to who asked for it, and kept in the stamp of the day's usage."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DayResult:
    """What a day's mediation did.

    Attributes:
        changed: False where the inputs are those of the last run: nothing was read then.
        objects, lines, records: What was read for the day, the neighbours' share included.
        outcomes: What became of the records (``schemas.OUTCOMES``); they sum to ``records``.
        conflicts: Duplicates that say something else than the record that is kept.
        retries: Requests to the store that had to be made again.
        near_duplicates: Usage that is like another call within a moment, under another id.
        stray_days: Days that were handed records by this run, and need a run of their own.
        warnings: What a person should know, in sentences.
    """

    changed: bool
    objects: int
    lines: int
    records: int
    outcomes: dict[str, int]
    stray_days: tuple[dt.date, ...]
    warnings: tuple[str, ...]
    conflicts: int = 0
    near_duplicates: int = 0
    retries: int = 0


def notes_of(result: DayResult) -> dict[str, object]:
    """A result as JSON values."""
    return {
        "objects": result.objects,
        "lines": result.lines,
        "records": result.records,
        "outcomes": result.outcomes,
        "conflicts": result.conflicts,
        "near_duplicates": result.near_duplicates,
        "retries": result.retries,
        "stray_days": [str(day) for day in result.stray_days],
        "warnings": list(result.warnings),
    }


def told_before(notes: Mapping[str, Any]) -> DayResult:
    """What the run that made the day said of it."""
    return DayResult(
        changed=False,
        objects=notes["objects"],
        lines=notes["lines"],
        records=notes["records"],
        outcomes=notes["outcomes"],
        stray_days=tuple(dt.date.fromisoformat(day) for day in notes["stray_days"]),
        warnings=tuple(notes["warnings"]),
        conflicts=notes.get("conflicts", 0),
        near_duplicates=notes.get("near_duplicates", 0),
        retries=notes.get("retries", 0),
    )
