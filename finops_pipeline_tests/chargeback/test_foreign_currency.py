"""Statements in another currency than USD."""

import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_pipeline.chargeback.analyses import BudgetLine
from finops_pipeline.chargeback.bridge import CURRENCY, RESTATED, bridge
from finops_pipeline.chargeback.encoding import CONTENT, content_digest, decode, encode
from finops_pipeline.chargeback.lines import statement_lines
from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.revisions import load_statement, previous_month, publish
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.fx import FxRate
from finops_pipeline.lake import Lake
from finops_pipeline.money import EXPONENTS
from finops_pipeline.schemas import CHARGEBACK, chargeback_in

CostsOf = Callable[..., pl.LazyFrame]
DraftOf = Callable[..., Statement]


def rate(currency: str, units: str, day: int = 30, source: str = "ECB", version: str = "v1") -> FxRate:
    return FxRate(currency, Decimal(units), dt.date(2026, 10, day), source, version)


EUR = rate("EUR", "0.9173")


def drafted(draft_of: DraftOf, exchange: FxRate | None, *rows: Any, **arguments: Any) -> Statement:
    given: dict[str, Any] = {} if exchange is None else {"currency": exchange.currency, "exchange": exchange}
    return draft_of(*rows, **given, **arguments)


def amounts(lines: pl.DataFrame) -> list[str]:
    return [str(amount) for amount in lines["amount"]]


def test_exact_usd_stay_beside_and_the_amount_is_rounded_once(costs_of: CostsOf) -> None:
    [line] = statement_lines(costs_of({"team": "a", "cost": "0.495"}), "EUR", Decimal("0.9173")).rows(named=True)
    assert (line["exact_cost"], line["amount"], line["currency"]) == (Decimal("0.495"), Decimal("0.45"), "EUR")


def test_three_small_lines_are_not_rounded_away(costs_of: CostsOf) -> None:
    """0.0135 EUR each round to 0.01, their sum of 0.0405 to 0.04."""
    rows = [{"team": team, "cost": "0.015"} for team in "abc"]
    lines = statement_lines(costs_of(*rows), "EUR", Decimal("0.9"))
    assert amounts(lines) == ["0.02", "0.01", "0.01"]


@pytest.mark.parametrize(
    ("currency", "units", "total", "first"),
    [("JPY", "151.4", "151", "51.00"), ("KWD", "0.30715", "0.307", "0.103"), ("EUR", "0.9173", "0.92", "0.31")],
)
def test_a_dollar_over_three_teams_is_shared_out_in_the_minor_unit(
    costs_of: CostsOf, currency: str, units: str, total: str, first: str
) -> None:
    third = Decimal("0.333333333333")
    rows = [{"team": team, "cost": third} for team in "ab"] + [{"team": "c", "cost": 1 - 2 * third}]
    lines = statement_lines(costs_of(*rows), currency, Decimal(units))
    assert sum(lines["amount"]) == Decimal(total)
    assert max(amounts(lines)) == first


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from("xyz"), st.integers(-(10**14), 10**17)),
        max_size=9,
    ),
    st.decimals(min_value="0.000000001", max_value=100_000, places=9),
    st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_lines_add_up_to_the_converted_total_whatever_the_rate(
    costs_of: CostsOf, calls: list[tuple[str | None, str, int]], units: Decimal, currency: str
) -> None:
    rows = [{"team": team, "model": model, "cost": Decimal(pico).scaleb(-12)} for team, model, pico in calls]
    lines = statement_lines(costs_of(*rows), currency, units)
    exact = sum(pico for *_, pico in calls) * int(units * 10**9)
    scale = 21 - EXPONENTS[currency]
    whole, rest = divmod(exact, 10**scale)  # half-even, in whole numbers alone
    whole += 2 * rest > 10**scale or (2 * rest == 10**scale and whole % 2)
    assert sum(lines["amount"], Decimal(0)).scaleb(EXPONENTS[currency]) == whole
    by_team = lines.group_by("team").agg(pl.col("amount").sum(), pl.col("exact_cost").sum())
    unit = Decimal(1).scaleb(-EXPONENTS[currency])
    assert all(abs(amount - cost * units) < unit for _, amount, cost in by_team.iter_rows())


def test_only_a_currency_with_three_decimals_has_a_contract_of_its_own() -> None:
    assert chargeback_in("USD") == chargeback_in("EUR") == chargeback_in("JPY") == CHARGEBACK
    assert chargeback_in("KWD").schema["amount"] == pl.Decimal(18, 3)


