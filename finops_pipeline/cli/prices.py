"""``finops prices``: what the price book says."""

import click

from finops_pipeline.cli.lazy import LazyCommand, LazyGroup

COMMANDS = (
    LazyCommand("show", "finops_pipeline.cli.prices_show:show", "Show what a model costs, which row won, and why."),
    LazyCommand("missing", "finops_pipeline.cli.prices_missing:missing", "List models without a price, and the fix."),
    LazyCommand("quote", "finops_pipeline.cli.prices_quote:quote", "Price calls given as JSON lines on stdin."),
)


EPILOG = """\
\b
Examples:
  finops prices show gpt-5               what it costs, and where the price comes from
  finops prices missing                  what has no price, and the line that would give it one
  finops prices quote < calls.jsonl      what these calls cost, and which prices won
"""


@click.group(cls=LazyGroup, lazy=COMMANDS, epilog=EPILOG)
def prices() -> None:
    """Look into the price book: what a call costs, and why."""
