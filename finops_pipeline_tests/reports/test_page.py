import dataclasses
import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from jinja2 import UndefinedError

from finops_pipeline.chargeback.analyses import BudgetLine, SavingsFound
from finops_pipeline.chargeback.encoding import content_digest
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.config.model import Team
from finops_pipeline.days import days_of
from finops_pipeline.reports import numbers, templating
from finops_pipeline.reports.page import LinkedFile, render_page
from finops_pipeline.reports.paths import team_file

StatementOf = Callable[..., Statement]
Unpriced = Callable[..., dict[str, Any]]
HtmlOf = Callable[[str], Any]


def amount_of(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace(numbers.MINUS, "-"))


def column(table: list[list[str]], title: str) -> int:
    return table[0].index(title)


def plain(text: str) -> str:
    return text.replace(numbers.NO_BREAK, " ")


def test_the_same_statement_gives_the_same_bytes(october: Statement) -> None:
    assert render_page(october) == render_page(dataclasses.replace(october))


def test_the_columns_of_the_charges_add_up_to_the_total_shown(october: Statement, html_of: HtmlOf) -> None:
    charges = html_of(render_page(october)).tables[0]
    teams = [row for row in charges[1:-1] if row[0]]
    total = charges[-1]
    charge, before, change = (column(charges, title) for title in ("Charge", "Sep", "Against Sep"))
    assert total[0] == "Total"
    assert amount_of(total[charge]) == october.total == sum(amount_of(row[charge]) for row in teams)
    assert amount_of(total[before]) == Decimal("68043.46") == sum(amount_of(row[before]) for row in teams)
    assert amount_of(total[change]) == october.change == sum(amount_of(row[change]) for row in teams)


def test_cost_centres_of_one_team_add_up_to_its_charge(october: Statement, html_of: HtmlOf) -> None:
    charges = html_of(render_page(october)).tables[0]
    (support,) = [row for row in charges if row[0].startswith("Support")]
    parts = [row for row in charges[1:-1] if not row[0]]
    assert [row[1] for row in parts] == ["CC-210", "CC-215"]
    assert sum(amount_of(row[2]) for row in parts) == amount_of(support[2])


def test_each_teams_details_add_up_to_its_charge(october: Statement, html_of: HtmlOf) -> None:
    details = [table for table in html_of(render_page(october)).tables if table[0][0] == "Project"]
    charged = [total for total in october.team_totals if total.requests]
    assert len(details) == len(charged) == 7
    for total, (header, *rows, last) in zip(charged, details, strict=True):
        amounts = [amount_of(row[-2]) for row in rows if row[-2] != "– no price"]
        assert header[-2] == "Charge"
        assert sum(amounts) == total.amount == amount_of(last[-2])


def test_budgets_stand_beside_the_charge_with_the_word_where_it_is_too_much(
    october: Statement, html_of: HtmlOf
) -> None:
    page = html_of(render_page(october))
    charges, others = page.tables[:2]
    used = column(charges, "Budget used")
    shown = {row[0].split("Head")[0]: plain(row[used]).strip() for row in charges[1:] if row[0]}
    # 36574.93 / 60000, 12126.74 / 10000, 6903.87 / 8000: a lower bound, for calls of it have no price
    assert (shown["Support"], shown["Search"], shown["Platform"]) == ("61.0 %", "121.3 % exceeded", "≥ 86.3 % warning")
    assert (shown["Growth"], shown["Total"]) == ("no budget", "")
    assert [plain(row[-1]).strip() for row in others[1:]] == ["82.8 % warning", "80.0 % warning"]
    # the teams' own budgets alone: (36574.93 + 12126.74 + 6903.87) / 78000; calls of one have no price
    assert "Against budgets ≥ 71.3 % Search over by 2,126.74" in page.flat.replace(numbers.NO_BREAK, " ")


def test_without_budgets_there_is_no_column_for_them(statement_of: StatementOf, html_of: HtmlOf) -> None:
    page = html_of(render_page(statement_of([{"team": "a", "cost": Decimal(1)}])))
    assert page.tables[0][0] == ["Team", "Cost centre", "Charge", "Share"]
    assert "Against budgets – no budget is set" in page.flat


