"""How hard a call was, from 0 to 1, as far as its log tells: the score by which calls may go to a smaller model.

Which model that is, and what it would cost, is in ``downgrade``. The score is a heuristic and no measure of quality:
from logs alone it has an AUC of 0.51 to 0.67 for "safe to downgrade". Floats will do here, no amount is made of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from finops_pipeline.savings.calls import buckets, with_found

ELIGIBLE_BELOW = 0.30
"""Score under which a call counts as simple."""

LEAST_COVERAGE = 0.60
"""Part of the weights whose features have to be known."""

LEAST_REPEATS = 3
"""Calls of one prompt from which on the variation of its output says something."""


@dataclass(frozen=True)
class Feature:
    """One sign of difficulty.

    Attributes:
        weight: Hundredths of the score.
        half: The value at which it is half of what it can be.
    """

    weight: int
    half: float


FEATURES: Mapping[str, Feature] = {
    "output_visible": Feature(20, 400),
    "reasoning": Feature(25, 1000),
    "fresh_input": Feature(15, 4000),
    "tool_calls": Feature(20, 2),
    "retries": Feature(10, 1),
    "output_cv": Feature(10, 0.5),
}
"""Column of a feature → its weight. Tokens, calls, failed attempts, and a coefficient of variation."""

_DIGITS = 12
"""Decimals of a score: what is beyond may differ from run to run, and a call at the boundary must not."""

_WHOLE = sum(feature.weight for feature in FEATURES.values())


def with_features(calls: pl.LazyFrame, history: pl.LazyFrame) -> pl.LazyFrame:
    """``calls`` (with ``call`` and the columns of ``savings.calls``) with the columns of ``FEATURES``.

    - ``output_visible``: output without reasoning; where the log does not tell them apart, all of it.
    - ``reasoning``, ``tool_calls``: null where the log does not say. ``fresh_input``: uncached input.
    - ``retries``, ``output_cv``: those of :func:`history_of`, which has them; no retries are none, but for a call
      without a trace: null.
    """
    return with_found(calls, history, on=("call",)).with_columns(
        output_visible=pl.col("output_tokens") - pl.col("reasoning_tokens").fill_null(0),
        reasoning=pl.col("reasoning_tokens"),
        fresh_input=pl.col("input_tokens"),
        retries=pl.when(pl.col("trace_id").is_not_null()).then(pl.col("retries").fill_null(0)),
    )


def history_of(calls: pl.LazyFrame) -> pl.DataFrame:
    """What the other calls of the day say of a call; those of which they say nothing have no row.

    Returns:
        ``call``. ``retries``: failed calls before it in its trace. ``output_cv``: standard deviation over mean of the
        output of the workload's calls with the same prompt, of which there are ``LEAST_REPEATS`` at least.
    """
    varied = [_variation(part).collect() for (part,) in buckets(pl.col("prompt_fingerprint"), calls)]
    retried = _retries(calls).collect(engine="streaming")
    return pl.concat(varied).join(retried, on="call", how="full", coalesce=True)


def with_score(calls: pl.LazyFrame) -> pl.LazyFrame:
    """``calls`` (with the columns of ``FEATURES``) with ``score``, its bounds and ``coverage``, each from 0 to 1.

    C = Σ w·(1 − 2^(−x/h)) / Σ w over the features that are known. ``score_low`` takes those that are not for 0,
    ``score_high`` for 1. ``coverage`` is the part of the weights that is known; ``score`` is null where nothing is.
    """
    parts = [feature.weight * _saturated(name, feature.half) for name, feature in FEATURES.items()]
    known = pl.sum_horizontal(pl.when(pl.col(name).is_not_null()).then(f.weight) for name, f in FEATURES.items())
    return (
        calls.with_columns(_difficulty=pl.sum_horizontal(parts), _known=known)
        .with_columns(
            score=pl.when(pl.col("_known") > 0).then(pl.col("_difficulty") / pl.col("_known")).round(_DIGITS),
            score_low=(pl.col("_difficulty") / _WHOLE).round(_DIGITS),
            score_high=((pl.col("_difficulty") + (_WHOLE - pl.col("_known"))) / _WHOLE).round(_DIGITS),
            coverage=pl.col("_known") / _WHOLE,
        )
        .drop("_difficulty", "_known")
    )


def is_simple(score: str = "score") -> pl.Expr:
    """Whether a call may go to a smaller model by that column; one of which too little is known may not."""
    simple = (pl.col(score) < ELIGIBLE_BELOW) & (pl.col("coverage") >= LEAST_COVERAGE)
    return simple.fill_null(False)


def _saturated(feature: str, half: float) -> pl.Expr:
    """From 0 at 0 to 1 at infinity, one half at ``half``."""
    return 1 - pl.lit(2.0).pow(-pl.col(feature).cast(pl.Float64).clip(0) / half)


def _retries(calls: pl.LazyFrame) -> pl.LazyFrame:
    """``call`` and its ``retries``, for calls of traces in which something failed."""
    failed = pl.col("status") == "error"
    troubled = calls.filter(failed, pl.col("trace_id").is_not_null()).select("trace_id").unique()
    attempts = failed.cast(pl.Int64)
    return (
        calls.select("call", "trace_id", "event_time", "status")
        .join(troubled, on="trace_id", how="semi")
        .sort("trace_id", "event_time", "call")
        .select("call", retries=(attempts.cum_sum() - attempts).over("trace_id"))
    )


def _variation(calls: pl.LazyFrame) -> pl.LazyFrame:
    """``call`` and ``output_cv``, for calls of prompts that have one; a failed call has that of its prompt."""
    counted = pl.col("output").filter(pl.col("status") == "ok")
    return (
        calls.filter(pl.col("prompt_fingerprint").is_not_null())
        .select(
            "call",
            "status",
            prompt=pl.struct("workload", "prompt_fingerprint").hash(),
            output=pl.col("output_tokens").cast(pl.Float64),
        )
        .filter(pl.col("prompt").is_duplicated())
        .with_columns(
            _calls=counted.count().over("prompt"),
            _mean=counted.mean().over("prompt"),
            _deviation=counted.std().over("prompt"),
        )
        .filter(pl.col("_calls") >= LEAST_REPEATS, pl.col("_mean") > 0)
        .select("call", output_cv=pl.col("_deviation") / pl.col("_mean"))
    )
