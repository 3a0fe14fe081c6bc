"""Uplifts and discounts: which one holds, and what it does to list and contracted costs."""

import datetime as dt
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.config.model import Config
from finops_pipeline.errors import PriceBookError
from finops_pipeline.pricing.book import PriceBook, compile_book
from finops_pipeline.pricing.price_files import read_price_file

MILLION = 1_000_000
COLUMNS = ("provider", "model", "meter", "tier", "account", "region_scope", "discount", "uplift", "stack", "valid_from")

Adjusted = Callable[..., PriceBook]


def book_with(tmp_path: Path, config_of: Callable[..., Config], *lines: dict[str, str]) -> PriceBook:
    """The catalogue's book with one USD a million for ``m`` of ``acme``, and these adjustments."""
    prices = "provider,model,meter,unit_price\nacme,m,input,1\nacme,m,output,10\nacme,n,input,1\n"
    cells = ("\n".join(",".join(line.get(name, "") for name in COLUMNS) for line in lines)) + "\n"
    (tmp_path / "prices.csv").write_text(prices)
    (tmp_path / "contract.csv").write_text(",".join(COLUMNS) + "\n" + cells)
    return compile_book(config_of(prices=["prices.csv", "contract.csv"]).located(tmp_path))


@pytest.fixture
def adjusted(tmp_path: Path, config_of: Callable[..., Config]) -> Adjusted:
    return lambda *lines: book_with(tmp_path, config_of, *lines)


def costs(rated: Any, book: PriceBook, **call: Any) -> tuple[Decimal, Decimal]:
    row = rated(book, **{"provider": "acme", "raw_model": "m", "input_tokens": MILLION, **call})
    assert row["cost"] == row["contracted_cost"]
    return row["list_cost"], row["contracted_cost"]


ALL = {"provider": "acme", "model": "*"}


def test_an_uplift_is_listed_and_a_discount_is_not(adjusted: Adjusted, rated: Any) -> None:
    book = adjusted(ALL | {"uplift": "1.1"}, ALL | {"discount": "0.175"})
    assert costs(rated, book) == (Decimal("1.1"), Decimal("0.9075"))  # 1.1 × 0.825


@pytest.mark.parametrize(
    ("named", "call", "holds"),
    [
        ({"model": "m"}, {}, True),
        ({"model": "m*"}, {}, True),
        ({"model": "M"}, {}, True),
        ({"model": "n"}, {}, False),
        ({"provider": ""}, {}, True),
        ({"provider": "other"}, {}, False),
        ({"meter": "input"}, {}, True),
        ({"meter": "output"}, {}, False),
        ({"tier": "standard"}, {}, True),
        ({"tier": "batch"}, {}, False),
        ({"account": "123"}, {"account": "123"}, True),
        ({"account": "123"}, {"account": "124"}, False),
        ({"account": "123"}, {}, False),
        ({"region_scope": "geo:eu"}, {"region_scope": "geo:eu"}, True),
        ({"region_scope": "geo:eu"}, {"region_scope": "geo:us"}, False),
        ({"region_scope": "geo:eu"}, {}, False),
        ({"valid_from": "2026-11-05"}, {"event_time": dt.datetime(2026, 11, 5, tzinfo=dt.UTC)}, True),
        (
            {"valid_from": "2026-11-05"},
            {"event_time": dt.datetime(2026, 11, 5, tzinfo=dt.UTC) - dt.timedelta(microseconds=1)},
            False,
        ),
    ],
)
def test_an_adjustment_serves_what_it_names(
    named: dict[str, str], call: dict[str, Any], holds: bool, adjusted: Adjusted, rated: Any
) -> None:
    listed, contracted = costs(rated, adjusted(ALL | {"discount": "0.5"} | named), **call)
    assert (listed, contracted) == (1, Decimal("0.5") if holds else 1)


def test_of_one_stack_the_most_particular_holds_and_stacks_multiply(adjusted: Adjusted, rated: Any) -> None:
    general, particular = ALL | {"discount": "0.1"}, ALL | {"model": "m", "discount": "0.5"}
    assert costs(rated, adjusted(general, particular)) == (1, Decimal("0.5"))
    assert costs(rated, adjusted(general, particular | {"stack": "1"})) == (1, Decimal("0.45"))


