import dataclasses
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.chargeback.analyses import BridgeStep
from finops_pipeline.chargeback.statement import PreviousMonth, Statement
from finops_pipeline.reports.bridge_chart import BridgeChart, bridge_chart

StatementOf = Callable[..., Statement]


def bridged(statement: Statement, before: str, *steps: str) -> Statement:
    """From ``before`` by ``steps`` to what the statement charges, which has to be their sum."""
    names = ("Volume", "Mix", "Length", "Caching", "Price", "Restated")
    return dataclasses.replace(
        statement,
        previous=PreviousMonth("2026-09", Decimal(before), {}, False),
        bridge=tuple(BridgeStep(name, Decimal(step)) for name, step in zip(names, steps, strict=False)),
    )


@pytest.fixture
def charging(statement_of: StatementOf) -> Callable[[str], Statement]:
    return lambda amount: statement_of([{"team": "a", "cost": Decimal(amount)}])


def drawn(statement: Statement, width: int = 752, *, upright: bool = True) -> BridgeChart:
    chart = bridge_chart(statement, width, upright=upright)
    assert chart is not None
    return chart


def test_steps_lead_from_last_month_to_this_one(charging: Callable[[str], Statement]) -> None:
    chart = drawn(bridged(charging("200"), "100", "150", "-50"))
    assert [step.name.text for step in chart.steps] == ["September", "Volume", "Mix", "October"]
    assert [step.amount.text for step in chart.steps] == ["100", "+150", "−50", "200"]
    assert [step.kind for step in chart.steps] == ["month", "up", "down", "month"]
    assert [step.title for step in chart.steps] == [
        "September: 100.00", "Volume: +150.00", "Mix: −50.00", "October: 200.00",
    ]  # fmt: skip
    september, volume, mix, october = chart.steps
    assert chart.starts_at is None
    assert september.height * 2 == october.height
    assert abs(volume.y + volume.height - september.y) <= Decimal("0.1")
    assert volume.y == mix.y
    assert abs(mix.y + mix.height - october.y) <= Decimal("0.1")


def test_where_the_steps_are_small_the_axis_is_cut_and_says_so(charging: Callable[[str], Statement]) -> None:
    chart = drawn(bridged(charging("48997.07"), "45094.96", "3811.20", "1290.40", "-797.49", "-402.00"))
    # levels 45,095 to 50,196.56: half their spread below the lowest is 42,544, in steps of 2,000
    assert chart.starts_at == "42,000"
    september, volume, *_ = chart.steps
    # heights from the axis's start on: 3,094.96 and 3,811.20
    assert abs(volume.height / september.height - Decimal("3811.20") / Decimal("3094.96")) < Decimal("0.01")


@pytest.mark.parametrize(
    ("before", "now", "steps"),
    [("100", "100", ("0", "0")), ("0", "60", ("60",)), ("-20", "60", ("80",)), ("100", "45", ("-55",))],
)
def test_the_axis_starts_at_zero_where_that_is_possible(
    charging: Callable[[str], Statement], before: str, now: str, steps: tuple[str, ...]
) -> None:
    assert drawn(bridged(charging(now), before, *steps)).starts_at is None


def test_a_month_below_zero_hangs_from_the_axis(charging: Callable[[str], Statement]) -> None:
    chart = drawn(bridged(charging("60"), "-20", "80"))
    september, _, october = chart.steps
    assert september.y == chart.base.y1
    assert october.y + october.height == chart.base.y1


def test_a_step_of_nothing_is_a_line(charging: Callable[[str], Statement]) -> None:
    volume = drawn(bridged(charging("100"), "100", "0")).steps[1]
    assert (volume.kind, volume.height, volume.amount.text) == ("none", 1, "0")


def test_small_amounts_keep_their_decimals(charging: Callable[[str], Statement]) -> None:
    texts = [step.amount.text for step in drawn(bridged(charging("1.25"), "1.00", "0.25")).steps]
    assert texts == ["1.00", "+0.25", "1.25"]


@pytest.mark.parametrize("upright", [True, False])
@given(steps=st.lists(st.integers(-(10**7), 10**7), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_every_bar_stands_inside_the_chart_and_joins_the_next(
    october: Statement, upright: bool, steps: list[int]
) -> None:
    amounts = [Decimal(step) / 100 for step in steps]
    statement = bridged(october, str(october.total - sum(amounts)), *map(str, amounts))
    chart = drawn(statement, 576 if upright else 358, upright=upright)
    tolerance = Decimal("1.2")
    for step in chart.steps:
        assert -tolerance <= step.x <= step.x + step.width <= chart.width + tolerance
        assert -tolerance <= step.y <= step.y + step.height <= chart.height + tolerance
    assert len(chart.joins) == len(chart.steps) - 1


def test_the_same_chart_for_a_phone_lies_on_its_side(october: Statement) -> None:
    chart = drawn(october, 358, upright=False)
    assert [step.name.text for step in chart.steps] == [
        "September", "Volume", "Mix", "Length", "Caching", "Price", "October",
    ]  # fmt: skip
    assert len({step.y for step in chart.steps}) == len(chart.steps)
    assert all(step.name.x == 0 and step.amount.x == chart.width for step in chart.steps)


def test_without_a_month_before_or_steps_there_is_none(charging: Callable[[str], Statement]) -> None:
    statement = charging("1")
    assert bridge_chart(statement, 752, upright=True) is None
    assert bridge_chart(bridged(statement, "1"), 752, upright=True) is None
