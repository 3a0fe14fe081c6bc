"""What a statement says on its face: what it lacks, what has no price, who gets no page. Plain text, not escaped."""

from collections.abc import Iterable
from dataclasses import dataclass

from finops_pipeline.chargeback.statement import Statement, UnpricedCalls
from finops_pipeline.reports import numbers
from finops_pipeline.reports.wording import days, listed, team_name

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


def notices(statement: Statement) -> tuple[Notice, ...]:
    """All of them: what is missing first."""
    return lacking(statement) + remarks(statement)


def lacking(statement: Statement) -> tuple[Notice, ...]:
    """What is missing, so that the amounts are too low."""
    return _made(_missing_days(statement), _missing_sources(statement), _stale_days(statement), _unfinished(statement))


def remarks(statement: Statement) -> tuple[Notice, ...]:
    """What else has to be known to read the amounts: calls without a price, a limping comparison, unreachable teams."""
    return _made(
        _silent_sources(statement),
        _unpriced(statement),
        _incomplete_previous(statement),
        _converted_previous(statement),
        _unreachable(statement),
    )


def unpriced_headline(statement: Statement) -> str | None:
    """``0.3 % of tokens have no price``; None where every call has one."""
    calls = statement.unpriced_requests
    if not calls:
        return None
    if sum(group.tokens for group in statement.unpriced_calls):
        return f"{numbers.share(statement.unpriced_share)} of tokens have no price"
    return f"{numbers.short_counted(calls, 'call')} {'has' if calls == 1 else 'have'} no price"


def _made(*found: Notice | None) -> tuple[Notice, ...]:
    return tuple(notice for notice in found if notice is not None)


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


def _unfinished(statement: Statement) -> Notice | None:
    unfinished = statement.completeness.unfinished_days
    if not unfinished:
        return None
    verb = "was" if len(unfinished) == 1 else "were"
    return Notice(
        f"{numbers.counted(len(unfinished), 'day')} {verb} not over",
        f"({days(unfinished)}) when the logs were read. What came later is not in this statement.",
    )


def _silent_sources(statement: Statement) -> Notice | None:
    silent = statement.silent_sources
    if not silent:
        return None
    which = "1 source holds" if len(silent) == 1 else f"{len(silent)} sources hold"
    return Notice(
        f"{which} no logs of {numbers.month_name(statement.month)}",
        f"({listed([numbers.name(source) for source in silent])}): nobody called, or the logs went elsewhere.",
    )


def _unpriced(statement: Statement) -> Notice | None:
    unpriced = statement.unpriced_calls
    headline = unpriced_headline(statement)
    if headline is None:
        return None
    tokens = sum(group.tokens for group in unpriced)
    size = "tokens unknown"
    if tokens:
        calls = numbers.short_counted(statement.unpriced_requests, "call")
        size = f"{numbers.short_counted(tokens, 'token')} in {calls}"
    who = "" if statement.only_team is not None else f"; {_callers(unpriced)}"
    why = " ".join(_why_unpriced(group, alone=len(unpriced) == 1) for group in unpriced)
    remedy = " until a price is set" if all(group.reason in _A_PRICE_HELPS for group in unpriced) else ""
    return Notice(headline, f"({size}{who}). {why} Nothing is charged for them{remedy}.")


def _callers(unpriced: Iterable[UnpricedCalls]) -> str:
    teams = sorted({team for group in unpriced for team in group.teams}, key=lambda team: (team is None, team or ""))
    return listed(["unallocated usage" if team is None else f"team {team_name(team)}" for team in teams])


def _why_unpriced(group: UnpricedCalls, *, alone: bool) -> str:
    """``Not in the price book: qwen3-32b, 60 calls.``; the number of calls where there are other reasons too."""
    reason = _REASON_WORDS.get(group.reason or "", "For a reason that was not kept")
    models = listed(["no model named" if model is None else numbers.name(model) for model in group.models])
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


def _converted_previous(statement: Statement) -> Notice | None:
    previous = statement.previous
    if previous is None or previous.charged_in is None:
        return None
    at = "in USD, before rounding" if statement.exchange is None else "at this statement’s rate"
    return Notice(
        f"{numbers.month_name(previous.month)} was charged in {previous.charged_in}.",
        f"Here it stands {at}, so that the months compare.",
    )


def _unreachable(statement: Statement) -> Notice | None:
    if not statement.unreachable:
        return None
    teams_of: dict[str, list[str]] = {}
    for team, why in statement.unreachable:
        teams_of.setdefault(why, []).append(team_name(team))
    whom = "; ".join(f"{listed(teams)}: {why}" for why, teams in sorted(teams_of.items()))
    alone = len(statement.unreachable) == 1
    return Notice(
        f"Nobody gets the {'page' if alone else 'pages'} of {numbers.counted(len(statement.unreachable), 'team')}",
        f"({whom}). Set {'its e-mail' if alone else 'the e-mail of each'} under teams in finops.yaml.",
    )
