import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from finops_pipeline.allocation import assign_owners, ownership_digest
from finops_pipeline.config.model import OwnershipRule, Team
from finops_pipeline.schemas import USAGE

NOON = dt.datetime(2026, 10, 5, 12, tzinfo=dt.UTC)
TEAMS = {"search": Team(cost_center="CC-1"), "ads": Team(cost_center="CC-2"), "lab": Team()}


def rule(name: str, match: Mapping[str, str], set_: Mapping[str, str], since: str = "2026-01-01") -> OwnershipRule:
    return OwnershipRule.model_validate({"name": name, "from": since, "match": match, "set": set_})


def owners(
    call: Mapping[str, Any], rules: Sequence[OwnershipRule] = (), teams: Mapping[str, Team] = TEAMS
) -> dict[str, Any]:
    schema = {"source": pl.String, **USAGE.schema}
    usage = pl.LazyFrame([{"source": "bedrock", "event_time": NOON, **call}], schema=schema)
    return assign_owners(usage, rules, teams).collect().row(0, named=True)


def test_without_a_rule_the_log_decides_and_the_team_names_the_cost_centre() -> None:
    row = owners({"team": "search", "project": "ranking", "environment": "prod"})
    assert (row["team"], row["project"], row["environment"]) == ("search", "ranking", "prod")
    assert (row["cost_center"], row["allocation_rule"]) == ("CC-1", None)
    assert (row["raw_team"], row["raw_project"]) == ("search", "ranking")


@pytest.mark.parametrize("team", [None, ""])
def test_a_call_without_a_team_is_unallocated(team: str | None) -> None:
    row = owners({"team": team, "project": "ranking"})
    assert (row["team"], row["cost_center"], row["raw_team"]) == (None, None, team)


@pytest.mark.parametrize("team", ["lab", "unheard-of"])
def test_a_team_without_a_cost_centre_keeps_its_calls(team: str) -> None:
    row = owners({"team": team})
    assert (row["team"], row["cost_center"]) == (team, None)


def test_the_first_matching_rule_wins_and_leaves_its_name() -> None:
    rules = [
        rule("other key", {"api_key_id": "k-2"}, {"team": "lab"}),
        rule("key", {"api_key_id": "k-1"}, {"team": "ads"}),
        rule("account", {"account": "42"}, {"team": "search"}),
    ]
    row = owners({"api_key_id": "k-1", "account": "42", "team": "lab", "project": "x"}, rules)
    assert (row["team"], row["project"], row["cost_center"]) == ("ads", "x", "CC-2")
    assert (row["allocation_rule"], row["raw_team"]) == ("key", "lab")


def test_a_rule_matches_only_where_every_value_does() -> None:
    both = [rule("both", {"source": "bedrock", "account": "42"}, {"team": "ads"})]
    assert owners({"account": "42"}, both)["team"] == "ads"
    assert owners({"account": "43", "team": "lab"}, both)["team"] == "lab"
    assert owners({"account": None, "team": "lab"}, both)["allocation_rule"] is None


def test_values_match_exactly() -> None:
    rules = [rule("r", {"account": "42"}, {"team": "ads"})]
    assert owners({"account": "420"}, rules)["team"] is None
    assert owners({"team": "Ads"}, [rule("r", {"team": "ads"}, {"team": "lab"})])["team"] == "Ads"


def test_rules_see_what_the_log_said_not_what_a_rule_set() -> None:
    rules = [rule("to ads", {"team": "old"}, {"team": "ads"}), rule("to lab", {"team": "ads"}, {"team": "lab"})]
    assert owners({"team": "old"}, rules)["team"] == "ads"
    assert owners({"team": "ads"}, rules)["team"] == "lab"


@pytest.mark.parametrize(
    ("time", "team"),
    [
        (dt.datetime(2026, 10, 4, 23, 59, 59, 999999, tzinfo=dt.UTC), "lab"),
        (dt.datetime(2026, 10, 5, tzinfo=dt.UTC), "ads"),
    ],
)
def test_a_rule_holds_from_its_utc_day_on(time: dt.datetime, team: str) -> None:
    rules = [rule("moved", {"team": "lab"}, {"team": "ads"}, since="2026-10-05")]
    assert owners({"team": "lab", "event_time": time}, rules)["team"] == team


def test_a_rules_cost_centre_beats_the_teams() -> None:
    row = owners({"team": "search"}, [rule("r", {"team": "search"}, {"cost_center": "CC-9"})])
    assert (row["team"], row["cost_center"], row["allocation_rule"]) == ("search", "CC-9", "r")


def test_environment_and_project_can_be_set() -> None:
    row = owners({"raw_model": "m"}, [rule("r", {"raw_model": "m"}, {"project": "p", "environment": "prod"})])
    assert (row["project"], row["environment"], row["raw_project"], row["team"]) == ("p", "prod", None, None)


def test_other_columns_pass_through_in_their_order() -> None:
    usage = pl.LazyFrame(schema={"source": pl.String, **USAGE.schema})
    names = assign_owners(usage, [], {}).collect_schema().names()
    assert names == ["source", *USAGE.names, "raw_team", "raw_project", "cost_center", "allocation_rule"]


def test_the_digest_changes_with_whatever_decides_owners_and_with_nothing_else() -> None:
    first, second = rule("a", {"team": "x"}, {"team": "y"}), rule("b", {"team": "y"}, {"team": "x"})
    base = ownership_digest([first, second], TEAMS)
    assert base == ownership_digest([first, second], dict(reversed(TEAMS.items())))
    assert base == ownership_digest([first, second], {**TEAMS, "lab": Team(email="lab@example.com")})
    assert base != ownership_digest([second, first], TEAMS)
    assert base != ownership_digest([first], TEAMS)
    assert base != ownership_digest([first, second], {**TEAMS, "lab": Team(cost_center="CC-3")})
