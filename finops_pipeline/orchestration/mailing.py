"""Who gets which mail of a statement and of an alert, and handing them over one by one. Nothing here knows Dagster.

What mails say stands in ``reports``, how they leave exactly once in ``delivery``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from finops_pipeline.alerts import Alert
from finops_pipeline.chargeback.encoding import content_digest
from finops_pipeline.chargeback.statement import Statement, part_of
from finops_pipeline.config.model import Config
from finops_pipeline.delivery.ledger import Ledger, delivery_key
from finops_pipeline.delivery.once import deliver_once
from finops_pipeline.delivery.transports import transport_of
from finops_pipeline.errors import DeliveryError, FinopsError, LakeError
from finops_pipeline.orchestration.context import Sent, StepContext
from finops_pipeline.reports.alert_mail import compose_alert
from finops_pipeline.reports.ledger import ledger_name, render_ledger
from finops_pipeline.reports.mail import compose
from finops_pipeline.reports.paths import team_file
from finops_pipeline.reports.tables import teams_of
from finops_pipeline.reports.team_mail import compose_team
from finops_pipeline.reports.workbook import workbook_name


@dataclass(frozen=True)
class Letter:
    """A mail to one recipient, and the key under which it leaves once."""

    key: str
    recipient: str
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])


def statement_letters(
    config: Config, statement: Statement, digest: str, files: Mapping[str, bytes], page: Path, before: Statement | None
) -> Iterator[Letter]:
    """The mails of a statement: the whole to finance, to each owner their team's part and nothing else.

    An owner whose part says the same as in the revision before gets no mail of this one.

    Args:
        config: Who they are.
        statement: A published statement, or a draft of one.
        digest: Digest of its content.
        files: Its bundle, by path within it.
        page: Where its page lies.
        before: The revision that it replaces; None for the first.

    Raises:
        LakeError: a file of the bundle is not there.
    """
    month, revision, sender = statement.month, statement.revision, config.reports.from_
    files = _Bundle(files, page, month)
    attached = {name: files[name] for name in (ledger_name(statement), workbook_name(statement))}
    for recipient in config.reports.recipients:
        message = compose(statement, sender, recipient, page, attached)
        yield Letter(delivery_key(month, revision, recipient, digest), recipient, message)
    for name in teams_of(statement):
        team = config.teams.get(name)
        if team is None or team.email is None:
            continue
        told = None if before is None else part_of(before, name)
        part = part_of(statement, name, None if told is None else told.total)
        said = content_digest(part)
        if told is not None and content_digest(told) == said:
            continue
        file = team_file(name)
        own = {file.rpartition("/")[2]: files[file], ledger_name(part): render_ledger(part)}
        key = delivery_key(month, revision, team.email, said, audience=f"team {name}")
        yield Letter(key, team.email, compose_team(part, sender, team.email, own))


def alert_letters(config: Config, alert: Alert, recipients: Iterable[str]) -> Iterator[Letter]:
    """An alert's mails, one a recipient."""
    team = config.teams.get(alert.team) if alert.team is not None else None
    for recipient in recipients:
        message = compose_alert(alert, config.reports.from_, recipient, team.owner if team else None)
        yield Letter(delivery_key(alert.period, 0, recipient, alert.key, audience="alert"), recipient, message)


class _Bundle(dict[str, bytes]):
    """The files of a statement; one that is missing is named with the way to make it."""

    def __init__(self, files: Mapping[str, bytes], page: Path, month: str) -> None:
        super().__init__(files)
        self._folder, self._month = page.parent, month

    def __missing__(self, name: str) -> bytes:
        raise LakeError(
            f"{self._folder / name}: this file of the statement is not there. "
            f"Make it again with: finops run --month {self._month}"
        )


@dataclass(frozen=True)
class Posted:
    """What became of letters that were handed over: those that left now, and what a person should know."""

    sent: tuple[Sent, ...]
    warnings: tuple[str, ...]


def post_all(context: StepContext, letters: Iterable[Letter]) -> Posted:
    """Hand over every letter that has not left yet. One that fails keeps no other from leaving.

    Raises:
        DeliveryError: naming those that have not left for certain, with their reasons.
    """
    ledger, transport = Ledger(context.lake.root), transport_of(context.config)
    sent, waiting, failed = [], [], []
    for letter in letters:
        try:
            left, record = deliver_once(letter.message, letter.key, ledger, transport), ledger.find(letter.key)
            if left:
                sent.append(Sent(letter.recipient, letter.subject, record.place if record else ""))
            elif record is not None and record.state == "in progress":
                waiting.append(f"another run is handing over the mail to {letter.recipient}: {letter.subject}")
        except FinopsError as error:
            failed.append(f"{letter.recipient}: {error}")
    if failed:
        mails = "1 mail has" if len(failed) == 1 else f"{len(failed)} mails have"
        others = f", {len(sent)} left now" if sent else ""
        raise DeliveryError(f"{mails} not left for certain{others}. {' '.join(failed)}")
    return Posted(tuple(sent), tuple(waiting))
