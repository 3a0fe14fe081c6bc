"""Which objects a day reads: from the dates and hours in object keys to listings.

A layout knows how a format's keys spell their time. Times in keys are the delivery's, not the record's: where keys
carry an hour, a day reads its own keys and the neighbours' within ``grace_hours``; where they carry a date only, its
own keys only. What a key's day finds that no window of the record's own day would reach is a stray (``buckets.py``).
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import polars as pl

from finops_pipeline.errors import SourceError
from finops_pipeline.mediation.ahead import in_order
from finops_pipeline.mediation.objects import ObjectRef, ObjectStore
from finops_pipeline.schemas import INSTANT

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
INSTANT_STEP = dt.timedelta(microseconds=1)

MAX_DEPTH = 16
"""Folders between the uri and the date, at most: Azure's resource ids alone are nine."""

LISTINGS = 8
"""Listings under way at once."""

LISTED = 10_000
"""Objects of a listing that become columns at once."""

HALF_A_DAY = 12
"""From this many hours of a date on, one listing of the whole date is cheaper than a listing an hour."""


@dataclass(frozen=True)
class Clock:
    """How a source's keys tell time.

    Attributes:
        zone: The zone of dates and hours in keys.
        grace: How far a record may lie from its key's hour.
        first_day: The day that objects without a date belong to: the first of the lake.
    """

    zone: ZoneInfo
    grace: dt.timedelta
    first_day: dt.date

    def span(self, start: dt.datetime, end: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
        """The UTC instants from one local time to another, half-open.

        Local times that a clock shows twice, or never, when it changes are taken in both of their readings.
        """
        return min(self._readings(start)), max(self._readings(end))

    def _readings(self, local: dt.datetime) -> list[dt.datetime]:
        return [local.replace(tzinfo=self.zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1)]


@dataclass(frozen=True)
class Placed:
    """An object with its place in time.

    Attributes:
        ref: The object.
        own_day: The UTC day that the key belongs to.
        first_day, last_day: The UTC days whose runs read this object; None where every day does.
    """

    ref: ObjectRef
    own_day: dt.date
    first_day: dt.date | None
    last_day: dt.date | None

    def read_by(self, day: dt.date) -> bool:
        return self.first_day is None or self.last_day is None or self.first_day <= day <= self.last_day


class Keys(Protocol):
    """How the keys below a source's roots spell their time."""

    def place(self, ref: ObjectRef, clock: Clock) -> Placed | None:
        """The object's place in time; None where the key is no log's."""

    def day_objects(self, store: ObjectStore, day: dt.date, clock: Clock, roots: tuple[str, ...]) -> Iterator[Placed]:
        """The objects that the run of ``day`` reads."""


class Layout(Protocol):
    """Where a format's objects lie."""

    def __hash__(self) -> int: ...

    def base(self, uri: str) -> str:
        """The part of the uri that keys are relative to."""

    def survey(self, store: ObjectStore, uri: str) -> tuple[Keys, tuple[str, ...]]:
        """How the keys spell their time, and the paths below the base that hold the dates, sorted."""


@dataclass(frozen=True)
class DatedKeys:
    """Keys with a date, and perhaps an hour, below folders that are found by delimiter listing.

    Where keys carry an hour, one that has none belongs to its date and to no other day: what it holds beside that
    day is strays.

    Attributes:
        date_folder: Matches the name of the first folder of the date; what holds such a folder is a root.
        key_time: Finds the time in a key, by groups ``y m d`` and perhaps ``h``.
        day_prefixes: ``strftime`` patterns of a day's keys below a root.
        hour_prefixes: ``strftime`` patterns of an hour's keys below a root; none where keys carry a date only.
        root: What a root's path must look like; any where None.
        is_log: Whether a key is a log object at all.
    """

    date_folder: re.Pattern[str]
    key_time: re.Pattern[str]
    day_prefixes: tuple[str, ...]
    hour_prefixes: tuple[str, ...] = ()
    root: re.Pattern[str] | None = None
    is_log: Callable[[str], bool] = lambda _key: True

    def base(self, uri: str) -> str:
        return uri

    def survey(self, store: ObjectStore, uri: str) -> tuple[Keys, tuple[str, ...]]:
        self._check(uri)
        found = sorted(path for path, dates in dated_folders(store, self.date_folder) if dates)
        if self.root is None:
            return self, tuple(found)
        pattern, above = self.root, uri.rstrip("/")
        # A copy of a root under another name is taken too, where there is nothing else.
        return self, tuple(p for p in found if pattern.search(f"{above}/{p}")) or tuple(p for p in found if not p)

    def _check(self, uri: str) -> None:
        parts = uri.rstrip("/").split("/")
        for n in range(1, len(parts)):
            above = "/".join(parts[:n])
            if self.root is not None and self.root.search(f"{above}/"):
                raise SourceError(f"{uri}: lies within the dates of the logs. Point the source's `uri` to {above}.")

    def place(self, ref: ObjectRef, clock: Clock) -> Placed | None:
        found = self.key_time.search(ref.key)
        if found is None or not self.is_log(ref.key):
            return None
        hour = found.groupdict().get("h")
        try:
            local = dt.datetime(int(found["y"]), int(found["m"]), int(found["d"]), int(hour or 0))  # noqa: DTZ001
            if hour is not None:
                return Placed(ref, *self._days_of_hour(local, clock))
            if self.hour_prefixes:
                return Placed(ref, local.date(), local.date(), local.date())
            return Placed(ref, *days_of_date(local, clock))
        except (ValueError, OverflowError):  # no date, or one at the end of time
            return None

    def _days_of_hour(self, local: dt.datetime, clock: Clock) -> tuple[dt.date, dt.date, dt.date]:
        """The day that an hour of keys belongs to, and the first and the last day that read it."""
        start, end = clock.span(local, local + HOUR)
        first, last = (start - clock.grace).date(), (end + clock.grace - INSTANT_STEP).date()
        return start.date(), first, last

    def prefixes(self, day: dt.date, clock: Clock) -> list[str]:
        """What to list below each root so that every object that ``place`` gives to the day is among it."""
        if not self.hour_prefixes:
            # A local date overlaps the neighbouring UTC days where the zone is not UTC.
            spread = (0,) if clock.zone.key == "UTC" else (-1, 0, 1)
            return [(day + n * DAY).strftime(p) for n in spread for p in self.day_prefixes]
        around = clock.grace // DAY + 2  # zones are up to 14 hours off UTC
        found = []
        for n in range(-around, around + 1):
            midnight = dt.datetime.combine(day + n * DAY, dt.time())
            hours = [midnight + h * HOUR for h in range(24)]
            read = [hour for hour in hours if self._is_read(hour, day, clock)]
            # The day's own date is listed whole for its keys without an hour.
            whole = midnight.date() == day or len(read) >= HALF_A_DAY
            moments, patterns = ([midnight], self.day_prefixes) if whole else (read, self.hour_prefixes)
            found += [moment.strftime(pattern) for moment in moments for pattern in patterns]
        return found

    def _is_read(self, hour: dt.datetime, day: dt.date, clock: Clock) -> bool:
        _, first, last = self._days_of_hour(hour, clock)
        return first <= day <= last

    def day_objects(self, store: ObjectStore, day: dt.date, clock: Clock, roots: tuple[str, ...]) -> Iterator[Placed]:
        prefixes = [root + prefix for root in roots for prefix in self.prefixes(day, clock)]
        # A listing is a wait for the store: many teams' folders are many waits, so they are waited for together.
        with ThreadPoolExecutor(LISTINGS) as pool:
            for refs in in_order(lambda prefix: pool.submit(_listed, store, prefix), prefixes, held=2 * LISTINGS):
                for ref in _refs(refs):
                    placed = self.place(ref, clock)
                    if placed is not None and placed.read_by(day):
                        yield placed


def _listed(store: ObjectStore, prefix: str) -> list[pl.DataFrame]:
    """A listing, a column for each thing: a third of what the objects take that Python has for it."""
    refs = store.objects(prefix)
    chunks = iter(lambda: list(islice(((r.key, r.size, r.etag, r.modified) for r in refs), LISTED)), [])
    columns: dict[str, Any] = {"key": pl.String, "size": pl.Int64, "etag": pl.String, "modified": INSTANT}
    return [pl.DataFrame(chunk, schema=columns, orient="row") for chunk in chunks]


def _refs(listed: list[pl.DataFrame]) -> Iterator[ObjectRef]:
    for frame in listed:
        yield from (ObjectRef(*row) for row in frame.iter_rows())


def days_of_date(local: dt.datetime, clock: Clock) -> tuple[dt.date, dt.date, dt.date]:
    """The day that a date of keys belongs to, and the first and the last UTC day that it overlaps."""
    start, end = clock.span(local, local + DAY)
    own = local.date()
    return own, min(start.date(), own), max((end - INSTANT_STEP).date(), own)


def dated_folders(
    store: ObjectStore, date_folder: re.Pattern[str], passed_over: re.Pattern[str] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """The paths below the source (each empty or with a slash at its end) that are no date's own, each with its dates.

    Dates are names of folders, sorted; a path may have none. Folders whose names match ``passed_over`` are not listed.
    """
    level = [""]
    for _ in range(MAX_DEPTH):
        below = []
        for path in level:
            names = store.folders(path)
            yield path, [name for name in names if date_folder.fullmatch(name)]
            others = [name for name in names if not date_folder.fullmatch(name)]
            below += [f"{path}{name}/" for name in others if passed_over is None or not passed_over.fullmatch(name)]
        level = below