@pytest.mark.parametrize(
    ("spent", "status", "words"),
    [
        ("79.99", "ok", "Against budgets 80.0 % of 100.00, none exceeded"),
        ("80", "warning", "Against budgets 80.0 % whole at 80.0 %: warning"),
        ("100", "exceeded", "Against budgets 100.0 % whole exceeded"),
        ("100.01", "exceeded", "Against budgets 100.0 % whole over by 0.01"),
    ],
)
def test_a_budget_over_all_usage_is_told_where_no_team_has_one(
    statement_of: StatementOf, html_of: HtmlOf, spent: str, status: Any, words: str
) -> None:
    line = BudgetLine("whole", (), Decimal(100), Decimal(spent), status)
    page = html_of(render_page(statement_of([{"team": "a", "cost": Decimal(1)}], budgets=(line,))))
    assert words in plain(page.flat)


def test_the_bridge_is_drawn_for_both_widths_and_a_cut_axis_says_so(october: Statement, html_of: HtmlOf) -> None:
    page = render_page(october)
    assert "the axis starts at 62,000" in html_of(page).flat
    assert page.count('class="chart wide"') == page.count('class="chart narrow"') == 2
    assert "Caching: how much of the input is read from a cache" in html_of(page).flat


def test_of_many_budgets_the_ten_most_used_are_listed(statement_of: StatementOf, html_of: HtmlOf) -> None:
    budgets = tuple(
        BudgetLine(f"p{n:02}", (("project", f"p{n:02}"),), Decimal(100), Decimal(n), "warning" if n >= 80 else "ok")
        for n in range(60, 90)
    )
    page = html_of(render_page(statement_of([{"team": "a", "cost": Decimal(1)}], budgets=budgets)))
    (listed,) = [table for table in page.tables if table[0][0] == "Budget"]
    assert [row[0].split("project")[0] for row in listed[1:-1]] == [f"p{n}" for n in range(89, 79, -1)]
    assert listed[-1] == ["other (20): none exceeded"]


def test_a_month_without_any_price_is_compared_with_none(
    statement_of: StatementOf, unpriced: Unpriced, html_of: HtmlOf
) -> None:
    before = PreviousMonth("2026-09", Decimal(100), {"a": Decimal(100)}, incomplete=False)
    page = html_of(render_page(statement_of([unpriced("a", "x", "unresolved_model", 2, 5)], previous=before)))
    assert "Against September – it was 100.00" in plain(page.flat)
    assert "2 calls by a. The cost is unknown: no call has a price." in page.flat
    assert "less than" not in page.flat


def test_without_a_bridge_nothing_is_said_of_why(statement_of: StatementOf) -> None:
    assert "Why it changed" not in render_page(statement_of([{"team": "a", "cost": Decimal(1)}]))


def test_the_five_largest_savings_stand_with_evidence_and_assumptions(october: Statement, html_of: HtmlOf) -> None:
    page = html_of(render_page(october))
    (savings,) = [table for table in page.tables if "Evidence" in table[0]]
    expected = [amount_of(row[column(savings, "Expected")]) for row in savings[1:]]
    assert expected == [Decimal(x) for x in ("2640.00", "1730.02", "910.50", "402.40", "88.08")]
    assert [row[0] for row in savings[1:]] == ["Support", "Search", "Growth", "Support", "Unallocated"]
    assert "All together, of all teams, they would have saved 5,612.52." in page.flat
    assert "Could have been saved 5,612.52 5 actions below" in page.flat
    assert "Would have cost more: Send platform-batch-1 through the batch tier (Platform), +44.10." in page.flat
    assert page.text.count("AUC of 0.51–0.67") == 1


