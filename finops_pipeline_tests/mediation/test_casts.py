"""Texts become counts, amounts and times, or are told as defects; nothing is rounded or nulled unnoticed."""

import datetime as dt
from decimal import ROUND_HALF_EVEN, Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.formats.format import count, flag, instant, money, number, text
from finops_pipeline.mediation.casts import DEFECT, MAX_COUNT, amounts, counts, instants, typed


@pytest.mark.parametrize(
    ("written", "meant"),
    [("0", 0), ("12", 12), ("12.0", 12), ("1e3", 1000), ("007", 7), (str(MAX_COUNT), MAX_COUNT)],
)
def test_whole_numbers_are_counts_however_they_are_written(written: str, meant: int) -> None:
    assert counts(pl.Series([written])).to_list() == [meant]


@pytest.mark.parametrize(
    "written", ["1.5", "-1", "abc", "1e-7", "9223372036854775808", str(MAX_COUNT + 1), "true", "{}"]
)
def test_what_is_no_whole_number_from_zero_on_is_no_count(written: str) -> None:
    assert counts(pl.Series([written])).to_list() == [None]


@given(st.lists(st.integers(-(10**13), 10**13)))
def test_counts_keep_every_number_in_range(numbers: list[int]) -> None:
    want = [n if 0 <= n <= MAX_COUNT else None for n in numbers]
    assert counts(pl.Series([str(n) for n in numbers], dtype=pl.String)).to_list() == want


@given(st.lists(st.decimals(0, 900_000, places=15)))
def test_amounts_are_exact_to_twelve_places_half_even(values: list[Decimal]) -> None:
    want = [v.quantize(Decimal("1e-12"), rounding=ROUND_HALF_EVEN) for v in values]
    assert amounts(pl.Series([f"{v:f}" for v in values], dtype=pl.String)).to_list() == want


def test_amounts_in_scientific_notation_are_amounts() -> None:
    assert amounts(pl.Series(["7.74e-05", "1E2"])).to_list() == [Decimal("0.0000774"), Decimal(100)]


@pytest.mark.parametrize("written", ["-0.1", "x", "NaN", "inf", "1000000", "1,5"])
def test_what_is_no_amount_from_zero_on_is_none(written: str) -> None:
    assert amounts(pl.Series([written])).to_list() == [None]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-10-05T14:05:12Z", "2026-10-05T14:05:12+00:00"),
        ("2026-10-05T14:05:12.5Z", "2026-10-05T14:05:12.500000+00:00"),
        ("2026-10-05T10:30:00+02:00", "2026-10-05T08:30:00+00:00"),
        ("2026-10-05T08:00:00.123456789-0730", "2026-10-05T15:30:00.123456+00:00"),
        ("2026-10-05 08:00:00", "2026-10-05T08:00:00+00:00"),
        ("2026-10-05T08:00", "2026-10-05T08:00:00+00:00"),
        ("1791208801.25", "2026-10-05T14:00:01.250000+00:00"),
        ("1791208801", "2026-10-05T14:00:01+00:00"),
    ],
)
def test_times_are_instants_in_utc(written: str, meant: str) -> None:
    assert instants(pl.Series([written])).to_list() == [dt.datetime.fromisoformat(meant)]


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "2026-10-05",
        "2026-13-05T14:05:12Z",
        "-5",
        "1e99",
        "2026-10-05T25:00:00Z",
        "2026-10-05T08:00:00+99:99",
    ],
)
def test_what_is_no_time_is_none(written: str) -> None:
    assert instants(pl.Series([written])).to_list() == [None]


@given(st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2200, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_every_zone_is_the_same_instant(moment: dt.datetime) -> None:
    offset = moment.utcoffset()
    if offset is None or offset.seconds % 60:
        return
    assert instants(pl.Series([moment.isoformat()])).to_list() == [moment.astimezone(dt.UTC)]


def reason_for(field_text: str | None) -> str | None:
    frame = pl.DataFrame({"n": [field_text]}, schema={"n": pl.String})
    return typed(frame, {"n": count("$.usage.n")}).get_column(DEFECT).item()


def test_a_reason_names_path_and_number() -> None:
    assert reason_for("1.5") == "$.usage.n: expected a whole number from 0 to 1e12, got 1.5"


def test_a_reason_quotes_no_text_and_no_more_than_forty_characters() -> None:
    assert reason_for("tell me a secret") == (
        "$.usage.n: expected a whole number from 0 to 1e12, got a text of 16 characters"
    )
    assert reason_for("9" * 60) == f"$.usage.n: expected a whole number from 0 to 1e12, got {'9' * 40}"


@pytest.mark.parametrize("absent", [None, ""])
def test_absent_fields_are_null_and_no_defect(absent: str | None) -> None:
    frame = pl.DataFrame({"n": [absent]}, schema={"n": pl.String})
    assert typed(frame, {"n": count("$.n")}).rows() == [(None, None)]


def test_the_first_defect_of_a_record_is_its_reason() -> None:
    frame = pl.DataFrame({"at": ["soon"], "usd": ["much"]})
    reason = typed(frame, {"at": instant("$.at"), "usd": money("$.usd")}).get_column(DEFECT).item()
    assert reason.startswith("$.at: expected a time")


def test_measurements_and_flags_that_are_none_are_null_without_a_defect() -> None:
    frame = pl.DataFrame({"ms": ["fast", "7.5"], "stream": ["maybe", "TRUE"], "team": ["", "search"]})
    fields = {"ms": number("$.ms"), "stream": flag("$.stream"), "team": text("$.team")}
    assert typed(frame, fields).rows() == [(None, None, None, None), (7.5, True, "search", None)]
