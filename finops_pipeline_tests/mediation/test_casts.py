"""Texts become counts, amounts and times, or are told as defects; nothing is rounded or nulled unnoticed."""

import datetime as dt
from decimal import ROUND_HALF_EVEN, Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.formats.format import count, flag, instant, money, number, text
from finops_pipeline.mediation.casts import DEFECT, MAX_COUNT, amounts, counts, instants, typed
from finops_pipeline.schemas import COST, INSTANT


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
        (" 1791208801 ", "2026-10-05T14:00:01+00:00"),
        ("2026-10-05 14:05:12.123456+00:00", "2026-10-05T14:05:12.123456+00:00"),
        ("2026-10-05T23:59:60Z", "2026-10-06T00:00:00+00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
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
        "2026-10-05T08:00:00+23:00",
        "2026-10-05Z",
        "2026-10-05T14Z",
        "9999-12-31T23:59:59-05:00",
        "9999-12-31T23:59:60Z",
        "+10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "0000-01-01T00:00:00Z",
        "253402300800",
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


_TIMES = [
    "2026-10-05T14:05:12Z", "2026-10-05 14:05:12.1234567Z", "2026-10-05T14:05:12.5+00:00", "2026-10-05T14Z", "soon",
    "2026-10-05T14:05+02:00", "1791208801.25", " 1791208801", "9999-12-31T23:59:60Z", "2026-02-30T00:00:00Z", "", None,
]  # fmt: skip


@given(st.lists(st.sampled_from(_TIMES), min_size=1, max_size=6))
def test_a_time_is_the_same_whatever_stands_beside_it(times: list[str | None]) -> None:
    alone = [instants(pl.Series([time], dtype=pl.String)).item() for time in times]
    assert instants(pl.Series(times, dtype=pl.String)).to_list() == alone


@given(
    st.decimals(0, 4_000_000_000, places=9),
    st.sampled_from(["1", "0.001", "0.000001", "0.000000001"]).map(Decimal),
)
def test_epochs_are_exact_to_the_microsecond_in_every_unit(seconds: Decimal, unit: Decimal) -> None:
    want = int((seconds * 10**6).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    told = instants(pl.Series([f"{seconds / unit:f}"]), unit)
    assert told.to_list() == [dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=want)]


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


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["true", "false", None], [True, False, None]),
        (["true", "maybe"], [True, None]),
        (["TRUE", "0", "yes", "no", "", "1"], [True, False, True, False, None, True]),
        ([None], [None]),
    ],
)
def test_flags_however_they_are_written(written: list[str | None], meant: list[bool | None]) -> None:
    frame = pl.DataFrame({"on": written}, schema={"on": pl.String})
    assert typed(frame, {"on": flag("$.on")}).get_column("on").to_list() == meant


def test_what_no_record_has_has_its_type_all_the_same() -> None:
    fields = {"n": count("$.n"), "usd": money("$.usd"), "at": instant("$.at"), "ms": number("$.ms"), "on": flag("$.on")}
    frame = pl.DataFrame({name: [None] for name in fields}, schema=dict.fromkeys(fields, pl.String))
    assert typed(frame, fields).schema == {
        "n": pl.Int64, "usd": COST, "at": INSTANT, "ms": pl.Float64, "on": pl.Boolean, DEFECT: pl.String,
    }  # fmt: skip


def test_measurements_and_flags_that_are_none_are_null_without_a_defect() -> None:
    frame = pl.DataFrame({"ms": ["fast", "7.5"], "stream": ["maybe", "TRUE"], "team": ["", "search"]})
    fields = {"ms": number("$.ms"), "stream": flag("$.stream"), "team": text("$.team")}
    assert typed(frame, fields).rows() == [(None, None, None, None), (7.5, True, "search", None)]
