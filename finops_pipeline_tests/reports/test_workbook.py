import dataclasses
import datetime as dt
import hashlib
import io
import zipfile
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from openpyxl import load_workbook

from finops_pipeline.chargeback.analyses import Action, BridgeStep, BudgetLine, SavingsFound
from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.reports import sheets
from finops_pipeline.reports.ledger import LEDGER_COLUMNS, render_ledger
from finops_pipeline.reports.workbook import render_workbook, workbook_name

StatementOf = Callable[..., Statement]

SHEETS = ["Summary", "Teams", "Lines", "Days", "Budgets", "Savings", "Why it changed"]

FORMULAS = (
    "=1+1",
    "@SUM(A1)",
    "＝1",
    "\t=1",
    "-2+3",
    "https://example.com/x",
    "mailto:a@example.com",
    "internal:Teams!A1",
)
"""Names that xlsxwriter or a spreadsheet could take for a formula or a link."""


def read(content: bytes) -> dict[str, list[tuple[Any, ...]]]:
    """The values of each sheet, as a reader that is not ours has them."""
    book = load_workbook(io.BytesIO(content))
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}


def table(content: bytes, name: str) -> list[dict[str, Any]]:
    header, *rows = read(content)[name]
    return [dict(zip(header, row, strict=True)) for row in rows]


def summary(content: bytes) -> dict[str, Any]:
    return {row[0]: row[1] for row in read(content)["Summary"] if row[0]}


