"""The same figure is the same wherever it stands: each output is read back by a reader that knows only its format."""

import csv
import dataclasses
import io
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from email.message import EmailMessage
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from finops_pipeline.chargeback.analyses import SavingsFound
from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.reports import numbers
from finops_pipeline.reports.bundle import render_bundle
from finops_pipeline.reports.ledger import ledger_name, render_ledger
from finops_pipeline.reports.mail import compose
from finops_pipeline.reports.paths import INDEX, team_file
from finops_pipeline.reports.team_mail import compose_team
from finops_pipeline.reports.workbook import render_workbook, workbook_name

UNREAD = ("style", "title", "svg")
"""Elements whose text is no figure, or one that stands in text too."""

Cell = list[str]
"""A cell's texts, in order: the first is what it is about."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one output says; None where it is not its business.

    Attributes:
        change: Against the month before.
        charges: By team, the unallocated among them.
        changes: Likewise.
        used: Part of a budget that is spent, in per cent, by its team or name.
        savings: Expected, of the first actions.
        saved: All of them together.
    """

    total: Decimal | None = None
    change: Decimal | None = None
    charges: Mapping[str, Decimal] | None = None
    changes: Mapping[str, Decimal] | None = None
    used: Mapping[str, Decimal] | None = None
    savings: list[Decimal] | None = None
    saved: Decimal | None = None


class Document(HTMLParser):
    """The tables of an HTML document, and its texts one by one."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[list[Cell]]] = []
        self.texts: list[str] = []
        self._open: list[list[list[Cell]]] = []
        self._cells: list[Cell] = []
        self._unread = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._unread += tag in UNREAD
        if tag == "table":
            self._open.append([])
            self.tables.append(self._open[-1])
        elif tag == "tr":
            self._open[-1].append([])
        elif tag in ("td", "th"):
            self._cells.append([])
            self._open[-1][-1].append(self._cells[-1])

    def handle_endtag(self, tag: str) -> None:
        self._unread -= tag in UNREAD
        if tag == "table":
            self._open.pop()
        elif tag in ("td", "th"):
            self._cells.pop()

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and not self._unread:
            self.texts.append(text)
            for cell in self._cells[-1:]:
                cell.append(text)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def table(self, *headings: str) -> list[dict[str, Cell]]:
        """The rows of the first table that has these headings, by heading; none where there is no such table."""
        for table in self.tables:
            header = [" ".join(cell) for cell in table[0]] if table else []
            if set(headings) <= set(header):
                return [dict(zip(header, row, strict=True)) for row in table[1:] if len(row) == len(header)]
        return []

    def after(self, label: str) -> str:
        """The text that follows a label."""
        return self.texts[self.texts.index(label) + 1]


def money(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace(numbers.MINUS, "-").removeprefix("+"))


def percent(text: str) -> Decimal:
    """``121.3`` of ``≥ 121.3 % exceeded``."""
    found = re.search(r"([\d,.]+)\s%", text)
    assert found is not None, text
    return money(found[1])


def in_percent(share: Decimal) -> Decimal:
    return (share * 100).quantize(Decimal("0.1"))


def of_charges(rows: Iterable[Mapping[str, Cell]], against: str) -> dict[str, Any]:
    """Charges, changes, budgets and the total of a table of teams."""
    named = {row["Team"][0]: row for row in rows if row["Team"]}
    total = named.pop("Total")
    used = {team: " ".join(row.get("Budget used") or row.get("Budget") or ()) for team, row in named.items()}
    return {
        "total": money(total["Charge"][0]),
        "change": money(total[against][0]),
        "charges": {team: money(row["Charge"][0]) for team, row in named.items()},
        "changes": {team: money(row[against][0]) for team, row in named.items()},
        "used": {team: percent(text) for team, text in used.items() if "%" in text},
    }


def of_page(html: bytes) -> Figures:
    page = Document(html.decode())
    found = of_charges(page.table("Team", "Charge"), "Against Sep")
    assert money(page.after("Charged")) == found["total"]
    assert money(page.after("Against September")) == found["change"]
    others = {row["Budget"][0]: percent(" ".join(row["Used"])) for row in page.table("Budget", "Used")}
    return Figures(
        **found | {"used": found["used"] | others},
        savings=[money(row["Expected"][0]) for row in page.table("Expected")],
        saved=money(page.after("Could have been saved")),
    )


def of_team_page(html: bytes) -> Figures:
    page = Document(html.decode())
    budgets = page.table("Budget", "Used")
    return Figures(
        total=money(page.after("Charged")),
        change=money(page.after("Against September")),
        used={row["Budget"][0]: percent(" ".join(row["Used"])) for row in budgets},
        savings=[money(row["Expected"][0]) for row in page.table("Expected")],
        saved=money(page.after("Could have been saved")),
    )


def of_workbook(content: bytes) -> Figures:
    book = load_workbook(io.BytesIO(content))

    def rows_of(name: str) -> list[dict[str, Any]]:
        header, *rows = book[name].iter_rows(values_only=True)
        return [dict(zip(header, row, strict=True)) for row in rows]

    def exact(value: Any) -> Decimal:
        return Decimal(str(value)).quantize(Decimal("0.01"))

    said = {row[0]: row[1] for row in book["Summary"].iter_rows(values_only=True)}
    *teams, total = rows_of("Teams")
    assert exact(said["Charged"]) == exact(total["Charge"])
    assert exact(said["Could have been saved"]) == exact(total["Could be saved"])
    assert sum(exact(line["amount"]) for line in rows_of("Lines")) == exact(total["Charge"])
    steps = rows_of("Why it changed")
    assert exact(steps[-1]["Comes to"]) == exact(total["Charge"])
    assert exact(steps[-1]["Change"]) == exact(total["Against September"])
    return Figures(
        total=exact(total["Charge"]),
        change=exact(total["Against September"]),
        charges={team["Team"]: exact(team["Charge"]) for team in teams},
        changes={team["Team"]: exact(team["Against September"]) for team in teams},
        used={line["Budget"]: in_percent(Decimal(str(line["Used"]))) for line in rows_of("Budgets")},
        savings=[exact(line["Expected"]) for line in rows_of("Savings") if line["Finding"] == "saves"],
        saved=exact(total["Could be saved"]),
    )


def of_ledger(content: bytes) -> Figures:
    charges: dict[str, Decimal] = {}
    for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")):
        team = row["team"] or "Unallocated"
        charges[team] = charges.get(team, Decimal(0)) + Decimal(row["amount"])
    return Figures(total=sum(charges.values(), Decimal(0)), charges=charges)


def told(text: str, month: str = "October 2026") -> Decimal:
    """The total of a mail's heading: ``October 2026: 48,997.07 USD``."""
    found = re.search(rf"{month}: (\S+) USD", text)
    assert found is not None
    return money(found[1])


