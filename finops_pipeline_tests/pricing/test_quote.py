"""Quotes: the worked cases as they are, and what a line may be."""

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.cli import main
from finops_pipeline.pricing.book import PriceBook, catalogue_book
from finops_pipeline.pricing.quote import quotes
from finops_pipeline.schemas.price_book import METERS

CASES = json.loads((Path(__file__).parents[1] / "cases" / "pricing_cases.json").read_text())
NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def params(*prefixes: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in CASES if case["id"].startswith(prefixes)]


def answers(*requests: Any, book: PriceBook | None = None) -> list[dict[str, Any]]:
    lines = [request if isinstance(request, str) else json.dumps(request) for request in requests]
    return list(quotes(lines, book or catalogue_book(), now=NOW))


def answer(book: PriceBook | None = None, **request: Any) -> dict[str, Any]:
    return answers({"provider": "openai", "raw_model": "gpt-5"} | request, book=book)[0]


@pytest.mark.parametrize("case", params("C", "U"))
def test_a_case_is_priced_at_its_own_rates(case: Mapping[str, Any]) -> None:
    found = answers(case)[0]
    assert {name: found[name] for name in case["expected"]} == case["expected"]
    assert found["id"] == case["id"]


@pytest.mark.parametrize("case", params("C"))
def test_a_case_is_priced_from_the_book(case: Mapping[str, Any]) -> None:
    if case["confidence"] != "catalogue" and not case["source"]:
        assert answers({k: v for k, v in case.items() if k not in ("rate_usd", "rate_per")})[0]["status"] == "unpriced"
        return
    asked = {name: value for name, value in case.items() if name not in ("rate_usd", "rate_per", "uplift")}
    found = answers(asked)[0]
    assert {name: found[name] for name in case["expected"]} == case["expected"]
    assert set(found["price_rows"]) == set(case["usage"])


def test_a_request_needs_no_more_than_a_model() -> None:
    found = answers({"raw_model": "gpt-5"})[0]
    assert (found["status"], found["reason"], found["model"]) == ("priced", None, "gpt-5")
    assert (found["list_cost"], found["lines"]) == ("0.000000000000", {})
    assert answers({"raw_model": "nobody-knows-it"})[0]["reason"] == "unresolved_model"


def test_an_input_total_has_the_caches_in_it() -> None:
    parts = {"cache_read": 600, "output": 7}
    assert answer(usage={"input_total": 1000} | parts) == answer(usage={"input": 400} | parts)
    assert answer(usage={"input_total": 1, "cache_read": 2})["reason"] == "invalid_usage"


@pytest.mark.parametrize("usage", [{"input": -1}, {"input": "0.5"}, {"input": 10**30}, {"audio_second": "0.0000001"}])
def test_what_cannot_be_is_unpriced(usage: dict[str, Any]) -> None:
    found = answer(usage=usage)
    assert (found["status"], found["reason"], found["list_cost"]) == ("unpriced", "invalid_usage", None)


def test_priced_meters_keep_their_lines_when_another_has_no_rate() -> None:
    found = answer(usage={"input": 1_000_000, "gpu_hour": 1})
    assert (found["reason"], found["list_cost"]) == ("no_rate_for_meter", None)
    assert found["lines"] == {"input": "1.250000000000", "gpu_hour": None}


def test_a_call_that_failed_is_free() -> None:
    found = answer(usage={"input": 5}, call_status="error")
    assert (found["status"], found["list_cost"], found["lines"]) == ("free", "0.000000000000", {})


@given(
    price=st.decimals("0.0001", "99", places=4),
    per=st.sampled_from([1, 60, 3600]),
    quantity=st.decimals("0.000001", "99999", places=6),
    discount=st.decimals("0", "1", places=3),
)
def test_fractions_are_multiplied_before_they_are_divided(
    price: Decimal, per: int, quantity: Decimal, discount: Decimal
) -> None:
    terms = {"rate_usd": {"gpu_hour": str(price)}, "rate_per": {"gpu_hour": per}, "discount": str(discount)}
    found = answer(raw_model="own", usage={"gpu_hour": str(quantity)}, **terms)
    listed = Fraction(price) * Fraction(quantity) / per
    for name, exact in (("list_cost", listed), ("contracted_cost", listed * (1 - Fraction(discount)))):
        assert found["status"] == "priced"
        # round() of a fraction is half-even
        assert Fraction(found[name]) == Fraction(round(exact * 10**12), 10**12)


