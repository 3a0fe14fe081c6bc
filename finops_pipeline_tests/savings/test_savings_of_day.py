"""A day from its calls to its rows: what the table holds, and what it is silent about."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from priced_calls import MIDNIGHT, PLAIN_CALL, case, priced

from finops_pipeline.savings import analysis, calls
from finops_pipeline.savings.analysis import savings_of_day
from finops_pipeline.schemas import PRICED_USAGE, SAVINGS

NOTHING = PRICED_USAGE.empty().lazy()

HOSTILE = "=cmd|'/c calc'!A0 {{7*7}} {} <script>alert(1)</script>\r\nBcc: x@example.com ../../etc"

SIMPLE = {"output_tokens": 100, "input_tokens": 1000}
"""A call that scores 0.06 or so."""


def rows(
    calls: list[dict[str, Any]], book: Any, before: list[dict[str, Any]] | None = None, activity: Any = NOTHING
) -> pl.DataFrame:
    yesterday = priced(before, book) if before else NOTHING
    return SAVINGS.check(savings_of_day(priced(calls, book), yesterday, activity, book).collect())


def row(frame: pl.DataFrame, lever: str, **named: Any) -> dict[str, Any]:
    """The only row of a lever."""
    found = frame.filter(pl.col("lever") == lever).to_dicts()
    assert len(found) == 1
    return found[0]


def test_a_day_with_something_of_each_lever(catalogue_book: Any) -> None:
    night = [MIDNIGHT - dt.timedelta(days=n) + dt.timedelta(hours=2) for n in range(10)]
    job = {**SIMPLE, "project": "nightly-eval"}
    history = [{**job, "event_time": start + dt.timedelta(seconds=n)} for start in night for n in range(20)]
    today = [call for call in history if call["event_time"] >= MIDNIGHT]
    repeated = {**SIMPLE, "project": "helpdesk", "prompt_fingerprint": "p", "latency_ms": 1000, "stream": True,
                "reasoning_tokens": 100_000, "output_tokens": 100_100}  # fmt: skip
    chat = [{**repeated, "event_time": MIDNIGHT + dt.timedelta(minutes=m)} for m in (0, 2, 40)]
    activity = priced(history, catalogue_book)
    found = rows([*today, *chat], catalogue_book, activity=activity)

    # gpt-4o: input 2.50, output 10; gpt-4o-mini 0.15 and 0.60; in a batch half of it; USD a million
    cost, small = Decimal("0.0035"), Decimal("0.00021")
    answer = Decimal("0.0025") + Decimal("1.001")
    cache = row(found, "caching")
    assert cache["action"] == "Answer repeated prompts of helpdesk from a cache"
    assert (cache["requests"], cache["cost"], cache["evidence"]) == (2, 2 * answer, "measured")
    assert (cache["saving_low"], cache["saving"], cache["saving_high"]) == (answer, 2 * answer, 2 * answer)
    smaller = row(found, "downgrade")
    assert (smaller["target"], smaller["action"]) == ("gpt-4o-mini", "Send simple calls of nightly-eval to gpt-4o-mini")
    assert (smaller["requests"], smaller["cost"], smaller["saving"]) == (20, 20 * cost, 20 * (cost - small))
    queued = row(found, "batching")
    assert (queued["target"], queued["action"]) == ("batch", "Send nightly-eval through the batch tier")
    assert (queued["saving_low"], queued["saving"], queued["saving_high"]) == (10 * cost,) * 3
    assert queued["incremental"] == 10 * small
    assert found["saving"].is_sorted(descending=True)
    assert found["incremental"].sum() == 2 * answer + 20 * cost - 10 * small


def test_case_c32(case_book: Any) -> None:
    c32 = case("C32")
    by_id = {given["id"]: given for given in c32["inputs"]["rows"]}
    names = {"fresh": "input_tokens", "out": "output_tokens", "model": "raw_model"}
    unscored = {"reasoning_tokens": None, "tool_calls": None}
    calls = [
        {**{column: given[name] for name, column in names.items() if name in given},
         **(unscored if given.get("c") is None else {}), "prompt_fingerprint": None, "latency_ms": 0}
        for given in by_id.values()
        if "model" in given
    ]  # fmt: skip
    usage = priced([*calls, *calls], case_book).collect()
    credit = {"contracted_cost": Decimal(by_id[4]["cost"]), "cost": Decimal(by_id[4]["cost"])}
    adjustment = usage.head(1).with_columns(
        pl.lit("priced").alias("price_status"), raw_model=pl.lit("gpt-4o"), model=pl.lit("gpt-4o"),
        prompt_fingerprint=pl.lit("x"), **{name: pl.lit(v, dtype=usage.schema[name]) for name, v in credit.items()},
    )  # fmt: skip
    day = pl.concat([usage, adjustment, adjustment])
    unpriced = day.filter(pl.col("contracted_cost").is_null())["raw_model"].unique().to_list()
    assert unpriced == [by_id[n]["model"] for n in c32["expected"]["unpriced_ids"]]
    assert savings_of_day(day.lazy(), NOTHING, NOTHING, case_book).filter(pl.col("saving") != 0).collect().is_empty()
    levers = savings_of_day(day.lazy(), NOTHING, NOTHING, case_book).collect()["lever"].unique().to_list()
    assert "caching" not in levers
    assert "downgrade" not in levers


def test_low_never_exceeds_expected(case_book: Any) -> None:
    # kept for an hour, the answer of minute 0 serves minute 58 and no more; kept for 5 minutes, that of 58 serves 61
    repeated = {"prompt_fingerprint": "p", "latency_ms": 0, "stream": True, "reasoning_tokens": None}
    calls = [
        {**repeated, "event_time": MIDNIGHT + dt.timedelta(minutes=minute), "output_tokens": tokens}
        for minute, tokens in ((0, 10), (58, 10), (61, 5000))
    ]
    found = row(rows(calls, case_book), "caching")
    assert (found["saving_low"], found["saving"]) == (Decimal("0.0001"), Decimal("0.0001"))
    assert found["saving_high"] == Decimal("0.0501")


def test_an_empty_day_has_no_rows(case_book: Any) -> None:
    assert SAVINGS.check(savings_of_day(NOTHING, NOTHING, NOTHING, case_book).collect()).is_empty()


def test_what_would_cost_more_is_a_row_too(case_book: Any) -> None:
    # 4,000 cached tokens, below what claude-haiku-4-5 caches: 0.0012 as they were, 0.004 as fresh input there
    call = {"provider": "anthropic", "raw_model": "claude-sonnet-4-5", "cache_read_tokens": 4000, "stream": True}
    found = row(rows([call], case_book), "downgrade")
    assert (found["saving_low"], found["saving"], found["saving_high"]) == (Decimal("-0.0028"),) * 3
    assert (found["cost"], found["requests"], found["incremental"]) == (Decimal("0.0012"), 1, 0)


def test_a_model_that_is_called_by_two_names_has_one_row(catalogue_book: Any) -> None:
    calls = [{**SIMPLE, "raw_model": name, "stream": True} for name in ("gpt-4o", "openai/gpt-4o", "gpt-4o-2024-11-20")]
    found = rows(calls, catalogue_book)
    assert found.select("lever", "model", "target", "requests").rows() == [("downgrade", "gpt-4o", "gpt-4o-mini", 3)]


def test_names_from_the_logs_stay_as_they_are(case_book: Any) -> None:
    call = {**SIMPLE, "team": HOSTILE, "project": HOSTILE, "application": HOSTILE, "prompt_fingerprint": HOSTILE,
            "user_id": HOSTILE, "session_id": HOSTILE, "trace_id": HOSTILE, "latency_ms": 0,
            "tags": [{"key": HOSTILE, "value": HOSTILE}]}  # fmt: skip
    calls = [{**call, "event_time": MIDNIGHT + dt.timedelta(hours=2 * n)} for n in range(3)]
    found = rows(calls, case_book)
    assert set(found["lever"]) == {"caching", "downgrade", "batching"}
    for name in ("team", "project", "application"):
        assert found[name].unique().to_list() == [HOSTILE]
    assert set(found["action"]) == {
        f"Answer repeated prompts of {HOSTILE} from a cache",
        f"Send simple calls of {HOSTILE} to gpt-4o-mini",
        f"Send {HOSTILE} through the batch tier",
    }


@pytest.mark.parametrize(
    ("names", "action"),
    [
        ({"project": None, "application": "bot"}, "of bot to"),
        ({"project": None, "application": None}, "of search to"),
        ({"project": None, "application": None, "team": None}, "without a project to"),
    ],
)
def test_what_names_a_workload(names: dict[str, Any], action: str, case_book: Any) -> None:
    assert action in row(rows([{**SIMPLE, **names, "stream": True}], case_book), "downgrade")["action"]


def test_every_row_says_what_has_to_hold_and_changes_it_on_no_day(case_book: Any) -> None:
    def texts(count: int) -> set[tuple[str, ...]]:
        found = rows([{**SIMPLE, "project": "p"}] * count, case_book)
        return set(found.select("evidence", "assumptions", "action").rows())

    assert texts(3) == texts(30)
    assert all("try it on a sample" in assumptions for _, assumptions, action in texts(3) if "simple" in action)


def test_other_columns_of_the_day_do_not_matter(case_book: Any) -> None:
    usage = priced([{**SIMPLE}], case_book)
    with_date = usage.with_columns(date=pl.lit(MIDNIGHT.date()))
    plain, dated = (savings_of_day(day, NOTHING, NOTHING, case_book).collect() for day in (usage, with_date))
    assert plain.equals(dated)
    assert PLAIN_CALL["raw_model"] == "gpt-4o"


def a_day_of_everything(book: Any) -> tuple[pl.LazyFrame, pl.LazyFrame, pl.LazyFrame]:
    """Calls with traces, sessions and prompts that cross any cut, the day before, and two weeks of a job."""
    calls = [
        {
            "event_time": MIDNIGHT + dt.timedelta(minutes=7 * n), "input_tokens": 1000 + n % 3,
            "output_tokens": 100 * (n % 4), "prompt_fingerprint": f"p{n % 3}" if n % 7 else None, "latency_ms": 1000,
            "status": "error" if n % 11 == 5 else "ok", "trace_id": f"t{n % 5}", "session_id": f"s{n % 40}",
            "project": f"p{n % 2}", "user_id": f"u{n % 4}" if n % 2 else None, "reasoning_tokens": None if n % 3 else 0,
            "raw_model": "gpt-4o" if n % 3 else "gpt-5",
        }
        for n in range(120)
    ]  # fmt: skip
    job = {**SIMPLE, "project": "job"}
    nights = [MIDNIGHT + dt.timedelta(hours=2, days=-n) for n in range(9)]
    history = [{**job, "event_time": night + dt.timedelta(seconds=n)} for night in nights for n in range(25)]
    today = [*calls, *(call for call in history if call["event_time"] >= MIDNIGHT)]
    before = [{**call, "event_time": call["event_time"] - dt.timedelta(days=1)} for call in calls]
    return priced(today, book), priced(before, book), priced([*history, *today], book)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_however_the_day_is_cut_its_rows_are_the_same(
    size: int, catalogue_book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = a_day_of_everything(catalogue_book)
    whole = savings_of_day(*day, catalogue_book).collect()
    assert set(whole["lever"]) == {"caching", "downgrade", "batching"}
    monkeypatch.setattr(analysis, "CALLS_AT_ONCE", size)
    monkeypatch.setattr(calls, "COMPARED_AT_ONCE", 3 * size)
    assert savings_of_day(*day, catalogue_book).collect().equals(whole)


@pytest.mark.parametrize(("charged", "share"), [("0.00", 0), ("0.0001", 1), ("0.0025", 25), ("0.009", 25)])
def test_nobody_saves_what_nobody_paid(charged: str, share: int, case_book: Any) -> None:
    # our price of the second call is 0.0025; its source is charged as reported
    call = {"input_tokens": 1000, "prompt_fingerprint": "p", "latency_ms": 0, "stream": True, "reasoning_tokens": None}
    usage = priced([{**call, "event_time": MIDNIGHT + dt.timedelta(minutes=m)} for m in (0, 1)], case_book)
    reported = usage.with_columns(cost=pl.lit(Decimal(charged), dtype=PRICED_USAGE.schema["cost"]))
    found = savings_of_day(reported, NOTHING, NOTHING, case_book).filter(lever="caching").collect()
    assert found["saving"].sum() == Decimal("0.0001") * share
    assert found["cost"].sum() == found["saving"].sum()


def test_what_is_paid_for_already_costs_more_elsewhere(case_book: Any) -> None:
    # 1,000 tokens in: gpt-4o-mini asks 0.00015; 0.0001 was charged
    usage = priced([{"input_tokens": 1000, "stream": True}], case_book)
    reported = usage.with_columns(cost=pl.lit(Decimal("0.0001"), dtype=PRICED_USAGE.schema["cost"]))
    found = row(savings_of_day(reported, NOTHING, NOTHING, case_book).collect(), "downgrade")
    assert (found["cost"], found["saving"], found["incremental"]) == (Decimal("0.0001"), Decimal("-0.00005"), 0)
