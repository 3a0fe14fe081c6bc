"""Texts of raw fields to types, and a reason for each record that holds one that does not cast.

Nothing is rounded, clipped or nulled unnoticed: a count, an amount or a time that is not what it should be makes its
record a defect. Reasons quote the value only where it looks like a number or a time, since raw logs hold prompts.
"""

from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.format import Field, Kind
from finops_pipeline.schemas import COST, INSTANT

DEFECT = "defect"
"""Column with the reason why a record cannot be usage; null where it can."""

MAX_COUNT = 10**12
"""Tokens, calls or searches of one record. More is a writer's mistake, and would overflow what they cost."""

QUOTED = 40
"""Characters of a number or a time that a reason quotes, at most."""

_EXACT = pl.Decimal(38, 18)
_MICROSECONDS = 1_000_000
_EPOCH = r"^\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*$"
_ISO = (
    r"^\s*(?<date>\d{4}-\d\d-\d\d)[T ](?<time>\d\d:\d\d(?::\d\d)?)(?:[.,](?<fraction>\d{1,9}))?"
    r"\s*(?:(?<utc>Z|z|UTC)|(?<sign>[+-])(?<hours>0\d|1[0-4]):?(?<minutes>[0-5]\d)?)?\s*$"
)


def typed(frame: pl.DataFrame, fields: Mapping[str, Field]) -> pl.DataFrame:
    """``frame`` with its text fields as their kinds' types, and the column ``defect``."""
    columns, reasons = [], []
    for name, field in fields.items():
        raw = frame.get_column(name)
        if field.kind is Kind.TEXTS or field.kind is Kind.OCCURRENCES:
            columns.append(raw.cast(pl.Int64) if field.kind is Kind.OCCURRENCES else raw)
            continue
        value = _cast(raw, field.kind)
        columns.append(value.alias(name))
        if field.kind in _EXPECTED:
            wrong = value.is_null() & raw.is_not_null() & (raw != "")
            if wrong.any():
                reasons.append(_reason(raw, wrong, field))
    defect = pl.Series(DEFECT, [None], dtype=pl.String).new_from_index(0, frame.height)
    for reason in reasons:
        defect = defect.zip_with(defect.is_not_null(), reason)
    return frame.with_columns(*columns, defect.alias(DEFECT))


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
    reason = pl.when(pl.col("wrong")).then(pl.format(f"{field.path}: expected {_EXPECTED[field.kind]}, got {{}}", told))
    return pl.select(raw.alias("raw"), wrong.alias("wrong")).select(reason.alias(DEFECT)).to_series()


def _cast(raw: pl.Series, kind: Kind) -> pl.Series:
    match kind:
        case Kind.COUNT:
            return counts(raw)
        case Kind.MONEY:
            return amounts(raw)
        case Kind.INSTANT:
            return instants(raw)
        case Kind.NUMBER:
            value = raw.cast(pl.Float64, strict=False)
            return value.set(~value.is_finite(), None)
        case Kind.FLAG:
            lowered = raw.str.to_lowercase()
            yes, no = lowered.is_in(["true", "1", "yes"]), lowered.is_in(["false", "0", "no"])
            return pl.select(pl.when(yes).then(True).when(no).then(False)).to_series()
        case _:
            return raw.set(raw == "", None)


def counts(raw: pl.Series) -> pl.Series:
    """Whole numbers from 0 to ``MAX_COUNT``; null for anything else. ``12.0`` and ``1e3`` are whole numbers."""
    value = raw.cast(pl.Int64, strict=False)
    odd = value.is_null() & raw.is_not_null() & (raw != "")
    if odd.any():
        exact = raw.str.strip_chars().cast(_EXACT, strict=False)
        whole = exact.cast(pl.Int64, strict=False)
        is_whole = (whole.cast(_EXACT, strict=False) == exact).fill_null(False) & odd
        value = value.zip_with(~is_whole, whole)
    return value.set(((value < 0) | (value > MAX_COUNT)).fill_null(False), None)


def amounts(raw: pl.Series) -> pl.Series:
    """USD from 0 on, half-even to 12 places; null for anything else."""
    exact = raw.str.strip_chars().cast(_EXACT, strict=False)
    return exact.set((exact < 0).fill_null(False), None).cast(COST, strict=False)


def instants(raw: pl.Series) -> pl.Series:
    """Points in time in UTC, to the microsecond; null for anything else."""
    value = raw.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False).dt.replace_time_zone("UTC")
    rest = value.is_null() & raw.is_not_null() & (raw != "")
    if not rest.any():
        return value
    return value.scatter(rest.arg_true(), _other_instants(raw.filter(rest)))


def _other_instants(raw: pl.Series) -> pl.Series:
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
    seconds = pl.when(pl.lit(raw).str.contains(_EPOCH)).then(pl.lit(raw).str.strip_chars().cast(_EXACT, strict=False))
    sane = seconds.is_between(0, 253_402_300_799)  # up to the year 9999
    epoch = pl.when(sane).then((seconds * _MICROSECONDS).round(0).cast(pl.Int64, strict=False)).cast(INSTANT)
    return part.select(pl.coalesce(iso, epoch)).to_series()
