"""What a source of each format looks like to the fuzzer: sample records with prompts, ids of their own, and keys.

The records are those of ``raw_logs``. Where one says who it is, ``SELF`` is appended, so that copies of one sample are
calls of their own; where it has a prompt or an answer, or may have one, the fuzzer's marker stands there.
"""

import contextlib
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
from mutated_lines import PROMPT, Tree

SAMPLES = Path(__file__).parent.parent / "raw_logs"

SELF = "=self="
"""Stands for a name that each copy of a record has for itself."""

JOB_TIME = "2026-10-05T14:00:00Z"

_TURNS = [{"role": "user", "content": f"{PROMPT} " * 3}]
_ANSWER = [{"type": "text", "text": f"{PROMPT} said"}]
_IDS = frozenset(
    {
        "requestId",
        "recordId",
        "id",
        "request_id",
        "traceId",
        "spanId",
        "parentSpanId",
        "correlationId",
        "custom_id",
        "responseId",
        "call",
    }
)


_DIMENSIONS = frozenset({"results"})
"""Texts of a result are dimensions, whatever they are called: they name it, and a page of usage has no prompts."""


@dataclass(frozen=True)
class Fuzzed:
    """A format with what it is fuzzed on.

    Attributes:
        samples: Its files below ``raw_logs``; none where the fuzzer has a record of its own.
        key: Of an object, with a place for a name.
        prompts: Path in a record, and what stands there: a prompt, or an answer.
        labels: Keys below which users write what they like, which is stored as tags.
        settings: Of the source, beside format and uri.
        page: How records stand in a document that is an object, before and after them; None where each is a line.
        one_each: Whether a line is one record; else it is a document that may hold any number.
    """

    samples: str
    key: str
    prompts: dict[str, Any]
    labels: frozenset[str] = frozenset()
    settings: dict[str, Any] = field(default_factory=dict)
    page: tuple[bytes, bytes] | None = None
    one_each: bool = True


_MAPPED = {
    "event_time": {"path": "$.at", "format": "epoch_ms"},
    "request_id": "$.call",
    "provider": "$.route.provider",
    "service": {"value": "A gateway"},
    "region_scope": "$.route.scope",
    "raw_model": "$.route.models[0]",
    "operation": "$.op",
    "principal": '$."x-principal"',
    "team": "$.labels.team",
    "user_id": "$.labels.user",
    "tags": "$.labels",
    "stream": {"path": "$.mode", "values": {"stream": True, "oneshot": False}},
    "batch": "$.batch",
    "gateway_cache_hit": "$.hit",
    "status": "$.code",
    "error_code": "$.error",
    "request_count": "$.calls",
    "input_tokens": {"path": "$.usage.in", "unit": "k"},
    "cache_read_tokens": "$.usage.read",
    "cache_write_1h_tokens": "$.usage.written",
    "output_tokens": "$.usage.out",
    "reasoning_tokens": "$.usage.thought",
    "input_audio_tokens": "$.usage.audio",
    "tool_calls": "$.tools[*].name",
    "web_searches": "$.searches",
    "latency_ms": {"path": "$.took", "unit": "s"},
    "first_token_ms": {"path": "$.first", "unit": "ns"},
    "finish_reason": "$.body.finish",
    "session_id": "$.session",
    "reported_cost": {"path": "$.cost", "unit": "cents"},
    "saved_cache_cost": {"path": "$.saved", "unit": "microdollars"},
    "usage_quality": "$.quality",
    "tokens": "inclusive",
    "reasoning": "excluded",
    "absent": ["-", "REDACTED"],
    "embedded": ["$.body", "$.labels"],
    "prompt": {"system": "$.body.system", "messages": "$.body.messages", "tools": "$.body.tools"},
    "not_usage_without": ["provider"],
}

