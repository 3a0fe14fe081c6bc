import datetime as dt
import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.reports import numbers
from finops_pipeline.reports.notices import notices
from finops_pipeline.schemas.priced_usage import PRICE_REASONS

StatementOf = Callable[..., Statement]
Unpriced = Callable[..., dict[str, Any]]


@pytest.fixture
def statement_of(statement_of: StatementOf) -> StatementOf:
    """Its teams are not in the config; whom nobody reaches is left out here but where a test says it."""
    return functools.partial(statement_of, unreachable=())


def plain(text: str) -> str:
    return text.replace(numbers.NO_BREAK, " ")


def september(total: str, *, incomplete: bool = False, **by_team: str) -> PreviousMonth:
    amounts: dict[str | None, Decimal] = {team: Decimal(amount) for team, amount in by_team.items()}
    return PreviousMonth("2026-09", Decimal(total), amounts, incomplete)


def october_days(*numbers: int) -> tuple[dt.date, ...]:
    return tuple(dt.date(2026, 10, number) for number in numbers)


def test_a_complete_priced_statement_has_no_notices(statement_of: StatementOf) -> None:
    assert notices(statement_of([{"team": "a", "cost": Decimal(1)}])) == ()


def test_missing_days_are_named(statement_of: StatementOf) -> None:
    (notice,) = notices(statement_of(lacks={"missing_days": october_days(3, 9, 10, 11, 20)}))
    assert notice.headline == "5 of 31 days are missing"
    assert plain(notice.explanation).startswith("(3, 9–11 and 20 October): not run yet, or failed.")


def test_missing_sources_are_named_with_their_days(statement_of: StatementOf) -> None:
    partial = ((dt.date(2026, 10, 21), ("gateway",)), (dt.date(2026, 10, 22), ("gateway", "internal")))
    (notice,) = notices(statement_of(lacks={"partial_days": partial}))
    assert notice.headline == "2 days lack a source"
    assert plain(notice.explanation) == (
        "(gateway on 21–22 October; internal on 22 October). What these sources would add is not in this statement."
    )
    (alone,) = notices(statement_of(lacks={"partial_days": partial[:1]}))
    assert alone.headline == "1 day lacks a source"
    assert plain(alone.explanation).startswith("(gateway on 21 October). What this source would add")


@pytest.mark.parametrize(
    ("days", "headline", "explanation"),
    [
        ((5,), "1 day is out of date", "(5 October): logs that came since are not priced yet."),
        ((5, 6, 9), "3 days are out of date", "(5–6 and 9 October): logs that came since are not priced yet."),
    ],
)
def test_days_whose_logs_have_changed_are_named(
    statement_of: StatementOf, days: tuple[int, ...], headline: str, explanation: str
) -> None:
    (notice,) = notices(statement_of(lacks={"stale_days": october_days(*days)}))
    assert notice.headline == headline
    assert plain(notice.explanation).startswith(explanation)


@pytest.mark.parametrize(
    ("days", "headline", "explanation"),
    [
        ((31,), "1 day was not over", "(31 October) when the logs were read."),
        ((30, 31), "2 days were not over", "(30–31 October) when the logs were read."),
    ],
)
def test_days_that_were_not_over_are_named(
    statement_of: StatementOf, days: tuple[int, ...], headline: str, explanation: str
) -> None:
    (notice,) = notices(statement_of(lacks={"unfinished_days": october_days(*days)}))
    assert notice.headline == headline
    assert plain(notice.explanation).startswith(explanation)


def test_calls_without_a_price_are_named_with_models_and_teams(statement_of: StatementOf, unpriced: Unpriced) -> None:
    statement = statement_of(
        [
            unpriced("b", "x", "unresolved_model", 3, 30),
            unpriced(None, "y", "unresolved_model", 3, 30),
            {"team": "a", "model": "z", "cost": Decimal(1), "input_tokens": 9940},
        ]
    )
    (notice,) = notices(statement)
    assert plain(notice.headline) == "0.6 % of tokens have no price"
    assert notice.explanation == (
        "(60 tokens in 6 calls; team b and unallocated usage). Not in the price book: x and y. "
        "Nothing is charged for them until a price is set."
    )


