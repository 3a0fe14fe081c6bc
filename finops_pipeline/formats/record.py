"""``record``: the plain format for everything that has no exporter of its own; JSON lines, CSV or Parquet.

``timestamp, service, model, input_tokens, output_tokens, cost, team, project`` and, optional, every other ``usage``
column by its name; ``tags`` is JSON (see ``tags``). Token classes are disjoint: ``input_tokens`` never includes cache.

Not taken are ``raw_object`` and ``raw_line``, which say where the record stood, and ``prompt_fingerprint`` and
``prefix_block_hashes``: hashes with another key than ours would look equal, or different, where prompts are not.

``status``: ``ok``, ``success``, ``succeeded`` and 2xx are ok; ``error``, ``failure``, ``failed``, 4xx and 5xx are
errors, in any case of letters. Errors cost nothing, so a word that is not known is ok, and charged. Without a status,
an ``error_code`` makes an error.
"""

from collections.abc import Mapping

import polars as pl

from finops_pipeline.formats.format import HAS_USAGE, Field, Format, Kind, instant, money, text
from finops_pipeline.formats.providers import provider_id, provider_of
from finops_pipeline.formats.statuses import failed, quality_of, status_of
from finops_pipeline.formats.tags import tags_of_json
from finops_pipeline.mediation.open_layout import OpenLayout
from finops_pipeline.schemas import COST, TAGS, TOKEN_CLASSES, USAGE

_NAMED_OTHERWISE = {"event_time", "raw_model", "reported_cost"}
_OURS = {"raw_object", "raw_line", "prefix_block_hashes", "prompt_fingerprint"}


def _kind(dtype: pl.DataType | type[pl.DataType]) -> Kind:
    if dtype == pl.Int64:
        return Kind.COUNT
    if dtype == COST:
        return Kind.MONEY
    if dtype == TAGS:
        return Kind.JSON
    return Kind.FLAG if dtype == pl.Boolean else Kind.TEXT


_BY_NAME = {
    c.name: Field(f"$.{c.name}", Kind.NUMBER if c.name.endswith("_ms") else _kind(c.dtype))
    for c in USAGE.columns
    if c.name not in _NAMED_OTHERWISE | _OURS
}


def _columns() -> Mapping[str, pl.Expr]:
    by_name = {name: pl.col(name) for name in _BY_NAME}
    return by_name | {
        "event_time": pl.col("timestamp"),
        "provider": pl.coalesce(provider_id(pl.col("provider")), provider_of(pl.col("service"))),
        "raw_model": pl.coalesce("model", "raw_model"),
        "reported_cost": pl.coalesce("cost", "reported_cost"),
        "status": status_of(failed(pl.col("status"), pl.col("error_code"))),
        "tags": tags_of_json(pl.col("tags")),
        "usage_quality": quality_of(pl.col("usage_quality")),
        HAS_USAGE: pl.any_horizontal(pl.col(*TOKEN_CLASSES).is_not_null()),
    }


RECORD = Format(
    name="record",
    version=3,
    layout=OpenLayout(),
    fields={
        "timestamp": instant("$.timestamp"),
        "model": text("$.model"),
        "raw_model": text("$.raw_model"),
        "cost": money("$.cost"),
        "reported_cost": money("$.reported_cost"),
        **_BY_NAME,
    },
    columns=_columns,
    tables=True,
)
