"""The month's statement as one value: everything that its page, its mail and its files show derives from here.

Pure: how a statement is kept is in ``revisions``, how it looks in ``reports``.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

import polars as pl

from finops_pipeline.chargeback.analyses import NO_SAVINGS, BridgeStep, BudgetLine, SavingsFound
from finops_pipeline.chargeback.completeness import Completeness
from finops_pipeline.chargeback.lines import statement_lines
from finops_pipeline.config.model import Team
from finops_pipeline.days import days_of
from finops_pipeline.fx import FxRate
from finops_pipeline.money import EXPONENTS, USD, convert, exact_sum
from finops_pipeline.schemas import TOTAL

DRAFT = 0
"""The revision of a statement that is not published."""

TEAM_DAYS = pl.Schema([("date", pl.Date()), ("team", pl.String()), ("cost", TOTAL)])


@dataclass(frozen=True)
class PreviousMonth:
    """The month before, as its latest statement has it.

    Attributes:
        month: Such as ``2026-09``.
        total: What was charged.
        by_team: Amount of each team; None is the unallocated.
        incomplete: Whether that statement lacked days or sources, so that the comparison limps.
        requests: Calls; None where they were not kept.
        at_rate: What its exact USD come to at the rate of the statement that is compared with it; None in USD.
        charged_in: Its currency, where the statement that is compared with it has another: ``total`` and ``by_team``
            are its exact USD at the latter's rate then, not what was charged.
    """

    month: str
    total: Decimal
    by_team: Mapping[str | None, Decimal]
    incomplete: bool
    requests: int | None = None
    at_rate: Decimal | None = None
    charged_in: str | None = None


@dataclass(frozen=True)
class TeamTotal:
    """What one team is charged. The unallocated (``team`` None) is one of them.

    Attributes:
        cost_centers: Amount of each cost centre; None where there is none.
        share: Part of the statement's total; None where the total is zero, or the team's calls have no price.
        change: Against the previous month; None where that is unknown.
        unpriced: No call has a price, but for free ones: what the team owes is unknown, and nothing is charged.
        owner: Who answers for the team's spend; None where the config names nobody.
        budget: The team's own budget; None where it has none.
    """

    team: str | None
    amount: Decimal
    cost_centers: tuple[tuple[str | None, Decimal], ...]
    share: Decimal | None
    change: Decimal | None
    requests: int
    tokens: int
    unpriced: bool = False
    owner: str | None = None
    budget: BudgetLine | None = None


@dataclass(frozen=True)
class UnpricedCalls:
    """The calls that have no price for one reason.

    Attributes:
        reason: One of ``PRICE_REASONS``; None where it was not kept.
        tokens: As far as they are known.
        models: Models called, by these tokens; None where no model is named.
        teams: Teams that called, by name; None is the unallocated.
    """

    reason: str | None
    requests: int
    tokens: int
    models: tuple[str | None, ...]
    teams: tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class Statement:
    """A month's statement.

    Attributes:
        month: Such as ``2026-10``; a calendar month in UTC.
        revision: From 1; ``DRAFT`` until it is published.
        made_at: When it was made, UTC.
        lines: ``chargeback`` rows.
        days: ``date``, and ``cost`` in USD: null where the day is missing.
        outcomes: What became of the records that were read, by the names of ``schemas.OUTCOMES``.
        lines_read: Lines of raw logs that were read.
        book_versions: Price books that priced the month.
        previous: The month before; None where it has no statement.
        replaces: Total of the revision before; None on the first, and where that was in another currency.
        currency: ISO 4217, of all amounts; days, budgets and savings are in USD.
        exchange: The rate that the amounts were converted at; None in USD.
        owners: Who answers for a team's spend, of the teams charged.
        team_days: ``date``, ``team`` and ``cost`` in USD of the days on which a team has one.
        estimated_tokens: Tokens with a price whose count was estimated, not reported.
        budgets: Budgets of the config against the month.
        bridge: Why it came to another amount than the month before; empty where that is unknown.
        savings: What would have cost less.
        unreachable: Teams charged of which nobody gets a page, and why.
        silent_sources: Sources that were read and held nothing in the whole month.
        only_team: The team whose part of a statement this is; None: it is the whole.
    """

    month: str
    revision: int
    made_at: dt.datetime
    lines: pl.DataFrame
    days: pl.DataFrame
    completeness: Completeness
    outcomes: Mapping[str, int]
    lines_read: int
    book_versions: tuple[str, ...]
    previous: PreviousMonth | None
    replaces: Decimal | None
    currency: str
    exchange: FxRate | None = None
    owners: Mapping[str, str] = field(default_factory=dict)
    team_days: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TEAM_DAYS))
    estimated_tokens: int = 0
    budgets: tuple[BudgetLine, ...] = ()
    bridge: tuple[BridgeStep, ...] = ()
    savings: SavingsFound = NO_SAVINGS
    unreachable: tuple[tuple[str, str], ...] = ()
    silent_sources: tuple[str, ...] = ()
    only_team: str | None = None

    @property
    def first_day(self) -> dt.date:
        """The first day that is covered: of the month, or the config's start date within it."""
        return next(iter(self.completeness.expected_days), days_of(self.month)[0])

    @property
    def last_day(self) -> dt.date:
        return days_of(self.month)[-1]

    @property
    def incomplete(self) -> bool:
        """Whether days or sources are missing, or costs are not those of the whole day's logs."""
        return not self.completeness.complete

    @cached_property
    def total(self) -> Decimal:
        """What is charged in all, in whole minor units of the currency."""
        return sum(self.lines.get_column("amount"), Decimal("0.00"))

    @cached_property
    def exact_total(self) -> Decimal:
        """USD before rounding and conversion."""
        return exact_sum(self.lines.get_column("exact_cost"))

    @property
    def exponent(self) -> int:
        """Decimals of the currency's minor unit."""
        return EXPONENTS[self.currency]

    def converted(self, usd: Decimal) -> Decimal:
        """USD in the statement's currency, exact."""
        return usd if self.exchange is None else convert(usd, self.exchange.rate)

    @cached_property
    def requests(self) -> int:
        return int(self.lines.get_column("requests").sum())

    @cached_property
    def tokens(self) -> int:
        return int(self.lines.get_column("tokens").sum())

    @property
    def change(self) -> Decimal | None:
        """Against the previous month; None where that is unknown."""
        return None if self.previous is None else self.total - self.previous.total

    @property
    def correction(self) -> Decimal | None:
        """Against the revision that this one replaces; None on the first."""
        return None if self.replaces is None else self.total - self.replaces

    @property
    def unpriced_requests(self) -> int:
        """Calls without a price."""
        return int(self.lines.get_column("unpriced_requests").sum())

    @property
    def unpriced_share(self) -> Decimal | None:
        """Part of all known tokens that has no price; None where there are no tokens."""
        return ratio(Decimal(self.lines.get_column("unpriced_tokens").sum()), Decimal(self.tokens))

    @property
    def estimated_share(self) -> Decimal | None:
        """Part of all known tokens that has a price and was estimated; None where there are no tokens."""
        return ratio(Decimal(self.estimated_tokens), Decimal(self.tokens))

    @property
    def measured_share(self) -> Decimal | None:
        """Part of all known tokens that has a price and was reported by whoever served the call."""
        unpriced = int(self.lines.get_column("unpriced_tokens").sum())
        return ratio(Decimal(self.tokens - unpriced - self.estimated_tokens), Decimal(self.tokens))

    @property
    def unallocated(self) -> Decimal:
        """What no team is charged with."""
        return sum((team.amount for team in self.team_totals if team.team is None), Decimal("0.00"))

    @property
    def unallocated_share(self) -> Decimal | None:
        """Part of the total that no team is charged with; None where the total is zero."""
        return ratio(self.unallocated, self.total)

    @cached_property
    def team_totals(self) -> tuple[TeamTotal, ...]:
        """Teams by amount, the unallocated last.

        A team that only the previous month has stands here with 0.00, so that the changes add up to the whole change.
        """
        charged = [self._team_total(lines) for lines in self.lines.partition_by("team", maintain_order=True)]
        before = {} if self.previous is None else self.previous.by_team
        gone = sorted(set(before) - {total.team for total in charged}, key=lambda team: (team is None, team or ""))
        charged += [
            TeamTotal(team, Decimal("0.00"), (), ratio(Decimal(0), self.total), -before[team], 0, 0) for team in gone
        ]
        return tuple(sorted(charged, key=lambda total: (total.team is None, -total.amount)))

    def _team_total(self, lines: pl.DataFrame) -> TeamTotal:
        team = lines.item(0, "team")
        by_cost_center = (
            lines.group_by("cost_center", maintain_order=True)
            .agg(pl.col("amount").sum())
            .sort("amount", "cost_center", descending=[True, False], nulls_last=True)
        )
        amount = sum(lines.get_column("amount"), Decimal("0.00"))
        unpriced = bool(lines.select(without_price()).item())
        before = None if self.previous is None else self.previous.by_team.get(team, Decimal("0.00"))
        return TeamTotal(
            team=team,
            amount=amount,
            cost_centers=tuple(by_cost_center.iter_rows()),
            share=None if unpriced else ratio(amount, self.total),
            change=None if before is None or (unpriced and not before) else amount - before,
            requests=int(lines.get_column("requests").sum()),
            tokens=int(lines.get_column("tokens").sum()),
            unpriced=unpriced,
            owner=self.owners.get(team),
            budget=next((line for line in self.budgets if line.of_whole_team and line.team == team), None),
        )

    @cached_property
    def unpriced_calls(self) -> tuple[UnpricedCalls, ...]:
        """Calls without a price by reason, those with the most tokens first."""
        sums = [pl.col("unpriced_requests").sum(), pl.col("unpriced_tokens").sum()]
        largest = [True, True, False]
        by_reason = (
            self.lines.filter(pl.col("unpriced_requests") > 0)
            .group_by("unpriced_reason", "model")
            .agg(*sums, pl.col("team").unique())
            .sort("unpriced_tokens", "unpriced_requests", "model", descending=largest, nulls_last=True)
            .group_by("unpriced_reason", maintain_order=True)
            .agg(*sums, pl.col("model"), pl.col("team").explode().unique().sort(nulls_last=True))
            .sort("unpriced_tokens", "unpriced_requests", "unpriced_reason", descending=largest, nulls_last=True)
        )
        return tuple(
            UnpricedCalls(reason, calls, tokens, tuple(models), tuple(teams))
            for reason, calls, tokens, models, teams in by_reason.iter_rows()
        )


