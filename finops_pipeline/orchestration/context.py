"""What every step gets and gives: plain values, so that Dagster's code location loads without the tables' machinery."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from finops_pipeline.config.model import Config

if TYPE_CHECKING:
    from finops_pipeline.lake import Lake

Fact: TypeAlias = str | int | bool | list[str] | dict[str, int] | Path
"""What a step can say of a partition."""


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
    """

    config: Config
    lake: "Lake"
    run: str
    now: dt.datetime
    force: bool = False
    allow_partial: bool = False


@dataclass(frozen=True)
class StepResult:
    """What a step did with one partition.

    Attributes:
        changed: Whether anything was written.
        metadata: Facts about the partition, for people.
        warnings: What a person should know, in sentences.
        files: Files for people that this run has written: pages, mails.
    """

    changed: bool
    metadata: Mapping[str, Fact] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
