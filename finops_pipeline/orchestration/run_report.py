"""What a run is asked for and what it tells: plain values, without Dagster."""

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

from finops_pipeline.money import USD
from finops_pipeline.orchestration.context import Sent

Status: TypeAlias = Literal["written", "unchanged", "failed", "skipped"]


@dataclass(frozen=True)
class RunRequest:
    """What to run. Without days and month: yesterday and the ``late_days`` before it, and the month's end when due.

    Attributes:
        days: First and last day, both included.
        month: The month whose statement to make, as ``2026-10``.
        source: Mediation of this source only; nothing below it is made.
        usage_only: Mediation only, of every source where ``source`` names none.
        force: Make partitions again although their inputs have not changed.
        allow_partial: Go on without the sources that are missing.
        reread: Sources and days: run these days, and read these logs again although they have not changed.
        reprice: Price days with the present price book, those too that another book has priced.
        deliver_only: Of ``month``, only hand over the mails that have not left: those of its statement and alerts.
    """

    days: tuple[dt.date, dt.date] | None = None
    month: str | None = None
    source: str | None = None
    usage_only: bool = False
    force: bool = False
    allow_partial: bool = False
    reread: frozenset[tuple[str, dt.date]] = frozenset()
    reprice: bool = False
    deliver_only: bool = False

    @property
    def mediates_only(self) -> bool:
        """Whether nothing is priced."""
        return self.usage_only or self.source is not None


@dataclass(frozen=True)
class Progress:
    """One partition has ended: ``done`` of ``total``, which grows where strays call for further days."""

    asset: str
    partition: str
    status: Status
    done: int
    total: int


@dataclass(frozen=True)
class StatementMade:
    """A month's statement after a run.

    Attributes:
        month: As ``2026-10``.
        revision: Its latest revision.
        total: What is charged, in whole minor units of the currency.
        is_new: Whether this run made the revision.
        page: The page to open: a path, or a URI.
        mails: Its mails that left in this run.
        currency: ISO 4217.
    """

    month: str
    revision: int
    total: Decimal
    is_new: bool
    page: str
    mails: list[Sent]
    currency: str = USD


@dataclass
class RunReport:
    """How a run ended.

    Attributes:
        days: Days that were run.
        changed: Partitions that were written; the others were found unchanged.
        failures: What failed, a sentence each.
        warnings: What a person should know, a sentence each.
        statements: The statements that the run made or found unchanged.
        alerts: The alerts that left in this run.
    """

    days: int = 0
    changed: int = 0
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    statements: list[StatementMade] = field(default_factory=list)
    alerts: list[Sent] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.failures
