"""A cache of answers: what it would have answered, against a simulation call by call."""

import datetime as dt
import time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from priced_calls import MIDNIGHT, at, case

from finops_pipeline.savings.caching import READ, USUAL, hits_of, outcomes, timeline, with_caching
from finops_pipeline.schemas import PRICED_USAGE

CALL_SCHEMA = {**{name: PRICED_USAGE.schema[name] for name in READ}, "call": pl.get_index_type()}

PLAIN = {"team": "a", "model": "m", "prompt_fingerprint": "x", "status": "ok", "batch": False, "request_count": 1,
         "latency_ms": 0}  # fmt: skip


def frame(*calls: dict[str, Any]) -> pl.LazyFrame:
    return pl.LazyFrame([{**PLAIN, "call": n, **call} for n, call in enumerate(calls)], schema=CALL_SCHEMA)


NOBODY = frame()


def verdicts(
    calls: pl.LazyFrame, ttl: dt.timedelta, *, sliding: bool = False, before: pl.LazyFrame = NOBODY
) -> list[str]:
    """What the cache made of each call, in their order; those that are not on the timeline are misses."""
    line = timeline(calls, before)
    judged = line.select("call", outcome=outcomes(line, ttl, sliding=sliding).cast(pl.String)).drop_nulls("call")
    return calls.select("call").collect().join(judged, on="call", how="left")["outcome"].fill_null("miss").to_list()


def simulated(calls: list[tuple[int, int]], ttl: int, *, sliding: bool) -> list[str]:
    """The rule, call by call: (start, latency) in order of time."""
    answered = expires = None
    said = []
    for start, latency in calls:
        if answered is not None and start < answered:
            said.append("in_flight")
        elif expires is not None and start <= expires:
            said.append("hit")
            expires = max(expires, start + ttl) if sliding else expires
        else:
            said.append("miss")
            answered, expires = start + latency, start + latency + ttl
    return said


def test_case_c08(day_of: Any) -> None:
    c08 = case("C08")
    rows, ttl = c08["inputs"]["rows"], dt.timedelta(seconds=c08["inputs"]["ttl_s"])
    calls = frame(
        *(
            {
                "team": row["scope"], "model": row["model"], "prompt_fingerprint": row["fp"],
                "event_time": at(row["t"]), "latency_ms": row["lat"] * 1000, "status": "ok" if row["ok"] else "error",
            }
            for row in rows
        )
    )  # fmt: skip
    costs = [Decimal(row["cost"]) for row in rows]

    def saved(verdict: str, found: list[str]) -> Decimal:
        return sum((cost for cost, said in zip(costs, found, strict=True) if said == verdict), Decimal(0))

    fixed, sliding = verdicts(calls, ttl), verdicts(calls, ttl, sliding=True)
    assert fixed == c08["expected"]["fixed_ttl"]
    assert sliding == c08["expected"]["sliding_ttl"]
    assert saved("hit", fixed) == Decimal(c08["expected"]["saving_fixed"])
    assert saved("hit", sliding) == Decimal(c08["expected"]["saving_sliding"])
    assert saved("in_flight", fixed) == Decimal(c08["expected"]["coalescable_cost"])


CALLS = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 60), st.integers(0, 12)), max_size=40)


@given(CALLS, st.integers(1, 15), st.booleans())
@settings(max_examples=80, deadline=None)
def test_like_the_simulation_whatever_the_keys_around(
    calls: list[tuple[str, int, int]], ttl: int, sliding: bool
) -> None:
    calls = sorted(calls, key=lambda call: call[1])
    found = verdicts(
        frame(*({"prompt_fingerprint": k, "event_time": at(t), "latency_ms": lat * 1000} for k, t, lat in calls)),
        dt.timedelta(seconds=ttl),
        sliding=sliding,
    )
    for key in "xyz":
        own = [(t, lat) for k, t, lat in calls if k == key]
        assert [said for (k, _, _), said in zip(calls, found, strict=True) if k == key] == simulated(
            own, ttl, sliding=sliding
        )


@given(CALLS, st.integers(0, 60), st.booleans())
@settings(max_examples=60, deadline=None)
def test_cut_at_midnight_the_hits_are_those_of_one_run(
    calls: list[tuple[str, int, int]], midnight: int, sliding: bool
) -> None:
    rows = [{"prompt_fingerprint": k, "event_time": at(t), "latency_ms": lat * 1000} for k, t, lat in calls]
    numbered = [{**row, "call": n} for n, row in enumerate(rows)]
    first = [row for row, (_, t, _) in zip(numbered, calls, strict=True) if t < midnight]
    second = [row for row, (_, t, _) in zip(numbered, calls, strict=True) if t >= midnight]
    ttl = dt.timedelta(seconds=9)
    whole = verdicts(frame(*numbered), ttl, sliding=sliding)
    first_day = verdicts(frame(*first), ttl, sliding=sliding)
    second_day = verdicts(frame(*second), ttl, sliding=sliding, before=frame(*first))
    found = {row["call"]: said for row, said in zip([*first, *second], [*first_day, *second_day], strict=True)}
    assert [found[n] for n in range(len(rows))] == whole


