"""Texts of raw fields to types, and a reason for each record that holds one that does not cast.

Nothing is rounded, clipped or nulled unnoticed: a count, an amount or a time that is not what it should be makes its
record a defect. Reasons quote the value only where it looks like a number or a time, since raw logs hold prompts.
"""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal

import polars as pl
import pyarrow as pa

from finops_pipeline.formats.format import Field, Kind
from finops_pipeline.schemas import COST, INSTANT

DEFECT = "defect"
"""Column with the reason why a record cannot be usage; null where it can."""

MAX_COUNT = 10**12
"""Tokens, calls or searches of one record. More is a writer's mistake, and would overflow what they cost."""

QUOTED = 40
"""Characters of a number or a time that a reason quotes, at most."""

_EXACT = pl.Decimal(38, 18)
_LARGEST = Decimal(10**20 - 1)
"""The largest whole number that fits ``_EXACT``."""

_CONVERTED = 10**15
"""Larger numbers in other units than ours are no counts or amounts, and would not fit when they are converted."""

_ONE = Decimal(1)
_MICROSECONDS = 1_000_000
_LAST_SECOND = 253_402_300_799
"""Of the year 9999, since 1970."""
_FIRST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
_LAST = dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)
"""Of the years that ISO 8601 writes with four digits, and that Python knows; an offset may lead out of them."""
_WHOLE_MICROSECONDS = {
    Decimal(1): pl.Decimal(38, 6),
    Decimal("0.001"): pl.Decimal(38, 3),
    Decimal("0.000001"): pl.Decimal(38, 0),
}
"""Seconds in a unit of epoch times → the decimals that have a microsecond as their last place."""
_ISO = (
    r"^\s*(?<date>\d{4}-\d\d-\d\d)[T ](?<time>\d\d:\d\d(?::\d\d)?)(?:[.,](?<fraction>\d{1,9}))?"
    r"\s*(?:(?<utc>Z|z|UTC)|(?<sign>[+-])(?<hours>0\d|1[0-4]):?(?<minutes>[0-5]\d)?)?\s*$"
)


def typed(frame: pl.DataFrame, fields: Mapping[str, Field]) -> pl.DataFrame:
    """``frame`` with its text fields as their kinds' types, and the column ``defect``."""
    columns, reasons = [], []
    for name, field in fields.items():
        raw = frame.get_column(name)
        if field.kind in _TYPED:
            columns.append(raw.cast(_TYPED[field.kind]))
            continue
        if field.absent:
            raw = raw.set(raw.is_in(list(field.absent)).fill_null(False), None)
        value = _cast(raw, field.kind, field.unit)
        columns.append(value.alias(name))
        if field.kind in _EXPECTED and value.null_count() > raw.null_count():
            wrong = _lost(value, raw)
            if wrong.any():
                reasons.append(_reason(raw, wrong, field))
    defect = _nulls(DEFECT, pl.String(), frame.height)
    for reason in reasons:
        defect = defect.zip_with(defect.is_not_null(), reason)
    return frame.with_columns(*columns, defect)


def _lost(value: pl.Series, raw: pl.Series) -> pl.Series:
    """Where a cast gives null for a text that is there."""
    return value.is_null() & raw.is_not_null() & (raw != "")


def _nulls(name: str, dtype: pl.DataType, height: int) -> pl.Series:
    return pl.Series(name, [], dtype=dtype).clear(height)


_TYPED = {Kind.TEXTS: pl.List(pl.String()), Kind.OCCURRENCES: pl.Int64(), Kind.GIVEN: pl.Boolean()}
"""Kinds that the reader has made what they are."""

_EXPECTED = {
    Kind.COUNT: f"a whole number from 0 to {MAX_COUNT:.0e}".replace("+", ""),
    Kind.MONEY: "an amount of USD from 0 to 999999",
    Kind.INSTANT: "a time (ISO 8601 or epoch seconds)",
}


def _reason(raw: pl.Series, wrong: pl.Series, field: Field) -> pl.Series:
    looks_harmless = r"^[-+0-9.,:eETZ /_]{1,64}$"
    quoted = pl.col("raw").str.slice(0, QUOTED)
    told = (
        pl.when(pl.col("raw").str.contains(looks_harmless))
        .then(quoted)
        .otherwise(pl.format("a text of {} characters", pl.col("raw").str.len_chars()))
    )
    units = f" in units of {field.unit}" if field.unit != 1 else ""
    expected = pl.lit(f"{field.path}: expected {_EXPECTED[field.kind]}{units}, got ")  # no format: paths hold braces
    reason = pl.when(pl.col("wrong")).then(expected + told)
    return pl.select(raw.alias("raw"), wrong.alias("wrong")).select(reason.alias(DEFECT)).to_series()


def _cast(raw: pl.Series, kind: Kind, unit: Decimal) -> pl.Series:
    if raw.null_count() == len(raw):  # most fields of most logs
        return _nulls(raw.name, _BECOMES.get(kind, pl.String()), len(raw))
    match kind:
        case Kind.COUNT:
            return counts(raw, unit)
        case Kind.MONEY:
            return amounts(raw, unit)
        case Kind.INSTANT:
            return instants(raw, unit)
        case Kind.NUMBER:
            value = raw.cast(pl.Float64, strict=False) * float(unit)
            return value.set(~value.is_finite(), None)
        case Kind.FLAG:
            return _flags(raw)
        case _:
            empty = raw == ""
            return raw.set(empty, None) if empty.any() else raw


_BECOMES = {
    Kind.COUNT: pl.Int64(),
    Kind.MONEY: COST,
    Kind.INSTANT: INSTANT,
    Kind.NUMBER: pl.Float64(),
    Kind.FLAG: pl.Boolean(),
}


