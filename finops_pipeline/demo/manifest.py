"""What the demo's log writers put into their objects, counted while they wrote it and never read back.

The pipeline's results can be held against these totals: they owe nothing to its code.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

import msgspec

from finops_pipeline.demo.company import Source
from finops_pipeline.demo.traffic import Call

MANIFEST_KEY = "demo-manifest.json"
"""Beside the sources' folders, so that no source sees it."""

MANIFEST_VERSION = 3
"""Raise it whenever the sample logs change: older ones are then written anew."""

TOKEN_CLASSES = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
)

Dimension = Literal["source", "day", "team", "project", "model"]


class Totals(msgspec.Struct):
    """Unique calls, each told once however often it was delivered. Tokens of disjoint classes.

    ``cost_nano_usd`` is what the calls cost by the company's own price list, in billionths of a US dollar. Failed
    calls, those that the gateway answered itself and those of the model on no list cost nothing.
    """

    calls: int = 0
    failed_calls: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0

    @property
    def tokens(self) -> int:
        return sum(getattr(self, name) for name in TOKEN_CLASSES)

    def __iadd__(self, other: "Totals") -> "Totals":
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


class Cell(msgspec.Struct):
    """Totals of one source, UTC day, team, project and model, each as the log names it; None where it names none."""

    source: Source
    day: dt.date
    team: str | None
    project: str | None
    model: str
    totals: Totals


class Delivery(msgspec.Struct):
    """What one source's objects hold. ``records`` = unique calls + duplicates + broken + not_usage.

    Attributes:
        objects: Objects under the source's prefix, zero-byte and offloaded ones included.
        zero_byte_objects: Markers that a provider leaves when it checks its permission to write.
        offloaded_bodies: Objects that hold a request's body only, which its record points to.
        records: Lines, rows or documents in the other objects, header rows not counted.
        calls: Unique calls.
        gateway_cache_hits: Part of ``calls``: answered by the gateway, so no token reached a provider.
        duplicates: Further deliveries of a call, identical or nearly so.
        broken: Records that cannot be read: cut off, garbage, impossible values.
        not_usage: Records that are no model calls.
        strays: Part of ``calls``: their key lies where the run of their own day does not look.
        late_within_grace: Part of ``calls``: their key lies on the next day, at most two hours after midnight.
        reported_nano_usd: Costs that the log itself reports, in billionths of a US dollar.
    """

    objects: int = 0
    bytes: int = 0
    zero_byte_objects: int = 0
    offloaded_bodies: int = 0
    records: int = 0
    calls: int = 0
    gateway_cache_hits: int = 0
    duplicates: int = 0
    broken: int = 0
    not_usage: int = 0
    strays: int = 0
    late_within_grace: int = 0
    reported_nano_usd: int = 0


class Manifest(msgspec.Struct):
    """Everything that is known of the sample logs. ``complete`` is false while they are being written."""

    version: int
    scale: float
    complete: bool
    first_day: dt.date
    last_day: dt.date
    unpriced_model: str
    deliveries: dict[Source, Delivery] = {}
    cells: list[Cell] = []

    def totals_by(self, *dimensions: Dimension) -> dict[tuple[object, ...], Totals]:
        """Totals by any of the cells' dimensions; with none of them, one entry under the empty tuple."""
        sums: defaultdict[tuple[object, ...], Totals] = defaultdict(Totals)
        for cell in self.cells:
            sums[tuple(getattr(cell, name) for name in dimensions)] += cell.totals
        return dict(sums)

    @property
    def calls(self) -> int:
        return sum(delivery.calls for delivery in self.deliveries.values())

    @property
    def objects(self) -> int:
        return sum(delivery.objects for delivery in self.deliveries.values())

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Raises ValueError where the text is no manifest of any version."""
        return msgspec.json.decode(text, type=cls)


class Tally:
    """Counts what the writers of one source do, as they do it."""

    def __init__(self, source: Source) -> None:
        self.source: Source = source
        self.delivery = Delivery()
        self._cells: defaultdict[tuple[dt.date, str | None, str | None, str], Totals] = defaultdict(Totals)

    def call(self, call: Call, *, reported_nano_usd: int = 0) -> None:
        """A call's first delivery. A gateway's cache hit counts as a call without tokens: none reached a provider."""
        hit, workload = call.gateway_cache_hit, call.workload
        tokens, cost = ((0, 0, 0, 0, 0), 0) if hit else (call.tokens, call.cost_nano_usd)
        cell = (call.day, workload.team, workload.project, call.model.raw)
        self._cells[cell] += Totals(1, int(bool(call.error)), *tokens, cost)
        self.delivery.calls += 1
        self.delivery.records += 1
        self.delivery.gateway_cache_hits += hit
        self.delivery.reported_nano_usd += reported_nano_usd

    def arrival(self, call: Call, key_day: dt.date, key_hour: int | None, grace_hours: int = 2) -> None:
        """Where a call's first delivery came to lie; ``key_hour`` is None where keys carry a date only."""
        if key_day == call.day:
            return
        if key_hour is not None and key_day == call.day + dt.timedelta(1) and key_hour < grace_hours:
            self.delivery.late_within_grace += 1
        else:
            self.delivery.strays += 1

    def duplicate(self) -> None:
        self.delivery.duplicates += 1
        self.delivery.records += 1

    def broken(self) -> None:
        self.delivery.broken += 1
        self.delivery.records += 1

    def not_usage(self) -> None:
        self.delivery.not_usage += 1
        self.delivery.records += 1

    def stored(self, body: bytes) -> bytes:
        """An object, as it is handed over; returns its body."""
        self.delivery.objects += 1
        self.delivery.bytes += len(body)
        self.delivery.zero_byte_objects += not body
        return body

    def cells(self) -> Iterable[Cell]:
        for (day, team, project, model), totals in sorted(self._cells.items(), key=lambda item: str(item[0])):
            yield Cell(self.source, day, team, project, model, totals)
