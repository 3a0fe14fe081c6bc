"""The code location as Dagster loads it: in a fresh interpreter, from a config on disk."""

import json
import subprocess
import sys
from pathlib import Path

from finops_pipeline.schemas import DAILY_COSTS

CONFIG = """
lake: ./lake
start_date: 2026-09-15
sources:
  - {name: gateway, format: litellm, uri: "s3://logs/gateway"}
  - {name: internal, format: record, uri: ./logs}
schedule: {nightly: "01:30", close_day: 4, month_end: "05:45"}
"""

LOAD = """
import json, sys, warnings
warnings.simplefilter("error")
from dagster import AssetKey
from finops_pipeline.definitions import defs
loaded = sorted({"duckdb", "boto3", "pyarrow", "jinja2"} & set(sys.modules))
repository = defs.get_repository_def()
graph = repository.asset_graph
print(json.dumps({
    "first_partitions": {
        key.to_user_string(): graph.get(key).partitions_def.get_first_partition_key()
        for key in graph.executable_asset_keys
    },
    "parents": {
        key.to_user_string(): sorted(parent.to_user_string() for parent in graph.get(key).parent_keys)
        for key in graph.executable_asset_keys
    },
    "raw": sorted(key.to_user_string() for key in graph.external_asset_keys),
    "checks": sorted(f"{key.asset_key.to_user_string()}: {key.name}" for key in graph.asset_check_keys),
    "jobs": sorted(name for name in repository.job_names if not name.startswith("__")),
    "crons": {schedule.name: schedule.cron_schedule for schedule in repository.schedule_defs},
    "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
    "columns": [column.name for column in graph.get(AssetKey("daily_costs")).metadata["dagster/column_schema"].columns],
    "loaded": loaded,
}))
"""


def interpreter(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_dagster_finds_everything_that_the_config_calls_for(tmp_path: Path) -> None:
    (tmp_path / "finops.yaml").write_text(CONFIG)
    done = interpreter(LOAD, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no warning, of Dagster or of ours"
    found = json.loads(done.stdout)
    assert found["parents"] == {
        "usage/gateway": ["raw_logs/gateway"],
        "usage/internal": ["raw_logs/internal"],
        "priced_usage": ["usage/gateway", "usage/internal"],
        "daily_costs": ["priced_usage"],
        "budget_status": ["daily_costs"],
        "budget_alerts": ["budget_status"],
        "savings": ["priced_usage"],
        "chargeback": ["daily_costs", "savings"],
        "chargeback_reports": ["chargeback"],
        "report_delivery": ["chargeback_reports"],
    }
    monthly = {"chargeback", "chargeback_reports", "report_delivery"}
    assert found["first_partitions"] == {
        asset: "2026-09" if asset in monthly else "2026-09-15" for asset in found["parents"]
    }
    assert found["raw"] == ["raw_logs/gateway", "raw_logs/internal"]
    assert found["checks"] == [
        "budget_status: within_budget",
        "daily_costs: every_call_rolled_up",
        "priced_usage: nearly_all_priced",
        "usage/gateway: every_record_counted",
        "usage/gateway: no_conflicting_duplicates",
        "usage/gateway: no_near_duplicates",
        "usage/gateway: nothing_quarantined",
        "usage/internal: every_record_counted",
        "usage/internal: no_conflicting_duplicates",
        "usage/internal: no_near_duplicates",
        "usage/internal: nothing_quarantined",
    ]
    assert found["jobs"] == ["month_end", "nightly"]
    assert found["crons"] == {"nightly": "30 1 * * *", "month_end": "45 5 4-31 * *"}
    assert found["sensors"] == ["complete_days", "later_days", "strays"]
    assert found["columns"] == list(DAILY_COSTS.names)


def test_loading_leaves_the_machinery_of_the_steps_alone(tmp_path: Path) -> None:
    (tmp_path / "finops.yaml").write_text(CONFIG)
    assert json.loads(interpreter(LOAD, tmp_path).stdout)["loaded"] == []


def test_the_config_is_the_one_that_finops_config_names(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.yaml").write_text(CONFIG.replace("gateway", "proxy"))
    done = interpreter(LOAD, tmp_path, FINOPS_CONFIG=str(tmp_path / "elsewhere.yaml"))
    assert "usage/proxy" in json.loads(done.stdout)["parents"]


def test_without_a_config_the_code_location_fails_with_the_way_out(tmp_path: Path) -> None:
    done = interpreter("import finops_pipeline.definitions", tmp_path)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("finops_pipeline.errors.ConfigError: ")
    assert "finops init" in done.stderr
    assert len(done.stderr.splitlines()) < 15, "the error, not a page of frames"


def test_a_wrong_config_is_named_with_all_its_mistakes(tmp_path: Path) -> None:
    (tmp_path / "finops.yaml").write_text(CONFIG.replace("litellm", "litelm").replace("close_day: 4", "close_day: 40"))
    done = interpreter("import finops_pipeline.definitions", tmp_path)
    assert "sources[0].format" in done.stderr
    assert "schedule.close_day" in done.stderr
