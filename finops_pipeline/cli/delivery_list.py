"""How ``finops deliver`` shows mails: a table of what is on record, and a sentence on each that has not left."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from finops_pipeline.cli.terminal import console, shown
from finops_pipeline.delivery.record import DeliveryRecord
from finops_pipeline.reports import numbers

_STYLES = {"failed": "red", "ambiguous": "red", "in progress": "yellow"}


def show(month: str, records: Sequence[DeliveryRecord], failures: Sequence[str]) -> None:
    """A month's mails, and on stderr what failed and what is to be decided, each told once."""
    if not records:
        print(f"No mail of {numbers.month_and_year(month)} is on record.")
    else:
        console().print(_table(records))
    for failure in failures:
        _say("Error", "red", failure)
    for record in records:
        if record.reason and not any(record.reason in failure for failure in failures):
            _say(record.state.capitalize(), "red", f"{_name(record)}: {record.reason}{_way_out(record)}")


def plan(again: Iterable[DeliveryRecord], there: Iterable[DeliveryRecord]) -> None:
    """What would be decided."""
    for record in again:
        print(f"Would be sent again: {_name(record)}")
    for record in there:
        print(f"Would be taken for sent: {_name(record)}")


def note_unsent(records: Iterable[DeliveryRecord]) -> None:
    """Mails that were to be sent again, and that no run has to send any more or that failed."""
    for record in records:
        _say(
            "Warning",
            "yellow",
            f"{_name(record)} was not sent. Where no error says why, a later revision has taken its place, or "
            "finops.yaml names the recipient no more.",
        )


def _table(records: Iterable[DeliveryRecord]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("To", overflow="fold")
    table.add_column("Subject")
    table.add_column("State", no_wrap=True)
    table.add_column("Since, UTC", no_wrap=True)
    table.add_column("Key", no_wrap=True)
    for record in records:
        since = numbers.DASH if record.at is None else f"{record.at:%Y-%m-%d %H:%M}"
        state = Text(record.state, style=_STYLES.get(record.state, ""))
        table.add_row(shown(record.recipient), shown(record.subject), state, since, record.short_key)
    return table


def _way_out(record: DeliveryRecord) -> str:
    if record.state != "ambiguous":
        return ""
    key = record.short_key
    return f". If it arrived: finops deliver --arrived {key}; if it did not: finops deliver --resend {key}"


def _name(record: DeliveryRecord) -> str:
    return f"{numbers.name(record.recipient)} ({record.short_key})"


def _say(kind: str, style: str, sentence: str) -> None:
    console(stderr=True).print(Text.assemble((f"{kind}: ", style), sentence), soft_wrap=True)
