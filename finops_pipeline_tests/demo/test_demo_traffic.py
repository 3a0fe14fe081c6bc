"""The synthetic calls: their times, their token counts, their number."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.demo.company import MODELS, TEAMS, WORKLOADS, Source
from finops_pipeline.demo.oddities import Every
from finops_pipeline.demo.traffic import DAYS, MAX_PROMPT_TOKENS, Call, calls_of, midnight_ms

SOURCES: tuple[Source, ...] = ("bedrock", "gateway", "internal")


def call(**changes: int) -> Call:
    made = Call(WORKLOADS[0], "id", "trace", midnight_ms(dt.date(2026, 10, 5)), "prompt", 0, "")
    return replace(made, **changes)


def test_midnight_is_that_of_utc() -> None:
    assert midnight_ms(dt.date(2026, 10, 5)) == dt.datetime(2026, 10, 5, tzinfo=dt.UTC).timestamp() * 1000


def test_day_of_a_call_changes_at_midnight() -> None:
    midnight = midnight_ms(dt.date(2026, 10, 5))
    assert call(at_ms=midnight - 1).day == dt.date(2026, 10, 4)
    assert call(at_ms=midnight).day == dt.date(2026, 10, 5)


def test_cost_is_tokens_times_list_prices() -> None:
    """Claude Opus 4.5 costs 5, 0.50, 6.25, 10 and 25 USD per million tokens."""
    spent = call(
        input_tokens=1_000_000,
        cache_read_tokens=2_000_000,
        cache_write_5m_tokens=4_000_000,
        cache_write_1h_tokens=1_000_000,
        output_tokens=100_000,
    )
    assert spent.cost_nano_usd == (5 + 1 + 25 + 10) * 10**9 + 25 * 10**8


@given(day=st.sampled_from(DAYS), source=st.sampled_from(SOURCES))
def test_calls_of_a_day_are_its_own_in_order_and_possible(day: dt.date, source: Source) -> None:
    calls = calls_of(source, day, 0.02)
    assert [c.at_ms for c in calls] == sorted(c.at_ms for c in calls)
    assert len({c.request_id for c in calls}) == len(calls)
    for c in calls:
        assert c.day == day
        assert min(c.tokens) >= 0
        assert sum(c.tokens[:4]) <= MAX_PROMPT_TOKENS
        assert c.reasoning_tokens <= c.output_tokens
        assert (sum(c.tokens) == 0) == bool(c.error)


@pytest.mark.parametrize("source", SOURCES)
def test_scale_multiplies_the_calls(source: Source) -> None:
    planned = sum(w.calls for w in WORKLOADS if w.source == source)
    made = sum(len(calls_of(source, day, 0.1)) for day in DAYS)
    assert made == pytest.approx(0.1 * planned, rel=0.1)


def test_workloads_name_known_models_and_all_six_teams() -> None:
    assert {w.model for w in WORKLOADS} == MODELS.keys()
    assert {w.team for w in WORKLOADS} == {t.name for t in TEAMS} | {None}
    assert len({(w.source, w.name) for w in WORKLOADS}) == len(WORKLOADS)


def test_every_counts_from_the_first() -> None:
    every = Every(3, first=2)
    assert [every() for _ in range(9)] == [False, True, False, False, True, False, False, True, False]