def draft_statement(
    month: str,
    costs: pl.LazyFrame,
    teams: Mapping[str, Team],
    completeness: Completeness,
    *,
    outcomes: Mapping[str, int],
    lines_read: int,
    book_versions: Sequence[str],
    previous: PreviousMonth | None,
    made_at: dt.datetime,
    currency: str = USD,
    exchange: FxRate | None = None,
    budgets: Sequence[BudgetLine] = (),
    bridge: Sequence[BridgeStep] = (),
    savings: SavingsFound = NO_SAVINGS,
    silent_sources: Sequence[str] = (),
) -> Statement:
    """The statement of ``month`` from its ``daily_costs`` rows (with ``date``), not published yet.

    Who is charged, and in which cost centre, is what these rows say; of ``teams`` it takes the owners' names, and who
    of them can be reached. A team's own budget is held against what the team is charged, to the cent; it is in USD as
    all budgets are, so that in another currency it is held against the team's exact cost.

    A month without any rows is a statement too: zero, with what was read and what is missing.
    """
    lines = statement_lines(costs, currency, Decimal(1) if exchange is None else exchange.rate)
    charged = set(lines.get_column("team"))
    return Statement(
        month=month,
        revision=DRAFT,
        made_at=made_at,
        lines=lines,
        days=daily_totals(costs, completeness),
        completeness=completeness,
        outcomes=dict(outcomes),
        lines_read=lines_read,
        book_versions=tuple(sorted(set(book_versions))),
        previous=previous,
        replaces=None,
        currency=currency,
        exchange=exchange,
        owners={name: team.owner for name, team in sorted(teams.items()) if team.owner and name in charged},
        team_days=team_days(costs),
        estimated_tokens=int(costs.select(pl.col("estimated_tokens").sum()).collect().item()),
        budgets=tuple(_as_charged(line, lines) if exchange is None else line for line in budgets),
        bridge=tuple(bridge),
        savings=savings,
        unreachable=_unreachable(charged, teams),
        silent_sources=tuple(silent_sources),
    )


