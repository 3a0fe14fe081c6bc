"""Real public traffic: a month of the Azure LLM inference trace 2023, as Bedrock logs, against independent totals.

The trace (AzurePublicDataset, CC-BY-4.0) is not part of the project. Set FINOPS_TRACES to the folder that holds
``azure-bedrock/`` and ``azure.expected.json``, or keep it in ``../shared/traces``; without it these tests are skipped.
"""

import datetime as dt
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops_pipeline.chargeback.revisions import load_statement
from finops_pipeline.config.model import Config
from finops_pipeline.costs import breakdown_of
from finops_pipeline.lake import Lake
from finops_pipeline.orchestration.runner import RunReport, RunRequest, run
from finops_pipeline.schemas import DAILY_COSTS, USAGE

TRACES = Path(os.environ.get("FINOPS_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
FIRST, LAST = dt.date(2026, 6, 1), dt.date(2026, 6, 30)
MODELS = {
    "anthropic.claude-3-5-sonnet-20241022-v2:0": "gpt-4o",
    "anthropic.claude-3-haiku-20240307-v1:0": "gpt-4o-mini",
}
"""Model in the logs → its name in the totals (the trace's README)."""

RATES = {
    "anthropic.claude-3-5-sonnet-20241022-v2:0": (Decimal(3), Decimal(15)),
    "anthropic.claude-3-haiku-20240307-v1:0": (Decimal("0.25"), Decimal("1.25")),
}
"""USD per million input and output tokens on Amazon Bedrock, on demand (aws.amazon.com/bedrock/pricing)."""

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (TRACES / "azure-bedrock").is_dir(), reason="the public trace is not here"),
]


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    totals: dict[str, Any] = json.loads((TRACES / "azure.expected.json").read_text())
    return totals


@pytest.fixture(scope="module")
def june(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, RunReport]:
    folder = tmp_path_factory.mktemp("june")
    config = Config.model_validate(
        {
            "lake": "lake",
            "start_date": FIRST,
            "sources": [{"name": "azure", "format": "bedrock", "uri": str(TRACES / "azure-bedrock")}],
        }
    ).located(folder)
    request = RunRequest(days=(FIRST, LAST), month="2026-06")
    report = run(config, request, now=dt.datetime(2026, 7, 4, 2, tzinfo=dt.UTC))
    return Lake(folder / "lake"), report


def totals(lake: Lake, *by: str | pl.Expr) -> dict[str, dict[str, int]]:
    """Calls, input and output tokens by dimensions, named as in the expected totals."""
    name = pl.concat_str(*by, separator=" | ")
    frame = (
        lake.scan(DAILY_COSTS)
        .with_columns(pl.col("model").replace(MODELS), pl.col("date").dt.strftime("%Y-%m").alias("month"))
        .group_by(name.alias("name"))
        .agg(
            pl.col("requests").sum().alias("calls"),
            pl.col("input_tokens").sum().alias("in"),
            pl.col("output_tokens").sum().alias("out"),
        )
        .collect()
    )
    return {row.pop("name"): row for row in frame.iter_rows(named=True)}


def test_the_month_runs_without_a_failure(june: tuple[Lake, RunReport]) -> None:
    _, report = june
    assert (report.failures, report.days) == ([], 30)
    assert [(s.month, s.revision, s.is_new) for s in report.statements] == [("2026-06", 1, True)]


def test_every_total_is_that_of_the_independent_count(june: tuple[Lake, RunReport], expected: dict[str, Any]) -> None:
    lake, _ = june
    assert totals(lake, "team") == expected["by_team"]
    assert totals(lake, "model") == expected["by_model"]
    assert totals(lake, pl.col("date").dt.to_string()) == expected["by_day"]
    assert totals(lake, "month") == expected["by_month"]
    assert totals(lake, "team", "model") == expected["by_team_model"]
    assert totals(lake, "team", "month") == expected["by_team_month"]
    assert totals(lake, "project") == expected["by_project"]


def test_every_call_is_there_once_with_its_time(june: tuple[Lake, RunReport], expected: dict[str, Any]) -> None:
    lake, _ = june
    rows, ids, tokens_in, tokens_out, first, last = (
        lake.scan(USAGE)
        .select(
            pl.len().alias("rows"),
            pl.col("request_id").n_unique(),
            pl.col("input_tokens").sum(),
            pl.col("output_tokens").sum(),
            pl.col("event_time").min().alias("first"),
            pl.col("event_time").max().alias("last"),
        )
        .collect()
        .row(0)
    )
    assert (rows, ids) == (expected["rows"], expected["rows"])
    assert (tokens_in, tokens_out) == (expected["tokens_in"], expected["tokens_out"])
    # Bedrock's logs have whole seconds.
    assert f"{first:%F %T}" == expected["first_ts"][:19]
    assert f"{last:%F %T}" == expected["last_ts"][:19]


def test_the_statement_is_tokens_times_list_price(june: tuple[Lake, RunReport]) -> None:
    lake, report = june
    per_model = breakdown_of(lake, FIRST, LAST, ["model"])
    tokens = lake.scan(DAILY_COSTS).group_by("model").agg(pl.col("input_tokens", "output_tokens").sum()).collect()
    want = {
        model: (n_in * RATES[model][0] + n_out * RATES[model][1]) / 1_000_000
        for model, n_in, n_out in tokens.iter_rows()
    }
    assert dict(per_model.select("model", "cost").iter_rows()) == want
    total = sum(want.values()).quantize(Decimal("0.01"))
    statement = load_statement(lake, "2026-06")
    assert (statement.total, report.statements[0].total) == (total, total)
    assert statement.lines.get_column("amount").sum() == total
    assert statement.completeness.complete
