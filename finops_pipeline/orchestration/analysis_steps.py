"""What watches the costs, a day at a time: budgets, their alerts, savings. Nothing here knows Dagster.

What the rows mean stands in ``budgets``, ``alerts`` and ``savings``; how mail leaves, in ``delivery``.
"""

import datetime as dt
from decimal import Decimal

import polars as pl

from finops_pipeline.alerts import evaluate
from finops_pipeline.budgets import budget_status
from finops_pipeline.days import ONE_DAY, days_between, days_of, month_of
from finops_pipeline.errors import IncompleteDayError, LakeError
from finops_pipeline.lake import Stamp
from finops_pipeline.money import to_cents
from finops_pipeline.orchestration.context import Cell, Preview, StepContext, StepResult
from finops_pipeline.orchestration.day_steps import digest_of
from finops_pipeline.orchestration.mailing import alert_letters, by_the_config, late_alert_letters, post_all
from finops_pipeline.orchestration.periods import previous_month
from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.kept import kept_book
from finops_pipeline.savings.analysis import savings_of_day
from finops_pipeline.savings.batching import ACTIVITY_DAYS
from finops_pipeline.savings.cache_rules import CACHE_RULES
from finops_pipeline.savings.pairs import PAIRS
from finops_pipeline.schemas import BUDGET_STATUS, DAILY_COSTS, PRICE_BOOK, PRICED_USAGE, SAVINGS

PREVIEWED = 10
"""Rows of a table that the run's record shows."""


def hold_against_budgets(context: StepContext, partition: str) -> StepResult:
    """``budget_status`` of a day: the month up to its end against every budget of the config.

    Raises:
        IncompleteDayError: the day has no costs yet.
    """
    config, lake, day = context.config, context.lake, dt.date.fromisoformat(partition)
    days = [d for d in days_of(month_of(day)) if config.start_date <= d <= day]
    stamps = {part.date: stamp for part, stamp in lake.stamps(DAILY_COSTS, date=days)}
    if day not in stamps:
        raise IncompleteDayError(f"the day has no costs yet. Run it with: finops run --from {day} --to {day}")
    made_of = {str(d): stamp.input_digest for d, stamp in stamps.items()}
    rules = [budget.model_dump(mode="json") for budget in config.budgets]
    digest = digest_of(BUDGET_STATUS.version, made_of, rules)
    with lake.making(BUDGET_STATUS, digest, force=context.force, date=day) as changed:
        if changed:
            tagged = lake.scan(PRICED_USAGE, date=days) if any("tag" in b.scope for b in config.budgets) else None
            costs = lake.scan(DAILY_COSTS, date=list(stamps))
            status = budget_status(
                config.budgets, day, costs, tagged=tagged, expected_days=days, days_with_costs=stamps
            ).collect()
            stamp = Stamp(BUDGET_STATUS.version, digest, context.run)
            lake.write(BUDGET_STATUS, status, stamp, date=day)
    rows = lake.scan(BUDGET_STATUS, date=day).collect()
    counts = dict(rows.group_by("status").len().iter_rows())
    return StepResult(
        changed,
        {
            "dagster/partition_row_count": rows.height,
            **{f"budgets_{status}": counts.get(status, 0) for status in ("warning", "exceeded")},
            "status": preview(
                rows.sort("share", descending=True).select("budget", "status", "spent", "limit", "scope")
            ),
        },
    )


def find_savings(context: StepContext, partition: str) -> StepResult:
    """``savings`` of a day: its calls repriced with the price book that priced them.

    The days before are looked at for answers that a cache may still hold, and for jobs that run again and again.

    Raises:
        IncompleteDayError: the day is not priced yet.
    """
    config, lake, day = context.config, context.lake, dt.date.fromisoformat(partition)
    window = days_between(max(config.start_date, day - (ACTIVITY_DAYS - 1) * ONE_DAY), day)
    stamps = {part.date: stamp for part, stamp in lake.stamps(PRICED_USAGE, date=window)}
    if day not in stamps:
        raise IncompleteDayError(f"the day is not priced yet. Run it with: finops run --from {day} --to {day}")
    made_of = {str(d): stamp.input_digest for d, stamp in stamps.items()}
    digest = digest_of(SAVINGS.version, made_of, [str(rule) for rule in (*PAIRS, *CACHE_RULES)])
    with lake.making(SAVINGS, digest, force=context.force, date=day) as changed:
        if changed:
            book = _book_of(context, str(stamps[day].notes["book_version"]))
            calls, before = (lake.scan(PRICED_USAGE, date=d) for d in (day, day - ONE_DAY))
            rows = savings_of_day(calls, before, lake.scan(PRICED_USAGE, date=list(stamps)), book).collect()
            lake.write(SAVINGS, rows, Stamp(SAVINGS.version, digest, context.run), date=day)
    found = lake.scan(SAVINGS, date=day).collect()
    return StepResult(
        changed,
        {
            "dagster/partition_row_count": found.height,
            "saved_together_usd": str(to_cents(found.select(pl.col("incremental").sum()).item())),
            "largest": preview(found.select("lever", "team", "project", "saving_low", "saving", "saving_high")),
        },
    )


def alert(context: StepContext, partition: str) -> StepResult:
    """``budget_alerts``: bring the alerts of the day's month up to date and mail those that are due.

    Those of the month before that have not left are mailed too.

    Raises:
        DeliveryError: a mail did not leave; the alert stays due, and the next run tries again.
    """
    config, lake, day = context.config, context.lake, dt.date.fromisoformat(partition)
    month, month_before = month_of(day), previous_month(config, day)
    found = by_the_config(context, month, evaluate)
    letters = [letter for due, to in found.due for letter in alert_letters(config, due, to)]
    if month_before is not None:
        letters += late_alert_letters(config, lake, month_before)
    posted = post_all(context, letters)
    return StepResult(
        bool(found.changed or posted.sent),
        {
            "opened": [due.key for due in found.opened],
            "retracted": [gone.key for gone in found.retracted],
            "sent_by_this_run": [f"{mail.recipient}: {mail.subject}" for mail in posted.sent],
        },
        posted.warnings,
        posted.sent,
    )


def _book_of(context: StepContext, version: str) -> PriceBook:
    """The book of that version, which the lake keeps since it priced the day."""
    present = context.books.get(None)
    book = present if present is not None and present.version == version else kept_book(context.lake, version)
    if book is None:
        raise LakeError(
            f"{context.lake.folder(PRICE_BOOK, version=version)}: the price book of the day is not there. "
            "Price the day again: finops run --reprice --from … --to …"
        )
    return book


def preview(rows: pl.DataFrame) -> Preview:
    """The first rows, amounts as text in whole cents."""
    return Preview(tuple({k: _cell(v) for k, v in row.items()} for row in rows.head(PREVIEWED).to_dicts()))


def _cell(value: object) -> Cell:
    if isinstance(value, Decimal):
        return str(to_cents(value))
    return value if value is None or isinstance(value, str | int) else str(value)
