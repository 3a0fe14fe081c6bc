"""A click group that imports a command when it is called, and that turns our own errors into one line and a code."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from finops_pipeline.cli.options import wants_traceback
from finops_pipeline.errors import FinopsError

INTERRUPTED = 130
"""Exit code of a command that was stopped with Ctrl-C, as shells have it."""


@dataclass(frozen=True)
class LazyCommand:
    """A command that is not imported yet: its name, ``module:attribute``, and its line in the group's help."""

    name: str
    place: str
    summary: str

    def load(self) -> click.Command:
        module, _, attribute = self.place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


class LazyGroup(click.Group):
    """A group whose commands stand in a table."""

    def __init__(self, *args: Any, lazy: Iterable[LazyCommand] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = {command.name: command for command in lazy}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = self._lazy.get(cmd_name)
        return command.load() if command else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self._lazy and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=self._lazy, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.summary) for command in self._lazy.values()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FinopsError as error:
            if wants_traceback(ctx):
                raise
            from finops_pipeline.cli.terminal import note

            note(str(error), "Error")
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo(
                "\nInterrupted. What was written so far is whole; the same command goes on from there.", err=True
            )
            ctx.exit(INTERRUPTED)
