"""The revisions of each month's statement in the lake: immutable, numbered from 1, a new one only for new content.

A revision is its Parquet file: the lines as rows, the rest of the statement in the file's notes. A folder without the
file is what a crash left behind; it belongs to nobody, and the next run writes that revision into it, so that the
numbers have no gaps.
"""

import dataclasses
import datetime as dt
from decimal import Decimal

import polars as pl

from finops_pipeline.chargeback.encoding import content_digest, decode, encode
from finops_pipeline.chargeback.lines import round_together
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.days import days_of
from finops_pipeline.errors import LakeError
from finops_pipeline.fx import FxRate
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.leases import PATIENCE
from finops_pipeline.money import EXPONENTS, USD, convert, to_minor_units
from finops_pipeline.schemas import CHARGEBACK, chargeback_in


def latest_revision(lake: Lake, month: str) -> int | None:
    """Number of the month's latest statement; None where it has none."""
    return max((int(keys["revision"]) for keys in lake.partitions(CHARGEBACK, month=month)), default=None)


def publish(lake: Lake, draft: Statement, *, run: str) -> tuple[int, bool]:
    """Keep ``draft`` as the month's next revision, unless the latest one charges and says the same.

    Args:
        lake: Where the revisions are.
        draft: A statement that is not published; its own ``revision`` and ``replaces`` are not looked at.
        run: The run that made it.

    Returns:
        The revision that says what the draft says, and whether it is new.

    Raises:
        LeaseHeldError: another live run is publishing the same month, and has not ended in time.
    """
    digest = content_digest(draft)
    while True:
        latest = latest_revision(lake, draft.month)
        published = None if latest is None else load_statement(lake, draft.month, latest)
        if published is not None and content_digest(published) == digest:
            return published.revision, False
        revision = 1 if latest is None else latest + 1
        with lake.lease(CHARGEBACK, wait=PATIENCE, month=draft.month, revision=revision):
            if latest_revision(lake, draft.month) != latest:
                continue  # another run was faster: its statement may say the same
            next_statement = successor(draft, published)
            table = chargeback_in(draft.currency)
            stamp = Stamp(table.version, digest, run, {"statement": encode(next_statement)})
            lake.write(table, next_statement.lines, stamp, month=draft.month, revision=revision)
            return revision, True


def successor(draft: Statement, published: Statement | None) -> Statement:
    """``draft`` as the revision after ``published``, the latest. Totals in two currencies are not compared."""
    if published is None:
        return dataclasses.replace(draft, revision=1, replaces=None)
    replaces = published.total if published.currency == draft.currency else None
    return dataclasses.replace(draft, revision=published.revision + 1, replaces=replaces)


def published_digest(lake: Lake, month: str, revision: int) -> str:
    """Digest of a revision's content as it was when published, whatever later versions count as content.

    Raises:
        LakeError: there is no such statement.
    """
    return _find(lake, month, revision)[1].input_digest


def load_statement(lake: Lake, month: str, revision: int | None = None) -> Statement:
    """A published statement, whole and exact; the latest revision by default.

    Raises:
        LakeError: there is no such statement.
    """
    wanted, stamp = _find(lake, month, latest_revision(lake, month) if revision is None else revision)
    content = stamp.notes.get("statement")
    if not isinstance(content, dict):
        place = lake.place(CHARGEBACK, month=month, revision=wanted)
        raise LakeError(f"{place}: the file's notes hold no statement. Restore it from a backup.")
    table = chargeback_in(content["currency"])
    lines = lake.scan(table, month=month, revision=wanted).select(table.names).collect()
    return decode(content, revision=wanted, lines=lines)


def previous_month(lake: Lake, month: str, exchange: FxRate | None = None) -> PreviousMonth | None:
    """The month before ``month`` as its latest statement has it; None where there is none.

    Where that is in another currency than ``exchange`` (None: USD), its exact USD are converted by that, so that the
    months can be compared: nothing of the difference is then due to the rate.
    """
    before = (days_of(month)[0] - dt.timedelta(days=1)).strftime("%Y-%m")
    if latest_revision(lake, before) is None:
        return None
    statement = load_statement(lake, before)
    currency, rate = (USD, Decimal(1)) if exchange is None else (exchange.currency, exchange.rate)
    by_team = {total.team: total.amount for total in statement.team_totals}
    if statement.currency != currency:
        exact = statement.lines.group_by("team", maintain_order=True).agg(pl.col("exact_cost").sum())
        by_team = dict(zip(exact["team"], round_together(exact["exact_cost"], rate, EXPONENTS[currency]), strict=True))
    return PreviousMonth(
        month=before,
        total=sum(by_team.values(), Decimal("0.00")),
        by_team={team: amount for team, amount in by_team.items() if amount},
        incomplete=statement.incomplete,
        requests=statement.requests,
        at_rate=None if exchange is None else to_minor_units(convert(statement.exact_total, rate), EXPONENTS[currency]),
        charged_in=None if statement.currency == currency else statement.currency,
    )


def _find(lake: Lake, month: str, revision: int | None) -> tuple[int, Stamp]:
    stamp = None if revision is None else lake.stamp(CHARGEBACK, month=month, revision=revision)
    if revision is None or stamp is None:
        which = f"statement of {month}" if revision is None else f"revision {revision} of the statement of {month}"
        raise LakeError(
            f"{lake.folder(CHARGEBACK, month=month)}: there is no {which}. Make it with: finops run --month {month}"
        )
    return revision, stamp
