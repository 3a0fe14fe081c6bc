"""The statement as one self-contained HTML page: no script, no request to anywhere, readable on a phone and on A4."""

from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from finops_pipeline.chargeback.encoding import content_digest
from finops_pipeline.chargeback.statement import Statement, TeamTotal, ratio, without_price
from finops_pipeline.reports import wording
from finops_pipeline.reports.charts import day_chart
from finops_pipeline.reports.templating import render

LONGEST_TABLE = 10
"""Rows that a team's table shows before the rest is one row."""

_WIDE, _NARROW = 752, 358
"""Pixels between the margins, on a desktop or on paper and on a phone."""


@dataclass(frozen=True)
class DetailRow:
    """What a team is charged for one project and model; ``others`` rows in one where it is above zero.

    ``unpriced``: no call of it has a price.
    """

    project: str | None
    model: str | None
    requests: int
    tokens: int
    amount: Decimal
    share: Decimal | None
    unpriced: bool = False
    others: int = 0


def render_page(statement: Statement, digest: str | None = None) -> str:
    """The whole page. The same statement gives the same bytes.

    Args:
        statement: A published statement.
        digest: Digest of its content, as it was published with; by default that of today's content.
    """
    charts = [(day_chart(statement, _WIDE), "wide"), (day_chart(statement, _NARROW), "narrow")]
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
        digest=digest or content_digest(statement),
        charts=charts,
        starred=any(bar.state == "partial" for chart, _ in charts if chart for bar in chart.bars),
        no_price=wording.NO_PRICE,
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
        .agg(pl.col("requests", "tokens", "amount").sum(), without_price().alias("unpriced"))
        .sort("amount", "tokens", "project", "model", descending=[True, True, False, False], nulls_last=True)
    )
    shown = rows.height if rows.height <= LONGEST_TABLE + 1 else LONGEST_TABLE
    details = [
        DetailRow(project, model, requests, tokens, amount, None if unpriced else ratio(amount, total.amount), unpriced)
        for project, model, requests, tokens, amount, unpriced in rows.head(shown).iter_rows()
    ]
    rest = rows.slice(shown)
    if rest.height:
        amount = sum(rest.get_column("amount"), Decimal("0.00"))
        sums = int(rest.get_column("requests").sum()), int(rest.get_column("tokens").sum())
        unpriced = bool(rest.get_column("unpriced").all())
        share = None if unpriced else ratio(amount, total.amount)
        details.append(DetailRow(None, None, *sums, amount, share, unpriced, others=rest.height))
    return details
