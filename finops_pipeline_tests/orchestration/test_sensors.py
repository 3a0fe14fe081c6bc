"""What the daemon starts by itself."""

import datetime as dt
from collections.abc import Callable

import dagster as dg
from fake_mediation import FakeMediation, day_of, usage_rows

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.orchestration.code_location import build_definitions
from finops_pipeline.orchestration.partitions import RANGE_END, RANGE_START, range_tags
from finops_pipeline.orchestration.runner import RunReport
from finops_pipeline.orchestration.session import Session
from finops_pipeline.schemas import STRAYS

NOW = dt.datetime(2026, 10, 5, 12, tzinfo=dt.UTC)


def definitions(config: Config) -> dg.Definitions:
    return build_definitions(Session(config, now=lambda: NOW))


def hand_over(lake: Lake, mediation: FakeMediation, source: str, day: str, content: str = "one") -> None:
    """Strays of that day, found by another day's run."""
    mediation.strays[source, day_of(day)] = 1
    stamp = Stamp(STRAYS.version, content, "run")
    lake.write(STRAYS, usage_rows(source, day_of(day), 1), stamp, part="from-x", source=source, date=day_of(day))


def stray_runs(config: Config, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    sensor = definitions(config).resolve_sensor_def("strays")
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


def continued(
    config: Config,
    instance: dg.DagsterInstance,
    *,
    options: dict[str, bool] | None = None,
    assets: list[str] | None = None,
) -> list[dg.RunRequest]:
    """Run 1 to 3 September as the daemon does, and give what the sensor starts after its failure."""
    defs = definitions(config)
    result = defs.resolve_job_def("nightly").execute_in_process(
        instance=instance,
        tags=range_tags("2026-09-01", "2026-09-03"),
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


def selected(request: dg.RunRequest) -> list[str]:
    return [key.to_user_string() for key in request.asset_selection or []]


def test_complete_days_of_a_failed_run_go_on(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    mediation.fail("b", "2026-09-02")
    requests = continued(config, instance)
    assert spans(requests) == [("2026-09-01", "2026-09-01"), ("2026-09-03", "2026-09-03")]
    assert [selected(request) for request in requests] == [["priced_usage", "daily_costs"]] * 2


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
