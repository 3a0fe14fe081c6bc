"""The model calls of a made-up company in September and October 2026: who called what, when, with how many tokens.

This is the truth that the log writers beside this module put into their formats. Everything follows from fixed seeds
through `random.Random.random` and `getrandbits` and plain arithmetic, so that each interpreter on each platform makes
the same calls. What logs do to calls (duplicates, broken lines, late delivery) is the writers' business.
"""

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from finops_pipeline.demo.company import MODELS, WORKLOADS, Hours, Model, Source, Workload

FIRST_DAY = dt.date(2026, 9, 1)
LAST_DAY = dt.date(2026, 10, 31)
DAYS = tuple(FIRST_DAY + dt.timedelta(i) for i in range((LAST_DAY - FIRST_DAY).days + 1))

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
RETRY_MARGIN_MS = 15_000
"""Calls start that long before the end of an hour, so that their retries stay on their day."""

MAX_PROMPT_TOKENS = 190_000
"""Below the 200,000 tokens above which some models cost more: the demo's bill stays easy to check by hand."""

_SEED = "finops-demo-3"

_HOUR_WEIGHTS: dict[Hours, tuple[int, ...]] = {
    "office": (0, 0, 0, 0, 0, 0, 2, 6, 9, 10, 10, 8, 7, 9, 10, 10, 9, 7, 5, 3, 2, 1, 0, 0),
    "service": (4, 3, 3, 3, 3, 4, 5, 6, 8, 9, 10, 10, 10, 11, 12, 12, 12, 11, 10, 9, 8, 7, 6, 5),
    "nightly": (2, 12, 14, 12, 8, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4),
}
_WEEKEND_SHARE: dict[Hours, float] = {"office": 0.1, "service": 0.7, "nightly": 1.0}


@dataclass(slots=True)
class Call:
    """One model call as it happened. Token classes are disjoint; ``output_tokens`` includes ``reasoning_tokens``."""

    workload: Workload
    request_id: str
    trace_id: str
    at_ms: int
    prompt: str
    worker: int
    error: str
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    latency_ms: int = 0
    first_token_ms: int = 0
    gateway_cache_hit: bool = False

    @property
    def model(self) -> Model:
        return MODELS[self.workload.model]

    @property
    def day(self) -> dt.date:
        return FIRST_DAY + dt.timedelta((self.at_ms - midnight_ms(FIRST_DAY)) // DAY_MS)

    @property
    def tokens(self) -> tuple[int, int, int, int, int]:
        """Uncached input, cache read, 5-minute write, 1-hour write, output."""
        return (
            self.input_tokens,
            self.cache_read_tokens,
            self.cache_write_5m_tokens,
            self.cache_write_1h_tokens,
            self.output_tokens,
        )

    @property
    def cost_nano_usd(self) -> int:
        """What the caller's own price list says, in billionths of a US dollar; 0 where the model is on no list."""
        return sum(n * rate for n, rate in zip(self.tokens, self.model.nano_usd_per_token, strict=True))


def midnight_ms(day: dt.date) -> int:
    """The start of a UTC day, in milliseconds since the epoch."""
    return (day.toordinal() - dt.date(1970, 1, 1).toordinal()) * DAY_MS


def calls_of(source: Source, day: dt.date, scale: float) -> list[Call]:
    """The calls of a source on a UTC day in order of time; ``scale`` multiplies their number."""
    calls = [c for w in WORKLOADS if w.source == source for c in _workload_calls(w, day, scale)]
    return sorted(calls, key=lambda call: (call.at_ms, call.request_id))


def _workload_calls(workload: Workload, day: dt.date, scale: float) -> Iterator[Call]:
    rng = Random(f"{_SEED}/{workload.source}/{workload.name}/{day}")  # noqa: S311 - has to be predictable
    weights = _HOUR_WEIGHTS[workload.hours]
    today = workload.calls * scale * _day_share(workload, day)
    for hour, weight in enumerate(weights):
        start = midnight_ms(day) + hour * HOUR_MS
        for _ in range(int(today * weight / sum(weights) + rng.random())):
            at_ms = start + int(rng.random() * (HOUR_MS - RETRY_MARGIN_MS))
            trace = _hex(rng, 64)
            prompt = _prompt(rng, workload)
            worker = int(rng.random() * workload.workers)
            if rng.random() < workload.error_share:
                error = workload.errors[int(rng.random() * len(workload.errors))]
                yield Call(workload, _id(rng), trace, at_ms, prompt, worker, error, latency_ms=80 + at_ms % 400)
                at_ms += 1_000 + int(rng.random() * 8_000)
            yield _answered(rng, Call(workload, _id(rng), trace, at_ms, prompt, worker, ""))


def _answered(rng: Random, call: Call) -> Call:
    """Fill in what a successful call consumed; the same prompt is as long each time, however it is answered."""
    w = call.workload
    repeated = call.prompt in w.prompts
    size = 0.8 + w.prompts.index(call.prompt) / len(w.prompts) if repeated else _spread(rng)
    call.input_tokens = min(int(w.input_tokens * size), MAX_PROMPT_TOKENS - int(1.4 * w.cached_tokens))
    call.output_tokens = int(w.output_tokens * _spread(rng))
    call.reasoning_tokens = int(call.output_tokens * w.reasoning_share)
    if w.cached_tokens:
        prefix = w.cached_tokens if repeated else int(w.cached_tokens * (0.7 + 0.6 * rng.random()))
        if rng.random() < w.cache_hit_share:
            call.cache_read_tokens = prefix
            written = 0 if repeated else int(w.cache_growth * prefix)
        else:
            written = prefix
        if call.model.writes_cache:
            call.cache_write_1h_tokens = written if rng.random() < w.hour_cache_share else 0
            call.cache_write_5m_tokens = written - call.cache_write_1h_tokens
    call.first_token_ms = 300 + int(900 * rng.random())
    call.latency_ms = call.first_token_ms + call.output_tokens * (8 + int(10 * rng.random()))
    call.gateway_cache_hit = w.gateway_cache_share > 0 and rng.random() < w.gateway_cache_share
    return call


def _spread(rng: Random) -> float:
    """A factor with median 1, mean 1.2, between 0.4 and 3.3: token counts are skewed. Exact on every platform, as
    logarithms and exponentials would not be."""
    u = rng.random()
    return 0.4 + 0.85 * u / (1.45 - 1.15 * u)


def _day_share(workload: Workload, day: dt.date) -> float:
    def weight(d: dt.date) -> float:
        trend = 1 + workload.growth * (d - FIRST_DAY).days / len(DAYS)
        return trend * (_WEEKEND_SHARE[workload.hours] if d.weekday() >= 5 else 1.0)

    return weight(day) / math.fsum(map(weight, DAYS))  # sum() rounds differently from Python 3.12 on


def _prompt(rng: Random, workload: Workload) -> str:
    """Most prompts carry a number of their own; ``repeat_share`` come word for word, the first ones most often."""
    u = rng.random()
    prompt = workload.prompts[int(u * u * len(workload.prompts))]
    own = f"{prompt} (case {int(rng.random() * 1_000_000)})"
    return prompt if rng.random() < workload.repeat_share else own


def _hex(rng: Random, bits: int) -> str:
    return f"{rng.getrandbits(bits):0{bits // 4}x}"


def _id(rng: Random) -> str:
    h = _hex(rng, 128)
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
