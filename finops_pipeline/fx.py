"""Rates of exchange: read from the config's CSV files, looked up for a statement, kept in the lake.

Nothing here fetches a rate: where it comes from is the user's business, and stands beside it as its source. Converting
and rounding are in ``money``.
"""

import csv
import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from finops_pipeline.config.model import Config
from finops_pipeline.errors import FxRateError
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.money import EXPONENTS, USD
from finops_pipeline.schemas import FX_RATES
from finops_pipeline.schemas.fx_rates import RATE_DECIMALS

MAX_AGE = dt.timedelta(days=7)
"""A rate may be that much older than the day that it is taken for: longer than any row of weekends and holidays."""

MAX_ERRORS = 20

LONGEST_SOURCE = 200
"""Characters; it stands on every page and mail."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RATE = re.compile(rf"[0-9]{{1,9}}(\.[0-9]{{1,{RATE_DECIMALS}}})?")


@dataclass(frozen=True)
class FxRate:
    """The one rate that a statement is made at.

    Attributes:
        currency: ISO 4217.
        rate: Units of it for one USD.
        date: Day of the rate, which may lie before the day that it was looked up for.
        source: Whose rate it is, as the file says.
        version: Of ``fx_rates``, where it stands.
    """

    currency: str
    rate: Decimal
    date: dt.date
    source: str
    version: str


@dataclass(frozen=True, eq=False)
class FxRates:
    """Rates of some files: ``rows`` by ``schemas.FX_RATES``, by currency and day, each pair once."""

    rows: pl.DataFrame
    files: tuple[Path, ...]

    @cached_property
    def version(self) -> str:
        """Follows from the rows alone: the same rates in other files are the same version."""
        return hashlib.sha256(self.rows.write_csv().encode()).hexdigest()[:16]

    def at(self, currency: str, day: dt.date) -> FxRate:
        """The currency's rate of that day, or else the latest before it, at most ``MAX_AGE`` old.

        Raises:
            FxRateError: there is none; says which line to add to which file.
        """
        found = self.latest(currency, day)
        if found is None or found.date < day - MAX_AGE:
            latest = "there is none before" if found is None else f"the latest before is of {found.date}"
            raise FxRateError(
                f"no rate of {currency} for {day} or the {MAX_AGE.days} days before it; {latest}. Add a line "
                f"{day},{currency},<{currency} for one {USD}>,<source> to {self.files[-1]}"
            )
        return found

    def latest(self, currency: str, until: dt.date = dt.date.max) -> FxRate | None:
        """The currency's rate of the last day up to ``until``; None where there is none."""
        rows = self.rows.filter(pl.col("currency") == currency, pl.col("date") <= until)
        return None if rows.is_empty() else FxRate(**rows.row(-1, named=True), version=self.version)


def configured_rates(config: Config) -> FxRates:
    """The rates of all files that ``fx_rates`` of the config names.

    Raises:
        FxRateError: a file cannot be read, or naming every mistake with its line, its column and what was expected.
    """
    files = tuple(config.resolved(file) for file in config.fx_rates)
    places: dict[tuple[object, object], str] = {}
    mistakes: list[str] = []
    rows: list[Mapping[str, Any]] = []
    for file in files:
        for place, row in _rows(file, mistakes):
            first = places.setdefault((row["currency"], row["date"]), place)
            if first != place:
                mistakes.append(f"{place}: {row['currency']} has a rate of {row['date']} already, in {first}")
            rows.append(row)
    if mistakes:
        more = [f"… and {len(mistakes) - MAX_ERRORS} more"] if len(mistakes) > MAX_ERRORS else []
        raise FxRateError("\n".join([*mistakes[:MAX_ERRORS], *more]))
    frame = pl.DataFrame(rows, schema=FX_RATES.schema, orient="row").sort("currency", "date")
    return FxRates(FX_RATES.check(frame), files)


def keep_rates(lake: Lake, rates: FxRates, run: str) -> None:
    """Keep all of them in the lake, under their version; one that is there already is left alone.

    Raises:
        LakeError: the lake cannot be written.
    """
    if lake.stamp(FX_RATES, version=rates.version) is None:
        stamp = Stamp(FX_RATES.version, rates.version, run)
        lake.write(FX_RATES, rates.rows, stamp, version=rates.version)


# -- one file ---------------------------------------------------------------------------------------------------------


def _rows(path: Path, mistakes: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The lines without mistakes, each with its place; what is wrong with the others goes to ``mistakes``."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                place = f"{path}, line {reader.line_num}"
                if len(cells) != len(header):
                    mistakes.append(f"{place}: {len(cells)} cells, expected {len(header)} as in the header")
                    continue
                texts = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
                if (row := _row(place, texts, mistakes)) is not None:
                    yield place, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FxRateError(
            f"{path}: cannot be read ({' '.join(str(error).split())}). Expected CSV in UTF-8 with the columns "
            f"{', '.join(_COLUMNS)}."
        ) from error


def _check_header(path: Path, header: Sequence[str]) -> None:
    wrong = [
        f"{what} {', '.join(map(repr, names))}"
        for what, names in (
            ("missing", [name for name in _COLUMNS if name not in header]),
            ("unknown", [name for name in header if name not in _COLUMNS]),
            ("repeated", sorted({name for name in header if header.count(name) > 1})),
        )
        if names
    ]
    if wrong:
        raise FxRateError(
            f"{path}, line 1: columns {'; '.join(wrong)}. Expected {', '.join(_COLUMNS)}, separated by commas."
        )


def _row(place: str, texts: Mapping[str, str], mistakes: list[str]) -> Mapping[str, Any] | None:
    row: dict[str, Any] = {}
    for name, (read, expected) in _COLUMNS.items():
        try:
            row[name] = read(texts[name])
        except ValueError:
            mistakes.append(f"{place}, column {name}: {texts[name][:40]!r}, expected {expected}")
    if len(row) < len(_COLUMNS):
        return None
    currency, rate = row["currency"], row["rate"]
    if EXPONENTS[currency] == 0 and rate < 1:
        # Money that has no minor unit is worth less than a dollar: the file has the inverse.
        mistakes.append(
            f"{place}, column rate: {texts['rate']!r} is {USD} for one {currency}, expected {currency} for one {USD}"
        )
        return None
    return row


def _date(text: str) -> dt.date:
    if not _DAY.fullmatch(text):  # Python reads weeks and compact dates too
        raise ValueError
    return dt.date.fromisoformat(text)


def _currency(text: str) -> str:
    if text not in EXPONENTS or text == USD:
        raise ValueError
    return text


def _rate(text: str) -> Decimal:
    if not _RATE.fullmatch(text) or not Decimal(text):
        raise ValueError
    return Decimal(text)


def _source(text: str) -> str:
    if not 0 < len(text) <= LONGEST_SOURCE:
        raise ValueError
    return text


_COLUMNS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "date": (_date, "a day such as 2026-10-30"),
    "currency": (_currency, f"an ISO 4217 code such as EUR; {USD} has no rate"),
    "rate": (_rate, f"units of it for one {USD} such as 0.9173: above 0, at most {RATE_DECIMALS} decimals"),
    "source": (_source, f"whose rate it is, in at most {LONGEST_SOURCE} characters"),
}
"""Of a file and of ``fx_rates``: how each is read, and what is expected."""
