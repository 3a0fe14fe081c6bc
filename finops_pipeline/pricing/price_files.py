"""Prices of one's own: CSV and YAML files, read into rows of the price book.

One line prices one meter of one model, or changes prices by an uplift or a negotiated discount. What a line overrides,
and in which span of time and context, is decided where the book is compiled.
"""

import csv
import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from finops_pipeline.errors import PriceBookError
from finops_pipeline.formats.providers import provider_id
from finops_pipeline.pricing.segments import FRACTIONAL_METERS, WHOLE_UNITS
from finops_pipeline.schemas import PRICE_BOOK, RATE_ADJUSTMENTS, Table
from finops_pipeline.schemas.price_book import LAYER_USER, METERS, TIERS

REQUIRED = ("provider", "model")
OPTIONAL = (
    "meter", "unit_price", "per_qty", "tier", "region_scope", "ctx_gt", "ctx_le", "valid_from", "valid_to",
    "currency", "source_url", "account", "discount", "uplift", "stack",
)  # fmt: skip

LISTS = {"prices": "unit_price", "discounts": "discount", "uplifts": "uplift"}
"""Lists of a YAML file → what each of their entries must have."""

OF_PRICES = ("unit_price", "per_qty", "ctx_gt", "ctx_le", "currency")
OF_ADJUSTMENTS = ("account", "stack")

FRACTION_UNITS = (1, 60, 1000, 3600, 1_000_000)
"""Units that a price of a fractional meter may buy."""

MAX_PRICE = Decimal(10) ** 6
"""Above it a price is a mistake of units."""

MAX_TOKENS = 10**12
"""Input tokens of a context threshold: above it is a mistake."""

MAX_UPLIFT = 1000

MAX_ERRORS = 20

_YAML = (".yaml", ".yml")

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ]|$)")
_REGION_SCOPE = re.compile(r"global|in-region|geo:(?:apac|[a-z]{2}(?:-gov)?)")


@dataclass(frozen=True, eq=False)
class PriceFile:
    """What one file holds: ``rows`` by ``schemas.PRICE_BOOK``, ``adjustments`` by ``schemas.RATE_ADJUSTMENTS``."""

    rows: pl.DataFrame
    adjustments: pl.DataFrame


def read_price_file(path: Path, *, layer: int = LAYER_USER) -> PriceFile:
    """The prices and adjustments of one file: CSV (UTF-8, comma, header), or YAML if its name ends so.

    Columns, and keys of YAML entries: ``model`` as it stands in reports or logs; ``provider`` (empty: any; called as in
    the logs); ``tier``, ``region_scope``, ``valid_from`` and ``valid_to`` (UTC day or instant, half-open),
    ``source_url``. A price has ``meter`` and ``unit_price`` in USD, and, where given, ``per_qty`` (default 1000000),
    ``ctx_gt`` and ``ctx_le`` (input tokens), ``currency``; without a tier it is the standard one's. An adjustment has
    ``discount`` (the part that is taken off: 0.175) or ``uplift`` (the factor: 1.1), and, where given, ``meter``,
    ``account`` and ``stack``; its ``model`` may be a pattern (``claude-*``), and what it does not name it serves all
    of. YAML has lists named ``prices``, ``discounts`` and ``uplifts``; keys beside them are defaults of all entries.

    Args:
        path: The file.
        layer: Of ``schemas.price_book``.

    Raises:
        PriceBookError: the file cannot be read, or naming line, column and what was expected for every mistake.
    """
    mistakes: list[str] = []
    try:
        lines = _yaml_lines(path) if path.suffix.lower() in _YAML else _csv_lines(path, mistakes)
        records = [_record(path, place, texts, mistakes) for place, texts in lines]
    except (OSError, UnicodeDecodeError, csv.Error, yaml.YAMLError) as error:
        raise PriceBookError(
            f"{path}: cannot be read ({' '.join(str(error).split())}). Expected CSV or YAML in UTF-8."
        ) from error
    if mistakes:
        more = [f"… and {len(mistakes) - MAX_ERRORS} more"] if len(mistakes) > MAX_ERRORS else []
        raise PriceBookError("\n".join([*mistakes[:MAX_ERRORS], *more]))
    own = {"source": path.name, "layer": layer}
    return PriceFile(
        _frame([record | own for record in records if "unit_price" in record], PRICE_BOOK),
        _frame([record | own for record in records if "multiplier" in record], RATE_ADJUSTMENTS),
    )


