"""The account of what was read, added up for people; and what a second reading of the quarantine has brought."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.ingestion import (
    by_day,
    by_reason,
    expired_records,
    handed_over,
    has_trouble,
    quarantined_places,
    replayed,
    worst_first,
)
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES, QUARANTINE, STRAYS, USAGE

DAY, NEXT, OLD = dt.date(2026, 10, 5), dt.date(2026, 10, 6), dt.date(2026, 10, 1)
FUTURE = "time_out_of_range: … is in the future"


def account(key: str, *, state: str = "read", own: bool = True, **counts: int) -> dict[str, Any]:
    """An object whose records ended as ``counts`` say; ``strays`` are part of another_day."""
    ended = dict.fromkeys(OUTCOMES, 0) | {name: n for name, n in counts.items() if name in OUTCOMES}
    records = sum(ended.values())
    parts = {name: counts.get(name, 0) for name in ("strays", "conflicts", "near_duplicates")}
    place = {"key": key, "size": 1, "etag": "e", "state": state, "own": own, "lines": records, "records": records}
    return place | ended | parts


def objects(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=INGEST_OBJECTS.schema, orient="row")


def quarantine(*rows: tuple[str, int, str]) -> pl.DataFrame:
    """Records by object, line and reason."""
    whole = [(key, line, None, None, reason, None) for key, line, reason in rows]
    return pl.DataFrame(whole, schema=QUARANTINE.schema, orient="row")


def dated(frame: pl.DataFrame, source: str = "a", day: dt.date = DAY) -> pl.LazyFrame:
    return frame.lazy().with_columns(pl.lit(source).alias("source"), pl.lit(day).alias("date"))


# -- added up -----------------------------------------------------------------------------------------------------


def test_objects_add_up_to_their_sources_day() -> None:
    rows = pl.concat(
        [
            dated(objects(account("x", usage=5, duplicate=2, conflicts=1), account("y", usage=1, quarantined=3))),
            dated(objects(account("x", another_day=4, strays=3)), day=NEXT),
            dated(objects(account("x", usage=7, near_duplicates=2)), source="b"),
        ]
    )
    columns = "source", "date", "objects", "records", "usage", "duplicate", "quarantined", "strays", "conflicts"
    assert by_day(rows).select(columns).collect().rows() == [
        ("a", DAY, 2, 11, 6, 2, 3, 0, 1),
        ("a", NEXT, 1, 4, 0, 0, 0, 3, 0),
        ("b", DAY, 1, 7, 7, 0, 0, 0, 0),
    ]


def test_a_file_of_an_older_contract_counts_no_conflicts() -> None:
    rows = dated(objects(account("x", usage=1))).with_columns(conflicts=pl.lit(None, dtype=pl.Int64))
    assert by_day(rows).collect().get_column("conflicts").to_list() == [0]


@pytest.mark.parametrize(
    ("reason", "values", "kind"),
    [
        (
            "a line of {} bytes, over limits.max_line_bytes",
            "9 40000000",
            "a line of … bytes, over limits.max_line_bytes",
        ),
        ("$.n_5m: expected a number from 0 to 1e12, got {}", "-5 text", "$.n_5m: expected a number from 0 to 1e12"),
        ("time_out_of_range: {} is in the future", "2026-01-01T00:00:00Z 2027-01-01T00:00:00Z", FUTURE),
        ("not JSON: unexpected end (byte {})", "3 77", "not JSON: unexpected end"),
        ("{} cells, where the header has 4", "3 5", "… cells, where the header has 4"),
    ],
)
def test_reasons_that_differ_in_a_value_are_one(reason: str, values: str, kind: str) -> None:
    one, other = map(reason.format, values.split())
    rows = by_reason(dated(quarantine(("x", 1, one), ("x", 2, other), ("y", 1, one)))).collect()
    assert rows.select("reason", "records").rows() == [(kind, 3)]


def test_reasons_that_differ_otherwise_are_several_the_most_frequent_first() -> None:
    at_a, at_b = "$.cache_write_5m_tokens: expected a", "$.cache_write_1h_tokens: expected a"
    rows = by_reason(dated(quarantine(("x", 1, at_a), ("x", 2, at_b), ("x", 3, at_b)))).collect()
    assert rows.select("reason", "records").rows() == [(at_b, 2), (at_a, 1)]


def test_the_worst_objects_come_first_and_good_ones_ask_for_no_look() -> None:
    rows = objects(
        account("good", usage=9),
        account("twins", usage=9, duplicate=1, conflicts=1),
        account("damaged", state="damaged", usage=1),
        account("bad", quarantined=2),
        account("worse", quarantined=3),
    )
    assert worst_first(dated(rows)).collect().get_column("key").to_list() == [
        "worse", "bad", "twins", "damaged", "good",
    ]  # fmt: skip
    assert "good" not in rows.filter(has_trouble()).get_column("key").to_list()
    assert rows.filter(has_trouble()).height == 4


# -- strays -------------------------------------------------------------------------------------------------------


def strays(lake: Lake, found_on: dt.date, own: dt.date, *keys: str, source: str = "a") -> None:
    """Strays of these objects, handed to their own day."""
    at = dt.datetime.combine(own, dt.time(8), dt.UTC)
    rows = USAGE.conform(
        pl.LazyFrame(
            [
                {"request_id": f"{key}{n}", "event_time": at, "raw_object": key, "raw_line": n, "batch": False,
                 "request_count": 1, "status": "ok", "usage_quality": "reported"}
                for n, key in enumerate(keys)
            ]
        )
    ).cast(dict(USAGE.schema))  # fmt: skip
    frame = STRAYS.conform(rows).collect()
    stamp = Stamp(STRAYS.version, "d", "run")
    lake.write(STRAYS, frame, stamp, part=f"from-{found_on}", source=source, date=own)


def test_strays_are_told_by_the_day_that_found_them_and_their_own(lake: Lake) -> None:
    stamp = Stamp(INGEST_OBJECTS.version, "d", "run")
    found = objects(account("x", another_day=3, strays=3), account("y", usage=1))
    lake.write(INGEST_OBJECTS, found, stamp, source="a", date=DAY)
    lake.write(INGEST_OBJECTS, objects(account("z", another_day=1, strays=1)), stamp, source="a", date=NEXT)
    strays(lake, DAY, OLD, "x", "x")
    strays(lake, DAY, dt.date(2026, 9, 30), "x")
    strays(lake, NEXT, OLD, "z")
    assert handed_over(lake, "a", [DAY]).rows() == [(DAY, dt.date(2026, 9, 30), 1), (DAY, OLD, 2)]
    assert handed_over(lake, "a", [DAY, NEXT]).rows()[1:] == [(DAY, OLD, 2), (NEXT, OLD, 1)]
    assert handed_over(lake, "b", [DAY]).is_empty()
    assert handed_over(lake, "a", []).is_empty()


# -- read again ---------------------------------------------------------------------------------------------------


def test_a_record_is_recovered_where_its_place_is_quarantined_no_more() -> None:
    before = quarantine(("x", 1, "too long"), ("x", 2, "too long"), ("y", 1, "no time"))
    after = quarantine(("x", 2, "not JSON"), ("z", 9, "no time"))
    told = replayed(quarantined_places(dated(before)), quarantined_places(dated(after)))
    assert told.select("reason", "before", "recovered", "still", "new").rows() == [
        ("no time", 1, 1, 0, 1),
        ("too long", 2, 1, 1, 0),
    ]


def test_the_same_place_of_another_day_or_source_is_another() -> None:
    rows = quarantine(("x", 1, "r"))
    for after in (dated(rows, day=NEXT), dated(rows, source="b")):
        told = replayed(quarantined_places(dated(rows)), quarantined_places(after))
        assert told.select(pl.col("before", "recovered", "still", "new").sum()).row(0) == (1, 1, 0, 1)


PLACES = st.dictionaries(
    st.tuples(st.sampled_from("xyz"), st.integers(1, 4)), st.sampled_from(["one", "two, got 1", "two, got 2"])
)


@given(before=PLACES, after=PLACES)
@settings(max_examples=40, deadline=None)
def test_what_was_there_is_recovered_or_still_there_and_the_rest_is_new(
    before: dict[tuple[str, int], str], after: dict[tuple[str, int], str]
) -> None:
    then, now = (quarantine(*((*place, why) for place, why in rows.items())) for rows in (before, after))
    told = replayed(quarantined_places(dated(then)), quarantined_places(dated(now)))
    assert (told.get_column("before") == told.get_column("recovered") + told.get_column("still")).all()
    sums = told.select(pl.col("before", "recovered", "still", "new").sum()).row(0)
    both = len(before.keys() & after.keys())
    assert sums == (len(before), len(before) - both, both, len(after) - both)


def test_records_of_expired_objects_are_beyond_reach(lake: Lake, make_dirty: Callable[[dt.date], None]) -> None:
    make_dirty(DAY)
    make_dirty(NEXT)
    pairs = pl.DataFrame([("a", DAY)], schema=["source", "date"], orient="row")
    assert expired_records(lake, pairs) == 2


@pytest.fixture
def make_dirty(lake: Lake) -> Callable[[dt.date], None]:
    """Three quarantined records of a day, two of them in an object that is gone."""

    def make(day: dt.date) -> None:
        stamp = Stamp(1, "d", "run")
        found = objects(account("gone", state="expired", quarantined=2), account("there", quarantined=1))
        lake.write(INGEST_OBJECTS, found, stamp, source="a", date=day)
        lake.write(
            QUARANTINE, quarantine(("gone", 1, "r"), ("gone", 2, "r"), ("there", 1, "r")), stamp, source="a", date=day
        )

    return make
