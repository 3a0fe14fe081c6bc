import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops_pipeline.chargeback.encoding import content_digest, decode, encode
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.config.model import Team

DraftOf = Callable[..., Statement]

PREVIOUS = PreviousMonth("2026-09", Decimal("5.50"), {"a": Decimal("5.25"), None: Decimal("0.25")}, True)


def whole(draft_of: DraftOf) -> Statement:
    return draft_of(
        {"team": "a", "cost": "1234567.000000000001", "requests": 1},
        {"team": None, "model": "né\u202e", "cost": "0.1"},
        missing=[dt.date(2026, 10, 4)],
        partial=[(dt.date(2026, 10, 5), ("gateway",))],
        stale=[dt.date(2026, 10, 6)],
        unfinished=[dt.date(2026, 10, 31)],
        teams={"a": Team(owner="Ada Lovelace")},
        previous=PREVIOUS,
    )


def test_json_gives_the_statement_back_exactly(draft_of: DraftOf) -> None:
    statement = dataclasses.replace(whole(draft_of), revision=2, replaces=Decimal("0.10"))
    content = json.loads(json.dumps(encode(statement)))
    restored = decode(content, revision=2, lines=statement.lines)
    for field in dataclasses.fields(Statement):
        have, want = getattr(restored, field.name), getattr(statement, field.name)
        assert have.equals(want) if isinstance(want, pl.DataFrame) else have == want, field.name
    assert restored.days.schema == statement.days.schema
    assert content_digest(restored) == content_digest(statement)


def test_a_statement_of_an_older_version_is_read_with_what_it_lacks_empty(draft_of: DraftOf) -> None:
    content = encode(whole(draft_of))
    del content["owners"], content["completeness"]["stale_days"], content["completeness"]["unfinished_days"]
    restored = decode(content, revision=1, lines=whole(draft_of).lines)
    assert (restored.owners, restored.completeness.stale_days, restored.completeness.unfinished_days) == ({}, (), ())


@pytest.mark.parametrize(
    "provenance",
    [
        {"made_at": dt.datetime(2027, 1, 1, tzinfo=dt.UTC), "revision": 7, "replaces": Decimal("3.00")},
        {"outcomes": {"usage": 2, "duplicate": 2}, "lines_read": 5},
        {"book_versions": ("b2",)},
        {"previous": None},
        {"previous": dataclasses.replace(PREVIOUS, by_team={"a": Decimal("5.50")})},
    ],
    ids=lambda provenance: "-".join(provenance),
)
def test_the_digest_is_not_about_when_and_from_what_it_was_made(draft_of: DraftOf, provenance: dict[str, Any]) -> None:
    statement = whole(draft_of)
    assert content_digest(dataclasses.replace(statement, **provenance)) == content_digest(statement)


@pytest.mark.parametrize(
    "changed",
    [
        {"missing": []},
        {"partial": [(dt.date(2026, 10, 5), ("bedrock",))]},
        {"stale": [dt.date(2026, 10, 5)]},
        {"unfinished": [dt.date(2026, 10, 31)]},
        {"teams": {"a": Team(owner="Ada")}},
        {"currency": "EUR"},
        {"month": "2026-12"},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_the_digest_changes_with_whatever_the_statement_says(draft_of: DraftOf, changed: dict[str, Any]) -> None:
    row = {"team": "a", "cost": 1}
    said: dict[str, Any] = {
        "missing": [dt.date(2026, 10, 4)],
        "partial": [(dt.date(2026, 10, 5), ("gateway",))],
    }
    assert content_digest(draft_of(row, **{**said, **changed})) != content_digest(draft_of(row, **said))


def test_the_digest_changes_with_a_line_below_the_cent_and_with_an_owner(draft_of: DraftOf) -> None:
    digests = {
        content_digest(draft_of({"team": "a", "cost": "1.000000000000"})),
        content_digest(draft_of({"team": "a", "cost": "1.000000000001"})),
        content_digest(draft_of({"team": "b", "cost": "1.000000000000"})),
        content_digest(draft_of({"team": None, "cost": "1.000000000000"})),
        content_digest(draft_of({"team": "a", "cost": "1.000000000000", "cost_center": "CC-1"})),
        content_digest(draft_of({"team": "a", "cost": "1.000000000000", "unpriced_reason": "unknown_tier"})),
        content_digest(draft_of({"team": "a", "cost": 1, "date": dt.date(2026, 10, 2)})),
    }
    assert len(digests) == 7
