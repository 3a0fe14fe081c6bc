"""What priced calls come to. Added up as they are written, so that nobody need read them again to check them."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

import polars as pl

from finops_pipeline.schemas import TOKEN_CLASSES, TOTAL


@dataclass(frozen=True)
class PricedTotals:
    """Sums over rows of ``priced_usage``.

    Attributes:
        calls: Requests, those of aggregated records included.
        cost: USD, as far as calls have a price.
        tokens: Of all classes, without those of calls whose counts contradict themselves: these are no tokens.
        unpriced_calls: Calls without a price.
        unpriced_tokens: Those among ``tokens`` that are theirs.
    """

    calls: int = 0
    cost: Decimal = Decimal(0)
    tokens: int = 0
    unpriced_calls: int = 0
    unpriced_tokens: int = 0

    def __add__(self, other: Self) -> "PricedTotals":
        return PricedTotals(
            self.calls + other.calls,
            self.cost + other.cost,
            self.tokens + other.tokens,
            self.unpriced_calls + other.unpriced_calls,
            self.unpriced_tokens + other.unpriced_tokens,
        )

    def notes(self) -> dict[str, object]:
        """The sums as JSON values."""
        return {**vars(self), "cost": f"{self.cost:f}"}

    @classmethod
    def noted(cls, notes: Mapping[str, object]) -> Self:
        """What :meth:`notes` gave."""
        counts = {name: int(str(value)) for name, value in notes.items() if name != "cost"}
        return cls(**counts, cost=Decimal(str(notes["cost"])))


def totals_of(calls: pl.LazyFrame) -> PricedTotals:
    """The sums of these rows of ``priced_usage``."""
    believed = pl.col("price_reason").ne_missing(pl.lit("invalid_usage"))
    without = pl.col("price_status") == "unpriced"
    tokens = pl.sum_horizontal(TOKEN_CLASSES)
    sums = calls.select(
        pl.col("request_count").sum().alias("calls"),
        pl.col("cost").sum().cast(TOTAL),
        tokens.filter(believed).sum().alias("tokens"),
        pl.col("request_count").filter(without).sum().alias("unpriced_calls"),
        tokens.filter(without & believed).sum().alias("unpriced_tokens"),
    )
    return PricedTotals(**sums.collect().row(0, named=True))
