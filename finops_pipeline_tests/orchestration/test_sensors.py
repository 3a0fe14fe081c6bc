"""What the daemon starts by itself."""

import datetime as dt
from collections.abc import Callable

import dagster as dg
import pytest
from fake_mediation import FakeMediation, day_of, usage_rows

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.orchestration.code_location import build_definitions
from finops_pipeline.orchestration.partitions import PARTITION, RANGE_END, RANGE_START, range_tags
from finops_pipeline.orchestration.runner import RunReport
from finops_pipeline.orchestration.sensors import days_of_run
from finops_pipeline.orchestration.session import Session
from finops_pipeline.schemas import STRAYS

NOW = dt.datetime(2026, 10, 5, 12, tzinfo=dt.UTC)


def definitions(config: Config, now: dt.datetime = NOW) -> dg.Definitions:
    return build_definitions(Session(config, now=lambda: now))


def hand_over(lake: Lake, mediation: FakeMediation, source: str, day: str, content: str = "one") -> None:
    """Strays of that day, found by another day's run."""
    mediation.strays[source, day_of(day)] = 1
    stamp = Stamp(STRAYS.version, content, "run")
    rows = STRAYS.conform(usage_rows(source, day_of(day), 1).lazy()).collect()
    lake.write(STRAYS, rows, stamp, part="from-x", source=source, date=day_of(day))


def stray_runs(config: Config, instance: dg.DagsterInstance, now: dt.datetime = NOW) -> list[dg.RunRequest]:
    sensor = definitions(config, now).resolve_sensor_def("strays")
    return list(sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).run_requests or [])


