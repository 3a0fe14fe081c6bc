"""Rollup and breakdown: sums of what rating decided, over any dimensions and dates."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.costs import BREAKDOWN_DIMENSIONS, breakdown, breakdown_of, daily_costs, gaps
from finops_pipeline.errors import LakeError
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.schemas import DAILY_COSTS, PRICED_USAGE, RATIO, TOTAL
from finops_pipeline.schemas.daily_costs import DIMENSIONS

DAY = dt.date(2026, 10, 1)
STAMP = Stamp(schema_version=1, input_digest="", run="")


def call(**columns: Any) -> dict[str, Any]:
    """A priced call of 100 tokens in, 10 out, at a cent; ``columns`` says what is different."""
    return {
        "source": "bedrock",
        "request_id": "r",
        "event_time": dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC),
        "batch": False,
        "status": "ok",
        "request_count": 1,
        "usage_quality": "reported",
        "raw_object": "o",
        "raw_line": 1,
        "price_status": "priced",
        "book_version": "b",
        "team": "search",
        "model": "claude",
        "raw_model": "anthropic.claude",
        "input_tokens": 100,
        "output_tokens": 10,
        "list_cost": Decimal("0.02"),
        "contracted_cost": Decimal("0.01"),
        "cost": Decimal("0.01"),
        **columns,
    }


def unpriced(**columns: Any) -> dict[str, Any]:
    costs = dict.fromkeys(("list_cost", "contracted_cost", "cost"))
    return call(**{"price_status": "unpriced", "price_reason": "unresolved_model", **costs, **columns})


def priced_usage(*calls: dict[str, Any]) -> pl.LazyFrame:
    return PRICED_USAGE.check(pl.DataFrame(list(calls), schema=PRICED_USAGE.schema)).lazy()


def rolled_up(*calls: dict[str, Any]) -> list[dict[str, Any]]:
    return DAILY_COSTS.check(daily_costs(priced_usage(*calls)).collect()).to_dicts()


# -- daily_costs ------------------------------------------------------------------------------------------------------


def test_calls_of_the_same_dimensions_become_one_row() -> None:
    (row,) = rolled_up(call(), call(cache_read_tokens=5, reasoning_tokens=3), call(output_tokens=None))
    assert row["requests"] == 3
    assert (row["input_tokens"], row["output_tokens"]) == (300, 20)
    assert (row["cache_read_tokens"], row["cache_write_5m_tokens"], row["cache_write_1h_tokens"]) == (5, 0, 0)
    assert row["reasoning_tokens"] == 3
    assert (row["list_cost"], row["contracted_cost"], row["cost"]) == tuple(map(Decimal, ("0.06", "0.03", "0.03")))


@pytest.mark.parametrize("dimension", [d for d in DIMENSIONS if d != "model"])
def test_each_dimension_keeps_calls_apart_and_null_is_a_value_of_its_own(dimension: str) -> None:
    values = ["a", "b"] if dimension == "source" else [None, "a", "b"]
    rows = rolled_up(*(call(**{dimension: v}) for v in values for _ in range(2)))
    assert sorted((r[dimension] or "", r["requests"]) for r in rows) == sorted((v or "", 2) for v in values)


def test_an_aggregated_row_counts_its_calls() -> None:
    (row,) = rolled_up(call(request_count=40), call(request_count=2, status="error"))
    assert (row["requests"], row["errors"]) == (42, 2)


def test_a_model_that_does_not_resolve_shows_its_raw_id() -> None:
    rows = rolled_up(call(), unpriced(model=None, raw_model="mystery-1"), unpriced(model=None, raw_model=None))
    assert [r["model"] for r in rows] == ["claude", "mystery-1", None]


def test_a_call_without_a_price_adds_nothing_to_cost_and_is_counted() -> None:
    row, priced = rolled_up(call(), unpriced(request_count=3, input_tokens=70, output_tokens=None, cache_read_tokens=7))
    assert (priced["cost"], priced["requests"], priced["unpriced_requests"]) == (Decimal("0.01"), 1, 0)
    assert (row["cost"], row["requests"]) == (Decimal(0), 3)
    assert (row["unpriced_requests"], row["unpriced_tokens"]) == (3, 77)


def test_calls_without_a_price_stand_apart_by_their_reason() -> None:
    rows = rolled_up(
        call(),
        unpriced(),
        unpriced(request_count=2),
        unpriced(price_reason="unknown_tier"),
        call(price_reason="unknown_tier"),  # charged as reported; why our own price is unknown is no matter here
    )
    assert [(r["unpriced_reason"], r["requests"], r["unpriced_requests"], r["cost"]) for r in rows] == [
        ("unknown_tier", 1, 1, Decimal(0)),
        ("unresolved_model", 3, 3, Decimal(0)),
        (None, 2, 0, Decimal("0.02")),
    ]


def test_tokens_that_contradict_themselves_count_for_nothing_and_their_calls_count() -> None:
    hostile = unpriced(price_reason="invalid_usage", input_tokens=10**12, reasoning_tokens=10**12, request_count=2)
    rows = rolled_up(call(), hostile, unpriced())
    assert sum(r["requests"] for r in rows) == 4
    assert sum(r["unpriced_requests"] for r in rows) == 3
    assert sum(r["unpriced_tokens"] for r in rows) == 110
    assert sum(r["input_tokens"] + r["output_tokens"] + r["reasoning_tokens"] for r in rows) == 220


def test_a_free_call_is_no_unpriced_one() -> None:
    zero = dict.fromkeys(("list_cost", "contracted_cost", "cost"), Decimal(0))
    (row,) = rolled_up(call(status="error", price_status="free", **zero))
    assert (row["errors"], row["unpriced_requests"], row["cost"]) == (1, 0, Decimal(0))


def test_reported_cost_is_null_where_no_log_reports_one() -> None:
    rows = rolled_up(
        call(team="a"), call(team="b", reported_cost=Decimal("0.5")), call(team="b"), call(team="c", reported_cost=0)
    )
    assert [(r["team"], r["reported_cost"]) for r in rows] == [
        ("a", None),
        ("b", Decimal("0.5")),
        ("c", Decimal(0)),
    ]


def test_sums_leave_the_range_of_a_single_cost() -> None:
    (row,) = rolled_up(*[call(cost=Decimal("999999.999999999999"))] * 3)
    assert row["cost"] == Decimal("2999999.999999999997")


def test_a_day_without_calls_has_no_rows() -> None:
    assert rolled_up() == []


def test_the_order_of_rows_does_not_depend_on_that_of_calls() -> None:
    calls = [call(team=t, project=p) for t in ("b", None, "a") for p in (None, "y", "x")]
    assert rolled_up(*calls) == rolled_up(*reversed(calls))


COSTS = st.none() | st.decimals(0, 999_999, places=12)
CALLS = st.builds(
    lambda cost, **columns: call(cost=cost, price_status="unpriced" if cost is None else "priced", **columns),
    cost=COSTS,
    team=st.sampled_from([None, "a", "b"]),
    source=st.sampled_from(["x", "y"]),
    request_count=st.integers(1, 10),
    input_tokens=st.none() | st.integers(0, 10**9),
    output_tokens=st.none() | st.integers(0, 10**9),
)


@given(st.lists(CALLS, max_size=20))
def test_nothing_is_lost_and_nothing_is_counted_twice(calls: list[dict[str, Any]]) -> None:
    rows = rolled_up(*calls)
    assert sum(r["requests"] for r in rows) == sum(c["request_count"] for c in calls)
    assert sum(r["unpriced_requests"] for r in rows) == sum(c["request_count"] for c in calls if c["cost"] is None)
    assert sum(r["cost"] for r in rows) == sum(c["cost"] or 0 for c in calls)
    tokens = ("input_tokens", "output_tokens")
    assert sum(r[t] for r in rows for t in tokens) == sum(c[t] or 0 for c in calls for t in tokens)


# -- breakdown --------------------------------------------------------------------------------------------------------


def costs(*rows: tuple[str | None, str | None, int, str]) -> pl.LazyFrame:
    """Rows of daily_costs from (team, model, day of October, cost): 10 requests of 110 tokens each."""
    frames = [
        daily_costs(
            priced_usage(call(team=team, model=model, raw_model=None, request_count=10, cost=Decimal(cost)))
        ).with_columns(pl.lit(dt.date(2026, 10, day)).alias("date"))
        for team, model, day, cost in rows
    ]
    empty = daily_costs(priced_usage()).with_columns(pl.lit(DAY).alias("date"))
    return pl.concat([empty, *frames])


SOME = (("search", "claude", 1, "2"), ("search", "nova", 2, "1"), ("chat", "claude", 2, "5"), (None, "claude", 4, "0"))


def broken_down(by: Sequence[str], *columns: str, rows: Sequence[Any] = SOME, **options: Any) -> list[tuple[Any, ...]]:
    return breakdown(costs(*rows), by, **options).select(columns or pl.all()).collect().rows()


def test_by_team_the_largest_comes_first_and_unallocated_stays_null() -> None:
    assert broken_down(["team"], "team", "requests", "tokens", "cost", "share") == [
        ("chat", 10, 110, Decimal(5), 0.625),
        ("search", 20, 220, Decimal(3), 0.375),
        (None, 10, 110, Decimal(0), 0.0),
    ]


def test_by_two_dimensions() -> None:
    assert broken_down(["model", "team"], "model", "team", "cost") == [
        ("claude", "chat", Decimal(5)),
        ("claude", "search", Decimal(2)),
        ("nova", "search", Decimal(1)),
        ("claude", None, Decimal(0)),
    ]


def test_equal_costs_come_in_order_of_their_names() -> None:
    rows = [(team, "m", 1, "1") for team in ("b", None, "a")]
    assert broken_down(["team"], "team", rows=rows) == [("a",), ("b",), (None,)]


@pytest.mark.parametrize("name", ["day", "date"])
def test_by_day_time_goes_on_and_date_is_another_name(name: str) -> None:
    assert broken_down([name], "day", "cost") == [
        (dt.date(2026, 10, 1), Decimal(2)),
        (dt.date(2026, 10, 2), Decimal(6)),
        (dt.date(2026, 10, 4), Decimal(0)),
    ]


def test_by_day_of_a_period_every_day_has_a_row() -> None:
    period = (dt.date(2026, 9, 30), dt.date(2026, 10, 4))
    rows = broken_down(["day"], "day", "requests", "cost", period=period)
    assert rows == [
        (dt.date(2026, 9, 30), 0, Decimal(0)),
        (dt.date(2026, 10, 1), 10, Decimal(2)),
        (dt.date(2026, 10, 2), 20, Decimal(6)),
        (dt.date(2026, 10, 3), 0, Decimal(0)),
        (dt.date(2026, 10, 4), 10, Decimal(0)),
    ]


def test_by_month_of_a_period_every_month_has_a_row() -> None:
    period = (dt.date(2026, 8, 31), dt.date(2026, 11, 1))
    assert broken_down(["month"], "month", "cost", period=period) == [
        ("2026-08", Decimal(0)),
        ("2026-09", Decimal(0)),
        ("2026-10", Decimal(8)),
        ("2026-11", Decimal(0)),
    ]


def test_by_month_and_team_within_a_month_the_largest_comes_first() -> None:
    assert broken_down(["team", "month"], "month", "team", "cost") == [
        ("2026-10", "chat", Decimal(5)),
        ("2026-10", "search", Decimal(3)),
        ("2026-10", None, Decimal(0)),
    ]


def test_the_total_is_one_row() -> None:
    assert broken_down([], "requests", "errors", "tokens", "cost", "share") == [(40, 0, 440, Decimal(8), 1.0)]


def test_an_empty_period_is_zeros() -> None:
    assert broken_down([], rows=()) == [(0, 0, 0, Decimal(0), None, 0, 0)]
    assert broken_down(["team"], rows=()) == []
    assert broken_down(["day"], rows=(), period=(DAY, DAY)) == [(DAY, 0, 0, 0, Decimal(0), None, 0, 0)]


@pytest.mark.parametrize("by", [[], ["team"], ["day"], ["month", "team"], list(DIMENSIONS)])
@pytest.mark.parametrize("rows", [(), SOME])
def test_the_columns_are_the_same_with_and_without_rows(by: list[str], rows: Sequence[Any]) -> None:
    frame = breakdown(costs(*rows), by).collect()
    types = {"day": pl.Date()}
    assert frame.schema == pl.Schema(
        {
            **{name: types.get(name, pl.String()) for name in by},
            "requests": pl.Int64,
            "errors": pl.Int64,
            "tokens": pl.Int64,
            "cost": TOTAL,
            "share": RATIO,
            "unpriced_requests": pl.Int64,
            "unpriced_tokens": pl.Int64,
        }
    )


def test_a_dimension_given_twice_counts_once() -> None:
    assert breakdown(costs(*SOME), ["day", "date", "day"]).collect_schema().names()[:2] == ["day", "requests"]


def test_an_unknown_dimension_is_named() -> None:
    with pytest.raises(ValueError, match=r"no dimension teem: expected any of source, provider, .*team"):
        breakdown(costs(), ["teem", "model"])


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "a", "b"]), st.sampled_from(["m", "n"]), st.integers(1, 31), st.integers(0, 9))
    ),
    st.lists(st.sampled_from(BREAKDOWN_DIMENSIONS), max_size=3),
)
def test_every_breakdown_adds_up_to_the_total(rows: list[tuple[Any, ...]], by: list[str]) -> None:
    frame = breakdown(costs(*((t, m, d, str(c)) for t, m, d, c in rows)), by).collect()
    assert frame.get_column("cost").sum() == sum(c for *_, c in rows)
    assert frame.get_column("requests").sum() == 10 * len(rows)


# -- of a lake --------------------------------------------------------------------------------------------------------


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    for day in (1, 2, 3):
        frame = daily_costs(priced_usage(call(cost=Decimal(day)))).collect()
        lake.write(DAILY_COSTS, frame, STAMP, date=dt.date(2026, 10, day))
    return lake


def test_both_days_are_included(lake: Lake) -> None:
    frame = breakdown_of(lake, dt.date(2026, 10, 2), dt.date(2026, 10, 3), ["team"])
    assert frame.select("team", "requests", "cost").rows() == [("search", 2, Decimal(5))]


def test_days_that_were_never_run_are_zeros_and_named(lake: Lake) -> None:
    first, last = dt.date(2026, 10, 3), dt.date(2026, 10, 5)
    frame = breakdown_of(lake, first, last, ["day"])
    assert frame.get_column("cost").to_list() == [Decimal(3), Decimal(0), Decimal(0)]
    assert gaps(lake, first, last).missing == (dt.date(2026, 10, 4), dt.date(2026, 10, 5))


def test_days_that_lack_a_source_are_named(lake: Lake) -> None:
    stamp = replace(STAMP, notes={"missing_sources": ["gateway"]})
    lake.write(DAILY_COSTS, DAILY_COSTS.empty(), stamp, date=dt.date(2026, 10, 4))
    found = gaps(lake, DAY, dt.date(2026, 10, 4))
    assert (found.missing, found.partial) == ((), {dt.date(2026, 10, 4): ("gateway",)})


def test_a_lake_that_does_not_exist_yet_is_zeros(tmp_path: Path) -> None:
    frame = breakdown_of(Lake(tmp_path / "none"), DAY, DAY, [])
    assert frame.get_column("cost").to_list() == [Decimal(0)]


def test_days_in_the_wrong_order_and_unknown_dimensions_are_refused(lake: Lake) -> None:
    with pytest.raises(ValueError, match="lies after"):
        breakdown_of(lake, dt.date(2026, 10, 2), DAY, [])
    with pytest.raises(ValueError, match="no dimension x"):
        breakdown_of(lake, DAY, DAY, ["x"])


def test_a_damaged_day_is_an_error_of_the_lake(lake: Lake) -> None:
    Path(lake.place(DAILY_COSTS, date=DAY)).write_bytes(b"not parquet at all")
    with pytest.raises(LakeError, match="daily_costs: cannot be read"):
        breakdown_of(lake, DAY, DAY, ["team"])
