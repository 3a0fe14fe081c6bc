"""Rows of daily costs, and statements made from them."""

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops_pipeline.chargeback.completeness import Completeness
from finops_pipeline.chargeback.statement import Statement, draft_statement
from finops_pipeline.days import days_of
from finops_pipeline.lake import Lake
from finops_pipeline.schemas import DAILY_COSTS

CostsOf = Callable[..., pl.LazyFrame]
DraftOf = Callable[..., Statement]


@pytest.fixture
def costs_of() -> CostsOf:
    """``costs_of({"team": "a", "cost": "1.005"}, …)``: ``daily_costs`` of 1 October 2026, all else zero or null."""

    def build(*rows: Mapping[str, Any]) -> pl.LazyFrame:
        zeros: dict[str, Any] = {
            column.name: "bedrock" if column.name == "source" else 0
            for column in DAILY_COSTS.columns
            if not column.nullable
        }
        return pl.LazyFrame(
            [{**zeros, "date": dt.date(2026, 10, 1), **row, "cost": Decimal(row.get("cost", 0))} for row in rows],
            schema={**DAILY_COSTS.schema, "date": pl.Date},
        )

    return build


@pytest.fixture
def draft_of(costs_of: CostsOf) -> DraftOf:
    """``draft_of(*rows, **arguments of draft_statement)``: a draft of October 2026, complete unless told otherwise."""

    def build(*rows: Mapping[str, Any], month: str = "2026-10", **arguments: Any) -> Statement:
        lacks = {
            f"{what}_days": tuple(arguments.pop(what, ())) for what in ("missing", "partial", "stale", "unfinished")
        }
        teams = arguments.pop("teams", {})
        given: dict[str, Any] = {
            "outcomes": {"usage": 3, "duplicate": 1},
            "lines_read": 4,
            "book_versions": ["b1"],
            "previous": None,
            "made_at": dt.datetime(2026, 11, 3, 6, tzinfo=dt.UTC),
            **arguments,
        }
        completeness = Completeness(days_of(month), sources=("bedrock", "gateway"), **lacks)
        return draft_statement(month, costs_of(*rows), teams, completeness, **given)

    return build


@pytest.fixture
def lake(tmp_path: Any) -> Lake:
    return Lake(tmp_path / "lake")
