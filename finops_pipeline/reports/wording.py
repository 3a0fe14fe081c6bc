"""The words around the numbers of a statement: its standing, its period, names and budgets. Plain text, not escaped.

Its one sentence is in ``summary``, what it lacks in ``notices``.
"""

import datetime as dt
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from finops_pipeline.chargeback.analyses import Action, BudgetLine
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.days import stretches
from finops_pipeline.fx import FxRate
from finops_pipeline.money import EXPONENTS, USD, minor_unit
from finops_pipeline.reports import numbers
from finops_pipeline.schemas import OUTCOMES

UNALLOCATED = "Unallocated"
TOTAL = "Total"

NO_PRICE = f"{numbers.DASH} no price"
"""In place of the charge where no call has a price: what it would be is unknown."""

NO_BUDGET = "no budget"

BRIDGE_MEANINGS = {
    "Volume": "more or fewer calls",
    "Mix": "which teams, projects and models they are of",
    "Length": "tokens a call",
    "Caching": "how much of the input is read from a cache",
    "Price": "price of a token",
    "Currency": "the rate of exchange, from that of the month before to this one",
    "Restated": "what changed in the earlier month since its statement",
}
"""What each step of the bridge counts."""

_EVIDENCE_WORDS = {
    "measured": "counted in the logs",
    "heuristic": "which calls qualify is inferred from the logs",
    "validated": "confirmed by a trial",
}
"""How a saving is known, for those who have not met the word."""

_NAMED = 3
"""Names that a sentence lists before it says how many more there are."""

_OWN_LINES = re.compile(rf"{UNALLOCATED}|{TOTAL}|other( \(\d+\))?", re.IGNORECASE)
"""What lines of ours are called: a team of that name stands in quotes."""

_OUTCOME_WORDS = {
    "usage": ("call", "calls"),
    "duplicate": ("duplicate", "duplicates"),
    "merged": ("merged into another record", "merged into other records"),
    "not_usage": ("without a call", "without a call"),
    "quarantined": ("unreadable (quarantined)", "unreadable (quarantined)"),
    "another_day": ("counted on another day", "counted on other days"),
}


def status(statement: Statement) -> str:
    """``Preliminary, incomplete, revision 2``. No month is closed yet, so every statement is preliminary."""
    words = ["Preliminary"]
    if statement.incomplete:
        words.append("incomplete")
    words.append(f"revision {statement.revision}")
    return ", ".join(words)


def subject(statement: Statement) -> str:
    """``AI usage chargeback 2026-10: 48,997.07 USD, preliminary, revision 2, +310.22, incomplete``.

    Of a team's part: ``AI usage of Search 2026-10: 12,980.02 USD, preliminary``.
    """
    words = ["preliminary"]
    if statement.revision > 1:
        words.append(f"revision {statement.revision}")
    if statement.correction is not None:
        words.append(numbers.change(statement.correction, statement.exponent) if statement.correction else "same total")
    if statement.incomplete:
        words.append("incomplete")
    team = statement.only_team
    what = "AI usage chargeback" if team is None else f"AI usage of {team_name(team)}"
    return f"{what} {statement.month}: {charged(statement)}, {', '.join(words)}"


def charged(statement: Statement) -> str:
    """``48,997.07 USD``; that there is no price where a team's calls all lack one."""
    unknown = statement.only_team is not None and nothing_priced(statement)
    if unknown:
        return f"{numbers.DASH} (no price)"
    return f"{numbers.money(statement.total, statement.exponent)} {statement.currency}"


def exchange(statement: Statement) -> str | None:
    """``1 USD = 0.9173 EUR, 2026-10-30, source ECB``; None in USD."""
    return None if statement.exchange is None else exchange_of(statement.exchange)


def exchange_of(rate: FxRate) -> str:
    """The same of a rate alone."""
    source = numbers.sentence(rate.source)
    return f"1 {USD} = {numbers.rate(rate.rate)} {rate.currency}, {rate.date}, source {source}"


def unit(currency: str) -> str:
    """What amounts are rounded to: ``cents``, ``0.01 EUR``, ``1 JPY``."""
    return "cents" if currency == USD else f"{minor_unit(EXPONENTS[currency])} {currency}"


def in_usd(currency: str) -> str:
    """What stands behind a heading of USD: ``, USD`` in a report in another currency, else nothing."""
    return "" if currency == USD else f", {USD}"


def nothing_priced(statement: Statement) -> bool:
    """Whether there are calls and none of them has a price: then nothing can be compared with another month."""
    callers = [total for total in statement.team_totals if total.requests]
    return bool(callers) and all(total.unpriced for total in callers)


