"""``finops prices show``: the row that won is the one that prices the call, and each other row says why it did not."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from finops_pipeline.cli import main
from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.explanation import Asked, explain

NOON = dt.datetime(2026, 11, 4, 12, tzinfo=dt.UTC)


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"tier": "batch"}, "for the tier batch"),
        ({"valid_from": utc(2026, 12, 1)}, "from 2026-12-01"),
        ({"valid_to": utc(2026, 11, 4)}, "until 2026-11-04"),
        ({"region_scope": "geo:eu"}, "for geo:eu"),
        ({"ctx_gt": 1000}, "above 1,000 input tokens"),
        ({"ctx_le": 500}, "up to 500 input tokens"),
        ({"known_to": utc(2026, 3, 1)}, "superseded on 2026-03-01"),
        ({"schedule": "UTC", "schedule_band": "6-7 00:00-24:00"}, "at 6-7 00:00-24:00 UTC"),
        ({"layer": 0}, "another row goes before the catalogue's"),
    ],
)
def test_a_row_that_did_not_win_says_why(row: dict[str, Any], why: str, book_of: Any) -> None:
    book = book_of({"layer": 30, "unit_price": Decimal(3)}, row)
    found = explain(book, Asked("acme", "m", NOON, input_tokens=800))
    assert {price.row["price_id"] for price in found.prices} == {"row 0"}
    assert [(other["price_id"], told) for other, told in found.others] == [("row 1", why)]


@pytest.mark.parametrize("tier", ["standard", "batch", "flex"])
@pytest.mark.parametrize("tokens", [1000, 300_000])
def test_what_is_shown_is_what_a_call_is_charged(tier: str, tokens: int, catalogue_book: PriceBook, rated: Any) -> None:
    found = explain(catalogue_book, Asked("openai", "gpt-5.4", NOON, tier, "geo:eu", input_tokens=tokens))
    price = next(price for price in found.prices if price.meter == "input")
    row = rated(raw_model="gpt-5.4", service_tier=tier, region_scope="geo:eu", input_tokens=tokens, event_time=NOON)
    assert row["list_cost"] == price.listed * tokens / price.row["per_qty"]
    assert found.adjustments


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    shown = CliRunner().invoke(main, ["prices", "show", "openai/gpt-5", "--at", "2026-11-04"])
    assert shown.exit_code == 0, shown.output
    assert "openai/gpt-5 is gpt-5 of openai" in shown.output
    assert "genai-prices:openai/gpt-5#output>0" in shown.output
    assert "developers.openai.com" in shown.output
    every = CliRunner().invoke(main, ["prices", "show", "gpt-5", "--all"])
    assert "for the tier flex" in every.output
    unknown = CliRunner().invoke(main, ["prices", "show", "gpt-5-minni\x1b[31m"])
    assert unknown.exit_code == 1
    assert "unresolved_model" in unknown.output
    assert "gpt-5-mini," in unknown.output
    assert "\x1b[31m" not in unknown.output
    Path("finops.yaml").write_text("lake: ./lake\nsources: [{name: a, format: record, uri: ./a}]\nprices: [own.csv]\n")
    Path("own.csv").write_text("provider,model,meter,discount\nopenai,gpt-*,output,0.1\n")
    own = CliRunner().invoke(main, ["prices", "show", "gpt-5"])
    assert "Contracted USD" in own.output
    assert "Adjusted by own.csv:2" in own.output
