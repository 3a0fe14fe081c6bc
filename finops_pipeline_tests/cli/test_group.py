"""The command line as a whole: instant help, exit codes, errors in one line."""

import re
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from finops_pipeline import __version__
from finops_pipeline.cli import COMMANDS, main, options
from finops_pipeline.cli.lazy import LazyCommand, LazyGroup
from finops_pipeline.errors import ConfigError, LakeError

HEAVY = ("dagster", "duckdb", "polars", "pyarrow", "pydantic", "boto3", "rich")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_lists_every_command_with_its_summary() -> None:
    said = CliRunner().invoke(main, ["--help"]).output
    for command in COMMANDS:
        assert re.search(rf"^  {command.name} +{re.escape(command.summary)}$", said, re.MULTILINE)
    assert CliRunner().invoke(main, ["-h"]).output == said


@pytest.mark.parametrize("arguments", [["--help"], *([c.name, "--help"] for c in COMMANDS)], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    ended = python(
        "import sys\n"
        "from finops_pipeline.cli import main\n"
        f"main({arguments!r}, prog_name='finops', standalone_mode=False)\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == "[]\n"
    assert ended.stdout.startswith("Usage: finops")


def test_help_comes_at_once() -> None:
    def seconds() -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "finops_pipeline", "--help"], capture_output=True, check=True)
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) < 0.3


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.name != "demo"], ids=lambda c: c.name)
def test_each_commands_help_has_an_example(command: LazyCommand) -> None:
    said = CliRunner().invoke(main, [command.name, "--help"]).output
    assert f"\n    finops {command.name}" in said
    assert max(map(len, said.splitlines())) <= 100


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"finops {__version__}\n"


def test_the_package_runs_as_a_module() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "finops_pipeline", "--version"], capture_output=True, text=True, check=False
    )
    assert ended.stdout == f"finops {__version__}\n"


def test_a_mistyped_command_is_answered_with_the_right_one() -> None:
    result = CliRunner().invoke(main, ["brekdown"])
    assert result.exit_code == 2
    assert "No such command 'brekdown'" in result.stderr
    assert "breakdown" in result.stderr


# -- errors -----------------------------------------------------------------------------------------------------------


@click.command()
@options.common_options
@click.option("--kind")
def failing(kind: str) -> None:
    """Fail in the way asked for."""
    match kind:
        case "config":
            raise ConfigError("finops.yaml: 1 mistake\n  lake: what is wrong")
        case "lake":
            raise LakeError("the lake is dry")
        case "defect":
            raise ZeroDivisionError
        case _:
            raise KeyboardInterrupt


@click.group(cls=LazyGroup, lazy=[LazyCommand("fail", f"{__name__}:failing", "Fail.")])
@options.common_options
def group() -> None:
    """A group whose command fails."""


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("config", 2, "Error: finops.yaml: 1 mistake\n  lake: what is wrong\n"),
        ("lake", 1, "Error: the lake is dry\n"),
    ],
)
def test_our_own_errors_are_one_message_and_a_code(kind: str, code: int, said: str) -> None:
    result = CliRunner().invoke(group, ["fail", "--kind", kind])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", said)


@pytest.mark.parametrize("arguments", [["--debug", "fail", "--kind", "lake"], ["fail", "--kind", "lake", "--debug"]])
def test_debug_keeps_the_traceback(arguments: list[str]) -> None:
    with pytest.raises(LakeError):
        CliRunner().invoke(group, arguments, catch_exceptions=False)


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(group, ["fail", "--kind", "defect"], catch_exceptions=False)


def test_an_interruption_exits_as_shells_have_it() -> None:
    result = CliRunner().invoke(group, ["fail", "--kind", "interrupt"])
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr
    assert "Traceback" not in result.stderr


# -- the config -------------------------------------------------------------------------------------------------------


@click.command()
@options.common_options
@click.pass_context
def naming(ctx: click.Context) -> None:
    """Print the config's lake."""
    click.echo(options.config_of(ctx).lake)


@click.group(cls=LazyGroup, lazy=[LazyCommand("name", f"{__name__}:naming", "Name.")])
@options.common_options
def names() -> None:
    """A group whose command reads the config."""


def test_the_config_is_named_before_or_after_the_command_or_by_the_environment(folder: Path) -> None:
    for name in ("finops", "other", "third"):
        (folder / f"{name}.yaml").write_text(f"lake: ./{name}\nsources: [{{name: a, format: record, uri: ./a}}]\n")
    call = CliRunner().invoke
    assert call(names, ["name"]).output == "./finops\n"
    assert call(names, ["name", "--config", "other.yaml"]).output == "./other\n"
    assert call(names, ["--config", "other.yaml", "name"]).output == "./other\n"
    assert call(names, ["--config", "other.yaml", "name", "--config", "third.yaml"]).output == "./third\n"
    assert call(names, ["name"], env={"FINOPS_CONFIG": "third.yaml"}).output == "./third\n"


def test_without_a_config_the_way_out_is_named(folder: Path) -> None:
    result = CliRunner().invoke(names, ["name"])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: finops.yaml in ")
    assert "`finops init`" in result.stderr
