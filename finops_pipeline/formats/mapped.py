"""``mapped``: JSON lines, CSV or Parquet of any shape; where each column stands is said in the source's ``fields``.

For gateways whose operators choose the keys of their logs (Envoy AI Gateway, Kong, Portkey, OpenRouter) and for logs of
one's own. Every unit and convention is the config's to declare, and nothing is guessed: without ``tokens`` the cache's
columns are refused, without ``reasoning`` that of reasoning. Paths and units stand in ``config.mapped``.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import partial

import polars as pl

from finops_pipeline.config.mapped import (
    Column,
    CostColumn,
    CountColumn,
    DurationColumn,
    Fields,
    FlagColumn,
    StatusColumn,
    TagsColumn,
    TextColumn,
    TimeColumn,
    TokensColumn,
)
from finops_pipeline.config.model import Source
from finops_pipeline.formats.format import HAS_USAGE, NOT_USAGE, Field, Format, Kind
from finops_pipeline.formats.providers import provider_id, provider_of, service_of
from finops_pipeline.formats.statuses import failed, quality_of, status_of
from finops_pipeline.formats.tags import tags_of_json
from finops_pipeline.formats.tokens import uncached
from finops_pipeline.mediation.open_layout import OpenLayout
from finops_pipeline.pricing.model_ids import region_scope
from finops_pipeline.schemas import TOKEN_CLASSES, TOKEN_PARTS, USAGE

_SECONDS = {
    "iso": Decimal(1),
    "epoch_s": Decimal(1),
    "epoch_ms": Decimal("0.001"),
    "epoch_us": Decimal("0.000001"),
    "epoch_ns": Decimal("0.000000001"),
}
_TOKENS = {"tokens": Decimal(1), "k": Decimal(1000)}
_USD = {"usd": Decimal(1), "cents": Decimal("0.01"), "microdollars": Decimal("0.000001")}
_MILLISECONDS = {"ms": Decimal(1), "s": Decimal(1000), "us": Decimal("0.001"), "ns": Decimal("0.000001")}

_CACHE = ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
_STATUS_CODE = r"^([45]\d\d)$"


def format_of_fields(source: Source) -> Format:
    """The format that a source declares in its ``fields``."""
    fields = source.fields
    assert fields is not None, "the config sees to it that mapped sources have fields"
    absent = tuple(fields.absent)
    taken = {name: _field(column, absent) for name, column in fields.columns().items()}
    return Format(
        name="mapped",
        version=1,
        layout=OpenLayout(),
        fields={name: field for name, field in taken.items() if field is not None},
        columns=partial(_columns, fields),
        prompt={str(member): path for member, path in fields.prompt.items()},
        redacted=absent,
        embedded=tuple(fields.embedded),
        tables=True,
    )


def _field(column: Column, absent: tuple[str, ...]) -> Field | None:
    """Where a column is read from; None where it is the same for all records."""
    match column:
        case TimeColumn():
            return Field(column.path, Kind.INSTANT, _SECONDS[column.format], absent)
        case TokensColumn():
            return Field(column.path, Kind.COUNT, _TOKENS[column.unit], absent)
        case CostColumn():
            return Field(column.path, Kind.MONEY, _USD[column.unit], absent)
        case DurationColumn():
            return Field(column.path, Kind.NUMBER, _MILLISECONDS[column.unit], absent)
        case CountColumn():
            return Field(column.path, Kind.OCCURRENCES if "[*]" in column.path else Kind.COUNT, absent=absent)
        case FlagColumn() if column.path is not None and not column.values:
            return Field(column.path, Kind.FLAG, absent=absent)
        case TagsColumn():
            return Field(column.path, Kind.JSON, absent=absent)
    path: str | None = getattr(column, "path", None)
    return Field(path, Kind.TEXT, absent=absent) if path is not None else None


def _value(name: str, column: Column) -> pl.Expr:
    """What a column says, before the log's conventions are considered."""
    match column:
        case TextColumn(value=str(value)) | FlagColumn(value=bool(value)):
            return pl.lit(value)
        case FlagColumn(values=values) if values:
            return pl.col(name).replace_strict(values, default=None, return_dtype=pl.Boolean)
        case TextColumn(values=values) | StatusColumn(values=values) if values:
            return pl.col(name).replace(values)
    return pl.col(name)


def _columns(fields: Fields) -> Mapping[str, pl.Expr]:
    given = {name: _value(name, column) for name, column in fields.columns().items()}

    def of(name: str) -> pl.Expr:
        return given.get(name, pl.lit(None, dtype=USAGE.schema[name]))

    error = failed(of("status"), of("error_code"))
    status_code = of("status").str.strip_chars().str.extract(_STATUS_CODE)
    provider = pl.coalesce(provider_id(of("provider")), provider_of(of("service")))
    hit = of("gateway_cache_hit").fill_null(False)
    consumed = {name: given[name] for name in (*TOKEN_CLASSES, *TOKEN_PARTS) if name in given} | _disjoint(
        fields, given
    )
    told = {
        "provider": provider,
        "service": pl.coalesce(of("service"), service_of(of("provider"))),
        "region_scope": pl.coalesce(of("region_scope"), pl.when(provider == "aws").then(region_scope(of("raw_model")))),
        "status": status_of(error),
        "error_code": pl.when(error).then(pl.coalesce(of("error_code"), status_code)),
        "usage_quality": quality_of(of("usage_quality")),
        HAS_USAGE: pl.any_horizontal(hit, *(of(name).is_not_null() for name in TOKEN_CLASSES)),
        NOT_USAGE: pl.any_horizontal(pl.lit(False), *(of(name).is_null() for name in fields.not_usage_without)),
        # What a gateway's cache answered reached no provider, whatever the record repeats.
        **{name: pl.when(hit).then(0).otherwise(tokens) for name, tokens in consumed.items()},
    }
    if "tags" in given:
        told["tags"] = tags_of_json(given["tags"])
    if "first_token_ms" in given and "stream" in given:
        told["first_token_ms"] = pl.when(given["stream"]).then(given["first_token_ms"])
    return given | told


def _disjoint(fields: Fields, given: Mapping[str, pl.Expr]) -> dict[str, pl.Expr]:
    """The classes that the log's conventions count another way: input without the cache's, output with reasoning."""
    classes = {}
    cached = [given[name] for name in _CACHE if name in given]
    if fields.tokens == "inclusive" and cached and "input_tokens" in given:
        classes["input_tokens"] = uncached(given["input_tokens"], pl.sum_horizontal(cached))
    if fields.reasoning == "excluded" and "reasoning_tokens" in given:
        reasoning = given["reasoning_tokens"]
        output = given.get("output_tokens", pl.lit(None, dtype=pl.Int64))
        classes["output_tokens"] = pl.coalesce(output + reasoning.fill_null(0), reasoning)
    return classes
