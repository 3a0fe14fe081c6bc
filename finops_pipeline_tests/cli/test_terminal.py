"""What is said on a terminal and beside it."""

import os
import shutil
import sys

import pytest

from finops_pipeline.cli.terminal import note

TEXT = "no day of October 2026 is there. `finops run --from 2026-10-01` makes it:\n  budgets:\n    - {name: search}"


def test_a_file_gets_a_note_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    note(TEXT)
    assert capsys.readouterr().err == f"Note: {TEXT}\n"


def test_a_terminal_gets_lines_that_break_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((40, 24)))
    note(TEXT, "Error")
    assert capsys.readouterr().err.splitlines() == [
        "Error: no day of October 2026 is there.",
        "`finops run --from 2026-10-01` makes it:",
        "  budgets:",
        "    - {name: search}",
    ]
