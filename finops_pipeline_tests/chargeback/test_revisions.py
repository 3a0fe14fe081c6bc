import dataclasses
import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import polars as pl
import pytest

from finops_pipeline.chargeback.revisions import latest_revision, load_statement, previous_month, publish
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.errors import LakeError, LeaseHeldError
from finops_pipeline.lake import Lake
from finops_pipeline.schemas import CHARGEBACK

DraftOf = Callable[..., Statement]


def test_the_first_statement_is_revision_1_and_replaces_nothing(lake: Lake, draft_of: DraftOf) -> None:
    assert latest_revision(lake, "2026-10") is None
    assert publish(lake, draft_of({"team": "a", "cost": 1}), run="r1") == (1, True)
    assert latest_revision(lake, "2026-10") == 1
    assert load_statement(lake, "2026-10").replaces is None


def test_what_is_loaded_is_what_was_published(lake: Lake, draft_of: DraftOf) -> None:
    draft = draft_of(
        {"team": "a/b=c", "cost_center": "CC", "project": "p", "model": "m", "cost": "0.123456789012", "requests": 3},
        {"team": None, "cost": "7.005"},
        missing=[dt.date(2026, 10, 9)],
        partial=[(dt.date(2026, 10, 10), ("gateway",))],
    )
    publish(lake, draft, run="r1")
    loaded = load_statement(lake, "2026-10", 1)
    for field in dataclasses.fields(Statement):
        have, want = getattr(loaded, field.name), getattr(draft, field.name)
        if field.name == "revision":
            assert (have, want) == (1, 0)
        else:
            assert have.equals(want) if isinstance(want, pl.DataFrame) else have == want, field.name


def test_the_same_content_is_no_new_revision_and_keeps_its_time(lake: Lake, draft_of: DraftOf) -> None:
    row = {"team": "a", "cost": 1}
    publish(lake, draft_of(row), run="r1")
    file = lake.path(CHARGEBACK, month="2026-10", revision=1)
    before = file.read_bytes()
    later = dt.datetime(2026, 12, 24, tzinfo=dt.UTC)
    assert publish(lake, draft_of(row, made_at=later), run="r2") == (1, False)
    assert file.read_bytes() == before
    assert load_statement(lake, "2026-10").made_at == draft_of(row).made_at


def test_new_content_is_the_next_revision_and_names_the_total_that_it_replaces(lake: Lake, draft_of: DraftOf) -> None:
    publish(lake, draft_of({"team": "a", "cost": 1}), run="r1")
    assert publish(lake, draft_of({"team": "a", "cost": "3.50"}), run="r2") == (2, True)
    second = load_statement(lake, "2026-10")
    assert (second.revision, second.replaces, second.correction) == (2, Decimal("1.00"), Decimal("2.50"))
    assert load_statement(lake, "2026-10", 1).total == Decimal("1.00")


def test_a_return_to_earlier_content_is_a_revision_too(lake: Lake, draft_of: DraftOf) -> None:
    first, second = draft_of({"team": "a", "cost": 1}), draft_of({"team": "a", "cost": 2})
    assert [publish(lake, draft, run="r")[0] for draft in (first, second, first)] == [1, 2, 3]


def test_the_tenth_revision_is_later_than_the_ninth(lake: Lake, draft_of: DraftOf) -> None:
    for cost in range(1, 11):
        publish(lake, draft_of({"team": "a", "cost": cost}), run="r")
    assert latest_revision(lake, "2026-10") == 10
    assert load_statement(lake, "2026-10").total == Decimal("10.00")


def test_an_empty_month_is_published_like_any_other(lake: Lake, draft_of: DraftOf) -> None:
    draft = draft_of()
    assert publish(lake, draft, run="r1") == (1, True)
    assert publish(lake, draft, run="r2") == (1, False)
    assert load_statement(lake, "2026-10").total == 0


