"""Sample logs read back by plain json, gzip, csv and Parquet: a count that shares no code with their writers."""

import csv
import datetime as dt
import gzip
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow.parquet as pq

from finops_pipeline.demo.manifest import Manifest

CLASSES = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")


@dataclass
class Seen:
    """One call as one record tells it."""

    request_id: str
    at: dt.datetime
    team: str | None
    project: str | None
    model: str
    failed: bool
    tokens: tuple[int, ...]
    key: str
    raw: dict[str, object]


@dataclass
class Reading:
    """What plain readers find in the objects of one source."""

    objects: dict[str, bytes] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)
    audit_lines: int = 0
    bodies: int = 0
    empty: int = 0

    @property
    def first(self) -> dict[str, Seen]:
        """The first record of each call."""
        calls: dict[str, Seen] = {}
        for record in self.seen:
            calls.setdefault(record.request_id, record)
        return calls


@dataclass
class Sample:
    objects: dict[str, bytes]
    manifest: Manifest
    readings: dict[str, Reading]


def read_back(objects: dict[str, bytes]) -> dict[str, Reading]:
    readings: defaultdict[str, Reading] = defaultdict(Reading)
    for key, body in objects.items():
        source = key.split("/")[0]
        reading = readings[source]
        reading.objects[key] = body
        if not body:
            reading.empty += 1
        elif "/data/" in key:
            reading.bodies += 1
            assert isinstance(json.loads(gzip.decompress(body)), dict)
        else:
            for raw in _RAW[source](key, body):
                record = _parsed(raw)
                call = _CALL[source](record, key) if record is not None else None
                if record is not None and "table_name" in record:
                    reading.audit_lines += 1
                elif call is None:
                    reading.broken.append(raw if isinstance(raw, bytes) else repr(raw).encode())
                else:
                    reading.seen.append(call)
    return readings


def _parsed(raw: bytes | dict[str, object]) -> dict[str, object] | None:
    if isinstance(raw, dict):
        return raw
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _bedrock_lines(key: str, body: bytes) -> Iterator[bytes]:
    assert key.endswith(".json.gz")
    yield from gzip.decompress(body).split(b"\n")


def _bedrock_call(record: dict, key: str) -> Seen | None:
    answered, asked = record.get("output", {}), record.get("input", {})
    body = answered.get("outputBodyJson", {})
    written = asked.get("cacheWriteInputTokenCount", 0)
    if isinstance(body, list):
        split = body[0]["message"]["usage"]["cache_creation"]
        five, hour = split["ephemeral_5m_input_tokens"], split["ephemeral_1h_input_tokens"]
    elif "cache_creation" in body.get("usage", {}):
        split = body["usage"]["cache_creation"]
        five, hour = split["ephemeral_5m_input_tokens"], split["ephemeral_1h_input_tokens"]
    else:
        ttl = Counter({d["ttl"]: d["inputTokens"] for d in body.get("usage", {}).get("cacheDetails", [])})
        five, hour = ttl["5m"], ttl["1h"]
    assert five + hour == written
    labels = record.get("requestMetadata", {})
    tokens = (
        asked.get("inputTokenCount", 0),
        asked.get("cacheReadInputTokenCount", 0),
        five,
        hour,
        answered.get("outputTokenCount", 0),
    )
    at = dt.datetime.fromisoformat(record["timestamp"])
    failed = "errorCode" in record
    return Seen(
        record["requestId"],
        at,
        labels.get("team"),
        labels.get("project"),
        record["modelId"],
        failed,
        tokens,
        key,
        record,
    )


def _litellm_documents(key: str, body: bytes) -> Iterator[bytes]:
    assert key.endswith(".json")
    yield body


def _litellm_call(record: dict, key: str) -> Seen | None:
    if "table_name" in record:
        return None
    usage, owner = record["metadata"]["usage_object"], record["metadata"]
    cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    tokens = (record["prompt_tokens"] - cached, cached, 0, 0, record["completion_tokens"])
    if record["cache_hit"]:
        tokens = (0, 0, 0, 0, 0)
    at = dt.datetime.fromtimestamp(record["startTime"], dt.UTC)
    team, project = owner["user_api_key_team_alias"], owner["user_api_key_project_id"]
    model = record["model"].split("/", 1)[1]
    return Seen(record["id"], at, team, project, model, record["status"] == "failure", tokens, key, record)


def _record_rows(key: str, body: bytes) -> Iterator[bytes | dict[str, object]]:
    if key.endswith(".jsonl"):
        yield from body.removesuffix(b"\n").split(b"\n")
    elif key.endswith(".csv"):
        header, *rows = csv.reader(io.StringIO(body.decode()))
        for row in rows:
            yield dict(zip(header, row, strict=True)) if len(row) == len(header) else ",".join(row).encode()
    else:
        assert key.endswith(".parquet")
        yield from pq.read_table(io.BytesIO(body)).to_pylist()


def _record_call(record: dict, key: str) -> Seen | None:
    try:
        at = record["timestamp"]
        at = at if isinstance(at, dt.datetime) else dt.datetime.fromisoformat(at)
        tokens = tuple(int(record[name]) for name in CLASSES)
    except ValueError:
        return None
    if min(tokens) < 0:
        return None
    team, project = record["team"] or None, record["project"] or None
    failed = record["status"] == "error"
    return Seen(record["request_id"], at, team, project, record["model"], failed, tokens, key, record)


_RAW = {"bedrock": _bedrock_lines, "gateway": _litellm_documents, "internal": _record_rows}
_CALL = {"bedrock": _bedrock_call, "gateway": _litellm_call, "internal": _record_call}


def key_time(key: str) -> tuple[dt.date, int | None]:
    """Date and hour that a key carries, in any of the three layouts."""
    if hour := re.search(r"/(\d{4})/(\d\d)/(\d\d)/(\d\d)/", key):
        year, month, day, at = map(int, hour.groups())
        return dt.date(year, month, day), at
    found = re.search(r"\d{4}-\d\d-\d\d", key)
    assert found
    timed = re.search(r"/time-(\d\d)-", key)
    return dt.date.fromisoformat(found[0]), int(timed[1]) if timed else None
