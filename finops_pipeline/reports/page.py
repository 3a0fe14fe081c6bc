"""The statement as one self-contained HTML page: no script, no request to anywhere, readable on a phone and on A4."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finops_pipeline.chargeback.encoding import content_digest
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports import tables, wording
from finops_pipeline.reports.bridge_chart import bridge_chart
from finops_pipeline.reports.charts import day_chart
from finops_pipeline.reports.notices import notices
from finops_pipeline.reports.summary import month_summary
from finops_pipeline.reports.templating import render

_WIDE, _NARROW = 752, 358
"""Pixels between the margins, on a desktop or on paper and on a phone."""


@dataclass(frozen=True)
class LinkedFile:
    """A file beside the page, named in its footer: ``what`` it is, and the SHA-256 of its bytes."""

    name: str
    what: str
    sha256: str


def render_page(statement: Statement, digest: str | None = None, files: Sequence[LinkedFile] = ()) -> str:
    """The month's page. The same statement gives the same bytes.

    Args:
        statement: A published statement.
        digest: Digest of its content, as it was published with; by default that of today's content.
        files: What lies beside the page. The teams' pages do too.
    """
    shown, others = tables.shown_teams(statement)
    unallocated = [total for total in statement.team_totals if total.team is None]
    return render(
        "page.html",
        **standing(statement),
        summary=month_summary(statement),
        outcomes=wording.outcomes(statement),
        digest=digest or content_digest(statement),
        files=files,
        rows=tables.charge_rows(statement),
        others=others,
        other_budgets=tables.budget_rows(tables.other_budgets(statement)),
        budgeted=tables.budgeted(statement),
        bridges=[
            (bridge_chart(statement, _WIDE, upright=True), "wide"),
            (bridge_chart(statement, _NARROW, upright=False), "narrow"),
        ],
        bridge_sentence=wording.bridge_sentence(statement),
        details=[(total, tables.team_details(statement, total)) for total in [*shown, *unallocated] if total.requests],
    )


def standing(statement: Statement) -> Mapping[str, Any]:
    """What the month's page and a team's have in common: how it stands, its days, what would have cost less."""
    charts = [(day_chart(statement, _WIDE), "wide"), (day_chart(statement, _NARROW), "narrow")]
    actions = tables.action_rows(statement)
    return {
        "statement": statement,
        "status": wording.status(statement),
        "period": wording.period(statement),
        "coverage": wording.coverage(statement),
        "replaced": wording.replaced(statement),
        "notices": notices(statement),
        "drill_down": wording.drill_down(statement),
        "charts": charts,
        "nothing_priced": wording.nothing_priced(statement),
        "starred": any(bar.state == "partial" for chart, _ in charts if chart for bar in chart.bars),
        "actions": actions,
        "notes": tables.assumptions([row.action for row in actions]),
        "together": wording.together(statement),
        "evidence": wording.evidence([row.action for row in actions]),
    }
