"""What a statement says beside its charges, through JSON and back; and a team's part of it, with nothing of others."""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.chargeback.analyses import Action, BridgeStep, BudgetLine, SavingsFound
from finops_pipeline.chargeback.completeness import Completeness
from finops_pipeline.chargeback.encoding import content_digest, decode, encode
from finops_pipeline.chargeback.parts import part_of
from finops_pipeline.chargeback.statement import PreviousMonth, Statement, draft_statement
from finops_pipeline.config.model import Team
from finops_pipeline.days import days_of
from finops_pipeline.schemas import DAILY_COSTS

ZEROS: dict[str, Any] = {column.name: 0 for column in DAILY_COSTS.columns if not column.nullable} | {"source": "s"}
FIRST, SECOND, THIRD = (dt.date(2026, 10, n) for n in (1, 2, 3))


def action(team: str | None, **said: Any) -> Action:
    text = dict.fromkeys(("project", "application", "service", "model", "target"), None)
    money = dict.fromkeys(("cost", "low", "expected", "high", "incremental"), Decimal("1.00"))
    spoken = {"lever": "caching", "evidence": "measured", "assumptions": "none", "action": "cache"}
    return Action(**{"team": team, "requests": 1, **text, **money, **spoken, **said})


def draft(rows: list[dict[str, Any]], **arguments: Any) -> Statement:
    given: dict[str, Any] = {
        "outcomes": {"usage": 3},
        "lines_read": 4,
        "book_versions": ["b1"],
        "previous": None,
        "made_at": dt.datetime(2026, 11, 3, 6, tzinfo=dt.UTC),
        "teams": {},
        "completeness": Completeness(days_of("2026-10"), missing_days=(THIRD,), sources=("bedrock",)),
        **arguments,
    }
    schema = {**DAILY_COSTS.schema, "date": pl.Date}
    costs = pl.LazyFrame([{**ZEROS, "date": FIRST, **row} for row in rows], schema=schema)
    return draft_statement("2026-10", costs, **given)


@pytest.fixture
def month() -> Statement:
    """Search and Support with a budget, an action and last month each; budgets and a step of all."""
    rows = [
        {"team": "Search", "cost": Decimal("70.004"), "requests": 7, "input_tokens": 90, "estimated_tokens": 30},
        {"team": "Search", "date": SECOND, "cost": Decimal("5"), "requests": 1},
        {"team": "Support", "cost": Decimal("30"), "requests": 3, "input_tokens": 10},
        {"team": None, "cost": Decimal("2.5"), "requests": 1},
    ]
    return dataclasses.replace(
        draft(
            rows,
            teams={"Search": Team(owner="Ada", email="ada@example.com"), "Support": Team(owner="Sue")},
            previous=PreviousMonth("2026-09", Decimal(90), {"Search": Decimal(60), "Gone": Decimal(30)}, True, 9),
            budgets=[
                BudgetLine("search", (("team", "Search"),), Decimal(80), Decimal("0.00"), "warning", 2),
                BudgetLine(
                    "ranking", (("team", "Search"), ("project", "ranking")), Decimal("9.5"), Decimal("9.50"), "exceeded"
                ),
                BudgetLine("support", (("team", "Support"),), Decimal(40), Decimal("0.00"), "ok"),
                BudgetLine("aws", (("provider", "aws"),), Decimal(500), Decimal("107.50"), "ok"),
            ],
            bridge=[BridgeStep("Volume", Decimal("20.00")), BridgeStep("Price", Decimal("-2.50"))],
            savings=SavingsFound(
                (action("Search", expected=Decimal("12.34")), action("Support"), action(None)),
                {"Search": Decimal("12.34"), "Support": Decimal("1.00"), None: Decimal("1.00")},
                (action("Search", lever="batching", low=Decimal("-3.00")), action("Support", lever="batching")),
                28,
            ),
            silent_sources=["gateway"],
        ),
        revision=2,
        replaces=Decimal("100.00"),
    )


