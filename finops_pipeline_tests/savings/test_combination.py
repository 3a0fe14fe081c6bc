"""Levers together: each alone, then what each still saves once those before it are applied."""

from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from priced_calls import book_of, case, flags, price_rows, score, seller

from finops_pipeline.savings.combination import settled, sums_of, with_savings
from finops_pipeline.savings.downgrade import with_downgrade
from finops_pipeline.schemas.savings import LEVERS

NAMES = {"dedupe": "caching", "downgrade": "downgrade", "batch": "batching"}


def together(day: pl.LazyFrame, book: Any) -> pl.DataFrame:
    """The calls with their savings; the target is the pair's, the flags are those of the test."""
    given = day.collect()
    pairs = with_downgrade(given.lazy().drop("^downgrade_.*$"), book).drop("^downgrade_.*$")
    chosen = given.lazy().select("^(caching|downgrade|batching)_.*$")
    without = pairs.drop("^(caching|batching)_.*$")
    return with_savings(pl.concat([without, chosen], how="horizontal"), book).collect()


def in_combination(found: pl.DataFrame) -> dict[str, Decimal]:
    """What each lever still saves once those before it are applied; two parts of the calls, put together."""
    middle = found.height // 2
    parts = [sums_of(part.lazy()) for part in (found[:middle], found[middle:])]
    total = settled(pl.concat(parts)).collect()
    return {lever: total[f"incremental_{lever}"].sum() for lever in LEVERS}


def alone(found: pl.DataFrame) -> dict[str, Decimal]:
    """What each lever saves of the calls that are its own."""
    total = settled(sums_of(found.lazy())).collect()
    return {lever: total[f"expected_{lever}"].sum() for lever in LEVERS}


def test_case_c18(day_of: Any, case_book: Any) -> None:
    c18 = case("C18")
    rows = c18["inputs"]["rows"]
    seen: set[str] = set()
    calls = []
    for row in rows:
        own = flags(caching=row["fp"] in seen, downgrade=row["c"] < 0.3, batching=row["bat"])
        seen.add(row["fp"])
        calls.append({"input_tokens": row["fresh"], "output_tokens": row["out"], **score(row["c"]), **own})
    found = together(day_of(*calls), case_book)
    expected = c18["expected"]
    assert found["contracted_cost"].sum() == Decimal(expected["baseline"])
    assert alone(found) == {NAMES[name]: Decimal(value) for name, value in expected["standalone"].items()}
    assert in_combination(found) == {NAMES[name]: Decimal(value) for name, value in expected["waterfall"].items()}
    assert sum(in_combination(found).values()) == Decimal(expected["combined"])


def test_a_downgrade_that_costs_more_is_left_out_of_the_combination(day_of: Any, case_book: Any) -> None:
    # 4,000 cached tokens a call: claude-haiku-4-5 caches from 4,096 on, so they are fresh input there
    call = {"provider": "anthropic", "raw_model": "claude-sonnet-4-5", "cache_read_tokens": 4000, **score(0.0)}
    found = together(day_of({**call, **flags(downgrade=True, batching=True)}), case_book)
    assert alone(found)["downgrade"] == Decimal("0.0012") - Decimal("0.004")
    assert in_combination(found) == {"caching": 0, "downgrade": 0, "batching": Decimal("0.0006")}


def test_a_call_that_costs_more_in_a_batch_stays_out_of_it(day_of: Any) -> None:
    prices = {"gpt-x": {"in": "2.5", "read": "0.25", "out": "10", "batch_mult": "0.5"}}
    book = book_of(price_rows(prices))
    cached, fresh = {"cache_read_tokens": 1000}, {"input_tokens": 1000}
    calls = [{"raw_model": "gpt-x", **tokens, **score(None), **flags(batching=True)} for tokens in (cached, fresh)]
    found = together(day_of(*calls, book=book), book)
    assert found["saving_batching"].to_list() == [0, Decimal("0.00125")]
    assert found["incremental_batching"].to_list() == [0, Decimal("0.00125")]


CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "raw_model": st.sampled_from(["gpt-4o", "gpt-5", "gpt-4o-mini", "nonsense", "claude-sonnet-4-5"]),
            "input_tokens": st.integers(0, 5000),
            "cache_read_tokens": st.integers(0, 5000),
            "output_tokens": st.integers(0, 2000),
            "levers": st.sets(st.sampled_from(LEVERS)),
        }
    ),
    min_size=1,
    max_size=12,
)


@given(calls=CALLS)
@settings(max_examples=25, deadline=None)
def test_together_never_more_than_the_calls_have_cost(calls: list[dict[str, Any]], day_of: Any, case_book: Any) -> None:
    made = []
    for call in calls:
        usage = {name: value for name, value in call.items() if name != "levers"}
        sold = {"provider": seller(call["raw_model"]), "project": call["raw_model"]}
        made.append({**usage, **sold, **score(0.1), **flags(**dict.fromkeys(call["levers"], True))})
    found = together(day_of(*made), case_book)
    increments = [f"incremental_{lever}" for lever in LEVERS]
    cost = pl.col("contracted_cost").fill_null(0).cast(pl.Decimal(38, 12))
    saved = pl.sum_horizontal(increments)
    totals = found.select(cost.sum(), saved.fill_null(0).sum().alias("saved")).row(0)
    assert totals[1] <= totals[0]
    assert 0 <= sum(in_combination(found).values()) <= totals[0]
    assert min(in_combination(found).values()) >= 0
    assert found.filter(saved > cost).is_empty()
    # a lever that is the only one to apply saves there what it saves alone
    for lever in LEVERS:
        others = [f"{other}_expected" for other in LEVERS if other != lever]
        only = found.filter(f"{lever}_expected", ~pl.any_horizontal(others), pl.col(f"saving_{lever}") > 0)
        if lever != "downgrade":
            assert only[f"incremental_{lever}"].to_list() == only[f"saving_{lever}"].to_list()
