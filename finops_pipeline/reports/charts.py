"""Geometry of the chart of days, and what all charts share: where each mark stands and what it says. Nothing is drawn.

Coordinates are decimals with one place, so that the same numbers give the same bytes everywhere. Drawing is the
business of the SVG templates.
"""

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from finops_pipeline.chargeback.completeness import Completeness
from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports import numbers

BarState = Literal["known", "partial", "missing"]
"""``partial``: the day lacks something; its title says what."""

_TOP = Decimal(22)
"""Room above the highest grid line for the label of the highest day."""
_PLOT = Decimal(120)
"""Height between the baseline and the highest grid line."""
_BOTTOM = Decimal(22)
_RIGHT = Decimal(46)
"""Room for the labels of the grid lines."""
_FILL = Decimal("0.76")
"""Part of a day's slot that its bar takes."""
_LABEL_EVERY = 7
"""Days between two labelled ones."""
CHARACTER = Decimal("6.8")
"""Width of a character of a 12 px label, to keep labels inside the chart."""


@dataclass(frozen=True)
class Bar:
    """One day. ``title`` says it in words."""

    x: Decimal
    y: Decimal
    width: Decimal
    height: Decimal
    state: BarState
    title: str

    @property
    def middle(self) -> Decimal:
        return place(self.x + self.width / 2)


@dataclass(frozen=True)
class Mark:
    """A text at a place: of a grid line, of a day, of the highest day."""

    x: Decimal
    y: Decimal
    text: str


@dataclass(frozen=True)
class DayChart:
    """Days as bars; ``grid`` are the labelled lines above the baseline."""

    width: Decimal
    height: Decimal
    plot_width: Decimal
    baseline: Decimal
    bars: tuple[Bar, ...]
    grid: tuple[Mark, ...]
    days: tuple[Mark, ...]
    highest_bar: Bar
    highest: Mark


def day_chart(statement: Statement, width: int) -> DayChart | None:
    """The days of the statement as bars on ``width`` pixels; None where no day has a cost above zero."""
    days: list[tuple[dt.date, Decimal | None]] = [
        (day, None if cost is None else statement.converted(cost)) for day, cost in statement.days.iter_rows()
    ]
    spent = [(cost, day) for day, cost in days if cost is not None and cost > 0]
    if not spent:
        return None
    top, top_day = max(spent, key=lambda pair: pair[0])
    steps = _grid_values(top)
    scale = _PLOT / steps[-1]
    baseline = _TOP + _PLOT
    plot_width = Decimal(width) - _RIGHT
    slot = plot_width / len(days)
    partial = _lacking(statement.completeness)
    bars = tuple(
        _bar(day, cost, n * slot, slot, scale, baseline, partial.get(day), statement.exponent)
        for n, (day, cost) in enumerate(days)
    )
    highest = next(bar for bar, (day, _) in zip(bars, days, strict=True) if day == top_day)
    text = f"{top_day.day} {numbers.MONTHS[top_day.month - 1][:3]}: {numbers.chart_money(top, steps[0])}"
    text += "*" if top_day in partial else ""
    half = len(text) * CHARACTER / 2
    return DayChart(
        width=Decimal(width),
        height=baseline + _BOTTOM,
        plot_width=place(plot_width),
        baseline=baseline,
        bars=bars,
        grid=tuple(
            Mark(place(Decimal(width)), place(baseline - step * scale), numbers.chart_money(step, steps[0]))
            for step in steps
        ),
        days=tuple(
            Mark(place(bar.middle), baseline + 16, str(day.day))
            for bar, (day, _) in zip(bars, days, strict=True)
            if (day.day - 1) % _LABEL_EVERY == 0
        ),
        highest_bar=highest,
        highest=Mark(place(min(max(highest.middle, half), plot_width - half)), place(highest.y - 6), text),
    )


def _lacking(completeness: Completeness) -> dict[dt.date, str]:
    """What is to be said of the days that have a cost and lack something."""
    return {
        **dict.fromkeys(completeness.unfinished_days, "the day was not over"),
        **dict.fromkeys(completeness.stale_days, "out of date"),
        **dict.fromkeys((day for day, _ in completeness.partial_days), "a source is missing"),
    }


def _bar(
    day: dt.date,
    cost: Decimal | None,
    left: Decimal,
    slot: Decimal,
    scale: Decimal,
    baseline: Decimal,
    lacks: str | None,
    exponent: int,
) -> Bar:
    state: BarState = "known" if lacks is None else "partial"
    height = max(cost or Decimal(0), Decimal(0)) * scale
    title = f"{numbers.WEEKDAYS[day.weekday()]} {numbers.day(day)}: "
    if cost is None:
        state, title = "missing", title + "missing"
    else:
        title += numbers.money(cost, exponent) + (f", {lacks}" if lacks else "")
    width = slot * _FILL
    x, y = place(left + (slot - width) / 2), place(baseline - height)
    return Bar(x, y, place(width), place(height), state, title)


def _grid_values(top: Decimal) -> list[Decimal]:
    """Two to five round values, the last at or above ``top``: multiples of 1, 2 or 5 times a power of ten."""
    step = round_step(top / 4)
    lines = int((top / step).to_integral_value(ROUND_CEILING))
    return [step * n for n in range(1, lines + 1)]


def round_step(least: Decimal) -> Decimal:
    """The smallest of 1, 2 or 5 times a power of ten that is no less than ``least``, which is above zero."""
    magnitude = Decimal(10) ** least.adjusted()
    return next(magnitude * n for n in (1, 2, 5, 10) if magnitude * n >= least)


def place(pixels: Decimal) -> Decimal:
    """A coordinate."""
    return pixels.quantize(Decimal("0.1"))
