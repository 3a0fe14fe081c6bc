"""Options and values that several commands share: the config, the traceback, days and months."""

import datetime as dt
import os
import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from finops_pipeline.config.model import Config
    from finops_pipeline.pricing.book import PriceBook

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


def book_of(ctx: click.Context) -> "PriceBook":
    """The present price book: of the config, if there is one, else the catalogue's alone.

    Raises:
        ConfigError: the config has mistakes, or the one that is named is not there.
        PriceBookError: its price files have.
    """
    from finops_pipeline.config.loading import DEFAULT_PATH, PATH_VARIABLE
    from finops_pipeline.lake import open_lake
    from finops_pipeline.pricing.book import catalogue_book, compile_book

    if not (config_path(ctx) or os.environ.get(PATH_VARIABLE) or DEFAULT_PATH.exists()):
        return catalogue_book()
    config = config_of(ctx)
    return compile_book(config, open_lake(config))


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


def days_asked(
    config: "Config", first: dt.date | None, last: dt.date | None, today: dt.date
) -> tuple[dt.date, dt.date] | None:
    """The days that ``--from`` and ``--to`` ask for, both included, up to yesterday by default; None without them.

    Raises:
        click.UsageError: they make no sense: in the wrong order, in the future, before the config's ``start_date``.
    """
    if first is None and last is None:
        return None
    if first is None:
        raise click.UsageError("--to needs --from: which is the first day?")
    last = last or max(first, today - dt.timedelta(days=1))
    if first > last:
        raise click.BadParameter(f"{first} lies after --to {last}", param_hint="--from")
    if last > today:
        raise click.BadParameter(f"{last} lies in the future: today is {today}, UTC", param_hint="--to")
    if first < config.start_date:
        raise click.BadParameter(
            f"{first} lies before start_date in the config, {config.start_date}", param_hint="--from"
        )
    return first, last


def check_source(config: "Config", source: str | None) -> None:
    """Refuse a ``--source`` that the config does not have.

    Raises:
        click.BadParameter: there is none of that name; the most similar one is named.
    """
    names = [s.name for s in config.sources]
    if source is not None and source not in names:
        close = get_close_matches(source, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(names)}"
        raise click.BadParameter(f"no source {source!r} in the config: {hint}", param_hint="--source")
