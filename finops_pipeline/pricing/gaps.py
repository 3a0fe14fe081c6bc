"""What has no price: models and reasons, the largest first, and for each the line that would give it one."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import polars as pl

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.model_ids import family
from finops_pipeline.schemas import TOKEN_CLASSES

UNRESOLVED = ("unresolved_model", "opaque_id")
"""Reasons that an alias puts right."""

WITHOUT_RATE = ("no_rate_for_meter", "unknown_tier", "before_history")
"""Reasons that a price of one's own puts right."""

NEAREST = 3
"""Models that are proposed for an id."""

ALIKE = 0.6
"""Likeness (0 to 1) from which on a model counts as near."""


@dataclass(frozen=True)
class Gap:
    """Calls of one model that have no price, for one reason.

    Attributes:
        what: ``provider``, ``raw_model``, ``price_reason``, ``model``, ``service_tier``, ``requests``, ``tokens``,
            ``first`` and ``last`` (days).
        nearest: Models of the book that the id may mean, the most likely first; none where it resolves.
        fix: The line that would give the calls a price, to be put below ``place``; None where the log is to blame.
        place: Where it belongs.
    """

    what: Mapping[str, Any]
    nearest: tuple[str, ...] = ()
    fix: str | None = None
    place: str | None = None


def unpriced(calls: pl.LazyFrame) -> pl.LazyFrame:
    """The calls without a price by provider, raw model and reason, those with most tokens first.

    Args:
        calls: ``priced_usage``, of any days.
    """
    by = ("provider", "raw_model", "price_reason", "model", "service_tier")
    return (
        calls.filter(pl.col("price_status") == "unpriced")
        .group_by(by)
        .agg(
            pl.col("request_count").sum().alias("requests"),
            pl.sum_horizontal(TOKEN_CLASSES).sum().alias("tokens"),
            pl.col("event_time").min().dt.date().alias("first"),
            pl.col("event_time").max().dt.date().alias("last"),
        )
        .sort("tokens", "requests", *by, descending=[True, True, *[False] * len(by)], nulls_last=True)
    )


def gaps(found: pl.DataFrame, book: PriceBook) -> Iterator[Gap]:
    """Each row of :func:`unpriced`, with what would put it right by the present book."""
    for row in found.iter_rows(named=True):
        reason = row["price_reason"]
        if reason in UNRESOLVED and row["raw_model"] is not None:
            near = nearest(book, row["provider"], row["raw_model"]) if reason != "opaque_id" else ()
            target = near[0] if near else "MODEL-OF-THE-PRICE-BOOK"
            yield Gap(
                row, near, f"{json.dumps(row['raw_model'])}: {json.dumps(target)}", "model_aliases in finops.yaml"
            )
        elif reason in WITHOUT_RATE and row["model"] is not None:
            cells = (row["provider"] or "", row["model"], "input", "USD-PER-MILLION", row["service_tier"] or "standard")
            header = "a file below prices (provider,model,meter,unit_price,tier; a line a meter)"
            yield Gap(row, (), ",".join(_cell(text) for text in cells), header)
        else:
            yield Gap(row)


def nearest(book: PriceBook, provider: str | None, raw_model: str) -> tuple[str, ...]:
    """Models of the book whose names are most like an id's: the provider's own, else anybody's."""
    wanted = family(raw_model)
    for sold in (book.resolver.keys_of(provider), sorted(set(book.rows["model_key"]))):
        likeness = {key: SequenceMatcher(None, wanted, family(key)).ratio() for key in sold}
        near = sorted((key for key in likeness if likeness[key] >= ALIKE), key=lambda key: (-likeness[key], key))
        if near:
            return tuple(near[:NEAREST])
    return ()


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text
