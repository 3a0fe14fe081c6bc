"""The statement as one self-contained HTML page: no script, no request to anywhere, readable on a phone and on A4."""

from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from finops_pipeline.chargeback.encoding import content_digest
from finops_pipeline.chargeback.statement import Statement, TeamTotal, ratio
from finops_pipeline.reports import wording
from finops_pipeline.reports.charts import day_chart
from finops_pipeline.reports.templating import render

LONGEST_TABLE = 10
"""Rows that a team's table shows before the rest is one row."""

_WIDE, _NARROW = 752, 358
"""Pixels between the margins, on a desktop or on paper and on a phone."""


@dataclass(frozen=True)
class DetailRow:
    """What a team is charged for one project and model; ``others`` rows in one where it is above zero."""

    project: str | None
    model: str | None
    requests: int
    tokens: int
    amount: Decimal
    share: Decimal | None
    others: int = 0


def render_page(statement: Statement) -> str:
    """The whole page. The same statement gives the same bytes."""
    return render(
        "page.html",
        statement=statement,
        status=wording.status(statement),
        period=wording.period(statement),
        coverage=wording.coverage(statement),
        summary=wording.summary(statement),
        notices=wording.notices(statement),
        outcomes=wording.outcomes(statement),
        drill_down=wording.drill_down(statement),
        digest=content_digest(statement),
        charts=[(day_chart(statement, _WIDE), "wide"), (day_chart(statement, _NARROW), "narrow")],
        details=[
            (position, total, team_details(statement, total))
            for position, total in enumerate(statement.team_totals, start=1)
            if total.requests
        ],
    )


def team_details(statement: Statement, total: TeamTotal) -> list[DetailRow]:
    """A team's projects and models by amount: the ten largest and the others in one row; they sum to its charge."""
    rows = (
        statement.lines.filter(pl.col("team").eq_missing(pl.lit(total.team, dtype=pl.String)))
        .group_by("project", "model")
        .agg(pl.col("requests").sum(), pl.col("tokens").sum(), pl.col("amount").sum())
        .sort("amount", "tokens", "project", "model", descending=[True, True, False, False], nulls_last=True)
    )
    shown = rows.height if rows.height <= LONGEST_TABLE + 1 else LONGEST_TABLE
    details = [
        DetailRow(project, model, requests, tokens, amount, ratio(amount, total.amount))
        for project, model, requests, tokens, amount in rows.head(shown).iter_rows()
    ]
    rest = rows.slice(shown)
    if rest.height:
        amount = sum(rest.get_column("amount"), Decimal("0.00"))
        sums = int(rest.get_column("requests").sum()), int(rest.get_column("tokens").sum())
        details.append(DetailRow(None, None, *sums, amount, ratio(amount, total.amount), others=rest.height))
    return details
