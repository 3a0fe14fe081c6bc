"""Calls as plain records that services write themselves: one object a day, JSON lines, some days CSV or Parquet."""

import csv
import datetime as dt
import io
from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from finops_pipeline.demo.manifest import Tally
from finops_pipeline.demo.oddities import GARBAGE, Every
from finops_pipeline.demo.traffic import FIRST_DAY, LAST_DAY, Call, calls_of

Record = dict[str, object]

_ENCODER = msgspec.json.Encoder(decimal_format="number")

_SCHEMA = pa.schema(
    [
        ("timestamp", pa.timestamp("ms", "UTC")),
        ("service", pa.string()),
        ("model", pa.string()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("cost", pa.decimal128(18, 9)),
        ("team", pa.string()),
        ("project", pa.string()),
        ("request_id", pa.string()),
        ("environment", pa.string()),
        ("cache_read_tokens", pa.int64()),
        ("cache_write_5m_tokens", pa.int64()),
        ("cache_write_1h_tokens", pa.int64()),
        ("reasoning_tokens", pa.int64()),
        ("latency_ms", pa.int64()),
        ("status", pa.string()),
        ("error_code", pa.string()),
    ]
)

IMPOSSIBLE: tuple[Record, ...] = (
    {"timestamp": "yesterday"},
    {"input_tokens": -5},
    {"input_tokens": "12.5"},
    {"output_tokens": "many"},
)
"""Values that make a record unreadable, in JSON lines and CSV alike."""


class RecordLogs:
    """Writes the days in turn; records that a service flushes late lie in the next day's object."""

    prefix = "internal"

    def __init__(self, scale: float) -> None:
        self.tally = Tally("internal")
        self._scale = scale
        self._late: list[Record] = []
        self._copy, self._near_copy, self._stray = Every(650, 30), Every(1_200, 50), Every(30_000, 25)
        self._impossible, self._garbage = Every(5_200, 60), Every(7_500, 70)
        self._bad_records = self._bad_lines = 0

    def day(self, day: dt.date) -> Iterator[tuple[str, bytes]]:
        """Key below the prefix, and body, of the one object of a UTC day."""
        records, self._late = self._late, []
        broken_at: dict[int, bytes] = {}
        form = _form(day)
        for call in calls_of("internal", day, self._scale):
            record = _record(call)
            reported = record["cost"]
            self.tally.call(call, reported_nano_usd=int(reported * 10**9) if isinstance(reported, Decimal) else 0)
            if day < LAST_DAY and self._stray():
                self._late.append(record)
                self.tally.arrival(call, day + dt.timedelta(1), None)
                continue
            records.append(record)
            if self._copy():
                records.append(record)
                self.tally.duplicate()
            if not call.error and self._near_copy():  # sent again after a timeout, measured anew
                records.append({**record, "latency_ms": call.latency_ms + 250})
                self.tally.duplicate()
            if form != "parquet" and self._impossible():
                wrong = IMPOSSIBLE[self._bad_records % len(IMPOSSIBLE)]
                self._bad_records += 1
                records.append({**record, "request_id": f"{call.request_id}-x", **wrong})
                self.tally.broken()
            if form != "parquet" and self._garbage():
                garbage = GARBAGE[self._bad_lines % len(GARBAGE)] if form == "jsonl" else b"2026-"  # a row cut off
                broken_at[len(records)] = garbage
                self._bad_lines += 1
                self.tally.broken()
        if records:
            body = {"jsonl": _json_lines, "csv": _csv, "parquet": _parquet}[form](records, broken_at)
            yield f"date={day}/part-0.{form}", self.tally.stored(body)


def _form(day: dt.date) -> str:
    return {2: "csv", 4: "parquet"}.get((day - FIRST_DAY).days % 7, "jsonl")


def _record(call: Call) -> Record:
    w = call.workload
    seconds, millis = divmod(call.at_ms, 1000)
    instant = dt.datetime.fromtimestamp(seconds, dt.UTC)
    cost = 0 if call.error else call.cost_nano_usd
    return {
        "timestamp": f"{instant:%Y-%m-%dT%H:%M:%S}.{millis:03d}Z",
        "service": call.model.service,
        "model": call.model.raw,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cost": Decimal(cost).scaleb(-9) if w.reports_cost else None,
        "team": w.team,
        "project": w.project,
        "request_id": call.request_id,
        "environment": w.environment,
        "cache_read_tokens": call.cache_read_tokens,
        "cache_write_5m_tokens": call.cache_write_5m_tokens,
        "cache_write_1h_tokens": call.cache_write_1h_tokens,
        "reasoning_tokens": call.reasoning_tokens,
        "latency_ms": call.latency_ms,
        "status": "error" if call.error else "ok",
        "error_code": call.error or None,
    }


def _json_lines(records: list[Record], broken_at: dict[int, bytes]) -> bytes:
    return _joined([_ENCODER.encode(record) for record in records], broken_at)


def _csv(records: list[Record], broken_at: dict[int, bytes]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, _SCHEMA.names, lineterminator="\n")
    writer.writerows({n: f"{v:f}" if isinstance(v, Decimal) else v for n, v in record.items()} for record in records)
    header = ",".join(_SCHEMA.names).encode()
    return header + b"\n" + _joined(text.getvalue().encode().splitlines(), broken_at)


def _joined(lines: list[bytes], broken_at: dict[int, bytes]) -> bytes:
    """The lines, each ended, with the broken ones put before the line of their number."""
    for i, broken in sorted(broken_at.items(), reverse=True):
        lines.insert(i, broken)
    return b"\n".join(lines) + b"\n"


def _parquet(records: list[Record], _: dict[int, bytes]) -> bytes:
    rows = [{**record, "timestamp": dt.datetime.fromisoformat(str(record["timestamp"]))} for record in records]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()