def xml_of(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def action(**said: Any) -> Action:
    usual = Action(
        lever="caching",
        team="Search",
        project="ranking",
        application="api",
        service="Amazon Bedrock",
        model="nova-pro",
        target=None,
        requests=7,
        cost=Decimal("80.00"),
        low=Decimal("10.00"),
        expected=Decimal("22.50"),
        high=Decimal("30.25"),
        incremental=Decimal("20.00"),
        evidence="measured",
        assumptions="Answers may be five minutes old",
        action="Cache answers to repeated prompts",
    )
    return dataclasses.replace(usual, **said)


@pytest.fixture
def month(statement_of: StatementOf) -> Statement:
    """Two teams and unallocated usage, with all that a statement can say."""
    rows = [
        {"team": "Search", "cost_center": "CC-1", "project": "ranking", "cost": Decimal("110.254"), "requests": 10},
        {"team": "Search", "date": dt.date(2026, 10, 2), "cost_center": "CC-1", "cost": Decimal("1.5")},
        {"team": "Support", "cost_center": "CC-2", "cost": Decimal("40"), "requests": 4, "input_tokens": 1_000_000},
        {"team": None, "cost": Decimal("2.25")},
    ]
    owned = BudgetLine("search-month", (("team", "Search"),), Decimal(100), Decimal("111.75"), "exceeded")
    return statement_of(
        rows,
        lacks={"missing_days": (dt.date(2026, 10, 3),)},
        owners={"Search": "Ada"},
        previous=PreviousMonth(
            "2026-09", Decimal("120.00"), {"Search": Decimal("100.00"), "Gone": Decimal("20.00")}, False
        ),
        budgets=(
            owned,
            BudgetLine(
                "ranking", (("team", "Search"), ("project", "ranking")), Decimal(200), Decimal("110.25"), "ok", 3
            ),
            BudgetLine("company", (("provider", "aws"),), Decimal(180), Decimal("154.00"), "warning"),
        ),
        bridge=(BridgeStep("Volume", Decimal("40.00")), BridgeStep("Price", Decimal("-6.00"))),
        savings=SavingsFound(
            (action(), action(team="Support", lever="downgrade", target="nova-lite", expected=Decimal("9.00"))),
            {"Search": Decimal("20.00"), "Support": Decimal("9.00")},
            (action(lever="batching", expected=Decimal("-3.00"), low=Decimal("-4.00"), high=Decimal("0.00")),),
            31,
        ),
    )


def test_the_summary_says_what_is_charged_and_where_the_record_is(month: Statement) -> None:
    said = summary(render_workbook(month))
    assert (said["Charged"], said["Unallocated"], said["Could have been saved"]) == (154.00, 2.25, 29.00)
    assert (said["September 2026"], said["Against September"]) == (120.00, 34.00)
    assert said["Period"] == "1–31 October 2026 UTC"
    assert "30 of 31 days" in said["Completeness"]
    assert said["Budget Search"].startswith("111.8")
    assert "Budget ranking" not in said  # nothing to tell of it
    assert said["Ledger"] == "chargeback-2026-10-r1.csv"
    assert said["SHA-256 of the ledger"] == hashlib.sha256(render_ledger(month)).hexdigest()


def test_a_revision_says_what_it_differs_by(month: Statement) -> None:
    said = summary(render_workbook(dataclasses.replace(month, revision=2, replaces=Decimal("150.00"))))
    assert said["Against revision 1"] == 4.00


def test_teams_stand_with_budget_and_last_month_above_a_total_that_adds_up(month: Statement) -> None:
    *teams, total = table(render_workbook(month), "Teams")
    assert [team["Team"] for team in teams] == ["Search", "Support", "Gone", "Unallocated"]
    assert [team["Charge"] for team in teams] == [111.75, 40, 0, 2.25]
    assert [team["Against September"] for team in teams] == [11.75, 40, -20, 2.25]
    assert [team["Could be saved"] for team in teams] == [20, 9, 0, 0]
    search = teams[0]
    assert (search["Owner"], search["Cost centre"], search["September"]) == ("Ada", "CC-1", 100)
    assert (search["Budget"], search["Used"], search["Status"]) == (100, 1.1175, "exceeded")
    assert (teams[1]["Budget"], teams[1]["Used"], teams[1]["Status"]) == ("–", "–", "no budget")
    assert total["Team"] == "Total"
    for column in ("Charge", "Share", "September", "Against September", "Could be saved", "Calls", "Tokens"):
        assert sum(team[column] for team in teams) == pytest.approx(total[column], abs=1e-9), column


def test_a_team_without_any_price_owes_no_zero(statement_of: StatementOf, unpriced: Callable[..., Any]) -> None:
    statement = statement_of([unpriced("Pilot", "qwen3-32b", "unresolved_model")])
    team, total = table(render_workbook(statement), "Teams")
    assert (team["Charge"], team["Share"], total["Charge"]) == ("– no price", "–", 0)
    part = render_workbook(part_of(statement, "Pilot"))
    assert table(part, "Teams")[-1]["Charge"] == summary(part)["Charged"] == "– no price"


def test_lines_are_those_of_the_ledger(october: Statement) -> None:
    lines = table(render_workbook(october), "Lines")
    assert list(lines[0]) == list(LEDGER_COLUMNS)
    assert [line["model"] for line in lines] == october.lines["model"].to_list()
    assert [Decimal(str(line["amount"])) for line in lines] == october.lines["amount"].to_list()
    assert sum(Decimal(str(line["amount"])) for line in lines) == october.total
    assert [line["exact_cost"] for line in lines] == [float(cost) for cost in october.lines["exact_cost"]]


def test_days_have_a_column_for_each_team_and_a_missing_day_has_no_cost(month: Statement) -> None:
    days = table(render_workbook(month), "Days")
    assert len(days) == 31
    assert [str(day["Day"].date()) for day in days] == [f"2026-10-{n:02}" for n in range(1, 32)]
    assert list(days[0].items())[1:] == [("Cost", 152.504), ("Search", 110.254), ("Support", 40), ("Unallocated", 2.25)]
    assert (days[1]["Cost"], days[1]["Search"], days[1]["Support"]) == (1.5, 1.5, 0)
    assert (days[2]["Cost"], days[2]["Search"], days[2]["Support"]) == ("missing", "–", "–")


def test_teams_beyond_the_first_hundred_share_a_column_of_the_days(statement_of: StatementOf) -> None:
    teams = [{"team": f"team-{n:03}", "cost": Decimal(200 - n)} for n in range(103)]
    first = table(render_workbook(statement_of(teams)), "Days")[0]
    assert len(first) == 2 + 100 + 1
    assert first["other (3)"] == 100 + 99 + 98
    assert first["Cost"] == sum(value for name, value in first.items() if name not in ("Day", "Cost"))


def test_budgets_stand_with_what_is_left_of_them(month: Statement) -> None:
    budgets = table(render_workbook(month), "Budgets")
    assert [list(budget.values()) for budget in budgets] == [
        ["search-month", "team Search", 100, 111.75, 1.1175, 11.75, "exceeded", 0],
        ["ranking", "team Search, project ranking", 200, 110.25, 0.55125, -89.75, "ok", 3],
        ["company", "provider aws", 180, 154, pytest.approx(154 / 180), -26, "warning", 0],
    ]


def test_savings_stand_with_what_to_do_and_those_that_lose_say_so(month: Statement) -> None:
    *actions, total = table(render_workbook(month), "Savings")
    assert [(each["Team"], each["Lever"], each["Finding"], each["Expected"]) for each in actions] == [
        ("Search", "caching", "saves", 22.5),
        ("Support", "downgrade", "saves", 9),
        ("Search", "batching", "would cost more", -3),
    ]
    first = actions[0]
    assert (first["Low"], first["High"], first["Together"], first["Evidence"]) == (10, 30.25, 20, "measured")
    assert first["What to do"] == "Cache answers to repeated prompts"
    assert first["What has to hold"] == "Answers may be five minutes old"
    assert (total["Team"], total["Together"]) == ("All together", 29)


def test_the_bridge_goes_from_the_month_before_to_this_one(month: Statement) -> None:
    steps = table(render_workbook(month), "Why it changed")
    assert [(step["Step"], step["Change"], step["Comes to"]) for step in steps] == [
        ("September 2026", "–", 120),
        ("Volume", 40, 160),
        ("Price", -6, 154),
        ("October 2026", 34, 154),
    ]


def test_an_empty_month_has_all_sheets_and_says_why(statement_of: StatementOf) -> None:
    content = render_workbook(statement_of(owners={}))
    assert list(read(content)) == SHEETS
    assert summary(content)["Charged"] == 0
    assert summary(content)["In short"].startswith("Nothing is charged")
    assert "Against September" not in summary(content)
    assert table(content, "Why it changed")[0]["Step"] == "Not known"


def test_a_teams_part_has_nothing_of_others(month: Statement) -> None:
    content = render_workbook(part_of(month, "Search"))
    sheets_of = read(content)
    assert list(sheets_of) == SHEETS
    everything = " ".join(xml_of(content).values())
    assert "Search" in everything
    for other in ("Support", "Gone", "CC-2", "nova-lite", "company"):
        assert other not in everything
    numbers_in_it = {
        value for rows in sheets_of.values() for row in rows for value in row if isinstance(value, float | int)
    }
    assert not numbers_in_it & {154.00, 40, 120.00, 34.00, 180, 29.00}
    assert summary(content)["Charged"] == 111.75
    assert table(content, "Teams")[-1]["Charge"] == 111.75
    assert [list(day) for day in table(content, "Days")[:1]] == [["Day", "Cost"]]


@pytest.mark.parametrize("name", FORMULAS, ids=ascii)
def test_no_name_is_a_formula_or_a_link(statement_of: StatementOf, name: str) -> None:
    everywhere: dict[str, Any] = dict.fromkeys(("team", "cost_center", "project", "service", "model"), name)
    statement = statement_of(
        [{**everywhere, "cost": Decimal(1)}],
        owners={name: name},
        budgets=(BudgetLine(name, (("team", name),), Decimal(1), Decimal(1), "exceeded"),),
        savings=SavingsFound((action(team=name, project=name, action=name, target=name),), {name: Decimal(1)}, (), 31),
    )
    content = render_workbook(statement)
    cells = [
        cell for sheet in load_workbook(io.BytesIO(content)).worksheets for row in sheet.iter_rows() for cell in row
    ]
    assert {cell.data_type for cell in cells} <= {"s", "n", "d"}
    assert not any(cell.hyperlink for cell in cells)
    parts = xml_of(content)
    assert not any("hyperlink" in part or "External" in part for part in parts.values())
    assert not any("<f>" in part or "<f " in part for part in parts.values())
    texts = [cell.value for cell in cells if isinstance(cell.value, str)]
    assert not any(text[0] in "=+-@＝＋－＠" for text in texts if text)


@pytest.mark.parametrize(
    "name",
    ["<r><t>x</t></r>", "<script>alert(1)</script>", "_x0000_", "a\x00b\x1bc", "Ω" * 40_000, "&amp;", "𝔘\U0010ffff"],
)
def test_whatever_a_name_holds_is_text_in_a_file_that_can_be_read(statement_of: StatementOf, name: str) -> None:
    content = render_workbook(statement_of([{"team": name, "project": name, "cost": Decimal(1)}]))
    shown = table(content, "Lines")[0]["project"]
    assert shown.rstrip() == name.replace("\x00", "�").replace("\x1b", "�")[:32_767]


def test_a_name_written_from_right_to_left_stands_as_it_is(statement_of: StatementOf) -> None:
    content = render_workbook(statement_of([{"team": "צוות", "cost": Decimal(1)}]))
    assert table(content, "Teams")[0]["Team"] == "צוות"


def test_a_month_of_hostile_names_can_be_read(hostile: Statement) -> None:
    content = render_workbook(hostile)
    assert list(read(content)) == SHEETS
    assert not any("<script" in part for part in xml_of(content).values())


def test_rows_beyond_what_a_sheet_holds_are_counted(statement_of: StatementOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST_ROWS", 2)
    statement = statement_of([{"team": "a", "project": f"p{n}", "cost": Decimal(1)} for n in range(5)])
    lines = read(render_workbook(statement))["Lines"]
    assert [row[0] for row in lines] == ["month", "2026-10", "2026-10", "3 more in the CSV ledger"]


def test_tables_can_be_filtered_and_print_with_their_header(october: Statement) -> None:
    book = load_workbook(io.BytesIO(render_workbook(october)))
    for sheet in book.worksheets:
        assert sheet.page_setup.orientation == "landscape"
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert (sheet.page_setup.fitToWidth or 1, sheet.page_setup.fitToHeight) == (1, 0)
    for sheet in book.worksheets[1:]:
        assert sheet.freeze_panes == "A2"
        assert sheet.print_title_rows == "$1:$1"
        assert sheet.auto_filter.ref.startswith("A1:")
    lines = book["Lines"]
    assert lines.auto_filter.ref == f"A1:O{october.lines.height + 1}"
    amount = LEDGER_COLUMNS.index("amount")
    assert lines[2][amount].number_format.startswith("#,##0.00;")


def test_the_same_statement_gives_the_same_bytes_and_the_time_is_the_statements(october: Statement) -> None:
    content = render_workbook(october)
    assert content == render_workbook(october)
    created = load_workbook(io.BytesIO(content)).properties.created
    assert created.isoformat() == "2026-11-03T06:00:00"


def test_the_workbook_is_called_as_its_ledger(october: Statement) -> None:
    assert workbook_name(october) == "chargeback-2026-10-r1.xlsx"
    assert workbook_name(part_of(october, "Search")).startswith("chargeback-2026-10-r1-search-")
