"""The demo's config is valid, names the teams that the logs name, and reads every source."""

import datetime as dt

import yaml
from demo_readback import Sample

from finops_pipeline.config.model import Config
from finops_pipeline.demo.config import demo_config


def demo() -> Config:
    return Config.model_validate(yaml.safe_load(demo_config("demo-logs")))


def test_config_is_valid() -> None:
    config = demo()
    assert config.start_date == dt.date(2026, 9, 1)
    assert [s.format for s in config.sources] == ["bedrock", "litellm", "record"]
    assert {b.name for b in config.budgets} >= {"engineering", "legal"}
    assert config.reports.recipients == ["finance@example.com"]


def test_every_team_of_the_logs_has_an_owner_a_cost_center_and_an_address(sample: Sample) -> None:
    named = {team for (team,) in sample.manifest.totals_by("team") if team is not None}
    teams = demo().teams
    assert teams.keys() == named
    assert all(team.owner and team.cost_center and team.email for team in teams.values())


def test_every_object_lies_below_a_source_of_its_own(sample: Sample) -> None:
    below = {source.name: f"{source.uri.removeprefix('s3://demo-logs/')}/" for source in demo().sources}
    assert below.keys() == sample.manifest.deliveries.keys()
    for name, prefix in below.items():
        reading = sample.readings[name]
        assert all(key.startswith(prefix) for key in reading.objects)


def test_commented_ownership_rule_works_when_the_comment_is_taken_off(sample: Sample) -> None:
    text = demo_config("demo-logs")
    start = text.index("# ownership:")
    end = text.index("\n\n", start)
    rule = text[start:end].replace("# ", "", 1).replace("\n# ", "\n")
    config = Config.model_validate(yaml.safe_load(text[:start] + rule + text[end:]))
    person = config.ownership[0].match["user_id"]
    callers = {c.raw["identity"]["arn"].rpartition("/")[2] for c in sample.readings["bedrock"].seen if c.team is None}
    assert person in callers
