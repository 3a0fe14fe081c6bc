import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.days import days_of
from finops_pipeline.reports import numbers, wording
from finops_pipeline.schemas.priced_usage import PRICE_REASONS

StatementOf = Callable[..., Statement]
Unpriced = Callable[..., dict[str, Any]]


def plain(text: str) -> str:
    return text.replace(numbers.NO_BREAK, " ")


def september(total: str, *, incomplete: bool = False, **by_team: str) -> PreviousMonth:
    amounts: dict[str | None, Decimal] = {team: Decimal(amount) for team, amount in by_team.items()}
    return PreviousMonth("2026-09", Decimal(total), amounts, incomplete)


def october_days(*numbers: int) -> tuple[dt.date, ...]:
    return tuple(dt.date(2026, 10, number) for number in numbers)


@pytest.mark.parametrize(
    ("overrides", "lacks", "subject"),
    [
        ({}, {}, "AI usage chargeback 2026-10: 1,234.50 USD, preliminary"),
        (
            {"revision": 2, "replaces": Decimal("924.28")},
            {},
            "AI usage chargeback 2026-10: 1,234.50 USD, preliminary, revision 2, +310.22",
        ),
        (
            {"revision": 3, "replaces": Decimal("1234.60")},
            {"missing_days": october_days(4)},
            "AI usage chargeback 2026-10: 1,234.50 USD, preliminary, revision 3, −0.10, incomplete",
        ),
    ],
)
def test_the_subject_says_month_amount_and_standing(
    statement_of: StatementOf, overrides: dict[str, object], lacks: dict[str, object], subject: str
) -> None:
    statement = statement_of([{"team": "a", "cost": Decimal("1234.50")}], lacks=lacks, **overrides)
    assert wording.subject(statement) == subject


def test_the_status_says_that_it_is_preliminary_and_whether_it_lacks_anything(statement_of: StatementOf) -> None:
    assert wording.status(statement_of()) == "Preliminary, revision 1"
    lacking = statement_of(lacks={"missing_days": october_days(1)}, revision=2)
    assert wording.status(lacking) == "Preliminary, incomplete, revision 2"


@pytest.mark.parametrize(
    ("rows", "previous", "sentence"),
    [
        ({"a": 150, "b": 50}, september("100", a="60", b="40"), "100.0 % more than September, mostly a (+90.00)."),
        ({"a": 45, "b": 45}, september("100", a="60", b="40"), "10.0 % less than September, mostly a (−15.00)."),
        (
            {"a": 64, "b": 44, "c": 2},
            september("100", a="60", b="40"),
            "10.0 % more than September, led by a (+4.00).",
        ),
        ({"a": 110}, september("100", a="100"), "10.0 % more than September."),
        ({"a": 60, "b": 40}, september("100", a="50", b="50"), "As much as September, to the cent."),
        ({"a": 60, "b": 40}, september("0"), "100.00 USD more than September, mostly a (+60.00)."),
        ({"a": 60, "b": 40}, september("0.01", a="0.01"), "99.99 USD more than September, mostly a (+59.99)."),
        (
            {"a": 60, None: 40},
            september("60", a="60"),
            "66.7 % more than September, mostly unallocated usage (+40.00).",
        ),
        ({"a": 60, "b": 40}, None, "2 calls by 2 teams; a pays the most, 60.0 % of the total."),
        ({"a": 60}, None, "1 call, charged to a."),
        ({None: 60}, None, "1 call, none of which names a team."),
        ({"a": 0, "b": 0}, None, "2 calls by 2 teams."),
    ],
)
def test_the_sentence_is_made_from_the_numbers(
    statement_of: StatementOf, rows: dict[str | None, int], previous: PreviousMonth | None, sentence: str
) -> None:
    costs = [{"team": team, "cost": Decimal(cost)} for team, cost in rows.items()]
    assert plain(wording.summary(statement_of(costs, previous=previous))) == sentence


@pytest.mark.parametrize(
    ("lacks", "lines_read", "sentence"),
    [
        ({"missing_days": days_of("2026-10")}, 0, "no day of October 2026 has been run successfully yet"),
        ({}, 0, "the sources hold no logs of October 2026"),
        ({}, 12, "12 lines read, no model calls of October 2026 among them"),
        ({"expected_days": ()}, 0, "October 2026 lies before the configured start date"),
    ],
)
def test_an_empty_month_says_why(
    statement_of: StatementOf, lacks: dict[str, object], lines_read: int, sentence: str
) -> None:
    statement = statement_of(lacks=lacks, lines_read=lines_read, outcomes={})
    assert wording.summary(statement) == f"Nothing is charged: {sentence}."


def test_a_complete_priced_statement_has_no_notices(statement_of: StatementOf) -> None:
    assert wording.notices(statement_of([{"team": "a", "cost": Decimal(1)}])) == ()


