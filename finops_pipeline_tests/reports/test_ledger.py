import csv
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports.ledger import LEDGER_COLUMNS, cell_text, ledger_name, render_ledger

StatementOf = Callable[..., Statement]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "＝1",
    "＋1",
    "－1",
    "＠SUM",
    " =1",
    "\u3000\u00a0=1",
    "\t=1",
    "\r=1",
    "\x00=1",
)
"""Names that a spreadsheet could take for a formula."""


def rows_of(content: bytes) -> list[dict[str, str]]:
    """The ledger as a plain CSV reader has it."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_every_line_stands_there_as_it_was_charged(statement_of: StatementOf) -> None:
    statement = statement_of(
        [
            {
                "team": "Search",
                "cost_center": "CC-180",
                "project": "ranking",
                "service": "Amazon Bedrock",
                "model": "nova-pro",
                "requests": 7,
                "input_tokens": 1_200_000,
                "output_tokens": 34,
                "cost": Decimal("1234567.890123456789"),
            },
            {
                "team": None,
                "model": "qwen3-32b",
                "requests": 2,
                "input_tokens": 5,
                "unpriced_reason": "unresolved_model",
                "unpriced_requests": 2,
            },
        ],
        revision=3,
    )
    header, search, unallocated, end = render_ledger(statement).decode("utf-8-sig").split("\r\n")
    assert header == ",".join(f'"{name}"' for name in LEDGER_COLUMNS)
    assert search == (
        '"2026-10",3,"Search","CC-180","usage","ranking","Amazon Bedrock","nova-pro",,7,1200034,0,'
        '1234567.890123456789,1234567.89,"USD"'
    )
    assert unallocated == (
        '"2026-10",3,,,"unallocated",,,"qwen3-32b","unresolved_model",2,5,2,0.000000000000,0.00,"USD"'
    )
    assert end == ""


def test_the_amounts_add_up_to_the_total_and_no_line_is_a_total(october: Statement) -> None:
    rows = rows_of(render_ledger(october))
    assert len(rows) == october.lines.height
    assert sum(Decimal(row["amount"]) for row in rows) == october.total
    exact = sum(Decimal(row["exact_cost"]) for row in rows)
    assert exact == sum(october.lines["exact_cost"])
    assert abs(exact - october.total) <= Decimal("0.005")
    assert {row["line"] for row in rows} == {"usage", "unallocated"}


def test_a_teams_part_has_the_teams_lines_only(october: Statement) -> None:
    part = part_of(october, "Search")
    rows = rows_of(render_ledger(part))
    assert {row["team"] for row in rows} == {"Search"}
    assert sum(Decimal(row["amount"]) for row in rows) == part.total
    assert rows == [row for row in rows_of(render_ledger(october)) if row["team"] == "Search"]


def test_files_are_named_by_month_revision_and_team(october: Statement) -> None:
    assert ledger_name(october) == "chargeback-2026-10-r1.csv"
    search, support = (ledger_name(part_of(october, team)) for team in ("Search", "Support"))
    assert search.startswith("chargeback-2026-10-r1-search-")
    assert search != support


def test_a_month_without_usage_is_a_header(statement_of: StatementOf) -> None:
    content = render_ledger(statement_of())
    assert rows_of(content) == []
    assert content.startswith(BYTE_ORDER_MARK + b'"month"')


def test_text_is_utf_8_with_a_mark_by_which_excel_knows_it(statement_of: StatementOf) -> None:
    content = render_ledger(statement_of([{"team": "Künstliche 検索", "cost": Decimal(1)}]))
    assert content.startswith(BYTE_ORDER_MARK)
    assert not content.startswith(BYTE_ORDER_MARK * 2)
    assert rows_of(content)[0]["team"] == "Künstliche 検索"


def test_readers_of_csv_skip_the_mark(october: Statement) -> None:
    assert pl.read_csv(render_ledger(october)).columns == list(LEDGER_COLUMNS)


def test_separators_quotes_and_line_breaks_of_a_name_stay_in_its_field(statement_of: StatementOf) -> None:
    name = 'a,"b"\r\nc;d'
    (row,) = rows_of(render_ledger(statement_of([{"team": name, "project": name, "cost": Decimal(1)}])))
    assert row["team"] == row["project"] == 'a,"b"��c;d'
    assert row["amount"] == "1.00"


def test_credits_are_numbers_and_not_escaped(statement_of: StatementOf) -> None:
    (row,) = rows_of(render_ledger(statement_of([{"team": "a", "cost": Decimal("-12.50")}])))
    assert (row["amount"], row["exact_cost"]) == ("-12.50", "-12.500000000000")


@pytest.mark.parametrize("name", FORMULAS, ids=ascii)
def test_no_name_is_a_formula_wherever_it_stands(statement_of: StatementOf, name: str) -> None:
    everywhere: dict[str, Any] = dict.fromkeys(("team", "cost_center", "project", "service", "model"), name)
    (row,) = rows_of(render_ledger(statement_of([{**everywhere, "cost": Decimal(1)}])))
    assert {row[column][0] for column in everywhere} == {"'"}


@pytest.mark.parametrize("name", ["a;=1", "a; =1", "a;＝1", "a;\t=1"], ids=ascii)
def test_no_formula_begins_behind_a_semicolon(name: str) -> None:
    shown = cell_text(name)
    assert shown is not None
    assert shown.startswith("a;'")


@pytest.mark.parametrize("name", ["search", "a-b", "a=b", "a;b", "c++", "me@example.com", "a, -b", "−1", "0012"])
def test_other_names_are_left_as_they_are(name: str) -> None:
    assert cell_text(name) == name


def test_a_name_is_shown_whole_with_what_hides_made_visible() -> None:
    assert cell_text("x" * 5000) == "x" * 5000
    assert cell_text("a\u202eb\u200bc\x1b[2J") == "a�b�c�[2J"
    assert (cell_text(None), cell_text(""), cell_text(" \t")) == (None, "(empty)", "(empty)")


def test_the_same_statement_gives_the_same_bytes(october: Statement) -> None:
    assert render_ledger(october) == render_ledger(october)