def test_json_gives_back_all_that_a_statement_says_beside_its_charges(month: Statement) -> None:
    restored = decode(json.loads(json.dumps(encode(month))), revision=2, lines=month.lines)
    for field in dataclasses.fields(Statement):
        have, want = getattr(restored, field.name), getattr(month, field.name)
        assert have.equals(want) if isinstance(want, pl.DataFrame) else have == want, field.name
    assert restored.team_days.schema == month.team_days.schema
    assert [type(line.limit) for line in restored.budgets] == [Decimal] * 4


def test_a_statement_of_an_older_version_says_nothing_beside_its_charges(month: Statement) -> None:
    content = encode(month)
    for name in ("budgets", "bridge", "savings", "team_days", "estimated_tokens", "unreachable", "silent_sources"):
        del content[name]
    assert content["previous"].pop("requests") == 9
    restored = decode(content, revision=1, lines=month.lines)
    assert (restored.budgets, restored.bridge, restored.unreachable, restored.silent_sources) == ((), (), (), ())
    assert (restored.savings, restored.estimated_tokens, restored.team_days.height) == (SavingsFound(), 0, 0)
    assert restored.previous is not None
    assert restored.previous.requests is None


@pytest.mark.parametrize(
    "said",
    [
        {"budgets": ()},
        {"bridge": ()},
        {"savings": SavingsFound()},
        {"unreachable": ()},
        {"estimated_tokens": 0},
    ],
    ids=lambda said: next(iter(said)),
)
def test_what_is_said_beside_the_charges_is_no_reason_for_a_revision(month: Statement, said: dict[str, Any]) -> None:
    assert content_digest(dataclasses.replace(month, **said)) == content_digest(month)


def test_a_part_has_the_teams_own_and_adds_up_to_its_charge(month: Statement) -> None:
    part = part_of(month, "Search", Decimal("71.00"))
    assert (part.only_team, part.total, part.requests, part.revision) == ("Search", Decimal("75.00"), 8, 2)
    assert (part.replaces, part.correction) == (Decimal("71.00"), Decimal("4.00"))
    assert [(total.team, total.owner, total.share) for total in part.team_totals] == [("Search", "Ada", Decimal(1))]
    assert part.previous == PreviousMonth("2026-09", Decimal("60.00"), {"Search": Decimal("60.00")}, True)
    assert part.change == Decimal("15.00")
    assert [(line.budget, line.spent) for line in part.budgets] == [
        ("search", Decimal("75.00")),  # of its own budget, what it is charged
        ("ranking", Decimal("9.50")),
    ]
    assert [each.expected for each in part.savings.actions] == [Decimal("12.34")]
    assert [each.low for each in part.savings.would_cost_more] == [Decimal("-3.00")]
    assert (part.savings.total, part.savings.days) == (Decimal("12.34"), 28)


def test_the_days_of_a_part_are_the_teams_and_unknown_where_they_are_missing(month: Statement) -> None:
    assert part_of(month, "Support").days.rows()[:4] == [
        (FIRST, Decimal("30")),
        (SECOND, Decimal("0")),
        (THIRD, None),
        (dt.date(2026, 10, 4), Decimal("0")),
    ]


def test_what_was_read_and_its_prices_and_why_the_whole_changed_are_the_companys(month: Statement) -> None:
    part = part_of(month, "Search")
    assert (part.outcomes, part.lines_read, part.book_versions, part.bridge) == ({}, 0, (), ())
    assert (part.estimated_tokens, part.unreachable, part.replaces) == (0, (), None)
    assert part.completeness == month.completeness


def test_a_team_of_last_month_has_a_part_of_nothing(month: Statement) -> None:
    part = part_of(month, "Gone")
    assert (str(part.total), part.change) == ("0.00", Decimal("-30.00"))
    new = part_of(month, "Support")
    assert new.previous == PreviousMonth("2026-09", Decimal("0.00"), {}, True)
    assert new.change == Decimal("30.00")


LABELS = ("Search", "a", "team", "<b>", "=1+1", "Ω", '"', "null", "None", "%s", "unallocated", "\u202e")
"""Beginnings of names; a number in brackets makes each one unlike the others, and no part of another."""


@dataclasses.dataclass
class Own:
    """What only one team may see: its names, and the numbers that are its alone."""

    names: set[str] = dataclasses.field(default_factory=set)
    numbers: set[Decimal] = dataclasses.field(default_factory=set)