def test_missing_days_are_named(statement_of: StatementOf) -> None:
    (notice,) = wording.notices(statement_of(lacks={"missing_days": october_days(3, 9, 10, 11, 20)}))
    assert notice.headline == "5 of 31 days are missing"
    assert plain(notice.explanation).startswith("(3, 9–11 and 20 October): not run yet, or failed.")


def test_missing_sources_are_named_with_their_days(statement_of: StatementOf) -> None:
    partial = ((dt.date(2026, 10, 21), ("gateway",)), (dt.date(2026, 10, 22), ("gateway", "internal")))
    (notice,) = wording.notices(statement_of(lacks={"partial_days": partial}))
    assert notice.headline == "2 days lack a source"
    assert plain(notice.explanation) == (
        "(gateway on 21–22 October; internal on 22 October). What these sources would add is not in this statement."
    )
    (alone,) = wording.notices(statement_of(lacks={"partial_days": partial[:1]}))
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
    (notice,) = wording.notices(statement_of(lacks={"stale_days": october_days(*days)}))
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
    (notice,) = wording.notices(statement_of(lacks={"unfinished_days": october_days(*days)}))
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
    (notice,) = wording.notices(statement)
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
    (notice,) = wording.notices(statement)
    assert notice.explanation == (
        "(60 tokens in 4 calls; team a). Unknown service tier: x, 2 calls. Not in the price book: y, 1 call. "
        "No token counts in the log: x, 1 call. Nothing is charged for them."
    )


@pytest.mark.parametrize("reason", [*PRICE_REASONS, None])
def test_every_reason_has_words_and_a_price_is_asked_for_only_where_it_helps(
    statement_of: StatementOf, unpriced: Unpriced, reason: str | None
) -> None:
    (notice,) = wording.notices(statement_of([unpriced("a", "x", reason)]))
    kept = reason is not None
    assert ("not kept" not in notice.explanation) is kept
    of_the_log = {"invalid_usage", "missing_usage", "no_reported_cost", None}
    assert ("until a price is set" in notice.explanation) is (reason not in of_the_log)


def test_calls_without_price_and_tokens_are_counted_as_calls(statement_of: StatementOf, unpriced: Unpriced) -> None:
    (notice,) = wording.notices(statement_of([unpriced("a", None, "no_reported_cost")]))
    assert notice.headline == "1 call has no price"
    assert notice.explanation.startswith("(tokens unknown; team a). No cost in the log: no model named.")


def test_many_unpriced_models_are_cut_to_the_first_three(statement_of: StatementOf, unpriced: Unpriced) -> None:
    rows = [unpriced("a", f"m{n}", "unresolved_model", 1, n) for n in range(1, 7)]
    (notice,) = wording.notices(statement_of(rows))
    assert "Not in the price book: m6, m5, m4 and 3 more." in notice.explanation


def test_who_owes_an_unknown_amount_is_not_said_to_pay_the_most(statement_of: StatementOf, unpriced: Unpriced) -> None:
    one, two = (unpriced(team, "x", "unresolved_model") for team in "ab")
    assert wording.summary(statement_of([one])) == "1 call by a."
    assert wording.summary(statement_of([one, two])) == "2 calls by 2 teams."


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
    notice = wording.notices(statement)[-1]
    assert f"{notice.headline} {notice.explanation}" == (
        f"The differences against September do not compare like with like: {which}."
    )


def test_outcomes_stand_in_their_order_without_those_that_did_not_occur(statement_of: StatementOf) -> None:
    statement = statement_of(
        lines_read=2_412_088, outcomes={"quarantined": 279, "usage": 2_411_000, "duplicate": 1, "merged": 0}
    )
    assert wording.outcomes(statement) == "2,412,088 lines read: 2,411,000 calls, 1 duplicate, 279 quarantined"


def test_coverage_counts_days_and_sources(statement_of: StatementOf) -> None:
    assert wording.coverage(statement_of()) == "31 of 31 days, 3 sources"
    partial = ((dt.date(2026, 10, 21), ("gateway",)),)
    lacking = statement_of(lacks={"missing_days": october_days(1, 2), "partial_days": partial})
    assert wording.coverage(lacking) == "29 of 31 days, 3 sources, 1 day in part"
    changed = statement_of(lacks={"stale_days": october_days(1, 2), "unfinished_days": october_days(31)})
    assert wording.coverage(changed) == "31 of 31 days, 3 sources, 2 days out of date, 1 day not over"


@pytest.mark.parametrize(
    ("start", "period", "first"),
    [
        (1, "1–31 October 2026 UTC", "2026-10-01"),
        (15, "15–31 October 2026 UTC", "2026-10-15"),
        (31, "31 October 2026 UTC", "2026-10-31"),
    ],
)
def test_the_period_and_the_command_are_those_of_the_days_covered(
    statement_of: StatementOf, start: int, period: str, first: str
) -> None:
    statement = statement_of(lacks={"expected_days": days_of("2026-10")[start - 1 :]})
    assert wording.period(statement) == period
    assert wording.drill_down(statement) == f"finops breakdown --from {first} --to 2026-10-31 --by team,model"