def test_two_of_one_stack_that_contradict_each_other_are_an_error(adjusted: Adjusted, rated: Any) -> None:
    book = adjusted(ALL | {"discount": "0.1"}, ALL | {"discount": "0.2"})
    with pytest.raises(PriceBookError, match=r"contract.csv:2 and contract.csv:3 are two discounts of the same calls"):
        costs(rated, book)


def test_a_line_is_a_price_or_an_adjustment(adjusted: Adjusted) -> None:
    with pytest.raises(PriceBookError, match="line 2: discount and uplift, expected one of unit_price"):
        adjusted(ALL | {"discount": "0.1", "uplift": "1.1"})


@pytest.mark.parametrize("value", ["1.1", "-0.1", "10%", "0.1234567"])
def test_a_discount_is_a_part(value: str, adjusted: Adjusted) -> None:
    with pytest.raises(PriceBookError, match=r"line 2, column discount: .*from 0 to 1"):
        adjusted(ALL | {"discount": value})


MULTIPLIERS = st.decimals("0.000001", "3", places=6)


@given(
    price=st.decimals("0", "9999", places=6),
    uplift=MULTIPLIERS,
    discount=st.decimals("0", "1", places=6),
    tokens=st.integers(1, 3_000_000),
)
def test_lines_are_exact_and_rounded_once(
    tmp_path_factory: pytest.TempPathFactory, rated: Any,
    price: Decimal, uplift: Decimal, discount: Decimal, tokens: int,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("prices")
    (folder / "prices.csv").write_text(
        f"provider,model,meter,unit_price,discount,uplift\nacme,x,input,{price},,\nacme,x,,,,{uplift}\n"
        f"acme,x,,,{discount},\n"
    )
    file = read_price_file(folder / "prices.csv")
    book = PriceBook.from_rows(file.rows, adjustments=file.adjustments)
    row = rated(book, provider="acme", raw_model="x", input_tokens=tokens)
    exact = Context(prec=100)
    listed = exact.divide(exact.multiply(exact.multiply(price, uplift), tokens), Decimal(MILLION))
    picos = Decimal("1e-12")
    assert row["list_cost"] == listed.quantize(picos, rounding=ROUND_HALF_EVEN, context=exact)
    contracted = exact.multiply(listed, 1 - discount)
    assert row["contracted_cost"] == contracted.quantize(picos, rounding=ROUND_HALF_EVEN, context=exact)
    assert sum(row[group] for group in ("input_cost", "output_cost", "other_cost")) == row["contracted_cost"]


def test_prices_in_yaml_are_those_of_csv(tmp_path: Path, config_of: Any, rated: Any) -> None:
    (tmp_path / "contract.yaml").write_text(
        "provider: acme\nvalid_from: 2026-01-01\n"
        "prices:\n  - {model: m, meter: input, unit_price: 2.50}\n"
        "discounts:\n  - {model: '*', discount: 0.1}\nuplifts:\n  - {model: m, region_scope: 'geo:eu', uplift: 1.1}\n"
    )
    book = compile_book(config_of(prices=["contract.yaml"]).located(tmp_path))
    assert costs(rated, book) == (Decimal("2.5"), Decimal("2.25"))
    assert costs(rated, book, region_scope="geo:eu") == (Decimal("2.75"), Decimal("2.475"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1\n", "expected a mapping with any of the lists prices, discounts, uplifts"),
        ("prices: [{model: m}]\n", "prices, entry 1: unit_price is missing"),
        ("prices: [3]\n", "prices, entry 1: expected keys with values"),
        ("prices: [{model: m, cost: 3, unit_price: 1}]\n", "prices, entry 1: unknown key 'cost'"),
        ("currency: USD\ncost: 3\nprices: []\n", "'cost', expected a mapping"),
        ("discounts: [{model: m, discount: 2}]\n", "discounts, entry 1, column discount: '2', expected the part"),
        ("discounts: [{model: m, discount: 0.1, per_qty: 1}]\n", "column per_qty: '1', expected nothing beside"),
        ("prices: [", "cannot be read"),
    ],
)
def test_mistakes_in_yaml_say_where(text: str, words: str, tmp_path: Path, config_of: Any) -> None:
    (tmp_path / "contract.yaml").write_text(text)
    with pytest.raises(PriceBookError, match=r"contract.yaml.*" + words.replace("[", r"\[")):
        compile_book(config_of(prices=["contract.yaml"]).located(tmp_path))
