"""What a source holds, by its listing alone: for `finops check`, before anything is read."""

import datetime as dt
from dataclasses import dataclass

from finops_pipeline.config.model import Config, Source
from finops_pipeline.formats.registry import format_of
from finops_pipeline.mediation.day import clock_of
from finops_pipeline.mediation.objects import open_store

LOOKED_AT = 100_000
"""Objects after which the listing stops: enough to tell that a source is there and what it covers."""


@dataclass(frozen=True)
class Coverage:
    """What a source's listing shows.

    Attributes:
        objects: Log objects found.
        complete: Whether that is all of them; False where the listing stopped at ``LOOKED_AT``.
        first_day, last_day: Of the dates in their keys; None where there are no objects.
        newest: When the store last received one.
        undated: Objects whose keys carry no date.
    """

    objects: int
    complete: bool
    first_day: dt.date | None
    last_day: dt.date | None
    newest: dt.datetime | None
    undated: int


def coverage(config: Config, source: Source) -> Coverage:
    """List a source.

    Raises:
        SourceError: it cannot be listed, with the way out.
    """
    layout = format_of(source).layout
    store = open_store(config, source, layout.base(source.uri))
    keys, roots = layout.survey(store, source.uri)
    clock = clock_of(config, source)
    days: set[dt.date] = set()
    objects, undated, newest = 0, 0, None
    for root in (r for r in roots if not any(r != outer and r.startswith(outer) for outer in roots)):
        for ref in store.objects(root):
            placed = keys.place(ref, clock)
            if placed is None:
                continue
            if objects == LOOKED_AT:
                return Coverage(objects, False, min(days, default=None), max(days, default=None), newest, undated)
            objects += 1
            newest = max(newest, ref.modified) if newest else ref.modified
            if placed.first_day is None:
                undated += 1
            else:
                days.add(placed.own_day)
    return Coverage(objects, True, min(days, default=None), max(days, default=None), newest, undated)