@pytest.mark.parametrize(
    "other",
    [
        {"prompt_fingerprint": None},
        {"prompt_fingerprint": "other"},
        {"team": "b"},
        {"team": None},
        {"project": "p"},
        {"application": "p"},
        {"model": "m2"},
        {"input_tokens": 7},
        {"cache_read_tokens": 7},
        {"gateway_cache_hit": True},
        {"batch": True},
        {"request_count": 2},
        {"status": "error"},
    ],
)
def test_what_never_shares_an_answer(other: dict[str, Any]) -> None:
    twins = [{**other, "event_time": at(0)}, {"event_time": at(1)}, {**other, "event_time": at(2)}]
    found = verdicts(frame(*twins), USUAL)
    shares = {
        "prompt_fingerprint": "other",
        "team": "b",
        "project": "p",
        "application": "p",
        "model": "m2",
        "input_tokens": 7,
        "cache_read_tokens": 7,
    }
    alike = any(shares.get(name) == value for name, value in other.items())
    assert found == ["miss", "miss", "hit" if alike else "miss"]


def test_calls_that_name_no_scope_match_nothing() -> None:
    nobody = {"team": None, "event_time": at(0)}
    assert verdicts(frame(nobody, {**nobody, "event_time": at(1)}), USUAL) == ["miss", "miss"]


def test_without_a_latency_the_answer_takes_a_minute() -> None:
    leader = {"event_time": at(0), "latency_ms": None}
    assert verdicts(frame(leader, {"event_time": at(59)}, {"event_time": at(60)}), USUAL) == [
        "miss",
        "in_flight",
        "hit",
    ]


def test_a_latency_of_years_does_not_reach_into_other_keys() -> None:
    calls = [{"event_time": at(0), "latency_ms": 10**15}, {"event_time": at(1)}]
    others = [{"prompt_fingerprint": "y", "event_time": at(second)} for second in (0, 1)]
    assert verdicts(frame(*calls, *others), USUAL) == ["miss", "in_flight", "miss", "hit"]


def test_flags_by_grade(day_of: Any) -> None:
    call = {"input_tokens": 1000, "prompt_fingerprint": "x", "latency_ms": 10_000}
    minutes = (0, 0.1, 3, 30, 200)
    day = day_of(*({**call, "event_time": at(60 * minute)} for minute in minutes))
    found = with_caching(day, hits_of(day, NOBODY).lazy()).select("^caching_.*$").collect().to_dict(as_series=False)
    assert found == {
        "caching_low": [False, False, True, False, False],
        "caching_expected": [False, False, True, True, False],
        "caching_high": [False, True, True, True, True],
    }


def test_a_hit_without_a_price_is_no_saving(day_of: Any) -> None:
    call = {"raw_model": "nonsense", "input_tokens": 1000, "prompt_fingerprint": "x", "latency_ms": 1}
    day = day_of({**call, "event_time": at(0)}, {**call, "event_time": at(9)})
    assert with_caching(day, hits_of(day, NOBODY).lazy()).select("caching_high").collect()[
        "caching_high"
    ].to_list() == [False, False]


def test_an_answer_of_yesterday_is_a_hit_of_today_only(day_of: Any) -> None:
    call = {"input_tokens": 1000, "prompt_fingerprint": "x", "latency_ms": 0}
    late, early = MIDNIGHT - dt.timedelta(minutes=1), MIDNIGHT + dt.timedelta(minutes=1)
    before = day_of({**call, "event_time": late - dt.timedelta(minutes=2)}, {**call, "event_time": late})
    day = day_of({**call, "event_time": early})
    found = with_caching(day, hits_of(day, before).lazy()).collect()
    assert found["caching_low"].to_list() == [True]


def test_one_key_of_a_busy_day_takes_no_time() -> None:
    step = dt.timedelta(days=1) / 200_000
    calls = pl.LazyFrame({"event_time": [MIDNIGHT + step * n for n in range(200_000)]}).with_row_index("call")
    constants = [pl.lit(PLAIN.get(name), dtype=CALL_SCHEMA[name]).alias(name) for name in READ if name != "event_time"]
    begin = time.perf_counter()
    found = verdicts(calls.with_columns(constants), dt.timedelta(minutes=5))
    # a leader every five minutes and one step: the step is 0.432 s, so 695 calls share an answer
    assert found.count("miss") == -(-200_000 // 695)
    assert time.perf_counter() - begin < 20
