"""A team's part of the statement as a page of its own, for its owner: nothing of other teams is in it."""

import hashlib

from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports import tables, wording
from finops_pipeline.reports.ledger import ledger_name, render_ledger
from finops_pipeline.reports.page import LinkedFile, standing
from finops_pipeline.reports.summary import team_summary
from finops_pipeline.reports.templating import render


def render_team_page(part: Statement) -> str:
    """The page of ``part_of(statement, team)``. The same part gives the same bytes.

    Raises:
        ValueError: ``part`` is a whole statement.
    """
    if part.only_team is None:
        raise ValueError(f"the statement of {part.month} is of all teams: a team's page takes its part of it")
    total = next(iter(part.team_totals), None)
    return render(
        "team.html",
        **standing(part),
        team=wording.team_name(part.only_team),
        summary=team_summary(part),
        budget=tables.own_budget(part),
        budgets=tables.budget_rows(part.budgets),
        ledger=LinkedFile(ledger_name(part), "Ledger", hashlib.sha256(render_ledger(part)).hexdigest()),
        total=total,
        owner=None if total is None else total.owner,
        cost_centers=() if total is None else total.cost_centers,
        rows=[] if total is None else tables.team_details(part, total),
    )
