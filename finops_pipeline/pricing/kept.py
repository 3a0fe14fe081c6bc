"""The price books that the lake keeps: each that ever priced anything stays, whole, so that it can price again."""

from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.pricing.book import CACHED_BOOKS, PARTS, PriceBook
from finops_pipeline.schemas import PRICE_BOOK

_loaded: dict[tuple[str, str], PriceBook] = {}
"""Books that this process has loaded, by lake and version: a version never changes."""


def keep_book(lake: Lake, book: PriceBook, run: str) -> None:
    """Keep a book; one that is there already is left alone. Its prices are written last: by them it is found.

    Raises:
        LakeError: the lake cannot be written.
    """
    if is_kept(lake, book.version):
        return
    for name in reversed(list(PARTS)):
        table = PARTS[name]
        lake.write(table, getattr(book, name), Stamp(table.version, book.version, run), version=book.version)


def is_kept(lake: Lake, version: str) -> bool:
    """Whether a book can be had again: releases before this one did not keep all of it."""
    stamp = lake.stamp(PRICE_BOOK, version=version)
    return stamp is not None and stamp.schema_version >= PRICE_BOOK.version


def kept_book(lake: Lake, version: str) -> PriceBook | None:
    """The book of that version; None where it cannot be had.

    Raises:
        LakeError: it cannot be read.
    """
    if not is_kept(lake, version):
        return None
    place = lake.storage.root, version
    if place not in _loaded:
        while len(_loaded) >= CACHED_BOOKS:
            del _loaded[next(iter(_loaded))]
        _loaded[place] = _load(lake, version)
    return _loaded[place]


def _load(lake: Lake, version: str) -> PriceBook:
    parts = {name: lake.scan(table, version=version).select(table.names).collect() for name, table in PARTS.items()}
    book = PriceBook.from_rows(**parts)
    return PriceBook(version, book.rows, book.adjustments, book.aliases, book.names)


def kept_versions(lake: Lake) -> list[str]:
    """Versions of the books that can be had, in no order that means anything."""
    return [
        part.keys["version"] for part, stamp in lake.stamps(PRICE_BOOK) if stamp.schema_version >= PRICE_BOOK.version
    ]
