"""The batch tier: what may wait for it, what that would have cost, and what a regular job looks like."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from priced_calls import MIDNIGHT, at, book_of, case, price_rows

from finops_pipeline.savings.batching import batched, regular_bursts, signs_of, with_batching
from finops_pipeline.savings.calls import WORKLOAD
from finops_pipeline.savings.repricing import repriced
from finops_pipeline.schemas import PRICED_USAGE

NEVER = PRICED_USAGE.empty().lazy()


def judged(day: pl.LazyFrame, activity: pl.LazyFrame = NEVER) -> pl.DataFrame:
    return with_batching(day, signs_of(day, activity)).collect()


def in_a_batch(day: pl.LazyFrame, book: Any) -> list[Decimal | None]:
    there = batched(day, book).with_columns(variant=pl.lit("queued"))
    return repriced(there, book).sort("call").collect()["repriced"].to_list()


def test_case_c17(day_of: Any, case_book: Any) -> None:
    c17 = case("C17")
    rows = c17["inputs"]["rows"]
    calls = [
        {
            "raw_model": c17["inputs"]["model"], "project": row["service"], "stream": row["stream"],
            "batch": row["batch"], "session_id": f"s{row['id']}", "event_time": at(0), "input_tokens": row["fresh"],
            "cache_read_tokens": row["read"], "output_tokens": row["out"],
            "tags": [{"key": "interactive", "value": str(row["interactive"])}],
        }
        for row in rows
    ]  # fmt: skip
    followers = [
        {"session_id": f"s{row['id']}", "event_time": at(row["session_next_s"])}
        for row in rows
        if row["session_next_s"]
    ]
    day = day_of(*calls, *followers)
    found = judged(day).head(len(rows)).filter("batching_high")
    assert [rows[n]["id"] for n in found["call"]] == c17["expected"]["eligible_ids"]
    prices = in_a_batch(found.lazy(), case_book)
    savings = {
        str(rows[n]["id"]): cost - price
        for n, cost, price in zip(found["call"], found["contracted_cost"], prices, strict=True)
        if price is not None
    }
    assert savings == {name: Decimal(amount) for name, amount in c17["expected"]["per_request"].items()}
    assert sum(savings.values()) == Decimal(c17["expected"]["saving"])


def test_cache_classes_without_a_batch_price_are_fresh_input_each_on_its_own(day_of: Any) -> None:
    prices = {"claude-x": {"in": "3", "read": "0.3", "write": "3.75", "write_1h": "6", "out": "15"}}
    half = {"claude-x": {"in": "1.5", "read": "0.15", "out": "7.5"}}
    book = book_of([*price_rows(prices), *price_rows(half, tiers=("batch",))])
    call = {"provider": "anthropic", "raw_model": "claude-x", "input_tokens": 10, "cache_read_tokens": 100,
            "cache_write_5m_tokens": 1000, "cache_write_1h_tokens": 10_000, "output_tokens": 1}  # fmt: skip
    expected = (11_010 * Decimal("1.5") + 100 * Decimal("0.15") + Decimal("7.5")) / 1_000_000
    assert in_a_batch(day_of(call, book=book), book) == [expected]


def test_no_batch_price_is_no_saving(day_of: Any, catalogue_book: Any) -> None:
    calls = [
        {"raw_model": "gpt-5", "input_tokens": 1000},
        {"raw_model": "gpt-5", "input_tokens": 1000, "event_time": dt.datetime(2026, 10, 13, 23, tzinfo=dt.UTC)},
        {"raw_model": "gpt-5", "input_tokens": 1000, "provider": "azure"},
    ]
    assert in_a_batch(day_of(*calls, book=catalogue_book), catalogue_book) == [Decimal("0.000625"), None, None]


def test_a_cache_read_without_a_published_batch_price_is_fresh_input(day_of: Any, catalogue_book: Any) -> None:
    # gpt-4.1: 2 USD a million tokens, 0.50 from its cache, 1 in a batch job, which has no price of its own for these
    call = {"raw_model": "gpt-4.1", "input_tokens": 1000, "cache_read_tokens": 3000}
    day = day_of(call, book=catalogue_book)
    assert day.collect()["contracted_cost"].to_list() == [Decimal("0.0035")]
    assert in_a_batch(day, catalogue_book) == [Decimal("0.004")]


@pytest.mark.parametrize(
    "veto",
    [
        {"stream": True},
        {"batch": True},
        {"service_tier": "batch"},
        {"service_tier": "priority"},
        {"end_user": "customer 7"},
        {"tags": [{"key": "interactive", "value": "yes"}]},
        {"status": "error"},
        {"gateway_cache_hit": True},
        {"raw_model": "nonsense"},
        {"input_tokens": 0},
        {"request_count": 2},
    ],
)
def test_vetoes(veto: dict[str, Any], day_of: Any) -> None:
    call = {"input_tokens": 1000, "service_tier": "default", "stream": None}
    assert judged(day_of(call, {**call, **veto}))["batching_high"].to_list() == [True, False]


@pytest.mark.parametrize(("pause", "waits"), [(3600, True), (3601, False)])
def test_a_session_that_goes_on_within_the_hour(pause: int, waits: bool, day_of: Any) -> None:
    first, last = ({"session_id": "s", "input_tokens": 9, "event_time": at(t)} for t in (0, pause))
    alone = {"session_id": None, "input_tokens": 9, "event_time": at(1)}
    assert judged(day_of(last, alone, alone, first))["batching_high"].to_list() == [True, True, True, not waits]


@pytest.mark.parametrize("who", ["user_id", "end_user"])
def test_more_than_two_users_are_people(who: str, day_of: Any) -> None:
    def users(*names: str | None) -> list[bool]:
        calls = [{"input_tokens": 9, who: name} for name in names]
        return judged(day_of(*calls, {"input_tokens": 9, "project": "other"}))["batching_high"].to_list()

    assert users("a", "b", None)[2:] == [True, True]
    assert users("a", "b", "c", None)[3:] == [False, True]


# -- regular bursts --------------------------------------------------------------------------------------------------

JOB = dict(zip(WORKLOAD, ("search", "nightly-eval", None, "OpenAI API", "gpt-4o"), strict=True))
SENT = {"batch": False, "stream": False, "request_count": 1, "end_user": None, "service_tier": None}
WORKLOADS = pl.LazyFrame([{"workload": 7, **JOB}], schema={"workload": pl.UInt64, **dict.fromkeys(WORKLOAD, pl.String)})


def activity(*starts: dt.datetime, calls: int = 20, every: float = 5, **other: Any) -> pl.LazyFrame:
    """A job's calls from each start on."""
    times = [start + dt.timedelta(seconds=every * n) for start in starts for n in range(calls)]
    return pl.LazyFrame(
        {**{name: [value] * len(times) for name, value in {**JOB, **SENT, **other}.items()}, "event_time": times},
        schema_overrides={name: PRICED_USAGE.schema[name] for name in (*JOB, *SENT, "event_time")},
    )


