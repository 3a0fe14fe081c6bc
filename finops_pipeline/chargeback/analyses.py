"""What a statement says beside its charges: budgets, last month's bridge, savings. Plain values, made elsewhere.

They are of the time of the revision's making and never a reason for a new one: what is charged decides that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, Self

from finops_pipeline.schemas.budget_status import EXCEEDED_SHARE, WARNING_SHARE

BudgetState = Literal["ok", "warning", "exceeded"]


@dataclass(frozen=True)
class BudgetLine:
    """A budget against what its scope came to in the month.

    Attributes:
        budget: Its name in the config.
        scope: Whose spend counts: (("team", "search"),), more pairs where all of them have to hold.
        limit: USD a month.
        spent: USD, whole cents; of a team's own budget, what the team is charged.
        status: ``ok``, ``warning`` from 80 % on, ``exceeded`` from 100 % on, both included.
        unpriced_requests: Calls of the scope without a price: spent is a lower bound.
    """

    budget: str
    scope: tuple[tuple[str, str], ...]
    limit: Decimal
    spent: Decimal
    status: BudgetState
    unpriced_requests: int = 0

    def charged(self, spent: Decimal) -> Self:
        """The same budget against another amount."""
        exceeded, warning = (spent >= share * self.limit for share in (EXCEEDED_SHARE, WARNING_SHARE))
        return replace(self, spent=spent, status="exceeded" if exceeded else "warning" if warning else "ok")

    @property
    def share(self) -> Decimal:
        """``spent / limit``; the limit is above zero."""
        return self.spent / self.limit

    @property
    def over(self) -> Decimal:
        """USD above the limit; below zero where there is room."""
        return self.spent - self.limit

    @property
    def team(self) -> str | None:
        """The team whose spend counts, wholly or in part; None for a budget over several teams."""
        return dict(self.scope).get("team")

    @property
    def of_whole_team(self) -> bool:
        """Whether it is a team's own budget: everything that the team spends, and nothing else."""
        return [name for name, _ in self.scope] == ["team"]


@dataclass(frozen=True)
class BridgeStep:
    """One reason why the month came to another amount than the one before; the steps add up to the change."""

    name: str
    amount: Decimal


@dataclass(frozen=True)
class Action:
    """Something that would have cost less, over the month: days of ``savings`` with the same lever and workload.

    Amounts are USD, whole cents; what they mean stands in ``schemas.savings``.
    """

    lever: str
    team: str | None
    project: str | None
    application: str | None
    service: str | None
    model: str | None
    target: str | None
    requests: int
    cost: Decimal
    low: Decimal
    expected: Decimal
    high: Decimal
    incremental: Decimal
    evidence: str
    assumptions: str
    action: str


@dataclass(frozen=True)
class SavingsFound:
    """What would have cost less.

    Attributes:
        actions: By expected saving, descending; of the whole month the first ones, and of each team its first ones.
        together: USD by team of all actions that save, applied in order so that none counts what another has saved.
        would_cost_more: Levers that were looked at and would lose money, the largest loss first.
        days: Days of the month that were analysed.
    """

    actions: tuple[Action, ...] = ()
    together: Mapping[str | None, Decimal] = field(default_factory=dict)
    would_cost_more: tuple[Action, ...] = ()
    days: int = 0

    @property
    def total(self) -> Decimal:
        """USD of all teams together."""
        return sum(self.together.values(), Decimal("0.00"))


NO_SAVINGS = SavingsFound()
"""Nothing was analysed, or nothing found."""
