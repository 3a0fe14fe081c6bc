import json
import math
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.chargeback.bridge import EFFECTS, RESTATED, bridge
from finops_pipeline.money import to_cents
from finops_pipeline.schemas import DAILY_COSTS

CASES = json.loads((Path(__file__).parents[1] / "cases" / "savings_cases.json").read_text())["cases"]

GROUPS = ("input_cost", "cache_read_cost", "cache_write_cost", "output_cost", "other_cost")

ZEROS: Mapping[str, Any] = {column.name: 0 for column in DAILY_COSTS.columns if not column.nullable} | {"source": "s"}

Row = Mapping[str, Any]


def costs(*rows: Row) -> pl.LazyFrame:
    """``daily_costs`` rows; what is charged is the sum of the cost groups unless the row says otherwise."""
    whole = [{"cost": sum((Decimal(row.get(group, 0)) for group in GROUPS), Decimal(0)), **row} for row in rows]
    money = {"cost", *GROUPS}
    exact = [{k: Decimal(v) if k in money else v for k, v in {**ZEROS, **row}.items()} for row in whole]
    return pl.LazyFrame(exact, schema=DAILY_COSTS.schema)


def charged(frame: pl.LazyFrame) -> Decimal:
    return to_cents(sum(frame.collect()["cost"], Decimal(0)))


def steps(before: pl.LazyFrame, after: pl.LazyFrame) -> dict[str, Decimal]:
    found = bridge(before, after, charged(before), charged(after))
    assert sum((step.amount for step in found), Decimal(0)) == charged(after) - charged(before)
    return {step.name: step.amount for step in found}


def only(**effects: str) -> dict[str, Decimal]:
    return {name: Decimal(effects.get(name, "0.00")) for name in EFFECTS}


def one_model(calls: int, tokens: int, dollars: str, **row: Any) -> Row:
    """A cell whose calls have output only."""
    return {"team": "a", "requests": calls, "output_tokens": tokens, "output_cost": dollars, **row}


def test_calls_times_tokens_a_call_times_price_as_the_published_method_has_it() -> None:
    case = next(case for case in CASES if case["id"] == "C28")
    expected = case["expected"]
    million = 1_000_000  # times the case's calls, so that whole cents show its six decimals

    def month(name: str) -> pl.LazyFrame:
        given = case["inputs"][name]
        calls = given["requests"] * million
        tokens = calls * given["tokens_per_request"]
        return costs(one_model(calls, tokens, str(tokens * Decimal(given["usd_per_token"]))))

    assert charged(month("base")) == Decimal(expected["cost0"]) * million
    assert charged(month("now")) == Decimal(expected["cost1"]) * million
    found = {name: round(float(amount) / million, 6) for name, amount in steps(month("base"), month("now")).items()}
    assert found == {
        "Volume": expected["volume"],
        "Mix": 0,
        "Length": expected["intensity"],
        "Caching": 0,
        "Price": expected["price"],
    }


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (one_model(100, 1000, "10"), one_model(150, 1500, "15"), only(Volume="5.00")),
        (one_model(100, 1000, "10"), one_model(100, 1700, "17"), only(Length="7.00")),
        (one_model(100, 1000, "10"), one_model(100, 1000, "8"), only(Price="-2.00")),
    ],
    ids=["more calls", "longer answers", "a lower price"],
)
def test_one_factor_that_changes_takes_the_whole_change(before: Row, after: Row, expected: dict[str, Decimal]) -> None:
    assert steps(costs(before), costs(after)) == expected


def test_calls_that_move_to_a_cheaper_model_are_mix() -> None:
    dear = {"team": "a", "model": "dear"}
    cheap = {"team": "a", "model": "cheap"}
    before = costs(one_model(60, 600, "60", **dear), one_model(40, 400, "4", **cheap))
    after = costs(one_model(40, 400, "40", **dear), one_model(60, 600, "6", **cheap))
    assert steps(before, after) == only(Mix="-18.00")


def test_input_that_is_read_from_the_cache_is_caching() -> None:
    # 1,000 tokens a call at 3 USD a million uncached, 0.30 read, 3.75 written; nothing else changes
    call = {"team": "a", "requests": 1_000_000}
    before = {**call, "input_tokens": 800_000_000, "input_cost": "2400"}
    before |= {"cache_read_tokens": 100_000_000, "cache_read_cost": "30"}
    before |= {"cache_write_5m_tokens": 60_000_000, "cache_write_1h_tokens": 40_000_000, "cache_write_cost": "375"}
    after = {**call, "input_tokens": 300_000_000, "input_cost": "900"}
    after |= {"cache_read_tokens": 500_000_000, "cache_read_cost": "150"}
    after |= {"cache_write_5m_tokens": 120_000_000, "cache_write_1h_tokens": 80_000_000, "cache_write_cost": "750"}
    assert steps(costs(before), costs(after)) == only(Caching="-1005.00")


def test_a_cache_that_a_living_cell_begins_to_use_is_caching_and_not_length_or_price() -> None:
    call = {"team": "a", "requests": 100}
    before = costs({**call, "input_tokens": 1000, "input_cost": "10"})
    after = costs({**call, "cache_read_tokens": 1000, "cache_read_cost": "1"})
    assert steps(before, after) == only(Caching="-9.00")
    assert steps(after, before) == only(Caching="9.00")


def test_a_new_cell_and_one_that_has_ended_are_mix_as_a_whole() -> None:
    stays = one_model(100, 1000, "10")
    gone, new = one_model(50, 90, "9", project="gone"), one_model(50, 700, "21", project="new")
    assert steps(costs(stays, gone), costs(stays, new)) == only(Mix="12.00")


