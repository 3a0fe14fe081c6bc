"""Azure API Management's log of its LLM gateway, as Azure Monitor archives it in storage: JSON lines an hour.

Rules and their sources: Azure Monitor's table ``ApiManagementGatewayLlmLog`` and API Management's "Log token usage,
prompts, and completions for LLM APIs". A long message is split over several rows: the rows of one correlation id are
one call, whose tokens are their sum. Azure OpenAI's own ``RequestResponse`` log has byte lengths and no tokens.

Unverified: how keys are written in storage (camelCase; a workspace's export writes PascalCase, without ``properties``),
so that they are read in any case of letters, within ``properties`` or beside it.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec
import polars as pl

from finops_pipeline.formats.format import (
    GROUP,
    HAS_USAGE,
    NOT_USAGE,
    REFUSED,
    RESOLVED,
    Documents,
    Format,
    count,
    flag,
    instant,
    text,
)
from finops_pipeline.mediation.layout import DatedKeys
from finops_pipeline.mediation.open_layout import OwnLayout
from finops_pipeline.schemas import TOKEN_CLASSES, TOKEN_PARTS

_WITHOUT_TOKENS = ("requestresponse", "audit", "trace", "azureopenairequestusage", "gatewaylogs")
"""Categories of Azure OpenAI's and API Management's other logs, in lower case."""

_WAY_OUT = (
    "this is another log of Azure's, which has no token counts, byte lengths at most. Enable the category "
    "`GatewayLlmLogs` in API Management's diagnostic settings, and point the source's `uri` to its container, "
    "insights-logs-gatewayllmlogs."
)

_SEQUENCE = "sequence"
_SUMMED = (*TOKEN_CLASSES, *TOKEN_PARTS, "web_searches", "tool_calls")
_SAME = (GROUP, _SEQUENCE, "event_time", "raw_model", "stream", "input_tokens", "output_tokens")
"""What a row that was delivered twice has in common with itself."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


def _row(line: bytes) -> Iterator[bytes]:
    """The line with its keys and those of its ``properties`` in lower case, side by side."""
    row = {key.lower(): value for key, value in _members(line).items()}
    properties = row.pop("properties", msgspec.Raw(b"null"))
    try:
        inner = _members(_text(properties) if bytes(properties).startswith(b'"') else properties)
    except (ValueError, RecursionError):
        inner = {}
    yield msgspec.json.encode({key.lower(): value for key, value in inner.items()} | row)


def _columns() -> Mapping[str, pl.Expr]:
    category = pl.col("category").str.to_lowercase()
    return {
        "request_id": pl.col("correlation_id"),
        "event_time": pl.coalesce("time", "time_generated"),
        "provider": pl.lit("azure"),
        "service": pl.lit("Azure OpenAI"),
        "account": pl.col("resource_id").str.extract(r"(?i)^/subscriptions/([^/]+)/").str.to_lowercase(),
        "raw_model": pl.coalesce("model", "deployment"),
        "stream": pl.col("stream"),
        "status": pl.lit("ok"),
        HAS_USAGE: pl.any_horizontal(pl.col("prompt", "completion").is_not_null()),
        NOT_USAGE: (~category.str.contains("llm")).fill_null(False),
        REFUSED: pl.when(category.is_in(_WITHOUT_TOKENS)).then(pl.lit(_WAY_OUT)),
        "input_tokens": pl.col("prompt"),
        "output_tokens": pl.col("completion"),
        _SEQUENCE: pl.col("sequence"),
    }


def calls(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows with ``resolved``: the earliest row of a correlation id is the call, with the tokens of all its rows.

    What another row says of model, stream and account counts where the earliest says nothing. A prompt that is split
    over rows has no hashes: none of its parts is the whole.
    """
    usable, same = ~pl.col(NOT_USAGE), pl.struct(_SAME)
    ordered = rows.sort(NOT_USAGE, "event_time", "raw_object", "raw_line").with_columns(
        _call=usable & (pl.int_range(pl.len()).over(GROUP) == 0),
        _counts=usable & same.is_first_distinct(),
        _again=usable & (same == same.first()).over(GROUP),
    )

    def said(name: str) -> pl.Expr:
        return pl.col(name).filter("_counts").drop_nulls()

    known = said("input_tokens").len() + said("output_tokens").len() > 0
    prompts = said("prompt_fingerprint")
    is_whole = prompts.n_unique() == 1
    of_call = {
        **{name: said(name).first() for name in ("raw_model", "stream", "account")},
        **{name: pl.when(known).then(said(name).sum()) for name in _SUMMED},
        "usage_quality": pl.when(known).then(pl.lit("reported")).otherwise(pl.lit("missing")),
        "prompt_fingerprint": pl.when(is_whole).then(prompts.first()),
        "prefix_block_hashes": pl.when(is_whole).then(said("prefix_block_hashes").first()),
    }
    return ordered.with_columns(
        *(pl.when("_call").then(value.over(GROUP)).otherwise(name).alias(name) for name, value in of_call.items()),
        pl.when("_call")
        .then(None)
        .when("_again")
        .then(pl.lit("duplicate"))
        .otherwise(pl.lit("not_usage"))
        .alias(RESOLVED),
    ).drop("_call", "_counts", "_again")


AZURE_APIM = Format(
    name="azure_apim",
    version=1,
    layout=OwnLayout(
        DatedKeys(
            date_folder=re.compile(r"y=\d{4}"),
            key_time=re.compile(r"(?:^|/)y=(?P<y>\d{4})/m=(?P<m>\d\d)/d=(?P<d>\d\d)/h=(?P<h>\d\d)/(?:m=\d\d/)?[^/]+$"),
            day_prefixes=("y=%Y/m=%m/d=%d/",),
            hour_prefixes=("y=%Y/m=%m/d=%d/h=%H/",),
        ),
        passed_over=re.compile(r"insights-logs-(?!gatewayllmlogs$).*"),
    ),
    documents=Documents(whole=False, records=_row),
    fields={
        "time": instant("$.time"),
        "time_generated": instant("$.timegenerated"),
        "category": text("$.category"),
        "correlation_id": text("$.correlationid"),
        "resource_id": text("$.resourceid"),
        "sequence": text("$.sequencenumber"),
        "model": text("$.modelname"),
        "deployment": text("$.deploymentname"),
        "stream": flag("$.isstreamcompletion"),
        "prompt": count("$.prompttokens"),
        "completion": count("$.completiontokens"),
    },
    columns=_columns,
    prompt={"messages": "$.requestmessages"},
    resolve=calls,
    extras={_SEQUENCE: pl.String()},
)
