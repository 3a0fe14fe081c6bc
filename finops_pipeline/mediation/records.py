"""Typed fields to ``usage`` rows: the rules that hold for every format.

Which classes are null and which are zero, ids for records without one, times out of range, and what makes a record no
usage at all (FORMATS: "Null or zero"). The formats' own rules stand in their modules.
"""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.format import GROUP, HAS_USAGE, NOT_USAGE, REFUSED, VERSION, Format, Kind
from finops_pipeline.mediation.casts import DEFECT
from finops_pipeline.mediation.fingerprints import FingerprintKey
from finops_pipeline.schemas import INSTANT, TOKEN_CLASSES, TOKEN_PARTS, USAGE

CLOCK_SKEW = dt.timedelta(hours=1)
"""A record may be this far ahead of our own clock before its time counts as wrong."""

_ZERO_IN_USAGE = (*TOKEN_CLASSES, *TOKEN_PARTS, "web_searches", "tool_calls")
_MEASURED = ("latency_ms", "first_token_ms")


_PLACED = ("raw_object", "raw_line", "prompt_fingerprint", "prefix_block_hashes", DEFECT)


def beside_usage(fmt: Format) -> dict[str, pl.DataType]:
    """The columns that rows of a format carry beside ``usage`` until they are resolved, with their types."""
    return (
        {NOT_USAGE: pl.Boolean(), VERSION: INSTANT, GROUP: pl.String(), **fmt.extras}
        if fmt.resolve
        else {VERSION: INSTANT}
    )


def usage_rows(frame: pl.DataFrame, fmt: Format, *, start: dt.date, now: dt.datetime) -> pl.DataFrame:
    """The ``usage`` columns of typed records with those of ``beside_usage``, ``defect`` (why a record is none),
    ``not_usage`` and ``refused``.

    Args:
        frame: Typed fields with ``defect``, ``raw_object``, ``raw_line`` and ``prompt_fingerprint``.
        fmt: The format that they came in.
        start: First day of the lake; earlier records are defects.
        now: Later records are defects too.
    """
    exprs: Mapping[str, pl.Expr] = fmt.columns()
    beside = {NOT_USAGE: pl.Boolean(), REFUSED: pl.String(), **beside_usage(fmt)}
    dtypes = {**USAGE.schema, **beside, HAS_USAGE: pl.Boolean()}
    given = frame.select(
        *(_as(expr, name, dtypes[name]) for name, expr in exprs.items() if name in dtypes),
        *(pl.col(name) for name in _PLACED if name in frame.columns),
    )
    missing = {name: dtype for name, dtype in dtypes.items() if name not in given.columns}
    given = given.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in missing.items())
    if given.get_column("request_id").has_nulls():
        given = given.with_columns(pl.col("request_id").fill_null(pl.format("{}#{}", "raw_object", "raw_line")))
    has_usage, failed = pl.col(HAS_USAGE), pl.col("status") == "error"
    rows = given.with_columns(
        pl.col("batch").fill_null(False),
        # What a batch job answers is never streamed.
        pl.when("batch").then(pl.col("stream").fill_null(False)).otherwise("stream").alias("stream"),
        pl.col("request_count").fill_null(1),
        pl.col(NOT_USAGE).fill_null(False),
        # A usage block names what there was; a failed call without one used nothing; all else is unknown.
        *(pl.when(has_usage | failed).then(pl.col(name).fill_null(0)).alias(name) for name in _ZERO_IN_USAGE),
        pl.when(has_usage | failed)
        .then(pl.col("usage_quality").fill_null("reported"))
        .otherwise(pl.lit("missing"))
        .alias("usage_quality"),
        *(pl.when(pl.col(name) >= 0).then(pl.col(name)).alias(name) for name in _MEASURED),
        pl.coalesce(DEFECT, _time_defect(fmt, start, now)).alias(DEFECT),
    )
    if fmt.resolve:
        rows = rows.with_columns(pl.col(GROUP).fill_null(pl.col("request_id")))
    return rows.select(*USAGE.names, DEFECT, *beside)


def _as(expr: pl.Expr, name: str, dtype: pl.DataType) -> pl.Expr:
    return expr.cast(dtype).alias(name)


def _time_defect(fmt: Format, start: dt.date, now: dt.datetime) -> pl.Expr:
    time = pl.col("event_time")
    path = next((f.path for f in fmt.fields.values() if f.kind is Kind.INSTANT), "the job")
    shown = time.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    first = dt.datetime.combine(start, dt.time(), dt.UTC)
    return (
        pl.when(time.is_null())
        .then(pl.lit(f"{path}: no time"))
        .when(time < first)
        .then(pl.format(f"time_out_of_range: {{}} is before start_date {start}", shown))
        .when(time > now + CLOCK_SKEW)
        .then(pl.format("time_out_of_range: {} is in the future", shown))
    )


def without_user_ids(frame: pl.DataFrame, key: FingerprintKey) -> pl.DataFrame:
    """User ids, end users and the session part of principals as keyed hashes (``privacy.hash_user_ids``)."""
    session = pl.col("principal").str.extract(r"([^/:]+)$")
    prefix = pl.col("principal").str.extract(r"^(.*[/:])[^/:]+$")
    return frame.with_columns(
        key.hashed(pl.col("user_id")),
        key.hashed(pl.col("end_user")),
        pl.concat_str(prefix, key.hashed(session)).alias("principal"),
    )
