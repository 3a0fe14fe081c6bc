"""The complexity score, and what of a call it is made of."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from priced_calls import at, case

from finops_pipeline.savings.complexity import FEATURES, history_of, is_simple, with_features, with_score


def scored(*rows: dict[str, float | None]) -> list[dict[str, Any]]:
    schema = dict.fromkeys(FEATURES, pl.Float64)
    return with_score(pl.LazyFrame(rows, schema=schema)).with_columns(eligible=is_simple()).collect().to_dicts()


def test_case_c01() -> None:
    c01 = case("C01")
    weights = {name: (round(float(f["w"]) * 100), f["half"]) for name, f in c01["inputs"]["weights"].items()}
    assert {name: (feature.weight, feature.half) for name, feature in FEATURES.items()} == weights
    for row, expected in zip(scored(*c01["inputs"]["rows"]), c01["expected"], strict=True):
        assert row["score"] == pytest.approx(expected["score"], abs=1e-10)
        assert row["score_low"] == pytest.approx(expected["lo"], abs=1e-10)
        assert row["score_high"] == pytest.approx(expected["hi"], abs=1e-10)
        assert row["coverage"] == pytest.approx(expected["coverage"], abs=1e-12)
        assert row["eligible"] == expected["eligible"]


def test_nothing_known_is_no_score_and_not_eligible() -> None:
    (row,) = scored(dict.fromkeys(FEATURES))
    assert (row["score"], row["score_low"], row["score_high"], row["coverage"]) == (None, 0, 1, 0)
    assert not row["eligible"]


def test_the_boundaries() -> None:
    # 0.20 + 0.25 + 0.15 of the weights are known: exactly 0.60 is enough
    known = {"output_visible": 0, "reasoning": 0, "fresh_input": 0}
    assert scored(known)[0]["eligible"]
    # everything known, 0.20 + 0.10 at infinity: exactly 0.30 is not simple any more
    hard = {**dict.fromkeys(FEATURES, 0), "output_visible": 1e9, "retries": 1e9}
    assert scored(hard)[0]["score"] == 0.30
    assert not scored(hard)[0]["eligible"]


FEATURE_VALUES = st.fixed_dictionaries({name: st.none() | st.floats(0, 1e6) for name in FEATURES})


@given(FEATURE_VALUES, st.sampled_from(sorted(FEATURES)), st.floats(0, 1e5))
@settings(max_examples=50, deadline=None)
def test_bounds_hold_and_the_score_grows_with_each_known_feature(
    row: dict[str, float | None], name: str, more: float
) -> None:
    (before,) = scored(row)
    assert 0 <= before["score_low"] <= before["score_high"] <= 1
    if before["score"] is not None:
        assert before["score_low"] - 1e-12 <= before["score"] <= before["score_high"] + 1e-12
    value = row[name]
    if value is not None:
        (after,) = scored({**row, name: value + more})
        assert after["score"] >= before["score"] - 1e-12


def features(day: pl.LazyFrame) -> dict[str, list[Any]]:
    return with_features(day, history_of(day).lazy()).select(*FEATURES).collect().to_dict(as_series=False)


def test_what_of_a_call_the_features_are(day_of: Any) -> None:
    found = features(
        day_of(
            {
                "output_tokens": 500,
                "reasoning_tokens": 200,
                "input_tokens": 900,
                "cache_read_tokens": 7,
                "tool_calls": 3,
            },
            {"output_tokens": 500, "reasoning_tokens": None, "tool_calls": None},
        )
    )
    assert found["output_visible"] == [300, 500]
    assert found["reasoning"] == [200, None]
    assert found["fresh_input"] == [900, 0]
    assert found["tool_calls"] == [3, None]


def test_retries_are_the_failed_calls_before_it_in_its_trace(day_of: Any) -> None:
    attempts = [
        {"trace_id": "t", "event_time": at(9)},
        {"trace_id": "t", "event_time": at(0), "status": "error"},
        {"trace_id": "t", "event_time": at(4), "status": "error"},
        {"trace_id": "other", "event_time": at(5)},
        {"trace_id": None, "event_time": at(6)},
        {"trace_id": None, "event_time": at(5), "status": "error"},
    ]
    assert features(day_of(*attempts))["retries"] == [2, 0, 1, 0, None, None]


def test_variation_needs_three_calls_of_one_prompt_in_one_workload(day_of: Any) -> None:
    def call(tokens: int, prompt: str | None = "p", **more: Any) -> dict[str, Any]:
        return {"output_tokens": tokens, "prompt_fingerprint": prompt, **more}

    found = features(
        day_of(
            *(call(n) for n in (100, 200, 300)),
            *(call(n, "twice") for n in (1, 9)),
            *(call(n, None) for n in (1, 5, 9)),
            call(100, project="other"),
            call(10_000, status="error"),
        )
    )["output_cv"]
    # mean 200, deviations -100, 0, 100: sample standard deviation 100
    assert found[:3] == pytest.approx([0.5, 0.5, 0.5])
    assert found[3:9] == [None] * 6
    assert found[9] == pytest.approx(0.5)  # a failed call takes its prompt's variation and adds nothing to it
