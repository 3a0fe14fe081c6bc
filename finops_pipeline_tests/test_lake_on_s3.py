"""The whole way with logs and lake on a real S3 server: the same tables, statements and mails as on a local lake."""

import datetime as dt
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from finops_pipeline import s3, schemas
from finops_pipeline.chargeback.revisions import load_statement
from finops_pipeline.config.loading import load_config
from finops_pipeline.config.model import Config
from finops_pipeline.days import days_between
from finops_pipeline.demo.config import demo_config
from finops_pipeline.demo.logs import SampleLogs
from finops_pipeline.demo.server import S3Server
from finops_pipeline.lake import Lake, open_lake
from finops_pipeline.orchestration.runner import RunReport, RunRequest, run
from finops_pipeline.schemas import USAGE, Table

SCALE = 0.02
DAYS = (dt.date(2026, 9, 1), dt.date(2026, 9, 4))
NOW = dt.datetime(2026, 9, 5, 2, tzinfo=dt.UTC)
TABLES = [table for table in vars(schemas).values() if isinstance(table, Table)]


@pytest.fixture(scope="module")
def logs(s3_server: S3Server) -> str:
    """A bucket with a few days of the demo's logs."""
    client, bucket = s3_server.client(), "sample-logs"
    client.create_bucket(Bucket=bucket)
    for day, objects in SampleLogs(SCALE).days():
        if day > DAYS[1]:
            break
        for key, body in objects:
            client.put_object(Bucket=bucket, Key=key, Body=body)
    return bucket


def config_of(folder: Path, bucket: str, lake: str) -> Config:
    """The demo's config with another lake, and a budget that is spent at once."""
    folder.mkdir()
    said: dict[str, Any] = yaml.safe_load(demo_config(bucket))
    said["budgets"] = [{"name": "everything", "scope": {}, "limit": 1}]
    (folder / "finops.yaml").write_text(yaml.safe_dump({**said, "lake": lake}))
    return load_config(folder / "finops.yaml")


@pytest.fixture
def on_s3(tmp_path: Path, logs: str, s3_uri: str) -> Config:
    return config_of(tmp_path / "s3", logs, s3_uri)


@pytest.fixture
def on_disk(tmp_path: Path, logs: str, s3_uri: str) -> Config:
    return config_of(tmp_path / "disk", logs, "./lake")


def ran(config: Config) -> RunReport:
    return run(config, RunRequest(days=DAYS, month="2026-09"), now=NOW)


def mails(config: Config) -> list[tuple[str, str]]:
    outbox = config.resolved(config.mail.path)
    found = (message_from_bytes(file.read_bytes(), policy=policy.default) for file in outbox.iterdir())
    return sorted((str(mail["To"]), str(mail["Subject"])) for mail in found)


def rows(lake: Lake, table: Table) -> pl.DataFrame:
    return lake.scan(table).collect()


def stamps(lake: Lake, table: Table) -> list[tuple[dict[str, str], Any]]:
    return [(dict(part.keys), replace(stamp, run="")) for part, stamp in lake.stamps(table)]


def reports(lake: Lake) -> dict[str, bytes]:
    names = [file.name for file in lake.storage.files("reports/")]
    return {name: found.content for name in names if (found := lake.storage.read(name)) is not None}


@pytest.fixture
def requests(on_s3: Config) -> Iterator[Counter[str]]:
    """How often each operation of S3 is asked of the lake's bucket."""
    asked: Counter[str] = Counter()
    events, bucket = s3.client().meta.events, on_s3.lake.split("/")[2]

    def count(params: dict[str, Any], model: Any, **_: Any) -> None:
        asked.update([model.name] if params["Bucket"] == bucket else [])

    events.register("before-parameter-build.s3", count, unique_id="asked")
    yield asked
    events.unregister("before-parameter-build.s3", unique_id="asked")


def test_a_lake_on_s3_is_the_same_as_a_local_one(on_s3: Config, on_disk: Config, requests: Counter[str]) -> None:
    first, local = ran(on_s3), ran(on_disk)
    assert (first.failures, local.failures) == ([], [])
    cloud, disk = open_lake(on_s3), open_lake(on_disk)

    filled = [table.name for table in TABLES if rows(cloud, table).height]
    assert {"usage", "priced_usage", "daily_costs", "chargeback", "budget_status", "price_book"} <= set(filled)
    for table in TABLES:
        assert rows(cloud, table).equals(rows(disk, table)), table.name
        assert stamps(cloud, table) == stamps(disk, table), table.name

    (statement,) = first.statements
    assert statement.page == f"{on_s3.lake}/reports/month=2026-09/revision=1/index.html"
    assert load_statement(cloud, "2026-09").total == load_statement(disk, "2026-09").total == statement.total > 0
    assert reports(cloud) == reports(disk)
    assert len(mails(on_s3)) == len(statement.mails) + len(first.alerts) > 2
    assert mails(on_s3) == mails(on_disk)

    there = {file: cloud.storage.read(file.name) for file in cloud.storage.files("")}
    assert len(there) > 50
    assert not [file for file in there if file.name.startswith(("_leases", "_staging"))]
    requests.clear()
    again = ran(on_s3)
    assert (again.changed, again.failures, again.alerts, again.statements[0].mails) == (0, [], [], [])
    assert requests["PutObject"] <= 3 + len(days_between(*DAYS)), "a trial, and a lease a day for the alerts"
    assert requests.total() <= 100 + 40 * len(days_between(*DAYS))
    assert {file: cloud.storage.read(file.name) for file in cloud.storage.files("")} == there


MEDIATE = """
import datetime as dt, sys
from pathlib import Path
from finops_pipeline.config.loading import load_config
from finops_pipeline.lake import open_lake
from finops_pipeline.mediation.day import mediate_day
config = load_config(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
result = mediate_day(config, config.source("bedrock"), dt.date(2026, 9, 2), lake=open_lake(config), run=sys.argv[2],
                     now=dt.datetime(2026, 9, 5, 2, tzinfo=dt.UTC))
print(result.changed, result.outcomes["usage"], flush=True)
"""


def test_of_two_runs_of_one_partition_at_once_one_good_partition_is_left(on_s3: Config) -> None:
    file = str(on_s3.folder / "finops.yaml")
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", MEDIATE, file, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    for each in runs:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in runs:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    said = sorted(each.communicate()[0].split() for each in runs)
    assert [changed for changed, _ in said] == ["False", "True"], "the second finds the day made"
    assert said[0][1] == said[1][1]

    lake, day = open_lake(on_s3), {"source": "bedrock", "date": dt.date(2026, 9, 2)}
    assert lake.scan(USAGE, **day).collect().height == int(said[0][1]) > 0
    made = [lake.stamp(table, **day) for table in (USAGE, schemas.INGEST_OBJECTS, schemas.QUARANTINE)]
    assert len({(stamp.run, stamp.input_digest) for stamp in made if stamp is not None}) == 1
    assert lake.storage.files("_leases/") == []
