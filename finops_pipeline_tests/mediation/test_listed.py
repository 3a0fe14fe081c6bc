"""The objects of a day: each once, in order, and those that are gone beside those that are there."""

import datetime as dt

import polars as pl
import pytest

from finops_pipeline.mediation.layout import Placed
from finops_pipeline.mediation.listed import OBJECT, Objects
from finops_pipeline.mediation.objects import ObjectRef

DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 10, 6, 2, tzinfo=dt.UTC)


def objects(*keys: str) -> Objects:
    return Objects((Placed(ObjectRef(key, 5, f"tag of {key}", NOW), DAY, DAY, DAY) for key in keys), DAY)


def gone(*keys: str) -> pl.DataFrame:
    rows = [{"key": key, "size": 7, "etag": f"old tag of {key}", "own": True, "usage": 3} for key in keys]
    return pl.DataFrame(rows, schema={"key": pl.String, "size": pl.Int64, "etag": pl.String, "own": bool, "usage": int})


def test_each_object_stands_once_in_order() -> None:
    listed = objects("b", "a", "b")
    assert [listed[n].key for n in range(len(listed))] == ["a", "b"]
    assert [ref.key for ref in listed.refs([1, 0])] == ["b", "a"]


@pytest.mark.parametrize("index", [-1, 2])
def test_there_is_nothing_beside_the_objects(index: int) -> None:
    with pytest.raises(IndexError):
        objects("a", "b")[index]


def test_what_is_gone_follows_what_is_there_and_what_vanished_keeps_its_place() -> None:
    listed = objects("a", "c")
    strays = listed.append_strays(ObjectRef("strays/from-x", 1, "s", NOW), DAY)
    listed.states[1] = "vanished"
    told = listed.expire(gone("b", "c"), NOW)
    assert dict(told.select("key", OBJECT).iter_rows()) == {"b": 3, "c": 1}
    assert told.get_column("usage").to_list() == [3, 3]
    frame = listed.frame().select("key", "size", "etag", "state", "strays")
    assert frame.rows() == [
        ("a", 5, "tag of a", "read", False),
        ("c", 7, "old tag of c", "expired", False),
        ("strays/from-x", 1, "s", "read", True),
        ("b", 7, "old tag of b", "expired", False),
    ]
    assert (strays, len(listed)) == (2, 4)


def test_nothing_gone_changes_nothing() -> None:
    listed = objects("a")
    before = listed.frame()
    assert listed.expire(gone(), NOW).height == 0
    assert listed.frame().equals(before)


def test_digests_tell_what_is_read_from_what_is_kept() -> None:
    plain, kept = objects("a"), objects("a")
    kept.append_strays(ObjectRef("strays/from-x", 1, "s", NOW), DAY)
    kept.expire(gone("b"), NOW)
    assert plain.digest() == kept.digest()
    assert plain.digest_of_expired() != kept.digest_of_expired()
    vanished = objects("a", "b")
    vanished.states[1] = "vanished"
    assert vanished.digest() == plain.digest()
