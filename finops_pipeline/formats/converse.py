"""How Amazon Bedrock's Converse API splits cache writes by time to live, in its responses and in logs of them.

Source: the API reference's ``TokenUsage`` and ``CacheDetail``: ``usage.cacheDetails`` is a list of ``{inputTokens,
ttl}``.
"""

import polars as pl

from finops_pipeline.formats.format import Field, count, text
from finops_pipeline.formats.tokens import sum_of_known

_DETAILS = 4
"""Entries of ``cacheDetails``: one a time to live by the API's reference; never more than a request's checkpoints."""


def cache_detail_fields(usage: str) -> dict[str, Field]:
    """The fields of the details of a ``usage`` that stands at a path."""
    details = {f"detail_{n}": f"{usage}.cacheDetails[{n}]" for n in range(_DETAILS)}
    return {
        **{f"{name}_ttl": text(f"{path}.ttl") for name, path in details.items()},
        **{f"{name}_tokens": count(f"{path}.inputTokens") for name, path in details.items()},
    }


def written_for(ttl: str) -> pl.Expr:
    """Tokens that were written to the cache for a time to live (``5m``, ``1h``); null where no detail says so."""
    return sum_of_known(
        *(pl.when(pl.col(f"detail_{n}_ttl") == ttl).then(f"detail_{n}_tokens") for n in range(_DETAILS))
    )
