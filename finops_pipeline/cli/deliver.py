"""``finops deliver``: what became of a month's mails; sends those that have not left, decides about doubtful ones."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from finops_pipeline.cli import options
from finops_pipeline.cli.options import MONTH, common_options, config_of

if TYPE_CHECKING:
    from finops_pipeline.config.model import Config
    from finops_pipeline.delivery.ledger import Ledger
    from finops_pipeline.delivery.record import DeliveryRecord

EPILOG = """\
\b
Examples:
  finops deliver                      send what has not left of the latest statement, and list all
  finops deliver --month 2026-09      the same for September
  finops deliver --dry-run            list only
  finops deliver --arrived 4ead5c68   this mail did arrive: take it for sent
  finops deliver --resend 4ead5c68    this one did not: send it again

\b
States:
  sent         it has left, and is never sent again
  failed       it was refused for certain; every run tries again
  in progress  another run is handing it over now
  ambiguous    the answer was lost while it was handed over: it may have left or not. Nothing
               sends it again before you decide. Look whether it arrived: --arrived or --resend.

Exits with 1 when a mail failed or is ambiguous.
"""


@click.command(epilog=EPILOG)
@click.option("--month", type=MONTH, metavar="MONTH", help="By default the latest month that has a statement.")
@click.option("--resend", multiple=True, metavar="KEY", help="Send this ambiguous mail again. May be repeated.")
@click.option("--arrived", multiple=True, metavar="KEY", help="Take this mail for sent. May be repeated.")
@click.option("--dry-run", is_flag=True, help="List what is on record; decide and send nothing.")
@common_options
@click.pass_context
def deliver(
    ctx: click.Context, month: str | None, resend: tuple[str, ...], arrived: tuple[str, ...], dry_run: bool
) -> None:
    """List a month's mails, of its statement and its alerts, and send those that have not left.

    Each mail leaves once for each recipient, month and revision, however often this is called. KEY is the key of the
    list, or the long one of an error message.
    """
    config = config_of(ctx)
    from finops_pipeline.cli import delivery_list
    from finops_pipeline.delivery.ledger import Ledger
    from finops_pipeline.lake import open_lake

    ledger = Ledger(open_lake(config).storage, options.now)
    again, there = _named(ledger, "--resend", resend), _named(ledger, "--arrived", arrived)
    if both := {record.key for record in again} & {record.key for record in there}:
        raise click.UsageError(f"{', '.join(sorted(both))}: either --resend or --arrived, not both.")
    months = [month] if month else sorted({record.month for record in again + there}) or [_latest_month(config)]
    if dry_run:
        delivery_list.plan(again, there)
    else:
        for record in again:
            ledger.release(record.key)
        for record in there:
            ledger.mark_sent(record.key)
    all_sent = True
    for each in months:
        failures = () if dry_run else _send(config, each)
        records = [record for record in ledger.records() if record.month == each]
        delivery_list.show(each, records, failures)
        all_sent &= not failures and not any(record.state == "ambiguous" for record in records)
        all_sent &= not dry_run or not any(record.state == "failed" for record in records)
    if unsent := [] if dry_run else _unsent(ledger, again):
        delivery_list.note_unsent(unsent)
    if unsent or not all_sent:
        ctx.exit(1)


def _send(config: "Config", month: str) -> Sequence[str]:
    """Send what has not left; what failed, a sentence each."""
    from finops_pipeline.orchestration.runner import RunRequest
    from finops_pipeline.orchestration.runner import run as run_assets

    return run_assets(config, RunRequest(month=month, deliver_only=True), now=options.now()).failures


def _named(ledger: "Ledger", option: str, keys: Iterable[str]) -> list["DeliveryRecord"]:
    """The mails that these keys name, long or short."""
    records = ledger.records() if keys else []
    found = []
    for key in dict.fromkeys(keys):
        fitting = [record for record in records if record.has_key(key)]
        if len(fitting) != 1:
            problem = "no mail of that key is on record" if not fitting else "several mails have it: give the long key"
            raise click.BadParameter(f"{key!r}: {problem}. `finops deliver --dry-run` lists them.", param_hint=option)
        found += fitting
    return found


def _unsent(ledger: "Ledger", records: Iterable["DeliveryRecord"]) -> list["DeliveryRecord"]:
    """Those of ``records`` that have still not left."""
    now = (ledger.find(record.key) for record in records)
    return [record for record in now if record is not None and record.state != "sent"]


def _latest_month(config: "Config") -> str:
    from finops_pipeline.errors import LakeError
    from finops_pipeline.lake import open_lake
    from finops_pipeline.schemas import CHARGEBACK

    lake = open_lake(config)
    months = [keys["month"] for keys in lake.partitions(CHARGEBACK)]
    if not months:
        raise LakeError(
            f"{lake.storage.root}: there is no statement yet, so that there are no mails of one. `finops run` makes it "
            "once its month is over; --month names a month whose alerts are meant."
        )
    return max(months)
