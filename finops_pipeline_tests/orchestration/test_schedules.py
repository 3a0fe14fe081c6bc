"""What the schedules ask for, by the time at which they are evaluated."""

import datetime as dt
import tempfile
from collections.abc import Sequence

import dagster as dg
import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.orchestration.code_location import build_definitions
from finops_pipeline.orchestration.partitions import PARTITION, RANGE_END, RANGE_START
from finops_pipeline.orchestration.schedules import month_end_schedule, nightly_schedule
from finops_pipeline.orchestration.session import Session


def configured(**rest: object) -> Config:
    source = {"name": "a", "format": "record", "uri": "./logs"}
    return Config.model_validate({"lake": "./lake", "start_date": "2026-09-15", "sources": [source], **rest})


def evaluated(
    config: Config, name: str, at: str, runs: Sequence[dg.DagsterRunStatus] = ()
) -> dg.RunRequest | str | None:
    """The run that the schedule asks for at that time in UTC, or why it asks for none.

    ``runs``: how earlier runs of September's end have ended.
    """
    definitions = build_definitions(Session(config))
    instant = dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC)
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        for status in runs:
            instance.add_run(dg.DagsterRun("month_end", tags={PARTITION: "2026-09"}, status=status))
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=instant,
            repository_def=definitions.get_repository_def(),
        )
        outcome = definitions.resolve_schedule_def(name).evaluate_tick(context)
    assert outcome.run_requests is not None
    return outcome.run_requests[0] if outcome.run_requests else outcome.skip_message


def test_the_times_are_those_of_the_config_in_utc() -> None:
    config = configured(schedule={"nightly": "03:30", "close_day": 5, "month_end": "07:15"})
    night, month = nightly_schedule(config), month_end_schedule(config)
    assert (night.job_name, night.cron_schedule) == ("nightly", "30 3 * * *")
    assert (month.job_name, month.cron_schedule) == ("month_end", "15 7 5-31 * *")
    assert {night.execution_timezone, month.execution_timezone} == {"UTC"}
    assert {night.default_status, month.default_status} == {dg.DefaultScheduleStatus.RUNNING}


@pytest.mark.parametrize(
    ("at", "first", "last"),
    [
        ("2026-11-02T02:00", "2026-10-29", "2026-11-01"),
        ("2027-01-01T02:00", "2026-12-28", "2026-12-31"),
        ("2026-09-17T02:00", "2026-09-15", "2026-09-16"),
    ],
)
def test_a_night_is_one_run_over_yesterday_and_the_late_days(at: str, first: str, last: str) -> None:
    request = evaluated(configured(late_days=3), "nightly", at)
    assert isinstance(request, dg.RunRequest)
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (first, last)
    assert request.partition_key is None


def test_before_the_first_day_is_over_there_is_no_night() -> None:
    assert evaluated(configured(), "nightly", "2026-09-15T02:00") == (
        "nothing to run before 2026-09-15, the config's start_date, has ended"
    )


@pytest.mark.parametrize(("at", "month"), [("2026-10-03T06:00", "2026-09"), ("2027-01-03T06:00", "2026-12")])
def test_the_month_end_is_the_month_before(at: str, month: str) -> None:
    request = evaluated(configured(), "month_end", at)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == month
    assert request.tags["dagster/partition"] == month


def test_no_statement_of_a_month_that_ended_before_the_start() -> None:
    assert evaluated(configured(), "month_end", "2026-09-03T06:00") == (
        "no month has ended since 2026-09-15, the config's start_date"
    )


FAILED, MADE, RUNNING = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.STARTED


@pytest.mark.parametrize(
    ("runs", "asks"), [((), True), ([FAILED], True), ([FAILED, MADE], False), ([MADE], False), ([RUNNING], False)]
)
def test_after_close_day_a_month_is_tried_again_until_it_is_made(
    runs: Sequence[dg.DagsterRunStatus], asks: bool
) -> None:
    """A mail server that was down on the day itself, or a daemon that was."""
    outcome = evaluated(configured(), "month_end", "2026-10-04T06:00", runs)
    assert isinstance(outcome, dg.RunRequest) == asks
    assert asks or outcome == "the statement of 2026-09 is made and its mails have left"


def test_on_close_day_itself_the_month_is_run_whatever_was_before() -> None:
    assert isinstance(evaluated(configured(), "month_end", "2026-10-03T06:00", [MADE]), dg.RunRequest)
