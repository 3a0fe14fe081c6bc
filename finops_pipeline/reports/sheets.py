"""How a table stands in a workbook: number formats, widths, header, total and print. What stands in it is elsewhere.

A workbook holds values only, no formula and no link, and no date but that of the statement, so that the same values
give the same bytes. A number of it is a double, as spreadsheets know no other: amounts to the cent are right up to 15
digits, exact costs are in the ledger.
"""

import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from finops_pipeline.reports import numbers
from finops_pipeline.reports.ledger import cell_text

Value = str | int | Decimal | dt.date | None
"""None is unknown, or nothing of the kind: a dash where a number would be, else an empty cell."""

Style = Literal[
    "text", "prose", "status", "money", "change", "usd", "usd_change", "exact", "rate", "share", "count", "date"
]
"""``money`` and ``change`` are in the statement's currency."""

Kind = Literal["body", "header", "total", "title", "label", "entry"]

_USD = 2
"""Decimals."""


def number_formats(exponent: int) -> Mapping[str, str]:
    """By style, in a currency with that many decimals; the sign as the reports have it."""
    return {
        "money": _money_format(exponent),
        "change": _change_format(exponent),
        "usd": _money_format(_USD),
        "usd_change": _change_format(_USD),
        "exact": _money_format(6),
        "rate": "#,##0.0########",
        "share": '0.0 %;"−"0.0 %',
        "count": _money_format(0),
        "date": "yyyy-mm-dd",
    }


def _money_format(decimals: int) -> str:
    number = f"#,##{Decimal(0):.{decimals}f}"
    return f'{number};"−"{number}'


def _change_format(decimals: int) -> str:
    return f"+{_money_format(decimals)};{Decimal(0):.{decimals}f}"


MOST_ROWS = 1_000_000
"""Rows of a table; a sheet has room for 1,048,576."""

_LONGEST_TEXT = 32_767
"""Characters that a cell has room for."""

_NARROWEST, _WIDEST, _PROSE, _LABEL, _ENTRY = 10, 42, 60, 26, 100
"""Widths of columns, in digits."""

_MEASURED_ROWS = 500
"""Rows from the top that a column's width is taken from."""

_PAPER_A4 = 9

_THIN, _DOUBLE = 1, 6
"""Borders, by xlsxwriter's numbers."""

_STATUS_COLORS = {"exceeded": "#B3261E", "would cost more": "#B3261E", "warning": "#8A5A00"}
"""The word stands there too: 4.5 : 1 on white, at least."""

