"""Uplifts and discounts: what the prices of a call are multiplied by.

An uplift is part of the list price (processing in a region, say), a discount makes the contracted price of it. Of the
adjustments of one kind and one ``stack`` that serve a call one holds: that of the highest layer, then the one that
names most. Different stacks multiply.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import polars as pl

from finops_pipeline.errors import PriceBookError
from finops_pipeline.pricing.patterns import pattern
from finops_pipeline.schemas import RATE_ADJUSTMENTS

ONE = Decimal(1)

_NAMED = ("provider", "meter", "tier", "account", "region_scope")
"""What an adjustment may name; null serves everything."""


@dataclass(frozen=True)
class Served:
    """What adjustments can tell calls apart by, all of them at one place of the book's axes.

    Attributes:
        provider: Whose prices they have.
        model: Canonical.
        tier: As served.
        account: As logged; None: unknown.
        region_scope: Where they are served; None: unknown.
        instant: Edges of the book's axis of time that they have passed.
    """

    provider: str | None
    model: str
    tier: str
    account: str | None
    region_scope: str | None
    instant: int


class Adjustment:
    """One row of ``schemas.RATE_ADJUSTMENTS``.

    Attributes:
        span: From which edge of the book's axis of time up to which it holds.
    """

    def __init__(self, row: Mapping[str, Any], span: tuple[int, int]) -> None:
        self.id: str = row["adjustment_id"]
        self.kind: str = row["kind"]
        self.multiplier: Decimal = row["multiplier"].normalize()
        self.stack: int = row["stack"]
        self.meter: str | None = row["meter"]
        self.account: str | None = row["account"]
        self.span = span
        self.rank = row["layer"], sum(row[name] is not None for name in _NAMED), len(row["model"].replace("*", ""))
        self._row = row

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return pattern(self._row["model"])

    def serves(self, served: Served) -> bool:
        """Whether it changes prices of these calls; those of its meter only, where it names one."""
        row = self._row
        return (
            self.span[0] <= served.instant < self.span[1]
            and row["provider"] in (None, served.provider)
            and row["tier"] in (None, served.tier)
            and row["account"] in (None, served.account)
            and row["region_scope"] in (None, served.region_scope)
            and self._pattern.fullmatch(served.model.lower()) is not None
        )


def adjustments_that_hold(serving: Sequence[Adjustment], kind: str, meter: str) -> list[Adjustment]:
    """Of those that serve a call, the ones that change the price of a meter: one a stack, in order of the stacks.

    Raises:
        PriceBookError: two contradict each other.
    """
    best: dict[int, Adjustment] = {}
    for adjustment in serving:
        if adjustment.kind != kind or adjustment.meter not in (None, meter):
            continue
        other = best.get(adjustment.stack)
        if other is None or other.rank < adjustment.rank:
            best[adjustment.stack] = adjustment
        elif other.rank == adjustment.rank and other.multiplier != adjustment.multiplier:
            raise PriceBookError(
                f"{other.id} and {adjustment.id} are two {kind}s of the same calls ({meter}). Remove one, end it with "
                "valid_to, let one name more (a model, a meter, an account), or give them different stacks."
            )
    return [best[stack] for stack in sorted(best)]


def product(adjustments: Iterable[Adjustment]) -> Decimal:
    """What they multiply a price by."""
    multiplied = ONE
    for adjustment in adjustments:
        multiplied *= adjustment.multiplier
    return multiplied


def known(adjustments: pl.DataFrame) -> pl.DataFrame:
    """Those that have not been found wrong."""
    return RATE_ADJUSTMENTS.check(adjustments).filter(pl.col("known_to").is_null())
