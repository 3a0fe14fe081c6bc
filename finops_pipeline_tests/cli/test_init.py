"""``finops init``."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from finops_pipeline.config.loading import load_config

Finops = Callable[..., Result]


def test_it_writes_a_config_that_loads(finops: Finops, folder: Path) -> None:
    result = finops("init")
    assert result.exit_code == 0
    assert result.output == "Wrote finops.yaml. Say in it where your logs lie, then run `finops check`.\n"
    assert load_config(folder / "finops.yaml").sources


def test_it_leaves_a_config_alone_unless_forced(finops: Finops, config: Path) -> None:
    before = config.read_text()
    result = finops("init")
    assert result.exit_code == 2
    assert result.stderr == "Error: finops.yaml: there is a config already; --force replaces it.\n"
    assert config.read_text() == before
    assert finops("init", "--force").exit_code == 0
    assert config.read_text() != before


def test_it_writes_where_config_says(finops: Finops, folder: Path) -> None:
    assert finops("init", "--config", "other.yaml").exit_code == 0
    assert (folder / "other.yaml").exists()
    assert not (folder / "finops.yaml").exists()


def test_a_folder_that_is_not_there_is_one_error(finops: Finops) -> None:
    result = finops("init", "--config", "nowhere/finops.yaml")
    assert result.exit_code == 2
    assert result.stderr == "Error: nowhere/finops.yaml: cannot be written (No such file or directory).\n"
