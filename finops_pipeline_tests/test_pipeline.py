"""The whole way on a real S3 server: sample logs in, statements and mails out, held against the generator's own count.

The generator's manifest is written by the code that wrote the logs and owes nothing to the pipeline.
"""

import datetime as dt
import os
from collections.abc import Iterator
from decimal import Decimal
from email import message_from_bytes, policy
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from finops_pipeline.chargeback.revisions import latest_revision, load_statement
from finops_pipeline.cli import main
from finops_pipeline.cli.demo import BUCKET
from finops_pipeline.costs import breakdown_of
from finops_pipeline.demo.company import TEAMS
from finops_pipeline.demo.logs import read_manifest
from finops_pipeline.demo.manifest import TOKEN_CLASSES, Manifest
from finops_pipeline.demo.server import S3Server
from finops_pipeline.lake import Lake
from finops_pipeline.schemas import BUDGET_STATUS, CHARGEBACK, INGEST_OBJECTS, OUTCOMES, PRICED_USAGE, SAVINGS, USAGE

SCALE = 0.02
MONTHS = ("2026-09", "2026-10")
NANO = Decimal("1e-9")


class Demo:
    """One run of ``finops demo`` in a folder of its own, and what its generator says it wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = Lake(folder / "lake")
        self.first = self.run()
        with S3Server(folder / "s3") as server:
            manifest = read_manifest(server.client(), BUCKET)
        assert manifest is not None
        self.manifest: Manifest = manifest

    def run(self) -> Result:
        return CliRunner().invoke(main, ["demo", "--folder", str(self.folder), "--scale", str(SCALE)])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    before = environment()
    yield Demo(tmp_path_factory.mktemp("demo") / "finops-demo")
    assert environment() == before, "the demo leaves the environment as it was"


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def logged_model() -> pl.Expr:
    """The model without the gateway's name for the provider, as the generator's manifest has it."""
    bare = pl.col("raw_model").str.replace(r"^[a-z_]+/", "")
    return pl.when(pl.col("source") == "gateway").then(bare).otherwise("raw_model").alias("raw_model")


def test_the_demo_succeeds_and_says_where_to_look(demo: Demo) -> None:
    assert demo.first.exit_code == 0, demo.first.output
    for month in MONTHS:
        page = demo.folder / f"lake/reports/month={month}/revision=1/index.html"
        assert page.is_file()
        assert str(page) in demo.first.stdout
    assert "September 2026" in demo.first.stdout
    assert "Unallocated" in demo.first.stdout


def test_every_call_is_counted_once_in_its_own_cell(demo: Demo) -> None:
    keys = ["source", "date", "team", "project", "raw_model"]
    found = (
        demo.lake.scan(USAGE)
        .with_columns(logged_model())
        .group_by(keys)
        .agg(
            pl.len(),
            (pl.col("status") == "error").sum().alias("failed"),
            *(pl.col(name).sum() for name in TOKEN_CLASSES),
        )
        .collect()
    )
    wanted = {
        (cell.source, cell.day, cell.team, cell.project, cell.model): (
            cell.totals.calls,
            cell.totals.failed_calls,
            *(getattr(cell.totals, name) for name in TOKEN_CLASSES),
        )
        for cell in demo.manifest.cells
    }
    assert {row[:5]: row[5:] for row in found.iter_rows()} == wanted


def test_every_record_has_one_outcome(demo: Demo) -> None:
    counted = (
        demo.lake.scan(INGEST_OBJECTS).group_by("source").agg(pl.col("records", "strays", *OUTCOMES).sum()).collect()
    )
    for row in counted.iter_rows(named=True):
        delivery = demo.manifest.deliveries[row["source"]]
        assert row["records"] == sum(row[name] for name in OUTCOMES)
        assert row["usage"] == delivery.calls
        assert row["duplicate"] == delivery.duplicates
        assert row["quarantined"] == delivery.broken
        assert row["not_usage"] == delivery.not_usage
        assert row["strays"] == delivery.strays


def test_costs_are_those_of_the_company_s_own_price_list(demo: Demo) -> None:
    """The generator prices each call from a list of its own; models without a price cost nothing there and here."""
    ours = dict(demo.lake.scan(PRICED_USAGE).group_by(logged_model()).agg(pl.col("cost").sum()).collect().iter_rows())
    for (model,), totals in demo.manifest.totals_by("model").items():
        assert ours[model] == totals.cost_nano_usd * NANO, model


def test_only_the_model_on_no_list_is_unpriced(demo: Demo) -> None:
    unpriced = demo.lake.scan(PRICED_USAGE).filter(pl.col("price_status") == "unpriced")
    assert set(unpriced.select(logged_model(), "price_reason").collect().iter_rows()) == {
        (demo.manifest.unpriced_model, "unresolved_model")
    }


@pytest.mark.parametrize("month", MONTHS)
def test_the_statement_adds_up_to_the_cent_and_to_the_calls(demo: Demo, month: str) -> None:
    statement = load_statement(demo.lake, month)
    cells = [cell for cell in demo.manifest.cells if f"{cell.day:%Y-%m}" == month]
    exact = sum(cell.totals.cost_nano_usd for cell in cells) * NANO
    assert statement.total == exact.quantize(Decimal("0.01"))
    assert statement.lines.get_column("amount").sum() == statement.total
    assert sum(team.amount for team in statement.team_totals) == statement.total
    assert statement.lines.get_column("requests").sum() == sum(cell.totals.calls for cell in cells)
    by_team: dict[str | None, int] = {}
    for cell in cells:
        by_team[cell.team] = by_team.get(cell.team, 0) + cell.totals.cost_nano_usd
    assert {team.team for team in statement.team_totals} == set(by_team)
    for team in statement.team_totals:
        assert abs(team.amount - by_team[team.team] * NANO) < Decimal("0.01")
    assert statement.completeness.complete


def test_the_breakdown_says_the_same_as_the_statement(demo: Demo) -> None:
    total = breakdown_of(demo.lake, dt.date(2026, 10, 1), dt.date(2026, 10, 31), []).get_column("cost").item()
    assert load_statement(demo.lake, "2026-10").total == total.quantize(Decimal("0.01"))


def test_finance_and_each_owner_get_one_mail_a_month(demo: Demo) -> None:
    mails = [message_from_bytes(f.read_bytes(), policy=policy.default) for f in (demo.folder / "outbox").iterdir()]
    totals = {month: load_statement(demo.lake, month).total for month in MONTHS}
    to_finance = [mail for mail in mails if mail["To"] == "finance@example.com"]
    assert sorted(mail["Subject"] for mail in to_finance) == [
        f"AI usage chargeback {month}: {totals[month]:,} USD, preliminary" for month in MONTHS
    ]
    assert sorted(mail["To"] for mail in mails if mail not in to_finance) == sorted(
        t.email for t in TEAMS for _ in MONTHS
    )


def test_an_owners_mail_names_no_other_team(demo: Demo) -> None:
    for file in (demo.folder / "outbox").iterdir():
        mail = message_from_bytes(file.read_bytes(), policy=policy.default)
        if mail["To"] == "finance@example.com":
            continue
        texts = [
            part.get_payload(decode=True).decode() for part in mail.walk() if part.get_content_maintype() == "text"
        ]
        assert len(texts) >= 4, "text, HTML, the page, the ledger"
        for team in TEAMS:
            if team.email != mail["To"]:
                assert not any(team.owner in text or team.cost_center in text for text in texts)


def test_every_day_was_held_against_the_budgets_and_analysed(demo: Demo) -> None:
    assert len(demo.lake.partitions(BUDGET_STATUS)) == len(demo.lake.partitions(SAVINGS)) == 61
    statement = load_statement(demo.lake, "2026-10")
    assert [line.budget for line in statement.budgets][:2] == ["engineering", "legal"]
    assert 0 < statement.savings.total < statement.total
    assert sum(step.amount for step in statement.bridge) == statement.change


def test_a_second_run_changes_nothing(demo: Demo) -> None:
    def written() -> dict[Path, tuple[int, int]]:
        folders = (demo.folder / "lake", demo.folder / "outbox")
        files = [f for folder in folders for f in folder.rglob("*") if f.is_file() and "_leases" not in f.parts]
        return {f: (f.stat().st_ino, f.stat().st_mtime_ns) for f in files}

    before = written()
    again = demo.run()
    assert again.exit_code == 0, again.output
    assert "Nothing has changed since the last run" in again.stdout
    assert written() == before
    assert [latest_revision(demo.lake, month) for month in MONTHS] == [1, 1]
    assert len(demo.lake.partitions(CHARGEBACK)) == 2


def test_there_is_nothing_to_serve_before_the_first_demo(tmp_path: Path) -> None:
    served = CliRunner().invoke(main, ["demo", "--serve", "--folder", str(tmp_path)])
    assert (served.exit_code, "run `finops demo` first" in served.stderr) == (1, True)


def test_no_prompt_reaches_lake_page_or_mail(demo: Demo) -> None:
    kept = [f for place in ("lake", "outbox", "dagster") for f in (demo.folder / place).rglob("*") if f.is_file()]
    assert kept
    for file in kept:
        assert b"inputText" not in file.read_bytes()
