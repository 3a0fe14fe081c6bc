"""What runs give to asset bodies, and the one loop over partition keys that every asset body calls.

What a partition is made of stands in ``day_steps`` and ``month_steps``; which partitions there are, in ``partitions``.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from finops_pipeline.config.model import Config
from finops_pipeline.errors import FinopsError, PartitionsFailedError
from finops_pipeline.orchestration.context import Link, Preview, StepContext, StepResult

if TYPE_CHECKING:
    from finops_pipeline.lake import Lake
    from finops_pipeline.pricing.book import PriceBook


@dataclass(frozen=True)
class Outcome:
    """How one partition ended: with a result, or with the error that kept it from being written."""

    asset: str
    partition: str
    result: StepResult | None = None
    error: Exception | None = None


class RunOptions(dg.ConfigurableResource[object]):
    """What a person can ask of a run, in Dagster's launchpad as on the command line."""

    force: bool = False
    """Make every partition again, even where its inputs have not changed."""

    allow_partial: bool = False
    """Price days that lack a source. Such days are marked incomplete down to the statement."""

    reread: dict[str, list[str]] = Field(default_factory=dict)
    """Source → days whose logs are read again, although they have not changed: after a fix, for what is quarantined."""

    reprice: bool = False
    """Price days with the present price book, those too that another book has priced."""


@dataclass(frozen=True)
class Session:
    """The config with its lake, the clock, and who is told how each partition ended."""

    config: Config
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    tell: Callable[[Outcome], None] = lambda outcome: None
    books: "dict[None, PriceBook]" = field(default_factory=dict)

    @property
    def lake(self) -> "Lake":
        from finops_pipeline.lake import open_lake

        return open_lake(self.config)

    def step_context(self, run: str, options: RunOptions) -> StepContext:
        """What a step needs of this session and of the run."""
        return StepContext(
            self.config, self.lake, run, self.now(), options.force, options.allow_partial, options.reread,
            options.reprice, self.books,
        )  # fmt: skip


def make_partitions(
    context: dg.AssetExecutionContext,
    options: RunOptions,
    session: Session,
    step: Callable[[StepContext, str], StepResult],
) -> None:
    """Make each partition of the run, one at a time, so that memory is that of one partition.

    Every partition is tried. When the step succeeds as a whole, Dagster itself records each partition of the range as
    materialised, with the metadata given here. When it raises, Dagster records none: those that were written are
    recorded here before, so that a failed partition is the only one that shows as not made.

    Raises:
        PartitionsFailedError: naming the partitions that failed, with their reasons.
    """
    outcomes = []
    for key in context.partition_keys:
        try:
            result = step(session.step_context(context.run.run_id, options), key)
        except Exception as error:  # one bad partition must not keep the others from being made
            outcome = Outcome(context.asset_key.to_user_string(), key, error=error)
            context.log.error(f"{key}: {reason(error)}", exc_info=not isinstance(error, FinopsError))
        else:
            outcome = Outcome(context.asset_key.to_user_string(), key, result=result)
            for warning in result.warnings:
                context.log.warning(f"{key}: {warning}")
        outcomes.append(outcome)
        session.tell(outcome)
    _record(context, outcomes)


def reason(error: Exception) -> str:
    """The error in one sentence; what is not of our own kind is named as the defect that it is."""
    return str(error) if isinstance(error, FinopsError) else f"unexpected {type(error).__name__}: {error}"


def _metadata(result: StepResult) -> dict[str, Any]:
    """The result's facts as Dagster's UI shows them best: previews as tables, files as links."""
    shown: dict[str, Any] = {"changed": result.changed}
    for name, fact in result.metadata.items():
        if isinstance(fact, Preview):
            if fact.rows:
                shown[name] = dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in fact.rows])
        elif isinstance(fact, Link):
            shown[name] = dg.MetadataValue.url(fact.place if "://" in fact.place else Path(fact.place).as_uri())
        else:
            shown[name] = fact
    return shown


def _record(context: dg.AssetExecutionContext, outcomes: Sequence[Outcome]) -> None:
    failed = [o for o in outcomes if o.error is not None]
    for outcome in outcomes:
        if outcome.result is None:
            continue
        metadata = _metadata(outcome.result)
        if failed:
            context.log_event(
                dg.AssetMaterialization(context.asset_key, partition=outcome.partition, metadata=metadata)
            )
        else:
            context.add_asset_metadata(metadata, partition_key=outcome.partition)
    if failed:
        raise PartitionsFailedError(
            f"{context.asset_key.to_user_string()}: {len(failed)} of {len(outcomes)} partitions failed, "
            "the others are written. "
            + " ".join(f"{o.partition}: {reason(o.error)}" for o in failed if o.error is not None)
        ) from failed[0].error
