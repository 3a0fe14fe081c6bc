from collections.abc import Callable
from decimal import Decimal
from email.message import EmailMessage
from typing import Any

import pytest

from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.reports import numbers
from finops_pipeline.reports.team_mail import compose_team

StatementOf = Callable[..., Statement]
Arrive = Callable[[EmailMessage], Any]
TEAMS = ("Support", "Search", "Platform", "Growth", "Risk", "Docs", "Labs")


@pytest.fixture
def sent(arrived: Arrive) -> Callable[..., Any]:
    def send(part: Statement, attachments: dict[str, bytes] | None = None) -> Any:
        return arrived(compose_team(part, "finops@example.com", "owner@example.com", attachments))

    return send


def plain(text: str) -> str:
    return text.replace(numbers.NO_BREAK, " ")


@pytest.mark.parametrize("team", TEAMS)
def test_nothing_of_other_teams_is_in_it(october: Statement, sent: Callable[..., Any], team: str) -> None:
    mail = sent(part_of(october, team))
    for shown in (mail.text, mail.html.text, str(mail.message["Subject"])):
        for other in october.team_totals:
            if other.team != team:
                assert other.team is None or other.team not in shown
                assert not other.amount or numbers.money(other.amount) not in shown
        assert numbers.money(october.total) not in shown


def test_both_parts_say_amount_comparison_budget_projects_and_what_to_do(
    october: Statement, sent: Callable[..., Any]
) -> None:
    part = part_of(october, "Search")
    mail = sent(part)
    assert mail.message["Subject"] == f"AI usage of Search 2026-10: {numbers.money(part.total)} USD, preliminary"
    for flat in (mail.flat_text, plain(mail.html.flat)):
        for words in (
            f"October 2026: {numbers.money(part.total)} USD",
            "38.3 % more than September, and 2,126.74 over the budget of 10,000.00.",
            "+3,357.12",
            "121.3 % exceeded",
            "search-assistant-0",
            "Answer repeated prompts of ranking from a cache",
            "1,730.02",
            "An answer may be given twice for an hour.",
            "finops savings --month 2026-10 --team Search",
            "Charged to CC-180.",
            "You get this as Head of Search, who answers for Search.",
        ):
            assert words in flat, words


def test_a_budget_over_a_part_of_the_team_says_which(october: Statement, sent: Callable[..., Any]) -> None:
    flat = sent(part_of(october, "Support")).flat_text
    assert "Budget assistants on Sonnet 82.8 % warning 3,310.90 of 4,000.00 (team Support, model claude-s" in flat


def test_the_page_is_attached_and_named(october: Statement, sent: Callable[..., Any]) -> None:
    mail = sent(part_of(october, "Docs"), {"docs-7af023c4.html": b"<p>"})
    assert mail.attached == {"docs-7af023c4.html": b"<p>"}
    assert "Attached: docs-7af023c4.html." in mail.flat_text


def test_what_the_teams_calls_lack_is_said(
    statement_of: StatementOf, sent: Callable[..., Any], unpriced: Callable[..., dict[str, Any]]
) -> None:
    rows = [unpriced("dark", "x", "unresolved_model", 2, 5), {"team": "lit", "cost": Decimal(1)}]
    mail = sent(part_of(statement_of(rows), "dark"))
    assert mail.message["Subject"].startswith("AI usage of dark 2026-10: – (no price)")
    for flat in (mail.flat_text, plain(mail.html.flat)):
        assert "100.0 % of tokens have no price (5 tokens in 2 calls). Not in the price book: x." in flat
        assert "0.00" not in flat


def test_an_unknown_amount_is_compared_with_nothing(
    statement_of: StatementOf, unpriced: Callable[..., dict[str, Any]], sent: Callable[..., Any]
) -> None:
    before = PreviousMonth("2026-09", Decimal(100), {"a": Decimal(100)}, incomplete=False)
    mail = sent(part_of(statement_of([unpriced("a", "x", "unresolved_model", 2, 5)], previous=before), "a"))
    for text in (mail.flat_text, mail.html.flat):
        assert "Against September – September: 100.00" in text
        assert "100.0 %)" not in text


def test_a_revision_says_what_the_team_was_charged_before(statement_of: StatementOf, sent: Callable[..., Any]) -> None:
    statement = statement_of([{"team": "a", "cost": Decimal(3)}, {"team": "b", "cost": Decimal(4)}], revision=2)
    mail = sent(part_of(statement, "a", replaces=Decimal("1.50")))
    assert mail.message["Subject"] == "AI usage of a 2026-10: 3.00 USD, preliminary, revision 2, +1.50"
    assert "Replaces revision 1 of 1.50: +1.50." in mail.flat_text


def test_the_same_part_gives_the_same_bytes(october: Statement) -> None:
    part = part_of(october, "Growth")
    first, second = (compose_team(part, "f@example.com", "o@example.com").as_bytes() for _ in range(2))
    assert first == second


def test_a_whole_statement_is_refused(october: Statement) -> None:
    with pytest.raises(ValueError, match="of all teams"):
        compose_team(october, "f@example.com", "o@example.com")


def test_hostile_names_stay_text(hostile: Statement, hostile_names: tuple[str, ...], sent: Callable[..., Any]) -> None:
    for name in hostile_names:
        mail = sent(part_of(hostile, name))
        assert set(mail.message.keys()) == {"From", "To", "Subject", "Date", "MIME-Version", "Content-Type"}
        assert "script" not in mail.html.tags
        assert "onmouseover" not in mail.html.attributes
        assert "\u202e" not in mail.text + mail.html.text
        assert numbers.name(name) in mail.html.text
        assert not any(line.startswith("Bcc:") for line in mail.text.splitlines())
