"""What became of every line of OpenAI's and Anthropic's samples, and of the same lines with anything wrong in them.

The expected rows of samples that came without any (``openai_responses``, ``openai_usage``, ``anthropic_streams``,
``anthropic_usage``) were derived by hand from the rules of the formats; their notes say how.
"""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

OutcomesOf = Callable[..., dict[str, int]]

SAMPLES = Path(__file__).parent.parent / "raw_logs"

HOSTILE = (
    None,
    True,
    "",
    "x",
    "=cmd()",
    "-1",
    1.5,
    -1,
    10**30,
    "9" * 400,
    [],
    [[]],
    {},
    {"a": [1]},
    "\x00<b>\ud83d\ude00",
)
"""What stands where something else is expected."""


def records(folder: str) -> dict[str, list[Any]]:
    """Key → the lines of a sample's objects, or their one document."""
    found = {}
    for file in sorted((SAMPLES / folder).rglob("*.json*")):
        text = file.read_text()
        lines = text.splitlines() if file.suffix == ".jsonl" else [text]
        found[str(file.relative_to(SAMPLES / folder))] = [json.loads(line) for line in lines if line]
    return found


@pytest.mark.parametrize(
    ("format", "folder", "expected"),
    [
        ("openai", "openai/chat_completions", {"usage": 5}),
        # resp_4 was stored twice; embeddings have no time.
        ("openai", "openai/responses", {"usage": 4, "duplicate": 1, "quarantined": 1}),
        # Five answers and two errors; the batch object's key has no date, so that it is the lake's first day's.
        ("openai_batch", "openai/batches", {"usage": 7, "another_day": 1}),
        ("openai_usage", "openai/usage", {"usage": 3}),
        # msg_a2 was stored twice.
        ("anthropic", "anthropic/messages", {"usage": 6, "duplicate": 1}),
        ("anthropic", "anthropic/streams", {"usage": 4}),
        ("anthropic_batch", "anthropic/batches", {"usage": 5}),
        ("anthropic_usage", "anthropic/usage_report", {"usage": 2}),
    ],
)
def test_what_became_of_the_lines(format: str, folder: str, expected: dict[str, int], outcomes_of: OutcomesOf) -> None:
    assert outcomes_of(format, records(folder)) == expected


def with_anything_wrong(value: Any) -> Iterator[Any]:
    """Copies of a JSON value in each of which one value, at any depth, is missing or another."""
    places = list(_places(value, ()))
    for place in places:
        for wrong in HOSTILE:
            changed = copy.deepcopy(value)
            _holder(changed, place)[place[-1]] = wrong
            yield changed
        if isinstance(place[-1], str):
            changed = copy.deepcopy(value)
            del _holder(changed, place)[place[-1]]
            yield changed


def _places(value: Any, above: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in members:
        yield (*above, step)
        yield from _places(below, (*above, step))


def _holder(value: Any, place: tuple[Any, ...]) -> Any:
    for step in place[:-1]:
        value = value[step]
    return value


@pytest.mark.parametrize(
    ("format", "folder"),
    [
        ("openai", "openai/chat_completions"),
        ("openai", "openai/responses"),
        ("openai_batch", "openai/batches"),
        ("anthropic", "anthropic/messages"),
        ("anthropic", "anthropic/streams"),
        ("anthropic_batch", "anthropic/batches"),
    ],
)
def test_no_line_is_lost_whatever_is_wrong_in_it(format: str, folder: str, outcomes_of: OutcomesOf) -> None:
    lines = [line for key, of_object in records(folder).items() if "batch.json" not in key for line in of_object]
    wrong = [changed for line in lines for changed in with_anything_wrong(line)]
    assert sum(outcomes_of(format, {"2026-10-05.jsonl": wrong}).values()) == len(wrong)


@pytest.mark.parametrize(
    ("format", "folder"), [("openai_usage", "openai/usage"), ("anthropic_usage", "anthropic/usage_report")]
)
def test_no_page_stops_the_others_whatever_is_wrong_in_it(format: str, folder: str, outcomes_of: OutcomesOf) -> None:
    ((key, (page,)),) = records(folder).items()
    wrong = {f"2026-10-05-p{number}.json": [changed] for number, changed in enumerate(with_anything_wrong(page))}
    counted = outcomes_of(format, {key: [page], **wrong})
    assert counted["usage"] >= 2
    assert counted["quarantined"] > 0


@pytest.mark.parametrize("wrong", HOSTILE)
def test_a_batch_object_with_anything_wrong_takes_no_line_along(wrong: Any, outcomes_of: OutcomesOf) -> None:
    said = dict.fromkeys(("completed_at", "model", "metadata", "request_counts"), wrong)
    lines = records("openai/batches")["batch_abc123/output.jsonl"]
    assert outcomes_of("openai_batch", {"b/batch.json": [said], "b/output.jsonl": lines})["usage"] == len(lines)
