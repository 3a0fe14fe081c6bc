"""``finops check``."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from finops_pipeline.config.model import Config, Source
from finops_pipeline.errors import PriceBookError, SourceError
from finops_pipeline.mediation.coverage import Coverage

Finops = Callable[..., Result]

FOUND = Coverage(
    objects=1488,
    complete=True,
    first_day=dt.date(2026, 9, 1),
    last_day=dt.date(2026, 10, 19),
    newest=dt.datetime(2026, 10, 20, 0, 12, tzinfo=dt.UTC),
    undated=0,
)
NOTHING = Coverage(objects=0, complete=True, first_day=None, last_day=None, newest=None, undated=0)


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> dict[str, Coverage | Exception]:
    """What each source's listing finds; a test may say otherwise."""
    found: dict[str, Coverage | Exception] = {"bedrock": FOUND, "gateway": FOUND}

    def coverage(config: Config, source: Source) -> Coverage:
        listed = found[source.name]
        if isinstance(listed, Exception):
            raise listed
        return listed

    monkeypatch.setattr("finops_pipeline.mediation.coverage.coverage", coverage)
    return found


def rows(output: str) -> dict[str, list[str]]:
    """Cells of the table's rows by source; cells are apart by two blanks at least."""
    cells = [[c.strip() for c in line.split("  ") if c.strip()] for line in output.splitlines()]
    return {c[0]: c[1:] for c in cells if c and c[0] in ("bedrock", "gateway")}


@pytest.mark.usefixtures("config")
def test_it_says_of_each_source_what_is_there(finops: Finops, sources: dict[str, Coverage | Exception]) -> None:
    sources["gateway"] = NOTHING
    result = finops("check")
    assert result.exit_code == 0
    assert rows(result.stdout) == {
        "bedrock": ["bedrock", "yes", "1,488", "2026-09-01 to 2026-10-19", "2026-10-20 00:12 UTC"],
        "gateway": ["litellm", "yes", "0", "–", "–"],
    }
    assert "Note: gateway: no log objects below s3://logs/gateway. Is the prefix right?" in result.stdout
    assert result.stdout.endswith("The config is valid and every source can be reached.\n")


@pytest.mark.usefixtures("config")
def test_a_source_that_cannot_be_reached_keeps_none_from_being_looked_at(
    finops: Finops, sources: dict[str, Coverage | Exception]
) -> None:
    sources["bedrock"] = SourceError("source bedrock: there is no bucket logs")
    result = finops("check")
    assert result.exit_code == 1
    assert result.stderr == "Error: source bedrock: there is no bucket logs\n"
    assert rows(result.stdout)["bedrock"] == ["bedrock", "no", "–", "–", "–"]
    assert rows(result.stdout)["gateway"][1] == "yes"
    assert "every source can be reached" not in result.stdout


@pytest.mark.usefixtures("config", "sources")
def test_nothing_is_written(finops: Finops, folder: Path) -> None:
    finops("check")
    assert [f.name for f in folder.iterdir()] == ["finops.yaml"]


@pytest.mark.usefixtures("config")
def test_a_listing_that_stopped_early_says_so(finops: Finops, sources: dict[str, Coverage | Exception]) -> None:
    sources["bedrock"] = Coverage(100_000, False, dt.date(2026, 9, 1), dt.date(2026, 9, 9), FOUND.newest, 250)
    result = finops("check")
    assert rows(result.stdout)["bedrock"][2:4] == ["100,000 and more", "2026-09-01 to 2026-09-09 and more"]
    assert "Note: bedrock: 250 objects carry no date in their keys" in result.stdout


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-08-31", "2026-09-02", "days before start_date (2026-09-01) are not run; the logs begin on 2026-08-31"),
        ("2026-08-01", "2026-08-31", "every log lies before start_date (2026-09-01)"),
    ],
)
def test_logs_before_the_start_are_told(
    finops: Finops, sources: dict[str, Coverage | Exception], first: str, last: str, said: str
) -> None:
    sources["bedrock"] = Coverage(3, True, dt.date.fromisoformat(first), dt.date.fromisoformat(last), FOUND.newest, 0)
    assert f"Note: bedrock: {said}." in finops("check").stdout


@pytest.mark.usefixtures("sources")
def test_who_would_get_no_mail_is_told(finops: Finops, config: Path) -> None:
    config.write_text(config.read_text() + "teams: {lost: {owner: nobody}}\n")
    assert "Note: no e-mail, so no page and no alerts: lost." in finops("check").stdout


@pytest.mark.usefixtures("sources")
def test_a_budget_of_a_team_that_nobody_knows_is_told(finops: Finops, config: Path) -> None:
    config.write_text(config.read_text() + "budgets: [{name: a, scope: {team: serach}, limit: 1}]\n")
    assert "Note: budget a is of team serach, which `teams` does not name" in finops("check").stdout