@pytest.mark.parametrize(
    ("days", "words"),
    [(0, "Could have been saved – not analysed"), (31, "Could have been saved 0.00 nothing found that saves")],
)
def test_no_savings_are_told_from_no_analysis(
    statement_of: StatementOf, html_of: HtmlOf, days: int, words: str
) -> None:
    statement = statement_of([{"team": "a", "cost": Decimal(1)}], savings=SavingsFound(days=days))
    assert words in html_of(render_page(statement)).flat


def test_the_page_says_what_it_lacks(statement_of: StatementOf, unpriced: Unpriced, html_of: HtmlOf) -> None:
    statement = statement_of(
        [unpriced("a", "qwen3", "unresolved_model", tokens=5)],
        lacks={
            "missing_days": (dt.date(2026, 10, 4),),
            "partial_days": ((dt.date(2026, 10, 5), ("gateway",)),),
            "stale_days": (dt.date(2026, 10, 6),),
            "unfinished_days": (dt.date(2026, 10, 31),),
        },
        revision=2,
        replaces=Decimal("1.00"),
    )
    text = plain(html_of(render_page(statement)).flat)
    for words in (
        "Preliminary, incomplete, revision 2",
        "Data incomplete: 30 of 31 days, 3 sources, 1 day in part, 1 day out of date, 1 day not over",
        "Replaces revision 1 of 1.00: −1.00",
        "1 of 31 days is missing (4 October)",
        "1 day lacks a source (gateway on 5 October)",
        "1 day is out of date (6 October)",
        "1 day was not over (31 October)",
        "100.0 % of tokens have no price (5 tokens in 1 call; team a). Not in the price book: qwen3.",
        "1 call, 5 tokens",
        "Nobody gets the page of 1 team (a: not in the config)",
    ):
        assert words in text, words


def test_how_far_it_can_be_trusted_stands_at_its_end(october: Statement, html_of: HtmlOf) -> None:
    text = plain(html_of(render_page(october)).flat)
    # of 1,024,226,184 tokens: 8,990,000 unpriced (31 days x 290,000), 12,000,000 estimated
    assert "Measured 97.9 % · estimated 1.2 % · unpriced 0.9 % of tokens · unallocated 1.0 % of the charge" in text
    assert "2,412,088 lines read: 2,401,377 calls, 9,920 duplicates, 512 without a call, " in text
    assert "279 unreadable (quarantined) Not reconciled with the providers’ invoices" in text
    assert "Price book 3f2a9c0d1e5b7788" in text
    assert "finops breakdown --from 2026-10-01 --to 2026-10-31 --by team,model" in text


def test_an_unknown_charge_is_a_dash_and_never_zero(
    statement_of: StatementOf, unpriced: Unpriced, html_of: HtmlOf
) -> None:
    statement = statement_of(
        [
            unpriced("dark", "x", "unresolved_model", tokens=5),
            unpriced("dark", "y", "unknown_tier", tokens=5),
            unpriced("mixed", "x", "unresolved_model", tokens=5),
            {"team": "mixed", "model": "y", "cost": Decimal(1)},
        ]
    )
    page = html_of(render_page(statement))
    charges, of_mixed, of_dark = page.tables
    shown = {row[0]: row[2:4] for row in charges[1:]}
    assert shown["dark"] == ["– no price", "–"]
    assert shown["mixed"][0] == shown["Total"][0] == "1.00"
    assert {row[1]: row[-2:] for row in of_dark[1:-1]} == {"x": ["– no price", "–"], "y": ["– no price", "–"]}
    assert {row[1]: row[-2] for row in of_mixed[1:-1]} == {"x": "– no price", "y": "1.00"}
    assert "0.00" not in "".join(cell for table in page.tables for row in table for cell in row)
    assert re.search(r"dark\s*– no price", page.text), "the summary of the team's details too"


def test_a_teams_owner_stands_below_its_name(statement_of: StatementOf) -> None:
    teams = {"a": Team(owner="Ada Lovelace"), "b": Team()}
    page = render_page(statement_of([{"team": team, "cost": Decimal(1)} for team in "ab"], teams=teams))
    assert page.count('<span class="owner">Ada Lovelace</span>') == 1
    assert page.count('class="owner"') == 1


