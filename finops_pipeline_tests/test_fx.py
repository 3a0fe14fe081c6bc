import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.config.model import Config
from finops_pipeline.errors import FxRateError
from finops_pipeline.fx import LONGEST_SOURCE, MAX_AGE, FxRates, configured_rates, keep_rates
from finops_pipeline.lake import Lake
from finops_pipeline.schemas import FX_RATES

HEADER = "date,currency,rate,source\n"


def rates_of(folder: Path, **files: str) -> FxRates:
    """What the files hold, named ``eur`` for ``eur.csv``, in that order."""
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    source = {"name": "a", "format": "record", "uri": "./logs"}
    paths = [f"{name}.csv" for name in files]
    config = Config.model_validate({"lake": "./lake", "sources": [source], "fx_rates": paths})
    return configured_rates(config.located(folder))


def october(day: int) -> dt.date:
    return dt.date(2026, 10, day)


EUR = HEADER + (
    "2026-10-30,EUR,0.9173,ECB reference rate\n"
    "2026-10-29,EUR,0.9188,ECB reference rate\n"
    "2026-10-30,JPY,151.4,Bank of Japan\n"
    "2026-11-02,EUR,0.9150,ECB reference rate\n"
)


def test_the_last_day_of_the_month_is_a_saturday_and_friday_has_the_rate(tmp_path: Path) -> None:
    found = rates_of(tmp_path, eur=EUR).at("EUR", october(31))
    assert (found.currency, found.rate, found.date) == ("EUR", Decimal("0.9173"), october(30))
    assert found.source == "ECB reference rate"


def test_a_day_with_a_rate_has_its_own(tmp_path: Path) -> None:
    rates = rates_of(tmp_path, eur=EUR)
    assert [rates.at("EUR", october(day)).rate for day in (29, 30)] == [Decimal("0.9188"), Decimal("0.9173")]
    assert rates.at("JPY", october(31)).rate == Decimal("151.4")


def test_a_rate_is_good_for_seven_days_and_no_longer(tmp_path: Path) -> None:
    rates = rates_of(tmp_path, jpy=HEADER + "2026-10-24,JPY,151.4,BoJ\n")
    assert MAX_AGE.days == 7
    assert rates.at("JPY", october(31)).date == october(24)
    with pytest.raises(FxRateError, match=r"no rate of JPY for 2026-11-01 .*latest before is of 2026-10-24"):
        rates.at("JPY", dt.date(2026, 11, 1))


def test_a_rate_that_is_missing_is_asked_for_with_currency_date_and_file(tmp_path: Path) -> None:
    rates = rates_of(tmp_path, eur=EUR, other=HEADER)
    with pytest.raises(FxRateError) as raised:
        rates.at("GBP", october(31))
    assert str(raised.value) == (
        "no rate of GBP for 2026-10-31 or the 7 days before it; there is none before. "
        f"Add a line 2026-10-31,GBP,<GBP for one USD>,<source> to {tmp_path / 'other.csv'}"
    )


def test_later_rates_are_not_looked_at(tmp_path: Path) -> None:
    rates = rates_of(tmp_path, eur=HEADER + "2026-11-02,EUR,0.9150,ECB\n")
    with pytest.raises(FxRateError, match="there is none before"):
        rates.at("EUR", october(31))


MISTAKES = {
    "2026-13-01,EUR,0.9,ECB": "column date: '2026-13-01', expected a day such as 2026-10-30",
    "20261030,EUR,0.9,ECB": "column date: '20261030', expected a day such as 2026-10-30",
    "30.10.2026,EUR,0.9,ECB": "column date: '30.10.2026', expected a day",
    "2026-10-30,EURO,0.9,ECB": "column currency: 'EURO', expected an ISO 4217 code such as EUR; USD has no rate",
    "2026-10-30,eur,0.9,ECB": "column currency: 'eur', expected an ISO 4217 code",
    "2026-10-30,USD,1,ECB": "column currency: 'USD', expected an ISO 4217 code such as EUR; USD has no rate",
    "2026-10-30,EUR,0,ECB": "column rate: '0', expected units of it for one USD such as 0.9173: above 0",
    "2026-10-30,EUR,-0.9,ECB": "column rate: '-0.9', expected units of it for one USD",
    "2026-10-30,EUR,0.1234567891,ECB": "column rate: '0.1234567891', expected units of it for one USD",
    "2026-10-30,EUR,9e-1,ECB": "column rate: '9e-1', expected units of it for one USD",
    "2026-10-30,EUR,NaN,ECB": "column rate: 'NaN', expected units of it for one USD",
    "2026-10-30,EUR,1234567890,ECB": "column rate: '1234567890', expected units of it for one USD",
    '2026-10-30,EUR,"0,9173",ECB': "column rate: '0,9173', expected units of it for one USD",
    "2026-10-30,EUR,٠.٩,ECB": "column rate: '٠.٩', expected units of it for one USD",
    "2026-10-30,JPY,0.0066,BoJ": "column rate: '0.0066' is USD for one JPY, expected JPY for one USD",
    "2026-10-30,EUR,0.9,": "column source: '', expected whose rate it is, in at most 200 characters",
    f"2026-10-30,EUR,0.9,{'x' * (LONGEST_SOURCE + 1)}": "column source: 'xxxx",
    "2026-10-30,EUR,0,9173,ECB": "5 cells, expected 4 as in the header",
}


