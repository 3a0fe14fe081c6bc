import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.errors import PriceBookError
from finops_pipeline.pricing.book import compile_book
from finops_pipeline.pricing.price_files import MAX_ERRORS, read_price_file


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_line_is_a_row_with_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffmodel, provider ,meter,unit_price\n\nm,acme,input,0.25\n  \nm,,output,1\n")
    rows = read_price_file(path).rows
    assert rows.select("price_id", "provider", "model_key", "meter", "unit_price", "per_qty", "tier").rows() == [
        ("prices.csv:3", "acme", "m", "input", Decimal("0.25"), 1_000_000, "standard"),
        ("prices.csv:5", None, "m", "output", Decimal(1), 1_000_000, "standard"),
    ]
    assert rows.select("source", "currency", "rate_origin", "layer").unique().rows() == [
        ("prices.csv", "USD", "explicit", 20)
    ]


def test_every_column(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "provider,model,meter,unit_price,per_qty,tier,region_scope,ctx_gt,ctx_le,valid_from,valid_to,currency,source_url\n"
        "aws,m,cache_read,0.000000000000000001,1,batch,geo:eu,0,200000,2026-01-31,2026-02-01T00:00+08:00,USD,https://x\n",
    )
    row = read_price_file(path).rows.row(0, named=True)
    assert (row["unit_price"], row["per_qty"], row["tier"], row["region_scope"]) == (
        Decimal("1E-18"), 1, "batch", "geo:eu",
    )  # fmt: skip
    assert (row["ctx_gt"], row["ctx_le"], row["source_url"]) == (0, 200_000, "https://x")
    assert row["valid_from"] == dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
    assert row["valid_to"] == dt.datetime(2026, 1, 31, 16, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("written_as", "provider"),
    [
        ("OpenAI", "openai"),
        ("bedrock", "aws"),
        ("Vertex_AI", "google"),
        ("azure_ai", "azure"),
        ("our-vllm", "our-vllm"),
        ("", None),
    ],
)
def test_a_provider_is_called_as_in_the_logs(written_as: str, provider: str | None, tmp_path: Path) -> None:
    path = written(tmp_path, f"provider,model,meter,unit_price\n{written_as},m,input,1\n")
    assert read_price_file(path).rows["provider"].to_list() == [provider]


@pytest.mark.parametrize("scope", ["global", "in-region", "geo:us", "geo:us-gov", "geo:apac"])
def test_region_scopes_are_those_of_usage(scope: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"provider,model,meter,unit_price,region_scope\naws,m,input,1,{scope}\n")
    assert read_price_file(path).rows["region_scope"].to_list() == [scope]


def test_a_file_of_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    assert read_price_file(written(tmp_path, "provider,model,meter,unit_price\n")).rows.is_empty()


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("model", "", "the model as it stands"),
        ("meter", "tokens", "one of input, cache_read"),
        ("unit_price", "", "USD, 0 or more"),
        ("unit_price", "cheap", "USD, 0 or more"),
        ("unit_price", "-1", "USD, 0 or more"),
        ("unit_price", "NaN", "USD, 0 or more"),
        ("unit_price", "Infinity", "USD, 0 or more"),
        ("unit_price", "1e6", "below 1000000,"),
        ("unit_price", "0.0000000000000000001", "at most 18 decimals"),
        ("per_qty", "3600", "one of 1, 1000, 1000000"),
        ("per_qty", "many", "one of 1, 60, 1000, 3600, 1000000"),
        ("tier", "Batch", "one of standard, batch"),
        ("ctx_gt", "-1", "a whole number of input tokens"),
        ("ctx_le", "200k", "a whole number of input tokens"),
        ("ctx_le", "1000000000001", "up to 1000000000000"),
        ("ctx_gt", "99999999999999999999", "up to 1000000000000"),
        ("region_scope", "us", "global, in-region, a geography such as geo:eu"),
        ("region_scope", "geo:europe", "global, in-region, a geography such as geo:eu"),
        ("region_scope", "GLOBAL", "global, in-region, a geography such as geo:eu"),
        ("valid_from", "2026-W01", "a UTC day such as 2026-01-31"),
        ("valid_from", "20260131", "a UTC day such as 2026-01-31"),
        ("valid_from", "0001-01-01T00:00+14:00", "a UTC day such as 2026-01-31"),
        ("valid_to", "9999-12-31T23:00-14:00", "a UTC day such as 2026-01-31"),
        ("valid_from", "31.01.2026", "a UTC day such as 2026-01-31"),
        ("valid_to", "soon", "a UTC day such as 2026-01-31"),
        ("currency", "EUR", "expected USD"),
    ],
)
def test_a_mistake_is_named_with_line_column_and_what_was_expected(
    column: str, value: str, expected: str, tmp_path: Path
) -> None:
    line = {"provider": "acme", "model": "m", "meter": "input", "unit_price": "1", column: value}
    path = written(tmp_path, f"{','.join(line)}\nacme,m,output,1{',' * (len(line) - 4)}\n{','.join(line.values())}\n")
    with pytest.raises(PriceBookError) as error:
        read_price_file(path)
    text = str(error.value)
    assert text.startswith(f"{path}, line 3, column {column}: {value!r}, expected ")
    assert expected in text


@pytest.mark.parametrize(
    ("columns", "values", "words"),
    [
        ("ctx_gt,ctx_le", "200,200", r"line 2, column ctx_le: '200', expected more than ctx_gt \(200\)"),
        ("valid_from,valid_to", "2026-02-01,2026-01-01", r"column valid_to: .* expected more than valid_from"),
    ],
)
def test_spans_must_not_be_empty(columns: str, values: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"provider,model,meter,unit_price,{columns}\nacme,m,input,1,{values}\n")
    with pytest.raises(PriceBookError, match=words):
        read_price_file(path)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("", "missing 'provider', 'model', 'meter', 'unit_price'"),
        ("provider,model,meter,price", "missing 'unit_price'; unknown 'price'"),
        ("provider;model;meter;unit_price", "separated by commas"),
        ("provider,model,meter,unit_price,meter", "repeated 'meter'"),
    ],
)
def test_the_header_says_what_is_there(header: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(PriceBookError, match=f"line 1: columns .*{words}"):
        read_price_file(written(tmp_path, header + "\n"))


def test_a_line_of_another_length(tmp_path: Path) -> None:
    path = written(tmp_path, "provider,model,meter,unit_price\nacme,m,input\n")
    with pytest.raises(PriceBookError, match="line 2: 3 cells, expected 4 as in the header"):
        read_price_file(path)


def test_all_mistakes_are_told_at_once_up_to_a_limit(tmp_path: Path) -> None:
    path = written(tmp_path, "provider,model,meter,unit_price\n" + "acme,m,input,x\n" * (MAX_ERRORS + 5))
    with pytest.raises(PriceBookError) as error:
        read_price_file(path)
    lines = str(error.value).splitlines()
    assert len(lines) == MAX_ERRORS + 1
    assert lines[-1] == "… and 5 more"


def test_what_is_no_text_in_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(b"provider,model\xff\n")
    with pytest.raises(PriceBookError, match=r"prices.csv: cannot be read .*Expected CSV or YAML in UTF-8"):
        read_price_file(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    source = {"name": "gateway", "format": "record", "uri": "./logs"}
    config = Config(lake="./lake", sources=[source], prices=["absent.csv"]).located(tmp_path)
    with pytest.raises(PriceBookError, match=r"absent.csv: cannot be read .*Check `prices`"):
        compile_book(config)
