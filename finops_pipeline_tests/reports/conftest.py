"""Statements to render: a whole invented October, and a factory for small ones."""

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops_pipeline.chargeback.completeness import Completeness
from finops_pipeline.chargeback.statement import PreviousMonth, Statement, draft_statement
from finops_pipeline.config.model import Team
from finops_pipeline.days import days_of
from finops_pipeline.schemas import DAILY_COSTS

StatementOf = Callable[..., Statement]

NO_COSTS: Mapping[str, Any] = {
    **{column.name: 0 for column in DAILY_COSTS.columns if not column.nullable},
    "source": "bedrock",
    "requests": 1,
}


def costs_of(rows: Iterable[Mapping[str, Any]]) -> pl.LazyFrame:
    schema = {**DAILY_COSTS.schema, "date": pl.Date}
    return pl.LazyFrame([{**NO_COSTS, "date": dt.date(2026, 10, 1), **row} for row in rows], schema=schema)


def whole_month(month: str, **lacks: Any) -> Completeness:
    return dataclasses.replace(Completeness(days_of(month), sources=("bedrock", "gateway", "internal")), **lacks)


@pytest.fixture
def statement_of() -> StatementOf:
    """``statement_of(rows, **overrides)``: October 2026 from rows of daily costs, published as revision 1."""

    def build(
        rows: Iterable[Mapping[str, Any]] = (),
        *,
        lacks: Mapping[str, Any] | None = None,
        teams: Mapping[str, Team] | None = None,
        **overrides: Any,
    ) -> Statement:
        draft = draft_statement(
            "2026-10",
            costs_of(rows),
            teams or {},
            whole_month("2026-10", **(lacks or {})),
            outcomes={"usage": 1},
            lines_read=1,
            book_versions=["b00c"],
            previous=None,
            made_at=dt.datetime(2026, 11, 3, 6, 0, tzinfo=dt.UTC),
        )
        return dataclasses.replace(draft, **{"revision": 1, **overrides})

    return build


TEAMS = {
    "Support": ("CC-210", "550.10"),
    "Search": ("CC-180", "390.30"),
    "Platform": ("CC-100", "222.20"),
    "Growth": ("CC-240", "160.15"),
    "Risk": ("CC-310", "75.05"),
    "Docs": ("CC-120", "30.70"),
}
"""Cost centre, and USD a weekday."""

MODELS = ("claude-sonnet-4-5", "claude-haiku-4-5", "gpt-5-mini", "nova-pro", "titan-embed-text-v2")


def october_rows() -> Iterable[dict[str, Any]]:
    """Six teams, one of them in two cost centres and one with many projects; unallocated and unpriced calls."""
    for day in days_of("2026-10"):
        pace = Decimal("0.35") if day.weekday() >= 5 else Decimal(1) + Decimal(day.day) / 100
        for rank, (team, (cost_center, cost)) in enumerate(TEAMS.items()):
            for n in range(14 if team == "Support" else 3):
                yield {
                    "date": day,
                    "team": team,
                    "cost_center": "CC-215" if team == "Support" and n == 2 else cost_center,
                    "project": f"{team.lower()}-{('assistant', 'batch', 'eval')[n % 3]}-{n}",
                    "service": "Amazon Bedrock",
                    "model": MODELS[(rank + n) % len(MODELS)],
                    "requests": 900 // (n + 1),
                    "input_tokens": 2_300_000 // (n + 1),
                    "output_tokens": 310_000 // (n + 1),
                    "cost": Decimal(cost) * pace / (n + 2) + Decimal("0.001234567891"),
                }
        yield {"date": day, "model": "gpt-5-mini", "requests": 40, "input_tokens": 90_000, "cost": Decimal("19.7612")}
        yield {
            "date": day,
            "team": "Support",
            "cost_center": "CC-210",
            "model": "qwen3-32b",
            "project": "support-pilot",
            "requests": 60,
            "input_tokens": 290_000,
            "unpriced_reason": "unresolved_model",
            "unpriced_requests": 60,
            "unpriced_tokens": 290_000,
        }


def without_price(
    team: str | None, model: str | None, reason: str | None, requests: int = 1, tokens: int = 0
) -> dict[str, Any]:
    """Calls of a team that have no price for this reason."""
    return {
        "team": team,
        "model": model,
        "unpriced_reason": reason,
        "requests": requests,
        "input_tokens": tokens,
        "unpriced_requests": requests,
        "unpriced_tokens": tokens,
    }


@pytest.fixture
def unpriced() -> Callable[..., dict[str, Any]]:
    return without_price


@pytest.fixture(scope="session")
def october() -> Statement:
    """A month as a mid-size company has it."""
    draft = draft_statement(
        "2026-10",
        costs_of(october_rows()),
        {team: Team(cost_center=cost_center, owner=f"Head of {team}") for team, (cost_center, _) in TEAMS.items()},
        whole_month("2026-10"),
        outcomes={"usage": 2_401_377, "duplicate": 9_920, "not_usage": 512, "quarantined": 279},
        lines_read=2_412_088,
        book_versions=["3f2a9c0d1e5b7788"],
        previous=PreviousMonth(
            "2026-09",
            Decimal("68043.46"),
            {
                "Support": Decimal("36012.26"),
                "Search": Decimal("8769.62"),
                "Platform": Decimal("7515.64"),
                "Growth": Decimal("4716.13"),
                "Risk": Decimal("2388.94"),
                "Docs": Decimal("1021.64"),
                "Labs": Decimal("6888.10"),
                None: Decimal("731.13"),
            },
            incomplete=False,
        ),
        made_at=dt.datetime(2026, 11, 3, 6, 0, tzinfo=dt.UTC),
    )
    return dataclasses.replace(draft, revision=1)


HOSTILE = (
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "Eve\r\nBcc: everyone@example.com",
    "abc\u202edesrever",
    '" onmouseover="x',
    "Ω" * 500,
    "検索チーム",
    "",
)
"""Names as a log may hold them."""


@pytest.fixture
def hostile(statement_of: StatementOf) -> Statement:
    """Every hostile name as team, project, model and cost centre, without a price, missing as a source."""
    rows = [
        {
            "team": name,
            "project": name,
            "model": name,
            "cost_center": name,
            "cost": Decimal(10 + n),
            "requests": 2,
            "input_tokens": 50,
        }
        for n, name in enumerate(HOSTILE)
    ]
    rows += [without_price(name, name, "unresolved_model", tokens=50) for name in HOSTILE]
    owners = {name: Team(owner=name) for name in HOSTILE}
    statement = statement_of(rows, teams=owners, lacks={"partial_days": ((dt.date(2026, 10, 5), HOSTILE[:3]),)})
    before = {name: Decimal(1) for name in HOSTILE}
    return dataclasses.replace(statement, previous=PreviousMonth("2026-09", Decimal(len(HOSTILE)), before, False))