@pytest.mark.parametrize(("line", "said"), MISTAKES.items(), ids=lambda text: text[:30])
def test_each_mistake_is_named_with_file_line_column_and_what_was_expected(
    tmp_path: Path, line: str, said: str
) -> None:
    with pytest.raises(FxRateError) as raised:
        rates_of(tmp_path, eur=f"{HEADER}2026-10-01,EUR,0.9,ECB\n\n{line}\n")
    assert str(raised.value).startswith(f"{tmp_path / 'eur.csv'}, line 4{',' if 'column' in said else ':'} {said}")


def test_all_mistakes_of_all_files_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(FxRateError) as raised:
        rates_of(tmp_path, eur=HEADER + "x,y,z,\n", jpy=HEADER + "2026-10-30,JPY,0,BoJ\n" * 30)
    lines = str(raised.value).splitlines()
    assert [line.split("csv, ")[1].split(":")[0] for line in lines[:5]] == [
        "line 2, column date", "line 2, column currency", "line 2, column rate", "line 2, column source",
        "line 2, column rate",
    ]  # fmt: skip
    assert lines[-1] == "… and 14 more"


def test_a_day_has_one_rate_in_all_files_together(tmp_path: Path) -> None:
    with pytest.raises(FxRateError) as raised:
        rates_of(tmp_path, eur=EUR, more=HEADER + "2026-10-30,EUR,0.9173,another bank\n")
    first, second = tmp_path / "eur.csv", tmp_path / "more.csv"
    assert str(raised.value) == f"{second}, line 2: EUR has a rate of 2026-10-30 already, in {first}, line 2"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("date,currency,rate\n", "columns missing 'source'"),
        ("date,currency,rate,source,note\n", "columns unknown 'note'"),
        ("date,currency,rate,source,rate\n", "columns repeated 'rate'"),
        ("date;currency;rate;source\n", "columns missing 'date', 'currency', 'rate', 'source'; unknown 'date;currency"),
        ("", "columns missing 'date', 'currency', 'rate', 'source'"),
    ],
)
def test_the_columns_are_those(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(FxRateError) as raised:
        rates_of(tmp_path, eur=header)
    assert str(raised.value).startswith(f"{tmp_path / 'eur.csv'}, line 1: {said}")
    assert str(raised.value).endswith("Expected date, currency, rate, source, separated by commas.")


@pytest.mark.parametrize("content", [b"date,currency,rate,source\n2026-10-30,EUR,0.9,M\xfcller\n", b'date,"currency\n'])
def test_a_file_that_is_no_csv_in_utf_8_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.csv").write_bytes(content)
    source = {"name": "a", "format": "record", "uri": "./logs"}
    config = Config.model_validate({"lake": "./lake", "sources": [source], "fx_rates": ["broken.csv", "absent.csv"]})
    with pytest.raises(FxRateError, match=r"broken.csv: cannot be read .*Expected CSV in UTF-8"):
        configured_rates(config.located(tmp_path))
    (tmp_path / "broken.csv").write_text(HEADER)
    with pytest.raises(FxRateError, match=r"absent.csv: cannot be read \(.*No such file"):
        configured_rates(config.located(tmp_path))


def test_order_and_byte_order_mark_and_spare_blanks_mean_nothing(tmp_path: Path) -> None:
    rates = rates_of(tmp_path, eur="\ufeffsource, rate,currency,date\nECB , 0.9173 ,EUR,2026-10-30\n\n")
    assert rates.at("EUR", october(30)).rate == Decimal("0.9173")
    assert rates.at("EUR", october(30)).source == "ECB"


@given(st.permutations(EUR.splitlines()[1:]))
def test_the_order_of_the_lines_means_nothing(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder = tmp_path_factory.mktemp("rates")
    shuffled = rates_of(folder, eur=HEADER + "\n".join(lines))
    assert shuffled.at("EUR", october(31)).rate == Decimal("0.9173")
    assert shuffled.version == rates_of(folder, a=EUR).version


def test_the_lake_keeps_every_version_whole(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    first = rates_of(tmp_path, eur=EUR)
    keep_rates(lake, first, "run 1")
    keep_rates(lake, first, "run 2")
    second = rates_of(tmp_path, eur=EUR.replace("0.9173", "0.9175"))
    keep_rates(lake, second, "run 3")
    assert {keys["version"] for keys in lake.partitions(FX_RATES)} == {first.version, second.version}
    kept = lake.scan(FX_RATES, version=first.version).select(FX_RATES.names).collect()
    assert kept.equals(first.rows)
    stamp = lake.stamp(FX_RATES, version=first.version)
    assert stamp is not None
    assert stamp.run == "run 1"
    again = FxRates(kept, first.files)
    assert again.at("EUR", october(31)) == first.at("EUR", october(31)), "the lake alone can make the statement again"
