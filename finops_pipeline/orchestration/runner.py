"""Runs the jobs in this process, for the command line, for cron and for the demo.

The same assets and jobs as the daemon's, with what a person waiting wants beside them: progress, the complete days of
a range in which a source failed, a second pass over days that received strays, a report in sentences.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence

import dagster as dg

from finops_pipeline.chargeback.completeness import DayFiles, files_of
from finops_pipeline.chargeback.revisions import latest_revision, load_statement
from finops_pipeline.config.model import Config
from finops_pipeline.days import days_between, days_of, month_of
from finops_pipeline.errors import ConfigError
from finops_pipeline.lake import open_lake
from finops_pipeline.mediation.fingerprints import KNOWN_KEY, FingerprintKey
from finops_pipeline.mediation.strays import days_with_fresh_strays
from finops_pipeline.orchestration.checks import TOLD_BY_MEDIATION, WITHIN_BUDGET
from finops_pipeline.orchestration.code_location import build_definitions
from finops_pipeline.orchestration.continuation import WATCHING, AssetDay, daily_upstream, runnable_stretches
from finops_pipeline.orchestration.history import history
from finops_pipeline.orchestration.jobs import MONTH_END, NIGHTLY
from finops_pipeline.orchestration.looking_back import later_days
from finops_pipeline.orchestration.month_steps import page_place
from finops_pipeline.orchestration.partitions import range_tags
from finops_pipeline.orchestration.periods import closed_month, nightly_window
from finops_pipeline.orchestration.run_report import Progress, RunReport, RunRequest, StatementMade
from finops_pipeline.orchestration.session import Outcome, RunOptions, Session
from finops_pipeline.orchestration.tally import ALERTS, Tally
from finops_pipeline.pricing.book import compile_book
from finops_pipeline.schemas import BUDGET_STATUS, STRAYS

__all__ = ["Progress", "RunReport", "RunRequest", "StatementMade", "run"]

MAX_PASSES = 3
"""Passes over the days, the first included; strays that the last one hands over wait for the next run."""

TOLD_OTHERWISE = {*TOLD_BY_MEDIATION, WITHIN_BUDGET}
"""Checks of which the run has told already: mediation by its warnings, budgets by their alerts."""

MONTHLY_ASSETS = ("chargeback", "chargeback_reports", "report_delivery")


def run(
    config: Config,
    request: RunRequest,
    *,
    now: dt.datetime,
    on_progress: Callable[[Progress], None] | None = None,
    instance: dg.DagsterInstance | None = None,
    log_level: str | None = None,
) -> RunReport:
    """Run what ``request`` asks for and report how it went. Partitions that fail are reported, not raised.

    Args:
        config: The whole of ``finops.yaml``.
        request: What to run.
        now: The present, UTC: it decides what yesterday is, and which records lie in the future.
        on_progress: Told of each partition that has ended.
        instance: Where Dagster keeps the history; by default that of ``DAGSTER_HOME``, else none is kept.
        log_level: Level of Dagster's own log on stderr; by default it is silent.

    Raises:
        ConfigError: the request names a source that the config does not have, or days before its start.
        PriceBookError: days are to be priced, and the config's price files are wrong.
        LakeError: the lake cannot be written.
        KeyboardInterrupt: somebody interrupted it; what was written until then stays.
    """
    _refuse_impossible(config, request)
    days, month = _what_to_run(config, request, now.date())
    if days or month:
        open_lake(config).storage.check_writable()
    if days and not request.mediates_only:
        compile_book(config, open_lake(config))
    with history(instance) as kept:
        running = _Run(config, request, now, kept, on_progress, log_level or "critical")
        return running.report(days, month)


def _refuse_impossible(config: Config, request: RunRequest) -> None:
    known = [source.name for source in config.sources]
    asked = {source for source, _ in request.reread} | ({request.source} if request.source else set())
    if unknown := sorted(asked.difference(known)):
        raise ConfigError(f"there is no source {unknown[0]} in finops.yaml: expected one of {', '.join(known)}.")
    first_month = month_of(config.start_date)
    first_day = min([*(request.days or ()), *(day for _, day in request.reread)], default=config.start_date)
    if first_day < config.start_date or (request.month and request.month < first_month):
        raise ConfigError(f"nothing lies before {config.start_date}, the start_date in finops.yaml.")


def _what_to_run(config: Config, request: RunRequest, today: dt.date) -> tuple[list[dt.date], str | None]:
    if request.reread:
        return sorted({day for _, day in request.reread}), request.month
    if request.days is not None or request.month is not None:
        return days_between(*request.days) if request.days else [], request.month
    window = nightly_window(config, today)
    month = None if request.mediates_only else closed_month(config, today)
    return days_between(*window) if window else [], month


class _Run:
    """One run as it goes: it launches Dagster's runs, as many as it takes."""

    def __init__(
        self,
        config: Config,
        request: RunRequest,
        now: dt.datetime,
        kept: dg.DagsterInstance,
        on_progress: Callable[[Progress], None] | None,
        log_level: str,
    ) -> None:
        self._config, self._today, self._kept, self._log_level = config, now.date(), kept, log_level.upper()
        self._tally = Tally(on_progress)
        self._told: list[Outcome] = []
        session = Session(config, now=lambda: now, tell=self._ended)
        self._lake = session.lake
        reread: dict[str, list[str]] = {}
        for source, day in sorted(request.reread):
            reread.setdefault(source, []).append(str(day))
        options = RunOptions(
            force=request.force, allow_partial=request.allow_partial, reread=reread, reprice=request.reprice
        )
        self._definitions = build_definitions(session, options)
        sources = [source.name for source in config.sources]
        if request.mediates_only:
            wanted = [request.source] if request.source else sources
            asked: Mapping[str, tuple[str, ...]] = {f"usage/{source}": () for source in wanted}
        else:
            asked = daily_upstream(sources, allow_partial=request.allow_partial)
        self._tables = {asset: inputs for asset, inputs in asked.items() if asset not in WATCHING}
        self._watching = {asset: inputs for asset, inputs in asked.items() if asset in WATCHING}
        self._deliver_only = request.deliver_only
        self._days: set[dt.date] = set()
        self._made: set[AssetDay] = set()
        self._statements: list[StatementMade] = []

    def report(self, days: list[dt.date], month: str | None) -> RunReport:
        """Make the days, the days that received strays, the month, and tell how it went."""
        if self._deliver_only and month:
            self._deliver(month)
            return self._tally.report(0, self._statements)
        daily = len(self._tables) + len(self._watching)
        self._tally.plan(len(days) * daily + (len(MONTHLY_ASSETS) if month else 0))
        if days:
            self._make_tables(days)
            self._make_stray_days()
            self._watch()
        if month:
            self._make_month(month)
        read = any(self._tally.written(asset) for asset in self._tables if asset.startswith("usage/"))
        if read and FingerprintKey.from_environment().is_default:
            self._tally.remark(KNOWN_KEY)
        return self._tally.report(len(self._days), self._statements)

    def _make_tables(self, days: Iterable[dt.date]) -> None:
        self._days.update(days)
        self._make(self._tables, {(asset, day) for asset in self._tables for day in days})

    def _make(self, upstream: Mapping[str, tuple[str, ...]], pending: set[AssetDay]) -> None:
        """Make these partitions; below what failed, go on with the days that are complete."""
        self._made -= pending
        lost: set[AssetDay] = set()
        while waiting := runnable_stretches(upstream, pending, self._made):
            stretch = waiting[0]
            told = self._launch(NIGHTLY, stretch.assets, str(stretch.first), str(stretch.last))
            tried = {(o.asset, dt.date.fromisoformat(o.partition)) for o in told}
            if not told:  # it broke before its first partition: trying again would never end
                lost |= {(asset, day) for asset in stretch.assets for day in days_between(stretch.first, stretch.last)}
            pending -= tried | lost
            self._made |= {(o.asset, dt.date.fromisoformat(o.partition)) for o in told if o.error is None}
        for asset in upstream:
            for day in sorted(day for left, day in pending | lost if left == asset):
                self._tally.skip(asset, str(day))

    def _make_stray_days(self) -> None:
        """Run the days again that have received strays, until there are none."""
        for _ in range(MAX_PASSES - 1):
            waiting = self._stray_days()
            if not waiting:
                return
            self._tally.plan(len(waiting) * len(self._tables) + len(set(waiting) - self._days) * len(self._watching))
            self._make_tables(waiting)
        for day in self._stray_days():
            self._tally.warn("usage", str(day), "the day has received late records again; the next run will read them")

    def _watch(self) -> None:
        """Budgets, alerts and savings: of the days, once all costs are there, and of later days that look back."""
        changed = {dt.date.fromisoformat(day) for day in self._tally.written("priced_usage")}
        looking_back = later_days(self._lake, changed).without(self._days)
        later = {
            *((asset, day) for asset in ("budget_status", ALERTS) for day in looking_back.budgets),
            *(("savings", day) for day in looking_back.savings),
        }
        if not self._watching:
            return
        self._tally.plan(len(later))
        self._made |= {(asset, day) for _, day in later for asset in self._tables}
        self._make(self._watching, later | {(asset, day) for asset in self._watching for day in self._days})

    def _deliver(self, month: str) -> None:
        """Hand over what has not left: the mails of the month's alerts and of its statement."""
        watched = [keys["date"] for keys in self._lake.partitions(BUDGET_STATUS, date=list(days_of(month)))]
        has_statement = latest_revision(self._lake, month) is not None
        self._tally.plan(bool(watched) + has_statement)
        if watched:
            self._launch(NIGHTLY, [ALERTS], watched[-1], watched[-1])
        if has_statement:
            self._make_month(month, MONTHLY_ASSETS[-1:])

    def _make_month(self, month: str, assets: Sequence[str] = MONTHLY_ASSETS) -> None:
        """Make the month's statement, its pages and its mails, or the last of these only."""
        told = {outcome.asset: outcome for outcome in self._launch(MONTH_END, assets, month, month)}
        for asset in assets:
            if asset not in told:
                self._tally.skip(asset, month)
        results = {asset: outcome.result for asset, outcome in told.items() if outcome.result is not None}
        if "chargeback_reports" in results or "chargeback_reports" not in assets:
            statement, sent = load_statement(self._lake, month), results.get("report_delivery")
            self._statements.append(
                StatementMade(
                    month,
                    statement.revision,
                    statement.total,
                    "chargeback" in results and results["chargeback"].changed,
                    page_place(self._lake, month, statement.revision),
                    list(sent.sent) if sent else [],
                    statement.currency,
                )
            )

    def _stray_days(self) -> list[dt.date]:
        """Days whose usage has not read its strays yet, without those that have failed and those that are not over."""
        failed = {partition for _, partition in self._tally.failed()}
        waiting = days_with_fresh_strays(self._config, self._lake)
        days = {day for source, day in waiting if f"usage/{source}" in self._tables}
        if "priced_usage" in self._tables:
            files = files_of(self._lake, {part.date for part in self._lake.parts(STRAYS)})
            days |= {day for day, found in files.items() if _lags(found)}
        return sorted(day for day in days if (day < self._today or day in self._days) and str(day) not in failed)

    def _ended(self, outcome: Outcome) -> None:
        self._told.append(outcome)
        self._tally.end(outcome)

    def _launch(self, job: str, assets: Sequence[str], first: str, last: str) -> list[Outcome]:
        """One run of Dagster's. Gives the partitions that it came to."""
        self._told = []
        result = self._definitions.resolve_job_def(job).execute_in_process(
            instance=self._kept,
            asset_selection=[dg.AssetKey.from_user_string(asset) for asset in assets],
            tags=range_tags(first, last),
            run_config={"loggers": {"console": {"config": {"log_level": self._log_level}}}},
            raise_on_error=False,
        )
        told = self._told
        for check in result.get_asset_check_evaluations():
            if check.passed or check.check_name in TOLD_OTHERWISE:
                continue
            span = first if first == last else f"{first} to {last}"
            sentence = f"{check.asset_key.to_user_string()}, {span}: {check.description}"
            (self._tally.broke if check.severity == dg.AssetCheckSeverity.ERROR else self._tally.remark)(sentence)
        explained = {dg.AssetKey.from_user_string(o.asset).to_python_identifier() for o in told if o.error is not None}
        step_failed = False
        for event in result.all_events:
            error = event.step_failure_data.error if event.is_step_failure else None
            if event.event_type == dg.DagsterEventType.RUN_FAILURE:
                error = event.job_failure_data.error
            # Where Ctrl-C struck decides how it is told: as the error itself, as its cause, or in a panic of Polars.
            if error is not None and dg.DagsterExecutionInterruptedError.__name__ in error.to_string():
                raise KeyboardInterrupt
            if event.event_type == dg.DagsterEventType.RUN_FAILURE and not told and not step_failed:
                self._tally.broke(f"{job}: {event.message}")
            step_failed = step_failed or event.is_step_failure
            if event.is_step_failure and event.step_key not in explained:
                why = (error.cause or error).message.strip() if error else "failed without a reason"
                self._tally.broke(f"{event.step_key}: {why}")
        return told


def _lags(files: DayFiles) -> bool:
    """Whether a day has read its strays and was not priced since, because something else of it failed."""
    return files.stale or (files.costs is None and bool(files.usage))
