"""``finops demo``: the whole pipeline on sample logs in a local S3 server, in a folder of its own."""

import datetime as dt
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finops_pipeline.cli.options import common_options
from finops_pipeline.errors import FinopsError

if TYPE_CHECKING:
    from finops_pipeline.config.model import Config
    from finops_pipeline.demo.server import S3Server
    from finops_pipeline.orchestration.runner import RunReport

BUCKET = "ai-usage-logs"

THE_LAST_NIGHT = dt.datetime(2026, 11, 1, 2, tzinfo=dt.UTC)
MONTH_ENDS = {
    "2026-09": dt.datetime(2026, 10, 3, 6, tzinfo=dt.UTC),
    "2026-10": dt.datetime(2026, 11, 3, 6, tzinfo=dt.UTC),
}
"""When the demo's runs are, as it tells them: what is old by then alerts nobody."""

EPILOG = """\
\b
Examples:
  finops demo                   about a minute; everything lies in ./finops-demo
  finops demo                   again: nothing has changed, so nothing is done
  finops demo --serve           start the S3 server again, to run commands on its logs

Delete the folder when you have seen enough.
"""


@click.command(epilog=EPILOG)
@click.option("--serve", is_flag=True, help="Only start the S3 server on the demo's logs, until Ctrl-C.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("finops-demo"),
    show_default="./finops-demo",
    help="Where the demo lives.",
)
@click.option("--scale", type=click.FloatRange(0, 10, min_open=True), default=1.0, hidden=True)
@common_options
def demo(serve: bool, folder: Path, scale: float) -> None:
    """See it all work: two months of sample logs in a real S3 server, priced, rolled up and charged back.

    Starts an S3 server on loopback, writes about 200,000 calls of six teams to it as Amazon Bedrock, LiteLLM and plain
    logs, runs every day and both month ends, and says where to look. No network but loopback is used.
    """
    from finops_pipeline.demo.server import S3Server

    folder = folder.absolute()
    if serve and not (folder / "finops.yaml").exists():
        raise FinopsError(f"There is no demo in {folder} yet: run `finops demo` first.")
    with S3Server(folder / "s3") as server, _environment(folder, server):
        if serve:
            _serve(folder, server)
        else:
            config = _prepare(folder, server, scale)
            reports = _run(config)
            _tell(config, folder, reports)
            if any(not report.ok for report in reports):
                raise click.exceptions.Exit(1)


@contextmanager
def _environment(folder: Path, server: "S3Server") -> Iterator[None]:
    """The server's address and credentials, the demo's config and Dagster's history for the length of the block."""
    ours = server.environment() | _places(folder)
    before = {name: os.environ.get(name) for name in (*ours, "AWS_PROFILE")}
    os.environ.pop("AWS_PROFILE", None)
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _places(folder: Path) -> dict[str, str]:
    return {"FINOPS_CONFIG": str(folder / "finops.yaml"), "DAGSTER_HOME": str(folder / "dagster")}


def _prepare(folder: Path, server: "S3Server", scale: float) -> "Config":
    """Config, Dagster's settings and sample logs; what is there already stays."""
    from finops_pipeline.cli.run_display import Steps
    from finops_pipeline.config.loading import load_config
    from finops_pipeline.demo.config import demo_config
    from finops_pipeline.demo.logs import write_logs

    home = folder / "dagster"
    home.mkdir(exist_ok=True)
    for file, text in (
        (folder / "finops.yaml", demo_config(BUCKET)),
        (home / "dagster.yaml", "telemetry: {enabled: false}\nnux: {enabled: false}\n"),
    ):
        if not file.exists():
            file.write_text(text)
    with Steps("Writing sample logs") as steps:
        write_logs(server.client(connections=16), BUCKET, steps.tell, scale=scale)
    return load_config(folder / "finops.yaml")


def _run(config: "Config") -> list["RunReport"]:
    """Every day of the sample logs, then both month ends, as nightly runs in early November would have left them."""
    from finops_pipeline.cli.run_display import RunDisplay
    from finops_pipeline.demo.traffic import FIRST_DAY, LAST_DAY
    from finops_pipeline.orchestration.runner import RunRequest, run

    requests = [
        (RunRequest(days=(FIRST_DAY, LAST_DAY)), THE_LAST_NIGHT),
        *((RunRequest(month=month), now) for month, now in MONTH_ENDS.items()),
    ]
    with RunDisplay(quiet=True) as display:
        return [run(config, request, now=now, on_progress=display.tell) for request, now in requests]


def _tell(config: "Config", folder: Path, reports: list["RunReport"]) -> None:
    from finops_pipeline.cli.demo_summary import show

    show(config, reports, _commands(folder))


def _commands(folder: Path) -> Mapping[str, str]:
    """What a person might do next: what for → command."""
    from finops_pipeline.cli.demo_summary import short

    place = short(folder)
    home = f"{folder}/dagster" if Path(place).is_absolute() else f"$PWD/{place}/dagster"
    return {
        "October by team and model": (
            f"finops --config {place}/finops.yaml breakdown --from 2026-10-01 --to 2026-10-31 --by team,model"
        ),
        "What would cost less, in full": f"finops --config {place}/finops.yaml savings --month 2026-10",
        "Where budgets stand": f"finops --config {place}/finops.yaml budgets --month 2026-10",
        "What a month end would send": (
            f"finops --config {place}/finops.yaml run --month 2026-10 --dry-run --preview {place}/preview"
        ),
        "The run in Dagster": (
            f"DAGSTER_HOME={home} FINOPS_CONFIG={place}/finops.yaml dagster dev -m finops_pipeline.definitions"
        ),
        "The logs in S3": f"finops demo --serve{'' if place == 'finops-demo' else f' --folder {place}'}",
    }


def _serve(folder: Path, server: "S3Server") -> None:
    """Say how to reach the server, and wait for Ctrl-C."""
    import threading

    click.echo(f"The demo's logs are in s3://{BUCKET} at {server.endpoint_url}. In another terminal:\n")
    for name, value in {**server.environment(), **_places(folder)}.items():
        if value:
            click.echo(f"  export {name}={shlex.quote(value)}")
    click.echo("\nThen, for example: finops check; finops run --from 2026-10-31 --to 2026-10-31 --force")
    click.echo("Ctrl-C stops the server; the logs stay.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("\nStopped.")
