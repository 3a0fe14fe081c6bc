import contextlib
import dataclasses
import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops_pipeline import leases
from finops_pipeline.chargeback import encoding, revisions
from finops_pipeline.chargeback.encoding import content_digest
from finops_pipeline.chargeback.revisions import (
    latest_revision,
    load_statement,
    previous_month,
    publish,
    published_digest,
)
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
    file = Path(lake.place(CHARGEBACK, month="2026-10", revision=1))
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


def test_a_late_duplicate_is_no_revision_and_a_late_charge_is_one(lake: Lake, draft_of: DraftOf) -> None:
    row = {"team": "a", "cost": 1, "requests": 3}
    publish(lake, draft_of(row, outcomes={"usage": 3}, lines_read=3), run="r1")
    with_duplicate = draft_of(row, outcomes={"usage": 3, "duplicate": 1}, lines_read=4, book_versions=["b2"])
    assert publish(lake, with_duplicate, run="r2") == (1, False)
    kept = load_statement(lake, "2026-10")
    assert (kept.outcomes, kept.lines_read, kept.book_versions) == ({"usage": 3}, 3, ("b1",)), "those of its making"
    assert publish(lake, draft_of({**row, "cost": "1.01"}), run="r3") == (2, True)


def test_the_digest_is_that_of_publication_whatever_counts_as_content_later(
    lake: Lake, draft_of: DraftOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = draft_of({"cost": 1})
    publish(lake, draft, run="r1")
    digest = published_digest(lake, "2026-10", 1)
    assert digest == content_digest(draft)
    monkeypatch.setattr(encoding, "CONTENT", (*encoding.CONTENT, "lines_read"))
    assert content_digest(load_statement(lake, "2026-10")) != digest
    assert published_digest(lake, "2026-10", 1) == digest
    assert publish(lake, draft, run="r2") == (1, False), "an upgrade alone makes no revision"


def test_a_folder_that_a_crash_left_behind_is_taken_over(lake: Lake, draft_of: DraftOf) -> None:
    publish(lake, draft_of({"cost": 1}), run="r1")
    orphan = Path(lake.folder(CHARGEBACK, month="2026-10", revision=2))
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


def test_a_run_that_does_not_end_is_not_overtaken(
    lake: Lake, draft_of: DraftOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "PATIENCE", dt.timedelta(0))
    with lake.lease(CHARGEBACK, month="2026-10", revision=1), pytest.raises(LeaseHeldError):
        publish(lake, draft_of({"cost": 1}), run="r1")


def test_a_run_that_ends_is_waited_for(lake: Lake, draft_of: DraftOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run publishes and gives its lease back while this one pauses."""
    other = contextlib.ExitStack()
    other.enter_context(lake.lease(CHARGEBACK, month="2026-10", revision=1))
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            other.close()

    monkeypatch.setattr(leases.time, "sleep", pause)
    assert publish(lake, draft_of({"cost": 1}), run="r1") == (1, True)
    assert len(pauses) == 2


@pytest.mark.parametrize("same", [True, False])
def test_racing_runs_do_not_fail_each_other(root: Path | str, draft_of: DraftOf, same: bool) -> None:
    lake, start = Lake(root), threading.Barrier(12)

    def race(n: int) -> tuple[int, bool]:
        draft = draft_of({"team": "a", "cost": 1 if same else n + 1})
        start.wait()
        return publish(lake, draft, run=f"r{n}")

    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(race, range(12)))
    made = sorted(revision for revision, is_new in results if is_new)
    assert made == ([1] if same else list(range(1, 13)))
    assert latest_revision(lake, "2026-10") == len(made)


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
