"""What every step gets and gives: plain values, so that Dagster's code location loads without the tables' machinery."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from finops_pipeline.config.model import Config

if TYPE_CHECKING:
    from finops_pipeline.lake import Lake
    from finops_pipeline.pricing.book import PriceBook

Cell: TypeAlias = str | int | bool | None


@dataclass(frozen=True)
class Preview:
    """The first rows of what a step has made, for people: small, and no amount as a float."""

    rows: tuple[Mapping[str, Cell], ...]


@dataclass(frozen=True)
class Link:
    """A file for people, to open in a browser: a path, or a URI."""

    place: str


Fact: TypeAlias = str | int | bool | list[str] | dict[str, int] | Preview | Link
"""What a step can say of a partition."""


@dataclass(frozen=True)
class Sent:
    """A mail that has left: to whom, what about, and where it went (a file of the outbox, a server)."""

    recipient: str
    subject: str
    place: str


@dataclass(frozen=True)
class StepContext:
    """What every step gets beside its partition.

    Attributes:
        config: The whole of ``finops.yaml``.
        lake: Where the tables are.
        run: Name of the run, kept in each file that it writes.
        now: The time that the step takes for the present, UTC.
        force: Make the partition again although its inputs have not changed.
        allow_partial: Go on without the sources that are missing.
        reread: Source → days whose logs are read again, although they have not changed.
        reprice: Price days with the present price book, those too that another book has priced.
        books: The run's price book, once it is compiled: a run has one, whatever becomes of the files meanwhile.
    """

    config: Config
    lake: "Lake"
    run: str
    now: dt.datetime
    force: bool = False
    allow_partial: bool = False
    reread: Mapping[str, Collection[str]] = field(default_factory=dict)
    reprice: bool = False
    books: "dict[None, PriceBook]" = field(default_factory=dict)


@dataclass(frozen=True)
class StepResult:
    """What a step did with one partition.

    Attributes:
        changed: Whether anything was written.
        metadata: Facts about the partition, for people.
        warnings: What a person should know, in sentences.
        sent: Mails that have left.
    """

    changed: bool
    metadata: Mapping[str, Fact] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    sent: tuple[Sent, ...] = ()
