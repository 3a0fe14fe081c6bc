"""A mediation that writes a few calls a day, fails where it is told to and hands over strays where it is told to."""

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from finops_pipeline.config.model import Config, Source
from finops_pipeline.errors import SourceError
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.mediation.day import DayResult
from finops_pipeline.orchestration import day_steps
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES, USAGE


def day_of(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def usage_rows(source: str, day: dt.date, calls: int, model: str = "gpt-4o-mini") -> pl.DataFrame:
    """Calls of team search at 0.25 USD each, as their log reports it."""
    rows = pl.LazyFrame(
        {
            "request_id": [f"{source}-{day}-{n}" for n in range(calls)],
            "event_time": [dt.datetime(day.year, day.month, day.day, 12, n, tzinfo=dt.UTC) for n in range(calls)],
            "provider": ["openai"] * calls,
            "service": ["OpenAI API"] * calls,
            "raw_model": [model] * calls,
            "team": ["search"] * calls,
            "batch": [False] * calls,
            "status": ["ok"] * calls,
            "request_count": [1] * calls,
            "input_tokens": [1000] * calls,
            "cache_read_tokens": [0] * calls,
            "cache_write_5m_tokens": [0] * calls,
            "cache_write_1h_tokens": [0] * calls,
            "output_tokens": [100] * calls,
            "reported_cost": [Decimal("0.25")] * calls,
            "usage_quality": ["reported"] * calls,
            "raw_object": [f"{day}.jsonl"] * calls,
            "raw_line": list(range(1, calls + 1)),
        }
    )
    return USAGE.conform(rows).cast(dict(USAGE.schema)).collect()


@dataclass
class FakeMediation:
    """Stands in for ``mediate_day``: what it was asked for, and what it is to do."""

    lake: Lake
    model: str = "gpt-4o-mini"
    calls: dict[tuple[str, dt.date], int] = field(default_factory=dict)
    """Calls of a source's day where not two."""
    duplicates: dict[tuple[str, dt.date], int] = field(default_factory=dict)
    """Records that a source delivers once more: they change the account and no call."""
    failing: dict[tuple[str, dt.date], Exception] = field(default_factory=dict)
    hands_over: dict[tuple[str, dt.date], dt.date] = field(default_factory=dict)
    """A source's day whose records belong in part to another day."""
    asked: list[tuple[str, dt.date]] = field(default_factory=list)
    forced: list[tuple[str, dt.date]] = field(default_factory=list)
    strays: dict[tuple[str, dt.date], int] = field(default_factory=dict)
    read_strays: dict[tuple[str, dt.date], int] = field(default_factory=dict)

    def __call__(
        self,
        config: Config,
        source: Source,
        day: dt.date,
        *,
        lake: Lake,
        run: str,
        now: dt.datetime,
        force: bool = False,
    ) -> DayResult:
        self.asked.append((source.name, day))
        self.forced += [(source.name, day)] if force else []
        if (source.name, day) in self.failing:
            raise self.failing[source.name, day]
        strays = self.strays.get((source.name, day), 0)
        count = self.calls.get((source.name, day), 2) + strays
        again = self.duplicates.get((source.name, day), 0)
        outcomes = dict.fromkeys(OUTCOMES, 0) | {"usage": count, "duplicate": again}
        stamp = Stamp(
            USAGE.version,
            day_steps.digest_of(source.name, str(day), count, again),
            run,
            {"objects": 1, "lines": count + again, "records": count + again, "outcomes": outcomes}
            | {"stray_days": [], "warnings": []},
        )
        current = lake.stamp(USAGE, source=source.name, date=day)
        changed = force or current is None or current.input_digest != stamp.input_digest
        if changed:
            with lake.lease(USAGE, source=source.name, date=day):
                lake.write(USAGE, usage_rows(source.name, day, count, self.model), stamp, source=source.name, date=day)
                lake.write(INGEST_OBJECTS, ingest_rows(outcomes), stamp, source=source.name, date=day)
        self.read_strays[source.name, day] = strays
        handed_to = self.hands_over.get((source.name, day))
        if handed_to is not None:
            self.strays[source.name, handed_to] = 1
        return DayResult(changed, 1, count, count, outcomes, (handed_to,) if handed_to else (), ())

    def fresh_strays(self, config: Config, lake: Lake) -> list[tuple[str, dt.date]]:
        return [key for key, count in self.strays.items() if self.read_strays.get(key) != count]

    def fail(self, source: str, *days: str, error: Exception | None = None) -> None:
        for day in days:
            self.failing[source, day_of(day)] = error or SourceError(f"source {source}: the bucket is gone")


def ingest_rows(outcomes: dict[str, int], **parts: int) -> pl.DataFrame:
    """One object whose records came to these outcomes; ``parts`` of them are conflicts or near duplicates."""
    records = sum(outcomes.values())
    row = {"key": "a.jsonl", "size": 1, "etag": "e", "state": "read", "own": True, "lines": records, "records": records}
    frame = pl.LazyFrame([row | outcomes | {"strays": 0, "conflicts": 0, "near_duplicates": 0} | parts])
    return INGEST_OBJECTS.conform(frame).cast(dict(INGEST_OBJECTS.schema)).collect()
