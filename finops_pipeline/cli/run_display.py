"""What a person sees of a run: a progress bar on a terminal, a line a partition elsewhere, and how it ended."""

import sys
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from finops_pipeline.cli.terminal import console
from finops_pipeline.money import EXPONENTS
from finops_pipeline.reports import numbers

if TYPE_CHECKING:
    from finops_pipeline.orchestration.context import Sent
    from finops_pipeline.orchestration.run_report import Progress as PartitionEnded
    from finops_pipeline.orchestration.run_report import RunReport, StatementMade

STATUSES = ("written", "unchanged", "failed", "skipped")


def on_terminal() -> bool:
    """Whether a person watches stderr."""
    return sys.stderr.isatty()


class _WithBar:
    """Shows its bar, where it has one, for the length of a block."""

    _bar: Progress | None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


class RunDisplay(_WithBar):
    """Shows a run as it goes, on stderr, and its end: results on stdout, failures on stderr.

    Args:
        plain: Lines in place of the bar, also on a terminal: a log is to be shown there.
        quiet: No lines where there is no bar.
    """

    def __init__(self, *, plain: bool = False, quiet: bool = False) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._console = console(stderr=True)
        self._quiet = quiet
        self._bar = None if plain or not on_terminal() else new_bar(self._console)
        self._task = None if self._bar is None else self._bar.add_task("", total=None)

    def tell(self, ended: "PartitionEnded") -> None:
        """Take note of a partition that has ended."""
        self._counts.setdefault(ended.asset, Counter())[ended.status] += 1
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, description=f"{ended.partition} {ended.asset}", completed=ended.done, total=ended.total
            )
        elif not self._quiet:
            line = f"[{ended.done}/{ended.total}] {ended.asset} {ended.partition}: {ended.status}"
            print(line, file=sys.stderr, flush=True)

    def summary(self, report: "RunReport") -> None:
        """How the run ended: partitions by table, statements, warnings, failures."""
        if self._counts:
            self._table()
        else:
            print("Nothing was due.")
        for statement in report.statements:
            _statement(statement)
        for mail in report.alerts:
            _mail("Alert", mail)
        self.remarks(report)

    def remarks(self, report: "RunReport") -> None:
        """Warnings, and what failed and why; on stderr."""
        for kind, style, sentences in (("Warning", "yellow", report.warnings), ("Error", "red", report.failures)):
            for sentence in sentences:
                self._console.print(Text.assemble((f"{kind}: ", style), sentence), soft_wrap=True)

    def _table(self) -> None:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("Table")
        used = [status for status in STATUSES if any(counts[status] for counts in self._counts.values())]
        for status in used:
            table.add_column(status.capitalize(), justify="right", style="red" if status == "failed" else "")
        for asset, counts in self._counts.items():
            table.add_row(asset, *(numbers.count(counts[s]) if counts[s] else "" for s in used))
        console().print(table)


class Steps(_WithBar):
    """A bar for work that tells how many of its steps are done; nothing where nobody watches."""

    def __init__(self, doing: str) -> None:
        self._bar = new_bar(console(stderr=True)) if on_terminal() else None
        self._task = None if self._bar is None else self._bar.add_task(doing, total=None)

    def tell(self, done: int, total: int) -> None:
        """So many steps of so many are done."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)


def new_bar(screen: Console) -> Progress:
    """A progress bar that leaves nothing behind."""
    return Progress(
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=screen,
        transient=True,
    )


def _statement(made: "StatementMade") -> None:
    state = "new" if made.is_new else "unchanged"
    month = numbers.month_and_year(made.month)
    total = f"{numbers.money(made.total, EXPONENTS[made.currency])} {made.currency}"
    print(f"Statement of {month}, revision {made.revision} ({state}): {total}")
    print(f"  {made.page}")
    for mail in made.mails:
        _mail("  Mail", mail)


def _mail(kind: str, mail: "Sent") -> None:
    print(f"{kind} to {mail.recipient}: {numbers.name(mail.subject)} ({mail.place})")
