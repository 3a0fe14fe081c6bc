"""When the daemon runs the jobs. All times are UTC.

The schedules are on as soon as the daemon runs: the config says when, and nobody has to switch anything on.
"""

import datetime as dt

import dagster as dg

from finops_pipeline.config.model import Config
from finops_pipeline.orchestration.jobs import MONTH_END, NIGHTLY
from finops_pipeline.orchestration.partitions import PARTITION, range_tags
from finops_pipeline.orchestration.periods import nightly_window, previous_month


def nightly_schedule(config: Config) -> dg.ScheduleDefinition:
    """One run each night over yesterday and the ``late_days`` before it: what has not changed is left alone."""
    at = dt.time.fromisoformat(config.schedule.nightly)

    @dg.schedule(
        name="nightly",
        description="Yesterday and the days that late records may still change, as one run.",
        job_name=NIGHTLY,
        cron_schedule=f"{at.minute} {at.hour} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        window = nightly_window(config, context.scheduled_execution_time.astimezone(dt.UTC).date())
        if window is None:
            return dg.SkipReason(f"nothing to run before {config.start_date}, the config's start_date, has ended")
        return dg.RunRequest(tags=range_tags(*window))

    return nightly


def month_end_schedule(config: Config) -> dg.ScheduleDefinition:
    """The previous month's statement on ``close_day``, and on the days after it until a run has succeeded."""
    at, close_day = dt.time.fromisoformat(config.schedule.month_end), config.schedule.close_day

    @dg.schedule(
        name="month_end",
        description="The statement of the month before, its files and its mails; again each day until that succeeds.",
        job_name=MONTH_END,
        cron_schedule=f"{at.minute} {at.hour} {close_day}-31 * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def month_end(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.astimezone(dt.UTC).date()
        month = previous_month(config, today)
        if month is None:
            return dg.SkipReason(f"no month has ended since {config.start_date}, the config's start_date")
        if today.day > close_day and _succeeded(context.instance, month):
            return dg.SkipReason(f"the statement of {month} is made and its mails have left")
        return dg.RunRequest(partition_key=month)

    return month_end


def _succeeded(instance: dg.DagsterInstance, month: str) -> bool:
    """Whether a run of the month's end has succeeded, or is still going on."""
    runs = instance.get_runs(dg.RunsFilter(job_name=MONTH_END, tags={PARTITION: month}))
    return any(run.status not in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED) for run in runs)
