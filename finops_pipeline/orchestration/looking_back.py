"""Which days look back at others, so that they are out of date once those change: without Dagster."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from finops_pipeline.days import ONE_DAY, month_of
from finops_pipeline.lake import Lake
from finops_pipeline.savings.batching import ACTIVITY_DAYS
from finops_pipeline.schemas import BUDGET_STATUS, SAVINGS, Table


@dataclass(frozen=True)
class LaterDays:
    """Days in the lake that come after a changed one and look back at it.

    Attributes:
        budgets: A budget's month to date goes on to the month's end.
        savings: Jobs and repeated prompts are looked for over ``ACTIVITY_DAYS``.
    """

    budgets: frozenset[dt.date]
    savings: frozenset[dt.date]

    def without(self, days: Collection[dt.date]) -> "LaterDays":
        return LaterDays(self.budgets.difference(days), self.savings.difference(days))


def later_days(lake: Lake, changed: Collection[dt.date]) -> LaterDays:
    """The days that look back at any of ``changed``, of which the costs have changed."""
    if not changed:
        return LaterDays(frozenset(), frozenset())
    first_of = {month_of(day): day for day in sorted(changed, reverse=True)}
    reach = {day + n * ONE_DAY for day in changed for n in range(1, ACTIVITY_DAYS)}
    return LaterDays(
        frozenset(day for day in _days_of(lake, BUDGET_STATUS) if day > first_of.get(month_of(day), day)),
        frozenset(_days_of(lake, SAVINGS) & reach),
    )


def _days_of(lake: Lake, table: Table) -> set[dt.date]:
    return {dt.date.fromisoformat(keys["date"]) for keys in lake.partitions(table)}