FUZZED = {
    "bedrock": Fuzzed(
        "bedrock/AWSLogs/**/14/2026*.gz",
        "AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/10/05/14/{}.json",
        {"input.inputBodyJson.messages": _TURNS, "output.outputBodyJson.content": _ANSWER},
        labels=frozenset({"requestMetadata"}),
    ),
    "bedrock_batch": Fuzzed(
        "bedrock/batch-output/q1w2e3r4t5y6/records.jsonl.out",
        "job/{}.jsonl.out",
        {"modelInput.messages": _TURNS, "modelOutput.content": _ANSWER},
    ),
    "litellm": Fuzzed(
        "litellm/batched/**/*.jsonl",
        "2026-10-05/batch_14-00-00_{}.jsonl",
        {"messages": _TURNS, "response.choices": [{"message": {"content": PROMPT}, "finish_reason": "stop"}]},
        labels=frozenset({"request_tags"}),
    ),
    "otel": Fuzzed("otel/**/traces*", "year=2026/month=10/day=05/hour=14/minute=05/traces_{}.json", {}, one_each=False),
    "openai": Fuzzed(
        "openai/*/dt=*/**/*.jsonl",
        "dt=2026-10-05/{}.jsonl",
        {"instructions": PROMPT, "output": [{"type": "message", "content": _ANSWER}]},
        labels=frozenset({"metadata"}),
    ),
    "openai_batch": Fuzzed(
        "openai/batches/batch_abc123/output.jsonl",
        "batch_1/{}.jsonl",
        {"response.body.choices": [{"message": {"content": PROMPT}, "finish_reason": "stop"}]},
        labels=frozenset({"metadata"}),
    ),
    "openai_usage": Fuzzed(
        "openai/usage/completions/2026-10-05.json",
        "2026-10-05-{}.json",
        {},
        labels=_DIMENSIONS,
        page=(b'{"object":"page","data":[{"object":"bucket","start_time":1791158400,"end_time":1791244800,"results":[',
              b']}],"has_more":false,"next_page":null}'),
    ),
    "anthropic": Fuzzed(
        "anthropic/*/dt=*/*.jsonl",
        "dt=2026-10-05/{}.jsonl",
        {"request": {"model": "claude-opus-4-5", "system": PROMPT, "messages": _TURNS}},
    ),
    "anthropic_batch": Fuzzed(
        "anthropic/batches/*/*.jsonl", "msgbatch_1/{}.jsonl", {"result.message.content": _ANSWER}
    ),
    "anthropic_usage": Fuzzed(
        "anthropic/usage_report/messages/2026-10-05.json",
        "2026-10-05-{}.json",
        {},
        labels=_DIMENSIONS,
        page=(
            b'{"data":[{"starting_at":"2026-10-05T00:00:00Z","ending_at":"2026-10-06T00:00:00Z","results":[',
            b"]}]}",
        ),
    ),
    "vertex": Fuzzed(
        "vertex/request_response_logging/*/*",
        "dt=2026-10-05/{}.json",
        {"full_request.contents": [{"role": "user", "parts": [{"text": PROMPT}]}]},
        labels=frozenset({"labels"}),
    ),
    "vertex_batch": Fuzzed(
        "vertex/batch/*/*",
        "prediction-model-2026-10-05T14:10:00.000000Z/{}.jsonl",
        {"request.contents": [{"role": "user", "parts": [{"text": PROMPT}]}]},
        labels=frozenset({"labels"}),
    ),
    "azure_apim": Fuzzed(
        "azure/insights-logs-gatewayllmlogs/**/PT1H.json",
        "resourceId=/SUBSCRIPTIONS/{}/y=2026/m=10/d=05/h=14/m=00/PT1H.json",
        {"properties.requestMessages": json.dumps(_TURNS), "properties.responseMessages": json.dumps(_ANSWER)},
    ),
    "langfuse": Fuzzed(
        "langfuse/**/observations_v2/*",
        "p1/observations_v2/2026-10-05T15-00-00-{}.jsonl",
        {"input": json.dumps(_TURNS), "output": PROMPT},
        labels=frozenset({"tags"}),
    ),
    "cloudflare": Fuzzed(
        "cloudflare/logs_api/*/*",
        "2026-10-05-{}.json",
        {"request": {"messages": _TURNS}, "response": PROMPT},
        labels=frozenset({"metadata"}),
        page=(b'{"success":true,"result":[', b'],"result_info":{"page":1}}'),
    ),
    "record": Fuzzed("record/jsonl/*/*", "date=2026-10-05/{}.jsonl", {"prompt": PROMPT}, labels=frozenset({"tags"})),
    "mapped": Fuzzed(
        "",
        "date=2026-10-05/{}.jsonl",
        {"body.messages": _TURNS, "body.system": PROMPT},
        labels=frozenset({"labels"}),
        settings={"fields": _MAPPED},
    ),
}  # fmt: skip

