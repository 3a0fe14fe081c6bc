"""Token counts: classes stay disjoint whatever a writer's convention, and unknown is not zero."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.formats.tokens import sum_of_known, uncached

COUNTS = st.none() | st.integers(0, 10**12)


@settings(max_examples=50)
@given(st.lists(st.tuples(COUNTS, st.integers(0, 10**12)), min_size=1, max_size=20))
def test_input_and_cache_are_the_whole_or_were_disjoint(calls: list[tuple[int | None, int]]) -> None:
    frame = pl.DataFrame(calls, schema={"whole": pl.Int64, "cache": pl.Int64}, orient="row")
    fresh = frame.select(uncached(pl.col("whole"), pl.col("cache"))).to_series()
    for (whole, cache), tokens in zip(calls, fresh, strict=True):
        assert tokens == (whole if whole is None or whole < cache else whole - cache)


@pytest.mark.parametrize(("counts", "total"), [((None, None), None), ((None, 3), 3), ((0, None), 0), ((2, 3), 5)])
def test_a_sum_of_nothing_known_is_unknown(counts: tuple[int | None, ...], total: int | None) -> None:
    frame = pl.DataFrame({"a": [counts[0]], "b": [counts[1]]}, schema={"a": pl.Int64, "b": pl.Int64})
    assert frame.select(sum_of_known("a", pl.col("b"))).item() == total
