import dataclasses
import datetime as dt
import html
import re
from collections.abc import Callable
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from jinja2 import UndefinedError

from finops_pipeline.chargeback.encoding import content_digest
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.config.model import Team
from finops_pipeline.days import days_of
from finops_pipeline.reports import numbers, templating
from finops_pipeline.reports.page import LONGEST_TABLE, render_page, team_details

StatementOf = Callable[..., Statement]
Unpriced = Callable[..., dict[str, Any]]


class Tables(HTMLParser):
    """The cells of all tables, row by row, and every tag and attribute seen."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self._in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, text: str) -> None:
        self.text += text
        if self._in_cell:
            self.tables[-1][-1][-1] += text


def amount_of(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace(numbers.MINUS, "-"))


def test_the_same_statement_gives_the_same_bytes(october: Statement) -> None:
    assert render_page(october) == render_page(dataclasses.replace(october))


def test_the_columns_of_the_charges_add_up_to_the_total_shown(october: Statement) -> None:
    charges = Tables(render_page(october)).tables[0]
    teams = [row for row in charges[1:-1] if row[0]]
    total = charges[-1]
    assert total[0] == "Total"
    assert amount_of(total[2]) == october.total == sum(amount_of(row[2]) for row in teams)
    assert amount_of(total[4]) == october.change == sum(amount_of(row[4]) for row in teams)


def test_cost_centres_of_one_team_add_up_to_its_charge(october: Statement) -> None:
    charges = Tables(render_page(october)).tables[0]
    (support,) = [row for row in charges if row[0].startswith("Support")]
    parts = [row for row in charges[1:-1] if not row[0]]
    assert [row[1] for row in parts] == ["CC-210", "CC-215"]
    assert sum(amount_of(row[2]) for row in parts) == amount_of(support[2])


def test_each_teams_details_add_up_to_its_charge(october: Statement) -> None:
    _, *details = Tables(render_page(october)).tables
    charged = [total for total in october.team_totals if total.requests]
    assert len(details) == len(charged) == 7
    for total, table in zip(charged, details, strict=True):
        amounts = [amount_of(row[-2]) for row in table[1:] if row[-2] != "– no price"]
        assert sum(amounts) == total.amount


def test_a_long_table_is_the_ten_largest_and_the_others(october: Statement) -> None:
    support = october.team_totals[0]
    rows = team_details(october, support)
    assert len(rows) == LONGEST_TABLE + 1
    assert (rows[-1].others, rows[-1].project) == (5, None)
    assert (sum(row.requests for row in rows), sum(row.tokens for row in rows)) == (support.requests, support.tokens)
    shown = [row.amount for row in rows[:-1]]
    assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize(("models", "rows", "others"), [(10, 10, 0), (11, 11, 0), (12, 11, 2)])
def test_one_row_alone_is_never_called_other(statement_of: StatementOf, models: int, rows: int, others: int) -> None:
    statement = statement_of([{"team": "a", "model": f"m{n:02}", "cost": Decimal(1)} for n in range(models)])
    details = team_details(statement, statement.team_totals[0])
    assert (len(details), details[-1].others) == (rows, others)


def test_the_page_says_what_it_lacks(statement_of: StatementOf, unpriced: Unpriced) -> None:
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
    text = Tables(render_page(statement)).text.replace(numbers.NO_BREAK, " ")
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
        "of tokens, in 1 call",
    ):
        assert words in text, words


def test_an_unknown_charge_is_a_dash_and_never_zero(statement_of: StatementOf, unpriced: Unpriced) -> None:
    statement = statement_of(
        [
            unpriced("dark", "x", "unresolved_model", tokens=5),
            unpriced("dark", "y", "unknown_tier", tokens=5),
            unpriced("mixed", "x", "unresolved_model", tokens=5),
            {"team": "mixed", "model": "y", "cost": Decimal(1)},
        ]
    )
    page = Tables(render_page(statement))
    charges, of_mixed, of_dark = page.tables
    shown = {row[0]: row[2:4] for row in charges[1:]}
    assert shown["dark"] == ["– no price", "–"]
    assert shown["mixed"][0] == shown["Total"][0] == "1.00"
    assert {row[1]: row[-2:] for row in of_dark[1:]} == {"x": ["– no price", "–"], "y": ["– no price", "–"]}
    assert {row[1]: row[-2] for row in of_mixed[1:]} == {"x": "– no price", "y": "1.00"}
    assert "0.00" not in "".join(cell for table in page.tables for row in table for cell in row)
    assert re.search(r"dark\s*– no price", page.text), "the summary of the team's details too"


def test_a_teams_owner_stands_below_its_name(statement_of: StatementOf) -> None:
    teams = {"a": Team(owner="Ada Lovelace"), "b": Team()}
    page = render_page(statement_of([{"team": team, "cost": Decimal(1)} for team in "ab"], teams=teams))
    assert page.count('<span class="owner">Ada Lovelace</span>') == 1
    assert page.count('class="owner"') == 1


def test_the_digest_shown_is_that_of_publication(october: Statement) -> None:
    assert content_digest(october)[:16] in render_page(october)
    assert "c0ffee" * 2 in render_page(october, "c0ffee" * 10)


def test_without_a_previous_month_the_comparison_is_a_dash_and_no_column(statement_of: StatementOf) -> None:
    page = Tables(render_page(statement_of([{"team": "a", "cost": Decimal(1)}])))
    assert page.tables[0][0] == ["Team", "Cost centre", "Charge", "Share"]
    assert "Against the month before" in page.text
    assert "it has no statement" in page.text


def test_an_empty_month_is_a_page_of_zero_and_why(statement_of: StatementOf) -> None:
    page = Tables(render_page(statement_of(lacks={"missing_days": days_of("2026-10")}, outcomes={}, lines_read=0)))
    assert "Nothing is charged: no day of October 2026 has been run successfully yet." in page.text
    assert page.tables[0][-1][:3] == ["Total", "", "0.00"]
    assert "No day has a charge." in page.text


def test_the_page_needs_nothing_from_anywhere_and_runs_nothing(october: Statement) -> None:
    page = render_page(october)
    parsed = Tables(page)
    assert not parsed.tags & {"script", "link", "img", "iframe", "object", "form", "base"}
    assert not {name for name in parsed.attributes if name.startswith("on")}
    assert not re.search(r"https?:|//|@import|url\(|src=", page)


def test_links_of_the_charges_lead_to_their_details(october: Statement) -> None:
    page = render_page(october)
    assert set(re.findall(r'href="#(team-\d+)"', page)) == set(re.findall(r'id="(team-\d+)"', page))


def test_hostile_names_stay_text(hostile: Statement) -> None:
    page = render_page(hostile)
    parsed = Tables(page)
    assert "script" not in parsed.tags
    assert "onmouseover" not in parsed.attributes
    assert "<script>alert(1)</script>" in parsed.text
    assert "{{ 7 * 7 }}{% raw %}" in parsed.text
    assert "\u202e" not in page
    assert "Eve��Bcc: everyone@example.com" in parsed.text
    assert "Ω" * (numbers.LONGEST_NAME + 1) not in page
    assert html.escape("検索チーム") in page


def test_a_template_that_lacks_a_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        templating.render("page.html")
