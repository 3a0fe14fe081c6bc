"""``budget_status``: where each budget stands at the end of a day; history is kept, and a backfill reproduces it."""

from decimal import Decimal

import polars as pl

from finops_pipeline.schemas.contract import RATIO, TOTAL, Column, Table

BUDGET_STATUSES = ("ok", "warning", "exceeded")

WARNING_SHARE = Decimal("0.8")
"""Share of the limit from which on a budget's status is ``warning``; who is told, and when, is the config's."""

EXCEEDED_SHARE = Decimal(1)
"""Share of the limit from which on it is ``exceeded``."""

BUDGET_STATUS = Table(
    name="budget_status",
    version=1,
    meaning="Budgets at the end of each day: month to date against the limit.",
    partition_keys=("date",),
    columns=(
        Column("budget", pl.String, "The budget's name in the config", False),
        Column("scope", pl.String, "Whose spend counts: `team=search`, `team=search, model=gpt-5`", False),
        Column("period_start", pl.Date, "First day of the period", False),
        Column("period_end", pl.Date, "Last day of the period, included", False),
        Column("limit", TOTAL, "USD a period", False),
        Column("spent", TOTAL, "USD from the period's first day to the end of this day", False),
        Column("share", RATIO, "spent / limit; thresholds are compared in exact money, not by this", False),
        Column("status", pl.Enum(BUDGET_STATUSES), "ok, warning from 80 % on, exceeded from 100 % on", False),
        Column("forecast", TOTAL, "USD at the period's end at this rate; null in its first two days"),
        Column("forecast_low", TOTAL, "Lower end of the forecast's interval; null: none is made yet"),
        Column("forecast_high", TOTAL, "Upper end of it"),
        Column("p_exceed", RATIO, "Probability that the limit is exceeded; null: not known"),
        Column("run_out_date", pl.Date, "Day on which the limit is reached at this rate; null: not in this period"),
        Column("unpriced_requests", pl.Int64, "Calls of the scope without a price: spent is a lower bound", False),
        Column("missing_days", pl.Int64, "Days of the period up to this one without costs: likewise", False),
    ),
)
