"""Prefix reuse of a real trace: from block hashes in ``usage`` to the figures that were counted from its own block ids.

The trace (Mooncake, FAST'25, Apache-2.0) is not part of the project. Set FINOPS_TRACES to the folder that holds
``mooncake-bedrock/`` and ``mooncake.expected.json``, or keep it in ``../shared/traces``; without it these tests are
skipped. In its prompts a word of nine characters stands for each block of 512 tokens.
"""

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.day import mediate_day
from finops_pipeline.schemas import USAGE

TRACES = Path(os.environ.get("FINOPS_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
DAY = dt.date(2026, 6, 15)
TOKENS = 512
SCOPES = {"model": ["raw_model"], "team+model": ["team", "raw_model"]}
WINDOWS = {"inf": dt.timedelta.max, "1h": dt.timedelta(hours=1), "5m": dt.timedelta(minutes=5)}

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (TRACES / "mooncake-bedrock").is_dir(), reason="the public trace is not here"),
]


@pytest.fixture(scope="module")
def analysis() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TRACES / "mooncake.expected.json").read_text())["analysis"]
    return found


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The usage of the trace in the order in which the calls were made."""
    folder = tmp_path_factory.mktemp("mooncake")
    source = {
        "name": "mooncake",
        "format": "bedrock",
        "uri": str(TRACES / "mooncake-bedrock"),
        "prefix_block_chars": 9,
        "prefix_block_tokens": TOKENS,
    }
    config = Config.model_validate({"lake": str(folder / "lake"), "start_date": DAY, "sources": [source]})
    lake = Lake(folder / "lake")
    now = dt.datetime(2026, 6, 17, tzinfo=dt.UTC)
    mediate_day(config, config.sources[0], DAY, lake=lake, run="mooncake", now=now)
    return lake.scan(USAGE).sort("event_time", "raw_object", "raw_line").with_row_index("call").collect()


def test_each_block_of_tokens_has_a_hash(calls: pl.DataFrame) -> None:
    blocks = -(-pl.col("input_tokens") // TOKENS)
    assert calls.select((pl.col("prefix_block_hashes").list.len() == blocks).all()).item()


def test_equal_prompts_are_equal_calls(calls: pl.DataFrame, analysis: dict[str, Any]) -> None:
    assert calls.height - calls.get_column("prompt_fingerprint").n_unique() == analysis["exact_duplicate_prompts"]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("window", WINDOWS)
def test_prefix_reuse_is_that_of_the_trace(
    calls: pl.DataFrame, analysis: dict[str, Any], scope: str, window: str
) -> None:
    block = calls.select("call", "event_time", *SCOPES[scope], "prefix_block_hashes").explode("prefix_block_hashes")
    since = (pl.col("event_time") - pl.col("event_time").shift()).over(*SCOPES[scope], "prefix_block_hashes")
    used = (since <= WINDOWS[window]).fill_null(False).cast(pl.Int64)
    leading = block.select("call", used.alias("used")).with_columns(pl.col("used").cum_min().over("call"))
    reused = (
        calls.select("call", "input_tokens")
        .join(leading.group_by("call").agg(pl.col("used").sum().alias("blocks")), on="call")
        .with_columns(pl.min_horizontal(pl.col("blocks") * TOKENS, "input_tokens").alias("tokens"))
    )
    total = pl.col("input_tokens").sum()
    long = pl.col("tokens").filter(pl.col("blocks") * TOKENS >= 1024).sum()
    found = reused.select(
        pl.col("tokens").sum().alias("prefix_tokens"),
        (pl.col("tokens").sum() / total).round(6).alias("token_ratio"),
        long.alias("prefix_tokens_min1024"),
        (long / total).round(6).alias("token_ratio_min1024"),
        (pl.col("tokens") / pl.col("input_tokens")).mean().round(6).alias("mean_per_call"),
    )
    assert found.row(0, named=True) == analysis[f"reuse[{scope}][{window}]"]