def replaced(statement: Statement) -> str | None:
    """``Replaces revision 1 of 48,686.85: +310.22``; None on the first revision, and where that is unknown."""
    if statement.correction is None:
        return None
    before = f"Replaces revision {statement.revision - 1} of {numbers.money(statement.replaces, statement.exponent)}"
    if statement.correction:
        return f"{before}: {numbers.change(statement.correction, statement.exponent)}"
    return f"{before}: same total, but its lines, days, owners or completeness changed"


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
    """A team as a report names it: in quotes where its name is what one of the report's own lines is called."""
    if team is None:
        return UNALLOCATED
    shown = numbers.name(team)
    return f"“{shown}”" if _OWN_LINES.fullmatch(shown.strip()) else shown


def charge(statement: Statement, amount: Decimal, unpriced: bool) -> str:
    """``1,204.50``, or that there is no price."""
    return NO_PRICE if unpriced else numbers.money(amount, statement.exponent)


def budget_used(line: BudgetLine) -> str:
    """``92.0 % warning``: how much of it is spent, and the word where that is too much.

    At least that much, ``≥``, where calls of its scope have no price.
    """
    at_least = f"≥{numbers.NO_BREAK}" if line.unpriced_requests else ""
    word = "" if line.status == "ok" else f" {line.status}"
    return f"{at_least}{numbers.share(line.share)}{word}"


def budget_name(line: BudgetLine) -> str:
    """Whom it limits: the team of a team's own budget, or else its name in the config."""
    return team_name(line.team) if line.of_whole_team else numbers.name(line.budget)


def scope(line: BudgetLine) -> str:
    """``team search, model gpt-5``; ``all usage`` where nothing is left out."""
    return scope_of(line.scope)


def scope_of(pairs: Sequence[tuple[str, str]]) -> str:
    """``scope`` of the pairs alone."""
    return ", ".join(f"{key.replace('_', ' ')} {numbers.name(value)}" for key, value in pairs) or "all usage"


def bridge_sentence(statement: Statement) -> str:
    """The bridge in words: ``September 45,094.96, Volume +3,811.20, …, October 48,997.07``."""
    if statement.previous is None:
        return ""
    exponent, previous = statement.exponent, statement.previous
    steps = (f"{step.name} {numbers.change(step.amount, exponent)}" for step in statement.bridge)
    before = f"{numbers.month_name(previous.month)} {numbers.money(previous.total, exponent)}"
    now = f"{numbers.month_name(statement.month)} {numbers.money(statement.total, exponent)}"
    return ", ".join((before, *steps, now))


def outcomes(statement: Statement) -> str:
    """``2,412,088 lines read: 2,401,377 calls, 9,920 duplicates, 512 without a call, 279 unreadable (quarantined)``."""
    return outcomes_of(statement.outcomes, statement.lines_read)


def outcomes_of(counts: Mapping[str, int], lines: int) -> str:
    """The same of any counts of ``schemas.OUTCOMES``."""
    parts = [
        f"{numbers.count(number)} {_OUTCOME_WORDS[outcome][number != 1]}"
        for outcome in OUTCOMES
        if (number := counts.get(outcome, 0)) or outcome == "usage"
    ]
    return f"{numbers.counted(lines, 'line')} read: {', '.join(parts)}"


def together(statement: Statement) -> str:
    """What all actions come to, which is less than their sum; nothing where there is only one."""
    found = statement.savings
    if [action.expected for action in found.actions] == [found.total]:
        return ""
    whose = ", of all teams," if statement.only_team is None else ""
    all_together = f"All together{whose} they would have saved {numbers.usd(found.total, statement.currency)}."
    return f"Actions overlap: what one saves, another cannot save again. {all_together}"


def evidence(actions: Sequence[Action]) -> str:
    """``Evidence “measured”: counted in the logs; …``, of the grades that these actions have."""
    grades = {action.evidence for action in actions}
    told = [f"“{grade}”: {words}" for grade, words in _EVIDENCE_WORDS.items() if grade in grades]
    return f"Evidence {'; '.join(told)}."


def drill_down(statement: Statement) -> str:
    """The command that breaks the same month down further."""
    by = "team,model" if statement.only_team is None else "team,project,model"
    return f"finops breakdown --from {statement.first_day} --to {statement.last_day} --by {by}"


def savings_command(month: str, team: str | None) -> str:
    """The command that lists what would have cost less; of one team where its name can stand in a command."""
    whose = f" --team {shlex.quote(team)}" if team and numbers.name(team).strip(numbers.LEFT_TO_RIGHT) == team else ""
    return f"finops savings --month {month}{whose}"


def days(dates: Collection[dt.date]) -> str:
    """Days of one month, neighbours joined: ``3, 9–12 and 20 October``."""
    spans = [str(first.day) if first == last else f"{first.day}–{last.day}" for first, last in stretches(dates)]
    if not spans:
        return ""
    joined = spans[0] if len(spans) == 1 else f"{', '.join(spans[:-1])} and {spans[-1]}"
    return f"{joined}{numbers.NO_BREAK}{numbers.MONTHS[min(dates).month - 1]}"


def listed(names: Sequence[str]) -> str:
    """``a, b and c``; of more than four the first three, and how many more there are."""
    if len(names) > _NAMED + 1:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
