"""The shape of ``finops.yaml``: a strict model, every key with its meaning and default.

Loading, its errors and the commented example stand beside this module. Secrets have no key here: they come from the
environment only (``AWS_*``, ``FINOPS_FINGERPRINT_KEY``, ``FINOPS_SMTP_PASSWORD``).
"""

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from finops_pipeline.config.mapped import Fields
from finops_pipeline.config.section import Section, Text
from finops_pipeline.config.values import (
    Currency,
    Day,
    Email,
    File,
    Instant,
    Number,
    Place,
    SourceName,
    TimeOfDay,
    TimeZone,
    contains,
    each_once,
    on_this_machine,
)
from finops_pipeline.formats.names import FORMAT_NAMES
from finops_pipeline.money import CENT, USD

MIN_DATE = dt.date(2020, 1, 1)
"""No model call was billed by token before."""

IMPLICIT_TLS_PORT = 465
"""Mail submission over TLS from the first byte (RFC 8314, section 3.3)."""

MAX_LIMIT = 10**18
"""USD; sums of costs and their products with days stay exact below it."""

MAX_SHARE = 10
"""Share of a limit that a threshold may be: 1000 %. A larger one was meant in per cent."""

MAX_THRESHOLDS = 10
"""Thresholds of one kind that a budget may have."""


class Source(Section):
    """One place where raw usage logs lie."""

    name: SourceName = Field(description="Name of the source in tables, paths and assets: a-z, 0-9 and _")
    format: str = Field(description="Format of its logs: " + ", ".join(FORMAT_NAMES))
    uri: Place = Field(description="s3://bucket/prefix, or a local folder (relative to this file)")
    cost_basis: Literal["contracted", "reported"] = Field(
        default="contracted", description="What is charged: our price, or the cost that the log reports"
    )
    key_timezone: TimeZone = Field(default="UTC", description="Time zone of the dates and hours in the object keys")
    job_time: Instant | None = Field(
        default=None, description="When the batch jobs of this source were made, where their logs do not say (UTC)"
    )
    job_model: Text | None = Field(default=None, description="Model of the batch jobs, where their logs do not say")
    fields: Fields | None = Field(
        default=None,
        validate_default=True,
        description="Format mapped: column of the usage table to where it stands in a record",
    )
    prefix_block_chars: int = Field(
        default=2048, ge=0, le=1 << 20, description="Characters of a block of the prompt's prefix hashes; 0 for none"
    )
    prefix_block_tokens: int | None = Field(
        default=None, ge=1, description="Input tokens that a block stands for; by default the prompt's share of its own"
    )

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in FORMAT_NAMES:
            raise ValueError(f"expected one of {', '.join(FORMAT_NAMES)}")
        return value

    @field_validator("fields")
    @classmethod
    def _for_mapped_logs(cls, value: Fields | None, info: ValidationInfo) -> Fields | None:
        is_mapped = info.data.get("format") == "mapped"
        if is_mapped and value is None:
            raise ValueError("expected columns of the usage table with their paths, such as event_time: $.timestamp")
        if value is not None and not is_mapped and "format" in info.data:
            raise ValueError("expected no fields: only the format mapped takes them, the others know theirs")
        return value


class Team(Section):
    """Who answers for a team's spend. The key of the mapping is the team's name as the logs say it."""

    owner: str | None = Field(default=None, description="A person or role, as it should stand on the statement")
    cost_center: str | None = Field(default=None, description="Cost centre that is charged")
    email: Email | None = Field(default=None, description="Where the team's reports and alerts go")


class Budget(Section):
    """A limit on what a scope may cost in a period."""

    name: Text = Field(description="Name of the budget in reports and alerts")
    scope: dict[Literal["team", "project", "model", "provider", "cost_center", "tag"], Text] = Field(
        description="Whose spend counts: all keys must hold; tag as name=value; {} for everything"
    )
    period: Literal["month"] = Field(default="month", description="Calendar months, UTC")
    limit: Number = Field(gt=0, description="USD a period")
    warn_at: list[Number] = Field(
        default=[Decimal("0.8"), Decimal("1.0")], description="Shares of the limit at which to tell"
    )
    warn_at_forecast: list[Number] = Field(
        default=[Decimal("1.0")], description="The same for what the period comes to at this rate"
    )

    @field_validator("scope")
    @classmethod
    def _whole_tag(cls, value: dict[str, str]) -> dict[str, str]:
        name, _, wanted = value.get("tag", "name=value").partition("=")
        if not name or not wanted:
            raise ValueError("expected a tag such as name=value")
        return value

    @field_validator("limit")
    @classmethod
    def _whole_cents(cls, value: Decimal) -> Decimal:
        if value >= MAX_LIMIT or value % CENT:
            raise ValueError(f"expected whole cents, below {MAX_LIMIT:,}")
        return value

    @field_validator("warn_at", "warn_at_forecast")
    @classmethod
    def _shares(cls, value: list[Decimal]) -> list[Decimal]:
        if not all(0 < share <= MAX_SHARE for share in value):
            raise ValueError(f"expected shares of the limit, above 0 and at most {MAX_SHARE}: 0.8 is 80 %")
        if len(set(value)) < len(value):
            raise ValueError("expected each share once")
        if len(value) > MAX_THRESHOLDS:
            raise ValueError(f"expected at most {MAX_THRESHOLDS} shares")
        return value


