"""What a month's costs lack: days, sources of a day, usage that came after, hours of a day that was not over.

Decided from what the files of the lake say of their making; no rows are read here.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.schemas import DAILY_COSTS, PRICED_USAGE, USAGE


@dataclass(frozen=True)
class Completeness:
    """What the month should hold, and what it lacks.

    Attributes:
        expected_days: Days that the month should have: all of it, from the config's start date on.
        missing_days: Days among them without any costs: not run yet, or failed.
        partial_days: Days whose costs are without some sources, with the names of these.
        stale_days: Days whose usage is newer than their costs: they could not be priced or rolled up since.
        unfinished_days: Days whose costs were made before the day was over.
        sources: The sources of the config, and those that it no longer has and that have usage in the month.
    """

    expected_days: tuple[dt.date, ...]
    missing_days: tuple[dt.date, ...] = ()
    partial_days: tuple[tuple[dt.date, tuple[str, ...]], ...] = ()
    stale_days: tuple[dt.date, ...] = ()
    unfinished_days: tuple[dt.date, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not (self.missing_days or self.partial_days or self.stale_days or self.unfinished_days)


@dataclass(frozen=True)
class DayFiles:
    """What the lake's files of one day say of their making.

    Attributes:
        usage: By source; a source that has none stands not here.
        priced: None where the day is not priced.
        costs: None where it is not rolled up.
    """

    usage: Mapping[str, Stamp]
    priced: Stamp | None
    costs: Stamp | None

    @property
    def priced_sources(self) -> Mapping[str, str]:
        """Sources that are in the costs, with the digests of their usage at that time."""
        sources = None if self.costs is None else self.costs.notes.get("sources")
        return sources if isinstance(sources, dict) else {}

    @property
    def stale(self) -> bool:
        """Whether the costs were made from something else than what is there now."""
        if self.costs is None:
            return False
        if "sources" not in self.costs.notes:  # written by a version that did not keep them
            return True
        newer_usage = any(
            self.priced_sources.get(source, stamp.input_digest) != stamp.input_digest
            for source, stamp in self.usage.items()
        )
        newer_prices = self.priced is not None and self.priced.input_digest != self.costs.notes.get("priced_usage")
        return newer_usage or newer_prices

    @property
    def unfinished(self) -> bool:
        """Whether the costs were made before the day was over."""
        return self.costs is not None and bool(self.costs.notes.get("unfinished"))


def files_of(lake: Lake, days: Collection[dt.date]) -> dict[dt.date, DayFiles]:
    """What the lake says of each day.

    Raises:
        LakeError: a file is there and cannot be read.
    """
    usage: dict[dt.date, dict[str, Stamp]] = {day: {} for day in days}
    for part, stamp in lake.stamps(USAGE, date=days):
        usage[part.date][part.keys["source"]] = stamp
    priced, costs = (
        {part.date: stamp for part, stamp in lake.stamps(table, date=days)} for table in (PRICED_USAGE, DAILY_COSTS)
    )
    return {day: DayFiles(usage[day], priced.get(day), costs.get(day)) for day in days}


def usage_of(lake: Lake, day: dt.date) -> dict[str, Stamp]:
    """The stamps of a day's ``usage``, by source: of all that the lake has, configured or not."""
    return {part.keys["source"]: stamp for part, stamp in lake.stamps(USAGE, date=day)}


def completeness_of(days: Mapping[dt.date, DayFiles], configured: Iterable[str]) -> Completeness:
    """What the costs of these days lack.

    A source is missing on a day when its usage is not in the day's costs, although the config names it or the lake has
    usage of it: also one that was added to the config after the day was priced.

    Args:
        days: The days that the month should have, in order.
        configured: The sources of the config.
    """
    configured = tuple(configured)
    with_costs = {day: files for day, files in days.items() if files.costs is not None}
    without = {
        day: tuple(sorted({*configured, *files.usage} - set(files.priced_sources)))
        for day, files in with_costs.items()
        if files.costs is not None and "sources" in files.costs.notes
    }
    with_usage = {source for files in days.values() for source in files.usage}
    return Completeness(
        expected_days=tuple(days),
        missing_days=tuple(day for day in days if day not in with_costs),
        partial_days=tuple((day, names) for day, names in without.items() if names),
        stale_days=tuple(day for day, files in with_costs.items() if files.stale),
        unfinished_days=tuple(day for day, files in with_costs.items() if files.unfinished),
        sources=tuple(sorted({*configured, *with_usage})),
    )
