"""Rules of OpenAI's usage pages: what the counts include, which endpoints have tokens, what is refused."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest

from finops_pipeline.errors import SourceError
from finops_pipeline.schemas import TOKEN_CLASSES

UsageOf = Callable[..., list[dict[str, Any]]]
OutcomesOf = Callable[..., dict[str, int]]

START = 1791205200
"""2026-10-05T13:00:00Z."""


def result(endpoint: str = "completions", **members: Any) -> dict[str, Any]:
    return {"object": f"organization.usage.{endpoint}.result", "num_model_requests": 7} | members


def page(*results: dict[str, Any]) -> dict[str, Any]:
    bucket = {"object": "bucket", "start_time": START, "end_time": START + 3600, "results": list(results)}
    return {"object": "page", "data": [bucket], "has_more": False, "next_page": None}


def test_a_result_is_a_row_at_the_start_of_its_bucket(usage_of: UsageOf) -> None:
    said = result(input_tokens=1000, input_cached_tokens=600, input_cache_write_tokens=300, output_tokens=50,
                  project_id="proj_1", user_id="user-1", api_key_id="key_1", model="gpt-5")  # fmt: skip
    row = usage_of("openai_usage", page(said))[0]
    assert row["event_time"] == dt.datetime(2026, 10, 5, 13, tzinfo=dt.UTC)
    assert tuple(row[name] for name in TOKEN_CLASSES) == (100, 600, 300, 0, 50)
    assert (row["project"], row["user_id"], row["api_key_id"]) == ("proj_1", "user-1", "key_1")
    assert (row["request_count"], row["usage_quality"], row["operation"]) == (7, "reported", "completions")
    assert row["request_id"].startswith("2026-10-05T13:00:00Z/2026-10-05T14:00:00Z?api_key_id=key_1&model=gpt-5&")


def test_pages_may_stand_on_many_lines(usage_of: UsageOf) -> None:
    pretty = json.dumps(page(result(input_tokens=5, output_tokens=1)), indent=2).replace("\n", "\r\n")
    assert usage_of("openai_usage", pretty)[0]["input_tokens"] == 5


def test_uncached_input_is_taken_where_it_is_said(usage_of: UsageOf) -> None:
    said = result(input_tokens=1000, input_cached_tokens=600, input_uncached_tokens=390, output_tokens=50)
    assert usage_of("openai_usage", page(said))[0]["input_tokens"] == 390


def test_audio_and_images_are_parts(usage_of: UsageOf) -> None:
    said = result(input_tokens=1000, input_audio_tokens=300, input_image_tokens=200,
                  output_tokens=50, output_audio_tokens=30, output_image_tokens=10)  # fmt: skip
    row = usage_of("openai_usage", page(said))[0]
    assert (row["input_tokens"], row["input_audio_tokens"], row["input_image_tokens"]) == (1000, 300, 200)
    assert (row["output_tokens"], row["output_audio_tokens"], row["output_image_tokens"]) == (50, 30, 10)


@pytest.mark.parametrize(
    ("said", "tier", "batch"),
    [
        ({"batch": True, "service_tier": "default"}, "batch", True),
        ({"batch": False, "service_tier": "default"}, "standard", False),
        ({"batch": None, "service_tier": "batch"}, "batch", True),
        ({"batch": None, "service_tier": "flex"}, "flex", False),
        ({}, None, False),
    ],
)
def test_tier_and_batch(said: dict[str, Any], tier: str | None, batch: bool, usage_of: UsageOf) -> None:
    row = usage_of("openai_usage", page(result(input_tokens=1, output_tokens=1) | said))[0]
    assert (row["service_tier"], row["batch"]) == (tier, batch)


def test_embeddings_and_moderations_have_tokens_too(usage_of: UsageOf) -> None:
    said = [result("embeddings", input_tokens=80, model="m"), result("moderations", input_tokens=9, model="m")]
    rows = usage_of("openai_usage", page(*said))
    assert [(row["operation"], row["input_tokens"], row["output_tokens"]) for row in rows] == [
        ("embeddings", 80, 0),
        ("moderations", 9, 0),
    ]


def test_results_that_count_something_else_are_no_usage(outcomes_of: OutcomesOf) -> None:
    others = page(
        result("images", images=3),
        result("audio_speeches", characters=900),
        result("audio_transcriptions", seconds=60),
        result("vector_stores", usage_bytes=1000),
        result("code_interpreter_sessions", num_sessions=2),
        result("file_searches", num_requests=4),
        result("web_searches", num_requests=4),
    )
    both = page(result(input_tokens=1, output_tokens=1))
    assert outcomes_of("openai_usage", {"2026-10-05-a.json": [others], "2026-10-05-b.json": [both]}) == {
        "not_usage": 7,
        "usage": 1,
    }


def test_completions_without_tokens_are_unknown(usage_of: UsageOf) -> None:
    row = usage_of("openai_usage", page(result()))[0]
    assert (row["usage_quality"], row["input_tokens"], row["output_tokens"]) == ("missing", None, None)


def test_pages_of_the_costs_api_are_refused(usage_of: UsageOf) -> None:
    costs = {"object": "organization.costs.result", "amount": {"value": 1.3, "currency": "usd"}, "line_item": None}
    with pytest.raises(SourceError, match=r"costs API.*usage/completions"):
        usage_of("openai_usage", page(costs))
