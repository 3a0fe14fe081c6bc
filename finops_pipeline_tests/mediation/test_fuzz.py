"""A hundred thousand records that no writer should have written: none is lost, none harms another, none tells a prompt.

Each example is a day of a source whose objects hold a seed's mutations among good records. Where one fails, Hypothesis
prints the seed, and the test's name the format.
"""

import csv
import datetime as dt
import gzip
import io
import json
import random
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

import polars as pl
import pytest
from fuzzed_sources import ARRAYS, FUZZED, JOB_TIME, SELF, TABLES, Fuzzed, records_of, rows_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mutated_lines import PROMPT, damaged, damaged_row, mutated, mutated_cells, spots_of

from finops_pipeline.config.model import Config
from finops_pipeline.formats.names import FORMAT_NAMES
from finops_pipeline.lake import Lake
from finops_pipeline.mediation.casts import MAX_COUNT
from finops_pipeline.mediation.day import mediate_day
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES, QUARANTINE, STRAYS, TOKEN_CLASSES, USAGE

DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 10, 8, tzinfo=dt.UTC)

IN_ALL = 100_000
"""Records that are mutated, over all formats, in lines and pages; those of tables come on top."""

EXAMPLES = 2
RECORDS = -(-IN_ALL // len(FUZZED) // EXAMPLES)
"""Records that are mutated in one example."""

GOOD = 10
"""Every so many records stands one that is as it should be."""

PAGE = 200
"""Records of a page."""

SPAN = 6
"""Steps that lead to a span of an OTLP document: its resource's list and place, its scope's, its own."""

EACH_SEED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a smaller seed is no simpler example
    suppress_health_check=list(HealthCheck),
)


class Day:
    """The objects of a day: their bytes, how many lines (or documents) and records they hold, as the test counts them.

    Attributes:
        records: Key → records; only of objects of which the test can say.
    """

    def __init__(self, fuzzed: Fuzzed) -> None:
        self.fuzzed = fuzzed
        self.objects: dict[str, bytes] = {}
        self.lines: dict[str, int] = {}
        self.records: dict[str, int] = {}

    def add_lines(self, name: str, lines: list[bytes], *, records: int | None = None, compress: bool = False) -> None:
        """An object of lines: each a record, or a document, which all together hold so many."""
        key, body = self.fuzzed.key.format(name), b"\n".join(lines)
        assert body.count(b"\n") == len(lines) - 1
        self.objects[key] = gzip.compress(body, 1) if compress else body
        self.lines[key] = sum(1 for line in lines if line.strip())
        if self.fuzzed.one_each or records:
            self.records[key] = records or self.lines[key]

    def add_page(self, name: str, page: bytes, *, records: int | None = None) -> None:
        """An object that is one document; with so many records, where the test can say."""
        key = self.fuzzed.key.format(name)
        self.objects[key], self.lines[key] = page, 1 if page.strip() else 0
        if records is not None:
            self.records[key] = records

    def page(self, records: list[bytes]) -> bytes:
        assert self.fuzzed.page is not None
        return b",".join(records).join(self.fuzzed.page)

    def add_table(self, name: str, header: bytes, rows: list[bytes]) -> None:
        """An object that is a table; rows may hold line ends in quotes."""
        key = self.fuzzed.key.format(name)
        self.objects[key] = b"\n".join([header, *rows])
        self.lines[key] = self.records[key] = len(rows)

    def mediated(self, format: str, folder: Path) -> Lake:
        """The lake after the day's run."""
        for key, body in self.objects.items():
            file = folder / "logs" / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
        source = {
            "name": "s", "format": format, "uri": str(folder / "logs"), "job_time": JOB_TIME, **self.fuzzed.settings,
        }  # fmt: skip
        config = Config.model_validate({"lake": str(folder / "lake"), "start_date": "2026-10-01", "sources": [source]})
        lake = Lake(folder / "lake")
        result = mediate_day(config, config.sources[0], DAY, lake=lake, run="fuzz", now=NOW)
        assert PROMPT not in str(result)
        return lake


def named(record: bytes, name: str) -> bytes:
    return record.replace(SELF.encode(), name.encode())


