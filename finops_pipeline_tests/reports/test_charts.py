import dataclasses
import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal

import polars as pl
import pytest

from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports.charts import day_chart
from finops_pipeline.schemas import TOTAL

StatementOf = Callable[..., Statement]


@pytest.fixture
def with_days(statement_of: StatementOf) -> Callable[..., Statement]:
    def build(costs: Sequence[str | None], **lacks: object) -> Statement:
        amounts = [None if cost is None else Decimal(cost) for cost in costs]
        days = [dt.date(2026, 10, n + 1) for n in range(len(costs))]
        frame = pl.DataFrame({"date": days, "cost": amounts}, schema={"date": pl.Date, "cost": TOTAL})
        return dataclasses.replace(statement_of(lacks=lacks), days=frame)

    return build


def test_heights_are_in_proportion_and_the_highest_is_labelled(with_days: Callable[..., Statement]) -> None:
    chart = day_chart(with_days(["50", "100", "0"]), 400)
    assert chart is not None
    half, full, none = chart.bars
    assert (half.height * 2, none.height) == (full.height, 0)
    assert {bar.y + bar.height for bar in chart.bars} == {chart.baseline}
    assert chart.highest.text == "2 Oct: 100"
    assert half.title == "Thu 1\N{NO-BREAK SPACE}October: 50.00"


@pytest.mark.parametrize(
    ("top", "labels"),
    [
        ("1890.12", ["500", "1,000", "1,500", "2,000"]),
        ("1000", ["500", "1,000"]),
        ("999", ["500", "1,000"]),
        ("7", ["2", "4", "6", "8"]),
        ("0.31", ["0.1", "0.2", "0.3", "0.4"]),
    ],
)
def test_grid_lines_are_round_numbers_that_reach_over_the_highest(
    with_days: Callable[..., Statement], top: str, labels: list[str]
) -> None:
    chart = day_chart(with_days([top]), 400)
    assert chart is not None
    assert [line.text for line in chart.grid] == labels
    assert chart.grid[-1].y <= chart.bars[0].y


def test_a_missing_day_is_no_bar_of_zero(with_days: Callable[..., Statement]) -> None:
    chart = day_chart(with_days(["1", None]), 400)
    assert chart is not None
    assert (chart.bars[1].state, chart.bars[1].title) == ("missing", "Fri 2\N{NO-BREAK SPACE}October: missing")


@pytest.mark.parametrize("costs", [[], ["0", "0"], [None, None], ["-1", None]])
def test_without_any_cost_there_is_no_chart(with_days: Callable[..., Statement], costs: list[str | None]) -> None:
    assert day_chart(with_days(costs), 400) is None


def test_everything_stands_inside_the_chart(october: Statement) -> None:
    for width in (752, 358):
        chart = day_chart(october, width)
        assert chart is not None
        assert all(bar.x >= 0 and bar.x + bar.width <= chart.plot_width and bar.y > 0 for bar in chart.bars)
        assert [mark.text for mark in chart.days] == ["1", "8", "15", "22", "29"]
        assert 0 < chart.highest.x < chart.plot_width


@pytest.mark.parametrize(
    ("lacks", "words"),
    [
        ({"partial_days": ((dt.date(2026, 10, 2), ("gateway",)),)}, "a source is missing"),
        ({"stale_days": (dt.date(2026, 10, 2),)}, "out of date"),
        ({"unfinished_days": (dt.date(2026, 10, 2),)}, "the day was not over"),
    ],
)
def test_a_day_that_lacks_something_is_marked_and_says_what(
    with_days: Callable[..., Statement], lacks: dict[str, object], words: str
) -> None:
    chart = day_chart(with_days(["1", "2"], **lacks), 400)
    assert chart is not None
    assert [bar.state for bar in chart.bars] == ["known", "partial"]
    assert chart.bars[1].title == f"Fri 2\N{NO-BREAK SPACE}October: 2.00, {words}"
    assert chart.highest.text.endswith("*")
