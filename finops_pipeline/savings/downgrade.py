"""Lever: send simple calls to a smaller model.

Which model that is, is in ``pairs``; how simple a call is, in ``complexity``. Here: which calls may go, and what they
would have been there. They are chosen call by call: the mean of a workload says nothing about its simple ones.
"""

from collections.abc import Sequence

import polars as pl

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.savings.calls import flag, input_tokens, is_billed, is_labelled, with_found
from finops_pipeline.savings.complexity import ELIGIBLE_BELOW, is_simple
from finops_pipeline.savings.pairs import MODALITIES, PAIRS, SOLD, Pair, targets

LEVER = "downgrade"

EVIDENCE = "heuristic"

ASSUMPTIONS = (
    f"A call counts as simple when its complexity, scored from its log alone, is below {ELIGIBLE_BELOW:.2f}. Such a "
    "score tells calls that a smaller model could answer from others only somewhat better than chance: try it on a "
    "sample first. Low takes what the log does not say for hard, high for easy."
)
"""Where it was measured, such scores had an AUC of 0.51 to 0.67 for "safe to downgrade"; chance is 0.5."""

RESERVED_TIERS = ("batch", "provisioned")
"""Tiers whose calls stay where they are: their price hangs on the model that they were reserved or queued for."""

SCORES = {"low": "score_high", "expected": "score", "high": "score_low"}
"""Grade → the score that has to be low: the strictest takes what is not known for hard."""

_CACHE_CLASSES = ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def with_downgrade(calls: pl.LazyFrame, book: PriceBook, pairs: Sequence[Pair] = PAIRS) -> pl.LazyFrame:
    """``calls`` with the columns of ``pairs.targets`` and a flag for each grade: whether the call may go to the target.

    Vetoes: no pair, or none yet; more tokens, in and out, than fit into the target; audio or images that the target
    has no price for; ``RESERVED_TIERS``; rows that sum up several calls; calls labelled ``critical``; custom models.

    Args:
        calls: Columns of ``savings.calls`` and of ``complexity.with_score``.
        book: The prices.
        pairs: Which models stand in for which.
    """
    sold = calls.group_by(SOLD).agg(pl.col("event_time").min().dt.date()).collect()
    found = targets(sold.iter_rows(), book, pairs).lazy()
    may_go = is_billed() & pl.col("target").is_not_null() & ~_is_vetoed()
    return with_found(calls, found, on=SOLD).with_columns(
        (may_go & is_simple(score)).fill_null(False).alias(flag(LEVER, grade)) for grade, score in SCORES.items()
    )


def downgraded(calls: pl.LazyFrame) -> pl.LazyFrame:
    """``calls`` (with the columns of ``pairs.targets``) as the target would have seen them.

    Input classes times the pair's tokeniser factor, output classes times its output factor, half-up to whole tokens,
    meter by meter, so that parts stay within their class. A prefix shorter than what the target caches is fresh input,
    and so is what a read has beyond the steps in which the target reads.
    """
    tokens, output = (_thousandths(name) for name in ("tokeniser_factor", "output_factor"))
    return (
        calls.with_columns(
            *_scaled("input_tokens", ("input_audio_tokens", "input_image_tokens"), tokens),
            *(_times(pl.col(name), tokens) for name in _CACHE_CLASSES),
            *_scaled("output_tokens", ("reasoning_tokens", "output_audio_tokens", "output_image_tokens"), output),
            raw_model=pl.col("target"),
            provider=pl.col("target_provider"),
            region_scope=pl.when("same_seller").then(pl.coalesce("region_scope", "target_scope")),
        )
        .with_columns(_all_input=input_tokens())
        .with_columns(_kept().alias("cache_read_tokens"), *(_if_cached(name) for name in _CACHE_CLASSES[1:]))
        .with_columns(input_tokens=pl.col("_all_input") - pl.sum_horizontal(_CACHE_CLASSES))
        .drop("_all_input")
    )


def _is_vetoed() -> pl.Expr:
    tokens = _times(input_tokens(), _thousandths("tokeniser_factor")) + _times(
        pl.col("output_tokens"), _thousandths("output_factor")
    )
    lacking = (
        (pl.col(column) > 0).fill_null(False) & ~pl.col("modalities").list.contains(column) for column in MODALITIES
    )
    return pl.any_horizontal(
        pl.col("event_time").dt.date() < pl.col("since"),
        (tokens > pl.col("context_window")).fill_null(False),
        *lacking,
        pl.col("batch"),
        pl.col("service_tier").is_in(RESERVED_TIERS).fill_null(False),
        pl.col("request_count") > 1,
        is_labelled("critical"),
    )


def _prefix() -> pl.Expr:
    return pl.sum_horizontal(_CACHE_CLASSES)


def _is_cached() -> pl.Expr:
    """Whether the target's own cache takes the prefix; where its rule is not known, it is taken to."""
    return (_prefix() >= pl.col("cache_minimum")).fill_null(True)


def _kept() -> pl.Expr:
    """What the target reads of its cache."""
    read, step = pl.col("cache_read_tokens"), pl.col("cache_quantum").fill_null(1)
    return pl.when(_is_cached()).then(read // step * step).otherwise(0)


def _if_cached(name: str) -> pl.Expr:
    return pl.when(_is_cached()).then(name).otherwise(0).alias(name)


def _thousandths(factor: str) -> pl.Expr:
    return (pl.col(factor) * 1000).cast(pl.Int64)


def _times(tokens: pl.Expr, thousandths: pl.Expr) -> pl.Expr:
    """Half-up to whole tokens."""
    return (tokens * thousandths + 500) // 1000


def _scaled(whole: str, parts: Sequence[str], thousandths: pl.Expr) -> list[pl.Expr]:
    """A class and its parts, times a factor; the class stays the sum of its meters."""
    rest = pl.col(whole) - pl.sum_horizontal(pl.col(part) for part in parts)
    meters = [_times(meter, thousandths) for meter in (rest, *map(pl.col, parts))]
    return [
        pl.sum_horizontal(meters).alias(whole),
        *(meter.alias(part) for meter, part in zip(meters[1:], parts, strict=True)),
    ]
