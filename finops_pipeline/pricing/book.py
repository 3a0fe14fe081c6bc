"""The price book: everything that has a price, in one versioned content, compiled once.

Prices come from the catalogue and from the user's files; the contents of both make the version. How a call finds its
price is in ``resolution`` (which model) and ``rating`` (which row).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType

import polars as pl

from finops_pipeline.config.model import Config
from finops_pipeline.errors import PriceBookError
from finops_pipeline.pricing import catalogue as seed
from finops_pipeline.pricing.resolution import Resolver
from finops_pipeline.pricing.segments import Segments, compile_segments
from finops_pipeline.pricing.user_prices import read_user_prices
from finops_pipeline.schemas import PRICE_BOOK

CACHED_BOOKS = 4
"""Compiled books that a process keeps: the config of a run hardly ever changes within it."""


@dataclass(frozen=True, eq=False)
class PriceBook:
    """Prices and aliases of one version.

    Attributes:
        version: SHA-256 over rows and aliases, the first 16 hex digits: equal versions price equally.
        rows: The prices, by the contract ``schemas.PRICE_BOOK``.
        aliases: Model as logged → model to look up.
    """

    version: str
    rows: pl.DataFrame
    aliases: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_rows(cls, rows: pl.DataFrame, aliases: Mapping[str, str] | None = None) -> "PriceBook":
        """A book of these rows, checked and compiled: from ``rows`` and ``aliases`` of a book, that book again.

        Raises:
            ContractError: the rows do not meet the contract.
            PriceBookError: they contradict each other.
        """
        rows = PRICE_BOOK.check(rows).sort("price_id", maintain_order=True)
        ordered = dict(sorted((aliases or {}).items()))
        book = cls(_version(rows, ordered), rows, MappingProxyType(ordered))
        assert book.segments  # contradictions are errors of the book, not of the first call that meets them
        return book

    @cached_property
    def segments(self) -> Segments:
        """The rows as disjoint price segments."""
        return compile_segments(self.rows)

    @cached_property
    def resolver(self) -> Resolver:
        """From ids as logged to keys of this book. A book without catalogue rows matches its own keys only."""
        keys = self.rows.select("provider", "model_key").unique()
        seeded = (self.rows["source"] == seed.SOURCE).any()
        return Resolver(set(keys.rows()), self.aliases, seed.catalogue if seeded else None)


def compile_book(config: Config) -> PriceBook:
    """The book of a config: the catalogue (layer 0), its ``prices`` files (layer 20) and its ``model_aliases``.

    The same files with the same contents give the same book, which is kept in the process.

    Raises:
        PriceBookError: a price file cannot be read or is wrong, or prices contradict each other.
    """
    files = []
    for path in map(config.resolved, config.prices):
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise PriceBookError(
                f"{path}: cannot be read ({error.strerror}). Check `prices` in {config.folder / 'finops.yaml'}."
            ) from error
        files.append((path, digest))
    return _compiled(tuple(files), tuple(config.model_aliases.items()))


@lru_cache(maxsize=CACHED_BOOKS)
def _compiled(files: tuple[tuple[Path, str], ...], aliases: tuple[tuple[str, str], ...]) -> PriceBook:
    catalogue_rows = seed.catalogue().rows
    user_rows = [_in_catalogue_spelling(read_user_prices(path), catalogue_rows) for path, _ in files]
    return PriceBook.from_rows(pl.concat([catalogue_rows, *user_rows]), dict(aliases))


def _in_catalogue_spelling(rows: pl.DataFrame, catalogue_rows: pl.DataFrame) -> pl.DataFrame:
    """User rows with model keys as the catalogue spells them, so that they override; others in lower case."""
    spelling = catalogue_rows.select("provider", pl.col("model_key").str.to_lowercase().alias("lower"), "model_key")
    lower = rows.with_columns(pl.col("model_key").str.to_lowercase().alias("lower")).drop("model_key")
    return (
        lower.join(spelling.unique(["provider", "lower"], keep="first"), on=["provider", "lower"], how="left")
        .with_columns(pl.coalesce("model_key", "lower").alias("model_key"))
        .select(PRICE_BOOK.names)
    )


def _version(rows: pl.DataFrame, aliases: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps([PRICE_BOOK.version, list(aliases.items())]).encode())
    digest.update(rows.write_csv().encode())
    return digest.hexdigest()[:16]
