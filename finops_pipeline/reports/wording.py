"""The words around the numbers of a statement: its status, its one sentence, what it lacks. Plain text, not escaped."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

from finops_pipeline.chargeback.statement import Statement, TeamTotal, UnpricedCalls, ratio
from finops_pipeline.days import stretches
from finops_pipeline.reports import numbers
from finops_pipeline.schemas import OUTCOMES

UNALLOCATED = "Unallocated"

NO_PRICE = f"{numbers.DASH} no price"
"""In place of the charge where no call has a price: what it would be is unknown."""

_NAMED = 3
"""Names that a sentence lists before it says how many more there are."""

_OUTCOME_WORDS = {
    "usage": ("call", "calls"),
    "duplicate": ("duplicate", "duplicates"),
    "merged": ("merged into another record", "merged into other records"),
    "not_usage": ("not usage", "not usage"),
    "quarantined": ("quarantined", "quarantined"),
    "another_day": ("counted on another day", "counted on other days"),
}

_REASON_WORDS = {
    "unresolved_model": "Not in the price book",
    "opaque_id": "An id that names no model",
    "no_rate_for_meter": "No rate for part of the usage",
    "unknown_tier": "Unknown service tier",
    "before_history": "Called before the first known price",
    "invalid_usage": "Token counts that contradict themselves",
    "missing_usage": "No token counts in the log",
    "no_reported_cost": "No cost in the log",
}
"""Why calls have no price, as the beginning of a sentence that goes on with the models."""

_A_PRICE_HELPS = {"unresolved_model", "opaque_id", "no_rate_for_meter", "unknown_tier", "before_history"}
"""Reasons that a price, or an alias of the model, does away with."""


@dataclass(frozen=True)
class Notice:
    """Something that the statement lacks: the fact in bold, then what it means."""

    headline: str
    explanation: str


def status(statement: Statement) -> str:
    """``Preliminary, incomplete, revision 2``. No month is closed yet, so every statement is preliminary."""
    return ", ".join(_status_words(statement))


def _status_words(statement: Statement) -> list[str]:
    words = ["Preliminary"]
    if statement.incomplete:
        words.append("incomplete")
    words.append(f"revision {statement.revision}")
    return words


def subject(statement: Statement) -> str:
    """``AI usage chargeback 2026-10: 48,997.07 USD, preliminary, revision 2, +310.22, incomplete``."""
    words = ["preliminary"]
    if statement.correction is not None:
        words += [f"revision {statement.revision}", numbers.change(statement.correction)]
    if statement.incomplete:
        words.append("incomplete")
    amount = f"{numbers.money(statement.total)} {statement.currency}"
    return f"AI usage chargeback {statement.month}: {amount}, {', '.join(words)}"


def period(statement: Statement) -> str:
    """The days that are covered: ``1–31 October 2026 UTC``; from the configured start date on in the first month."""
    first, last = statement.first_day.day, statement.last_day.day
    covered = str(last) if first == last else f"{first}–{last}"
    return f"{covered} {numbers.month_and_year(statement.month)} UTC"


def coverage(statement: Statement) -> str:
    """``31 of 31 days, 3 sources``, or how much of them there is."""
    completeness = statement.completeness
    expected = len(completeness.expected_days)
    present = expected - len(completeness.missing_days)
    text = f"{present} of {numbers.counted(expected, 'day')}, {numbers.counted(len(completeness.sources), 'source')}"
    for lacking, what in (
        (completeness.partial_days, "in part"),
        (completeness.stale_days, "out of date"),
        (completeness.unfinished_days, "not over"),
    ):
        if lacking:
            text += f", {numbers.counted(len(lacking), 'day')} {what}"
    return text


def team_name(team: str | None) -> str:
    return UNALLOCATED if team is None else numbers.name(team)


def charge(amount: Decimal, unpriced: bool) -> str:
    """``1,204.50``, or that there is no price."""
    return NO_PRICE if unpriced else numbers.money(amount)


def summary(statement: Statement) -> str:
    """One plain sentence: how much against the month before and whose doing it is, or who pays most."""
    if not statement.requests:
        return _why_empty(statement)
    if statement.previous is None:
        return _who_pays_most(statement)
    month = numbers.month_name(statement.previous.month)
    change = statement.total - statement.previous.total
    relative = ratio(change, statement.previous.total)
    if not change:
        return f"As much as {month}, to the cent."
    if relative is None or relative > 10 or statement.previous.total < 0:
        size = f"{numbers.money(abs(change))} {statement.currency}"
    else:
        size = numbers.share(abs(relative))
    return f"{size} {'more' if change > 0 else 'less'} than {month}{_whose_doing(statement)}."


def _whose_doing(statement: Statement) -> str:
    """The team with the largest change in the direction of the whole, and its part in it."""
    whole = statement.change or Decimal(0)
    direction = 1 if whole > 0 else -1
    changes = [(total.change or Decimal(0), total.team) for total in statement.team_totals]
    if len(changes) == 1:
        return ""
    change, team = max(changes, key=lambda pair: direction * pair[0])
    who = "unallocated usage" if team is None else numbers.name(team)
    return f", {'mostly' if 2 * abs(change) > abs(whole) else 'led by'} {who} ({numbers.change(change)})"


def _who_pays_most(statement: Statement) -> str:
    teams = [total for total in statement.team_totals if total.team is not None]
    calls = numbers.short_counted(statement.requests, "call")
    if not teams:
        return f"{calls}, none of which names a team."
    if len(teams) == 1:
        return f"{calls}{' by' if teams[0].unpriced else ', charged to'} {team_name(teams[0].team)}."
    most: TeamTotal = teams[0]
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


def notices(statement: Statement) -> tuple[Notice, ...]:
    """What the statement says on its face: what it lacks, calls without a price, a limping comparison."""
    return tuple(
        notice
        for notice in (
            _missing_days(statement),
            _missing_sources(statement),
            _stale_days(statement),
            _unfinished_days(statement),
            _unpriced(statement),
            _incomplete_previous(statement),
        )
        if notice is not None
    )


def _missing_days(statement: Statement) -> Notice | None:
    missing = statement.completeness.missing_days
    if not missing:
        return None
    expected = len(statement.completeness.expected_days)
    verb = "is" if len(missing) == 1 else "are"
    return Notice(
        f"{len(missing)} of {numbers.counted(expected, 'day')} {verb} missing",
        f"({days(missing)}): not run yet, or failed. Their cost is not in this statement.",
    )


def _missing_sources(statement: Statement) -> Notice | None:
    partial = statement.completeness.partial_days
    if not partial:
        return None
    sources = sorted({source for _, names in partial for source in names})
    which = "this source" if len(sources) == 1 else "these sources"
    parts = (
        f"{numbers.name(source)} on {days([day for day, names in partial if source in names])}" for source in sources
    )
    return Notice(
        f"{numbers.counted(len(partial), 'day')} {'lacks' if len(partial) == 1 else 'lack'} a source",
        f"({'; '.join(parts)}). What {which} would add is not in this statement.",
    )


def _stale_days(statement: Statement) -> Notice | None:
    stale = statement.completeness.stale_days
    if not stale:
        return None
    verb = "is" if len(stale) == 1 else "are"
    return Notice(
        f"{numbers.counted(len(stale), 'day')} {verb} out of date",
        f"({days(stale)}): logs that came since are not priced yet. What they change is not in this statement.",
    )


def _unfinished_days(statement: Statement) -> Notice | None:
    unfinished = statement.completeness.unfinished_days
    if not unfinished:
        return None
    verb = "was" if len(unfinished) == 1 else "were"
    return Notice(
        f"{numbers.counted(len(unfinished), 'day')} {verb} not over",
        f"({days(unfinished)}) when the logs were read. What came later is not in this statement.",
    )


def _unpriced(statement: Statement) -> Notice | None:
    unpriced = statement.unpriced_calls
    if not unpriced:
        return None
    tokens, calls = sum(group.tokens for group in unpriced), statement.unpriced_requests
    if tokens:
        headline = f"{numbers.share(statement.unpriced_share)} of tokens have no price"
        size = f"{numbers.short_counted(tokens, 'token')} in {numbers.short_counted(calls, 'call')}"
    else:
        headline = f"{numbers.short_counted(calls, 'call')} {'has' if calls == 1 else 'have'} no price"
        size = "tokens unknown"
    teams = sorted({team for group in unpriced for team in group.teams}, key=lambda team: (team is None, team or ""))
    who = _listed(["unallocated usage" if team is None else f"team {numbers.name(team)}" for team in teams])
    why = " ".join(_why_unpriced(group, alone=len(unpriced) == 1) for group in unpriced)
    remedy = " until a price is set" if all(group.reason in _A_PRICE_HELPS for group in unpriced) else ""
    return Notice(headline, f"({size}; {who}). {why} Nothing is charged for them{remedy}.")


def _why_unpriced(group: UnpricedCalls, *, alone: bool) -> str:
    """``Not in the price book: qwen3-32b, 60 calls.``; the number of calls where there are other reasons too."""
    reason = _REASON_WORDS.get(group.reason or "", "For a reason that was not kept")
    models = _listed(["no model named" if model is None else numbers.name(model) for model in group.models])
    return f"{reason}: {models}." if alone else f"{reason}: {models}, {numbers.short_counted(group.requests, 'call')}."


def _incomplete_previous(statement: Statement) -> Notice | None:
    previous = statement.previous
    if previous is None or not (previous.incomplete or statement.incomplete):
        return None
    month, before = numbers.month_name(statement.month), numbers.month_name(previous.month)
    if previous.incomplete and statement.incomplete:
        which = f"{month} and {before} are"
    else:
        which = f"{month if statement.incomplete else before} is"
    return Notice(f"The differences against {before}", f"do not compare like with like: {which} incomplete.")


def outcomes(statement: Statement) -> str:
    """``2,412,088 lines read: 2,401,377 calls, 9,920 duplicates, 512 not usage, 279 quarantined``."""
    parts = [
        f"{numbers.count(number)} {_OUTCOME_WORDS[outcome][number != 1]}"
        for outcome in OUTCOMES
        if (number := statement.outcomes.get(outcome, 0)) or outcome == "usage"
    ]
    return f"{numbers.counted(statement.lines_read, 'line')} read: {', '.join(parts)}"


def drill_down(statement: Statement) -> str:
    """The command that breaks the same month down further."""
    return f"finops breakdown --from {statement.first_day} --to {statement.last_day} --by team,model"


def days(dates: Collection[dt.date]) -> str:
    """Days of one month, neighbours joined: ``3, 9–12 and 20 October``."""
    spans = [str(first.day) if first == last else f"{first.day}–{last.day}" for first, last in stretches(dates)]
    if not spans:
        return ""
    joined = spans[0] if len(spans) == 1 else f"{', '.join(spans[:-1])} and {spans[-1]}"
    return f"{joined}{numbers.NO_BREAK}{numbers.MONTHS[min(dates).month - 1]}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > _NAMED + 1:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
