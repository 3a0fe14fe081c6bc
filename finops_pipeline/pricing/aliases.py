"""The config's ``model_aliases`` as rows of the price book."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl

from finops_pipeline.schemas import MODEL_ALIASES


def aliases_of(aliases: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """Rows of ``schemas.MODEL_ALIASES``, by alias.

    Args:
        aliases: Model as logged → ``model`` and, where given, ``provider``, ``region_scope``, ``from``, ``to``.
    """
    rows = [
        {
            "provider": alias.get("provider"),
            "alias": raw.strip().lower(),
            "model": alias["model"],
            "region_scope": alias.get("region_scope"),
            "valid_from": _midnight(alias.get("from")),
            "valid_to": _midnight(alias.get("to")),
        }
        for raw, alias in aliases.items()
    ]
    return pl.DataFrame(rows, schema=MODEL_ALIASES.schema).sort("alias", maintain_order=True)


def _midnight(day: str | None) -> dt.datetime | None:
    return None if day is None else dt.datetime.combine(dt.date.fromisoformat(day), dt.time(0), dt.UTC)
