"""Simple calls on a smaller model: which may go, and what they would have been there."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from priced_calls import MIDNIGHT, book_of, case, price_rows, score, seller

from finops_pipeline.savings.downgrade import downgraded, with_downgrade
from finops_pipeline.savings.pairs import PAIRS, Pair
from finops_pipeline.savings.repricing import repriced

LONG_AGO = dt.date(2024, 1, 1)


def tokens(row: dict[str, Any]) -> dict[str, int]:
    """A row of a case as columns of usage."""
    named = {"fresh": "input_tokens", "read": "cache_read_tokens", "write": "cache_write_5m_tokens"}
    return {column: row[name] for name, column in {**named, "out": "output_tokens"}.items() if name in row}


def pair(model: str, target: str, **more: Any) -> Pair:
    return Pair(model, target, LONG_AGO, "test", provider=seller(target), **more)


def moved(day: pl.LazyFrame, book: Any, *pairs: Pair) -> pl.DataFrame:
    """The calls with flags, and with their price on the target where they may go there."""
    judged = with_downgrade(day, book, pairs or PAIRS).collect().lazy()
    there = downgraded(judged.filter("downgrade_expected")).with_columns(variant=pl.lit("smaller"))
    return judged.join(repriced(there, book), on="call", how="left", maintain_order="left").collect()


def test_case_c02(day_of: Any, case_book: Any) -> None:
    c02 = case("C02")
    rows = c02["inputs"]["rows"]
    day = day_of(*({**tokens(row), **score(row["c"])} for row in rows))
    found = moved(day, case_book, pair(c02["inputs"]["model"], c02["inputs"]["target"]))
    eligible = found.filter("downgrade_expected")
    assert [rows[n]["id"] for n in eligible["call"]] == c02["expected"]["eligible_ids"]
    assert found["contracted_cost"].sum() == Decimal(c02["expected"]["actual_total"])
    assert eligible["contracted_cost"].sum() == Decimal(c02["expected"]["eligible_actual"])
    assert eligible["repriced"].sum() == Decimal(c02["expected"]["eligible_repriced"])


@pytest.mark.parametrize("number", ["C04", "C05"])
def test_what_one_call_would_have_cost_there(number: str, day_of: Any, case_book: Any) -> None:
    given, expected = case(number)["inputs"], case(number)["expected"]
    model, target = given["model"], given["target"]
    factors = {name: Decimal(given[name]) for name in ("tokeniser_factor", "output_factor") if name in given}
    call = {"provider": seller(model), "raw_model": model, **tokens(given["row"]), **score(0.0)}
    (row,) = moved(day_of(call), case_book, pair(model, target, **factors)).to_dicts()
    assert row["contracted_cost"] == Decimal(expected["actual"])
    assert row["repriced"] == Decimal(expected.get("target") or expected["correct_target"])
    assert row["contracted_cost"] - row["repriced"] == Decimal(expected["saving"])


def test_a_prefix_that_the_target_caches_too_stays_cached(day_of: Any, case_book: Any) -> None:
    call = {"provider": "anthropic", "raw_model": "claude-sonnet-4-5", **score(0.0)}
    day = day_of({**call, "cache_read_tokens": 4000, "cache_write_5m_tokens": 96})
    (row,) = moved(day, case_book).to_dicts()
    assert row["repriced"] == 4000 * Decimal("0.10E-6") + 96 * Decimal("1.25E-6")
    (short,) = moved(day_of({**call, "cache_read_tokens": 4000, "cache_write_5m_tokens": 95}), case_book).to_dicts()
    assert short["repriced"] == 4095 * Decimal("1E-6")


def test_a_target_reads_its_cache_in_steps(day_of: Any, case_book: Any) -> None:
    day = day_of({"cache_read_tokens": 1200, "input_tokens": 10, **score(0.0)})
    (row,) = moved(day, case_book).to_dicts()
    assert row["target"] == "gpt-4o-mini"
    assert row["repriced"] == 1152 * Decimal("0.075E-6") + 58 * Decimal("0.15E-6")


@pytest.mark.parametrize(
    ("bounds", "grades"),
    [
        ((0.29, 0.29, 0.29, 1.0), (True, True, True)),
        ((0.20, 0.25, 0.31, 0.9), (False, True, True)),
        ((0.20, 0.31, 0.40, 0.7), (False, False, True)),
        ((0.10, 0.20, 0.70, 0.59), (False, False, False)),
        ((None, None, None, None), (False, False, False)),
    ],
)
def test_the_grades_take_what_is_not_known_for_hard_or_easy(
    bounds: tuple[Any, ...], grades: tuple[bool, ...], day_of: Any, case_book: Any
) -> None:
    columns = dict(zip(("score_low", "score", "score_high", "coverage"), bounds, strict=True))
    frame = with_downgrade(day_of({"input_tokens": 1000}).with_columns(**columns), case_book).collect()
    assert frame.select("downgrade_low", "downgrade_expected", "downgrade_high").row(0) == grades


@pytest.mark.parametrize(
    "veto",
    [
        {"status": "error"},
        {"gateway_cache_hit": True},
        {"input_tokens": 0},
        {"input_tokens": None},
        {"raw_model": "nonsense"},
        {"raw_model": "gpt-4o-mini"},
        {"request_count": 5},
        {"tags": [{"key": "Critical", "value": "TRUE"}]},
        {"input_audio_tokens": 1},
        {"output_image_tokens": 1, "output_tokens": 2},
        {"input_tokens": 100_001, "cache_read_tokens": 28_000},
        {"input_tokens": 127_900, "output_tokens": 101},
        {"event_time": dt.datetime(2024, 7, 17, 23, 59, tzinfo=dt.UTC)},
    ],
)
def test_vetoes(veto: dict[str, Any], day_of: Any, catalogue_book: Any) -> None:
    call = {"input_tokens": 1000, "tags": [{"key": "critical", "value": "no"}], **score(0.1)}
    found = moved(day_of(call, {**call, **veto}, book=catalogue_book), catalogue_book)
    assert found["downgrade_expected"].to_list() == [True, False]
    assert found["repriced"].is_null().to_list() == [False, True]


@pytest.mark.parametrize("tier", ["batch", "provisioned"])
def test_tiers_that_are_reserved_or_queued_stay(tier: str, day_of: Any) -> None:
    rows = price_rows(
        {"gpt-4o": {"in": "1", "out": "1"}, "gpt-4o-mini": {"in": "1", "out": "1"}}, tiers=("standard", tier)
    )
    day = day_of({"input_tokens": 9, "service_tier": tier, **score(0.0)}, book=book_of(rows))
    found = moved(day, book_of(rows))
    assert found["contracted_cost"].to_list() == [Decimal("0.000009")]
    assert found["downgrade_expected"].to_list() == [False]


def test_a_fine_tuned_model_is_never_its_base_model(day_of: Any) -> None:
    rows = price_rows({"gpt-4o": {"in": "1", "out": "1"}, "gpt-4o-mini": {"in": "1", "out": "1"}})
    book = book_of(rows, aliases={"ft:gpt-4o:acme": "gpt-4o", "house-model": "gpt-4o"})
    day = day_of(
        *({"raw_model": name, "input_tokens": 9, **score(0.0)} for name in ("ft:gpt-4o:acme", "house-model")), book=book
    )
    assert moved(day, book)["downgrade_expected"].to_list() == [False, True]


def test_an_unknown_price_of_the_target_is_no_saving(day_of: Any) -> None:
    rows = price_rows({"gpt-4o": {"in": "1", "out": "1"}, "gpt-4o-mini": {"in": "1"}})
    found = moved(day_of({"input_tokens": 9, "output_tokens": 1, **score(0.0)}, book=book_of(rows)), book_of(rows))
    assert found.select("downgrade_expected", "repriced").rows() == [(True, None)]


@pytest.mark.parametrize(
    ("raw_model", "input_price", "scope"),
    [
        ("global.anthropic.claude-opus-4-5-20251101-v1:0", "3.0", "global"),
        ("eu.anthropic.claude-opus-4-5-20251101-v1:0", "3.3", "geo:eu"),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "3.3", "geo:us"),
    ],
)
def test_on_bedrock_a_call_stays_in_its_scope(
    raw_model: str, input_price: str, scope: str, day_of: Any, catalogue_book: Any
) -> None:
    call = {"provider": "aws", "raw_model": raw_model, "input_tokens": 100_000, **score(0.0)}
    for said in (None, scope):  # in the column, or in the id alone
        (row,) = moved(day_of({**call, "region_scope": said}, book=catalogue_book), catalogue_book).to_dicts()
        assert row["target"] == "anthropic.claude-sonnet-4-5-20250929-v1:0"
        assert row["repriced"] == Decimal(input_price) / 10


@pytest.mark.parametrize("provider", ["openai", "azure", None])
def test_whoever_sells_the_call_sells_the_target(provider: str | None, day_of: Any, catalogue_book: Any) -> None:
    call = {"provider": provider, "raw_model": "gpt-4o", "output_tokens": 1000, **score(0.0)}
    (row,) = moved(day_of(call, book=catalogue_book), catalogue_book).to_dicts()
    assert (row["contracted_cost"], row["repriced"]) == (Decimal("0.01"), Decimal("0.0006"))


@pytest.mark.parametrize(
    ("provider", "day", "sold"),
    [
        ("openai", dt.date(2026, 10, 22), True),
        ("openai", dt.date(2026, 10, 23), False),  # the day on which OpenAI shut gpt-4.1-nano down
        ("azure", dt.date(2026, 10, 23), True),  # which sets its own days
    ],
)
def test_a_model_that_is_no_longer_sold_is_no_target(
    provider: str, day: dt.date, sold: bool, day_of: Any, catalogue_book: Any
) -> None:
    noon = dt.datetime(day.year, day.month, day.day, 12, tzinfo=dt.UTC)
    call = {"provider": provider, "raw_model": "gpt-4.1-mini", "output_tokens": 1000, "event_time": noon}
    (row,) = moved(day_of({**call, **score(0.0)}, book=catalogue_book), catalogue_book).to_dicts()
    assert row["downgrade_expected"] == sold


PARTS = st.tuples(*[st.integers(0, 50)] * 3)


@given(PARTS, PARTS, st.sampled_from(["0.75", "1.1", "1.335"]), st.sampled_from(["0.5", "1.305"]))
@settings(max_examples=30, deadline=None)
def test_factors_round_half_up_and_keep_parts_within_their_class(
    inputs: tuple[int, int, int], outputs: tuple[int, int, int], factor: str, output: str
) -> None:
    columns = {
        "input_audio_tokens": inputs[0], "input_image_tokens": inputs[1], "input_tokens": sum(inputs),
        "reasoning_tokens": outputs[0], "output_audio_tokens": outputs[1], "output_image_tokens": 0,
        "output_tokens": sum(outputs), "cache_read_tokens": 1, "cache_write_5m_tokens": 0, "cache_write_1h_tokens": 0,
    }  # fmt: skip
    text = dict.fromkeys(("target", "target_provider", "target_scope", "region_scope"), "x")
    frame = pl.LazyFrame([{**columns, **text, "same_seller": True}]).with_columns(
        tokeniser_factor=pl.lit(Decimal(factor)), output_factor=pl.lit(Decimal(output)),
        cache_minimum=pl.lit(None, dtype=pl.Int64), cache_quantum=pl.lit(None, dtype=pl.Int64),
    )  # fmt: skip
    (row,) = downgraded(frame).collect().to_dicts()

    def times(count: int, by: str) -> int:
        return int((count * Decimal(by)).quantize(Decimal(1), rounding="ROUND_HALF_UP"))

    assert row["input_audio_tokens"] == times(inputs[0], factor)
    assert row["input_tokens"] == sum(times(count, factor) for count in inputs)
    assert row["output_tokens"] == sum(times(count, output) for count in outputs)
    assert row["reasoning_tokens"] == times(outputs[0], output)
    assert row["cache_read_tokens"] == times(1, factor)


def test_every_pair_is_of_models_that_the_catalogue_has(catalogue_book: Any) -> None:
    from finops_pipeline.pricing.model_ids import family

    families = {family(key) for key in catalogue_book.rows["model_key"].unique()}
    assert {pair.model for pair in PAIRS} | {pair.target for pair in PAIRS} <= families
    assert len({pair.model for pair in PAIRS}) == len(PAIRS)
    assert all(pair.source.startswith("https://") and pair.since < MIDNIGHT.date() for pair in PAIRS)
