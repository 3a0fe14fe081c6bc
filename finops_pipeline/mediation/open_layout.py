"""The layout of formats that have none of their own, or not always: the user's.

Which objects a day reads, where keys are dated by a template in the source's uri, by ``date=`` or ``dt=`` folders, by
dates in names, or not at all. How dates become days and listings stands in ``layout``.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

from finops_pipeline.errors import SourceError
from finops_pipeline.mediation.layout import Clock, DatedKeys, Keys, Placed, dated_folders, days_of_date
from finops_pipeline.mediation.objects import ObjectRef, ObjectStore

NAME_DATE = re.compile(r"(?<!\d)(?P<y>20\d\d)[-_/]?(?P<m>\d\d)[-_/]?(?P<d>\d\d)(?!\d)")
FOLDER_DATE = re.compile(r"(?:date|dt)=\d{4}-\d\d-\d\d")
"""Folders named by a date, as Hive and Spark write them."""


@dataclass(frozen=True)
class NamedKeys:
    """Keys that carry a date somewhere, the last one if they have several, or none: those are read for each day.

    An object without a date belongs to the first day of the lake: whatever is said of it once is said there. Folders
    (keys that end with a slash) are no logs, nor are markers without a date (names that begin with ``_`` or ``.``).
    """

    def place(self, ref: ObjectRef, clock: Clock) -> Placed | None:
        days = self._days(ref.key, clock)
        return Placed(ref, *days) if days is not None else None

    def _days(self, key: str, clock: Clock) -> tuple[dt.date, dt.date | None, dt.date | None] | None:
        if key.endswith("/"):  # a folder, as S3's console makes them
            return None
        for found in reversed(list(NAME_DATE.finditer(key))):
            try:
                local = dt.datetime(int(found["y"]), int(found["m"]), int(found["d"]))  # noqa: DTZ001
            except ValueError:
                continue
            return days_of_date(local, clock)
        return None if _is_marker(key) else (clock.first_day, None, None)

    def is_read(self, key: str, day: dt.date, clock: Clock) -> bool:
        """Whether the run of ``day`` reads an object of this key."""
        days = self._days(key, clock)
        if days is None:
            return False
        _, first, last = days
        return first is None or last is None or first <= day <= last

    def day_objects(self, store: ObjectStore, day: dt.date, clock: Clock, roots: tuple[str, ...]) -> Iterator[Placed]:
        for root in roots:
            yield from self._placed(store.objects(root, lambda key: self.is_read(key, day, clock)), clock)

    def files_of(self, store: ObjectStore, day: dt.date, clock: Clock, folder: str) -> Iterator[Placed]:
        """The objects directly in a folder that the run of ``day`` reads."""
        yield from self._placed(store.files(folder, lambda key: self.is_read(key, day, clock)), clock)

    def _placed(self, refs: Iterator[ObjectRef], clock: Clock) -> Iterator[Placed]:
        for ref in refs:
            placed = self.place(ref, clock)
            if placed is not None:
                yield placed


@dataclass(frozen=True)
class FolderKeys:
    """Keys in folders named by dates, and files that lie beside such folders.

    Attributes:
        dated: How the date folders spell time.
        beside: Paths outside date folders that hold files themselves: those are dated by their names, or not at all.
    """

    dated: DatedKeys
    beside: tuple[str, ...]

    def place(self, ref: ObjectRef, clock: Clock) -> Placed | None:
        in_date = self.dated.key_time.search(ref.key) is not None
        return self.dated.place(ref, clock) if in_date else NamedKeys().place(ref, clock)

    def day_objects(self, store: ObjectStore, day: dt.date, clock: Clock, roots: tuple[str, ...]) -> Iterator[Placed]:
        yield from self.dated.day_objects(store, day, clock, roots)
        for folder in self.beside:
            yield from NamedKeys().files_of(store, day, clock, folder)


TEMPLATE_FIELDS = {"yyyy": "%Y", "mm": "%m", "dd": "%d", "hh": "%H"}

_GROUPS = {
    "yyyy": r"(?P<y>\d{4})", "mm": r"(?P<m>\d{2})", "dd": r"(?P<d>\d{2})", "hh": r"(?P<h>\d{2})",
}  # fmt: skip


@dataclass(frozen=True)
class OpenLayout:
    """For formats without a layout of their own: the user's.

    A template ``{yyyy} {mm} {dd} {hh}`` in the uri, else ``date=`` and ``dt=`` folders (with ``hour=`` perhaps) and the
    files beside them, else dates in names, else everything is read for each day.
    """

    def base(self, uri: str) -> str:
        return uri[: uri.index("{")].rpartition("/")[0] if "{" in uri else uri

    def survey(self, store: ObjectStore, uri: str) -> tuple[Keys, tuple[str, ...]]:
        if "{" in uri:
            return _template(uri, self.base(uri)), ("",)
        paths = list(dated_folders(store, FOLDER_DATE))
        dated = [(path, dates) for path, dates in paths if dates]
        if not dated:
            return NamedKeys(), ("",)
        beside = tuple(sorted(path for path, _ in paths if next(store.files(path, _may_be_log), None) is not None))
        words = sorted({date.partition("=")[0] for _, dates in dated for date in dates})
        # Writers change: hours are looked for in the oldest and in the newest folder.
        with_hours = any(
            name.startswith("hour=")
            for path, dates in dated
            for date in {dates[0], dates[-1]}
            for name in store.folders(f"{path}{date}/")
        )
        keys = DatedKeys(
            date_folder=FOLDER_DATE,
            key_time=re.compile(
                r"(?:^|/)(?:date|dt)=(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)/" + (r"(?:hour=(?P<h>\d\d)/)?" * with_hours)
            ),
            day_prefixes=tuple(f"{word}=%Y-%m-%d/" for word in words),
            hour_prefixes=tuple(f"{word}=%Y-%m-%d/hour=%H/" for word in words) * with_hours,
        )
        return FolderKeys(keys, beside), tuple(sorted({*beside, *(path for path, _ in dated)}))


@dataclass(frozen=True)
class OwnLayout:
    """For formats with dated folders of their own, whose logs may lie elsewhere too: there, the open rule holds.

    Attributes:
        dated: How the format's own folders spell time.
        passed_over: Names of folders that hold other logs: they are not looked into where the format's own are found
            without them.
    """

    dated: DatedKeys
    passed_over: re.Pattern[str] | None = None

    def base(self, uri: str) -> str:
        return OpenLayout().base(uri)

    def survey(self, store: ObjectStore, uri: str) -> tuple[Keys, tuple[str, ...]]:
        if "{" not in uri:
            for passed_over in dict.fromkeys((self.passed_over, None)):
                paths = dated_folders(store, self.dated.date_folder, passed_over)
                roots = tuple(sorted(path for path, dates in paths if dates))
                if roots:
                    return self.dated, roots
        return OpenLayout().survey(store, uri)


def _is_marker(key: str) -> bool:
    return key.rpartition("/")[2][:1] in ("", "_", ".")


def _may_be_log(key: str) -> bool:
    return not _is_marker(key) or (not key.endswith("/") and NAME_DATE.search(key) is not None)


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
        day_prefixes=(day_prefix,),
        hour_prefixes=(prefix,) if "hh" in seen else (),
    )
