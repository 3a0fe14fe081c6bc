"""``finops prices quote``: JSON lines in, priced JSON lines out."""

import itertools
import sys
from typing import IO

import click

from finops_pipeline.cli import options
from finops_pipeline.cli.options import book_of, common_options

EPILOG = """\
\b
Example:
  echo '{"provider": "openai", "raw_model": "gpt-5", "usage": {"input": 1000, "output": 200}}' | finops prices quote

A line has raw_model and, where given: provider, timestamp, tier, region_scope, account, usage (meter:
quantity; input_total may stand for input, cache classes included), rate_usd and rate_per (meter: price
and the units that it buys), uplift, discount. Absent: the standard tier, no scope, now, no usage.
Answers come in the order of the lines, amounts as texts with 12 decimals. A line that is no valid
request gets an answer with "status": "error".
"""

AT_ONCE = 10_000
"""Lines that are priced together."""


@click.command(epilog=EPILOG)
@click.argument("file", type=click.File("rb"), default="-")
@common_options
@click.pass_context
def quote(ctx: click.Context, file: IO[bytes]) -> None:
    """Price the calls in FILE, or on stdin: one JSON object a line, one answer a line.

    Needs no config; where there is one, its prices, aliases and contracts hold.
    """
    import json

    from finops_pipeline.pricing.quote import quotes

    book = book_of(ctx)
    now, first = options.now(), 1
    lines = (line for line in file if line.strip())
    while batch := list(itertools.islice(lines, AT_ONCE)):
        for answer in quotes(batch, book, now=now, first=first):
            sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        first += len(batch)