MATCHED = Literal[
    "source", "provider", "service", "account", "api_key_id", "principal", "user_id", "application", "environment",
    "raw_model", "team", "project",
]  # fmt: skip


class OwnershipRule(Section):
    """Who owns the calls that match, from a date on. The first rule that matches wins."""

    name: Text = Field(description="Kept on each call that the rule decides")
    from_: Day = Field(default=MIN_DATE, alias="from", description="First UTC day on which the rule holds")
    match: dict[MATCHED, Text] = Field(min_length=1, description="Columns of the log and the values they must have")
    set: dict[Literal["team", "project", "cost_center", "environment"], Text] = Field(
        min_length=1, description="What the calls that match get"
    )


class ModelAlias(Section):
    """What an id that says nothing means: an Azure deployment, an application inference profile."""

    model: Text = Field(description="Model to look up in its place, as it stands in reports or logs")
    provider: Text | None = Field(default=None, description="Calls of that provider only")
    region_scope: Text | None = Field(default=None, description="Where it is served: global, in-region, geo:eu, …")
    from_: Day | None = Field(default=None, alias="from", description="First UTC day on which it means that")
    to: Day | None = Field(default=None, description="First UTC day on which it no longer does")

    @model_validator(mode="before")
    @classmethod
    def _model_alone(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value


class Reports(Section):
    """Who gets the month's statement."""

    from_: Email = Field(default="finops@localhost.localdomain", alias="from", description="Sender of the mails")
    recipients: list[Email] = Field(default=[], description="Finance: gets the whole statement")
    currency: Currency = Field(default=USD, description="Currency of the statement, ISO 4217; tables stay in USD")


class Mail(Section):
    """How mail leaves. The password of a mail server comes from ``FINOPS_SMTP_PASSWORD`` only."""

    transport: Literal["outbox", "smtp", "ses"] = Field(
        default="outbox", description="outbox: .eml files in a folder; smtp: a mail server; ses: Amazon SES"
    )
    path: File = Field(default=Path("./outbox"), description="Folder of the outbox, relative to this file")
    host: Text | None = Field(default=None, validate_default=True, description="The mail server's name (smtp)")
    port: int = Field(default=587, ge=1, le=65535, description="Its port (smtp); 465 is TLS from the start")
    user: Text | None = Field(default=None, description="Who logs in (smtp); the password is in FINOPS_SMTP_PASSWORD")
    starttls: bool = Field(default=True, description="Encrypt before anything is said (smtp)")
    region: Text | None = Field(default=None, description="AWS region (ses); by default that of the environment")

    @field_validator("host")
    @classmethod
    def _server(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("transport") == "smtp":
            raise ValueError("expected the mail server's name, such as smtp.example.com")
        if value is not None and not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9a-fA-F:]+", value):
            raise ValueError("expected a server's name without scheme, user or port, such as smtp.example.com")
        return value

    @field_validator("starttls")
    @classmethod
    def _no_open_password(cls, value: bool, info: ValidationInfo) -> bool:
        host, port, user = (info.data.get(name) for name in ("host", "port", "user"))
        if not value and user is not None and port != IMPLICIT_TLS_PORT and not on_this_machine(host or ""):
            raise ValueError(
                "expected true: the password of `user` would cross the network in the clear. Leave `user` out for a "
                "relay that asks for none, or use port 465"
            )
        return value


class Schedule(Section):
    """When Dagster's daemon runs the jobs; all times are UTC."""

    nightly: TimeOfDay = Field(default="02:00", description="Time of the nightly run")
    close_day: int = Field(
        default=3, ge=1, le=28, description="Day of the next month on which a month's statement is made"
    )
    month_end: TimeOfDay = Field(default="06:00", description="Time of that run")


class Limits(Section):
    """Bounds, and shares above which to warn."""

    unpriced_share: Number = Field(
        default=Decimal("0.001"), ge=0, le=1, description="Tolerated share of unpriced tokens"
    )
    cost_drift: Number = Field(
        default=Decimal("0.02"), ge=0, description="Tolerated drift of our price against the log's"
    )
    max_line_bytes: int = Field(default=33_554_432, ge=1024, le=1 << 30, description="A longer line is quarantined")
    max_inflate_ratio: int = Field(default=200, ge=2, description="A compressed object that grows more is quarantined")
    memory_mb: int = Field(default=700, ge=256, description="Memory that mediation of a day aims to stay under")


class Privacy(Section):
    """What is made unreadable on the way in."""

    hash_user_ids: bool = Field(default=False, description="Store keyed hashes in place of user ids")


class Quarantine(Section):
    """What is kept of a line that cannot be read."""

    keep_raw: bool = Field(
        default=False, description="Keep the line itself, prompts included; else its place and hash only"
    )


class Config(Section):
    """The whole of ``finops.yaml``. ``lake`` and ``sources`` are all that must be there."""

    lake: Place = Field(description="Where all tables are: a folder (relative to this file), or s3://bucket/prefix")
    start_date: Day = Field(default=dt.date(2024, 1, 1), description="First UTC day; earlier records are quarantined")
    sources: list[Source] = Field(min_length=1, description="Where raw usage logs lie")
    teams: dict[Text, Team] = Field(default={}, description="Teams by the name that the logs give them")
    budgets: list[Budget] = Field(default=[], description="Limits")
    ownership: list[OwnershipRule] = Field(default=[], description="Who owns which calls; the first match wins")
    prices: list[File] = Field(default=[], description="CSV files with your own prices, relative to this file")
    fx_rates: list[File] = Field(
        default=[], description="CSV files with rates of exchange, for statements in another currency"
    )
    model_aliases: dict[Text, ModelAlias] = Field(
        default={}, description="Model as logged, or a pattern with *: model in the price book"
    )
    reports: Reports = Field(default=Reports(), description="Who gets the month's statement")
    mail: Mail = Field(default=Mail(), description="How mail leaves")
    schedule: Schedule = Field(default=Schedule(), description="When Dagster's daemon runs the jobs")
    limits: Limits = Field(default=Limits(), description="Bounds, and shares above which to warn")
    privacy: Privacy = Field(default=Privacy(), description="What is made unreadable on the way in")
    quarantine: Quarantine = Field(default=Quarantine(), description="What is kept of a line that cannot be read")
    late_days: int = Field(
        default=3, ge=0, le=60, description="Days before yesterday that each nightly run looks at again"
    )
    grace_hours: int = Field(
        default=2, ge=0, le=24, description="Hours beyond a day's ends in whose keys its records may lie"
    )

    _folder: Path = Path()

    @field_validator("start_date")
    @classmethod
    def _sane_start(cls, value: dt.date) -> dt.date:
        if value < MIN_DATE:
            raise ValueError(f"expected a day from {MIN_DATE} on")
        return value

    @field_validator("sources", "budgets", "ownership")
    @classmethod
    def _unique_names(cls, value: list[Any]) -> list[Any]:
        each_once(value)
        return value

    @field_validator("sources")
    @classmethod
    def _without_the_lake(cls, value: list[Source], info: ValidationInfo) -> list[Source]:
        lake = info.data.get("lake")
        for source in value:
            if lake is not None and contains(source.uri, lake):
                raise ValueError(
                    f"the uri of {source.name} contains the lake, whose files would be read as logs: "
                    "expected the logs' own folder, or the lake elsewhere"
                )
        return value

    @field_validator("reports")
    @classmethod
    def _with_rates(cls, value: Reports, info: ValidationInfo) -> Reports:
        if value.currency != USD and info.data.get("fx_rates") == []:
            raise ValueError(
                f"a statement in {value.currency} needs its rates of exchange: expected the key fx_rates with CSV "
                f"files, such as fx_rates: [{value.currency.lower()}.csv]"
            )
        return value

    @property
    def folder(self) -> Path:
        """The folder of the file that this was loaded from: relative paths resolve against it."""
        return self._folder

    def resolved(self, path: str | Path) -> Path:
        """``path`` as an absolute one."""
        return (self._folder / Path(path).expanduser()).resolve()

    def source(self, name: str) -> Source:
        """The source of that name.

        Raises:
            KeyError: there is none.
        """
        return {s.name: s for s in self.sources}[name]

    def located(self, folder: Path) -> Self:
        """The same config, with relative paths resolving against ``folder``."""
        clone = self.model_copy()
        clone._folder = folder.resolve()
        return clone
