"""What has no price, and the line that would give it one: pasted, it does."""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from click.testing import CliRunner

from finops_pipeline.cli import main
from finops_pipeline.config.loading import load_config
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.pricing.book import PriceBook, compile_book
from finops_pipeline.pricing.gaps import Gap, gaps, nearest, unpriced
from finops_pipeline.pricing.rating import rate
from finops_pipeline.schemas import PRICED_USAGE

OPAQUE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2"
HOSTILE = 'gpt-5-turbo"\n: {x} # \x1b[31m'


def found(calls: Any, book: PriceBook, *particulars: dict[str, Any]) -> list[Gap]:
    return list(gaps(unpriced(rate(calls(*particulars), book, {})).collect(), book))


def test_the_largest_come_first_and_priced_calls_not_at_all(calls: Any, catalogue_book: PriceBook) -> None:
    listed = found(
        calls, catalogue_book,
        {"raw_model": "gpt-5", "input_tokens": 10**6},
        {"raw_model": "small", "input_tokens": 1, "request_count": 5},
        {"raw_model": "large", "input_tokens": 3},
        {"raw_model": "large", "output_tokens": 4},
    )  # fmt: skip
    assert [(g.what["raw_model"], g.what["price_reason"], g.what["requests"], g.what["tokens"]) for g in listed] == [
        ("large", "unresolved_model", 2, 7),
        ("small", "unresolved_model", 5, 1),
    ]


@pytest.mark.parametrize(
    ("provider", "raw_model", "first"),
    [
        ("openai", "gpt-5-minni", "gpt-5-mini"),
        ("anthropic", "claude-sonet-4-5", "claude-sonnet-4-5"),
        ("a-proxy", "gemini-2.5-pr0", "gemini-2.5-pro"),
    ],
)
def test_the_nearest_model_is_the_one_that_was_meant(
    provider: str, raw_model: str, first: str, catalogue_book: PriceBook
) -> None:
    assert nearest(catalogue_book, provider, raw_model)[0] == first


def test_nothing_is_near_what_is_like_nothing(catalogue_book: PriceBook) -> None:
    assert nearest(catalogue_book, "openai", "zzzzqqqqxxxx") == ()


@pytest.mark.parametrize("raw_model", ["gpt-5-minni", HOSTILE, "* weird: [id]", "null"])
def test_the_alias_that_is_proposed_resolves_the_id(
    raw_model: str, calls: Any, catalogue_book: PriceBook, tmp_path: Path, rated: Any
) -> None:
    (gap,) = found(calls, catalogue_book, {"raw_model": raw_model, "input_tokens": 1})
    assert gap.place == "model_aliases in finops.yaml"
    target = gap.nearest[0] if gap.nearest else "gpt-5"
    line = str(gap.fix).replace("MODEL-OF-THE-PRICE-BOOK", target)
    assert yaml.safe_load(line) == {raw_model: target}
    (tmp_path / "finops.yaml").write_text(
        f"lake: ./lake\nsources: [{{name: a, format: record, uri: ./a}}]\nmodel_aliases:\n  {line}\n"
    )
    book = compile_book(load_config(tmp_path / "finops.yaml"))
    assert rated(book, raw_model=raw_model, input_tokens=1)["model"] == target


def test_an_opaque_id_has_no_nearest_model(calls: Any, catalogue_book: PriceBook) -> None:
    (gap,) = found(calls, catalogue_book, {"provider": "aws", "raw_model": OPAQUE, "input_tokens": 1})
    assert (gap.what["price_reason"], gap.nearest) == ("opaque_id", ())
    assert gap.fix == f'"{OPAQUE}": "MODEL-OF-THE-PRICE-BOOK"'


def test_the_price_that_is_proposed_prices_the_call(
    calls: Any, catalogue_book: PriceBook, tmp_path: Path, config_of: Callable[..., Any], rated: Any
) -> None:
    call = {"provider": "azure", "raw_model": "gpt-5", "service_tier": "batch", "input_tokens": 10**6}
    (gap,) = found(calls, catalogue_book, call)
    assert gap.what["price_reason"] == "unknown_tier"
    line = str(gap.fix).replace("USD-PER-MILLION", "0.625")
    (tmp_path / "own.csv").write_text(f"provider,model,meter,unit_price,tier\n{line}\n")
    book = compile_book(config_of(prices=["own.csv"]).located(tmp_path))
    assert rated(book, **call)["cost"] == Decimal("0.625")


def test_a_log_that_is_to_blame_has_no_fix(calls: Any, catalogue_book: PriceBook) -> None:
    (gap,) = found(calls, catalogue_book, {"input_tokens": -1})
    assert (gap.what["price_reason"], gap.fix, gap.place) == ("invalid_usage", None, None)


def test_the_command(calls: Any, catalogue_book: PriceBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("finops.yaml").write_text("lake: ./lake\nsources: [{name: a, format: record, uri: ./a}]\n")
    day = dt.date(2026, 11, 4)
    rows = PRICED_USAGE.conform(
        rate(calls({"raw_model": "gpt-5-minni", "input_tokens": 7}, {"raw_model": HOSTILE}), catalogue_book, {})
    ).collect()
    Lake(tmp_path / "lake").write(PRICED_USAGE, rows, Stamp(PRICED_USAGE.version, "", ""), date=day)
    asked = ["prices", "missing", "--from", "2026-11-01", "--to", "2026-11-05"]
    shown = CliRunner().invoke(main, asked)
    assert shown.exit_code == 0, shown.output
    assert '"gpt-5-minni": "gpt-5-mini"' in shown.output
    assert "finops run --reprice --from 2026-11-04" in shown.output
    assert "\x1b[31m" not in shown.output
    told = json.loads(CliRunner().invoke(main, [*asked, "--format", "json"]).stdout)
    assert [(row["raw_model"], row["tokens"]) for row in told] == [("gpt-5-minni", 7), (HOSTILE, 0)]
    csv = pl.read_csv(CliRunner().invoke(main, [*asked, "--format", "csv"]).stdout.encode())
    assert csv["nearest"][0].split()[0] == "gpt-5-mini"
    nothing = CliRunner().invoke(main, ["prices", "missing", "--from", "2026-11-05", "--to", "2026-11-05"])
    assert nothing.output == "Everything from 2026-11-05 to 2026-11-05 has a price.\n"
