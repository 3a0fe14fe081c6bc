"""A statement in one plain sentence or two: how much against the month before, why, and against the budgets.

Made from the numbers alone, so that it says nothing that they don't. Plain text, not escaped.
"""

from decimal import Decimal

from finops_pipeline.chargeback.analyses import BudgetLine
from finops_pipeline.chargeback.statement import Statement, TeamTotal, ratio
from finops_pipeline.reports import numbers
from finops_pipeline.reports.notices import unpriced_headline
from finops_pipeline.reports.tables import own_budget
from finops_pipeline.reports.wording import budget_name, listed, nothing_priced, team_name

_LARGEST_RATIO = 10
"""A change beyond ten times the month before is told in money, not in per cent."""

_CAUSES = {
    "Volume": ("more calls", "fewer calls"),
    "Mix": ("a costlier mix of teams, projects and models", "a cheaper mix of teams, projects and models"),
    "Length": ("longer calls", "shorter calls"),
    "Caching": ("less caching", "more caching"),
    "Price": ("higher prices", "lower prices"),
    "Currency": ("the rate of exchange", "the rate of exchange"),
}
"""What a step of the bridge means where it makes the month dearer, and where cheaper."""


def month_summary(statement: Statement) -> str:
    """How much against the month before and whose doing it is, or who pays most; then who is over budget."""
    if not statement.requests:
        return _why_empty(statement)
    if nothing_priced(statement):
        return f"{_who_pays_most(statement)} The cost is unknown: no call has a price."
    if statement.previous is None:
        return _sentences(_who_pays_most(statement), _over_budget(statement))
    compared = _against_previous(statement)
    if not statement.change:
        return _sentences(f"{compared}.", _over_budget(statement))
    leader = _leader(statement)
    cause = _cause(statement)
    if leader is None:
        return _sentences(f"{compared}{f', {cause}' if cause else ''}.", _over_budget(statement))
    who = "unallocated usage" if leader.team is None else team_name(leader.team)
    by = numbers.change(leader.change, statement.exponent)
    over = leader.budget if leader.budget is not None and leader.budget.status == "exceeded" else None
    more = "" if over is None else f" and is {_over(statement, over)} its budget"
    others_over = _over_budget(statement, besides=over)
    if cause:
        verb = "grew" if (leader.change or 0) > 0 else "fell"
        return _sentences(f"{compared}, {cause}; {who} {verb} the most ({by}){more}.", others_over)
    whole, own = abs(statement.change), abs(leader.change or Decimal(0))
    part = "mostly" if 2 * own > whole else "led by"
    told = "" if over is None else f", which is {_over(statement, over)} its budget"
    return _sentences(f"{compared}, {part} {who} ({by}){told}.", others_over)


def mail_summary(statement: Statement) -> str:
    """``month_summary`` and what part of it has no price."""
    headline = None if nothing_priced(statement) else unpriced_headline(statement)
    return _sentences(month_summary(statement), f"{headline} yet." if headline else "")


def team_summary(part: Statement) -> str:
    """A team's month: against the month before and its own budget."""
    total = next(iter(part.team_totals), None)
    budget = own_budget(part)
    if total is None or not part.requests:
        before = part.previous
        then = ""
        if before is not None and before.total:
            then = f"; {numbers.month_name(before.month)} came to {numbers.money(before.total, part.exponent)}"
        return f"No calls in {numbers.month_and_year(part.month)}{then}."
    calls = numbers.short_counted(part.requests, "call")
    if total.unpriced:
        return f"{calls}. The cost is unknown: no call has a price."
    if part.previous is None:
        compared = f"{calls}; there is no statement of the month before"
    elif not part.previous.total:
        compared = f"{calls}; nothing was charged in {numbers.month_name(part.previous.month)}"
    else:
        compared = _against_previous(part)
    if budget is None:
        return f"{compared}."
    limit = numbers.usd(budget.limit, part.currency)
    if budget.status == "exceeded":
        return f"{compared}, and {_over(part, budget)} the budget of {limit}."
    least = "at least " if budget.unpriced_requests else ""
    used = f"{least}{numbers.share(budget.share)} of the budget of {limit} is used"
    return f"{compared}; {used}{', close to its limit' if budget.status == 'warning' else ''}."