_KINDS: dict[Kind, dict[str, str | int]] = {
    "body": {},
    "header": {"bold": True, "bottom": _THIN, "bg_color": "#EEF1F5", "text_wrap": True},
    "total": {"bold": True, "top": _THIN, "bottom": _DOUBLE},
    "title": {"bold": True, "font_size": 15},
    "label": {"font_color": "#4B5563"},
    "entry": {"align": "left", "text_wrap": True},
}


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and how its values are written."""

    heading: str
    style: Style = "text"


class Sheets:
    """A workbook in the making: ``table`` and ``entries`` add a sheet each, ``content`` ends it."""

    def __init__(self, title: str, made_at: dt.datetime, exponent: int = _USD) -> None:
        self._file = io.BytesIO()
        self._workbook = Workbook(
            self._file, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        )
        self._workbook.set_properties({"title": title, "created": made_at.astimezone(dt.UTC)})
        self._title = title
        self._number_formats = number_formats(exponent)
        self._formats: dict[tuple[Kind, Style, str], Format] = {}

    def content(self) -> bytes:
        """The file. Nothing can be added after."""
        self._workbook.close()
        return self._file.getvalue()

    def table(
        self,
        name: str,
        columns: Sequence[Column],
        rows: Iterable[Sequence[Value]],
        *,
        total: Sequence[Value] | None = None,
    ) -> None:
        """A sheet of one table: the header in its first row, with filters, in sight and on each printed page.

        Args:
            name: Of the sheet.
            columns: From the left.
            rows: A value a column. Beyond ``MOST_ROWS``, a last row says how many more the ledger has.
            total: The row below a rule and above a double one; no filter hides it.
        """
        sheet = self._add(name)
        body = list(rows)
        shown = body[:MOST_ROWS]
        for place, column in enumerate(columns):
            self._write(sheet, 0, place, column.heading, column.style, "header")
            sheet.set_column(place, place, _width(column, [row[place] for row in shown[:_MEASURED_ROWS]]))
        for number, row in enumerate(shown, start=1):
            self._write_row(sheet, number, columns, row, "body")
        sheet.autofilter(0, 0, len(shown), len(columns) - 1)
        if left_out := len(body) - len(shown):
            self._write(sheet, len(shown) + 1, 0, f"{numbers.count(left_out)} more in the CSV ledger", "text", "body")
        elif total is not None:
            self._write_row(sheet, len(shown) + 1, columns, total, "total")
        sheet.freeze_panes(1, 0)
        sheet.repeat_rows(0)

    def entries(self, name: str, entries: Iterable[tuple[str, Value, Style]]) -> None:
        """A sheet under the workbook's title that says one thing a row: what, its value, how that is written."""
        sheet = self._add(name)
        sheet.set_column(0, 0, _LABEL)
        sheet.set_column(1, 1, _ENTRY)
        self._write(sheet, 0, 0, self._title, "text", "title")
        for number, (label, value, style) in enumerate(entries, start=2):
            self._write(sheet, number, 0, label, "text", "label")
            self._write(sheet, number, 1, value, style, "entry")

    def _add(self, name: str) -> Worksheet:
        sheet = self._workbook.add_worksheet(name)
        sheet.hide_gridlines(2)
        sheet.set_landscape()
        sheet.set_paper(_PAPER_A4)
        sheet.fit_to_pages(1, 0)
        sheet.set_footer("&L&A&RPage &P of &N")
        return sheet

    def _write_row(
        self, sheet: Worksheet, row: int, columns: Sequence[Column], values: Sequence[Value], kind: Kind
    ) -> None:
        for place, (column, value) in enumerate(zip(columns, values, strict=True)):
            self._write(sheet, row, place, value, column.style, kind)

    def _write(self, sheet: Worksheet, row: int, place: int, value: Value, style: Style, kind: Kind) -> None:
        color = _STATUS_COLORS.get(value, "") if style == "status" and isinstance(value, str) else ""
        look = self._format(kind, style, color)
        if value is None and style in self._number_formats:
            sheet.write_string(row, place, "" if kind == "total" else numbers.DASH, look)
        elif value is None:
            sheet.write_blank(row, place, None, look)
        elif isinstance(value, str):
            sheet.write_string(row, place, _text(value), look)
        elif isinstance(value, dt.date):
            sheet.write_datetime(row, place, value, look)
        else:
            sheet.write_number(row, place, value, look)

    def _format(self, kind: Kind, style: Style, color: str) -> Format:
        key = kind, style, color
        if key not in self._formats:
            properties: dict[str, str | int] = {"valign": "top", "text_wrap": style == "prose"}
            if style in self._number_formats:
                properties |= {"num_format": self._number_formats[style], "align": "right"}
            if color:
                properties |= {"font_color": color, "bold": True}
            self._formats[key] = self._workbook.add_format(properties | _KINDS[kind])
        return self._formats[key]


def _text(text: str) -> str:
    safe = (cell_text(text.replace(numbers.LEFT_TO_RIGHT, "")) or "")[:_LONGEST_TEXT]
    # xlsxwriter would take this for the inner XML of a formatted text, and write it as it is
    return f"{safe[: _LONGEST_TEXT - 1]} " if safe.startswith("<r>") and safe.endswith("</r>") else safe


def _width(column: Column, values: Iterable[Value]) -> int:
    """As wide as the heading and the values are, within bounds."""
    if column.style == "prose":
        return _PROSE
    longest = max((numbers.width(_shown(column.style, value)) for value in values), default=0)
    return min(max(longest + 2, len(column.heading) + 4, _NARROWEST), _WIDEST)


def _shown(style: Style, value: Value) -> str:
    """About what a spreadsheet shows of a value."""
    if isinstance(value, Decimal) and style != "share":
        return f"{value:,.{6 if style == 'exact' else 2}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)[:_WIDEST]
