"""The user's own prices: CSV files named under ``prices`` in the config, read into rows of the price book.

One row prices one meter of one model. What a row overrides, and in which span of time and context, is decided where
the book is compiled.
"""

import csv
import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import polars as pl

from finops_pipeline.errors import PriceBookError
from finops_pipeline.formats.providers import provider_id
from finops_pipeline.schemas import PRICE_BOOK
from finops_pipeline.schemas.price_book import LAYER_USER, METERS, TIERS

REQUIRED = ("provider", "model", "meter", "unit_price")
OPTIONAL = (
    "per_qty", "tier", "region_scope", "ctx_gt", "ctx_le", "valid_from", "valid_to", "currency", "source_url",
)  # fmt: skip

PER_QTY = (1, 1000, 1_000_000)
"""Units that a price may buy: dividing by these is exact in decimals."""

MAX_PRICE = Decimal(10) ** 9
"""Above it a price is a mistake of units."""

MAX_TOKENS = 10**12
"""Input tokens of a context threshold: above it is a mistake."""

MAX_ERRORS = 20

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ]|$)")
_REGION_SCOPE = re.compile(r"global|in-region|geo:(?:apac|[a-z]{2}(?:-gov)?)")


def read_user_prices(path: Path) -> pl.DataFrame:
    """Rows of one CSV file (UTF-8, comma, header), layer 20.

    Columns: ``provider`` (empty: any; called as in the logs), ``model``, ``meter``, ``unit_price`` in USD; and, where
    given, ``per_qty`` (default 1000000), ``tier`` (default standard), ``region_scope`` (empty: every scope), ``ctx_gt``
    and ``ctx_le`` (input tokens), ``valid_from`` and ``valid_to`` (UTC day or instant, half-open), ``currency``,
    ``source_url``.

    Raises:
        PriceBookError: the file cannot be read, or naming line, column and what was expected for every mistake.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PriceBookError(
            f"{path}: cannot be read as CSV in UTF-8 ({error}). Check `prices` in finops.yaml and the file."
        ) from error
    mistakes: list[str] = []
    records = [_record(path, header, number, cells, mistakes) for number, cells in lines]
    if mistakes:
        more = [f"… and {len(mistakes) - MAX_ERRORS} more"] if len(mistakes) > MAX_ERRORS else []
        raise PriceBookError("\n".join([*mistakes[:MAX_ERRORS], *more]))
    schema = {name: PRICE_BOOK.schema[name] for name in records[0]} if records else {}
    frame = pl.DataFrame(records, schema=schema) if records else PRICE_BOOK.empty()
    named = frame.lazy().with_columns(provider=provider_id(pl.col("provider")))
    return PRICE_BOOK.check(PRICE_BOOK.conform(named).collect())


def _check_header(path: Path, header: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    unknown = [name for name in header if name not in REQUIRED + OPTIONAL]
    twice = sorted({name for name in header if header.count(name) > 1})
    if missing or unknown or twice:
        wrong = [
            f"{what} {', '.join(repr(name) for name in names)}"
            for what, names in (("missing", missing), ("unknown", unknown), ("repeated", twice))
            if names
        ]
        raise PriceBookError(
            f"{path}, line 1: columns {'; '.join(wrong)}. Expected {', '.join(REQUIRED)} and any of "
            f"{', '.join(OPTIONAL)}, separated by commas."
        )


def _record(
    path: Path, header: Sequence[str], number: int, cells: Sequence[str], mistakes: list[str]
) -> dict[str, object]:
    """The line as a row of the book; what is wrong with it goes to ``mistakes``."""
    if len(cells) != len(header):
        mistakes.append(f"{path}, line {number}: {len(cells)} cells, expected {len(header)} as in the header")
        return {}
    texts = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    values: dict[str, Any] = {}
    for name, (read, expected) in _COLUMNS.items():
        text = texts.get(name, "")
        try:
            values[name] = read(text)
        except (ValueError, OverflowError, InvalidOperation):
            mistakes.append(f"{path}, line {number}, column {name}: {text[:40]!r}, expected {expected}")
            values[name] = None
    for low, high in (("ctx_gt", "ctx_le"), ("valid_from", "valid_to")):
        if values[low] is not None and values[high] is not None and values[low] >= values[high]:
            mistakes.append(
                f"{path}, line {number}, column {high}: {texts[high]!r}, expected more than {low} ({texts[low]})"
            )
    return {
        "price_id": f"{path.name}:{number}",
        "model_key": values.pop("model"),
        "source": path.name,
        "rate_origin": "explicit",
        "layer": LAYER_USER,
        **values,
    }


def _name(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _price(text: str) -> Decimal:
    price = Decimal(text)
    exponent = price.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -18 or not 0 <= price < MAX_PRICE:
        raise ValueError
    return price


def _one_of(allowed: Sequence[str], default: str | None = None) -> Callable[[str], str]:
    def read(text: str) -> str:
        value = text or default
        if value is None or value not in allowed:
            raise ValueError
        return value

    return read


def _per_qty(text: str) -> int:
    if (value := int(text or 1_000_000)) not in PER_QTY:
        raise ValueError
    return value


def _tokens(text: str) -> int | None:
    if not text:
        return None
    if not 0 <= (value := int(text)) <= MAX_TOKENS:
        raise ValueError
    return value


def _region_scope(text: str) -> str | None:
    if text and not _REGION_SCOPE.fullmatch(text):
        raise ValueError
    return text or None


def _instant(text: str) -> dt.datetime | None:
    if not text:
        return None
    if not _DAY.match(text):  # Python reads weeks and compact dates too
        raise ValueError
    instant = dt.datetime.fromisoformat(text)
    return instant.astimezone(dt.UTC) if instant.tzinfo else instant.replace(tzinfo=dt.UTC)


_INSTANT = "a UTC day such as 2026-01-31, an instant such as 2026-01-31T16:00Z, or nothing"
_TOKENS = f"a whole number of input tokens up to {MAX_TOKENS}, or nothing"
_COLUMNS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "provider": (lambda text: text or None, "a provider such as openai, or nothing for any"),
    "model": (_name, "the model as it stands in the reports, or as the logs name it"),
    "meter": (_one_of(METERS), f"one of {', '.join(METERS)}"),
    "unit_price": (_price, f"USD, 0 or more, below {MAX_PRICE}, at most 18 decimals, such as 2.50"),
    "per_qty": (_per_qty, f"one of {', '.join(map(str, PER_QTY))}: the units that unit_price buys"),
    "tier": (_one_of(TIERS, "standard"), f"one of {', '.join(TIERS)}"),
    "region_scope": (
        _region_scope,
        "global, in-region, a geography such as geo:eu, or nothing for every scope",
    ),
    "ctx_gt": (_tokens, _TOKENS),
    "ctx_le": (_tokens, _TOKENS),
    "valid_from": (_instant, _INSTANT),
    "valid_to": (_instant, _INSTANT),
    "currency": (_one_of(("USD",), "USD"), "USD"),
    "source_url": (lambda text: text or None, "an address, or nothing"),
}
