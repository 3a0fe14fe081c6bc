"""Pages of Anthropic's usage report for messages: what an organisation used in a minute, an hour or a day.

Rules and their sources: the Admin API reference's "Get messages usage report". How pages are read stands in
``usage_pages``. ``uncached_input_tokens`` excludes cache; dimensions are null unless grouped by. Pages of the cost
report are refused.

The report does not say how many calls it sums up. ``request_count`` is how many there were at least: a call has no more
input than its context window holds. Rows that are certainly several calls are thus never taken for one, in prices that
depend on a call's length and in savings; tokens and costs are what was reported.
"""

from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.anthropic_message import scope_of_geo, tier_served
from finops_pipeline.formats.format import HAS_USAGE, REFUSED, Format, count, text
from finops_pipeline.formats.usage_pages import LAST_STORED, PAGES, page_columns, page_fields
from finops_pipeline.mediation.open_layout import OpenLayout

_WINDOW = 200_000
"""Tokens of a call's input, at most. What is not grouped by context window is taken to be of this one."""

_LONG_WINDOW_NAME, _LONG_WINDOW = "200k-1M", 1_000_000

_INPUT = ("input", "cache_read", "written_5m", "written_1h")

_ARE_COSTS = (
    "a page of Anthropic's cost report, which has amounts and no tokens. Point the source's `uri` to pages of the "
    "usage report (GET /v1/organizations/usage_report/messages)."
)


def _columns() -> Mapping[str, pl.Expr]:
    window = pl.when(pl.col("context_window") == _LONG_WINDOW_NAME).then(_LONG_WINDOW).otherwise(_WINDOW)
    calls = (pl.sum_horizontal(_INPUT) + window - 1) // window
    return {
        **page_columns(),
        "provider": pl.lit("anthropic"),
        "service": pl.lit("Anthropic API"),
        "region_scope": scope_of_geo(pl.col("geo")),
        "raw_model": pl.col("model"),
        "operation": pl.lit("messages"),
        "project": pl.col("workspace"),
        "user_id": pl.coalesce("account", "service_account"),
        "api_key_id": pl.col("api_key"),
        "tags": pl.when(pl.col("context_window").is_not_null()).then(
            pl.concat_list(pl.struct(key=pl.lit("context_window"), value=pl.col("context_window")))
        ),
        "service_tier": tier_served(pl.col("tier"), pl.col("speed")),
        "batch": pl.col("tier") == "batch",
        "request_count": calls.clip(1),
        REFUSED: pl.when(pl.col("amount").is_not_null()).then(pl.lit(_ARE_COSTS)),
        HAS_USAGE: pl.any_horizontal(pl.col(*_INPUT, "output").is_not_null()),
        "input_tokens": pl.col("input"),
        "cache_read_tokens": pl.col("cache_read"),
        "cache_write_5m_tokens": pl.col("written_5m"),
        "cache_write_1h_tokens": pl.col("written_1h"),
        "output_tokens": pl.col("output"),
        "web_searches": pl.col("web_searches"),
    }


ANTHROPIC_USAGE = Format(
    name="anthropic_usage",
    version=1,
    layout=OpenLayout(),
    fields={
        **page_fields("starting_at", "ending_at"),
        "amount": text("$.result.amount"),
        "model": text("$.result.model"),
        "workspace": text("$.result.workspace_id"),
        "account": text("$.result.account_id"),
        "service_account": text("$.result.service_account_id"),
        "api_key": text("$.result.api_key_id"),
        "tier": text("$.result.service_tier"),
        "speed": text("$.result.speed"),
        "geo": text("$.result.inference_geo"),
        "context_window": text("$.result.context_window"),
        "input": count("$.result.uncached_input_tokens"),
        "cache_read": count("$.result.cache_read_input_tokens"),
        "written_5m": count("$.result.cache_creation.ephemeral_5m_input_tokens"),
        "written_1h": count("$.result.cache_creation.ephemeral_1h_input_tokens"),
        "output": count("$.result.output_tokens"),
        "web_searches": count("$.result.server_tool_use.web_search_requests"),
    },
    columns=_columns,
    documents=PAGES,
    job=LAST_STORED,
)