@st.composite
def statements(draw: st.DrawFn) -> tuple[Statement, dict[str | None, Own]]:
    """A statement whose every name and number tells which team it is of: no number is a sum of others' either."""
    teams = [f"{label}[{n}]" for n, label in enumerate(draw(st.lists(st.sampled_from(LABELS), min_size=2, max_size=5)))]
    own: dict[str | None, Own] = {team: Own({team}) for team in teams} | {None: Own()}
    bits = iter(range(1, 200))

    def number(team: str | None, unit: str = "1009.01") -> Decimal:
        amount = Decimal(unit) * 2 ** next(bits)
        own[team].numbers.add(amount)
        return amount

    def name(team: str | None, what: str) -> str:
        text = f"{what} of ({next(bits)})"
        own[team].names.add(text)
        return text

    def an_action(team: str | None) -> Action:
        texts = {what: name(team, what) for what in ("project", "application", "model", "action", "assumptions")}
        return action(team, expected=number(team), incremental=number(team), requests=int(number(team, "3")), **texts)

    charged = draw(st.lists(st.sampled_from([*teams, None]), min_size=1, max_size=8))
    rows = [
        {
            "team": team,
            "date": draw(st.sampled_from([FIRST, SECOND])),
            "project": name(team, "project"),
            "cost_center": name(team, "cost centre"),
            "cost": number(team),
            "requests": int(number(team, "5")),
            "input_tokens": int(number(team, "7")),
        }
        for team in charged
    ]
    some = st.lists(st.sampled_from(teams), max_size=3, unique=True)
    budgets = [
        BudgetLine(name(team, "budget"), (("team", team),), number(team), Decimal("0.00"), "ok") for team in draw(some)
    ]
    before = {team: number(team) for team in [*draw(some), None]}
    saving, losing = (
        [an_action(team) for team in draw(st.lists(st.sampled_from([*teams, None]), max_size=3))] for _ in "ab"
    )
    statement = draft(
        rows,
        teams={team: Team(owner=name(team, "owner")) for team in draw(some)},
        previous=PreviousMonth("2026-09", sum(before.values(), Decimal(0)), before, False),
        budgets=budgets,
        bridge=[BridgeStep("Volume", number(None))],
        savings=SavingsFound(tuple(saving), {each.team: number(each.team) for each in saving}, tuple(losing), 31),
    )
    for total in statement.team_totals:
        own[total.team].numbers |= {total.amount, Decimal(total.requests), Decimal(total.tokens)}
    return statement, own


def values_in(value: Any) -> Iterator[str]:
    """Every text and number of nested JSON, keys among them, as text."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from values_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from values_in(item)
    else:
        yield str(value)


def as_number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except ArithmeticError:
        return None


@settings(max_examples=40, deadline=None)
@given(statements())
def test_a_part_holds_no_name_and_no_number_of_another_team(made: tuple[Statement, dict[str | None, Own]]) -> None:
    statement, own = made
    for team in own.keys() - {None}:
        assert team is not None
        part = part_of(statement, team)
        held = [*values_in(encode(part)), *values_in(part.lines.rows())]
        everything = "\n".join([*held, repr(part)])
        numbers = {number for text in held if (number := as_number(text))}
        for other, its in own.items():
            if other != team:
                assert not any(name in everything for name in its.names), (team, other)
                assert not (numbers & its.numbers) - {Decimal(0)}, (team, other)


@settings(max_examples=40, deadline=None)
@given(statements())
def test_parts_and_the_unallocated_add_up_to_the_whole(made: tuple[Statement, dict[str | None, Own]]) -> None:
    statement, own = made
    parts = [part_of(statement, team) for team in own if team is not None]
    assert sum((part.total for part in parts), statement.unallocated) == statement.total
    assert {part.only_team: part.total for part in parts if part.requests} == {
        total.team: total.amount for total in statement.team_totals if total.team is not None and total.requests
    }
    whole = [cost for cost in statement.days["cost"] if cost is not None]
    of_parts = [sum(cost for cost in part.days["cost"] if cost is not None) for part in parts]
    nobodys = sum(statement.team_days.filter(pl.col("team").is_null())["cost"])
    assert sum(of_parts) + nobodys == sum(whole)
