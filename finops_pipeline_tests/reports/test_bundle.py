import hashlib
import re

from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports.bundle import render_bundle
from finops_pipeline.reports.tables import teams_of

DIGEST = "c0ffee" * 10


def test_it_holds_page_teams_ledger_and_workbook(october: Statement) -> None:
    bundle = render_bundle(october, DIGEST)
    assert {"index.html", "chargeback-2026-10-r1.csv", "chargeback-2026-10-r1.xlsx"} < set(bundle)
    assert len([name for name in bundle if name.startswith("teams/")]) == len(teams_of(october)) == 7


def test_every_link_of_the_page_leads_to_a_file_of_the_bundle(october: Statement, hostile: Statement) -> None:
    for statement in (october, hostile):
        bundle = render_bundle(statement, DIGEST)
        links = set(re.findall(r'href="([^"]*)"', bundle["index.html"].decode()))
        assert links == set(bundle) - {"index.html"}


def test_the_page_names_the_digests_of_its_files(october: Statement) -> None:
    bundle = render_bundle(october, DIGEST)
    page = bundle["index.html"].decode()
    for name in ("chargeback-2026-10-r1.csv", "chargeback-2026-10-r1.xlsx"):
        assert hashlib.sha256(bundle[name]).hexdigest() in page
    assert DIGEST[:16] in page


def test_the_same_statement_gives_the_same_bytes(october: Statement) -> None:
    assert render_bundle(october, DIGEST) == render_bundle(october, DIGEST)


def test_names_of_files_are_safe_whatever_the_teams_are_called(hostile: Statement) -> None:
    assert all(
        re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+)?\.(html|csv|xlsx)", name) for name in render_bundle(hostile, DIGEST)
    )
