"""The month's end, a month at a time: the statement, its page, its mails. Nothing here knows Dagster.

What a statement says, how it looks and how mail leaves stand in ``chargeback``, ``reports`` and ``delivery``.
"""

import datetime as dt
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from finops_pipeline.chargeback.encoding import content_digest
from finops_pipeline.chargeback.revisions import load_statement, previous_month, publish
from finops_pipeline.chargeback.statement import Completeness, days_of, draft_statement
from finops_pipeline.delivery.ledger import delivery_key
from finops_pipeline.delivery.outbox import Outbox, deliver
from finops_pipeline.errors import LakeError
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.orchestration.periods import when
from finops_pipeline.orchestration.step import Fact, StepContext, StepResult
from finops_pipeline.reports.mail import compose
from finops_pipeline.reports.page import render_page
from finops_pipeline.schemas import DAILY_COSTS, OUTCOMES, USAGE


def charge_back(context: StepContext, month: str) -> StepResult:
    """``chargeback``: the month's statement, as a new revision where it says something new.

    Days that are missing do not keep it from being made: it says on its face what it lacks.
    """
    config, lake = context.config, context.lake
    days = [day for day in days_of(month) if day >= config.start_date]
    stamps = {day: lake.stamp(DAILY_COSTS, date=day) for day in days}
    completeness = completeness_of(stamps, tuple(source.name for source in config.sources))
    outcomes, lines = _ingested(lake, days, completeness.sources)
    draft = draft_statement(
        month,
        lake.scan(DAILY_COSTS, date=[day for day, stamp in stamps.items() if stamp]),
        config.teams,
        completeness,
        outcomes=outcomes,
        lines_read=lines,
        book_versions=sorted({str(stamp.notes["book_version"]) for stamp in stamps.values() if stamp}),
        previous=previous_month(lake, month),
        made_at=context.now,
        currency=config.reports.currency,
    )
    revision, is_new = publish(lake, draft, run=context.run)
    return StepResult(
        is_new,
        {
            "revision": revision,
            "total_usd": str(draft.total),
            "dagster/partition_row_count": draft.lines.height,
            "missing_days": [str(day) for day in completeness.missing_days],
        },
        _shortcomings(completeness),
    )


def completeness_of(stamps: dict[dt.date, Stamp | None], sources: tuple[str, ...]) -> Completeness:
    """What a month lacks, from its ``daily_costs``: days without them, and days that went on without a source."""
    without = {day: stamp.notes.get("missing_sources", []) for day, stamp in stamps.items() if stamp is not None}
    return Completeness(
        expected_days=tuple(stamps),
        missing_days=tuple(day for day, stamp in stamps.items() if stamp is None),
        partial_days=tuple(
            (day, tuple(str(name) for name in names))
            for day, names in without.items()
            if isinstance(names, list) and names
        ),
        sources=sources,
    )


def report(context: StepContext, month: str) -> StepResult:
    """``chargeback_reports``: the page of the month's latest statement."""
    statement = load_statement(context.lake, month)
    page = page_path(context.lake, month, statement.revision)
    changed = _write_page(page, render_page(statement))
    return StepResult(changed, {"revision": statement.revision, "page": page}, files=(page,) if changed else ())


def send(context: StepContext, month: str) -> StepResult:
    """``report_delivery``: the latest statement's mail to each recipient, once."""
    config, lake = context.config, context.lake
    statement = load_statement(lake, month)
    page = page_path(lake, month, statement.revision)
    outbox, content = config.resolved(config.mail.path), content_digest(statement)
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


def _ingested(lake: Lake, days: list[dt.date], sources: tuple[str, ...]) -> tuple[dict[str, int], int]:
    """What became of the records of these days, by outcome, and the lines that were read."""
    stamps = [lake.stamp(USAGE, source=source, date=day) for source in sources for day in days]
    notes: list[dict[str, Any]] = [dict(stamp.notes) for stamp in stamps if stamp is not None]
    outcomes = Counter(dict.fromkeys(OUTCOMES, 0))
    for note in notes:
        outcomes.update(note["outcomes"])
    return dict(outcomes), sum(note["lines"] for note in notes)


def _write_page(page: Path, html: str) -> bool:
    """Put ``html`` in place by one atomic step; False where it is there already."""
    content = html.encode()
    try:
        if page.exists() and page.read_bytes() == content:
            return False
        page.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=page.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                os.fsync(file.fileno())
            Path(beside).chmod(0o644)
            Path(beside).replace(page)
        finally:
            Path(beside).unlink(missing_ok=True)
    except OSError as error:
        raise LakeError(
            f"{page}: cannot be written ({error.strerror or error}). "
            "Check `lake` in finops.yaml, the folder's permissions and the free space."
        ) from error
    return True


def _shortcomings(completeness: Completeness) -> tuple[str, ...]:
    """What the statement lacks, in sentences."""
    found = []
    if completeness.missing_days:
        found.append(f"the statement lacks {when(str(day) for day in completeness.missing_days)}")
    if completeness.partial_days:
        found.append(f"{len(completeness.partial_days)} days went on without all sources")
    return tuple(found)