@pytest.mark.parametrize("exchange", [EUR, rate("JPY", "151.4"), rate("KWD", "0.30715")], ids=lambda r: r.currency)
def test_what_is_loaded_is_what_was_published(lake: Lake, draft_of: DraftOf, exchange: FxRate) -> None:
    previous = PreviousMonth("2026-09", Decimal("3.00"), {"a": Decimal(3)}, False, 1, Decimal("2.50"), "USD")
    draft = drafted(draft_of, exchange, {"team": "a", "cost": "1.234567"}, {"cost": "2"}, previous=previous)
    publish(lake, draft, run="r1")
    loaded = load_statement(lake, "2026-10")
    assert loaded.lines.equals(draft.lines)
    assert (loaded.exchange, loaded.currency, loaded.previous) == (exchange, exchange.currency, previous)
    assert loaded.exact_total == Decimal("3.234567")
    assert content_digest(loaded) == content_digest(draft)
    assert publish(lake, draft, run="r2") == (1, False)


def test_a_statement_in_usd_says_nothing_of_rates(draft_of: DraftOf) -> None:
    encoded = json.dumps(encode(drafted(draft_of, None, {"team": "a", "cost": 1})))
    assert "rate" in CONTENT
    assert not {'"rate"', '"rate_source"', '"at_rate"', '"charged_in"'} & set(encoded.replace(":", " ").split())


def test_a_statement_that_knows_of_no_rates_is_read_as_one_in_usd(draft_of: DraftOf) -> None:
    statement = drafted(draft_of, None, {"team": "a", "cost": 1})
    restored = decode(encode(statement), revision=1, lines=statement.lines)
    assert (restored.exchange, restored.currency) == (None, "USD")


def test_a_corrected_rate_is_a_revision_though_no_amount_changes(lake: Lake, draft_of: DraftOf) -> None:
    row = {"team": "a", "cost": "1"}
    publish(lake, drafted(draft_of, EUR, row), run="r1")
    assert publish(lake, drafted(draft_of, rate("EUR", "0.9174"), row), run="r2") == (2, True)
    second = load_statement(lake, "2026-10")
    assert (str(second.total), second.correction) == ("0.92", 0)


def test_whose_rate_it_is_and_which_file_had_it_is_no_reason_to_charge_again(lake: Lake, draft_of: DraftOf) -> None:
    publish(lake, drafted(draft_of, EUR, {"team": "a", "cost": "1"}), run="r1")
    same = rate("EUR", "0.917300000", source="European Central Bank", version="v2")
    assert publish(lake, drafted(draft_of, same, {"team": "a", "cost": "1"}), run="r2") == (1, False)


def test_a_revision_in_another_currency_is_not_held_against_the_one_before(lake: Lake, draft_of: DraftOf) -> None:
    publish(lake, drafted(draft_of, None, {"team": "a", "cost": "100"}), run="r1")
    publish(lake, drafted(draft_of, EUR, {"team": "a", "cost": "100"}), run="r2")
    second = load_statement(lake, "2026-10")
    assert (second.revision, second.total, second.replaces, second.correction) == (2, Decimal("91.73"), None, None)


SEPTEMBER: dict[str, Any] = {"month": "2026-09"}


def publish_september(lake: Lake, draft_of: DraftOf, exchange: FxRate | None) -> None:
    day = dt.date(2026, 9, 1)
    rows = [{"team": "a", "cost": "100.004", "date": day}, {"cost": "50.003", "date": day}]
    publish(lake, drafted(draft_of, exchange, *rows, **SEPTEMBER), run="r")


def test_the_month_before_is_compared_as_it_was_charged(lake: Lake, draft_of: DraftOf) -> None:
    publish_september(lake, draft_of, rate("EUR", "0.9", day=1))
    previous = previous_month(lake, "2026-10", EUR)
    assert previous is not None
    assert (previous.total, previous.charged_in) == (Decimal("135.01"), None), "150.007 USD at 0.9"
    assert previous.at_rate == Decimal("137.60"), "150.007 USD at 0.9173"


@pytest.mark.parametrize(
    ("then", "now", "total", "unallocated"),
    [
        (None, EUR, "137.60", "45.87"),  # 150.007 and 50.003 USD at 0.9173
        (EUR, None, "150.01", "50.00"),
        (rate("JPY", "151.4"), rate("KWD", "0.30715"), "46.075", "15.359"),
    ],
    ids=["USD-EUR", "EUR-USD", "JPY-KWD"],
)
def test_a_month_before_in_another_currency_is_its_exact_usd_at_the_present_rate(
    lake: Lake, draft_of: DraftOf, then: FxRate | None, now: FxRate | None, total: str, unallocated: str
) -> None:
    publish_september(lake, draft_of, then)
    previous = previous_month(lake, "2026-10", now)
    assert previous is not None
    assert previous.charged_in == ("USD" if then is None else then.currency)
    assert (previous.total, previous.by_team[None]) == (Decimal(total), Decimal(unallocated))
    assert sum(previous.by_team.values()) == previous.total
    assert previous.at_rate == (None if now is None else previous.total)


