"""Calls as Amazon Bedrock model invocation logs: gzip JSON lines, an object an hour and region.

Layout and members as Amazon documents and writes them. Bodies are short, since the demo writes its logs on your disk.
"""

import datetime as dt
import gzip
import hashlib
from collections import defaultdict
from collections.abc import Iterator

import msgspec

from finops_pipeline.demo.manifest import Tally
from finops_pipeline.demo.oddities import GARBAGE, Every
from finops_pipeline.demo.traffic import DAY_MS, FIRST_DAY, HOUR_MS, LAST_DAY, Call, calls_of, midnight_ms

ACCOUNT = "123456789012"
ROOT = f"AWSLogs/{ACCOUNT}/BedrockModelInvocationLogs"
MARKER = "amazon-bedrock-logs-permission-check"
REGIONS = ("us-east-1", "eu-west-1")

OPERATIONS = {
    "converse": "Converse",
    "converse_stream": "ConverseStream",
    "invoke": "InvokeModel",
    "invoke_stream": "InvokeModelWithResponseStream",
    "embed": "InvokeModel",
}

_STRAY_DAYS_MAX = 2
"""Strays arrive at most that many days late, and within the demo's days: a later run would have to look for others."""

_GZIP_LEVEL = 1

_Hour = tuple[str, int]
"""Region and the delivery's hour, counted from the epoch."""