def _flags(raw: pl.Series) -> pl.Series:
    yes, no = raw == "true", raw == "false"
    if not (yes | no).all():  # not as JSON writes them
        lowered = raw.str.to_lowercase()
        yes, no = lowered.is_in(["true", "1", "yes"]), lowered.is_in(["false", "0", "no"])
    return yes.set(~(yes | no), None)


def counts(raw: pl.Series, unit: Decimal = _ONE) -> pl.Series:
    """Whole numbers from 0 to ``MAX_COUNT``; null for anything else. ``12.0`` and ``1e3`` are whole numbers.

    Args:
        raw: Texts.
        unit: How many one of the log's is: 1000 where it counts in thousands.
    """
    value = (raw if unit == 1 else raw.clear(len(raw))).cast(pl.Int64, strict=False)
    if value.null_count() > raw.null_count() and (odd := _lost(value, raw)).any():
        exact = _in_units(raw, unit)
        whole = exact.cast(pl.Int64, strict=False)
        is_whole = (whole.cast(_EXACT, strict=False) == exact).fill_null(False) & odd
        value = value.zip_with(~is_whole, whole)
    in_range = value.is_between(0, MAX_COUNT)
    return value if in_range.all() else value.set(~in_range, None)


def amounts(raw: pl.Series, unit: Decimal = _ONE) -> pl.Series:
    """USD from 0 on, half-even to 12 places; null for anything else.

    Args:
        raw: Texts.
        unit: How many USD one of the log's is: 0.01 where it is in cents.
    """
    exact = _in_units(raw, unit)
    return exact.set(exact < 0, None).cast(COST, strict=False)


def _in_units(raw: pl.Series, unit: Decimal) -> pl.Series:
    exact = raw.cast(_EXACT, strict=False)
    if exact.null_count() > raw.null_count():
        exact = raw.str.strip_chars().cast(_EXACT, strict=False)
    if unit == 1:
        return exact
    return pl.select(pl.when(pl.lit(exact).abs() <= _CONVERTED).then(pl.lit(exact)) * unit).to_series()


def instants(raw: pl.Series, unit: Decimal = _ONE) -> pl.Series:
    """Points in time in UTC, to the microsecond, from the year 1 to 9999; null for anything else.

    Args:
        raw: Texts: ISO 8601, or numbers since 1970.
        unit: How many seconds one of the numbers' units is: 0.001 where they count milliseconds.
    """
    value = _plain_instants(raw)
    if value is None:
        value = _nulls(raw.name, INSTANT, len(raw))
        # The cheap ways first, each for what is left: a log writes its times in one way.
        for cast in (lambda left: _epochs(left, unit), _utc_instants, _iso_instants):
            if value.null_count() == raw.null_count():
                break
            left = _lost(value, raw)
            value = cast(raw) if left.all() else value.scatter(left.arg_true(), cast(raw.filter(left)))
    in_range = value.is_between(_FIRST, _LAST)
    return value if in_range.all() else value.set(~in_range, None)


def _plain_instants(raw: pl.Series) -> pl.Series | None:
    """All times, where all are written as by most: Arrow reads these ten times as fast, but only all of them or none.

    None where it cannot, or may take what is no time to us: a shorter one, or another zone.
    """
    in_utc = raw.str.ends_with("Z") | raw.str.ends_with("+00:00")
    if not in_utc.all() or not (raw.str.len_bytes() >= len("2026-10-05T14:05:12Z")).all():
        return None
    try:
        found = pl.from_arrow(raw.to_arrow().cast(pa.timestamp("us", "UTC")))
    except pa.ArrowInvalid:
        return None
    assert isinstance(found, pl.Series)
    return found.alias(raw.name)


def _epochs(raw: pl.Series, unit: Decimal) -> pl.Series:
    if unit in _WHOLE_MICROSECONDS:
        # Rounded half-even, once, as they are read.
        exact = raw.cast(_WHOLE_MICROSECONDS[unit], strict=False)
        if exact.null_count() > raw.null_count():
            exact = raw.str.strip_chars().cast(_WHOLE_MICROSECONDS[unit], strict=False)
        epoch = exact.to_physical().cast(pl.Int64, strict=False)
        return epoch.set(~epoch.is_between(0, _LAST_SECOND * _MICROSECONDS), None).cast(INSTANT)
    exact = raw.str.strip_chars().cast(_EXACT, strict=False)
    number = pl.when(pl.lit(exact).is_between(0, min(_LAST_SECOND / unit, _LARGEST))).then(pl.lit(exact))
    rounded = (number * (unit * _MICROSECONDS)).round(0).cast(pl.Int64, strict=False).cast(INSTANT)
    return pl.select(rounded.alias(raw.name)).to_series()


def _utc_instants(raw: pl.Series) -> pl.Series:
    return raw.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False).dt.replace_time_zone("UTC")


def _iso_instants(raw: pl.Series) -> pl.Series:
    part = raw.str.extract_groups(_ISO).struct.unnest()
    digits = pl.col("fraction").fill_null("0").str.pad_end(9, "0").str.slice(0, 6).cast(pl.Int64)
    offset = pl.col("hours").fill_null("0").cast(pl.Int64) * 60 + pl.col("minutes").fill_null("0").cast(pl.Int64)
    clock = pl.when(pl.col("time").str.len_chars() == 5).then(pl.col("time") + ":00").otherwise(pl.col("time"))
    local = (pl.col("date") + "T" + clock).str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    iso = (
        local
        + pl.duration(microseconds=digits)
        - pl.duration(minutes=pl.when(pl.col("sign") == "-").then(-offset).otherwise(offset))
    ).dt.replace_time_zone("UTC")
    return part.select(iso.alias(raw.name)).to_series()
