"""What goes on after a range has failed in part."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.days import days_between
from finops_pipeline.orchestration.continuation import AssetDay, Stretch, daily_upstream, runnable_stretches

UPSTREAM = daily_upstream(["a", "b"])
DAYS = days_between(dt.date(2026, 10, 1), dt.date(2026, 10, 5))
BELOW = ("priced_usage", "daily_costs")


def partitions(*assets: str) -> set[AssetDay]:
    return {(asset, day) for asset in assets for day in DAYS}


def test_at_first_everything_is_one_stretch() -> None:
    everything = partitions(*UPSTREAM)
    assert runnable_stretches(UPSTREAM, everything, set()) == [Stretch(tuple(UPSTREAM), DAYS[0], DAYS[-1])]


def test_a_failed_day_of_one_source_splits_what_is_below() -> None:
    done = partitions("usage/a", "usage/b") - {("usage/b", DAYS[2])}
    assert runnable_stretches(UPSTREAM, partitions(*BELOW), done) == [
        Stretch(BELOW, DAYS[0], DAYS[1]),
        Stretch(BELOW, DAYS[3], DAYS[4]),
    ]


def test_where_pricing_failed_on_one_day_the_rollup_of_the_others_goes_on() -> None:
    done = partitions("priced_usage") - {("priced_usage", DAYS[0])}
    assert runnable_stretches(UPSTREAM, partitions("daily_costs"), done) == [
        Stretch(("daily_costs",), DAYS[1], DAYS[4])
    ]


def test_nothing_goes_on_without_its_inputs() -> None:
    assert runnable_stretches(UPSTREAM, partitions(*BELOW), partitions("usage/a")) == []


def test_partial_days_wait_for_no_source() -> None:
    upstream = daily_upstream(["a", "b"], allow_partial=True)
    assert runnable_stretches(upstream, partitions(*BELOW), set()) == [Stretch(BELOW, DAYS[0], DAYS[-1])]


@given(st.sets(st.sampled_from(sorted(partitions(*UPSTREAM)))), st.sets(st.sampled_from(sorted(partitions(*UPSTREAM)))))
def test_only_pending_partitions_run_each_once_and_after_its_inputs(
    pending: set[AssetDay], done: set[AssetDay]
) -> None:
    found = runnable_stretches(UPSTREAM, pending, done)
    ran = [(asset, day) for s in found for day in days_between(s.first, s.last) for asset in s.assets]
    assert len(ran) == len(set(ran))
    assert set(ran) <= pending
    for asset, day in ran:
        assert all((i, day) in done or (i, day) in ran for i in UPSTREAM[asset])
