"""Which objects a day reads: from the dates and hours in object keys to listings.

A layout knows how a format's keys spell their time. Times in keys are the delivery's, not the record's: where keys
carry an hour, a day reads its own keys and the neighbours' within ``grace_hours``; where they carry a date only, its
own keys only. What a key's day finds that no window of the record's own day would reach is a stray (``placing.py``).
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol
from zoneinfo import ZoneInfo

from finops_pipeline.errors import SourceError
from finops_pipeline.mediation.objects import ObjectRef, ObjectStore

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
INSTANT_STEP = dt.timedelta(microseconds=1)

MAX_DEPTH = 10
"""Folders between the uri and the date, at most."""

LISTINGS = 8
"""Listings under way at once."""

HALF_A_DAY = 12
"""From this many hours of a date on, one listing of the whole date is cheaper than a listing an hour."""


@dataclass(frozen=True)
class Clock:
    """How a source's keys tell time: their zone, and how far a record may lie from its key."""

    zone: ZoneInfo
    grace: dt.timedelta

    def span(self, day: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """The instants whose keys ``day`` reads, half-open."""
        start = dt.datetime.combine(day, dt.time(), dt.UTC)
        return start - self.grace, start + DAY + self.grace

    def instant(self, local: dt.datetime) -> dt.datetime:
        return local.replace(tzinfo=self.zone).astimezone(dt.UTC)


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

    def base(self, uri: str) -> str:
        """The part of the uri that keys are relative to."""

    def survey(self, store: ObjectStore, uri: str) -> tuple[Keys, tuple[str, ...]]:
        """How the keys spell their time, and the paths below the base that hold the dates, sorted."""


@dataclass(frozen=True)
class DatedKeys:
    """Keys with a date, and perhaps an hour, below folders that are found by delimiter listing.

    Attributes:
        date_folder: Matches the name of the first folder of the date; what holds such a folder is a root.
        key_time: Finds the time in a key, by groups ``y m d`` and perhaps ``h``.
        day_prefix: ``strftime`` pattern of a day's keys below a root.
        hour_prefixes: ``strftime`` patterns of an hour's keys below a root; none where keys carry a date only.
        root: What a root's path must look like; any where None.
        is_log: Whether a key is a log object at all.
    """

    date_folder: re.Pattern[str]
    key_time: re.Pattern[str]
    day_prefix: str
    hour_prefixes: tuple[str, ...] = ()
    root: re.Pattern[str] | None = None
    is_log: Callable[[str], bool] = lambda _key: True

    def base(self, uri: str) -> str:
        return uri

    def survey(self, store: ObjectStore, uri: str) -> tuple[Keys, tuple[str, ...]]:
        return self, tuple(sorted(path for path, _ in dated_folders(store, self.date_folder) if self._is_root(path)))

    def _is_root(self, path: str) -> bool:
        return self.root is None or self.root.search(path) is not None

    def place(self, ref: ObjectRef, clock: Clock) -> Placed | None:
        found = self.key_time.search(ref.key)
        if found is None or not self.is_log(ref.key):
            return None
        hour = found.groupdict().get("h")
        try:
            local = dt.datetime(int(found["y"]), int(found["m"]), int(found["d"]), int(hour or 0))  # noqa: DTZ001
        except ValueError:
            return None
        if hour is None:
            own_day = local.date()
            start, end = clock.instant(local), clock.instant(local + DAY)
        else:
            own_day = clock.instant(local).date()
            start, end = clock.instant(local) - clock.grace, clock.instant(local) + HOUR + clock.grace
        return Placed(ref, own_day, min(start.date(), own_day), max((end - INSTANT_STEP).date(), own_day))

    def prefixes(self, day: dt.date, clock: Clock) -> list[str]:
        """What to list below each root so that every object of the day's window is among it."""
        if not self.hour_prefixes:
            # A local date overlaps the neighbouring UTC days where the zone is not UTC.
            spread = (0,) if clock.zone.key == "UTC" else (-1, 0, 1)
            return [(day + n * DAY).strftime(self.day_prefix) for n in spread]
        start, end = clock.span(day)
        hours: dict[dt.date, dict[int, dt.datetime]] = {}
        moment = start - HOUR  # zones whose offset is no whole hour begin inside the hour before
        while moment < end:
            local = moment.astimezone(clock.zone)
            hours.setdefault(local.date(), {})[local.hour] = local
            moment += HOUR
        found = []
        for date, by_hour in sorted(hours.items()):
            if len(by_hour) >= HALF_A_DAY:
                found.append(date.strftime(self.day_prefix))
            else:
                found += [local.strftime(p) for _, local in sorted(by_hour.items()) for p in self.hour_prefixes]
        return found

    def day_objects(self, store: ObjectStore, day: dt.date, clock: Clock, roots: tuple[str, ...]) -> Iterator[Placed]:
        prefixes = [root + prefix for root in roots for prefix in self.prefixes(day, clock)]
        # A listing is a wait for the store: many teams' folders are many waits, so they are waited for together.
        with ThreadPoolExecutor(LISTINGS) as pool:
            for refs in pool.map(lambda prefix: list(store.objects(prefix)), prefixes):
                for ref in refs:
                    placed = self.place(ref, clock)
                    if placed is not None and placed.read_by(day):
                        yield placed


NAME_DATE = re.compile(r"(?<!\d)(?P<y>20\d\d)[-_/]?(?P<m>\d\d)[-_/]?(?P<d>\d\d)(?!\d)")


@dataclass(frozen=True)
class NamedKeys:
    """Keys that carry a date somewhere in their names, or none: those are read for each day."""

    def place(self, ref: ObjectRef, clock: Clock) -> Placed | None:
        for found in NAME_DATE.finditer(ref.key):
            try:
                local = dt.datetime(int(found["y"]), int(found["m"]), int(found["d"]))  # noqa: DTZ001
            except ValueError:
                continue
            start, end = clock.instant(local), clock.instant(local + DAY)
            own_day = local.date()
            return Placed(ref, own_day, min(start.date(), own_day), max((end - INSTANT_STEP).date(), own_day))
        return Placed(ref, ref.modified.astimezone(dt.UTC).date(), None, None)

    def day_objects(self, store: ObjectStore, day: dt.date, clock: Clock, roots: tuple[str, ...]) -> Iterator[Placed]:
        for root in roots:
            for ref in store.objects(root):
                placed = self.place(ref, clock)
                if placed is not None and placed.read_by(day):
                    yield placed


TEMPLATE_FIELDS = {"yyyy": "%Y", "mm": "%m", "dd": "%d", "hh": "%H"}

_GROUPS = {
    "yyyy": r"(?P<y>\d{4})", "mm": r"(?P<m>\d{2})", "dd": r"(?P<d>\d{2})", "hh": r"(?P<h>\d{2})",
}  # fmt: skip


@dataclass(frozen=True)
class OpenLayout:
    """For formats without a layout of their own: the user's.

    A template ``{yyyy} {mm} {dd} {hh}`` in the uri, else ``date=`` or ``dt=`` folders (with ``hour=`` perhaps), else
    dates in names, else everything is read for each day.
    """

    def base(self, uri: str) -> str:
        return uri[: uri.index("{")].rpartition("/")[0] if "{" in uri else uri

    def survey(self, store: ObjectStore, uri: str) -> tuple[Keys, tuple[str, ...]]:
        if "{" in uri:
            return _template(uri, self.base(uri)), ("",)
        dated = list(dated_folders(store, re.compile(r"(date|dt)=\d{4}-\d{2}-\d{2}")))
        if not dated:
            return NamedKeys(), ("",)
        word = dated[0][1].partition("=")[0]
        with_hours = any(n.startswith("hour=") for n in store.folders(f"{dated[0][0]}{dated[0][1]}/"))
        keys = DatedKeys(
            date_folder=re.compile(rf"{word}=\d{{4}}-\d{{2}}-\d{{2}}"),
            key_time=re.compile(
                rf"(?:^|/){word}=(?P<y>\d{{4}})-(?P<m>\d\d)-(?P<d>\d\d)/" + (r"(?:hour=(?P<h>\d\d)/)?" * with_hours)
            ),
            day_prefix=f"{word}=%Y-%m-%d/",
            hour_prefixes=(f"{word}=%Y-%m-%d/hour=%H/",) * with_hours,
        )
        return keys, tuple(sorted({path for path, _ in dated}))


def _template(uri: str, base: str) -> DatedKeys:
    rest = uri[len(base) :].lstrip("/")
    unknown = [f for f in re.findall(r"\{([^}]*)\}?", rest) if f not in TEMPLATE_FIELDS]
    if unknown or not all("{" + f + "}" in rest for f in ("yyyy", "mm", "dd")):
        raise SourceError(f"{uri}: a template needs {{yyyy}}, {{mm}} and {{dd}}, and may have {{hh}}; nothing else.")
    pattern, prefix, seen = re.escape(rest).replace(r"\{", "{").replace(r"\}", "}"), rest.replace("%", "%%"), set()
    for name, group in _GROUPS.items():
        field = "{" + name + "}"
        pattern = pattern.replace(field, group, 1).replace(field, group.partition(">")[2].rstrip(")"))
        prefix = prefix.replace(field, TEMPLATE_FIELDS[name])
        seen |= {name} if field in rest else set()
    day_prefix = prefix.partition("%H")[0]
    return DatedKeys(
        date_folder=re.compile("(?!)"),
        key_time=re.compile("^" + pattern),
        day_prefix=day_prefix,
        hour_prefixes=(prefix,) if "hh" in seen else (),
    )


def dated_folders(store: ObjectStore, date_folder: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Paths (with a slash at the end, or empty) that hold folders named like dates, each with the first of those."""
    level = [""]
    for _ in range(MAX_DEPTH):
        below = []
        for path in level:
            names = store.folders(path)
            dates = [name for name in names if date_folder.fullmatch(name)]
            if dates:
                yield path, dates[0]
            below += [f"{path}{name}/" for name in names if not date_folder.fullmatch(name)]
        level = below
