"""Labels as logs write them become keys and values, and nothing else of a log does."""

from typing import Any

import polars as pl
import pytest

from finops_pipeline.formats.tags import tags_of_json, tags_of_texts


def pairs(tags: list[dict[str, Any]] | None) -> list[tuple[Any, Any]] | None:
    return None if tags is None else [(tag["key"], tag["value"]) for tag in tags]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('{"env": "prod", "none": null}', [("env", "prod"), ("none", None)]),
        ('{"n": 3, "on": true}', [("n", "3"), ("on", "true")]),
        ('[{"key": "env", "value": "prod"}, {"key": "alone"}]', [("env", "prod"), ("alone", None)]),
        ('["env:prod", "url:http://x"]', [("env", "prod"), ("url", "http://x")]),
        ('["beta", ":x", 5]', [("beta", None), (":x", None), ("5", None)]),
        ('{"messages": [{"content": "secret"}], "env": "prod"}', [("messages", None), ("env", "prod")]),
        ('[{"messages": "secret"}, {"key": ["secret"]}, ["secret"], null, "a"]', [("a", None)]),
        ('[{"key": "k", "value": {"a": "secret"}}]', [("k", None)]),
        ("{}", []),
        ("prod", None),
        ("7", None),
        ("{", None),
        (None, None),
    ],
)  # fmt: skip
def test_labels_of_json(written: str | None, read: list[tuple[str, str | None]] | None) -> None:
    frame = pl.DataFrame({"labels": [written]}, schema={"labels": pl.String})
    assert pairs(frame.select(tags_of_json(pl.col("labels"))).to_series().to_list()[0]) == read


def test_labels_of_texts() -> None:
    frame = pl.DataFrame({"labels": [["env:prod", None, "beta"], None]})
    told = frame.select(tags_of_texts(pl.col("labels"))).to_series().to_list()
    assert [pairs(tags) for tags in told] == [[("env", "prod"), ("beta", None)], None]
