"""What a run would send, to whom, rendered for a look: nothing is written to the lake, and nothing leaves.

The statement is drafted from the days that the lake holds now; days that the run would make first are named, not made.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from finops_pipeline.alerts import due_now
from finops_pipeline.chargeback.encoding import content_digest
from finops_pipeline.chargeback.revisions import latest_revision, successor
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.config.model import Config
from finops_pipeline.days import month_of
from finops_pipeline.delivery.ledger import Ledger
from finops_pipeline.files import write_atomically
from finops_pipeline.lake import open_lake
from finops_pipeline.orchestration.context import StepContext
from finops_pipeline.orchestration.mailing import (
    Edition,
    Letter,
    alert_letters,
    by_the_config,
    late_alert_letters,
    statement_letters,
)
from finops_pipeline.orchestration.month_steps import draft_of, published_editions
from finops_pipeline.orchestration.periods import previous_month
from finops_pipeline.reports.bundle import render_bundle


@dataclass(frozen=True)
class PlannedMail:
    """A mail that a run would send, or has sent: ``state`` is the ledger's word for it, None where it has none."""

    recipient: str
    subject: str
    state: str | None
    file: Path


@dataclass(frozen=True)
class DryRun:
    """What a run would do at its end.

    Attributes:
        statement: The month's statement, with the revision that it would have; None where no month is due.
        is_new: Whether that revision would be made by the run.
        page: The rendered page.
        mails: Of the statement, then of alerts.
        remarks: What a person should know, in sentences.
    """

    statement: Statement | None = None
    is_new: bool = False
    page: Path | None = None
    mails: tuple[PlannedMail, ...] = ()
    remarks: tuple[str, ...] = field(default=())


def dry_run(config: Config, days: Iterable[dt.date], month: str | None, *, now: dt.datetime, folder: Path) -> DryRun:
    """Render what a run over ``days`` and at the end of ``month`` would send, below ``folder``.

    Raises:
        LakeError: the lake cannot be read.
        OSError: ``folder`` cannot be written.
    """
    context = StepContext(config, open_lake(config), "dry run", now)
    letters = _alerts(context, days)
    if month is None:
        return DryRun(mails=_rendered(context, letters, folder))
    editions, is_new, remarks = _editions(context, month)
    statement, digest = editions[0].statement, editions[0].digest
    bundle = render_bundle(statement, digest)
    for name, content in bundle.items():
        write_atomically(folder / month / name, content)
    page = folder / month / "index.html"
    of_statement = list(statement_letters(config, editions, bundle, str(page)))
    return DryRun(statement, is_new, page, _rendered(context, [*of_statement, *letters], folder), remarks)


def _editions(context: StepContext, month: str) -> tuple[list[Edition], bool, tuple[str, ...]]:
    """The statement that a run would end with and those before it, whether it would be new, and remarks."""
    draft, remarks = draft_of(context, month)
    latest, digest = latest_revision(context.lake, month), content_digest(draft)
    if latest is None:
        return [Edition(successor(draft, None), digest)], True, remarks
    published = published_editions(context.lake, month, latest)
    if content_digest(published[0].statement) == digest:
        return published, False, remarks
    return [Edition(successor(draft, published[0].statement), digest), *published], True, remarks


def _alerts(context: StepContext, days: Iterable[dt.date]) -> list[Letter]:
    """Mails of the alerts that the lake's budget status calls for now, and of those that have not left before."""
    config, lake = context.config, context.lake
    a_day_of = {month_of(day): day for day in days}
    letters: list[Letter] = []
    for month, day in sorted(a_day_of.items()):
        before = previous_month(config, day)
        if before is not None and before not in a_day_of:
            letters += late_alert_letters(config, lake, before)
        due = by_the_config(context, month, due_now)
        letters += [letter for alert, to in due for letter in alert_letters(config, alert, to)]
    return letters


def _rendered(context: StepContext, letters: Iterable[Letter], folder: Path) -> tuple[PlannedMail, ...]:
    ledger, planned = Ledger(context.lake.storage), []
    for letter in letters:
        file = folder / "mails" / f"{letter.key}.eml"
        write_atomically(file, letter.message.as_bytes())
        record = ledger.find(letter.key)
        planned.append(PlannedMail(letter.recipient, letter.subject, record.state if record else None, file))
    return tuple(planned)
