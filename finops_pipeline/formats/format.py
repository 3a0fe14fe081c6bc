"""What a raw log format is: where its objects lie, which fields it has, and how those become ``usage`` columns.

A format module declares one ``Format``. It names the JSON path and the kind of each field that it wants; mediation
reads them, casts them, and counts what does not cast. The module's expressions then see typed columns and never the
raw log, the store or the reader.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

import polars as pl

from finops_pipeline.mediation.layout import Layout


class Kind(StrEnum):
    """What a field's text must be. A count, an amount or a time that is something else quarantines its record."""

    TEXT = "text"
    """A text, or a number or a flag as text; null where it is empty, an object or an array. Becomes String."""
    JSON = "json"
    """Anything as JSON, of a text the text itself; null where that is empty. Becomes String.

    Objects may hold a prompt: what is made of them must not store them as they are.
    """
    GIVEN = "given"
    """Whether there is anything but null and the empty text. Becomes Boolean, never null."""
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
    """An array of texts, or what a path with wildcards leads to; null where it is no array. Becomes List(String).

    Objects and arrays in it are null.
    """
    OCCURRENCES = "occurrences"
    """How often a path with wildcards matches. Becomes Int64."""


@dataclass(frozen=True)
class Field:
    """One field of the raw log.

    Attributes:
        path: Its JSON path (of a table: ``$.column``).
        kind: What its text must be.
        unit: What one of the log's units is in the kind's: 0.01 for cents, 0.001 for epoch milliseconds, 1000 for
            thousands of tokens. Of counts, amounts, numbers, and times that are numbers.
        absent: Texts that stand for nothing, beside the empty one.
    """

    path: str
    kind: Kind = Kind.TEXT
    unit: Decimal = Decimal(1)
    absent: tuple[str, ...] = ()


def text(path: str) -> Field:
    return Field(path)


def json(path: str) -> Field:
    return Field(path, Kind.JSON)


def given(path: str) -> Field:
    return Field(path, Kind.GIVEN)


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

REFUSED = "refused"
"""Extra column that a format may give: why these logs cannot be used at all, in a sentence with the way out; else null.

One such record refuses its source: nothing of the day is written, and a person is told the sentence.
"""

VERSION = "record_version"
"""Extra column of formats that write a record anew when it changes: when this one was written. The latest counts."""

GROUP = "group_key"
"""Extra column of formats whose records belong together: records of one group meet in ``resolve``. Text, never null.

Records that share a request id must share their group; without this column the request id is the group.
"""

RESOLVED = "resolved"
"""Column that ``resolve`` gives: ``duplicate``, ``merged`` or ``not_usage``; null for rows that go on as usage."""

REDACTED_BY_LITELLM = ("redacted-by-litellm", "default-message-value")
"""What LiteLLM writes in place of prompts that are not to be logged: to its own logs, and to those of others."""

JOB_TIME, JOB_MODEL, JOB_TEAM, JOB_PROJECT = "job_time", "job_model", "job_team", "job_project"
"""Columns that formats with a ``job`` see beside their fields: what is known of the job that the object belongs to.

``job_time`` is never null: the source's ``job_time``, else the job file's, else when the object was last modified.
``job_model`` is the source's, else the job file's. Time in UTC, the others text.
"""


@dataclass(frozen=True)
class Documents:
    """Records that repeat inside JSON documents: pages of an API, exports of spans.

    Attributes:
        whole: Whether an object is one document (perhaps over many lines); else each line is one.
        records: One document to its records, each one JSON text without a line end. Raises ValueError (as
            ``msgspec.DecodeError`` is) where it is no such document: what was not given yet is quarantined as one
            record. What is inside a record is not its business: the fields' paths and kinds find that out.
        applies: Whether the object of a key holds documents; where it does not, each line is a record.
    """

    whole: bool
    records: Callable[[bytes], Iterator[bytes]]
    applies: Callable[[str], bool] = lambda _key: True


@dataclass(frozen=True)
class Job:
    """Where a record's job tells what the record does not: batch jobs, whose lines carry no time.

    Attributes:
        file: The name of the object that describes the job, in the folder of its records; None where there is none.
            It is one JSON document, and no usage itself.
        time, model, team, project: Where each may stand in it, such as ``metadata.team``: the first that says something
            counts.
        records: Where how many records the job has may stand: where that many were not read, a warning says so.
    """

    file: re.Pattern[str] | None = None
    time: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    team: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    records: tuple[str, ...] = ()


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
            ``not_usage``, ``refused``, ``record_version``, ``group_key`` and the names in ``extras`` are optional. A
            function, so that declaring a format costs nothing.
        prompt: Member of the prompt → its JSON path; what the fingerprint is taken of. In the hashes of its blocks,
            members named ``system…`` or ``instructions…`` stand first, then ``tool…`` and ``functions…``.
        redacted: Texts that stand in place of a prompt that was not logged: no fingerprint is taken.
        embedded: Paths of values that may be JSON documents written as texts; paths of fields and of the prompt may
            lead through them, or to them, whether they are texts or not. None inside another.
        tables: Whether objects may also be CSV or Parquet: the first step of a path is then a column, whose text the
            rest of the path looks into.
        documents: How documents hold records, where they do.
        job: What is known of batch jobs.
        resolve: Takes all rows of some groups: ``usage`` columns, ``not_usage``, ``record_version``, ``group_key`` and
            ``extras``; gives the same rows with ``resolved``, and perhaps other values in rows where that is null. It
            must not depend on the rows' order, nor change how many there are.
        extras: Columns beside ``usage`` that ``resolve`` needs: name → type.
    """

    name: str
    version: int
    layout: Layout
    fields: Mapping[str, Field]
    columns: Callable[[], Mapping[str, pl.Expr]]
    prompt: Mapping[str, str] = field(default_factory=dict)
    redacted: tuple[str, ...] = ()
    embedded: tuple[str, ...] = ()
    tables: bool = False
    documents: Documents | None = None
    job: Job | None = None
    resolve: Callable[[pl.LazyFrame], pl.LazyFrame] | None = None
    extras: Mapping[str, pl.DataType] = field(default_factory=dict)