def good_ones(records: list[bytes]) -> list[bytes]:
    return [named(records[n % len(records)], f"-good{n}-") for n in range(RECORDS // GOOD)]


def among(good: list[bytes], odd: list[bytes]) -> list[bytes]:
    """All of them: a good one first (so that the object is what it is), and after every few odd ones."""
    every = len(odd) // len(good) + 1
    return [line for n, one in enumerate(good) for line in (one, *odd[n * every : (n + 1) * every])]


def odd_day(fuzzed: Fuzzed, seed: int) -> tuple[Day, int]:
    """The day of a seed, and how many of its records are mutated."""
    rng, records = random.Random(seed), records_of(fuzzed)
    spots = [spots_of(json.loads(record)) for record in records]
    trees, bytewise, day = [], [], Day(fuzzed)
    for n in range(RECORDS):
        which = rng.randrange(len(records))
        record = named(records[which], f"-odd{n}-")
        if n % 3:
            trees.append(mutated(rng, record, spots[which], fuzzed.labels))
        else:
            bytewise.append(damaged(rng, record))
    if fuzzed.page is not None:
        add_pages(rng, day, trees, bytewise)
        return day, RECORDS
    good = good_ones(records)
    day.add_lines("trees", among(good[::2], trees))
    day.add_lines("bytes", among(good[1::2], bytewise), compress=True)
    return day, RECORDS


def add_pages(rng: random.Random, day: Day, trees: list[bytes], bytewise: list[bytes]) -> None:
    """What is JSON stands in pages among good records, the rest in pages of its own; some pages are mutated as such."""
    mixed = among(good_ones(records_of(day.fuzzed)), [tree for tree in trees if is_json(tree)])
    for n in range(0, len(mixed), PAGE):
        page = mixed[n : n + PAGE]
        day.add_page(f"many{n}", day.page(page), records=len(page))
    for n, record in enumerate([*bytewise, *(tree for tree in trees if not is_json(tree))]):
        day.add_page(f"lone{n}", day.page([record]))
    for n in range(PAGE):
        page = day.page([named(record, f"-odd{n}-") for record in records_of(day.fuzzed)])
        odd = mutated(rng, page, spots_of(json.loads(page)), day.fuzzed.labels) if n % 2 else damaged(rng, page)
        day.add_page(f"page{n}", odd)


def odd_spans(fuzzed: Fuzzed, seed: int) -> tuple[Day, int]:
    """The day of a seed whose documents are sound, and spans are odd: of them the test can say how many there are."""
    rng, records, day = random.Random(seed), records_of(fuzzed), Day(fuzzed)
    spots = [[spot for spot in spots_of(json.loads(record)) if len(spot) > SPAN] for record in records]
    good, odd = good_ones(records), []
    spans = sum(map(spans_in, good))
    while len(odd) < RECORDS:
        which = rng.randrange(len(records))
        record = named(records[which], f"-odd{len(odd)}-")
        line = mutated(rng, record, spots[which], fuzzed.labels)
        if is_json(line):
            odd.append(line)
            spans += spans_in(record)
    day.add_lines("spans", among(good, odd), records=spans)
    return day, RECORDS


def spans_in(document: bytes) -> int:
    return document.count(b'"spanId":')


def odd_table(fuzzed: Fuzzed, seed: int) -> tuple[Day, int]:
    """A table of a seed. Only rows without quotes are damaged: a quote takes what follows it, as CSV has it."""
    rng, day, rows = random.Random(seed), Day(fuzzed), rows_of(fuzzed)
    good, odd = good_ones([csv_row(row.values()) for row in rows]), []
    for n in range(RECORDS):
        row = rng.choice(rows)
        line = named(csv_row(row.values()), f"-odd{n}-")
        if n % 3 or b'"' in line:
            line = named(csv_row(mutated_cells(rng, row, fuzzed.labels).values()), f"-odd{n}-")
        else:
            line = damaged_row(rng, line)
        odd.append(line)
    day.add_table("table", csv_row(rows[0]), among(good, odd))
    return day, RECORDS


def csv_row(cells: Iterable[str]) -> bytes:
    row = io.StringIO()
    csv.writer(row, lineterminator="\r\n").writerow(cells)
    return row.getvalue().removesuffix("\r\n").encode()


def is_json(text: bytes) -> bool:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


def good_day(fuzzed: Fuzzed, *, table: bool) -> Day:
    """The good records of any day alone."""
    day = Day(fuzzed)
    if table:
        rows = rows_of(fuzzed)
        day.add_table("table", csv_row(rows[0]), good_ones([csv_row(row.values()) for row in rows]))
    elif fuzzed.page is None:
        day.add_lines("trees", good_ones(records_of(fuzzed)))
    else:
        day.add_page("many0", day.page(good_ones(records_of(fuzzed))))
    return day


def good_rows(lake: Lake) -> pl.DataFrame:
    rows = lake.scan(USAGE).filter(pl.col("request_id").str.contains("-good", literal=True))
    return rows.drop("raw_object", "raw_line").sort("request_id").collect()


def check(day: Day, lake: Lake) -> None:
    """What holds for any day: every record is accounted for, in its place and with a reason; no count is made up."""
    ledger = lake.scan(INGEST_OBJECTS).sort("key").collect()
    assert ledger.get_column("key").to_list() == sorted(day.objects)
    assert ledger.filter(pl.col("records") != pl.sum_horizontal(OUTCOMES)).is_empty()
    assert dict(ledger.select("key", "lines").iter_rows()) == day.lines
    counted = dict(ledger.select("key", "records").iter_rows())
    assert {key: counted[key] for key in day.records} == day.records

    quarantine = lake.scan(QUARANTINE).collect()
    of_object = dict(quarantine.group_by("raw_object").len().iter_rows())
    assert of_object == {key: number for key, number in ledger.select("key", "quarantined").iter_rows() if number}
    assert not quarantine.select("raw_object", "raw_line").is_duplicated().any()
    assert quarantine.filter(pl.col("raw_line").is_between(1, pl.col("raw_object").replace_strict(counted))).equals(
        quarantine
    )
    assert quarantine.get_column("reason").str.len_chars().min() or quarantine.is_empty()
    assert quarantine.get_column("raw").null_count() == quarantine.height

    usage = lake.scan(USAGE).collect()
    assert usage.height == ledger.get_column("usage").sum()
    assert not usage.get_column("request_id").is_duplicated().any()
    handed_over = sum(lake.scan(STRAYS, **part).collect().height for part in lake.partitions(STRAYS))
    assert handed_over == ledger.get_column("strays").sum()
    for name in TOKEN_CLASSES:
        assert usage.filter(~pl.col(name).is_between(0, 100 * MAX_COUNT)).is_empty(), name
    assert usage.filter(pl.col("reported_cost") < 0).is_empty()
    assert set(usage.get_column("event_time").dt.date()) <= {DAY}
    assert prompts_in(Path(lake.storage.root)) == []


def prompts_in(folder: Path) -> list[tuple[str, str]]:
    """File and column of each place below a folder where the text of a prompt stands."""
    found = []
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        if PROMPT.encode() in file.read_bytes():
            found.append((file.name, "bytes"))
        if file.suffix == ".parquet":
            for column in pl.read_parquet(file, hive_partitioning=False).iter_columns():
                if column.dtype.is_nested() or column.dtype in (pl.String, pl.Binary):
                    text = str(column.to_list()) if column.dtype == pl.Binary else column.to_frame().write_ndjson()
                    found += [(file.name, column.name)] if PROMPT in text else []
    return found


CASES = [
    *((name, odd_day, fuzzed) for name, fuzzed in FUZZED.items()),
    ("otel", odd_spans, FUZZED["otel"]),
    ("langfuse", odd_day, ARRAYS),
    *((name, odd_table, fuzzed) for name, fuzzed in TABLES.items()),
]


@pytest.mark.parametrize(("format", "odd_ones", "fuzzed"), CASES, ids=[f"{c[0]}-{c[2].key[-4:]}" for c in CASES])
def test_mutated_records(
    format: str,
    odd_ones: Callable[[Fuzzed, int], tuple[Day, int]],
    fuzzed: Fuzzed,
    tmp_path_factory: pytest.TempPathFactory,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    mutations, folders = 0, (tmp_path_factory.mktemp(format) for _ in count())
    unharmed = good_rows(good_day(fuzzed, table=odd_ones is odd_table).mediated(format, next(folders)))
    assert unharmed.height > RECORDS // GOOD // 4

    @EACH_SEED
    @given(seed=st.integers(0, 2**32 - 1))
    def fuzz(seed: int) -> None:
        nonlocal mutations
        day, odd = odd_ones(fuzzed, seed)
        lake = day.mediated(format, next(folders))
        check(day, lake)
        assert good_rows(lake).equals(unharmed)
        mutations += odd

    fuzz()
    assert mutations >= IN_ALL // len(FUZZED)
    told = capfd.readouterr()
    assert PROMPT not in told.out + told.err + caplog.text


def test_every_format_is_fuzzed() -> None:
    assert set(FUZZED) == set(FORMAT_NAMES)
    assert RECORDS * EXAMPLES * len(FUZZED) >= IN_ALL
