"""Contracts: negotiated rates that were imported into the lake, where they hold for every machine that runs.

A contract is what one file says, under a name. Importing it again replaces what it said: rows that are no longer in it
are kept with the time until which they were known, so that it can be told what was known when.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from finops_pipeline.errors import PriceBookError
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.pricing.price_files import PriceFile
from finops_pipeline.schemas import INSTANT, PRICE_BOOK, RATE_ADJUSTMENTS, Table

CONTRACT_PRICES = replace(
    PRICE_BOOK, name="contract_prices", meaning="Prices of contracts.", partition_keys=("contract",)
)
CONTRACT_ADJUSTMENTS = replace(
    RATE_ADJUSTMENTS, name="contract_adjustments", meaning="Discounts and uplifts of contracts.",
    partition_keys=("contract",),
)  # fmt: skip


@dataclass(frozen=True)
class Contracts:
    """The contracts of a lake, as they are now.

    Attributes:
        lake: None for none at all.
        digests: Contract and what its file was, of each: equal digests mean equal contents.
    """

    lake: Lake | None = None
    digests: tuple[tuple[str, str], ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Contracts) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return self.lake.storage.root if self.lake else None, self.digests

    def files(self) -> Iterator[PriceFile]:
        """What each of them says, what it has said before among it."""
        for name, _ in self.digests:
            assert self.lake is not None
            yield read_contract(self.lake, name)


def contracts_of(lake: Lake | None) -> Contracts:
    """The contracts that a lake has now; none without a lake."""
    if lake is None:
        return Contracts()
    stamps = lake.stamps(CONTRACT_PRICES)
    return Contracts(lake, tuple((part.keys["contract"], stamp.input_digest) for part, stamp in stamps))


def read_contract(lake: Lake, name: str) -> PriceFile:
    """All rows of a contract; no rows where there is none."""
    rows = lake.scan(CONTRACT_PRICES, contract=name).select(CONTRACT_PRICES.names).collect()
    adjustments = lake.scan(CONTRACT_ADJUSTMENTS, contract=name).select(CONTRACT_ADJUSTMENTS.names).collect()
    return PriceFile(rows, adjustments)


def merged(before: PriceFile, read: PriceFile, name: str, now: dt.datetime) -> PriceFile:
    """A contract after an import: rows that still stand stay as they were learnt, new ones are known from now on.

    Raises:
        PriceBookError: the file has no rows.
    """
    if not read.rows.height and not read.adjustments.height:
        raise PriceBookError("the file has no prices, discounts or uplifts.")
    return PriceFile(
        _merged(before.rows, read.rows, PRICE_BOOK, "price_id", name, now),
        _merged(before.adjustments, read.adjustments, RATE_ADJUSTMENTS, "adjustment_id", name, now),
    )


def keep_contract(lake: Lake, name: str, content: PriceFile, *, digest: str, run: str) -> None:
    """Write a contract to the lake; its prices last, by which it is found.

    Raises:
        LakeError: the lake cannot be written.
    """
    for table, rows in ((CONTRACT_ADJUSTMENTS, content.adjustments), (CONTRACT_PRICES, content.rows)):
        lake.write(table, rows, Stamp(table.version, digest, run), contract=name)


def _merged(
    before: pl.DataFrame, read: pl.DataFrame, table: Table, ident: str, name: str, now: dt.datetime
) -> pl.DataFrame:
    told = [column for column in table.names if column not in (ident, "source", "known_from", "known_to")]
    instant = pl.lit(now, dtype=INSTANT)
    held, over = before.filter(pl.col("known_to").is_null()), before.filter(pl.col("known_to").is_not_null())
    stay = held.join(read, on=told, how="semi", nulls_equal=True)
    end = held.join(read, on=told, how="anti", nulls_equal=True).with_columns(known_to=instant)
    new = read.join(held, on=told, how="anti", nulls_equal=True).with_columns(
        pl.lit(name).alias("source"),
        (pl.lit(f"{name}@{now:%Y-%m-%dT%H:%M:%SZ}:") + pl.col(ident).str.extract(r":(.*)$")).alias(ident),
        known_from=instant,
    )
    return pl.concat([over, end, stay, new]).select(table.names)