def test_each_reason_is_told_with_its_calls(statement_of: StatementOf, unpriced: Unpriced) -> None:
    statement = statement_of(
        [
            unpriced("a", "x", "unknown_tier", 2, 40),
            unpriced("a", "y", "unresolved_model", 1, 20),
            unpriced("a", "x", "missing_usage", 1),
        ]
    )
    (notice,) = notices(statement)
    assert notice.explanation == (
        "(60 tokens in 4 calls; team a). Unknown service tier: x, 2 calls. Not in the price book: y, 1 call. "
        "No token counts in the log: x, 1 call. Nothing is charged for them."
    )


@pytest.mark.parametrize("reason", [*PRICE_REASONS, None])
def test_every_reason_has_words_and_a_price_is_asked_for_only_where_it_helps(
    statement_of: StatementOf, unpriced: Unpriced, reason: str | None
) -> None:
    (notice,) = notices(statement_of([unpriced("a", "x", reason)]))
    kept = reason is not None
    assert ("not kept" not in notice.explanation) is kept
    of_the_log = {"invalid_usage", "missing_usage", "no_reported_cost", None}
    assert ("until a price is set" in notice.explanation) is (reason not in of_the_log)


def test_calls_without_price_and_tokens_are_counted_as_calls(statement_of: StatementOf, unpriced: Unpriced) -> None:
    (notice,) = notices(statement_of([unpriced("a", None, "no_reported_cost")]))
    assert notice.headline == "1 call has no price"
    assert notice.explanation.startswith("(tokens unknown; team a). No cost in the log: no model named.")


def test_many_unpriced_models_are_cut_to_the_first_three(statement_of: StatementOf, unpriced: Unpriced) -> None:
    rows = [unpriced("a", f"m{n}", "unresolved_model", 1, n) for n in range(1, 7)]
    (notice,) = notices(statement_of(rows))
    assert "Not in the price book: m6, m5, m4 and 3 more." in notice.explanation


@pytest.mark.parametrize(
    ("before", "now", "which"),
    [
        (True, False, "September is incomplete"),
        (False, True, "October is incomplete"),
        (True, True, "October and September are incomplete"),
    ],
)
def test_a_comparison_with_an_incomplete_month_says_so(
    statement_of: StatementOf, before: bool, now: bool, which: str
) -> None:
    lacks = {"missing_days": october_days(5)} if now else {}
    statement = statement_of(lacks=lacks, previous=september("1", incomplete=before))
    notice = notices(statement)[-1]
    assert f"{notice.headline} {notice.explanation}" == (
        f"The differences against September do not compare like with like: {which}."
    )


@pytest.mark.parametrize(
    ("unreachable", "headline", "explanation"),
    [
        ((("a", "no e-mail"),), "Nobody gets the page of 1 team", "(a: no e-mail). Set its e-mail"),
        (
            (("a", "no e-mail"), ("b", "not in the config"), ("total", "no e-mail")),
            "Nobody gets the pages of 3 teams",
            "(a and “total”: no e-mail; b: not in the config). Set the e-mail of each",
        ),
    ],
)
def test_teams_whose_page_nobody_gets_are_named_with_the_reason(
    statement_of: StatementOf, unreachable: tuple[tuple[str, str], ...], headline: str, explanation: str
) -> None:
    (notice,) = notices(statement_of(unreachable=unreachable))
    assert (notice.headline, notice.explanation) == (
        headline,
        f"{explanation} under teams in finops.yaml.",
    )


def test_sources_that_held_nothing_all_month_are_named(statement_of: StatementOf) -> None:
    (notice,) = notices(statement_of(silent_sources=("gateway",)))
    assert notice.headline == "1 source holds no logs of October"
    assert notice.explanation == "(gateway): nobody called, or the logs went elsewhere."
    assert notices(statement_of(silent_sources=("a", "b")))[0].headline == "2 sources hold no logs of October"


def test_in_a_teams_part_no_team_is_named(statement_of: StatementOf, unpriced: Unpriced) -> None:
    statement = statement_of([unpriced(team, "x", "unresolved_model", 3, 30) for team in ("a", "b", None)])
    (notice,) = notices(part_of(statement, "a"))
    assert notice.explanation == (
        "(30 tokens in 3 calls). Not in the price book: x. Nothing is charged for them until a price is set."
    )
