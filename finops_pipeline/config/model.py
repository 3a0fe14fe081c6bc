"""The shape of ``finops.yaml``: a strict model, every key with its meaning and default.

Loading, its errors and the commented example stand beside this module. Secrets have no key here: they come from the
environment only (``AWS_*``, ``FINOPS_FINGERPRINT_KEY``).
"""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from finops_pipeline.formats.names import FORMAT_NAMES

MIN_DATE = dt.date(2020, 1, 1)
"""No model call was billed by token before."""


def _address(value: str) -> str:
    local, _, domain = value.rpartition("@")
    if not local or "." not in domain.strip(".") or any(c.isspace() or c in '<>,;:"()[]\\' for c in value):
        raise ValueError("expected one e-mail address such as team@example.com")
    return value


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError):
        raise ValueError("expected an IANA time zone such as UTC or Europe/Berlin") from None
    return value


def _clock(value: str) -> str:
    try:
        dt.time.fromisoformat(value)
    except ValueError:
        raise ValueError('expected a time of day in UTC such as "02:00" (in quotes)') from None
    return value


Email = Annotated[str, AfterValidator(_address)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
TimeOfDay = Annotated[str, AfterValidator(_clock)]


class Section(BaseModel):
    """A part of the config: unknown keys are errors, values are never changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Section):
    """One place where raw usage logs lie."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=64)] = Field(
        description="Name of the source in tables, paths and assets: a-z, 0-9 and _"
    )
    format: str = Field(description="Format of its logs: " + ", ".join(FORMAT_NAMES))
    uri: str = Field(min_length=1, description="s3://bucket/prefix, or a local folder (relative to this file)")
    cost_basis: Literal["contracted", "reported"] = Field(
        "contracted", description="What is charged: our price, or the cost that the log reports"
    )
    key_timezone: TimeZone = Field("UTC", description="Time zone of the dates and hours in the object keys")

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in FORMAT_NAMES:
            raise ValueError(f"expected one of {', '.join(FORMAT_NAMES)}")
        return value

    @field_validator("uri")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if separator and scheme != "s3":
            raise ValueError("expected s3://bucket/prefix or a local folder")
        if separator and not rest.split("/", 1)[0]:
            raise ValueError("expected a bucket after s3://")
        return value


class Team(Section):
    """Who answers for a team's spend. The key of the mapping is the team's name as the logs say it."""

    owner: str | None = Field(None, description="A person or role, as it should stand on the statement")
    cost_center: str | None = Field(None, description="Cost centre that is charged")
    email: Email | None = Field(None, description="Where the team's reports and alerts go")


class Budget(Section):
    """A limit on what a scope may cost in a period."""

    name: str = Field(min_length=1)
    scope: dict[Literal["team", "project", "model", "provider", "cost_center", "tag"], str]
    period: Literal["month"] = "month"
    limit: Decimal = Field(gt=0, description="USD a period")
    warn_at: list[Decimal] = Field(
        default=[Decimal("0.8"), Decimal("1.0")], description="Shares of the limit at which to tell"
    )


MATCHED = Literal[
    "source", "provider", "service", "account", "api_key_id", "principal", "user_id", "application", "environment",
    "raw_model", "team", "project",
]  # fmt: skip


class OwnershipRule(Section):
    """Who owns the calls that match, from a date on. The first rule that matches wins."""

    name: str = Field(min_length=1, description="Kept on each call that the rule decides")
    from_: dt.date = Field(MIN_DATE, alias="from", description="First UTC day on which the rule holds")
    match: dict[MATCHED, str] = Field(min_length=1, description="Columns of the log and the values they must have")
    set: dict[Literal["team", "project", "cost_center", "environment"], str] = Field(min_length=1)


class Reports(Section):
    """Who gets the month's statement."""

    from_: Email = Field("finops@localhost.localdomain", alias="from", description="Sender of the mails")
    recipients: list[Email] = Field(default=[], description="Finance: gets the whole statement")
    currency: Literal["USD"] = Field("USD", description="Currency of the statement")


class Mail(Section):
    """How mail leaves."""

    transport: Literal["outbox"] = Field("outbox", description="outbox: .eml files in a folder")
    path: Path = Field(Path("./outbox"), description="Folder of the outbox, relative to this file")


class Schedule(Section):
    """When Dagster's daemon runs the jobs; all times are UTC."""

    nightly: TimeOfDay = Field("02:00", description="Time of the nightly run")
    close_day: int = Field(3, ge=1, le=28, description="Day of the next month on which a month's statement is made")
    month_end: TimeOfDay = Field("06:00", description="Time of that run")


class Limits(Section):
    """Bounds, and shares above which to warn."""

    unpriced_share: Decimal = Field(Decimal("0.001"), ge=0, le=1, description="Tolerated share of unpriced tokens")
    cost_drift: Decimal = Field(Decimal("0.02"), ge=0, description="Tolerated drift of our price against the log's")
    max_line_bytes: int = Field(33_554_432, ge=1024, le=1 << 30, description="A longer line is quarantined")
    max_inflate_ratio: int = Field(200, ge=2, description="A compressed object that grows more is quarantined")
    memory_mb: int = Field(700, ge=256, description="Memory that mediation of a day aims to stay under")


class Privacy(Section):
    """What is made unreadable on the way in."""

    hash_user_ids: bool = Field(False, description="Store keyed hashes in place of user ids")


class Quarantine(Section):
    """What is kept of a line that cannot be read."""

    keep_raw: bool = Field(False, description="Keep the line itself, prompts included; else place, length and hash only")


class Config(Section):
    """The whole of ``finops.yaml``. ``lake`` and ``sources`` are all that must be there."""

    lake: str = Field(min_length=1, description="Folder of all tables, relative to this file")
    start_date: dt.date = Field(dt.date(2024, 1, 1), description="First UTC day; earlier records are quarantined")
    sources: list[Source] = Field(min_length=1, description="Where raw usage logs lie")
    teams: dict[str, Team] = Field(default={}, description="Teams by the name that the logs give them")
    budgets: list[Budget] = Field(default=[], description="Limits")
    ownership: list[OwnershipRule] = Field(default=[], description="Who owns which calls; the first match wins")
    prices: list[Path] = Field(default=[], description="CSV files with your own prices, relative to this file")
    model_aliases: dict[str, str] = Field(default={}, description="Model as logged: model in the price book")
    reports: Reports = Reports()
    mail: Mail = Mail()
    schedule: Schedule = Schedule()
    limits: Limits = Limits()
    privacy: Privacy = Privacy()
    quarantine: Quarantine = Quarantine()
    late_days: int = Field(3, ge=0, le=60, description="Days before yesterday that each nightly run looks at again")
    grace_hours: int = Field(2, ge=0, le=24, description="Hours beyond a day's ends in whose keys its records may lie")

    _folder: Path = Path()

    @field_validator("lake")
    @classmethod
    def _local_lake(cls, value: str) -> str:
        if "://" in value:
            raise ValueError("expected a local folder: this version keeps the lake on a local or mounted disk")
        return value

    @field_validator("start_date")
    @classmethod
    def _sane_start(cls, value: dt.date) -> dt.date:
        if value < MIN_DATE:
            raise ValueError(f"expected a day from {MIN_DATE} on")
        return value

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        for kind, names in (
            ("sources", [s.name for s in self.sources]),
            ("budgets", [b.name for b in self.budgets]),
            ("ownership", [r.name for r in self.ownership]),
        ):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"{kind}: the name {twice[0]} stands twice")
        return self

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