def test_answers_that_a_living_cell_begins_to_give_are_length() -> None:
    embedding = {"team": "a", "requests": 10, "input_tokens": 50, "input_cost": "5"}
    answering = {**embedding, "output_tokens": 20, "output_cost": "3"}
    assert steps(costs(embedding), costs(answering)) == only(Length="3.00")


def test_a_price_for_what_had_none_is_price() -> None:
    unpriced = {**one_model(10, 100, "0"), "unpriced_reason": "unresolved_model", "unpriced_requests": 10}
    assert steps(costs(unpriced), costs(one_model(10, 100, "4"))) == only(Price="4.00")


def test_searches_grow_with_the_calls_and_beyond_them_by_price() -> None:
    def searching(calls: int, dollars: str) -> pl.LazyFrame:
        return costs({"team": "a", "requests": calls, "other_cost": dollars})

    assert steps(searching(100, "10"), searching(200, "20")) == only(Volume="10.00")
    assert steps(searching(100, "10"), searching(100, "14")) == only(Price="4.00")


def test_what_a_source_charges_beyond_our_price_is_price_even_where_it_turns_into_a_rebate() -> None:
    dearer = costs(one_model(100, 1000, "10", cost="11.50"))
    cheaper = costs(one_model(100, 1000, "10", cost="9.25"))
    assert steps(dearer, cheaper) == only(Price="-2.25")
    # 20 % more calls, at the same surcharge on each
    assert steps(dearer, costs(one_model(120, 1200, "12", cost="13.80"))) == only(Volume="2.30")


def test_two_factors_at_once_share_the_change_by_their_logarithms() -> None:
    # twice the calls, half the tokens a call, a third more a token: 10 -> 13.33, by hand
    found = steps(costs(one_model(100, 1000, "9")), costs(one_model(200, 1000, "12")))
    log_mean = 3 / math.log(12 / 9)
    assert found == only(
        Volume=f"{log_mean * math.log(2):.2f}", Length=f"{log_mean * math.log(1 / 2):.2f}", Price="3.00"
    )


def test_rows_of_several_days_are_one_cell() -> None:
    whole, halves = costs(one_model(100, 1000, "10")), costs(one_model(30, 900, "4"), one_model(70, 100, "6"))
    assert steps(whole, halves) == only()


def test_what_a_month_was_restated_by_is_a_step_of_its_own() -> None:
    before, after = costs(one_model(100, 1000, "10")), costs(one_model(150, 1500, "15"))
    found = bridge(before, after, Decimal("9.40"), Decimal("15.00"))
    assert {step.name: step.amount for step in found} == {**only(Volume="5.00"), RESTATED: Decimal("0.60")}


def test_rounding_of_the_totals_is_no_restatement() -> None:
    # 0.015 and 1.025 are 0.02 and 1.02 on their statements: the exact change is 1.01, the statements' 1.00
    before, after = costs(one_model(1, 1, "0.015")), costs(one_model(1, 1, "1.025"))
    assert steps(before, after) == only(Price="1.00")


def test_without_calls_before_there_is_nothing_to_explain() -> None:
    month = costs(one_model(100, 1000, "10"))
    assert bridge(costs(), month, Decimal("0.00"), Decimal("10.00")) == ()
    assert bridge(costs(), costs(), Decimal("0.00"), Decimal("0.00")) == ()


def test_a_month_without_calls_is_less_volume() -> None:
    assert steps(costs(one_model(100, 1000, "10")), costs()) == only(Volume="-10.00")


def test_the_same_month_twice_is_five_steps_of_nothing() -> None:
    month = costs(one_model(100, 1000, "10"), {"team": None, "requests": 1, "input_tokens": 5, "input_cost": "0.001"})
    assert steps(month, month) == only()


TOKENS = st.sampled_from([0, 0, 1, 7, 350, 1_000_000])
DOLLARS = st.decimals(min_value=0, max_value=10_000, places=12)


@st.composite
def cells(draw: st.DrawFn) -> Row:
    tokens = {name: draw(TOKENS) for name in ("input_tokens", "cache_read_tokens", "cache_write_1h_tokens")}
    tokens["output_tokens"] = draw(TOKENS)
    money = {group: draw(DOLLARS) for group in GROUPS}
    row = {
        "team": draw(st.sampled_from(["a", "b", None])),
        "model": draw(st.sampled_from(["m", "n"])),
        "requests": draw(st.integers(1, 10_000)),
        **tokens,
        **money,
    }
    if draw(st.booleans()):
        row["cost"] = draw(st.decimals(min_value=-100, max_value=10_000, places=6))
    return row


MONTHS = st.lists(cells(), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(MONTHS, MONTHS)
def test_steps_add_up_and_going_back_undoes_them(first: list[Row], second: list[Row]) -> None:
    forth, back = steps(costs(*first), costs(*second)), steps(costs(*second), costs(*first))
    assert list(forth) == list(EFFECTS)
    assert all(abs(forth[name] + back[name]) <= Decimal("0.01") for name in EFFECTS)  # a cent may round either way


@settings(max_examples=25, deadline=None)
@given(MONTHS, MONTHS, st.randoms(use_true_random=False))
def test_neither_the_order_of_the_rows_nor_the_names_of_the_cells_matter(
    first: list[Row], second: list[Row], random: Any
) -> None:
    teams, models = {"a": None, "b": "a", None: "z"}, {"m": "z", "n": "m"}
    renamed = [
        [{**row, "team": teams[row["team"]], "model": models[row["model"]]} for row in random.sample(month, len(month))]
        for month in (first, second)
    ]
    assert steps(costs(*first), costs(*second)) == steps(costs(*renamed[0]), costs(*renamed[1]))
