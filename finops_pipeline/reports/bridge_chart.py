"""Geometry of the bridge: from the month before, step by step, to this one. Nothing is drawn.

Upright where there is room, lying on its side on a phone. Where the steps are small beside the months, the axis does
not start at zero, and says so.
"""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Literal

from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports import numbers
from finops_pipeline.reports.charts import CHARACTER, Mark, place, round_step

StepKind = Literal["month", "up", "down", "none"]

_PLOT = Decimal(128)
"""Height between the lowest level and the highest."""
_TOP = Decimal(22)
"""Room above the highest bar for its label."""
_BOTTOM = Decimal(26)
_FILL = Decimal("0.74")
"""Part of its slot that an upright bar takes."""
_ROW = Decimal(28)
"""Height of a lying bar's slot."""
_LYING = Decimal(14)
"""Height of a lying bar."""
_GAP = Decimal(10)
"""Between a lying bar's plot and the texts beside it."""
_LEAST = Decimal(1)
"""A step of nothing is still a line."""
_CUT_BELOW = Decimal("0.5")
"""The axis is cut where all levels lie closer together than this part of the highest."""


@dataclass(frozen=True)
class Step:
    """A month or a step between the two. ``title`` says it exactly."""

    x: Decimal
    y: Decimal
    width: Decimal
    height: Decimal
    kind: StepKind
    amount: Mark
    name: Mark
    title: str


@dataclass(frozen=True)
class Line:
    """From one place to another."""

    x1: Decimal
    y1: Decimal
    x2: Decimal
    y2: Decimal


@dataclass(frozen=True)
class BridgeChart:
    """``joins`` lead from each level to the next bar. ``starts_at``: where the axis starts; None: at zero."""

    width: Decimal
    height: Decimal
    steps: tuple[Step, ...]
    joins: tuple[Line, ...]
    base: Line
    starts_at: str | None
    upright: bool


@dataclass(frozen=True)
class _Span:
    """What a bar covers on the axis, and the level after it."""

    name: str
    low: Decimal
    high: Decimal
    level: Decimal
    kind: StepKind
    text: str
    title: str


def bridge_chart(statement: Statement, width: int, *, upright: bool) -> BridgeChart | None:
    """Why the month came to another amount, on ``width`` pixels; None where that is unknown."""
    if statement.previous is None or not statement.bridge:
        return None
    cut = _cut(_levels(statement))
    start, step = cut or (Decimal(0), Decimal(1))
    lay_out = _upright if upright else _lying
    return lay_out(_spans(statement, start), Decimal(width), numbers.chart_money(start, step) if cut else None)


def _levels(statement: Statement) -> list[Decimal]:
    """The month before, the amount after each step, and the month; they are equal but for the steps' sum."""
    if statement.previous is None:
        return []
    levels = [statement.previous.total]
    for step in statement.bridge:
        levels.append(levels[-1] + step.amount)
    return [*levels, statement.total]


def _cut(levels: list[Decimal]) -> tuple[Decimal, Decimal] | None:
    """Where the axis starts so that the steps can be seen, and its round step: well below all levels. None: at zero."""
    low, high = min(levels), max(levels)
    spread = high - low
    if low <= 0 or not spread or spread >= _CUT_BELOW * high:
        return None
    step = round_step(spread / 4)
    start = ((low - spread / 2) / step).to_integral_value(ROUND_FLOOR) * step
    return (start, step) if start > 0 else None


def _spans(statement: Statement, floor: Decimal) -> list[_Span]:
    months = (statement.previous.month if statement.previous else "", statement.month)
    levels = _levels(statement)
    scale = round_step(max(map(abs, levels)) / 100) if any(levels) else Decimal(1)
    first, *middle, last = levels

    def month(name: str, level: Decimal) -> _Span:
        shown = numbers.chart_money(level, scale)
        low, high = sorted((floor, level))
        return _Span(name, low, high, level, "month", shown, f"{name}: {numbers.money(level, statement.exponent)}")

    spans = [month(numbers.month_name(months[0]), first)]
    for step, before, after in zip(statement.bridge, levels, middle, strict=False):
        low, high = sorted((before, after))
        kind: StepKind = "up" if step.amount > 0 else "down" if step.amount < 0 else "none"
        shown = numbers.chart_change(step.amount, scale)
        title = f"{step.name}: {numbers.change(step.amount, statement.exponent)}"
        spans.append(_Span(step.name, low, high, after, kind, shown, title))
    return [*spans, month(numbers.month_name(months[1]), last)]


def _upright(spans: list[_Span], width: Decimal, starts_at: str | None) -> BridgeChart:
    bottom, top = min(span.low for span in spans), max(span.high for span in spans)
    scale = _PLOT / (top - bottom) if top > bottom else Decimal(0)
    bar = width / len(spans) * _FILL
    pace = (width - bar) / (len(spans) - 1)
    foot = _TOP + _PLOT

    def height_of(level: Decimal) -> Decimal:
        return foot - (level - bottom) * scale

    steps = []
    for n, span in enumerate(spans):
        x, y = n * pace, height_of(span.high)
        height = max(height_of(span.low) - y, _LEAST)
        middle = place(x + bar / 2)
        steps.append(
            Step(
                place(x),
                place(y),
                place(bar),
                place(height),
                span.kind,
                Mark(middle, place(y - 7), span.text),
                Mark(middle, place(foot + 19), span.name),
                span.title,
            )
        )
    joins = tuple(
        Line(step.x + step.width, level, following.x, level)
        for step, following, level in zip(steps, steps[1:], (place(height_of(s.level)) for s in spans), strict=False)
    )
    zero = place(height_of(max(bottom, Decimal(0))))
    base = Line(Decimal(0), zero, width, zero)
    return BridgeChart(width, foot + _BOTTOM, tuple(steps), joins, base, starts_at, upright=True)


def _lying(spans: list[_Span], width: Decimal, starts_at: str | None) -> BridgeChart:
    bottom, top = min(span.low for span in spans), max(span.high for span in spans)
    left = max(len(span.name) for span in spans) * CHARACTER + _GAP
    right = width - max(len(span.text) for span in spans) * CHARACTER - _GAP
    scale = (right - left) / (top - bottom) if top > bottom else Decimal(0)

    def along(level: Decimal) -> Decimal:
        return left + (level - bottom) * scale

    steps = []
    for n, span in enumerate(spans):
        x, y = along(span.low), n * _ROW + (_ROW - _LYING) / 2
        middle = place(y + _LYING / 2)
        steps.append(
            Step(
                place(x),
                place(y),
                place(max(along(span.high) - x, _LEAST)),
                _LYING,
                span.kind,
                Mark(width, middle, span.text),
                Mark(Decimal(0), middle, span.name),
                span.title,
            )
        )
    joins = tuple(
        Line(level, step.y + step.height, level, following.y)
        for step, following, level in zip(steps, steps[1:], (place(along(s.level)) for s in spans), strict=False)
    )
    zero = place(along(max(bottom, Decimal(0))))
    base = Line(zero, Decimal(0), zero, _ROW * len(spans))
    return BridgeChart(width, _ROW * len(spans), tuple(steps), joins, base, starts_at, upright=False)
