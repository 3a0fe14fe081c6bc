"""CSV and JSON of the command line."""

import csv
import datetime as dt
import io
import json
import sys
from decimal import Decimal

import polars as pl
import pytest

from finops_pipeline.cli.formats import csv_text, json_text


def cells(frame: pl.DataFrame) -> list[list[str]]:
    return list(csv.reader(io.StringIO(csv_text(frame))))


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@cmd", "\t=1", "\r=1", " =1", "\ttab", "＝1"])
def test_a_formula_gets_an_apostrophe_in_every_column_of_text(name: str) -> None:
    frame = pl.DataFrame({"a": [name], "b": [name], "n": [-1], "amount": [Decimal("-1.50")]})
    assert cells(frame)[1] == [f"'{name}", f"'{name}", "-1", "-1.50"]


def test_a_formula_behind_a_semicolon_gets_one_too() -> None:
    """Where the comma is the decimal mark, a spreadsheet reads the semicolon as the end of a field."""
    assert cells(pl.DataFrame({"a": ["x; =cmd|' /C calc'!A0;@y"]}))[1] == ["x;' =cmd|' /C calc'!A0;'@y"]


def test_other_texts_and_absent_ones_stay_as_they_are() -> None:
    frame = pl.DataFrame({"a": ["1=1", 'q"uote,', "$0", "line\nbreak", None]})
    assert [row[0] if row else "" for row in cells(frame)[1:]] == ["1=1", 'q"uote,', "$0", "line\nbreak", ""]


def test_a_frame_without_texts_is_csv_too() -> None:
    assert csv_text(pl.DataFrame({"n": [1]})) == "n\n1\n"


def test_control_characters_do_not_reach_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"a": ["x\x1b[2Jy", "\u202egnp", "a\r\nb\u2028c", "\t=1", "ü 🙂"]})
    assert "\x1b" in csv_text(frame)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert csv_text(frame).splitlines() == ["a", "x[2Jy", "gnp", "abc", "'=1", "ü 🙂"]


def test_json_has_amounts_and_days_as_text() -> None:
    said = json_text({"cost": Decimal("1E+3"), "small": Decimal("0.000000000001"), "day": dt.date(2026, 10, 5), "n": 1})
    assert json.loads(said) == {"cost": "1000", "small": "0.000000000001", "day": "2026-10-05", "n": 1}


def test_json_escapes_what_a_terminal_would_obey() -> None:
    assert "\x1b" not in json_text({"name": "x\x1b[2J\u202e"})
    assert "\u202e" not in json_text({"name": "x\u202e"})