def saved_in(text: str) -> Decimal | None:
    found = re.search(r"would have saved ([\d,]+\.\d\d)", text)
    return None if found is None else money(found[1])


def other_budgets(text: str) -> dict[str, Decimal]:
    """``Budget company (all usage): 80.0 % warning, …``."""
    return {
        name: percent(used) for name, used in re.findall(r"Budget ((?:(?!Budget)[^:()])+) \([^:()]+\): ([^,]+%)", text)
    }


def of_mail(message: EmailMessage) -> tuple[Figures, Figures]:
    """Finance's mail: its HTML, its text."""
    html, text = bodies(message)
    page = Document(html)
    found = of_charges(page.table("Team", "Charge"), "Against Sep")
    assert f"{found['total']:,} USD" in message["Subject"]
    assert told(page.text) == found["total"]
    in_html = Figures(
        **found | {"used": found["used"] | other_budgets(page.text)},
        savings=[money(row["Saves"][0]) for row in page.table("Action", "Saves")],
        saved=saved_in(page.text),
    )
    flowing = " ".join(text.split())
    found = of_charges(text_table(text), "Against Sep")
    assert told(flowing) == found["total"]
    in_text = Figures(
        **found | {"used": found["used"] | other_budgets(flowing)},
        savings=expected_in(text),
        saved=saved_in(flowing),
    )
    return in_html, in_text


def of_team_mail(message: EmailMessage, team: str) -> tuple[Figures, Figures]:
    """An owner's mail: its HTML, its text. The team's own budget has no other name there."""
    html, text = bodies(message)
    page = Document(html)
    pairs = list(pairwise(page.texts))
    lines = [re.split(r" {2,}", line) for line in text.splitlines()]
    pairs_of_text = [(line[0], line[1]) for line in lines if len(line) > 1]
    flowing = " ".join(text.split())
    assert told(page.text) == told(flowing)
    assert f"{told(flowing):,} USD" in message["Subject"]

    def figures(pairs: list[tuple[str, str]], savings: list[Decimal], saved: Decimal | None) -> Figures:
        budgets = {name: used for name, used in pairs if re.match(r"Budget\b", name) and "%" in used}
        return Figures(
            total=told(page.text),
            change=next(money(value) for name, value in pairs if name == "Against September"),
            used={name.removeprefix("Budget").strip() or team: percent(used) for name, used in budgets.items()},
            savings=savings,
            saved=saved,
        )

    return (
        figures(pairs, [money(row["Saves"][0]) for row in page.table("Action", "Saves")], saved_in(page.text)),
        figures(pairs_of_text, expected_in(text), saved_in(flowing)),
    )


def bodies(message: EmailMessage) -> tuple[str, str]:
    html, text = message.get_body(("html",)), message.get_body(("plain",))
    assert html is not None
    assert text is not None
    return html.get_content(), text.get_content()


def text_table(text: str) -> list[dict[str, Cell]]:
    """The rows of the table of teams; its figures stand to the right, below the ends of their headings."""
    lines = iter(text.splitlines())
    header = next(line for line in lines if line.startswith("Team "))
    ends = {heading: header.index(heading) + len(heading) for heading in ("Charge", "Budget", "Against Sep")}
    rows = []
    for line in lines:
        if line.startswith("="):
            break
        if not line.startswith("-"):
            figures = {heading: [line[:end].rpartition("  ")[2].strip()] for heading, end in ends.items()}
            rows.append({"Team": re.split(r" {2,}", line)[:1], **figures})
    return rows


