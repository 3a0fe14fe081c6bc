"""Alerts: what is told of a budget, once. They are state, not events: what holds now, and what was told of it.

An alert is one crossing of one threshold. How its state is kept is in ``alert_states``, what its mail says in
``reports.alert_mail``, how that leaves once in ``delivery``; where budgets stand is in ``budgets``.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import polars as pl

from finops_pipeline.alert_states import Alert, AlertState, AlertStates, Kind, Mail, alert_key
from finops_pipeline.budgets import at_least, scope_pairs, scope_text
from finops_pipeline.config.model import Budget, Config
from finops_pipeline.days import ONE_DAY, month_of
from finops_pipeline.lake import Lake

__all__ = ["Alert", "AlertState", "Evaluation", "alerts_of", "crossings", "due_now", "evaluate", "recipients_of"]

FORECAST_RELEASE = Decimal("0.95")
"""Share of its threshold under which a forecast lets go of its alert, so that one about it does not flicker."""

RELEASE_DAYS = 2
"""Days in a row that it takes, among those that have a forecast."""

Recipients = Callable[[Budget], list[str]]


@dataclass(frozen=True)
class Evaluation:
    """What a look at a period's days found.

    Attributes:
        opened: Alerts that are new.
        retracted: Alerts that hold no more.
        due: Open alerts to be mailed, with whom to; also those of earlier runs, which may have left already.
        changed: States that are other than they were.
    """

    opened: list[Alert] = field(default_factory=list)
    retracted: list[Alert] = field(default_factory=list)
    due: list[tuple[Alert, list[str]]] = field(default_factory=list)
    changed: list[AlertState] = field(default_factory=list)


def crossings(status: pl.DataFrame, budgets: Sequence[Budget]) -> list[Alert]:
    """The alerts that hold at the end of a period's latest day, each with the first day on which it held.

    ``actual`` holds while ``spent >= limit * threshold``. ``forecast`` holds from ``forecast >= limit * threshold`` on
    until two days in a row are under 95 % of that. Limits and thresholds are those of ``budgets``; days whose row is of
    another scope, which the budget had then, do not count.

    Args:
        status: ``BUDGET_STATUS`` rows, with their ``date``, of all days of one period that have some.
        budgets: Of the config; rows of others are ignored.
    """
    return [alert for watch in _watches(status, budgets) if (alert := watch.crossing()) is not None]


def evaluate(
    lake: Lake,
    budgets: Sequence[Budget],
    status: pl.DataFrame,
    *,
    as_of: dt.date,
    late_days: int,
    recipients: Recipients,
) -> Evaluation:
    """Bring the period's alerts up to date: open those that hold and are new, retract those that hold no more.

    Evaluating again gives nothing new. An alert opens silently where its day lies before those that a nightly run at
    ``as_of`` looks at: yesterday and the ``late_days`` before it. Where several thresholds of one budget and kind
    hold, only the highest is told. One that opens again after a retraction is not told again. Alerts of budgets,
    thresholds and limits that the config no longer has stay as they are.

    Args:
        lake: Where the alerts' states are.
        budgets: Of the config.
        status: As for :func:`crossings`.
        as_of: The date that the run takes for today.
        late_days: Of the config.
        recipients: Who is told of a budget. Whoever joins them once an alert is no longer news is not told of it.

    Raises:
        LakeError: a state cannot be read or written.
        ValueError: ``status`` is of several periods.
    """
    if (month := _month_of(status)) is None:
        return Evaluation()
    states, watches = AlertStates(lake, month), _watches(status, budgets)
    with states.turn():
        found = _evaluated(states.read(), watches, as_of, late_days, recipients)
        for state in found.changed:
            states.write(state)
    return found


def due_now(
    lake: Lake,
    budgets: Sequence[Budget],
    status: pl.DataFrame,
    *,
    as_of: dt.date,
    late_days: int,
    recipients: Recipients,
) -> list[tuple[Alert, list[str]]]:
    """What :func:`evaluate` would give as due. Nothing is written."""
    if (month := _month_of(status)) is None:
        return []
    states = AlertStates(lake, month).read()
    return _evaluated(states, _watches(status, budgets), as_of, late_days, recipients).due


def alerts_of(lake: Lake, month: str) -> list[AlertState]:
    """The alerts of a month and what became of them, in order of budget, kind and threshold.

    Raises:
        LakeError: a state cannot be read.
    """
    return sorted(AlertStates(lake, month).read(), key=lambda s: (s.alert.budget, s.alert.kind, s.alert.threshold))


def recipients_of(budget: Budget, config: Config) -> list[str]:
    """Who is told of a budget: its team, where the scope names one that has an e-mail, and finance; each once."""
    team = config.teams.get(budget.scope.get("team", ""))
    addresses = [*([team.email] if team is not None and team.email else []), *config.reports.recipients]
    return list(dict.fromkeys(addresses))


# -- what holds -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Watch:
    """One threshold of a budget, and the days of a period (``date``, ``spent``, ``forecast``) in their order."""

    budget: Budget
    period: str
    kind: Kind
    threshold: Decimal
    days: pl.DataFrame

    @property
    def key(self) -> str:
        return alert_key(self.budget.name, self.period, self.kind, self.threshold, self.budget.limit)

    @property
    def amount(self) -> pl.Expr:
        return pl.col("spent" if self.kind == "actual" else "forecast")

    @property
    def reached(self) -> pl.DataFrame:
        return self.days.filter(self.amount >= at_least(self.budget.limit, self.threshold))

    def crossing(self) -> Alert | None:
        """The alert, where it holds at the end of the latest day."""
        reached = self.reached
        if reached.is_empty() or self.has_let_go(since=self.days.item(0, "date")):
            return None
        day, spent, forecast = reached.row(0)
        return Alert(
            budget=self.budget.name,
            scope=scope_pairs(self.budget),
            period=self.period,
            kind=self.kind,
            threshold=self.threshold,
            limit=self.budget.limit,
            day=day,
            spent=spent,
            forecast=forecast,
        )

    def has_let_go(self, since: dt.date) -> bool:
        """Whether what has held holds no more; a forecast must have fallen after ``since``, and after it last held."""
        if self.kind == "actual":
            return self.reached.filter(pl.col("date") == self.days.item(-1, "date")).is_empty()
        since = max([since, *self.reached.get_column("date")])
        low = self.amount < at_least(self.budget.limit, self.threshold * FORECAST_RELEASE)
        later = self.days.filter((pl.col("date") > since) & self.amount.is_not_null())
        return bool(later.select(low.cast(pl.Int8).rolling_sum(RELEASE_DAYS).max() == RELEASE_DAYS).item())


def _month_of(status: pl.DataFrame) -> str | None:
    """The month that the rows are of; None where there are none."""
    months = sorted(status.get_column("date").dt.strftime("%Y-%m").unique())
    if len(months) > 1:
        raise ValueError(f"alerts are of one period, not of {', '.join(months)}")
    return months[0] if months else None


def _watches(status: pl.DataFrame, budgets: Sequence[Budget]) -> Iterator[_Watch]:
    for budget in budgets:
        mine = (pl.col("budget") == budget.name) & (pl.col("scope") == scope_text(budget))
        days = status.filter(mine).sort("date").select("date", "spent", "forecast")
        if days.is_empty():
            continue
        period = month_of(days.item(0, "date"))
        yield from (_Watch(budget, period, "actual", share, days) for share in budget.warn_at)
        yield from (_Watch(budget, period, "forecast", share, days) for share in budget.warn_at_forecast)


# -- what becomes of it, and who is told ------------------------------------------------------------------------------


def _evaluated(
    states: Iterable[AlertState],
    watches: Iterable[_Watch],
    as_of: dt.date,
    late_days: int,
    recipients: Recipients,
) -> Evaluation:
    first_news = as_of - (late_days + 1) * ONE_DAY
    found, before = Evaluation(), {state.alert.key: state for state in states}
    crossed = [(watch, watch.crossing()) for watch in watches]
    holding = [alert for _, alert in crossed if alert is not None]
    for watch, alert in crossed:
        known = state = before.get(watch.key)
        if alert is not None and (known is None or known.forgotten):
            state = AlertState(alert, "open", as_of, _mail_of(alert, holding, first_news))
            found.opened.append(alert)
        elif alert is not None and known is not None:
            state = replace(known, state="open")
        elif known is not None and known.state == "open" and watch.has_let_go(since=known.alert.day):
            state = replace(known, state="retracted")
            found.retracted.append(known.alert)
        if state is not None and state.state == "open" and state.mail == "due":
            state = replace(state, recipients=_told(state, recipients(watch.budget), first_news))
            if state.recipients:
                found.due.append((state.alert, list(state.recipients)))
        if state is not None and state != known:
            found.changed.append(state)
    return found


def _mail_of(alert: Alert, holding: Iterable[Alert], first_news: dt.date) -> Mail:
    if alert.day < first_news:
        return "silent"
    higher = any(
        (other.budget, other.kind) == (alert.budget, alert.kind) and other.threshold > alert.threshold
        for other in holding
    )
    return "superseded" if higher else "due"


def _told(state: AlertState, now: Sequence[str], first_news: dt.date) -> tuple[str, ...]:
    """Who is told now: the config's recipients while the alert is news, later those of them who were told then.

    So a mistyped address can be mended, and a new recipient does not get the old alerts of a month.
    """
    is_news = state.alert.day >= first_news
    return tuple(address for address in now if is_news or address in state.recipients)