def spans(requests: list[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in requests]


def test_days_with_strays_run_again_a_run_for_each_stretch(
    config: Config, lake: Lake, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    assert stray_runs(config, instance) == []
    for day in ("2026-09-03", "2026-09-04", "2026-09-20"):
        hand_over(lake, mediation, "a", day)
    assert spans(stray_runs(config, instance)) == [("2026-09-03", "2026-09-04"), ("2026-09-20", "2026-09-20")]


def test_todays_strays_wait_for_the_night(
    config: Config, lake: Lake, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    hand_over(lake, mediation, "a", "2026-10-05")
    assert stray_runs(config, instance) == []


def test_the_same_strays_ask_once_and_changed_ones_again(
    config: Config, lake: Lake, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    def key() -> str | None:
        [request] = stray_runs(config, instance)
        return request.run_key

    hand_over(lake, mediation, "a", "2026-09-03")
    first = key()
    assert key() == first, "Dagster starts one run for each key"
    hand_over(lake, mediation, "a", "2026-09-03", content="another")
    assert key() != first


def test_a_day_that_failed_is_tried_again_once_a_day(
    config: Config, lake: Lake, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    hand_over(lake, mediation, "a", "2026-09-03")
    evening, night = NOW.replace(hour=23, minute=59), NOW + dt.timedelta(hours=12)
    keys = [request.run_key for now in (NOW, evening, night) for request in stray_runs(config, instance, now)]
    assert keys[0] == keys[1] != keys[2]


NIGHT_OF_THREE = range_tags("2026-09-01", "2026-09-03")


def continued(
    config: Config,
    instance: dg.DagsterInstance,
    *,
    options: dict[str, bool] | None = None,
    assets: list[str] | None = None,
    job: str = "nightly",
    tags: dict[str, str] = NIGHT_OF_THREE,
) -> list[dg.RunRequest]:
    """Run 1 to 3 September as the daemon does, and give what the sensor starts after its failure."""
    defs = definitions(config)
    result = defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        tags=tags,
        run_config={"resources": {"options": {"config": options or {}}}},
        asset_selection=[dg.AssetKey.from_user_string(asset) for asset in assets] if assets else None,
        raise_on_error=False,
    )
    assert not result.success
    context = dg.build_run_status_sensor_context(
        sensor_name="complete_days",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=instance.get_run_by_id(result.run_id) or result.dagster_run,
    ).for_run_failure()
    found = defs.resolve_sensor_def("complete_days")(context)
    return [item for item in found if isinstance(item, dg.RunRequest)]


BELOW_USAGE = ["priced_usage", "daily_costs", "budget_status", "budget_alerts", "savings"]


def selected(request: dg.RunRequest) -> list[str]:
    return [key.to_user_string() for key in request.asset_selection or []]


def test_complete_days_of_a_failed_run_go_on(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    mediation.fail("b", "2026-09-02")
    requests = continued(config, instance)
    assert spans(requests) == [("2026-09-01", "2026-09-01"), ("2026-09-03", "2026-09-03")]
    assert [selected(request) for request in requests] == [BELOW_USAGE] * 2


def test_what_was_asked_of_the_run_is_asked_of_the_next(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    mediation.fail("b", "2026-09-02")
    [request] = continued(config, instance, options={"allow_partial": True})
    assert spans([request]) == [("2026-09-01", "2026-09-03")]
    assert request.run_config == {"resources": {"options": {"config": {"allow_partial": True}}}}


def test_where_no_day_is_complete_nothing_goes_on(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    mediation.fail("a", "2026-09-01", "2026-09-02", "2026-09-03")
    assert continued(config, instance) == []


def test_a_run_of_one_source_is_not_carried_on(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    mediation.fail("a", "2026-09-01")
    assert continued(config, instance, assets=["usage/a"]) == []


def test_a_continuation_that_fails_at_the_last_step_ends(
    config: Config,
    mediation: FakeMediation,
    instance: dg.DagsterInstance,
    ran: Callable[..., RunReport],
    lake: Lake,
) -> None:
    ran("2026-09-01", "2026-09-02", source="a")
    ran("2026-09-01", "2026-09-02", source="b")
    requests = continued(config, instance, assets=["priced_usage", "daily_costs"])  # the third has no usage
    assert [(selected(r), spans([r])) for r in requests] == [(["daily_costs"], [("2026-09-01", "2026-09-02")])]
    assert continued(config, instance, assets=["daily_costs"]) == []


DAYS_ASSETS = ["usage/a", "usage/b", "priced_usage", "daily_costs"]


def failed_backfill(
    config: Config, instance: dg.DagsterInstance, assets: list[str], tags: dict[str, str]
) -> dg.DagsterRun:
    """A run as a backfill from the UI starts it: of Dagster's own job over all assets."""
    job = definitions(config).resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey.from_user_string(asset) for asset in assets]
    result = job.execute_in_process(instance=instance, asset_selection=keys, tags=tags, raise_on_error=False)
    assert not result.success
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    return run


def ticked(config: Config, instance: dg.DagsterInstance, before: str | None = None) -> tuple[list[dg.RunRequest], str]:
    """What a tick of the sensor asks for, as the daemon evaluates it, and its cursor."""
    defs = definitions(config)
    context = dg.build_sensor_context(
        instance=instance, cursor=before, repository_def=defs.get_repository_def(), sensor_name="complete_days"
    )
    tick = defs.resolve_sensor_def("complete_days").evaluate_tick(context)
    return list(tick.run_requests or []), tick.cursor or ""


def test_complete_days_of_a_failed_backfill_go_on(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    _, cursor = ticked(config, instance)
    mediation.fail("b", "2026-09-02")
    run = failed_backfill(config, instance, DAYS_ASSETS, NIGHT_OF_THREE)
    assert run.job_name != "nightly"
    requests, _ = ticked(config, instance, cursor)
    assert spans(requests) == [("2026-09-01", "2026-09-01"), ("2026-09-03", "2026-09-03")]
    assert [selected(request) for request in requests] == [["priced_usage", "daily_costs"]] * 2


def test_a_backfill_of_some_assets_takes_the_others_for_made(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance, ran: Callable[..., RunReport]
) -> None:
    ran("2026-09-01", "2026-09-03", source="a")
    _, cursor = ticked(config, instance)
    mediation.fail("b", "2026-09-02")
    failed_backfill(config, instance, ["usage/b", "priced_usage"], NIGHT_OF_THREE)
    requests, _ = ticked(config, instance, cursor)
    assert spans(requests) == [("2026-09-01", "2026-09-01"), ("2026-09-03", "2026-09-03")]
    assert [selected(request) for request in requests] == [["priced_usage"]] * 2


def test_a_failed_month_is_not_carried_on(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    (config.folder / "outbox").write_text("a file where the folder should be")
    for tags in (range_tags("2026-09", "2026-09"), {PARTITION: "2026-09"}):
        assert continued(config, instance, job="month_end", tags=tags) == []


def test_a_run_that_came_to_nothing_is_not_repeated(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    _, cursor = ticked(config, instance)
    job = definitions(config).resolve_job_def("nightly")
    run = instance.create_run_for_job(job, tags=NIGHT_OF_THREE)
    instance.report_run_failed(run, "its worker died before the first step")
    assert ticked(config, instance, cursor)[0] == []


def test_alerts_that_do_not_leave_are_not_carried_on(
    mediation: FakeMediation, instance: dg.DagsterInstance, changed: Callable[..., Config]
) -> None:
    """A mail server that is down fails the night's alerts; those are due until they leave, and no sensor hurries."""
    config = changed(budgets=[{"name": "search", "scope": {"team": "search"}, "limit": 1, "warn_at": [1]}])
    (config.folder / "outbox").write_text("a file where the folder should be")
    assert continued(config, instance, tags=range_tags("2026-10-02", "2026-10-04")) == []


@pytest.mark.parametrize(
    ("tags", "days"),
    [
        (range_tags("2026-09-30", "2026-10-01"), ["2026-09-30", "2026-10-01"]),
        ({PARTITION: "2026-09-30"}, ["2026-09-30"]),
        (range_tags("2026-09", "2026-10"), []),
        ({PARTITION: "2026-09"}, []),
        ({}, []),
    ],
)
def test_days_of_a_run_are_those_of_its_tags(tags: dict[str, str], days: list[str]) -> None:
    assert [str(day) for day in days_of_run(tags)] == days


# -- days that look back at others ------------------------------------------------------------------------------------


def looking_back(config: Config, instance: dg.DagsterInstance, tags: dict[str, str]) -> list[dg.RunRequest]:
    """Run days as the daemon does, and give what the sensor starts after its success."""
    defs = definitions(config)
    result = defs.resolve_job_def("nightly").execute_in_process(instance=instance, tags=tags)
    context = dg.build_run_status_sensor_context(
        sensor_name="later_days",
        dagster_event=result.get_run_success_event(),
        dagster_instance=instance,
        dagster_run=instance.get_run_by_id(result.run_id) or result.dagster_run,
    )
    found = defs.resolve_sensor_def("later_days")(context)
    return [item for item in found if isinstance(item, dg.RunRequest)]


def test_days_after_a_changed_one_are_brought_up_to_date(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance, ran: Callable[..., RunReport]
) -> None:
    """Budgets to the end of the month, savings for the thirteen days after."""
    ran("2026-09-20", "2026-10-04")
    mediation.calls["a", day_of("2026-09-25")] = 9
    [request] = looking_back(config, instance, {PARTITION: "2026-09-25"})
    assert spans([request]) == [("2026-09-26", "2026-10-04")]
    assert selected(request) == ["budget_status", "budget_alerts", "savings"]


def test_a_run_that_changed_nothing_or_the_last_day_leads_to_no_other(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance, ran: Callable[..., RunReport]
) -> None:
    ran("2026-09-20", "2026-10-04")
    assert looking_back(config, instance, {PARTITION: "2026-09-25"}) == []
    mediation.calls["a", day_of("2026-10-04")] = 9
    assert looking_back(config, instance, range_tags("2026-10-01", "2026-10-04")) == []
