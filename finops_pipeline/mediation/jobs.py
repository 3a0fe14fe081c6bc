"""What is known of batch jobs: their time, model and owner, which the lines of their results do not carry.

A format says which object of a folder describes the job of the records beside it (``formats.format.Job``); the source's
config may say more. The object itself is one record, and no usage.
"""

import re
from dataclasses import dataclass

import msgspec
import polars as pl

from finops_pipeline.config.model import Source
from finops_pipeline.formats.format import JOB_MODEL, JOB_PROJECT, JOB_TEAM, JOB_TIME, Job
from finops_pipeline.mediation.casts import instants
from finops_pipeline.mediation.listed import Objects
from finops_pipeline.schemas import INSTANT


@dataclass(frozen=True)
class _Described:
    """What one object says of its job; texts, null where it says nothing."""

    time: str | None
    model: str | None
    team: str | None
    project: str | None
    records: str | None


_UNKNOWN = _Described(None, None, None, None, None)
_NUMBER = re.compile(r"[0-9]{1,18}")


class Jobs:
    """The jobs of a day's objects, by folder."""

    def __init__(self, job: Job, source: Source) -> None:
        self._job, self._source = job, source
        self._described: dict[str, _Described] = {}

    def describes(self, key: str) -> bool:
        """Whether the object of this key describes the job of the records beside it."""
        return self._job.file is not None and self._job.file.fullmatch(key.rpartition("/")[2]) is not None

    def add(self, key: str, document: bytes) -> None:
        """Take what an object says of its job.

        Raises:
            ValueError: it is no JSON object.
        """
        try:
            said = msgspec.json.decode(document, type=dict[str, object])
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        job = self._job
        asked = (job.time, job.model, job.team, job.project, job.records)
        self._described[folder_of(key)] = _Described(*(_first_text(said, places) for places in asked))

    def columns(self, objects: Objects) -> pl.DataFrame:
        """The job columns of each object, one row an object."""
        listed = objects.frame()
        jobs = [self._described.get(folder_of(key), _UNKNOWN) for key in listed.get_column("key")]
        said = instants(pl.Series([job.time for job in jobs], dtype=pl.String))
        time = pl.lit(self._source.job_time, dtype=INSTANT)
        model = pl.lit(self._source.job_model, dtype=pl.String)
        told = pl.DataFrame(
            {
                JOB_MODEL: [job.model for job in jobs],
                JOB_TEAM: [job.team for job in jobs],
                JOB_PROJECT: [job.project for job in jobs],
            },
            schema={JOB_MODEL: pl.String, JOB_TEAM: pl.String, JOB_PROJECT: pl.String},
        )
        return told.select(
            pl.coalesce(time, said, listed.get_column("modified")).alias(JOB_TIME),
            pl.coalesce(model, JOB_MODEL).alias(JOB_MODEL),
            JOB_TEAM,
            JOB_PROJECT,
        )

    def unread(self, read: dict[str, int]) -> list[str]:
        """A sentence for each job of which another number of records was read than its object says.

        Args:
            read: Folder → how many records its other objects had.
        """
        told = []
        for folder, job in sorted(self._described.items()):
            wanted, got = job.records, read.get(folder, 0)
            if wanted is not None and _NUMBER.fullmatch(wanted) and int(wanted) != got:
                told.append(f"{folder or 'the source'}: the job had {wanted} records, and {got} were read")
        return told


def folder_of(key: str) -> str:
    """The folder that an object lies in, without the slash at its end."""
    return key.rpartition("/")[0]


def _first_text(document: object, places: tuple[str, ...]) -> str | None:
    return next((said for place in places if (said := _text_at(document, place)) is not None), None)


def _text_at(document: object, place: str) -> str | None:
    for step in place.split("."):
        document = document.get(step) if isinstance(document, dict) else None
    usable = isinstance(document, str | int | float) and not isinstance(document, bool)
    return str(document) if usable and document != "" else None