def expected_in(text: str) -> list[Decimal]:
    """Of lines such as ``  2,640.00 (980.20 to 3,105.75), heuristic``."""
    return [money(amount) for amount in re.findall(r"^ +([\d,]+\.\d\d) \(", text, flags=re.MULTILINE)]


def without_zeros(amounts: Mapping[str, Decimal] | None) -> Mapping[str, Decimal] | None:
    """A team that is gone has no line, and 0.00 in a table."""
    return None if amounts is None else {team: amount for team, amount in amounts.items() if amount}


def assert_says(found: Figures, statement: Statement) -> None:
    """Whatever an output says is what the statement has, to the cent; a list of actions may end early."""
    totals = {total.team or "Unallocated": total for total in statement.team_totals}
    assert found.total == statement.total
    assert found.change in (None, statement.change)
    if found.charges is not None:
        assert without_zeros(found.charges) == without_zeros({team: total.amount for team, total in totals.items()})
        assert sum(found.charges.values()) == found.total
    if found.changes is not None:
        assert found.changes == {team: total.change for team, total in totals.items()}
        assert sum(found.changes.values()) == found.change
    if found.used is not None:
        shares = {line.budget: in_percent(line.spent / line.limit) for line in statement.budgets}
        assert {name.lower(): share for name, share in found.used.items()} == {
            name.lower(): share for name, share in shares.items()
        }  # a team's own budget is called as the team, in small letters
    if found.savings is not None:
        expected = [action.expected for action in statement.savings.actions]
        assert found.savings == expected[: len(found.savings)]
        assert len(found.savings) >= min(len(expected), 3)
    assert found.saved in (None, statement.savings.total)


def said(figures: Figures) -> set[str]:
    """What an output says at all."""
    return {field.name for field in dataclasses.fields(figures) if getattr(figures, field.name) is not None}


EVERYTHING = {field.name for field in dataclasses.fields(Figures)}


@pytest.fixture(scope="module")
def bundle(october: Statement) -> Mapping[str, bytes]:
    return render_bundle(october, "d1ce57")


def test_the_page_the_workbook_and_the_ledger_say_the_same(october: Statement, bundle: Mapping[str, bytes]) -> None:
    page = of_page(bundle[INDEX])
    workbook = of_workbook(bundle[workbook_name(october)])
    ledger = of_ledger(bundle[ledger_name(october)])
    assert said(page) == said(workbook) == EVERYTHING
    assert said(ledger) == {"total", "charges"}
    for figures in (page, workbook, ledger):
        assert_says(figures, october)


@pytest.mark.parametrize("team", ["Support", "Search", "Platform", "Growth", "Docs", "Labs"])
def test_a_teams_page_workbook_and_ledger_say_the_same(
    october: Statement, bundle: Mapping[str, bytes], team: str
) -> None:
    part = part_of(october, team)
    page = of_team_page(bundle[team_file(team)])
    assert said(page) == EVERYTHING - {"charges", "changes"}
    for figures in (page, of_workbook(render_workbook(part)), of_ledger(render_ledger(part))):
        assert_says(figures, part)
    whole = of_page(bundle[INDEX])
    assert whole.charges is not None
    assert page.total == whole.charges[team]


def test_the_mail_says_the_same_in_html_and_in_text(october: Statement) -> None:
    for figures in of_mail(compose(october, "finops@example.com", "cfo@example.com", Path("index.html"))):
        assert said(figures) == EVERYTHING
        assert_says(figures, october)


@pytest.mark.parametrize("team", ["Support", "Search", "Docs"])
def test_an_owners_mail_says_the_same_in_html_and_in_text(october: Statement, team: str) -> None:
    part = part_of(october, team)
    for figures in of_team_mail(compose_team(part, "finops@example.com", "lead@example.com"), team):
        assert said(figures) >= {"total", "change", "used", "savings"}
        assert_says(figures, part)


def test_what_stands_in_other_rows_adds_up_too(statement_of: Callable[..., Statement]) -> None:
    statement = statement_of(
        [{"team": f"team {n}", "cost": Decimal("1.005") * (n + 1)} for n in range(25)],
        previous=PreviousMonth("2026-09", Decimal("25.00"), {f"team {n}": Decimal(1) for n in range(25)}, False),
        savings=SavingsFound(days=31),
    )
    files = render_bundle(statement, "d1ce57")
    page, workbook = of_page(files[INDEX]), of_workbook(files[workbook_name(statement)])
    assert_says(workbook, statement)
    assert page.charges is not None
    assert workbook.charges is not None
    assert page.total == sum(page.charges.values()) == workbook.total == of_ledger(render_ledger(statement)).total
    listed = page.charges.keys() - {"other (15)"}
    assert len(listed) == 10
    assert {team: page.charges[team] for team in listed} == {team: workbook.charges[team] for team in listed}
    assert page.charges["other (15)"] == sum(workbook.charges[team] for team in workbook.charges.keys() - listed)