def _frame(records: list[dict[str, Any]], table: Table) -> pl.DataFrame:
    if not records:
        return table.empty()
    frame = pl.LazyFrame(records, schema={name: table.schema[name] for name in records[0]})
    return table.check(table.conform(frame.with_columns(provider=provider_id(pl.col("provider")))).collect())


def _csv_lines(path: Path, mistakes: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            place = f"line {reader.line_num}"
            if len(cells) != len(header):
                mistakes.append(f"{path}, {place}: {len(cells)} cells, expected {len(header)} as in the header")
                continue
            yield place, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def _yaml_lines(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The entries of all lists, with the file's defaults; every value as the text that stands there."""
    content = yaml.load(path.read_text(encoding="utf-8-sig"), yaml.BaseLoader)  # noqa: S506 (texts only)
    shape = f"a mapping with any of the lists {', '.join(LISTS)}, and defaults of their entries"
    if not isinstance(content, dict) or not any(name in content for name in LISTS):
        raise PriceBookError(f"{path}: expected {shape}")
    lists = {name: content.pop(name) for name in LISTS if name in content}
    unknown = [name for name in content if name not in REQUIRED + OPTIONAL]
    if unknown or not all(isinstance(value, str) for value in content.values()):
        raise PriceBookError(f"{path}: {', '.join(map(repr, unknown)) or 'a list'}, expected {shape}")
    for name, entries in lists.items():
        for number, entry in enumerate(entries or [] if isinstance(entries, list) else [entries], start=1):
            place = f"{name}, entry {number}"
            if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
                raise PriceBookError(f"{path}, {place}: expected keys with values, such as model: gpt-5")
            if strange := [key for key in entry if key not in REQUIRED + OPTIONAL]:
                raise PriceBookError(
                    f"{path}, {place}: unknown key {strange[0]!r}, expected any of {', '.join(REQUIRED + OPTIONAL)}"
                )
            wanted = LISTS[name]
            if wanted not in entry:
                raise PriceBookError(f"{path}, {place}: {wanted} is missing")
            unwanted = OF_ADJUSTMENTS if name == "prices" else OF_PRICES
            defaults = {key: value for key, value in content.items() if key not in unwanted}
            yield place, {key: value.strip() for key, value in (defaults | entry).items()}


def _check_header(path: Path, header: Sequence[str]) -> None:
    wanted = REQUIRED if {"discount", "uplift"} & set(header) else (*REQUIRED, "meter", "unit_price")
    missing = [name for name in wanted if name not in header]
    unknown = [name for name in header if name not in REQUIRED + OPTIONAL]
    twice = sorted({name for name in header if header.count(name) > 1})
    if missing or unknown or twice:
        wrong = [
            f"{what} {', '.join(repr(name) for name in names)}"
            for what, names in (("missing", missing), ("unknown", unknown), ("repeated", twice))
            if names
        ]
        raise PriceBookError(
            f"{path}, line 1: columns {'; '.join(wrong)}. Expected {', '.join(wanted)} and any of "
            f"{', '.join(name for name in OPTIONAL if name not in wanted)}, separated by commas."
        )


def _record(path: Path, place: str, texts: Mapping[str, str], mistakes: list[str]) -> dict[str, Any]:
    """The line as a row of the book; what is wrong with it goes to ``mistakes``."""
    kinds = [kind for kind in LISTS.values() if texts.get(kind)] or ["unit_price"]
    if len(kinds) > 1:
        found = " and ".join(kinds)
        mistakes.append(f"{path}, {place}: {found}, expected one of unit_price, discount and uplift")
        return {}
    is_price = kinds[0] == "unit_price"
    mistakes += [
        f"{path}, {place}, column {name}: {texts[name][:40]!r}, expected nothing beside {kinds[0]}"
        for name in (OF_ADJUSTMENTS if is_price else OF_PRICES)
        if texts.get(name)
    ]
    columns = _PRICE_COLUMNS if is_price else _ADJUSTMENT_COLUMNS
    values: dict[str, Any] = {}
    for name, (read, expected) in columns.items():
        text = texts.get(name, "")
        try:
            values[name] = read(text)
        except (ValueError, OverflowError, InvalidOperation):
            mistakes.append(f"{path}, {place}, column {name}: {text[:40]!r}, expected {expected}")
            values[name] = None
    if is_price and values["meter"] not in FRACTIONAL_METERS and values["per_qty"] not in (None, *WHOLE_UNITS):
        mistakes.append(
            f"{path}, {place}, column per_qty: {texts['per_qty']!r}, expected one of "
            f"{', '.join(map(str, WHOLE_UNITS))} for {values['meter']}"
        )
    for low, high in (("ctx_gt", "ctx_le"), ("valid_from", "valid_to")):
        if values.get(low) is not None and values.get(high) is not None and values[low] >= values[high]:
            mistakes.append(f"{path}, {place}, column {high}: {texts[high]!r}, expected more than {low} ({texts[low]})")
    name = f"{path.name}:{place.removeprefix('line ').replace(', entry ', ' ')}"
    if is_price:
        return {"price_id": name, "model_key": values.pop("model"), "rate_origin": "explicit", **values}
    discount, uplift = values.pop("discount"), values.pop("uplift")
    multiplier = uplift if discount is None else 1 - discount
    values["model"] = values["model"] and values["model"].lower()
    return {"adjustment_id": name, "kind": kinds[0], "multiplier": multiplier, **values}


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


def _one_of(allowed: Sequence[str], default: str | None = None) -> Callable[[str], str | None]:
    def read(text: str) -> str | None:
        value = text or default
        if value == "":
            return None
        if value not in allowed:
            raise ValueError
        return value

    return read


def _fraction(least: Decimal, most: Decimal) -> Callable[[str], Decimal | None]:
    def read(text: str) -> Decimal | None:
        if not text:
            return None
        value = Decimal(text)
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int) or exponent < -6 or not least <= value <= most:
            raise ValueError
        return value

    return read


def _per_qty(text: str) -> int:
    if (value := int(text or 1_000_000)) not in FRACTION_UNITS:
        raise ValueError
    return value


def _stack(text: str) -> int:
    if not 0 <= (value := int(text or 0)) <= 99:
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
_Columns = Mapping[str, tuple[Callable[[str], object], str]]
_BOTH: _Columns = {
    "provider": (lambda text: text or None, "a provider such as openai, or nothing for any"),
    "model": (_name, "the model as it stands in the reports, or as the logs name it"),
    "region_scope": (
        _region_scope,
        "global, in-region, a geography such as geo:eu, or nothing for every scope",
    ),
    "valid_from": (_instant, _INSTANT),
    "valid_to": (_instant, _INSTANT),
    "source_url": (lambda text: text or None, "an address, or nothing"),
}
_PRICE_COLUMNS: _Columns = {
    **_BOTH,
    "meter": (_one_of(METERS), f"one of {', '.join(METERS)}"),
    "unit_price": (_price, f"USD, 0 or more, below {MAX_PRICE}, at most 18 decimals, such as 2.50"),
    "per_qty": (_per_qty, f"one of {', '.join(map(str, FRACTION_UNITS))}: the units that unit_price buys"),
    "tier": (_one_of(TIERS, "standard"), f"one of {', '.join(TIERS)}"),
    "ctx_gt": (_tokens, _TOKENS),
    "ctx_le": (_tokens, _TOKENS),
    "currency": (_one_of(("USD",), "USD"), "USD"),
}
_ADJUSTMENT_COLUMNS: _Columns = {
    **_BOTH,
    "meter": (_one_of(METERS, ""), f"one of {', '.join(METERS)}, or nothing for all"),
    "tier": (_one_of(TIERS, ""), f"one of {', '.join(TIERS)}, or nothing for all"),
    "account": (lambda text: text or None, "an account as logged, or nothing for all"),
    "discount": (_fraction(Decimal(0), Decimal(1)), "the part that is taken off, from 0 to 1, such as 0.175"),
    "uplift": (_fraction(Decimal("0.000001"), Decimal(MAX_UPLIFT)), "a factor above 0, such as 1.1"),
    "stack": (_stack, "a number from 0 to 99: of one number one holds, different numbers multiply"),
}
