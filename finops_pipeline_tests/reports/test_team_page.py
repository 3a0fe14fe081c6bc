import dataclasses
import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from finops_pipeline.chargeback.analyses import BudgetLine
from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports import numbers
from finops_pipeline.reports.ledger import ledger_name, render_ledger
from finops_pipeline.reports.team_page import render_team_page

StatementOf = Callable[..., Statement]
HtmlOf = Callable[[str], Any]
TEAMS = ("Support", "Search", "Platform", "Growth", "Risk", "Docs", "Labs")


def plain(text: str) -> str:
    return text.replace(numbers.NO_BREAK, " ")


@pytest.mark.parametrize("team", TEAMS)
def test_nothing_of_other_teams_is_on_it(october: Statement, html_of: HtmlOf, team: str) -> None:
    text = html_of(render_team_page(part_of(october, team))).flat
    others = [total for total in october.team_totals if total.team != team]
    for other in others:
        assert other.team is None or other.team not in text
        assert other.team is None or other.team.lower() + "-" not in text
        assert numbers.money(other.amount) not in text or other.amount == 0
    assert numbers.money(october.total) not in text
    assert "Unallocated" not in text


def test_it_has_the_teams_own_charge_comparison_budget_and_savings(october: Statement, html_of: HtmlOf) -> None:
    page = html_of(render_team_page(part_of(october, "Search")))
    (search,) = [total for total in october.team_totals if total.team == "Search"]
    text = plain(page.flat)
    assert f"Charged {numbers.money(search.amount)}" in text
    assert f"Against September {numbers.change(search.change)}" in text
    assert "Against budget 121.3 % exceeded by 2,126.74" in text
    assert "Could have been saved 1,730.02 1 action below" in text
    assert "Answer repeated prompts of ranking from a cache" in text
    assert "Owner Head of Search · cost centre CC-180" in text


def test_projects_and_models_add_up_to_the_charge(october: Statement, html_of: HtmlOf) -> None:
    page = html_of(render_team_page(part_of(october, "Risk")))
    (details,) = [table for table in page.tables if table[0][0] == "Project"]
    amounts = [Decimal(row[-2].replace(",", "")) for row in details[1:]]
    assert sum(amounts[:-1]) == amounts[-1] == part_of(october, "Risk").total


def test_its_own_unpriced_calls_are_told_without_naming_the_team(october: Statement, html_of: HtmlOf) -> None:
    text = plain(html_of(render_team_page(part_of(october, "Support"))).flat)
    assert "(8.99 M tokens in 1,860 calls). Not in the price book: qwen3-32b." in text
    assert "no price" not in html_of(render_team_page(part_of(october, "Docs"))).flat


def test_a_team_that_was_only_there_last_month_has_a_page(october: Statement, html_of: HtmlOf) -> None:
    text = html_of(render_team_page(part_of(october, "Labs"))).flat
    assert "No calls in October 2026; September came to 6,888.10." in text
    assert "No day has a charge above zero." in text


def test_a_team_that_has_nothing_but_a_budget_has_a_page(statement_of: StatementOf, html_of: HtmlOf) -> None:
    idle = BudgetLine("idle", (("team", "idle"),), Decimal(100), Decimal(0), "ok")
    statement = statement_of([{"team": "a", "cost": Decimal(1)}], budgets=(idle,))
    text = plain(html_of(render_team_page(part_of(statement, "idle"))).flat)
    assert "No calls in October 2026." in text
    assert "Against budget 0.0 % 100.00 left of 100.00" in text


def test_calls_that_all_lack_a_price_are_a_dash(
    statement_of: StatementOf, html_of: HtmlOf, unpriced: Callable[..., dict[str, Any]]
) -> None:
    statement = statement_of([unpriced("dark", "x", "unresolved_model", 3, 5), {"team": "a", "cost": Decimal(1)}])
    text = html_of(render_team_page(part_of(statement, "dark"))).flat
    assert "Charged – no price" in text
    assert "3 calls. The cost is unknown: no call has a price." in text
    assert "0.00" not in text


def test_of_a_budget_of_calls_without_a_price_it_says_at_least(october: Statement, html_of: HtmlOf) -> None:
    text = plain(html_of(render_team_page(part_of(october, "Platform"))).flat)
    assert "Against budget ≥ 86.3 % warning: 1,096.13 left" in text
    assert "at least 86.3 % of the budget of 8,000.00 is used" in text


def test_its_ledger_is_named_with_the_digest_of_its_bytes(october: Statement, html_of: HtmlOf) -> None:
    part = part_of(october, "Docs")
    digest = hashlib.sha256(render_ledger(part)).hexdigest()
    assert f"Ledger: {ledger_name(part)}, SHA-256 {digest}" in html_of(render_team_page(part)).flat


def test_one_action_alone_overlaps_with_none(october: Statement, html_of: HtmlOf) -> None:
    for team, told in (("Docs", False), ("Support", True)):
        text = html_of(render_team_page(part_of(october, team))).flat
        assert ("Actions overlap" in text, "Evidence “" in text) == (told, True)


def test_days_that_an_older_statement_did_not_keep_are_unknown_and_not_zero(
    october: Statement, html_of: HtmlOf
) -> None:
    older = dataclasses.replace(october, team_days=october.team_days.clear())
    part = part_of(older, "Support")
    assert part.days.get_column("cost").null_count() == 31
    assert "was not kept with this statement" in html_of(render_team_page(part)).flat


def test_the_same_part_gives_the_same_bytes(october: Statement) -> None:
    assert render_team_page(part_of(october, "Docs")) == render_team_page(part_of(october, "Docs"))


def test_a_whole_statement_is_refused(october: Statement) -> None:
    with pytest.raises(ValueError, match="of all teams"):
        render_team_page(october)


def test_hostile_names_stay_text(hostile: Statement, hostile_names: tuple[str, ...], html_of: HtmlOf) -> None:
    for name in hostile_names:
        page = render_team_page(part_of(hostile, name))
        parsed = html_of(page)
        assert "script" not in parsed.tags
        assert "onmouseover" not in parsed.attributes
        assert "\u202e" not in page
        assert numbers.name(name) in parsed.text