def team_days(costs: pl.LazyFrame) -> pl.DataFrame:
    """``date``, ``team``, ``cost``: the exact USD of each day on which a team has any, teams in order of name."""
    return (
        costs.group_by("date", "team")
        .agg(pl.col("cost").sum().cast(TOTAL))
        .sort("team", "date", nulls_last=True)
        .select(TEAM_DAYS.names())
        .collect()
    )


def _as_charged(line: BudgetLine, lines: pl.DataFrame) -> BudgetLine:
    """A team's own budget against the team's charge, which rounding may have moved by a cent; others as they are."""
    if not line.of_whole_team:
        return line
    spent = sum(lines.filter(pl.col("team") == line.team).get_column("amount"), Decimal("0.00"))
    return line.charged(spent)


def _unreachable(charged: Collection[str | None], teams: Mapping[str, Team]) -> tuple[tuple[str, str], ...]:
    """Teams whose page nobody gets."""
    why = {name: "not in the config" if name not in teams else "no e-mail" for name in charged if name is not None}
    return tuple((name, why[name]) for name in sorted(why) if name not in teams or not teams[name].email)


def daily_totals(costs: pl.LazyFrame, completeness: Completeness) -> pl.DataFrame:
    """``date`` and ``cost`` (USD, exact) of each expected day: null where it is missing, zero where it is empty."""
    expected = pl.LazyFrame({"date": completeness.expected_days}, schema={"date": pl.Date})
    missing = pl.col("date").is_in(list(completeness.missing_days))
    spent = costs.group_by("date").agg(pl.col("cost").sum().cast(TOTAL))
    return (
        expected.join(spent, on="date", how="left")
        .select("date", cost=pl.when(~missing).then(pl.col("cost").fill_null(pl.lit(0, dtype=TOTAL))))
        .sort("date")
        .collect()
    )


def without_price() -> pl.Expr:
    """Whether all there is to these lines is unknown: calls without a price, and no cost of any other."""
    return (pl.col("unpriced_requests").sum() > 0) & (pl.col("exact_cost").sum() == 0)


def ratio(part: Decimal, whole: Decimal) -> Decimal | None:
    """``part / whole``; None where the whole is zero."""
    return part / whole if whole else None
