"""What the daemon starts by itself: days that received strays, complete days of a run that failed in part, days that
look back at others that have changed.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from finops_pipeline.days import MONTH_LENGTH, days_between, stretches
from finops_pipeline.orchestration.continuation import (
    WATCHING,
    AssetDay,
    Stretch,
    daily_upstream,
    runnable_stretches,
)
from finops_pipeline.orchestration.jobs import NIGHTLY
from finops_pipeline.orchestration.partitions import PARTITION, RANGE_END, RANGE_START, range_tags
from finops_pipeline.orchestration.session import Session

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    from finops_pipeline.lake import Lake

STRAYS_EVERY = 15 * 60
"""Seconds between two looks at the strays."""


def stray_sensor(session: Session) -> dg.SensorDefinition:
    """Run those days again to which the runs of other days have handed strays.

    The run key is a digest of the strays and the date: a day that fails is tried again once a day, and at once where
    its strays change. Today's strays wait until the day is over and has its nightly run.
    """

    @dg.sensor(
        name="strays",
        description="Runs days again that have received late records by way of other days.",
        job_name=NIGHTLY,
        minimum_interval_seconds=STRAYS_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def strays(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        from finops_pipeline.mediation.strays import days_with_fresh_strays

        today, lake = session.now().date(), session.lake
        waiting = [(source, day) for source, day in days_with_fresh_strays(session.config, lake) if day < today]
        for first, last in stretches(day for _, day in waiting):
            content = [_content(lake, source, day) for source, day in sorted(waiting) if first <= day <= last]
            yield dg.RunRequest(run_key=f"strays-{today}-{_digest(content)}", tags=range_tags(first, last))
        if not waiting:
            yield dg.SkipReason("no day has strays waiting")

    return strays


def completion_sensor(session: Session, job: "UnresolvedAssetJobDefinition") -> dg.SensorDefinition:
    """After a run of days that failed in part, run what is below for the days that are complete, with ``job``.

    Runs of every job are looked at: backfills and what is launched from the UI run as a job of Dagster's own, not as
    the nightly one. The in-process runner carries on by itself: its runs belong to no code location, and no sensor
    sees them.
    """

    @dg.run_failure_sensor(
        name="complete_days",
        description="After a run that failed in part, makes what is below for the days that are complete.",
        request_job=job,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def complete_days(context: dg.RunFailureSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        found = _left_over(session, context.instance, context.dagster_run)
        for stretch in found:
            yield dg.RunRequest(
                run_key=f"{context.dagster_run.run_id}-{stretch.first}",
                asset_selection=[dg.AssetKey.from_user_string(asset) for asset in stretch.assets],
                run_config={k: v for k, v in context.dagster_run.run_config.items() if k == "resources"},
                tags=range_tags(stretch.first, stretch.last),
            )
        if not found:
            yield dg.SkipReason("no day of the failed run is complete and waiting")

    return complete_days


def later_days_sensor(session: Session, job: "UnresolvedAssetJobDefinition") -> dg.SensorDefinition:
    """After a run that changed days of the past, bring budgets, alerts and savings of the days after them up to date.

    The runs that it asks for make no costs, and so lead to no further ones.
    """

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="later_days",
        description="Brings budgets, alerts and savings of later days up to date with days that have changed.",
        request_job=job,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def later(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        from finops_pipeline.orchestration.looking_back import later_days

        run = context.dagster_run
        changed = _changed_costs(context.instance, run.run_id)
        found = later_days(session.lake, changed).without(days_of_run(run.tags))
        for first, last in stretches(found.budgets | found.savings):
            yield dg.RunRequest(
                run_key=f"later-{run.run_id}-{first}",
                asset_selection=[dg.AssetKey(asset) for asset in WATCHING],
                tags=range_tags(first, last),
            )
        if not (found.budgets or found.savings):
            yield dg.SkipReason("no later day looks back at what the run has changed")

    return later


def _changed_costs(instance: dg.DagsterInstance, run_id: str) -> set[dt.date]:
    """The days whose costs a run has written, and not found unchanged."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    made = (record.asset_materialization for record in records)
    return {
        dt.date.fromisoformat(m.partition)
        for m in made
        if m is not None and m.asset_key.path == ["daily_costs"] and m.partition and m.metadata["changed"].value
    }


def _digest(content: list[list[str]]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _content(lake: "Lake", source: str, day: dt.date) -> list[str]:
    """What the strays of a day are: their files and the digests of their content."""
    from finops_pipeline.mediation.strays import stray_files

    return [source, str(day), *(f"{part} {digest}" for part, digest in stray_files(lake, source, day).items())]


def _left_over(session: Session, instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Stretch]:
    """The partitions of a failed run that it never came to, although their inputs are made.

    Inputs that were not to be made by this run are taken for made: a day that lacks them fails by itself. A run that
    came to none of its assets is not repeated, for it might never come to any.
    """
    days = days_of_run(run.tags)
    if not days:
        return []
    upstream = daily_upstream((source.name for source in session.config.sources), allow_partial=_allows_partial(run))
    planned = {key.to_user_string() for key in run.asset_selection or ()} or set(upstream)
    upstream = {
        asset: tuple(name for name in inputs if name in planned)
        for asset, inputs in upstream.items()
        if asset in planned
    }
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    done: set[AssetDay] = {
        (record.asset_key.to_user_string(), dt.date.fromisoformat(record.partition_key))
        for record in records
        if record.asset_key and record.partition_key
    }
    failed = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    by_step = {dg.AssetKey.from_user_string(asset).to_python_identifier(): asset for asset in upstream}
    broken = {by_step[step] for record in failed if (step := record.event_log_entry.step_key) in by_step}
    tried = broken | {asset for asset, _ in done}
    pending = {(asset, day) for asset in planned - tried for day in days}
    return runnable_stretches(upstream, pending, done) if tried else []


def days_of_run(tags: Mapping[str, str]) -> list[dt.date]:
    """The days that a run with these tags covers; none where its partitions are months, or where it has none."""
    first, last = (tags.get(end, tags.get(PARTITION)) for end in (RANGE_START, RANGE_END))
    if first is None or last is None or len(first) == MONTH_LENGTH:
        return []
    return days_between(dt.date.fromisoformat(first), dt.date.fromisoformat(last))


def _allows_partial(run: dg.DagsterRun) -> bool:
    """What the run was asked for in the launchpad."""
    resources: Any = run.run_config.get("resources", {})
    return bool(resources.get("options", {}).get("config", {}).get("allow_partial", False))
