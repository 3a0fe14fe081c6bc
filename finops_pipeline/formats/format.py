"""What a raw log format is: where its objects lie, which fields it has, and how those become ``usage`` columns.

A format module declares one ``Format``. It names the JSON path and the kind of each field that it wants; mediation
reads them, casts them, and counts what does not cast. The module's expressions then see typed columns and never the
raw log, the store or the reader.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl

from finops_pipeline.mediation.layout import Layout


class Kind(StrEnum):
    """What a field's text must be. A count, an amount or a time that is something else quarantines its record."""

    TEXT = "text"
    """Any text; empty is null. Becomes String."""
    COUNT = "count"
    """A whole number from 0 on, perhaps written as a string. Becomes Int64."""
    MONEY = "money"
    """USD from 0 on. Becomes Decimal(18, 12)."""
    INSTANT = "instant"
    """ISO 8601 (UTC where it names no zone) or epoch seconds. Becomes Datetime in UTC."""
    NUMBER = "number"
    """A measurement; null where it is no number. Becomes Float64."""
    FLAG = "flag"
    """true or false; null where it is neither. Becomes Boolean."""
    TEXTS = "texts"
    """An array of texts; null where it is no array. Becomes List(String)."""
    OCCURRENCES = "occurrences"
    """How often a path with wildcards matches. Becomes Int64."""


@dataclass(frozen=True)
class Field:
    """One field of the raw log: its JSON path (of a table: ``$.column``) and its kind."""

    path: str
    kind: Kind = Kind.TEXT


def text(path: str) -> Field:
    return Field(path)


def count(path: str) -> Field:
    return Field(path, Kind.COUNT)


def money(path: str) -> Field:
    return Field(path, Kind.MONEY)


def instant(path: str) -> Field:
    return Field(path, Kind.INSTANT)


def number(path: str) -> Field:
    return Field(path, Kind.NUMBER)


def flag(path: str) -> Field:
    return Field(path, Kind.FLAG)


def texts(path: str) -> Field:
    return Field(path, Kind.TEXTS)


def occurrences(path: str) -> Field:
    return Field(path, Kind.OCCURRENCES)


HAS_USAGE = "has_usage"
"""Extra column that a format gives: whether the record has a usage block, so that absent classes are 0 in it."""

NOT_USAGE = "not_usage"
"""Extra column that a format may give: whether the record is no model call at all (an audit line, a manifest)."""


@dataclass(frozen=True)
class Format:
    """A raw log format.

    Attributes:
        name: As in the config.
        version: Raised whenever the same log lines become other rows; part of a day's input digest.
        layout: Where its objects lie.
        fields: Field name → where it stands and what it must be.
        columns: The ``usage`` columns as expressions over the fields, and over ``raw_object``, ``raw_line`` and
            ``prompt_fingerprint``, which are already there; what it does not give is null. ``has_usage`` is wanted,
            ``not_usage`` is optional. A function, so that declaring a format costs nothing.
        prompt: Member of the prompt → its JSON path; what the fingerprint is taken of.
        redacted: Texts that stand in place of a prompt that was not logged: no fingerprint is taken.
        tables: Whether objects may also be CSV or Parquet.
    """

    name: str
    version: int
    layout: Layout
    fields: Mapping[str, Field]
    columns: Callable[[], Mapping[str, pl.Expr]]
    prompt: Mapping[str, str] = field(default_factory=dict)
    redacted: tuple[str, ...] = ()
    tables: bool = False
