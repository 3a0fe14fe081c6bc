"""All files of a month's reports: the page, a page for each team, the ledger and the workbook.

Where they are kept is in ``orchestration``.
"""

import hashlib

from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports.ledger import ledger_name, render_ledger
from finops_pipeline.reports.page import LinkedFile, render_page
from finops_pipeline.reports.paths import INDEX, team_file
from finops_pipeline.reports.tables import teams_of
from finops_pipeline.reports.team_page import render_team_page
from finops_pipeline.reports.workbook import render_workbook, workbook_name


def render_bundle(statement: Statement, digest: str) -> dict[str, bytes]:
    """Content of each file by its path, relative to one folder and with ``/``. The same statement gives the same bytes.

    Args:
        statement: A published statement.
        digest: Digest of its content, as it was published with.
    """
    ledger, workbook = render_ledger(statement), render_workbook(statement)
    files = (
        LinkedFile(ledger_name(statement), "Ledger", hashlib.sha256(ledger).hexdigest()),
        LinkedFile(workbook_name(statement), "Workbook", hashlib.sha256(workbook).hexdigest()),
    )
    return {
        INDEX: render_page(statement, digest, files).encode(),
        **{team_file(team): render_team_page(part_of(statement, team)).encode() for team in teams_of(statement)},
        ledger_name(statement): ledger,
        workbook_name(statement): workbook,
    }