def test_answers_keep_the_order_and_an_error_stands_in_its_place() -> None:
    asked = [{"raw_model": "gpt-5", "id": n} if n % 3 else "{" for n in range(1, 10)]
    found = answers(*asked)
    assert [line.get("id") for line in found] == [1, 2, None, 4, 5, None, 7, 8, None]
    assert [line["error"].partition(":")[0] for line in found if line["status"] == "error"] == [
        "line 3", "line 6", "line 9",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "raw_model is missing"),
        ([], "expected a JSON object"),
        ({"raw_model": 3}, "raw_model: expected a text"),
        ({"raw_model": "m", "timestamp": "yesterday"}, "timestamp: expected one such as"),
        ({"raw_model": "m", "usage": {"tokens": 1}}, "unknown meter 'tokens'"),
        ({"raw_model": "m", "usage": {"input": "many"}}, "usage.input: expected a number"),
        ({"raw_model": "m", "usage": {"input": True}}, "usage.input: expected a number"),
        ({"raw_model": "m", "usage": {"input": 1, "input_total": 2}}, "expected one of them"),
        ({"raw_model": "m", "rate_usd": {"input": "-1"}}, "rate_usd.input: expected 0 or more"),
        ({"raw_model": "m", "rate_usd": {"input": "1"}, "rate_per": {"input": 7}}, "rate_per.input: expected one of"),
        ({"raw_model": "m", "discount": "1.5"}, "discount: expected 0 to 1"),
        ('{"raw_model": "m", "usage": {"input": NaN}}', "NaN is no number"),
        ('{"raw_model": "\\ud800"}', "raw_model: expected a text of whole characters"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_request_says_why(request_: Any, words: str) -> None:
    (found,) = answers(request_)
    assert found["status"] == "error"
    assert words in found["error"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda of: st.lists(of) | st.dictionaries(st.text(), of),
)
MEMBERS = (
    "provider", "raw_model", "timestamp", "tier", "region_scope", "account", "usage", "rate_usd", "rate_per", "uplift",
    "discount", "id", "call_status",
)  # fmt: skip
ODD = st.sampled_from(["gpt-5", "openai", "standard", "-1", "1e40", "0.1", "", "2026-11-08T00:00:00Z"]) | JSON


@given(
    requests=st.lists(
        JSON
        | st.dictionaries(
            st.sampled_from(MEMBERS), ODD | st.dictionaries(st.sampled_from([*METERS, "input_total"]), ODD, max_size=3)
        ),
        max_size=4,
    )
)
def test_whatever_is_asked_each_line_has_one_answer_that_is_json(requests: list[Any]) -> None:
    found = answers(*(json.dumps(request) for request in requests))
    assert len(found) == len(requests)
    assert {line["status"] for line in found} <= {"priced", "unpriced", "free", "error"}
    json.dumps(found, allow_nan=True)


def test_the_command_reads_lines_and_writes_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = '{"raw_model": "gpt-5", "usage": {"output": "1000000"}}\n\n{}\n'
    done = CliRunner().invoke(main, ["prices", "quote"], input=asked)
    assert done.exit_code == 0, done.output
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["list_cost"] == "10.000000000000"
    assert second["error"] == "line 2: raw_model is missing"
    (tmp_path / "own.csv").write_text("provider,model,meter,unit_price\n,own,output,3\n")
    (tmp_path / "my.yaml").write_text(
        "lake: ./lake\nsources: [{name: a, format: record, uri: ./a}]\nprices: [own.csv]\n"
    )
    asked = '{"raw_model": "own", "usage": {"output": 1000000}}\n'
    done = CliRunner().invoke(main, ["prices", "quote", "--config", "my.yaml"], input=asked)
    assert json.loads(done.stdout)["list_cost"] == "3.000000000000"
