"""Verdicts of the asset checks, and that Dagster shows them."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import dagster as dg
import polars as pl
import pytest
from fake_mediation import FakeMediation, day_of

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.orchestration.checks import conflicting, conservation, nearly_duplicated, quarantined, unpriced
from finops_pipeline.orchestration.code_location import build_definitions
from finops_pipeline.orchestration.partitions import range_tags
from finops_pipeline.orchestration.runner import RunReport
from finops_pipeline.orchestration.session import Session
from finops_pipeline.pricing.totals import PricedTotals, totals_of
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES, PRICED_USAGE, USAGE, Table

NONE = dict.fromkeys(OUTCOMES, 0)


def test_every_record_has_one_outcome() -> None:
    counts = {**NONE, "records": 10, "usage": 7, "duplicate": 2, "another_day": 1}
    assert conservation(counts).passed
    lost = conservation({**counts, "usage": 6})
    assert not lost.passed
    assert lost.sentence == "10 records read, 9 accounted for"


def test_quarantined_records_are_told_with_their_share() -> None:
    assert quarantined({**NONE, "records": 0}).passed
    found = quarantined({**NONE, "records": 8, "quarantined": 2})
    assert not found.passed
    assert found.facts == {"quarantined": 2, "quarantined_share": 0.25}


def test_duplicates_that_say_something_else_are_told() -> None:
    assert conflicting({**NONE, "records": 9, "duplicate": 9, "conflicts": 0}).passed
    found = conflicting({**NONE, "records": 9, "duplicate": 4, "conflicts": 3})
    assert not found.passed
    assert found.sentence == "duplicates that say something else than the record that is kept: 3 of 4"
    assert found.facts == {"conflicts": 3, "duplicates": 4}


def test_calls_that_are_like_another_are_told_and_count_as_calls() -> None:
    assert nearly_duplicated({**NONE, "records": 9, "usage": 9, "near_duplicates": 0}).passed
    found = nearly_duplicated({**NONE, "records": 9, "usage": 9, "near_duplicates": 1})
    assert not found.passed
    assert found.facts == {"near_duplicates": 1, "usage": 9}


@pytest.mark.parametrize(
    ("tokens", "unpriced_tokens", "unpriced_calls", "passed"),
    [
        (1_000_000, 0, 0, True),
        (1_000_000, 1_000, 1, True),  # exactly the tolerated share
        (1_000_000, 1_001, 1, False),
        (0, 0, 0, True),
        (0, 0, 3, False),  # calls of which not even the tokens are known
    ],
)
def test_the_unpriced_share_is_of_tokens(tokens: int, unpriced_tokens: int, unpriced_calls: int, passed: bool) -> None:
    priced = PricedTotals(tokens=tokens, unpriced_tokens=unpriced_tokens, unpriced_calls=unpriced_calls)
    assert unpriced(priced, Decimal("0.001")).passed is passed


def checked(
    config: Config, instance: dg.DagsterInstance, first: str, last: str
) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    result = (
        build_definitions(Session(config))
        .resolve_job_def("nightly")
        .execute_in_process(instance=instance, tags=range_tags(first, last))
    )
    return {(c.asset_key.to_user_string(), c.check_name): c for c in result.get_asset_check_evaluations()}


def test_a_run_is_checked_over_its_own_days(
    config: Config, lake: Lake, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    mediation.calls["a", day_of("2026-09-02")] = 9
    said = {"objects": 1, "lines": 4, "records": 4, "outcomes": NONE | {"quarantined": 4}}
    said |= {"stray_days": [], "warnings": []}
    lake.write(USAGE, USAGE.empty(), Stamp(1, "", "", said), source="a", date=day_of("2026-09-30"))
    checks = checked(config, instance, "2026-09-01", "2026-09-02")
    assert all(check.passed for check in checks.values())
    of_usage = "every_record_counted", "nothing_quarantined", "no_conflicting_duplicates", "no_near_duplicates"
    assert set(checks) == {
        *((f"usage/{source}", name) for source in "ab" for name in of_usage),
        ("priced_usage", "nearly_all_priced"),
        ("daily_costs", "every_call_rolled_up"),
        ("budget_status", "within_budget"),
    }
    counted = checks["usage/a", "every_record_counted"].metadata
    assert (counted["records"].value, counted["usage"].value) == (11, 11)


def test_what_asks_for_a_look_is_a_warning_of_its_source(
    config: Config, lake: Lake, mediation: FakeMediation, instance: dg.DagsterInstance
) -> None:
    checked(config, instance, "2026-09-01", "2026-09-01")
    for source, parts in (("a", {"conflicts": 1}), ("b", {"near_duplicates": 2})):
        day = {"source": source, "date": day_of("2026-09-01")}
        calls, stamp = lake.scan(USAGE, **day).select(USAGE.names).collect(), lake.stamp(USAGE, **day)
        assert stamp is not None
        lake.write(USAGE, calls, replace(stamp, notes={**stamp.notes, **parts}), **day)
    failed = {key: c for key, c in checked(config, instance, "2026-09-01", "2026-09-01").items() if not c.passed}
    assert set(failed) == {("usage/a", "no_conflicting_duplicates"), ("usage/b", "no_near_duplicates")}
    assert {check.severity for check in failed.values()} == {dg.AssetCheckSeverity.WARN}
    assert all(not check.blocking for check in failed.values())


@pytest.mark.parametrize("told", [True, False], ids=["told by the file", "read from its rows"])
def test_tokens_that_contradict_themselves_are_in_no_share(
    config: Config,
    lake: Lake,
    mediation: FakeMediation,
    instance: dg.DagsterInstance,
    ran: Callable[..., RunReport],
    told: bool,
) -> None:
    """One line with a trillion tokens neither is the unpriced share nor hides it."""
    ran("2026-09-01")
    day = {"date": day_of("2026-09-01")}
    calls, stamp = lake.scan(PRICED_USAGE, **day).select(PRICED_USAGE.names), lake.stamp(PRICED_USAGE, **day)
    hostile = calls.limit(1).with_columns(
        input_tokens=pl.lit(10**12), price_status=pl.lit("unpriced"), price_reason=pl.lit("invalid_usage")
    )
    unknown = calls.limit(1).with_columns(price_status=pl.lit("unpriced"), price_reason=pl.lit("unresolved_model"))
    assert stamp is not None
    rows = pl.concat([calls.limit(3), hostile, unknown])
    totals = totals_of(rows).notes() if told else None
    lake.write(PRICED_USAGE, rows.collect(), replace(stamp, notes={**stamp.notes, "totals": totals}), **day)
    check = checked(config, instance, "2026-09-01", "2026-09-01")["priced_usage", "nearly_all_priced"]
    assert {name: fact.value for name, fact in check.metadata.items()} == {
        "unpriced_requests": 2,
        "unpriced_tokens": 1100,
        "unpriced_share": 0.25,
    }


def test_what_has_not_changed_is_checked_without_reading_its_calls_again(
    config: Config, mediation: FakeMediation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = checked(config, instance, "2026-09-01", "2026-09-02")
    scan = Lake.scan

    def small_tables_only(self: Lake, table: Table, **keys: Any) -> pl.LazyFrame:
        assert table not in (USAGE, PRICED_USAGE, INGEST_OBJECTS)
        return scan(self, table, **keys)

    monkeypatch.setattr(Lake, "scan", small_tables_only)
    again = checked(config, instance, "2026-09-01", "2026-09-02")
    assert {key: (c.passed, c.metadata) for key, c in again.items()} == {
        key: (c.passed, c.metadata) for key, c in first.items()
    }


def test_unpriced_calls_are_a_warning_in_the_report(
    config: Config, mediation: FakeMediation, ran: Callable[..., RunReport]
) -> None:
    mediation.model = "nobody-knows-1"
    object.__setattr__(config.sources[0], "cost_basis", "contracted")
    report = ran("2026-09-01", "2026-09-02")
    assert report.ok
    assert report.warnings == [
        "priced_usage, 2026-09-01 to 2026-09-02: calls without a price: 4, with 4,400 tokens (50.000% of all)"
    ]