def test_a_team_that_is_named_like_a_line_of_ours_stands_in_quotes(statement_of: StatementOf, html_of: HtmlOf) -> None:
    rows = [
        {"team": team, "cost": Decimal(n + 1)} for n, team in enumerate(["Unallocated", "total", "other (3)", None])
    ]
    charges = html_of(render_page(statement_of(rows))).tables[0]
    names = [row[0] for row in charges[1:]]
    assert names == ["“other (3)”", "“total”", "“Unallocated”", "Unallocatedno team named", "Total"]


def test_the_digest_shown_is_that_of_publication(october: Statement) -> None:
    assert content_digest(october)[:16] in render_page(october)
    assert "c0ffee" * 2 in render_page(october, "c0ffee" * 10)


def test_without_a_previous_month_the_comparison_is_a_dash_and_no_column(
    statement_of: StatementOf, html_of: HtmlOf
) -> None:
    page = html_of(render_page(statement_of([{"team": "a", "cost": Decimal(1)}])))
    assert page.tables[0][0] == ["Team", "Cost centre", "Charge", "Share"]
    assert "Against the month before – it has no statement" in page.flat


def test_an_empty_month_is_a_page_of_zero_and_why(statement_of: StatementOf, html_of: HtmlOf) -> None:
    page = html_of(render_page(statement_of(lacks={"missing_days": days_of("2026-10")}, outcomes={}, lines_read=0)))
    assert "Nothing is charged: no day of October 2026 has been run successfully yet." in page.text
    assert page.tables[0][-1][:3] == ["Total", "", "0.00"]
    assert "No day has a charge above zero." in page.text


def test_the_page_needs_nothing_from_anywhere_and_runs_nothing(october: Statement, html_of: HtmlOf) -> None:
    page = render_page(october, files=(LinkedFile("ledger.csv", "Ledger", "ab" * 32),))
    parsed = html_of(page)
    assert not parsed.tags & {"script", "link", "img", "iframe", "object", "form", "base"}
    assert not {name for name in parsed.attributes if name.startswith("on")}
    without_fonts = re.sub(r"url\(data:font/woff;base64,[A-Za-z0-9+/=]+\)", "", page)
    assert not re.search(r"https?:|//|@import|url\(|src=", without_fonts)
    assert len(page) < 150_000


def test_links_lead_to_the_teams_pages_and_the_files_beside_it(october: Statement, html_of: HtmlOf) -> None:
    file = LinkedFile("ledger.csv", "Ledger", "ab" * 32)
    page = html_of(render_page(october, files=(file,)))
    pages = {team_file(total.team) for total in october.team_totals if total.team is not None}
    assert set(page.links) == {*pages, "ledger.csv"}
    assert f"Ledger: ledger.csv, SHA-256 {'ab' * 32}" in page.flat


def test_teams_beyond_the_ten_largest_are_one_row_and_their_pages_are_linked(
    statement_of: StatementOf, html_of: HtmlOf
) -> None:
    rows = [{"team": f"t{n:02}", "cost": Decimal(20 - n)} for n in range(13)]
    page = html_of(render_page(statement_of(rows)))
    assert [row[0] for row in page.tables[0]][-2:] == ["other (3)", "Total"]
    assert {team_file(f"t{n:02}") for n in range(13)} == set(page.links)


def test_hostile_names_stay_text(hostile: Statement, html_of: HtmlOf) -> None:
    page = render_page(hostile)
    parsed = html_of(page)
    assert "script" not in parsed.tags
    assert "onmouseover" not in parsed.attributes
    assert "<script>alert(1)</script>" in parsed.text
    assert "{{ 7 * 7 }}{% raw %}" in parsed.text
    assert "\u202e" not in page
    assert "Eve��Bcc: everyone@example.com" in parsed.text
    assert "Ω" * (numbers.LONGEST_SENTENCE + 1) not in page
    assert "検索チーム" in parsed.text


def test_a_template_that_lacks_a_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        templating.render("page.html")
