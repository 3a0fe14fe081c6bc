"""Mediation of one source and day: list, read, deduplicate, account for every record, write.

Here it is decided which objects a day reads, and whether it has to read them; what becomes of them, in ``making``.
"""

import datetime as dt
import shutil
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from finops_pipeline.alive import own_folder
from finops_pipeline.config.model import Config, Source
from finops_pipeline.formats.registry import format_of
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.leases import PATIENCE
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.mediation.layout import Clock, Keys, Layout
from finops_pipeline.mediation.listed import Objects
from finops_pipeline.mediation.making import Making, input_digest
from finops_pipeline.mediation.objects import ObjectStore, open_store
from finops_pipeline.mediation.records import CLOCK_SKEW
from finops_pipeline.mediation.result import DayResult, told_before
from finops_pipeline.mediation.strays import stray_files
from finops_pipeline.schemas import USAGE

__all__ = ["DayResult", "clock_of", "mediate_day", "survey"]


def mediate_day(
    config: Config,
    source: Source,
    day: dt.date,
    *,
    lake: Lake,
    run: str,
    now: dt.datetime,
    force: bool = False,
) -> DayResult:
    """Make ``usage`` of one source and day from its raw logs, unless its inputs have not changed.

    Args:
        config: The whole configuration.
        source: The source to read.
        day: The UTC day.
        lake: Where the tables are.
        run: Name of the run, kept in the files.
        now: The present, UTC; records after it are quarantined.
        force: Read and write even where the inputs have not changed.

    Raises:
        SourceError: the source cannot be listed or read.
        ConservationError: the account does not balance; nothing is written.
        LeaseHeldError: another run is writing this day, and has not finished in time.
        LakeError: the lake cannot be written.
    """
    fmt, key = format_of(source), FingerprintKey.from_environment()
    store = open_store(config, source, fmt.layout.base(source.uri))
    keys, roots = survey(run, fmt.layout, store, source.uri)
    clock = clock_of(config, source)
    partition: dict[str, Any] = {"source": source.name, "date": day}

    def listed() -> Objects:
        return Objects(keys.day_objects(store, day, clock, roots), day)

    def is_current(made: Stamp, objects: Objects, strays: Mapping[str, str]) -> bool:
        """Whether nothing has changed since the day was made."""
        inputs = input_digest(config, source, fmt, key, objects, strays)
        return not force and made.notes.get("inputs") == inputs and not _overtaken(made.notes, now)

    # In this order: what another run makes after we have looked is then seen to be newer than our listing.
    before, objects = lake.stamp(USAGE, **partition), listed()
    if before is not None and is_current(before, objects, stray_files(lake, source.name, day)):
        return told_before(before.notes)
    with lake.lease(USAGE, wait=PATIENCE, **partition):
        made = lake.stamp(USAGE, **partition)
        if made != before:  # another run has just made the day, perhaps from objects that are newer
            objects = listed()
        strays = stray_files(lake, source.name, day)
        if made is not None and is_current(made, objects, strays):
            return told_before(made.notes)
        folder = own_folder("finops-logs")
        try:
            making = Making(config, source, day, lake, run, now, fmt, key)
            return making.make(store, objects, strays, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def clock_of(config: Config, source: Source) -> Clock:
    """How the source's keys tell time."""
    return Clock(ZoneInfo(source.key_timezone), dt.timedelta(hours=config.grace_hours), first_day=config.start_date)


@lru_cache(maxsize=32)
def survey(run: str, layout: Layout, store: ObjectStore, uri: str) -> tuple[Keys, tuple[str, ...]]:
    """How the source's keys tell time and which folders hold them: looked up once a run, since folders may be many."""
    return layout.survey(store, uri)


def _overtaken(notes: Mapping[str, Any], now: dt.datetime) -> bool:
    """Whether a record that was refused because it lay in the future lies there no more."""
    until = notes.get("refused_until")
    return until is not None and dt.datetime.fromisoformat(until) <= now + CLOCK_SKEW
