"""The month's end, a month at a time: the statement, its page, its mails. Nothing here knows Dagster.

What a statement says, how it looks and how mail leaves stand in ``chargeback``, ``reports`` and ``delivery``.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from finops_pipeline.allocation import ownership_digest
from finops_pipeline.chargeback.completeness import Completeness, DayFiles, completeness_of, files_of
from finops_pipeline.chargeback.revisions import load_statement, previous_month, publish, published_digest
from finops_pipeline.chargeback.statement import draft_statement
from finops_pipeline.days import days_of, when
from finops_pipeline.delivery.ledger import delivery_key
from finops_pipeline.delivery.outbox import Outbox, deliver
from finops_pipeline.files import naming_the_lake, write_atomically
from finops_pipeline.lake import Lake
from finops_pipeline.orchestration.context import Fact, StepContext, StepResult
from finops_pipeline.orchestration.day_steps import still_charged
from finops_pipeline.reports.mail import compose
from finops_pipeline.reports.page import render_page
from finops_pipeline.schemas import DAILY_COSTS, OUTCOMES


def charge_back(context: StepContext, month: str) -> StepResult:
    """``chargeback``: the month's statement, as a new revision where it says something new.

    Days that are missing do not keep it from being made: it says on its face what it lacks.
    """
    config, lake = context.config, context.lake
    configured = [source.name for source in config.sources]
    files = {day: files_of(lake, day) for day in days_of(month) if day >= config.start_date}
    costs = {day: found.costs for day, found in files.items() if found.costs is not None}
    completeness = completeness_of(files, configured)
    outcomes, lines = _ingested(files.values())
    draft = draft_statement(
        month,
        lake.scan(DAILY_COSTS, date=list(costs)),
        config.teams,
        completeness,
        outcomes=outcomes,
        lines_read=lines,
        book_versions=sorted({str(stamp.notes["book_version"]) for stamp in costs.values()}),
        previous=previous_month(lake, month),
        made_at=context.now,
        currency=config.reports.currency,
    )
    revision, is_new = publish(lake, draft, run=context.run)
    charged = {source for found in files.values() for source in found.priced_sources}
    retired = sorted(charged - set(configured))
    rules = ownership_digest(config.ownership, config.teams)
    allocated_otherwise = [day for day, stamp in costs.items() if stamp.notes.get("ownership") != rules]
    return StepResult(
        is_new,
        {
            "revision": revision,
            "total_usd": str(draft.total),
            "dagster/partition_row_count": draft.lines.height,
            "missing_days": [str(day) for day in completeness.missing_days],
        },
        (
            *_shortcomings(completeness),
            *([still_charged(retired)] if retired else []),
            *([_other_rules(allocated_otherwise)] if allocated_otherwise else []),
        ),
    )


def report(context: StepContext, month: str) -> StepResult:
    """``chargeback_reports``: the page of the month's latest statement."""
    statement = load_statement(context.lake, month)
    digest = published_digest(context.lake, month, statement.revision)
    page = page_path(context.lake, month, statement.revision)
    changed = _write_page(page, render_page(statement, digest))
    return StepResult(changed, {"revision": statement.revision, "page": page}, files=(page,) if changed else ())


def send(context: StepContext, month: str) -> StepResult:
    """``report_delivery``: the latest statement's mail to each recipient, once."""
    config, lake = context.config, context.lake
    statement = load_statement(lake, month)
    page = page_path(lake, month, statement.revision)
    outbox, content = config.resolved(config.mail.path), published_digest(lake, month, statement.revision)
    mails: list[Path] = []
    for recipient in config.reports.recipients:
        key = delivery_key(month, statement.revision, recipient, content)
        if deliver(compose(statement, config.reports.from_, recipient, page), key, lake, outbox):
            mails.append(Outbox(outbox).path(key))
    metadata: dict[str, Fact] = {
        "revision": statement.revision,
        "recipients": list(config.reports.recipients),
        "sent_by_this_run": [mail.name for mail in mails],
    }
    return StepResult(bool(mails), metadata, files=tuple(mails))


def page_path(lake: Lake, month: str, revision: int) -> Path:
    """Where the page of a statement lies."""
    return lake.root / "reports" / f"month={month}" / f"revision={revision}" / "index.html"


def _ingested(days: Iterable[DayFiles]) -> tuple[dict[str, int], int]:
    """What became of the records of these days, by outcome, and the lines that were read."""
    notes: list[dict[str, Any]] = [dict(stamp.notes) for files in days for stamp in files.usage.values()]
    outcomes = Counter(dict.fromkeys(OUTCOMES, 0))
    for note in notes:
        outcomes.update(note["outcomes"])
    return dict(outcomes), sum(note["lines"] for note in notes)


def _write_page(page: Path, html: str) -> bool:
    """Put ``html`` in place; False where it is there already."""
    content = html.encode()
    with naming_the_lake(page):
        if page.exists() and page.read_bytes() == content:
            return False
        write_atomically(page, content)
    return True


def _shortcomings(completeness: Completeness) -> tuple[str, ...]:
    """What the statement lacks, in sentences."""
    partial = [day for day, _ in completeness.partial_days]
    return tuple(
        f"{sentence} {_spans(days)}"
        for sentence, days in (
            ("the statement lacks", completeness.missing_days),
            ("the statement lacks a source on", partial),
            ("the logs have changed since these days were priced, so run them again:", completeness.stale_days),
            ("the statement has part of a day only, so run it again once it is over:", completeness.unfinished_days),
        )
        if days
    )


def _other_rules(days: Sequence[dt.date]) -> str:
    return (
        f"teams or ownership in finops.yaml have changed since the allocation of {_spans(days)}; to allocate as they "
        f"say now: finops run --from {min(days)} --to {max(days)}"
    )


def _spans(days: Iterable[dt.date]) -> str:
    return when(str(day) for day in days)
