"""What the levers see of a call, and the words that they share: workload, billed, labelled.

No lever's own rule belongs here.
"""

from collections.abc import Iterator, Sequence

import polars as pl

from finops_pipeline.schemas import PRICED_USAGE, TOKEN_CLASSES, TOKEN_PARTS

WORKLOAD = ("team", "project", "application", "service", "model")
"""Calls that share all of these are one workload: what one action is about."""

RATED = (
    "event_time", "provider", "raw_model", "region_scope", "service_tier", "batch", "request_count", "status",
    "gateway_cache_hit", "usage_quality", *TOKEN_CLASSES, *TOKEN_PARTS, "web_searches",
)  # fmt: skip
"""What the price of a call depends on."""

COLUMNS = tuple(
    dict.fromkeys(
        (
            *WORKLOAD, *RATED, "user_id", "end_user", "tags", "stream", "tool_calls", "latency_ms", "trace_id",
            "session_id", "prompt_fingerprint", "contracted_cost", "cost", "price_status",
        )
    )
)  # fmt: skip
"""What an analysis reads of ``priced_usage``."""

SCHEMA = pl.Schema({name: PRICED_USAGE.schema[name] for name in COLUMNS})

LABEL_IS_TRUE = ("true", "1", "yes")

GRADES = ("low", "expected", "high")
"""Under the strictest, the usual and the most favourable assumptions; a lever flags its calls for each of them."""


COMPARED_AT_ONCE = 500_000
"""Calls that are compared with each other at a time, by a few columns, so that memory does not grow with the day."""


def flag(lever: str, grade: str) -> str:
    """The column that says whether a call is the lever's under the assumptions of that grade."""
    return f"{lever}_{grade}"


def with_found(calls: pl.LazyFrame, found: pl.LazyFrame, on: Sequence[str]) -> pl.LazyFrame:
    """``calls`` with the other columns of ``found``, which has at most one row for each value of ``on``; nulls match.

    A left join that copies no column of ``calls``: a day of them is large.
    """
    matched = calls.select(on).join(found, on=list(on), how="left", nulls_equal=True, maintain_order="left")
    return pl.concat([calls, matched.drop(on)], how="horizontal")


def with_workload(calls: pl.LazyFrame) -> pl.LazyFrame:
    """``calls`` with ``workload``, a number for ``WORKLOAD``: the same names have the same one within a process."""
    return calls.with_columns(workload=pl.struct(WORKLOAD).hash())


def buckets(key: pl.Expr, *frames: pl.LazyFrame) -> Iterator[tuple[pl.LazyFrame, ...]]:
    """The frames in parts of about ``COMPARED_AT_ONCE`` rows in all; rows of one key are in one part."""
    rows = sum(frame.select(pl.len()).collect().item() for frame in frames)
    number = -(-rows // COMPARED_AT_ONCE)
    if number <= 1:
        yield frames
    else:
        yield from (tuple(frame.filter(key.hash() % number == part) for frame in frames) for part in range(number))


def as_paid() -> pl.Expr:
    """``contracted_cost``, or what was charged where that is less: nobody saves what nobody has paid.

    A source that is charged as reported may charge less than our prices, with a subscription nothing at all. What it
    charges beyond them is no saving either: the price book does not know what the same call costs there otherwise.
    """
    less = pl.col("cost") < pl.col("contracted_cost")
    return pl.when(less).then("cost").otherwise("contracted_cost").alias("contracted_cost")


def is_billed() -> pl.Expr:
    """Whether a call has cost something that is known: only such a call can cost less.

    Not so a call without a price, a free one, a failed one, one that a gateway's cache answered, and a credit.
    """
    return (
        (pl.col("price_status") == "priced")
        & (pl.col("status") == "ok")
        & ~pl.col("gateway_cache_hit").fill_null(False)
        & (pl.col("contracted_cost") > 0).fill_null(False)
    )


def is_labelled(key: str) -> pl.Expr:
    """Whether the call's own tags say that ``key`` is true."""
    name = pl.element().struct.field("key").str.to_lowercase()
    value = pl.element().struct.field("value").str.to_lowercase()
    said = pl.col("tags").list.eval((name == key) & value.is_in(LABEL_IS_TRUE))
    return said.list.any().fill_null(False)


def input_tokens() -> pl.Expr:
    """All input of a call, cache reads and writes included: what has to fit into a model's context."""
    return pl.sum_horizontal(pl.col(name) for name in TOKEN_CLASSES if name != "output_tokens")
