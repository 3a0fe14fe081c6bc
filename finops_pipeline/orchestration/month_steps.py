"""The month's end, a month at a time: the statement, its page, its mails. Nothing here knows Dagster.

What a statement says, how it looks and how mail leaves stand in ``chargeback``, ``reports`` and ``delivery``.
"""

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from finops_pipeline.allocation import ownership_digest
from finops_pipeline.budgets import budget_lines, budget_status
from finops_pipeline.chargeback.analyses import BridgeStep, BudgetLine, SavingsFound
from finops_pipeline.chargeback.bridge import bridge
from finops_pipeline.chargeback.completeness import Completeness, DayFiles, completeness_of, files_of
from finops_pipeline.chargeback.revisions import load_statement, previous_month, publish, published_digest
from finops_pipeline.chargeback.statement import PreviousMonth, Statement, draft_statement
from finops_pipeline.config.model import Config
from finops_pipeline.days import days_of, when
from finops_pipeline.fx import FxRates, configured_rates, keep_rates
from finops_pipeline.lake import Lake
from finops_pipeline.money import USD, to_minor_units
from finops_pipeline.orchestration.analysis_steps import preview
from finops_pipeline.orchestration.context import Link, Preview, StepContext, StepResult
from finops_pipeline.orchestration.day_steps import still_charged
from finops_pipeline.orchestration.mailing import Edition, post_all, statement_letters
from finops_pipeline.reports import wording
from finops_pipeline.reports.bundle import render_bundle
from finops_pipeline.reports.paths import INDEX
from finops_pipeline.savings.found import savings_found
from finops_pipeline.schemas import DAILY_COSTS, OUTCOMES, PRICED_USAGE, SAVINGS


def charge_back(context: StepContext, month: str) -> StepResult:
    """``chargeback``: the month's statement, as a new revision where it says something new.

    Days that are missing do not keep it from being made: it says on its face what it lacks.
    """
    rates = None if context.config.reports.currency == USD else configured_rates(context.config)
    draft, remarks = draft_of(context, month, rates)
    if rates is not None:
        keep_rates(context.lake, rates, context.run)
    revision, is_new = publish(context.lake, draft, run=context.run)
    currency, exchange = draft.currency.lower(), draft.exchange
    return StepResult(
        is_new,
        {
            "revision": revision,
            f"total_{currency}": _amount(draft.total, draft),
            f"change_{currency}": "unknown" if draft.change is None else _amount(draft.change, draft),
            **({} if exchange is None else {"exchange_rate": wording.exchange_of(exchange)}),
            "saved_together_usd": str(draft.savings.total),
            "dagster/partition_row_count": draft.lines.height,
            "missing_days": [str(day) for day in draft.completeness.missing_days],
            "charges": _charges(draft),
        },
        remarks,
    )


def draft_of(context: StepContext, month: str, rates: FxRates | None = None) -> tuple[Statement, tuple[str, ...]]:
    """The statement that the lake's days make now, not published, and what a person should know of it.

    Args:
        context: Config and lake.
        month: Such as ``2026-10``.
        rates: For a statement in another currency than USD; by default those of the config's files.

    Raises:
        FxRateError: there is no rate for the month's last day, or for today where the month is not over.
    """
    config, lake = context.config, context.lake
    exchange = None
    if (currency := config.reports.currency) != USD:
        rates = rates or configured_rates(config)
        exchange = rates.at(currency, min(days_of(month)[-1], context.now.date()))
    configured = [source.name for source in config.sources]
    files = files_of(lake, [day for day in days_of(month) if day >= config.start_date])
    stamps = {day: found.costs for day, found in files.items() if found.costs is not None}
    costs = lake.scan(DAILY_COSTS, date=list(stamps))
    completeness = completeness_of(files, configured)
    outcomes, lines = _ingested(files.values())
    draft = draft_statement(
        month,
        costs,
        config.teams,
        completeness,
        outcomes=outcomes,
        lines_read=lines,
        book_versions=sorted({str(stamp.notes["book_version"]) for stamp in stamps.values()}),
        previous=previous_month(lake, month, exchange),
        made_at=context.now,
        currency=currency,
        exchange=exchange,
        budgets=_budgets(config, lake, month, list(stamps)),
        savings=_savings(lake, list(files)),
        silent_sources=_silent(files.values(), configured),
    )
    if draft.previous is not None:
        draft = dataclasses.replace(draft, bridge=_bridge(lake, draft, draft.previous, costs))
    charged = {source for found in files.values() for source in found.priced_sources}
    retired = sorted(charged - set(configured))
    rules = ownership_digest(config.ownership, config.teams)
    allocated_otherwise = [day for day, stamp in stamps.items() if stamp.notes.get("ownership") != rules]
    return draft, (
        *_shortcomings(completeness),
        *([still_charged(retired)] if retired else []),
        *([_other_rules(allocated_otherwise)] if allocated_otherwise else []),
    )


def report(context: StepContext, month: str) -> StepResult:
    """``chargeback_reports``: the month's latest statement as pages, ledger and workbook."""
    statement = load_statement(context.lake, month)
    digest = published_digest(context.lake, month, statement.revision)
    bundle = render_bundle(statement, digest)
    changed = _write_bundle(context.lake, _folder(month, statement.revision), bundle)
    page = page_place(context.lake, month, statement.revision)
    return StepResult(changed, {"revision": statement.revision, "page": Link(page), "files": sorted(bundle)})


