import datetime as dt
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops_pipeline.errors import ContractError, PriceBookError
from finops_pipeline.lake import Lake
from finops_pipeline.pricing.book import PARTS, PriceBook, compile_book
from finops_pipeline.pricing.kept import keep_book, kept_book
from finops_pipeline.pricing.segments import compile_segments
from finops_pipeline.schemas import PRICE_BOOK

MILLION = 1_000_000
HEADER = "provider,model,meter,unit_price,valid_from,valid_to\n"


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


def user_book(tmp_path: Path, config_of: Any, text: str) -> PriceBook:
    (tmp_path / "prices.csv").write_text(text)
    return compile_book(config_of(prices=["prices.csv"]).located(tmp_path))


def test_the_book_meets_its_contract(catalogue_book: PriceBook) -> None:
    assert PRICE_BOOK.check(catalogue_book.rows).height > 5000


def test_equal_content_is_one_version_and_other_content_another(book_of: Any, config_of: Any) -> None:
    versions = [
        book_of({}).version,
        book_of({"unit_price": Decimal(2)}).version,
        book_of({}, aliases={"x": "m"}).version,
        book_of({"valid_from": utc(2026, 1, 1)}).version,
        compile_book(config_of()).version,
    ]
    assert len(set(versions)) == 5
    assert all(len(version) == 16 and int(version, 16) >= 0 for version in versions)
    assert book_of({}).version == versions[0]


def test_the_order_of_rows_does_not_matter(book_of: Any) -> None:
    rows = book_of({}, {"meter": "output"}).rows
    assert PriceBook.from_rows(rows.reverse()).version == PriceBook.from_rows(rows).version


def test_a_book_comes_back_from_the_lake_as_it_was(tmp_path: Path, config_of: Any, rated: Any) -> None:
    (tmp_path / "prices.csv").write_text(HEADER + "acme,m,output,9,2026-03-01,2026-12-01\n")
    aliases = {"prod-chat": "m", "an-older-name": "gpt-5"}
    book = compile_book(config_of(prices=["prices.csv"], model_aliases=aliases).located(tmp_path))
    lake = Lake(tmp_path / "lake")
    assert kept_book(lake, book.version) is None
    keep_book(lake, book, "run")

    again = kept_book(lake, book.version)
    assert again is not None
    assert again.version == book.version
    parts = {name: getattr(again, name) for name in PARTS}
    assert all(frame.equals(getattr(book, name)) for name, frame in parts.items())
    assert PriceBook.from_rows(**parts).version == book.version
    call = {"provider": "acme", "raw_model": "prod-chat", "output_tokens": MILLION}
    assert rated(again, **call) == rated(book, **call)
    assert rated(again, **call)["cost"] == 9
    assert PriceBook.from_rows(book.rows).version != book.version


def test_the_order_of_aliases_does_not_matter(book_of: Any) -> None:
    assert book_of({}, aliases={"a": "m", "b": "m"}).version == book_of({}, aliases={"b": "m", "a": "m"}).version


def test_a_config_is_compiled_once_and_again_when_a_file_changes(tmp_path: Path, config_of: Any) -> None:
    first = user_book(tmp_path, config_of, HEADER + "openai,gpt-5,output,9,,\n")
    assert user_book(tmp_path, config_of, HEADER + "openai,gpt-5,output,9,,\n") is first
    assert user_book(tmp_path, config_of, HEADER + "openai,gpt-5,output,8,,\n").version != first.version


def test_user_prices_override_the_catalogue_meter_by_meter_and_while_they_hold(
    tmp_path: Path, config_of: Any, rated: Any
) -> None:
    book = user_book(tmp_path, config_of, HEADER + "openai,GPT-5,output,9,2026-03-01,2026-06-01\n")
    both = {"input_tokens": MILLION, "output_tokens": MILLION}
    costs = [
        rated(book, event_time=time, **both)["cost"] for time in (utc(2026, 2, 28), utc(2026, 3, 1), utc(2026, 6, 1))
    ]
    assert costs == [Decimal("11.25"), Decimal("10.25"), Decimal("11.25")]


def test_a_price_for_output_holds_for_reasoning_too(tmp_path: Path, config_of: Any, rated: Any) -> None:
    book = user_book(tmp_path, config_of, HEADER + "openai,gpt-5,output,9,,\n")
    assert rated(book, output_tokens=MILLION, reasoning_tokens=MILLION)["cost"] == 9


