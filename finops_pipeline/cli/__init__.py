"""``finops``, the command line: each command in its own module, imported when it is called.

So that help is instant, importing this package imports neither Dagster, DuckDB nor Polars. What the commands do is
done elsewhere; here are options, words and exit codes: 0 done, 1 failed, 2 wrong call or config, 130 interrupted.
"""

import click

from finops_pipeline import __version__
from finops_pipeline.cli.lazy import LazyCommand, LazyGroup
from finops_pipeline.cli.options import common_options

__all__ = ["main"]

COMMANDS = (
    LazyCommand("demo", "finops_pipeline.cli.demo:demo", "See it all work, on sample logs in a local S3 server."),
    LazyCommand("init", "finops_pipeline.cli.init:init", "Write a commented finops.yaml to start from."),
    LazyCommand("check", "finops_pipeline.cli.check:check", "Validate the config and say what each source holds."),
    LazyCommand("run", "finops_pipeline.cli.run:run", "Price the days that are due and make statements."),
    LazyCommand("ingest", "finops_pipeline.cli.ingest:ingest", "Read raw logs and say what became of every record."),
    LazyCommand("replay", "finops_pipeline.cli.replay:replay", "Read again what was quarantined, after a fix."),
    LazyCommand("deliver", "finops_pipeline.cli.deliver:deliver", "Send mails that have not left, and list all."),
    LazyCommand("breakdown", "finops_pipeline.cli.breakdown:breakdown", "Show costs by team, model, day and more."),
    LazyCommand("budgets", "finops_pipeline.cli.budgets:budgets", "Show what budgets have spent of their limits."),
    LazyCommand("prices", "finops_pipeline.cli.prices:prices", "Look into the price book: what a call costs."),
    LazyCommand("savings", "finops_pipeline.cli.savings:savings", "Show what would have cost less."),
)

EPILOG = """\
\b
To look around:    finops demo
To begin:          finops init, edit finops.yaml, finops check
Every night:       finops run
Any time:          finops breakdown --by team,model; finops budgets; finops savings

Each command's --help has examples.
"""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="finops", message="%(prog)s %(version)s")
@common_options
def main() -> None:
    """From raw LLM usage logs in S3 to exact daily costs and monthly chargeback statements."""