def _against_previous(statement: Statement) -> str:
    """``8.7 % more than September``."""
    before = statement.previous
    if before is None:
        raise ValueError(f"{statement.month} has no previous month to be compared with")
    month, change = numbers.month_name(before.month), statement.total - before.total
    relative = ratio(change, before.total)
    if not change:
        return f"As much as {month}, to the cent"
    if relative is None or relative > _LARGEST_RATIO or before.total < 0:
        size = f"{numbers.money(abs(change), statement.exponent)} {statement.currency}"
    else:
        size = numbers.share(abs(relative))
    return f"{size} {'more' if change > 0 else 'less'} than {month}"


def _leader(statement: Statement) -> TeamTotal | None:
    """The team with the largest change in the direction of the whole; None where there is only one."""
    direction = 1 if (statement.change or 0) > 0 else -1
    teams = statement.team_totals
    return max(teams, key=lambda total: direction * (total.change or 0)) if len(teams) > 1 else None


def _cause(statement: Statement) -> str:
    """``mostly from more calls``: the bridge's largest step in the direction of the whole."""
    whole = statement.change or Decimal(0)
    direction = 1 if whole > 0 else -1
    largest = max(statement.bridge, key=lambda step: direction * step.amount, default=None)
    if largest is None or direction * largest.amount <= 0 or largest.name not in _CAUSES:
        return ""
    words = _CAUSES[largest.name][direction < 0]
    return f"{'mostly' if 2 * abs(largest.amount) > abs(whole) else 'most of all'} from {words}"


def _over_budget(statement: Statement, besides: BudgetLine | None = None) -> str:
    """``Search is 980.02 over its budget.``, or who they are."""
    exceeded = (line for line in statement.budgets if line.status == "exceeded" and line is not besides)
    over = sorted(exceeded, key=lambda line: -line.over)
    if not over:
        return ""
    if len(over) == 1 and over[0].of_whole_team:
        return f"{team_name(over[0].team)} is {_over(statement, over[0])} its budget."
    if len(over) == 1:
        return f"The budget {budget_name(over[0])} is exceeded by {numbers.usd(over[0].over, statement.currency)}."
    names = [f"{budget_name(line)} (+{numbers.usd(line.over, statement.currency)})" for line in over]
    return f"Over budget: {listed(names)}."


def _over(statement: Statement, line: BudgetLine) -> str:
    """``980.02 over``; exactly at the limit is exceeded too."""
    return f"{numbers.usd(line.over, statement.currency)} over" if line.over else "exactly at"


def _sentences(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _who_pays_most(statement: Statement) -> str:
    teams = [total for total in statement.team_totals if total.team is not None]
    calls = numbers.short_counted(statement.requests, "call")
    if not teams:
        return f"{calls}, none of which names a team."
    if len(teams) == 1:
        return f"{calls}{' by' if teams[0].unpriced else ', charged to'} {team_name(teams[0].team)}."
    most = teams[0]
    if most.share is None or most.amount <= 0:
        return f"{calls} by {len(teams)} teams."
    who = f"{team_name(most.team)} pays the most, {numbers.share(most.share)} of the total"
    return f"{calls} by {len(teams)} teams; {who}."


def _why_empty(statement: Statement) -> str:
    completeness = statement.completeness
    expected, missing = len(completeness.expected_days), len(completeness.missing_days)
    month = numbers.month_and_year(statement.month)
    if not expected:
        return f"Nothing is charged: {month} lies before the configured start date."
    if missing == expected:
        return f"Nothing is charged: no day of {month} has been run successfully yet."
    if statement.lines_read:
        lines = numbers.counted(statement.lines_read, "line")
        return f"Nothing is charged: {lines} read, no model calls of {month} among them."
    if missing:
        return f"Nothing is charged so far: {expected - missing} of {expected} days have been run, and hold no logs."
    return f"Nothing is charged: the sources hold no logs of {month}."