def nights(count: int, jitter_minutes: int = 0) -> list[dt.datetime]:
    return [
        MIDNIGHT - dt.timedelta(days=n) + dt.timedelta(hours=2, minutes=jitter_minutes * (n % 5)) for n in range(count)
    ]


def bursts(calls: pl.LazyFrame) -> int:
    return regular_bursts(calls, WORKLOADS).height


def test_a_job_of_each_night_is_regular() -> None:
    found = regular_bursts(activity(*nights(8)), WORKLOADS)
    assert found["workload"].unique().to_list() == [7]
    assert found["start"].to_list() == sorted(nights(8))
    assert (found["end"] - found["start"]).unique().to_list() == [dt.timedelta(seconds=5 * 19)]


@pytest.mark.parametrize(
    ("calls", "regular"),
    [
        (activity(*nights(7)), 0),  # too few bursts
        (activity(*nights(14), calls=19), 0),  # too few calls
        (activity(*nights(10, jitter_minutes=20)), 10),
        (activity(*nights(10, jitter_minutes=200)), 0),  # at any time of the night and day
        (activity(*(MIDNIGHT + dt.timedelta(hours=n) for n in range(10))), 10),  # on the hour
        (activity(*(MIDNIGHT + dt.timedelta(minutes=17 * n) for n in range(60))), 0),
        (activity(*nights(10), calls=60, every=480), 10),  # each night, for 7 h 52 min
        (activity(*nights(10), calls=62, every=480), 0),  # for 8 h 8 min: people at work
        (activity(*nights(10), project="other"), 0),  # another workload's
        (activity(*nights(10), application="x"), 0),
        # not of a job that could be queued: the project's own batch jobs, its chat, buckets of a usage report
        (activity(*nights(10), batch=True), 0),
        (activity(*nights(10), service_tier="batch"), 0),
        (activity(*nights(10), stream=True), 0),
        (activity(*nights(10), end_user="customer 7"), 0),
        (activity(*nights(10), request_count=40), 0),
    ],
)
def test_what_counts_as_regular(calls: pl.LazyFrame, regular: int) -> None:
    assert bursts(calls) == regular


@pytest.mark.parametrize(("pause", "number"), [(600, 8), (601, 16)])
def test_a_pause_of_more_than_ten_minutes_ends_a_burst(pause: int, number: int) -> None:
    again = [night + dt.timedelta(seconds=5 * 19 + pause) for night in nights(8)]
    assert bursts(activity(*nights(8), *again)) == number


def test_grades_low_within_bursts_expected_of_their_workload_high_of_all(day_of: Any) -> None:
    night = nights(1)[0]
    calls = [
        {"project": "nightly-eval", "event_time": night},
        {"project": "nightly-eval", "event_time": night + dt.timedelta(seconds=5 * 19)},
        {"project": "nightly-eval", "event_time": night + dt.timedelta(seconds=5 * 19 + 1)},
        {"project": "other", "event_time": night},
    ]
    day = day_of(*({"input_tokens": 1000, **call} for call in calls))
    found = judged(day, activity(*nights(8)))
    assert found["batching_low"].to_list() == [True, True, False, False]
    assert found["batching_expected"].to_list() == [True, True, True, False]
    assert found["batching_high"].to_list() == [True] * 4
