"""What can still be made after a range run has failed in part: pure, shared by the runner and the daemon's sensor.

Dagster skips every step below a failed one, for all partitions of the run. Here the complete days are found again, so
that one bad day of one source holds no other day up.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from finops_pipeline.days import ONE_DAY

AssetDay: TypeAlias = tuple[str, dt.date]


WATCHING = ("budget_status", "budget_alerts", "savings")
"""Daily assets that look at other days too: made last, so that late records have reached their days before."""


@dataclass(frozen=True)
class Stretch:
    """Assets to be made together for consecutive days, ``first`` to ``last`` both included."""

    assets: tuple[str, ...]
    first: dt.date
    last: dt.date


def daily_upstream(sources: Iterable[str], *, allow_partial: bool = False) -> dict[str, tuple[str, ...]]:
    """For each daily asset, in order from the source down, the assets that it reads on the same day.

    With ``allow_partial`` the pricing waits for no source.
    """
    usage = [f"usage/{source}" for source in sources]
    waits_for = () if allow_partial else tuple(usage)
    return {
        **dict.fromkeys(usage, ()),
        "priced_usage": waits_for,
        "daily_costs": ("priced_usage",),
        "budget_status": ("daily_costs",),
        "budget_alerts": ("budget_status",),
        "savings": ("priced_usage",),
    }


def runnable_stretches(
    upstream: Mapping[str, Sequence[str]], pending: Iterable[AssetDay], done: Iterable[AssetDay]
) -> list[Stretch]:
    """The pending partitions whose inputs are there, as few runs as consecutive days allow.

    Args:
        upstream: For each daily asset, in order from the source down, those that it reads on the same day.
        pending: Partitions that were planned and have not been tried.
        done: Partitions that have been made or found unchanged.
    """
    waiting, made = set(pending), set(done)
    by_day: dict[dt.date, tuple[str, ...]] = {}
    for day in sorted({day for _, day in waiting}):
        ready: list[str] = []
        for asset, inputs in upstream.items():
            if (asset, day) in waiting and all((i, day) in made or i in ready for i in inputs):
                ready.append(asset)
        if ready:
            by_day[day] = tuple(ready)
    found: list[Stretch] = []
    for day, assets in by_day.items():
        if found and found[-1].assets == assets and found[-1].last + ONE_DAY == day:
            found[-1] = Stretch(assets, found[-1].first, day)
        else:
            found.append(Stretch(assets, day, day))
    return found
