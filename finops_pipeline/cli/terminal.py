"""The terminal: where tables go and how texts from logs are shown on it."""

import sys

from rich.console import Console
from rich.text import Text

from finops_pipeline.reports import numbers


def console(*, stderr: bool = False) -> Console:
    """A console on stdout, or on stderr; as wide as the content where that goes into a file or a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 200, highlight=False, soft_wrap=False)


def shown(text: str | None, absent: str = numbers.DASH) -> Text:
    """A name from a log for a table cell: neither its control characters nor its brackets do anything."""
    return Text(absent if text is None else numbers.name(text), style="dim" if text is None else "")
