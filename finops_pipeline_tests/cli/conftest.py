"""A config in a folder of its own, a fixed present, and commands run in this process."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finops_pipeline.cli import main, options

NOW = dt.datetime(2026, 10, 20, 9, 30, tzinfo=dt.UTC)

CONFIG = """\
lake: ./lake
start_date: 2026-09-01
sources:
  - {name: bedrock, format: bedrock, uri: "s3://logs/bedrock"}
  - {name: gateway, format: litellm, uri: "s3://logs/gateway"}
"""

Finops = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FINOPS_CONFIG", raising=False)
    return tmp_path


@pytest.fixture
def config(folder: Path) -> Path:
    """A config with two sources in the working directory."""
    path = folder / "finops.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def finops(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Finops:
    """Run ``finops`` with these arguments, on 20 October 2026; errors that are no exits are raised."""
    monkeypatch.setattr(options, "now", lambda: NOW)

    def call(*arguments: str, raises: bool = True) -> Result:
        return CliRunner().invoke(main, list(arguments), prog_name="finops", catch_exceptions=not raises)

    return call
