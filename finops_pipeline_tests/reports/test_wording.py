import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from finops_pipeline.chargeback.analyses import BudgetLine
from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.days import days_of
from finops_pipeline.reports import wording

StatementOf = Callable[..., Statement]
Unpriced = Callable[..., dict[str, Any]]


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
            {"revision": 2, "replaces": Decimal("1234.50")},
            {},
            "AI usage chargeback 2026-10: 1,234.50 USD, preliminary, revision 2, same total",
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


def test_outcomes_stand_in_their_order_without_those_that_did_not_occur(statement_of: StatementOf) -> None:
    statement = statement_of(
        lines_read=2_412_088, outcomes={"quarantined": 279, "usage": 2_411_000, "duplicate": 1, "merged": 0}
    )
    told = "2,412,088 lines read: 2,411,000 calls, 1 duplicate, 279 unreadable (quarantined)"
    assert wording.outcomes(statement) == told


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


def test_a_revision_says_what_it_replaces(statement_of: StatementOf) -> None:
    rows = [{"team": "a", "cost": Decimal("1234.50")}]
    assert wording.replaced(statement_of(rows)) is None
    corrected = statement_of(rows, revision=2, replaces=Decimal("924.28"))
    assert wording.replaced(corrected) == "Replaces revision 1 of 924.28: +310.22"
    same = wording.replaced(statement_of(rows, revision=2, replaces=Decimal("1234.50")))
    assert same == "Replaces revision 1 of 1,234.50: same total, but its lines, days, owners or completeness changed"


def test_the_subject_of_a_part_names_the_team(statement_of: StatementOf) -> None:
    part = part_of(statement_of([{"team": "a", "cost": Decimal(2)}, {"team": "b", "cost": Decimal(1)}]), "a")
    assert wording.subject(part) == "AI usage of a 2026-10: 2.00 USD, preliminary"


@pytest.mark.parametrize(
    ("team", "shown"),
    [
        (None, "Unallocated"),
        ("Unallocated", "“Unallocated”"),
        (" unallocated ", "“ unallocated ”"),
        ("TOTAL", "“TOTAL”"),
        ("other (12)", "“other (12)”"),
        ("other", "“other”"),
        ("others", "others"),
        ("Unallocated usage", "Unallocated usage"),
    ],
)
def test_a_team_cannot_pass_for_a_line_of_ours(team: str | None, shown: str) -> None:
    assert wording.team_name(team) == shown


def line(spent: str, status: Any, unpriced_requests: int = 0, *, scope: tuple[tuple[str, str], ...] = ()) -> BudgetLine:
    return BudgetLine("b", scope, Decimal(100), Decimal(spent), status, unpriced_requests)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (line("79.99", "ok"), "80.0 %"),
        (line("80", "warning"), "80.0 % warning"),
        (line("99.999", "warning"), "> 99.9 % warning"),
        (line("100", "exceeded"), "100.0 % exceeded"),
        (line("50", "ok", 3), "≥ 50.0 %"),
    ],
)
def test_a_budget_says_how_much_of_it_is_used_and_whether_that_is_too_much(budget: BudgetLine, words: str) -> None:
    assert wording.budget_used(budget).replace("\N{NO-BREAK SPACE}", " ") == words


def test_a_scope_is_told_in_words() -> None:
    assert wording.scope(line("1", "ok")) == "all usage"
    pairs = (("team", "search"), ("cost_center", "CC\r\n1"))
    assert wording.scope(line("1", "ok", scope=pairs)) == "team search, cost center CC��1"


@pytest.mark.parametrize(
    ("team", "command"),
    [
        (None, "finops savings --month 2026-10"),
        ("search", "finops savings --month 2026-10 --team search"),
        ("$(rm -rf ~); x", "finops savings --month 2026-10 --team '$(rm -rf ~); x'"),
        ("צוות 7", "finops savings --month 2026-10 --team 'צוות 7'"),
        ("a\nb", "finops savings --month 2026-10"),
        ("x" * 81, "finops savings --month 2026-10"),
    ],
)
def test_a_command_can_be_pasted_whatever_the_team_is_called(team: str | None, command: str) -> None:
    assert wording.savings_command("2026-10", team) == command