@pytest.mark.usefixtures("sources")
def test_mail_that_could_not_leave_is_an_error_today_and_not_at_the_months_end(
    finops: Finops, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINOPS_SMTP_PASSWORD", raising=False)
    config.write_text(
        config.read_text()
        + "reports: {from: finops@example.com}\nmail: {transport: smtp, host: smtp.example.com, user: finops}\n"
    )
    done = finops("check")
    assert done.exit_code == 1
    assert "FINOPS_SMTP_PASSWORD" in done.stderr


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize(
    ("lake", "said"),
    [("./file", "file is no folder"), ("./file/lake", "file is no folder"), ("./a=b/lake", "take for a partition key")],
)
def test_a_lake_that_cannot_be_is_an_error(finops: Finops, config: Path, lake: str, said: str) -> None:
    (config.parent / "file").write_text("")
    config.write_text(config.read_text().replace("./lake", lake))
    result = finops("check")
    assert result.exit_code == 1
    assert said in result.stderr


@pytest.mark.usefixtures("sources")
def test_a_lake_on_s3_is_looked_at(finops: Finops, config: Path, s3_uri: str) -> None:
    config.write_text(config.read_text().replace("./lake", s3_uri))
    result = finops("check")
    assert result.exit_code == 0
    assert f"Lake: {s3_uri}\n" in result.stdout
    config.write_text(config.read_text().replace(s3_uri, "s3://no-such-bucket/lake"))
    result = finops("check")
    assert result.exit_code == 1
    assert "Error: s3://no-such-bucket/lake: there is no bucket no-such-bucket. Check `lake` in" in result.stderr


@pytest.mark.usefixtures("sources", "config")
def test_a_lake_that_cannot_be_written_is_an_error(finops: Finops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    result = finops("check")
    assert result.exit_code == 1
    assert "cannot be written. Check `lake` in finops.yaml" in result.stderr


@pytest.mark.usefixtures("sources")
def test_a_price_file_with_mistakes_is_an_error(finops: Finops, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(config: Config) -> None:
        raise PriceBookError("prices.csv line 2: no price")

    monkeypatch.setattr("finops_pipeline.pricing.book.compile_book", refuse)
    assert finops("check").exit_code == 0, "there are no price files"
    config.write_text(config.read_text() + "prices: [prices.csv]\n")
    result = finops("check")
    assert result.exit_code == 1
    assert result.stderr == "Error: prices.csv line 2: no price\n"


def test_a_wrong_config_exits_with_2_before_anything_is_listed(finops: Finops, config: Path) -> None:
    config.write_text(config.read_text() + "late_day: 3\n")
    result = finops("check")
    assert result.exit_code == 2
    assert "late_day: unknown key; did you mean late_days? (line 6)" in result.stderr


def test_a_folder_of_logs_is_really_listed(finops: Finops, folder: Path) -> None:
    (folder / "logs/2026-10-05").mkdir(parents=True)
    (folder / "logs/2026-10-05/calls.jsonl").write_text("{}\n")
    (folder / "finops.yaml").write_text(
        "lake: ./lake\n"
        "sources: [{name: bedrock, format: record, uri: ./logs}, {name: gateway, format: record, uri: ./no}]\n"
    )
    result = finops("check")
    assert rows(result.stdout)["bedrock"][:4] == ["record", "yes", "1", "2026-10-05 to 2026-10-05"]
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: source gateway: there is no folder")


@pytest.mark.usefixtures("config", "sources")
def test_a_key_that_everybody_knows_is_told(finops: Finops, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "FINOPS_FINGERPRINT_KEY" not in finops("check").stdout
    monkeypatch.delenv("FINOPS_FINGERPRINT_KEY")
    assert "Note: FINOPS_FINGERPRINT_KEY is not set" in finops("check").stdout


def in_euro(config: Path, line: str) -> None:
    (config.parent / "eur.csv").write_text(f"date,currency,rate,source\n{line}\n")
    text = config.read_text()
    assert "reports:" not in text
    config.write_text(f"{text}fx_rates: [eur.csv]\nreports: {{currency: EUR, recipients: [finance@example.com]}}\n")


@pytest.mark.usefixtures("sources")
def test_it_says_in_words_what_the_latest_rate_of_exchange_means(finops: Finops, config: Path) -> None:
    in_euro(config, "2026-10-16,EUR,0.9173,ECB")
    result = finops("check")
    assert result.exit_code == 0
    said = "Note: statements are in EUR; the latest rate is 1 USD = 0.9173 EUR, 2026-10-16, source ECB.\n"
    assert said in result.stdout


@pytest.mark.usefixtures("sources")
def test_it_names_the_mistakes_of_a_file_of_rates(finops: Finops, config: Path) -> None:
    in_euro(config, "2026-10-16,EUR,one,ECB")
    result = finops("check")
    assert result.exit_code == 1
    assert "eur.csv, line 2, column rate: 'one', expected units of it for one USD such as 0.9173" in result.stderr