def test_a_budget_is_in_usd_whatever_the_statement_is_in(draft_of: DraftOf) -> None:
    budget = BudgetLine("a", (("team", "a"),), Decimal(110), Decimal("100.00"), "warning")
    [line] = drafted(draft_of, EUR, {"team": "a", "cost": "100.004"}, budgets=[budget]).budgets
    assert line == budget


def test_a_part_says_nothing_of_what_others_came_to_before(draft_of: DraftOf) -> None:
    previous = PreviousMonth("2026-09", Decimal(30), {"a": Decimal(10), "b": Decimal(20)}, False, 9, Decimal(29), "USD")
    statement = drafted(draft_of, EUR, {"team": "a", "cost": 1}, {"team": "b", "cost": 2}, previous=previous)
    part = part_of(statement, "a")
    assert part.previous == PreviousMonth("2026-09", Decimal(10), {"a": Decimal(10)}, False, charged_in="USD")
    assert (part.exchange, part.exact_total, part.total) == (EUR, Decimal(1), Decimal("0.92"))


def whole_steps(draft_of: DraftOf, costs_of: CostsOf, currency: str, then: str, now: str) -> dict[str, Decimal]:
    """From 100 calls for 100 USD to 130 calls for 130 USD."""
    exponent, rows = EXPONENTS[currency], []
    for calls in (100, 130):
        dollars = Decimal(calls)
        rows.append({"team": "a", "requests": calls, "output_tokens": calls, "output_cost": dollars, "cost": dollars})
    before, after = (
        drafted(draft_of, rate(currency, units), row) for units, row in zip((then, now), rows, strict=True)
    )
    steps = bridge(
        *(costs_of(row) for row in rows),
        before.total,
        after.total,
        rate=Decimal(now),
        exponent=exponent,
        before_at_rate=(100 * Decimal(now)).quantize(Decimal(1).scaleb(-exponent)),
    )
    assert sum(step.amount for step in steps) == after.total - before.total
    return {step.name: step.amount for step in steps if step.amount}


@pytest.mark.parametrize(
    ("currency", "then", "now", "volume", "exchanged"),
    [
        ("EUR", "0.9", "0.8", "24.00", "-10.00"),
        ("JPY", "150.5", "151.4", "4542", "90"),
        ("KWD", "0.307", "0.3071", "9.213", "0.010"),
    ],
)
def test_what_the_rate_did_is_a_step_of_its_own(
    draft_of: DraftOf, costs_of: CostsOf, currency: str, then: str, now: str, volume: str, exchanged: str
) -> None:
    """100 USD at the two rates differ by the rate alone, and 30 USD of more calls are at the present rate."""
    steps = whole_steps(draft_of, costs_of, currency, then, now)
    assert steps == {"Volume": Decimal(volume), CURRENCY: Decimal(exchanged)}


def test_a_rate_that_stays_is_no_step(draft_of: DraftOf, costs_of: CostsOf) -> None:
    assert whole_steps(draft_of, costs_of, "EUR", "0.9", "0.9") == {"Volume": Decimal("27.00")}


def test_what_was_restated_is_told_from_the_rate(costs_of: CostsOf) -> None:
    rows = [{"team": "a", "requests": n, "output_tokens": n, "output_cost": n, "cost": n} for n in (100, 130)]
    steps = bridge(
        *map(costs_of, rows), Decimal("81.00"), Decimal("104.00"), rate=Decimal("0.8"), before_at_rate=Decimal("72.00")
    )  # the statement of the month before had 90 of its 100 USD, at 0.9
    named = {step.name: step.amount for step in steps if step.amount}
    assert named == {"Volume": Decimal("24.00"), CURRENCY: Decimal("-9.00"), RESTATED: Decimal("8.00")}


def test_the_statement_converts_without_rounding(draft_of: DraftOf) -> None:
    statement = drafted(draft_of, EUR, {"team": "a", "cost": "0.495"})
    assert statement.converted(Decimal("0.495")) == Decimal("0.4540635")
    assert dataclasses.replace(statement, exchange=None).converted(Decimal("0.495")) == Decimal("0.495")
