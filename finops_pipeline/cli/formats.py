"""CSV and JSON for programs, with exact amounts. Names from logs do nothing there to a spreadsheet or a terminal."""

import json
import sys
from decimal import Decimal

import polars as pl
import polars.selectors as cs

FORMULA = r"(^|;)(\s*[=+\-@＝＋－＠﹦﹢﹣﹫]|[\t\r])"
"""Where a spreadsheet may begin to read a formula: as in ``reports.ledger``, but control characters are still there."""

CONTROLS = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]"
"""Characters that a terminal takes for commands, or that turn the direction of what follows."""


def csv_text(frame: pl.DataFrame) -> str:
    """``frame`` as CSV; texts that a spreadsheet would take for formulas get an apostrophe before them.

    Control characters of texts are left out where stdout is a terminal; files and pipes get them as they are.
    """
    if sys.stdout.isatty():
        frame = frame.with_columns(cs.string().str.replace_all(CONTROLS, ""))
    return frame.with_columns(cs.string().str.replace_all(FORMULA, "$1'$2")).write_csv()


def json_text(content: object) -> str:
    """``content`` as JSON; amounts are text, so that no reader makes floats of them, and so are days."""
    return json.dumps(content, indent=2, default=_as_text)


def _as_text(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
