"""Options and values that several commands share: the config, the traceback, days and months."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from finops_pipeline.config.model import Config

_CONFIG = "finops_pipeline.config"
_DEBUG = "finops_pipeline.debug"

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def common_options(command: Decorated) -> Decorated:
    """``--config`` and ``--debug``, which may stand before the command's name or after it."""
    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=lambda ctx, _, value: _remember(ctx, _CONFIG, value),
        help="The config; by default $FINOPS_CONFIG, else ./finops.yaml.",
    )
    debug = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=lambda ctx, _, value: _remember(ctx, _DEBUG, value or None),
        help="Show tracebacks of errors.",
    )
    return config(debug(command))


def _remember(ctx: click.Context, name: str, value: object) -> None:
    if value is not None:
        ctx.meta[name] = value


def config_path(ctx: click.Context) -> Path | None:
    """The file that ``--config`` names."""
    return ctx.meta.get(_CONFIG)


def config_of(ctx: click.Context) -> "Config":
    """The config of this call.

    Raises:
        ConfigError: there is none, or it has mistakes.
    """
    from finops_pipeline.config.loading import load_config

    return load_config(config_path(ctx))


def wants_traceback(ctx: click.Context) -> bool:
    return bool(ctx.meta.get(_DEBUG))


def ask_for_traceback(ctx: click.Context) -> None:
    """The same as ``--debug``."""
    ctx.meta[_DEBUG] = True


def now() -> dt.datetime:
    """The present, UTC: days are UTC days everywhere."""
    return dt.datetime.now(dt.UTC)


class Day(click.ParamType[dt.date]):
    """A day as ``2026-10-31``."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        if isinstance(value, dt.date):
            return value
        try:
            if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
                return dt.date.fromisoformat(value)
        except ValueError:
            pass
        raise click.BadParameter(f"{value!r} is no day: expected one such as 2026-10-31", ctx, param)


class Month(click.ParamType[str]):
    """A calendar month as ``2026-10``."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(r"[12]\d{3}-(0[1-9]|1[0-2])", value):
            return str(value)
        raise click.BadParameter(f"{value!r} is no month: expected one such as 2026-10", ctx, param)


DAY = Day()
MONTH = Month()

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="csv and json have the exact amounts.",
)
"""How a table is printed."""
