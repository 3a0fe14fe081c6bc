"""The CSV of record: every line of a statement, exact, for whoever books it. How a name is made safe for a spreadsheet.

A total is no line of it: the amounts add up to the statement's total, and the exact costs to what it was rounded from.
"""

import io
import re

import polars as pl

from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.fx import FxRate
from finops_pipeline.money import USD
from finops_pipeline.reports import numbers
from finops_pipeline.reports.paths import team_slug
from finops_pipeline.schemas import AMOUNT
from finops_pipeline.schemas.fx_rates import FX_RATE

LEDGER_COLUMNS = (
    "month", "revision", "team", "cost_center", "line", "project", "service", "model", "unpriced_reason", "requests",
    "tokens", "unpriced_requests", "exact_cost", "amount", "currency",
)  # fmt: skip
"""``schemas.CHARGEBACK`` says what they mean."""

_OF_THE_RATE = ("exact_currency", "fx_rate", "fx_date", "fx_source")
"""Columns more where amounts are not in USD: what ``exact_cost`` is in, and how ``amount`` came of it."""

_FROM_LOGS = ("team", "cost_center", "project", "service", "model")

_FORMULA = re.compile("(^|;)(?= *[=+\\-@＝＋－＠﹦﹢﹣﹫\N{REPLACEMENT CHARACTER}])")
"""Where a spreadsheet may begin to read a formula: at the start of a text, and behind the semicolon that separates
fields wherever the comma is the decimal mark. Full-width signs are read as the plain ones; a control character has
become a mark by then. OWASP, "CSV Injection"."""


def ledger_name(statement: Statement) -> str:
    """``chargeback-2026-10-r1.csv``; of a team's part ``chargeback-2026-10-r1-search-1f0c9a2e.csv``."""
    part = "" if statement.only_team is None else f"-{team_slug(statement.only_team)}"
    return f"chargeback-{statement.month}-r{statement.revision}{part}.csv"


def render_ledger(statement: Statement) -> bytes:
    """The lines of a statement, or of a team's part of one, as CSV by RFC 4180: CRLF, texts in quotes, numbers bare.

    UTF-8 with a byte order mark, without which Excel takes a team's umlauts for others; readers of CSV skip it. What a
    line has none of is empty and not quoted. The same statement gives the same bytes.
    """
    file = io.BytesIO()
    ledger(statement).write_csv(file, include_bom=True, line_terminator="\r\n", quote_style="non_numeric")
    return file.getvalue()


def ledger(statement: Statement) -> pl.DataFrame:
    """``LEDGER_COLUMNS`` of each line, in the statement's order, with texts that are safe in a spreadsheet.

    Where its currency is not USD, also the rate of exchange, its date and its source.
    """
    exchange = statement.exchange
    rate = {} if exchange is None else dict(zip(_OF_THE_RATE, _rate(exchange), strict=True))
    return statement.lines.with_columns(
        *(pl.Series(name, map(cell_text, statement.lines[name]), dtype=pl.String) for name in _FROM_LOGS),
        pl.col("amount").cast(pl.Decimal(AMOUNT.precision, statement.exponent)),
        month=pl.lit(statement.month),
        revision=pl.lit(statement.revision),
        **rate,
    ).select(*LEDGER_COLUMNS, *rate)


def _rate(exchange: FxRate) -> tuple[pl.Expr, ...]:
    source = pl.lit(cell_text(exchange.source))
    return pl.lit(USD), pl.lit(exchange.rate, dtype=FX_RATE), pl.lit(exchange.date), source


def cell_text(text: str | None) -> str | None:
    """``text`` as a spreadsheet may show it, whole: control characters are visible, nothing of it is a formula.

    An apostrophe stands before what a spreadsheet could take for one. Nothing but spaces is ``(empty)``, so that it
    is told from nothing.
    """
    if text is None:
        return None
    if not text.strip():
        return "(empty)"
    return _FORMULA.sub(r"\1'", numbers.visible(text))
