"""The price book: everything that has a price, in one versioned content, compiled once.

Prices come from the catalogue and its corrections, from the user's files and from the contracts that the lake keeps;
the contents of all make the version. How a call finds its price is in ``resolution`` (which model) and ``lookup``
(which row, which adjustments); how the lake keeps books, in ``kept``.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from finops_pipeline.config.model import Config
from finops_pipeline.errors import PriceBookError
from finops_pipeline.pricing import catalogue as seed
from finops_pipeline.pricing.adjustments import Adjustment, known
from finops_pipeline.pricing.aliases import aliases_of
from finops_pipeline.pricing.contracts import Contracts, contracts_of
from finops_pipeline.pricing.corrections import corrections
from finops_pipeline.pricing.names import Names
from finops_pipeline.pricing.price_files import PriceFile, read_price_file
from finops_pipeline.pricing.resolution import Resolver
from finops_pipeline.pricing.segments import Segments, compile_segments
from finops_pipeline.schemas import MODEL_ALIASES, MODEL_NAMES, PRICE_BOOK, RATE_ADJUSTMENTS, Table

if TYPE_CHECKING:
    from finops_pipeline.lake import Lake

CACHED_BOOKS = 4
"""Compiled books that a process keeps: the config of a run hardly ever changes within it."""

PARTS: Mapping[str, Table] = {
    "rows": PRICE_BOOK,
    "adjustments": RATE_ADJUSTMENTS,
    "aliases": MODEL_ALIASES,
    "names": MODEL_NAMES,
}
"""What a book consists of, and the contract of each."""


@dataclass(frozen=True, eq=False)
class PriceBook:
    """All of one version.

    Attributes:
        version: SHA-256 over the contents, the first 16 hex digits: equal versions price equally.
        rows: The prices, by the contract ``schemas.PRICE_BOOK``.
        adjustments: Uplifts and discounts, by ``schemas.RATE_ADJUSTMENTS``.
        aliases: Ids of one's own, by ``schemas.MODEL_ALIASES``.
        names: The catalogue's matching, by ``schemas.MODEL_NAMES``; no rows: only the book's own keys match.
    """

    version: str
    rows: pl.DataFrame
    adjustments: pl.DataFrame = field(default_factory=RATE_ADJUSTMENTS.empty)
    aliases: pl.DataFrame = field(default_factory=MODEL_ALIASES.empty)
    names: pl.DataFrame = field(default_factory=MODEL_NAMES.empty)

    @classmethod
    def from_rows(
        cls,
        rows: pl.DataFrame,
        *,
        adjustments: pl.DataFrame | None = None,
        aliases: pl.DataFrame | None = None,
        names: pl.DataFrame | None = None,
    ) -> "PriceBook":
        """A book of these parts, checked and compiled: from the parts of a book, that book again.

        Raises:
            ContractError: the rows do not meet their contract.
            PriceBookError: prices contradict each other.
        """
        given = {"rows": rows, "adjustments": adjustments, "aliases": aliases, "names": names}
        parts = {}
        for name, table in PARTS.items():
            frame = given[name]
            parts[name] = table.check(table.empty() if frame is None else frame)
        parts["rows"] = rows.sort("price_id", maintain_order=True)
        parts["adjustments"] = parts["adjustments"].sort("adjustment_id", maintain_order=True)
        book = cls(_version(parts), **parts)
        assert book.segments  # contradictions are errors of the book, not of the first call that meets them
        return book

    @cached_property
    def segments(self) -> Segments:
        """The rows as disjoint price segments."""
        changes = pl.concat(frame.select("valid_from", "valid_to") for frame in (self.adjustments, self.aliases))
        return compile_segments(self.rows, {edge for row in changes.iter_rows() for edge in row if edge is not None})

    @cached_property
    def adjusting(self) -> Sequence[Adjustment]:
        """The adjustments, placed on the axis of time of ``segments``."""
        return [Adjustment(row, self.span(row)) for row in known(self.adjustments).iter_rows(named=True)]

    @cached_property
    def resolver(self) -> Resolver:
        """From ids as logged to keys of this book. A book without catalogue names matches its own keys only."""
        keys = self.rows.select("provider", "model_key").unique()
        return Resolver(set(keys.rows()), self.aliases, Names(self.names) if self.names.height else None)

    def span(self, row: Mapping[str, dt.datetime | None]) -> tuple[int, int]:
        """From which edge of the axis of time up to which a row holds."""
        instants = self.segments.instants
        start, stop = row["valid_from"], row["valid_to"]
        return (
            0 if start is None else int(instants.search_sorted(start, side="right")),
            len(instants) + 1 if stop is None else int(instants.search_sorted(stop, side="right")),
        )


def compile_book(config: Config, lake: "Lake | None" = None) -> PriceBook:
    """The present book: catalogue and corrections, the config's ``prices`` and ``model_aliases``, the lake's contracts.

    The same contents give the same book, which is kept in the process.

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
    aliases = json.dumps(
        {raw: alias.model_dump(mode="json", by_alias=True) for raw, alias in config.model_aliases.items()}
    )
    return _compiled(tuple(files), aliases, contracts_of(lake))


@lru_cache(maxsize=CACHED_BOOKS)
def _compiled(files: tuple[tuple[Path, str], ...], aliases: str, contracts: Contracts) -> PriceBook:
    catalogue = seed.catalogue()
    own = [*(read_price_file(path) for path, _ in files), *contracts.files()]
    return book_of(own, aliases_of(json.loads(aliases)), catalogue)


def catalogue_book() -> PriceBook:
    """The book of a config that has no prices of its own."""
    return _compiled((), "{}", contracts_of(None))


def book_of(own: Sequence[PriceFile], aliases: pl.DataFrame, catalogue: seed.Catalogue) -> PriceBook:
    """The book of a catalogue with one's own prices and aliases."""
    return PriceBook.from_rows(
        pl.concat([catalogue.rows, *(_in_catalogue_spelling(file.rows, catalogue.rows) for file in own)]),
        adjustments=pl.concat([corrections().adjustments(), *(file.adjustments for file in own)]),
        aliases=aliases,
        names=catalogue.names,
    )


def _in_catalogue_spelling(rows: pl.DataFrame, catalogue_rows: pl.DataFrame) -> pl.DataFrame:
    """User rows with model keys as the catalogue spells them, so that they override; others in lower case."""
    spelling = catalogue_rows.select("provider", pl.col("model_key").str.to_lowercase().alias("lower"), "model_key")
    lower = rows.with_columns(pl.col("model_key").str.to_lowercase().alias("lower")).drop("model_key")
    return (
        lower.join(spelling.unique(["provider", "lower"], keep="first"), on=["provider", "lower"], how="left")
        .with_columns(pl.coalesce("model_key", "lower").alias("model_key"))
        .select(PRICE_BOOK.names)
    )


def _version(parts: Mapping[str, pl.DataFrame]) -> str:
    digest = hashlib.sha256(json.dumps([(name, table.version) for name, table in PARTS.items()]).encode())
    for name in PARTS:
        digest.update(parts[name].write_csv().encode())
    return digest.hexdigest()[:16]
