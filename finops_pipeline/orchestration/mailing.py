"""Who gets which mail of a statement and of an alert, and handing them over one by one. Nothing here knows Dagster.

What mails say stands in ``reports``, how they leave exactly once in ``delivery``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import TypeVar

from finops_pipeline.alerts import Alert, alerts_of, recipients_of
from finops_pipeline.chargeback.encoding import content_digest
from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.config.model import Config
from finops_pipeline.days import days_of
from finops_pipeline.delivery.ledger import Ledger, delivery_key
from finops_pipeline.delivery.once import deliver_once
from finops_pipeline.delivery.transports import transport_of
from finops_pipeline.errors import DeliveryError, FinopsError, LakeError
from finops_pipeline.lake import Lake
from finops_pipeline.orchestration.context import Sent, StepContext
from finops_pipeline.reports.alert_mail import compose_alert
from finops_pipeline.reports.ledger import ledger_name, render_ledger
from finops_pipeline.reports.mail import compose
from finops_pipeline.reports.paths import team_file
from finops_pipeline.reports.tables import teams_of
from finops_pipeline.reports.team_mail import compose_team
from finops_pipeline.reports.workbook import workbook_name
from finops_pipeline.schemas import BUDGET_STATUS

Found = TypeVar("Found")


@dataclass(frozen=True)
class Letter:
    """A mail to one recipient, and the key under which it leaves once."""

    key: str
    recipient: str
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])


@dataclass(frozen=True)
class Edition:
    """One revision of a month's statement, and the digest of its content as it was published."""

    statement: Statement
    digest: str


def statement_letters(
    config: Config, editions: Sequence[Edition], files: Mapping[str, bytes], page: str
) -> Iterator[Letter]:
    """The mails of a statement: the whole to finance, to each owner their team's part and nothing else.

    A part that says the same in several revisions on end is one mail to its owner, under the key of the first of them:
    whoever got it is not told again, whoever did not gets it with the latest revision.

    Args:
        config: Who they are.
        editions: The statement to send, published or a draft, then the revisions before it, the latest first.
        files: Its bundle, by path within it.
        page: Where its page lies: a path, or a URI.

    Raises:
        LakeError: a file of the bundle is not there.
    """
    statement, digest = editions[0].statement, editions[0].digest
    month, sender = statement.month, config.reports.from_
    files = _Bundle(files, page, month)
    attached = {name: files[name] for name in (ledger_name(statement), workbook_name(statement))}
    for recipient in config.reports.recipients:
        message = compose(statement, sender, recipient, page, attached)
        yield Letter(delivery_key(month, statement.revision, recipient, digest), recipient, message)
    for name in teams_of(statement):
        team = config.teams.get(name)
        if team is None or team.email is None:
            continue
        first, replaced = _first_of(editions, name)
        same_currency = replaced is not None and replaced.statement.currency == statement.currency
        part = part_of(statement, name, part_of(replaced.statement, name).total if replaced and same_currency else None)
        file = team_file(name)
        own = {file.rpartition("/")[2]: files[file], ledger_name(part): render_ledger(part)}
        key = delivery_key(month, first.statement.revision, team.email, first.digest, audience=f"team {name}")
        yield Letter(key, team.email, compose_team(part, sender, team.email, own))


def _first_of(editions: Sequence[Edition], team: str) -> tuple[Edition, Edition | None]:
    """The first of the editions, back from the latest, in which the team's part is as now; and the one before it."""
    latest, *earlier = editions
    said, first = content_digest(part_of(latest.statement, team)), latest
    for edition in earlier:
        if content_digest(part_of(edition.statement, team)) != said:
            return first, edition
        first = edition
    return first, None


def by_the_config(context: StepContext, month: str, look: Callable[..., Found]) -> Found:
    """What ``alerts.evaluate`` or ``alerts.due_now`` finds in a month's ``budget_status``, by the config's rules."""
    config, lake = context.config, context.lake
    return look(
        lake,
        config.budgets,
        lake.scan(BUDGET_STATUS, date=list(days_of(month))).collect(),
        as_of=context.now.date(),
        late_days=config.late_days,
        recipients=lambda budget: recipients_of(budget, config),
    )


def alert_letters(config: Config, alert: Alert, recipients: Iterable[str]) -> Iterator[Letter]:
    """An alert's mails, one a recipient."""
    team = config.teams.get(alert.team) if alert.team is not None else None
    for recipient in recipients:
        message = compose_alert(alert, config.reports.from_, recipient, team.owner if team else None)
        yield Letter(delivery_key(alert.period, 0, recipient, alert.key, audience="alert"), recipient, message)


def late_alert_letters(config: Config, lake: Lake, month: str) -> Iterator[Letter]:
    """The mails of a past month's open alerts, as far as the config still has their budgets and recipients.

    Its days are not run any more, so these would never leave where the mail server was down in the month's last nights.

    Raises:
        LakeError: a state cannot be read.
    """
    budgets = {budget.name for budget in config.budgets}
    known = {*config.reports.recipients, *(team.email for team in config.teams.values())}
    for state in alerts_of(lake, month):
        if state.state == "open" and state.mail == "due" and state.alert.budget in budgets:
            yield from alert_letters(config, state.alert, [to for to in state.recipients if to in known])


class _Bundle(dict[str, bytes]):
    """The files of a statement; one that is missing is named with the way to make it."""

    def __init__(self, files: Mapping[str, bytes], page: str, month: str) -> None:
        super().__init__(files)
        self._folder, self._month = page.rpartition("/")[0], month

    def __missing__(self, name: str) -> bytes:
        raise LakeError(
            f"{self._folder}/{name}: this file of the statement is not there. "
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
    ledger, transport = Ledger(context.lake.storage), transport_of(context.config)
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
        others = f" ({len(sent)} left now)" if sent else ""
        raise DeliveryError(f"mails that have not left for certain: {len(failed)}{others}. {' '.join(failed)}")
    return Posted(tuple(sent), tuple(waiting))