def send(context: StepContext, month: str) -> StepResult:
    """``report_delivery``: the latest statement's mails: to finance the whole, to each owner their part, once.

    Raises:
        DeliveryError: mails did not leave; the next run tries those again.
        LakeError: the statement or its files are not there.
    """
    lake = context.lake
    statement = load_statement(lake, month)
    page = page_place(lake, month, statement.revision)
    editions = published_editions(lake, month, statement.revision)
    bundle = _read_bundle(lake, _folder(month, statement.revision))
    letters = list(statement_letters(context.config, editions, bundle, page))
    posted = post_all(context, letters)
    return StepResult(
        bool(posted.sent),
        {
            "revision": statement.revision,
            "recipients": sorted({letter.recipient for letter in letters}),
            "mails": Preview(tuple({"to": letter.recipient, "subject": letter.subject} for letter in letters)),
            "sent_by_this_run": [f"{mail.recipient}: {mail.subject}" for mail in posted.sent],
        },
        posted.warnings,
        posted.sent,
    )


def published_editions(lake: Lake, month: str, revision: int) -> list[Edition]:
    """The month's statements up to that revision, the latest first."""
    return [
        Edition(load_statement(lake, month, number), published_digest(lake, month, number))
        for number in range(revision, 0, -1)
    ]


def page_place(lake: Lake, month: str, revision: int) -> str:
    """Where the page of a statement lies, a path or a URI; its other files lie beside and below it."""
    return lake.storage.place(_folder(month, revision) + INDEX)


def _folder(month: str, revision: int) -> str:
    """Where the lake has the files of a statement."""
    return f"reports/month={month}/revision={revision}/"


def _budgets(config: Config, lake: Lake, month: str, days: Sequence[dt.date]) -> tuple[BudgetLine, ...]:
    """The config's budgets against the whole month."""
    tagged = lake.scan(PRICED_USAGE, date=list(days)) if any("tag" in b.scope for b in config.budgets) else None
    costs = lake.scan(DAILY_COSTS, date=list(days))
    status = budget_status(config.budgets, days_of(month)[-1], costs, tagged=tagged).collect()
    return budget_lines(status, config.budgets)


def _savings(lake: Lake, days: Sequence[dt.date]) -> SavingsFound:
    """What would have cost less, over the days that were analysed."""
    analysed = len(lake.partitions(SAVINGS, date=list(days)))
    return savings_found(lake.scan(SAVINGS, date=list(days)), analysed)


def _bridge(lake: Lake, draft: Statement, previous: PreviousMonth, costs: pl.LazyFrame) -> tuple[BridgeStep, ...]:
    """Why the month came to another amount; unknown where the days before were rolled up without groups of costs."""
    days = days_of(previous.month)
    if any(stamp.schema_version < DAILY_COSTS.version for _, stamp in lake.stamps(DAILY_COSTS, date=days)):
        return ()
    return bridge(
        lake.scan(DAILY_COSTS, date=list(days)),
        costs,
        previous.total,
        draft.total,
        rate=draft.converted(Decimal(1)),
        exponent=draft.exponent,
        before_at_rate=previous.at_rate,
    )


def _charges(statement: Statement) -> Preview:
    rows = [{"team": t.team or "unallocated", "amount": _amount(t.amount, statement)} for t in statement.team_totals]
    return preview(pl.DataFrame(rows, schema={"team": pl.String, "amount": pl.String}))


def _amount(amount: Decimal, statement: Statement) -> str:
    return str(to_minor_units(amount, statement.exponent))


def _ingested(days: Iterable[DayFiles]) -> tuple[dict[str, int], int]:
    """What became of the records of these days, by outcome, and the lines that were read."""
    notes: list[dict[str, Any]] = [dict(stamp.notes) for files in days for stamp in files.usage.values()]
    outcomes = Counter(dict.fromkeys(OUTCOMES, 0))
    for note in notes:
        outcomes.update(note["outcomes"])
    return dict(outcomes), sum(note["lines"] for note in notes)


def _silent(days: Iterable[DayFiles], sources: Iterable[str]) -> list[str]:
    """Sources that were read on some of these days, and never held a line."""
    lines: dict[str, list[int]] = {source: [] for source in sources}
    for files in days:
        for source, stamp in files.usage.items():
            if source in lines:
                lines[source].append(int(str(stamp.notes["lines"])))
    return [source for source, found in lines.items() if found and not any(found)]


def _write_bundle(lake: Lake, folder: str, bundle: Mapping[str, bytes]) -> bool:
    """Put the files of a statement in place; False where all are there already."""
    there = _read_bundle(lake, folder)
    changed = {name: content for name, content in bundle.items() if there.get(name) != content}
    for name, content in changed.items():
        lake.storage.write(folder + name, content)
    return bool(changed)


def _read_bundle(lake: Lake, folder: str) -> Mapping[str, bytes]:
    """The files of a statement as they were written, by path within their folder."""
    files = lake.storage.files(folder)
    found = zip(files, lake.storage.each(lake.storage.fetch, files), strict=True)
    return {file.name.removeprefix(folder): here.read_bytes() for file, here in found}


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
