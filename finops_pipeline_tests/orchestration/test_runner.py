"""The in-process runner, on real assets with a fake mediation."""

import datetime as dt
import signal
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from fake_mediation import FakeMediation, day_of

from finops_pipeline.chargeback.revisions import load_statement
from finops_pipeline.config.model import Config
from finops_pipeline.errors import ConfigError, ConservationError, PriceBookError, SourceError
from finops_pipeline.lake import Lake
from finops_pipeline.orchestration import analysis_steps, assets, checks, day_steps, runner
from finops_pipeline.orchestration.run_report import Progress
from finops_pipeline.pricing.kept import kept_book
from finops_pipeline.schemas import CHARGEBACK, DAILY_COSTS, PRICE_BOOK, PRICED_USAGE, USAGE

Ran = Callable[..., runner.RunReport]
Changed = Callable[..., Config]

CENTS_A_CALL = Decimal("0.25")

WRITTEN_A_DAY = 6
"""usage of both sources, priced_usage, daily_costs, budget_status, savings; alerts only write where there are any."""


def days_in(lake: Lake) -> list[str]:
    return [keys["date"] for keys in lake.partitions(DAILY_COSTS)]


def test_days_run_from_raw_logs_to_costs(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    mediation.calls["a", day_of("2026-09-02")] = 5
    report = ran("2026-09-01", "2026-09-02")
    assert (report.ok, report.days, report.changed, report.warnings) == (True, 2, 2 * WRITTEN_A_DAY, [])
    costs = lake.scan(DAILY_COSTS).group_by("date").agg(pl.col("requests", "cost").sum()).sort("date").collect()
    assert costs.rows() == [
        (day_of("2026-09-01"), 4, 4 * CENTS_A_CALL),
        (day_of("2026-09-02"), 7, 7 * CENTS_A_CALL),
    ]
    assert set(lake.scan(PRICED_USAGE).select("source", "cost_center").unique().collect().rows()) == {
        ("a", "CC-1"),
        ("b", "CC-1"),
    }


def test_a_key_that_everybody_knows_is_told_by_the_run_that_used_it(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINOPS_FINGERPRINT_KEY")
    (told,) = ran("2026-09-01").warnings
    assert told.startswith("FINOPS_FINGERPRINT_KEY is not set")
    assert ran("2026-09-01").warnings == []  # nothing was read


def test_an_unchanged_rerun_writes_nothing(ran: Ran, lake: Lake) -> None:
    ran("2026-09-01", "2026-09-03", month="2026-09")
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in Path(lake.storage.root).rglob("*.parquet")}
    report = ran("2026-09-01", "2026-09-03", month="2026-09")
    assert report.ok
    assert report.changed == 0
    assert {
        file: (file.stat().st_mtime_ns, file.read_bytes()) for file in Path(lake.storage.root).rglob("*.parquet")
    } == before


def test_force_makes_them_again_and_their_rows_are_the_same(ran: Ran, lake: Lake) -> None:
    ran("2026-09-01")
    before = lake.scan(PRICED_USAGE).collect()
    assert ran("2026-09-01", force=True).changed == WRITTEN_A_DAY
    assert lake.scan(PRICED_USAGE).collect().equals(before)


def test_a_large_day_is_priced_in_batches_to_the_same_rows(
    ran: Ran, lake: Lake, mediation: FakeMediation, monkeypatch: pytest.MonkeyPatch
) -> None:
    mediation.calls |= {("a", day_of("2026-09-01")): 7, ("b", day_of("2026-09-01")): 0}
    ran("2026-09-01")
    whole = lake.scan(PRICED_USAGE).collect()
    monkeypatch.setattr(day_steps, "RATED_AT_ONCE", 3)
    ran("2026-09-01", force=True)
    assert whole.height == 7
    assert lake.scan(PRICED_USAGE).collect().equals(whole)


def test_a_day_without_calls_is_a_day_too(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    mediation.calls |= {(source, day_of("2026-09-01")): 0 for source in ("a", "b")}
    assert ran("2026-09-01").ok
    assert days_in(lake) == ["2026-09-01"]
    assert lake.scan(DAILY_COSTS).collect().is_empty()


def test_one_failing_day_of_three_leaves_the_others_written(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    mediation.fail("b", "2026-09-02")
    report = ran("2026-09-01", "2026-09-03")
    assert not report.ok
    assert report.failures == ["usage/b, 2026-09-02: source b: the bucket is gone"]
    below = "priced_usage, daily_costs, budget_status, budget_alerts, savings"
    assert report.warnings == [f"{below}, 2026-09-02: not made, because what they read failed"]
    assert days_in(lake) == ["2026-09-01", "2026-09-03"]
    assert lake.stamp(USAGE, source="a", date=day_of("2026-09-02")) is not None


def test_a_day_that_failed_is_complete_after_the_next_run(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    mediation.fail("b", "2026-09-02")
    ran("2026-09-01", "2026-09-03")
    mediation.failing.clear()
    report = ran("2026-09-01", "2026-09-03")
    assert report.ok
    assert report.changed == 7, "usage/b and what is below it of the one day; budgets and savings of the next"
    assert days_in(lake) == ["2026-09-01", "2026-09-02", "2026-09-03"]


def test_days_that_fail_for_the_same_reason_share_a_sentence(ran: Ran, mediation: FakeMediation) -> None:
    mediation.fail("a", "2026-09-01", "2026-09-02", "2026-09-03")
    assert ran("2026-09-01", "2026-09-03").failures == [
        "usage/a, 2026-09-01 to 2026-09-03: source a: the bucket is gone"
    ]


def test_what_is_no_error_of_ours_is_named_as_a_defect(ran: Ran, mediation: FakeMediation) -> None:
    mediation.fail("a", "2026-09-01", error=ZeroDivisionError("division by zero"))
    mediation.fail("b", "2026-09-01", error=ConservationError("3 records read, 2 accounted for"))
    assert ran("2026-09-01").failures == [
        "usage/a, 2026-09-01: unexpected ZeroDivisionError: division by zero",
        "usage/b, 2026-09-01: 3 records read, 2 accounted for",
    ]


def test_a_failure_below_mediation_holds_only_its_own_day(
    ran: Ran, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rate_or_fail(usage: pl.LazyFrame, *rest: object) -> pl.LazyFrame:
        if usage.select(pl.col("event_time").dt.day().eq(2).any()).collect().item():
            raise SourceError("no price for a Wednesday")
        return real(usage, *rest)  # type: ignore[arg-type]

    real = day_steps.rate
    monkeypatch.setattr(day_steps, "rate", rate_or_fail)
    report = ran("2026-09-01", "2026-09-03")
    assert report.failures == ["priced_usage, 2026-09-02: no price for a Wednesday"]
    assert days_in(lake) == ["2026-09-01", "2026-09-03"]


def test_allow_partial_goes_on_and_says_so_down_to_the_statement(
    ran: Ran, lake: Lake, mediation: FakeMediation
) -> None:
    mediation.fail("b", "2026-09-02")
    report = ran("2026-09-01", "2026-09-03", month="2026-09", allow_partial=True)
    assert report.failures == ["usage/b, 2026-09-02: source b: the bucket is gone"]
    assert "priced_usage, 2026-09-02: made without b: the day is marked incomplete" in report.warnings
    for table in (PRICED_USAGE, DAILY_COSTS):
        missing = {day: lake.stamp(table, date=day_of(day)).notes["missing_sources"] for day in days_in(lake)}
        assert missing == {"2026-09-01": [], "2026-09-02": ["b"], "2026-09-03": []}
    assert load_statement(lake, "2026-09").completeness.partial_days == ((day_of("2026-09-02"), ("b",)),)
    assert report.statements[0].total == 10 * CENTS_A_CALL


def test_a_partial_day_becomes_whole_when_its_source_delivers(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    mediation.fail("b", "2026-09-02")
    ran("2026-09-02", allow_partial=True)
    mediation.failing.clear()
    assert ran("2026-09-02").changed == WRITTEN_A_DAY - 1
    assert lake.stamp(DAILY_COSTS, date=day_of("2026-09-02")).notes["missing_sources"] == []


def test_a_changed_owner_prices_again_without_reading_logs(ran: Ran, changed: Changed, lake: Lake) -> None:
    ran("2026-09-01")
    report = ran("2026-09-01", config=changed(teams={"search": {"cost_center": "CC-2"}}))
    assert report.changed == WRITTEN_A_DAY - 2, "all but the usage of both sources"
    assert lake.scan(DAILY_COSTS).collect().get_column("cost_center").unique().to_list() == ["CC-2"]


def test_usage_only_reads_every_source_and_prices_nothing(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    mediation.hands_over["a", day_of("2026-09-03")] = day_of("2026-09-01")
    report = ran("2026-09-02", "2026-09-03", usage_only=True)
    assert report.ok
    assert {keys["source"] for keys in lake.partitions(USAGE)} == {"a", "b"}
    assert days_in(lake) == []
    assert ("a", day_of("2026-09-01")) in mediation.asked, "the day that received strays is read as well"


def test_usage_only_needs_no_prices(ran: Ran, changed: Changed, lake: Lake) -> None:
    broken = changed(prices=["no-such-file.csv"])
    assert ran("2026-09-01", config=broken, usage_only=True).ok
    with pytest.raises(PriceBookError):
        ran("2026-09-01", config=broken)


def test_of_a_source_that_fails_usage_only_tells_and_reads_the_others(
    ran: Ran, lake: Lake, mediation: FakeMediation
) -> None:
    mediation.fail("a", "2026-09-01")
    report = ran("2026-09-01", usage_only=True)
    assert report.failures == ["usage/a, 2026-09-01: source a: the bucket is gone"]
    assert [keys["source"] for keys in lake.partitions(USAGE)] == ["b"]


def test_what_is_reread_is_read_by_force_and_nothing_else(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    ran("2026-09-01", "2026-09-03")
    wanted = {("a", day_of("2026-09-01")), ("b", day_of("2026-09-03"))}
    report = ran(reread=frozenset(wanted))
    assert set(mediation.forced) == wanted
    assert (report.days, report.changed) == (2, 2), "equal usage makes no costs anew"


def test_costs_follow_what_was_reread(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    ran("2026-09-01", "2026-09-03")
    mediation.calls["a", day_of("2026-09-01")] = 7
    ran(reread=frozenset({("a", day_of("2026-09-01"))}))
    costs = lake.scan(DAILY_COSTS, date=day_of("2026-09-01")).collect()
    assert costs.get_column("requests").sum() == 9
    assert ("a", day_of("2026-09-02")) not in mediation.forced


@pytest.mark.parametrize("pair", [("nobody", "2026-09-01"), ("a", "2026-08-31")])
def test_what_cannot_be_reread_is_refused(ran: Ran, pair: tuple[str, str]) -> None:
    with pytest.raises(ConfigError):
        ran(reread=frozenset({(pair[0], day_of(pair[1]))}))


def test_days_that_receive_strays_are_run_again(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    mediation.hands_over["a", day_of("2026-09-03")] = day_of("2026-09-01")
    report = ran("2026-09-01", "2026-09-03")
    assert report.ok
    assert mediation.asked.count(("a", day_of("2026-09-01"))) == 2
    assert mediation.asked.count(("b", day_of("2026-09-01"))) == 2, "the day runs as a whole"
    assert mediation.asked.count(("a", day_of("2026-09-02"))) == 1
    costs = lake.scan(DAILY_COSTS, date=day_of("2026-09-01")).collect()
    assert costs.get_column("requests").sum() == 5, "two of each source and the stray"


def test_strays_of_a_day_outside_the_range_are_brought_in(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    mediation.hands_over["a", day_of("2026-09-10")] = day_of("2026-09-04")
    report = ran("2026-09-10")
    assert report.days == 2
    assert days_in(lake) == ["2026-09-04", "2026-09-10"]


def test_strays_of_a_day_that_is_not_over_wait(ran: Ran, mediation: FakeMediation) -> None:
    mediation.hands_over["a", day_of("2026-10-04")] = day_of("2026-10-05")
    assert ran("2026-10-04").days == 1
    assert ("a", day_of("2026-10-05")) not in mediation.asked


def test_strays_of_a_day_that_failed_are_not_tried_again(ran: Ran, mediation: FakeMediation) -> None:
    mediation.hands_over["a", day_of("2026-09-02")] = day_of("2026-09-01")
    mediation.fail("b", "2026-09-01")
    ran("2026-09-01", "2026-09-02")
    assert mediation.asked.count(("b", day_of("2026-09-01"))) == 1


def test_passes_for_strays_come_to_an_end(ran: Ran, mediation: FakeMediation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "days_with_fresh_strays", lambda config, lake: [("a", day_of("2026-09-01"))])
    report = ran("2026-09-01")
    assert report.ok
    assert mediation.asked.count(("a", day_of("2026-09-01"))) == runner.MAX_PASSES
    assert report.warnings == [
        "usage, 2026-09-01: the day has received late records again; the next run will read them"
    ]


def test_one_source_alone_is_mediation_only(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    report = ran("2026-09-01", "2026-09-02", source="b")
    assert report.changed == 2
    assert {source for source, _ in mediation.asked} == {"b"}
    assert days_in(lake) == []


def test_a_source_that_is_not_configured_is_refused(ran: Ran) -> None:
    with pytest.raises(ConfigError, match=r"no source gateway in finops[.]yaml: expected one of a, b"):
        ran("2026-09-01", source="gateway")


@pytest.mark.parametrize("asked", [{"first": "2026-08-31"}, {"month": "2026-08"}])
def test_nothing_lies_before_the_start(ran: Ran, asked: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="nothing lies before 2026-09-01"):
        ran(**asked)


@pytest.mark.parametrize(
    ("now", "days", "month"),
    [
        ("2026-10-02T02:00", ["2026-09-29", "2026-09-30", "2026-10-01"], None),  # before close_day
        ("2026-10-03T02:00", ["2026-09-30", "2026-10-01", "2026-10-02"], "2026-09"),
        ("2026-09-02T02:00", ["2026-09-01"], None),  # August ended before the start
    ],
)
def test_by_default_a_run_is_the_night_and_the_month_that_is_due(
    ran: Ran, lake: Lake, now: str, days: list[str], month: str | None
) -> None:
    report = ran(now=dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC))
    assert days_in(lake) == days
    assert [statement.month for statement in report.statements] == ([month] if month else [])


def test_before_the_first_day_is_over_there_is_nothing_to_run(ran: Ran) -> None:
    report = ran(now=dt.datetime(2026, 9, 1, 23, tzinfo=dt.UTC))
    assert (report.ok, report.days, report.changed) == (True, 0, 0)


def test_the_month_makes_a_statement_its_page_and_one_mail(config: Config, ran: Ran, lake: Lake) -> None:
    ran("2026-09-01", "2026-09-30")
    [statement] = ran(month="2026-09").statements
    assert (statement.month, statement.revision, statement.is_new) == ("2026-09", 1, True)
    assert statement.total == 30 * 4 * CENTS_A_CALL
    assert statement.page == f"{lake.storage.root}/reports/month=2026-09/revision=1/index.html"
    assert "30.00" in Path(statement.page).read_text()
    [mail] = statement.mails
    assert Path(mail.place).parent == config.folder / "outbox"
    assert b"To: finance@example.com" in Path(mail.place).read_bytes()


def test_a_month_that_says_the_same_makes_no_revision_and_no_mail(ran: Ran, config: Config) -> None:
    ran("2026-09-01", month="2026-09")
    mails = sorted((config.folder / "outbox").iterdir())
    [statement] = ran(month="2026-09", now=dt.datetime(2026, 11, 1, tzinfo=dt.UTC)).statements
    assert (statement.revision, statement.is_new, statement.mails) == (1, False, [])
    assert sorted((config.folder / "outbox").iterdir()) == mails


def test_without_recipients_there_is_a_page_and_no_mail(ran: Ran, config: Config) -> None:
    config.reports.recipients.clear()
    [statement] = ran("2026-09-01", month="2026-09").statements
    assert Path(statement.page).exists()
    assert statement.mails == []
    assert not (config.folder / "outbox").exists()


def test_a_page_that_is_gone_is_made_again_and_no_mail_sent(ran: Ran) -> None:
    [first] = ran("2026-09-01", month="2026-09").statements
    html = Path(first.page).read_bytes()
    Path(first.page).unlink()
    [again] = ran(month="2026-09").statements
    assert Path(again.page).read_bytes() == html
    assert (again.is_new, again.mails) == (False, [])


def test_a_run_that_breaks_before_its_first_partition_ends(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(assets, "make_partitions", broken)
    report = ran("2026-09-01")
    assert report.failures == [
        "usage__a: ZeroDivisionError: division by zero",
        "usage__b: ZeroDivisionError: division by zero",
    ]
    everything = "usage/a, usage/b, priced_usage, daily_costs, budget_status, budget_alerts, savings"
    assert report.warnings == [f"{everything}, 2026-09-01: not made, because what they read failed"]


def test_late_costs_make_the_next_revision(ran: Ran, mediation: FakeMediation) -> None:
    ran("2026-09-01", month="2026-09")
    mediation.calls["a", day_of("2026-09-01")] = 10
    [statement] = ran("2026-09-01", month="2026-09").statements
    assert (statement.revision, statement.is_new, statement.total) == (2, True, 12 * CENTS_A_CALL)
    assert len(statement.mails) == 1


def test_a_month_with_missing_days_is_made_and_says_so(ran: Ran, lake: Lake, mediation: FakeMediation) -> None:
    mediation.fail("a", "2026-09-02")
    report = ran("2026-09-01", "2026-09-29", month="2026-09")
    missing = load_statement(lake, "2026-09").completeness.missing_days
    assert missing == (day_of("2026-09-02"), day_of("2026-09-30"))
    assert "chargeback, 2026-09: the statement lacks 2026-09-02, 2026-09-30" in report.warnings
    assert len(report.statements) == 1


def test_a_month_whose_statement_fails_is_a_failure(ran: Ran, config: Config) -> None:
    outbox = config.folder / "outbox"
    outbox.write_text("a file where the folder should be")
    report = ran("2026-09-01", month="2026-09")
    assert len(report.failures) == 1
    assert report.failures[0].startswith("report_delivery, 2026-09: ")
    assert report.statements[0].mails == []


def test_progress_knows_the_total_in_advance_and_reaches_it(ran: Ran, mediation: FakeMediation) -> None:
    told: list[Progress] = []
    mediation.fail("b", "2026-09-02")
    ran("2026-09-01", "2026-09-02", month="2026-09", on_progress=told.append)
    assert {progress.total for progress in told} == {2 * 7 + 3}
    assert [progress.done for progress in told] == list(range(1, 18))
    by_status = {p.status: sum(q.status == p.status for q in told) for p in told}
    assert by_status == {"written": WRITTEN_A_DAY + 1 + 3, "unchanged": 1, "failed": 1, "skipped": 5}


def test_dagster_records_what_was_written_and_nothing_else(
    ran: Ran, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    mediation.fail("b", "2026-09-02")
    ran("2026-09-01", "2026-09-03")
    recorded = {
        key.to_user_string(): sorted(instance.get_materialized_partitions(key))
        for key in (dg.AssetKey(["usage", "a"]), dg.AssetKey(["usage", "b"]), dg.AssetKey("daily_costs"))
    }
    assert recorded == {
        "usage/a": ["2026-09-01", "2026-09-02", "2026-09-03"],
        "usage/b": ["2026-09-01", "2026-09-03"],
        "daily_costs": ["2026-09-01", "2026-09-03"],
    }


def test_each_partition_is_recorded_with_its_own_facts(
    ran: Ran, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    mediation.calls["a", day_of("2026-09-02")] = 7
    ran("2026-09-01", "2026-09-02")
    records = instance.fetch_materializations(dg.AssetKey(["usage", "a"]), limit=10).records
    rows = {
        record.partition_key: record.asset_materialization.metadata["dagster/partition_row_count"].value
        for record in records
    }
    assert rows == {"2026-09-01": 2, "2026-09-02": 7}


def test_a_home_of_dagster_keeps_the_history(
    config: Config, mediation: FakeMediation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("{}")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    request = runner.RunRequest(days=(day_of("2026-09-01"), day_of("2026-09-01")))
    assert runner.run(config, request, now=dt.datetime(2026, 10, 5, tzinfo=dt.UTC)).ok
    with dg.DagsterInstance.get() as kept:
        assert [(run.job_name, run.status) for run in kept.get_runs()] == [
            ("nightly", dg.DagsterRunStatus.SUCCESS)
        ] * 2, "the tables, then what watches them"


@pytest.mark.parametrize("home", ["relative/folder", "/does/not/exist"])
def test_a_wrong_home_of_dagster_is_one_clear_error(config: Config, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", home)
    with pytest.raises(ConfigError, match=r"DAGSTER_HOME is .*: expected the absolute path of a folder"):
        runner.run(config, runner.RunRequest(), now=dt.datetime(2026, 10, 5, tzinfo=dt.UTC))


def test_dagster_is_silent_unless_asked(ran: Ran, mediation: FakeMediation, capfd: pytest.CaptureFixture[str]) -> None:
    mediation.fail("a", "2026-09-01", error=ZeroDivisionError("division by zero"))
    ran("2026-09-01")
    assert capfd.readouterr() == ("", "")


def test_an_interruption_ends_the_run(ran: Ran, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(usage: pl.LazyFrame, *rest: object) -> pl.LazyFrame:
        signal.raise_signal(signal.SIGINT)
        return usage

    monkeypatch.setattr(day_steps, "rate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ran("2026-09-01")
    assert lake.stamp(USAGE, source="a", date=day_of("2026-09-01")) is not None
    assert lake.stamp(PRICED_USAGE, date=day_of("2026-09-01")) is None


def test_an_interruption_of_what_watches_leaves_the_tables(
    ran: Ran, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*rest: object, **more: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(analysis_steps, "budget_status", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ran("2026-09-01", month="2026-09")
    assert days_in(lake) == ["2026-09-01"]
    assert lake.partitions(CHARGEBACK) == []


def test_savings_that_fail_do_not_keep_the_statement_from_being_made(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*rest: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(analysis_steps, "savings_of_day", broken)
    report = ran("2026-09-01", "2026-09-02", month="2026-09")
    assert report.failures == ["savings, 2026-09-01 to 2026-09-02: unexpected ZeroDivisionError: division by zero"]
    assert [(made.month, str(made.total)) for made in report.statements] == [("2026-09", "2.00")]


def test_what_breaks_outside_the_partitions_is_a_failure_too(
    ran: Ran, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*counts: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(checks, "unpriced", broken)
    report = ran("2026-09-01")
    assert report.failures == ["priced_usage_nearly_all_priced: ZeroDivisionError: division by zero"]
    assert days_in(lake) == ["2026-09-01"]


def test_every_version_of_the_prices_stays_with_its_aliases(ran: Ran, changed: Changed, lake: Lake) -> None:
    ran("2026-09-01", config=changed(model_aliases={"our-deployment": "gpt-4o"}))
    version = lake.stamp(PRICED_USAGE, date=day_of("2026-09-01")).notes["book_version"]
    assert [keys["version"] for keys in lake.partitions(PRICE_BOOK)] == [version]
    book = kept_book(lake, version)
    assert book is not None
    assert book.aliases.select("alias", "model").rows() == [("our-deployment", "gpt-4o")]
    assert book.resolver("openai", "our-deployment").model == "gpt-4o"


def test_a_day_keeps_the_prices_that_it_was_priced_with(
    ran: Ran, mediation: FakeMediation, changed: Changed, lake: Lake, tmp_path: Path
) -> None:
    def book_of(day: str) -> str:
        return str(lake.stamp(PRICED_USAGE, date=day_of(day)).notes["book_version"])

    def cost_of(day: str) -> Decimal:
        return Decimal(
            lake.scan(PRICED_USAGE, date=day_of(day)).select(pl.col("contracted_cost").sum()).collect().item()
        )

    ran("2026-09-01")
    first, cost = book_of("2026-09-01"), cost_of("2026-09-01")
    assert cost > 0
    (tmp_path / "free.csv").write_text("provider,model,discount\n,*,1\n")
    free = changed(prices=[str(tmp_path / "free.csv")])
    assert ran("2026-09-01", config=free).changed == 0
    mediation.calls["a", day_of("2026-09-01")] = 9  # late records: priced as the others of their day
    assert ran("2026-09-01", "2026-09-02", config=free).ok
    assert book_of("2026-09-01") == first
    assert cost_of("2026-09-01") > cost
    assert book_of("2026-09-02") != first
    assert cost_of("2026-09-02") == 0
    assert ran("2026-09-01", "2026-09-02", config=free, reprice=True).ok
    assert book_of("2026-09-01") == book_of("2026-09-02")
    assert cost_of("2026-09-01") == 0