def test_the_input_digest_is_kept_for_the_unchanged_check(lake: Lake, draft_of: DraftOf) -> None:
    publish(lake, draft_of(), run="r1", input_digest="d" * 64)
    stamp = lake.stamp(CHARGEBACK, month="2026-10", revision=1)
    assert stamp is not None
    assert (stamp.input_digest, stamp.run) == ("d" * 64, "r1")


def test_a_folder_that_a_crash_left_behind_is_taken_over(lake: Lake, draft_of: DraftOf) -> None:
    publish(lake, draft_of({"cost": 1}), run="r1")
    orphan = lake.folder(CHARGEBACK, month="2026-10", revision=2)
    orphan.mkdir()
    (orphan / ".half.tmp").write_bytes(b"PAR1 half a file")
    assert latest_revision(lake, "2026-10") == 1
    assert publish(lake, draft_of({"cost": 2}), run="r2") == (2, True)
    assert load_statement(lake, "2026-10").total == Decimal("2.00")


def test_a_crash_while_writing_leaves_the_month_as_it_was(
    lake: Lake, draft_of: DraftOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(lake, draft_of({"cost": 1}), run="r1")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "write", full)
        with pytest.raises(OSError, match="No space left"):
            publish(lake, draft_of({"cost": 2}), run="r2")
    assert latest_revision(lake, "2026-10") == 1
    assert publish(lake, draft_of({"cost": 2}), run="r3") == (2, True)


def test_another_live_run_is_not_overtaken(lake: Lake, draft_of: DraftOf) -> None:
    with lake.lease(CHARGEBACK, month="2026-10", revision=1), pytest.raises(LeaseHeldError):
        publish(lake, draft_of({"cost": 1}), run="r1")


def test_racing_runs_of_the_same_content_make_one_revision(lake: Lake, draft_of: DraftOf) -> None:
    draft = draft_of({"team": "a", "cost": 1})
    start = threading.Barrier(12)

    def race(n: int) -> tuple[int, bool] | None:
        start.wait()
        try:
            return publish(lake, draft, run=f"r{n}")
        except LeaseHeldError:
            return None

    with ThreadPoolExecutor(12) as pool:
        results = [result for result in pool.map(race, range(12)) if result]
    assert results.count((1, True)) == 1
    assert set(results) <= {(1, True), (1, False)}
    assert latest_revision(lake, "2026-10") == 1


@pytest.mark.parametrize("revision", [None, 2])
def test_a_statement_that_is_not_there_names_the_way_to_make_it(
    lake: Lake, draft_of: DraftOf, revision: int | None
) -> None:
    if revision:
        publish(lake, draft_of(), run="r1")
    with pytest.raises(LakeError, match=r"2026-10.*finops run --month 2026-10"):
        load_statement(lake, "2026-10", revision)


def test_the_previous_month_is_its_latest_statement(lake: Lake, draft_of: DraftOf) -> None:
    assert previous_month(lake, "2026-10") is None
    publish(lake, draft_of({"team": "a", "cost": 1, "date": dt.date(2026, 9, 1)}, month="2026-09"), run="r1")
    rows = [
        {"team": "a", "cost": 2, "date": dt.date(2026, 9, 1)},
        {"team": None, "cost": 1, "date": dt.date(2026, 9, 2)},
        {"team": "free", "cost": 0, "date": dt.date(2026, 9, 2)},
    ]
    publish(lake, draft_of(*rows, month="2026-09", missing=[dt.date(2026, 9, 30)]), run="r2")
    previous = previous_month(lake, "2026-10")
    assert previous is not None
    assert (previous.month, previous.total, previous.incomplete) == ("2026-09", Decimal("3.00"), True)
    assert previous.by_team == {"a": Decimal("2.00"), None: Decimal("1.00")}


def test_the_month_before_january_is_december(lake: Lake, draft_of: DraftOf) -> None:
    publish(lake, draft_of(month="2025-12"), run="r1")
    previous = previous_month(lake, "2026-01")
    assert previous is not None
    assert previous.month == "2025-12"
