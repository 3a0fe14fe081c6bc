"""Everything that Dagster is to know, put together from the config."""

import dagster as dg

from finops_pipeline.orchestration import assets, jobs, schedules, sensors
from finops_pipeline.orchestration.checks import asset_checks
from finops_pipeline.orchestration.session import RunOptions, Session


def build_definitions(session: Session, options: RunOptions | None = None) -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors for the session's config.

    Steps run one after the other in the run's process: Polars and DuckDB use every core, and the unit that is spread
    over machines is the run.
    """
    config = session.config
    nightly = jobs.nightly(config)
    return dg.Definitions(
        assets=[*assets.raw_logs(config), *assets.daily_assets(config), *assets.monthly_assets(config)],
        asset_checks=asset_checks(config),
        jobs=[nightly, jobs.month_end()],
        schedules=[schedules.nightly_schedule(config), schedules.month_end_schedule(config)],
        sensors=[
            sensors.stray_sensor(session),
            sensors.completion_sensor(session, nightly),
            sensors.later_days_sensor(session, nightly),
        ],
        resources={"session": session, "options": options or RunOptions()},
        executor=dg.in_process_executor,
    )
