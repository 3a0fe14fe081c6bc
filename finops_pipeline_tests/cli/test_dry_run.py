"""``finops run --dry-run``: what is printed of a preview."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from finops_pipeline.orchestration.dry_run import DryRun, PlannedMail

Finops = Callable[..., Result]


@pytest.mark.usefixtures("config")
def test_who_would_get_what_and_where_it_lies(finops: Finops, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mails = folder / "finops-preview" / "mails"
    planned = (
        PlannedMail("finance@example.com", "AI usage chargeback 2026-09", None, mails / "1.eml"),
        PlannedMail("search@example.com", "AI usage of [red]search", "sent", mails / "2.eml"),
    )
    monkeypatch.setattr(
        "finops_pipeline.orchestration.dry_run.dry_run",
        lambda *_, **__: DryRun(mails=planned, remarks=("the config has no e-mail of legal",)),
    )
    result = finops("run", "--dry-run", "--month", "2026-09")
    rows = [line.split("  ") for line in result.stdout.splitlines() if "@" in line]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["finance@example.com", "AI usage chargeback 2026-09", "be sent"],
        ["search@example.com", "AI usage of [red]search", "not be sent again"],
    ]
    assert f"Each as an .eml file below {mails}\n" in result.stdout
    assert result.stdout.endswith("Nothing was written to the lake, and nothing was sent.\n")
    assert result.stderr == "Warning: the config has no e-mail of legal\n"