def test_a_user_price_without_scope_overrides_every_scope(tmp_path: Path, config_of: Any, rated: Any) -> None:
    model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    book = user_book(tmp_path, config_of, HEADER + f"aws,{model},output,9,,\n")
    for prefix, scope in (("us.", "geo:us"), ("global.", "global"), ("", "in-region")):
        row = rated(book, provider="aws", raw_model=prefix + model, region_scope=scope, output_tokens=MILLION)
        assert row["cost"] == 9
    dear = rated(book, provider="aws", raw_model=f"us.{model}", region_scope="geo:us", input_tokens=MILLION)
    assert dear["cost"] == Decimal("3.3")


def test_a_model_that_the_catalogue_lacks(tmp_path: Path, config_of: Any, rated: Any) -> None:
    book = user_book(tmp_path, config_of, HEADER + ",Qwen3-32b,input,0.2,,\nhosted_vllm,llama-x,input,0.3,,\n")
    row = rated(book, provider="hosted_vllm", raw_model="qwen3-32b", input_tokens=MILLION)
    assert (row["model"], row["cost"]) == ("qwen3-32b", Decimal("0.2"))
    assert rated(book, provider="hosted_vllm", raw_model="llama-x", input_tokens=MILLION)["cost"] == Decimal("0.3")
    assert rated(book, provider="groq", raw_model="llama-x", input_tokens=1)["price_reason"] == "unresolved_model"


def test_two_prices_on_one_layer_contradict_each_other(book_of: Any) -> None:
    with pytest.raises(PriceBookError, match=r"row 0 and row 1 give acme m \(standard\) two prices for input"):
        book_of({"valid_to": utc(2026, 6, 1)}, {"valid_from": utc(2026, 5, 31), "unit_price": Decimal(2)})


@pytest.mark.parametrize(
    "other",
    [
        {"unit_price": Decimal(1)},
        {"unit_price": Decimal("0.001"), "per_qty": 1000},
        {"unit_price": Decimal(2), "layer": 30},
        {"unit_price": Decimal(2), "meter": "output"},
        {"unit_price": Decimal(2), "tier": "batch"},
        {"unit_price": Decimal(2), "provider": "other"},
        {"unit_price": Decimal(2), "region_scope": "global"},
        {"unit_price": Decimal(2), "known_to": utc(2026, 1, 1)},
        {"unit_price": Decimal(2), "valid_to": utc(2026, 1, 1), "layer": 30},
    ],
)
def test_these_do_not(other: dict[str, Any], book_of: Any) -> None:
    assert book_of({}, other).rows.height == 2


def test_the_higher_layer_has_the_price(book_of: Any, rated: Any) -> None:
    book = book_of({"layer": 30, "unit_price": Decimal(3)}, {}, {"layer": 0, "unit_price": Decimal(5)})
    assert rated(book, provider="acme", raw_model="m", input_tokens=MILLION)["cost"] == 3


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"currency": "EUR"}, "currency EUR, expected USD"),
        ({"per_qty": 3600}, "expected one per 1, 1000, 1000000"),
        ({"unit_price": Decimal(-1)}, "not a price, 0 or more"),
        ({"schedule": "UTC", "schedule_band": "at night"}, "expected UTC and a band of the week"),
        ({"schedule": "Asia/Shanghai", "schedule_band": "1-5 01:00-04:00"}, "expected UTC"),
    ],
)
def test_rows_that_cannot_be_used(row: dict[str, Any], words: str, book_of: Any) -> None:
    with pytest.raises(PriceBookError, match=f"row 0: .*{words}"):
        book_of(row)


def test_a_frame_that_is_no_price_book() -> None:
    with pytest.raises(ContractError, match="price_book"):
        PriceBook.from_rows(pl.DataFrame({"model": ["m"]}))


def test_an_empty_book_prices_nothing(rated: Any, book_of: Any) -> None:
    empty = PriceBook.from_rows(PRICE_BOOK.empty())
    assert rated(empty, output_tokens=1)["price_reason"] == "unresolved_model"


def test_segments_are_disjoint_and_complete(catalogue_book: PriceBook) -> None:
    """Boxes of one model, tier and scope never overlap: at most one is chosen for any call."""
    frame = compile_segments(catalogue_book.rows).frame.with_row_index()
    key = ["price_provider", "model", "tier", "region_scope"]
    pairs = frame.join(frame, on=key, nulls_equal=True, suffix="_b").filter(pl.col("index") < pl.col("index_b"))
    overlapping = [
        (pl.col(f"{axis}_from") < pl.col(f"{axis}_to_b")) & (pl.col(f"{axis}_from_b") < pl.col(f"{axis}_to"))
        for axis in ("instant", "context", "minute")
    ]
    assert pairs.filter(*overlapping).is_empty()


def test_the_catalogue_is_read_when_a_book_is_compiled_not_before() -> None:
    code = (
        "import sys, finops_pipeline.pricing.rating, finops_pipeline.pricing.book, finops_pipeline.allocation\n"
        "sys.exit('genai_prices' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
