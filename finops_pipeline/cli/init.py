"""``finops init``: the commented example of a config."""

from pathlib import Path

import click

from finops_pipeline.cli.options import common_options, config_path
from finops_pipeline.errors import ConfigError

EPILOG = """\
\b
Examples:
  finops init                              ./finops.yaml
  finops init --config etc/finops.yaml     somewhere else
"""


@click.command(epilog=EPILOG)
@click.option("--force", is_flag=True, help="Replace a config that is there already.")
@common_options
@click.pass_context
def init(ctx: click.Context, force: bool) -> None:
    """Write a commented finops.yaml to start from.

    Every key that there is stands in it, most of them commented out with their defaults. A config that is there
    already is left alone.
    """
    from finops_pipeline.config.example import EXAMPLE

    path = config_path(ctx) or Path("finops.yaml")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(EXAMPLE)
    except FileExistsError:
        raise ConfigError(f"{path}: there is a config already; --force replaces it.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error}).") from error
    click.echo(f"Wrote {path}. Say in it where your logs lie, then run `finops check`.")