_OF_A_GATEWAY = {
    "at": 1791208800000, "call": "c", "route": {"provider": "openai", "scope": "global", "models": ["gpt-4o", "o3"]},
    "op": "chat", "x-principal": "arn:aws:sts::1:assumed-role/r/ana", "labels": '{"team":"search","user":"ana"}',
    "mode": "stream", "batch": False, "hit": False, "code": 200, "error": "-", "calls": 1,
    "usage": {"in": "1.5", "read": 100, "written": 20, "out": 70, "thought": 30, "audio": 5},
    "tools": [{"name": "f"}, {"name": "g"}], "searches": 2, "took": 1.25, "first": "250000000", "session": "s1",
    "cost": "0.26", "saved": 1, "quality": "reported",
    "body": {"finish": "stop", "tools": [], "system": "", "messages": []},
}  # fmt: skip


ARRAYS = replace(FUZZED["langfuse"], key="p1/observations_v2/2026-10-05T15-00-00-{}.json", page=(b"[", b"]"))
"""Langfuse's export as JSON arrays."""

TABLES = {
    name: replace(FUZZED[name], key=FUZZED[name].key.replace(".jsonl", ".csv"))
    for name in ("record", "langfuse", "mapped")
}


def records_of(fuzzed: Fuzzed) -> list[bytes]:
    """The sample records, each as one line of JSON."""
    trees = [_named(tree) for tree in (_sampled(fuzzed) if fuzzed.samples else [_OF_A_GATEWAY])]
    for tree in trees:
        for path, prompt in fuzzed.prompts.items():
            _put(tree, path.split("."), prompt)
        if "resourceSpans" in tree:
            _put_in_spans(tree)
    return [msgspec.json.encode(tree) for tree in trees]


def rows_of(fuzzed: Fuzzed) -> list[dict[str, str]]:
    """The sample records as rows of one table: a cell a member, as JSON where it is no text."""
    trees = [msgspec.json.decode(record) for record in records_of(fuzzed)]
    names = dict.fromkeys(name for tree in trees for name in tree)
    return [{name: _cell(tree.get(name)) for name in names} for tree in trees]


def _cell(value: Tree) -> str:
    return value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()


def _sampled(fuzzed: Fuzzed) -> Iterator[Tree]:
    for file in sorted(SAMPLES.glob(fuzzed.samples)):
        body = file.read_bytes()
        body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        if fuzzed.page and file.suffix == ".json":
            page = msgspec.json.decode(body)
            yield from page.get("result") or (result for bucket in page["data"] for result in bucket["results"])
            continue
        for line in body.splitlines():
            with contextlib.suppress(msgspec.DecodeError):  # some samples are cut off
                tree = msgspec.json.decode(line)
                if isinstance(tree, dict):
                    yield tree


def _named(tree: Tree) -> Tree:
    """The tree with ``SELF`` appended to what names its record."""
    if isinstance(tree, dict):
        if tree.get("key") == "gen_ai.response.id":
            return tree | {"value": {"stringValue": tree["value"]["stringValue"] + SELF}}
        names = _IDS | {"model"} if "num_model_requests" in tree or "uncached_input_tokens" in tree else _IDS
        return {k: v + SELF if k in names and v and isinstance(v, str) else _named(v) for k, v in tree.items()}
    return [_named(element) for element in tree] if isinstance(tree, list) else tree


def _put(tree: Tree, path: list[str], value: Tree) -> None:
    """Put a value into a tree, where what leads to it is absent or an object."""
    *outer, last = path
    for step in outer:
        tree = tree.setdefault(step, {})
        if not isinstance(tree, dict):
            return
    tree[last] = value


def _put_in_spans(document: Tree) -> None:
    said = {"key": "gen_ai.input.messages", "value": {"stringValue": json.dumps(_TURNS)}}
    answered = {"key": "gen_ai.output.messages", "value": {"stringValue": json.dumps(_ANSWER)}}
    for of_resource in document["resourceSpans"]:
        for scope in of_resource["scopeSpans"]:
            for span in scope["spans"]:
                span.setdefault("attributes", []).append(said)
                span["events"] = [{"name": "gen_ai.choice", "attributes": [answered]}]