class BedrockLogs:
    """Writes the days in turn; calls that are delivered late wait here for their hour."""

    prefix = "bedrock"

    def __init__(self, scale: float) -> None:
        self.tally = Tally("bedrock")
        self._scale = scale
        self._pending: defaultdict[_Hour, list[bytes]] = defaultdict(list)
        self._copy, self._near_copy = Every(480, 40), Every(900, 90)
        self._torn, self._garbage = Every(4_500, 120), Every(7_000, 200)
        self._stray, self._after_midnight = Every(40_000, 150), Every(60, 5)
        self._offloaded = Every(700, 10)
        self._garbage_lines = 0

    def day(self, day: dt.date) -> Iterator[tuple[str, bytes]]:
        """Keys below the prefix, and bodies, of the objects that are delivered up to the end of a UTC day.

        The last day also has what is delivered in the hours after it.
        """
        if day == FIRST_DAY:
            yield f"{ROOT}/{MARKER}", self.tally.stored(b"")
            for region in REGIONS:
                yield f"{ROOT}/{region}/{day:%Y/%m/%d}/00/{MARKER}", self.tally.stored(b"")
        for call in calls_of("bedrock", day, self._scale):
            yield from self._deliver(call)
        end = (midnight_ms(day) + DAY_MS) // HOUR_MS if day < LAST_DAY else None
        for region, hour in sorted(self._pending):
            if end is None or hour < end:
                lines = self._pending.pop((region, hour))
                body = gzip.compress(b"\n".join(lines), compresslevel=_GZIP_LEVEL, mtime=0)
                yield _key(region, hour), self.tally.stored(body)

    def _deliver(self, call: Call) -> Iterator[tuple[str, bytes]]:
        """Put a call's line, and whatever goes wrong with it, into the hour of its delivery."""
        tally, region = self.tally, call.workload.region
        hour = self._delivery_hour(call)
        record = _record(call)
        if call.workload.name == "contract-review" and not call.error and self._offloaded():
            key = f"{ROOT}/{region}/{_instant(hour):%Y/%m/%d/%H}/data/{call.request_id}_input.json.gz"
            request = record["input"]
            assert isinstance(request, dict)
            body = gzip.compress(msgspec.json.encode(request.pop("inputBodyJson")), mtime=0)
            request["inputBodyS3Path"] = f"s3://acme-logs/{self.prefix}/{key}"
            tally.delivery.offloaded_bodies += 1
            yield key, tally.stored(body)
        line = msgspec.json.encode(record)
        lines = self._pending[region, hour]
        if self._torn():  # a write that broke off, and was made again
            lines.append(line[: len(line) * 2 // 3])
            tally.broken()
        lines.append(line)
        tally.call(call)
        tally.arrival(call, _instant(hour).date(), _instant(hour).hour)
        if _instant(hour).date() == call.day:
            self._deliver_again(call, record, line, hour)
        if self._garbage():
            lines.append(GARBAGE[self._garbage_lines % len(GARBAGE)])
            self._garbage_lines += 1
            tally.broken()

    def _deliver_again(self, call: Call, record: dict[str, object], line: bytes, hour: int) -> None:
        if self._copy():
            again = hour if _instant(hour).hour == 23 else hour + 1
            self._pending[call.workload.region, again].append(line)
            self.tally.duplicate()
        request = record.get("input")
        if isinstance(request, dict) and self._near_copy():  # the body was lost on the way
            bare = {name: value for name, value in request.items() if not name.startswith("inputBody")}
            self._pending[call.workload.region, hour].append(msgspec.json.encode({**record, "input": bare}))
            self.tally.duplicate()

    def _delivery_hour(self, call: Call) -> int:
        lag_ms = 20_000 + call.at_ms % 300_000
        if call.at_ms % DAY_MS >= 22 * HOUR_MS and self._after_midnight():
            lag_ms = 2 * HOUR_MS
        elif (LAST_DAY - call.day).days >= _STRAY_DAYS_MAX and self._stray():
            lag_ms = 26 * HOUR_MS + call.at_ms % (20 * HOUR_MS)
        return (call.at_ms + lag_ms) // HOUR_MS


def _record(call: Call) -> dict[str, object]:
    w = call.workload
    failed = bool(call.error)
    record: dict[str, object] = {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": f"{dt.datetime.fromtimestamp(call.at_ms // 1000, dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "accountId": ACCOUNT,
        "region": w.region,
        "requestId": call.request_id,
        "operation": OPERATIONS[w.api],
        "modelId": call.model.raw,
        "identity": {"arn": _caller(call)},
    }
    if w.team is not None:
        record["requestMetadata"] = {"team": w.team, "project": w.project, "environment": w.environment}
    if failed:
        record["errorCode"] = call.error
        return record
    asked: dict[str, object] = {
        "inputContentType": "application/json",
        "inputBodyJson": _request(call),
        "inputTokenCount": call.input_tokens,
    }
    answered: dict[str, object] = {"outputContentType": "application/json", "outputBodyJson": _response(call)}
    if w.api != "embed":
        asked["cacheReadInputTokenCount"] = call.cache_read_tokens
        asked["cacheWriteInputTokenCount"] = call.cache_write_5m_tokens + call.cache_write_1h_tokens
        answered["outputTokenCount"] = call.output_tokens
    return {**record, "input": asked, "output": answered}


def _request(call: Call) -> dict[str, object]:
    w = call.workload
    if w.api == "embed":
        return {"inputText": call.prompt}
    if w.api in ("invoke", "invoke_stream"):
        messages = [{"role": "user", "content": call.prompt}]
        return {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 16000, "system": w.name, "messages": messages}
    return {
        "messages": [{"role": "user", "content": [{"text": call.prompt}]}],
        "system": [{"text": w.name}],
        "inferenceConfig": {"maxTokens": 16000},
    }


def _response(call: Call) -> object:
    w = call.workload
    if w.api == "embed":
        return {"embedding": [0.1], "inputTextTokenCount": call.input_tokens}
    if w.api == "invoke":
        return {
            "id": f"msg_bdrk_{call.trace_id}",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": "…"}],
            "stop_reason": "end_turn",
            "usage": {**_anthropic_usage(call), "output_tokens": call.output_tokens},
        }
    if w.api == "invoke_stream":
        metrics = {
            "inputTokenCount": call.input_tokens,
            "outputTokenCount": call.output_tokens,
            "invocationLatency": call.latency_ms,
            "firstByteLatency": call.first_token_ms,
            "cacheReadInputTokenCount": call.cache_read_tokens,
            "cacheWriteInputTokenCount": call.cache_write_5m_tokens + call.cache_write_1h_tokens,
        }
        return [
            {"type": "message_start", "message": {"usage": {**_anthropic_usage(call), "output_tokens": 1}}},
            {"type": "message_delta", "usage": {"output_tokens": call.output_tokens}},
            {"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics},
        ]
    usage: dict[str, object] = {
        "inputTokens": call.input_tokens,
        "outputTokens": call.output_tokens,
        "totalTokens": sum(call.tokens),
        "cacheReadInputTokens": call.cache_read_tokens,
        "cacheWriteInputTokens": call.cache_write_5m_tokens + call.cache_write_1h_tokens,
    }
    writes = (("5m", call.cache_write_5m_tokens), ("1h", call.cache_write_1h_tokens))
    if any(tokens for _, tokens in writes):
        usage["cacheDetails"] = [{"inputTokens": tokens, "ttl": ttl} for ttl, tokens in writes if tokens]
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": "…"}]}},
        "stopReason": "end_turn",
        "metrics": {"latencyMs": call.latency_ms},
        "usage": usage,
    }


def _anthropic_usage(call: Call) -> dict[str, object]:
    return {
        "input_tokens": call.input_tokens,
        "cache_creation_input_tokens": call.cache_write_5m_tokens + call.cache_write_1h_tokens,
        "cache_read_input_tokens": call.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": call.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": call.cache_write_1h_tokens,
        },
    }


def _caller(call: Call) -> str:
    w = call.workload
    if w.team is None:
        role = "AWSReservedSSO_Notebooks_0123456789abcdef"
        return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/person-{call.worker}@example.com"
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{w.team}-{w.name}/i-{call.worker:04x}"


def _key(region: str, hour: int) -> str:
    instant = _instant(hour)
    writer = hashlib.sha256(f"{region} {hour}".encode()).hexdigest()[:16]
    return f"{ROOT}/{region}/{instant:%Y/%m/%d/%H}/{instant:%Y%m%dT%H}5930123Z_{writer}.json.gz"


def _instant(hour: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(hour * 3600, dt.UTC)
