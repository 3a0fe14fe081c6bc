"""Loading ``finops.yaml``: what is valid, and what is said of each mistake."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from finops_pipeline.config.loading import load_config
from finops_pipeline.config.model import Config
from finops_pipeline.errors import ConfigError

MINIMAL = """\
lake: ./lake
sources:
  - {name: bedrock, format: bedrock, uri: "s3://logs/prefix"}
"""


def loaded(folder: Path, text: str | bytes) -> Config:
    path = folder / "finops.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(path)


def mistakes(folder: Path, text: str | bytes) -> list[str]:
    """What the error says, a line a mistake, without the path of the file."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    assert caught.value.exit_code == 2
    first, *rest = str(caught.value).removeprefix(f"{folder}/finops.yaml: ").split("\n  ")
    if rest:
        assert first == ("1 mistake" if len(rest) == 1 else f"{len(rest)} mistakes")
    return rest or [first]


# -- valid ------------------------------------------------------------------------------------------------------------


def test_a_lake_and_a_source_are_enough(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL)
    assert config.resolved(config.lake) == tmp_path / "lake"
    assert config.source("bedrock").cost_basis == "contracted"
    assert config.start_date == dt.date(2024, 1, 1)
    assert config.late_days == 3


def test_values_arrive_in_their_types(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        MINIMAL
        + """
start_date: 2026-01-01
limits: {unpriced_share: 0.1, cost_drift: 1e-3}
schedule: {nightly: 12:30, month_end: "06:00"}
budgets: [{name: all, scope: {}, limit: 1234567890123456.78}]
ownership: [{name: r, from: "2026-02-01", match: {account: "0123"}, set: {team: a}}]
prices: [a.csv]
quarantine: {keep_raw: true}
""",
    )
    assert config.start_date == dt.date(2026, 1, 1)
    assert config.limits.unpriced_share == Decimal("0.1")
    assert config.limits.cost_drift == Decimal("0.001")
    assert config.schedule.nightly == "12:30"
    assert config.budgets[0].limit == Decimal("1234567890123456.78")
    assert config.ownership[0].from_ == dt.date(2026, 2, 1)
    assert config.prices == [Path("a.csv")]
    assert config.quarantine.keep_raw is True


def test_words_and_numbers_that_older_yaml_reads_as_something_else_stay_text(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL + "teams: {no: {cost_center: 0100}, on: {cost_center: 1_000, owner: 1:30}}\n")
    assert {name: team.cost_center for name, team in config.teams.items()} == {"no": "0100", "on": "1_000"}
    assert config.teams["on"].owner == "1:30"


def test_a_key_without_a_value_counts_as_absent(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL + "teams:\n  search:\nlimits:\nbudgets:\nreports:\n  recipients:\n")
    assert config.teams["search"].owner is None
    assert config == loaded(tmp_path, MINIMAL + "teams: {search: {}}\n")


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL + "teams:\n  a: &a {owner: x, cost_center: c}\n  b: {<<: *a, owner: y}\n")
    assert (config.teams["b"].owner, config.teams["b"].cost_center) == ("y", "c")


def test_relative_paths_resolve_against_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/finops.yaml").write_text(MINIMAL)
    monkeypatch.chdir(tmp_path)
    config = load_config(Path("etc/finops.yaml"))
    monkeypatch.chdir("/")
    assert config.resolved(config.lake) == tmp_path / "etc/lake"
    assert config.resolved("/elsewhere") == Path("/elsewhere")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert loaded(tmp_path, b"\xef\xbb\xbf" + MINIMAL.encode()).lake == "./lake"


def test_the_path_is_the_argument_then_the_variable_then_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("argument", "variable", "finops"):
        (tmp_path / f"{name}.yaml").write_text(MINIMAL.replace("./lake", f"./{name}"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINOPS_CONFIG", str(tmp_path / "variable.yaml"))
    assert load_config(tmp_path / "argument.yaml").lake == "./argument"
    assert load_config().lake == "./variable"
    monkeypatch.setenv("FINOPS_CONFIG", "")
    assert load_config().lake == "./finops"


def test_a_missing_file_names_the_path_tried_and_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FINOPS_CONFIG", raising=False)
    with pytest.raises(ConfigError, match=rf"^finops\.yaml in {tmp_path}: there is no such file.*`finops init`"):
        load_config()
    monkeypatch.setenv("FINOPS_CONFIG", "/nowhere/x.yaml")
    with pytest.raises(ConfigError, match=r"^/nowhere/x\.yaml \(from FINOPS_CONFIG\): there is no such file"):
        load_config()


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty. `finops init` writes a commented example."),
        ("# only a comment\n", "the file is empty. `finops init` writes a commented example."),
        ("- a\n", "expected keys such as `lake:` and `sources:`, got a list."),
        ("lake\n", "expected keys such as `lake:` and `sources:`, got a single value."),
        ("lake: [./lake\nsources: x\n", "no valid YAML: "),
        ("lake:\n\t- x\n", "no valid YAML: indent with spaces, not with tabs (line 2, column 1)"),
        ("lake: a: b\n", "no valid YAML: text that contains a colon and a space must stand in quotes"),
        ("lake: *hunter2\n", "no valid YAML: text that starts with * or & must stand in quotes (line 1, column 7)"),
        ("lake: !hunter2 x\n", "no valid YAML: text that starts with ! must stand in quotes"),
        ("lake: !!int hunter2\n", "no valid YAML: a value does not fit its tag"),
        ("[" * 5000, "no valid YAML: "),
        (b"lake: \xff\xfe\n", "no valid YAML: expected text in UTF-8"),
        (b"lake: \x00\n", "no valid YAML: expected text in UTF-8"),
        ("? [a]\n: b\n", "no valid YAML: text that starts with ! must stand in quotes, and keys are plain text"),
    ],
)
def test_what_is_no_document_of_keys_is_said_in_one_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    (only,) = mistakes(tmp_path, text)
    assert only.startswith(said)
    assert "hunter2" not in only


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("grace_hour: 2", "grace_hour: unknown key; did you mean grace_hours? (line 4)"),
        ("recipients: [a@b.com]", "recipients: unknown key; did you mean reports.recipients? (line 4)"),
        (
            "privacy: {hash: true, zzz: 1}",
            "privacy.zzz: unknown key; expected one of hash_user_ids (line 4)",
        ),
        ("start_date: 2026-13-01", "start_date: expected a day such as 2026-01-31; got '2026-13-01' (line 4)"),
        ("start_date: 20260101", "start_date: expected a day such as 2026-01-31; got 20260101 (line 4)"),
        ("start_date: 1999-01-01", "start_date: expected a day from 2020-01-01 on; got '1999-01-01' (line 4)"),
        ("start_date: 2026-01-01T00:00:00", "start_date: expected a day such as 2026-01-31; got '2026-01-01T00:00:00'"),
        ("late_days: true", "late_days: expected a whole number; got true (line 4)"),
        ("late_days: 1.5", "late_days: expected a whole number; got '1.5' (line 4)"),
        ("late_days: -1", "late_days: expected at least 0; got -1 (line 4)"),
        ("grace_hours: 25", "grace_hours: expected at most 24; got 25 (line 4)"),
        ("quarantine: {keep_raw: yes}", "quarantine.keep_raw: expected true or false; got 'yes' (line 4)"),
        ("limits: {cost_drift: .inf}", "limits.cost_drift: expected a number; got '.inf' (line 4)"),
        ("limits: {cost_drift: true}", "limits.cost_drift: expected a number; got true (line 4)"),
        ("limits: {unpriced_share: 2}", "limits.unpriced_share: expected at most 1; got 2 (line 4)"),
        ("limits: 3", "limits: expected keys with values; got 3 (line 4)"),
        ("limits: [a]", "limits: expected keys with values; got a list (line 4)"),
        ("budgets: {a: 1}", "budgets: expected a list; got keys with values (line 4)"),
        ("budgets: [{name: a, scope: {}, limit: 0}]", "budgets[0].limit: expected more than 0; got 0 (line 4)"),
        (
            "budgets: [{name: a, scope: {taem: b}, limit: 1}]",
            "budgets[0].scope.taem: unknown key; did you mean team? (line 4)",
        ),
        (
            "budgets:\n- {name: a, scope: {}, limit: 1}\n- {name: a, scope: {}, limit: 1}",
            "budgets: expected each name once: a stands at [0] and [1] (line 4)",
        ),
        (
            "ownership: [{name: a, match: {api_key: b}, set: {team: x}}]",
            "ownership[0].match.api_key: unknown key; did you mean api_key_id? (line 4)",
        ),
        (
            "ownership: [{name: a, match: {}, set: {team: x}}]",
            "ownership[0].match: expected at least one entry; got nothing (line 4)",
        ),
        (
            "ownership:\n  - name: a\n    match: {team: x}",
            "ownership[0].set: this key is missing. What the calls that match get (line 5)",
        ),
        ("teams: {a: {cost_center: 100}}", "teams.a.cost_center: expected text; got 100 (put it in quotes) (line 4)"),
        ("teams: {a: {email: nobody}}", "teams.a.email: expected one e-mail address such as team@example.com"),
        ("teams: {a: {email: 'a@b.com, c@d.com'}}", "teams.a.email: expected one e-mail address"),
        ('teams: {a: {email: "a@b.com\\nBcc: c@d.com"}}', "teams.a.email: expected one e-mail address"),
        ("teams: {12: {}}", "teams[12]: expected a name as text: put it in quotes (line 4)"),
        ("schedule: {nightly: 25:00}", "schedule.nightly: expected a time of day in UTC such as 02:00; got '25:00'"),
        ("schedule: {close_day: 31}", "schedule.close_day: expected at most 28; got 31 (line 4)"),
        (
            "reports: {currency: Euro}",
            "reports.currency: expected an ISO 4217 code such as EUR, in capitals; got 'Euro' (line 4)",
        ),
        ("reports: {currency: XAU}", "reports.currency: expected an ISO 4217 code such as EUR, in capitals; got 'XAU'"),
        (
            "reports: {currency: EUR}",
            "reports: a statement in EUR needs its rates of exchange: expected the key fx_rates with CSV files",
        ),
        ("fx_rates: [3]", "fx_rates[0]: expected a path; got 3 (line 4)"),
        ("mail: {transport: fax}", "mail.transport: expected one of outbox, smtp, ses; got 'fax' (line 4)"),
        ("prices: [3]", "prices[0]: expected a path; got 3 (line 4)"),
        ("lake: ./other", "lake: this key stands twice (lines 1 and 4)"),
        ("teams:\n  a: {}\n  b: {owner: x, owner: y}", "teams.b.owner: this key stands twice (lines 6 and 6)"),
    ],
)
def test_each_mistake_is_named_with_its_place_and_what_was_expected(tmp_path: Path, extra: str, said: str) -> None:
    found = mistakes(tmp_path, MINIMAL + extra + "\n")
    assert any(m.startswith(said) for m in found), found


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "{name: a, format: bedrok, uri: ./x}",
            "sources[0].format: expected one of bedrock, ",
        ),
        ("{name: a, format: record}", "sources[0].uri: this key is missing. s3://bucket/prefix, or a local folder"),
        ("{name: a, format: record, uri: ''}", "sources[0].uri: expected some text; got nothing (line 3)"),
        (
            "{name: a, format: record, uri: gs://b}",
            "sources[0].uri: expected s3://bucket/prefix or a local folder; got 'g",
        ),
        ("{name: a, format: record, uri: s3:///x}", "sources[0].uri: expected a bucket after s3://; got 's3:///x'"),
        ("{name: A-b, format: record, uri: x}", "sources[0].name: expected up to 64 of a-z, 0-9 and _; got 'A-b'"),
        (
            "{name: a, format: record, uri: x, cost_basis: list}",
            "sources[0].cost_basis: expected one of contracted, reported; got 'list'",
        ),
        (
            "{name: a, format: record, uri: x, key_timezone: Mars/Base}",
            "sources[0].key_timezone: expected an IANA time zone",
        ),
        ("bedrock", "sources[0]: expected keys with values; got 'bedrock' (line 3)"),
    ],
)
def test_mistakes_of_a_source(tmp_path: Path, source: str, said: str) -> None:
    found = mistakes(tmp_path, f"lake: ./lake\nsources:\n  - {source}\n")
    assert any(m.startswith(said) for m in found), found


@pytest.mark.parametrize("lake", ["s3://lake", "s3://lake/prefix/of/it", "/mnt/lake", "../lake"])
def test_a_lake_may_lie_on_s3_or_in_a_folder(tmp_path: Path, lake: str) -> None:
    assert loaded(tmp_path, MINIMAL.replace("./lake", lake)).lake == lake


@pytest.mark.parametrize(
    ("lake", "said"),
    [
        ("gs://bucket/lake", "lake: expected s3://bucket/prefix or a local folder; got 'gs://bucket/lake'"),
        ("s3:///lake", "lake: expected a bucket after s3://; got 's3:///lake'"),
    ],
)
def test_a_lake_elsewhere_is_a_mistake(tmp_path: Path, lake: str, said: str) -> None:
    (found,) = mistakes(tmp_path, MINIMAL.replace("./lake", lake))
    assert found.startswith(said)


@pytest.mark.parametrize(
    ("lake", "uri", "contained"),
    [
        ("s3://logs/finops", "s3://logs", True),
        ("s3://logs/finops", "s3://logs/", True),
        ("s3://logs/a/finops/", "s3://logs/a", True),
        ("s3://logs/a", "s3://logs/a", True),
        ("./lake", ".", True),
        ("./data/lake", "data/../data/", True),
        ("/srv/data/lake", "/srv/data", True),
        ("s3://logs/finops", "s3://logs/finops-raw", False),
        ("s3://logs-finops", "s3://logs", False),
        ("s3://logs", "s3://logs/bedrock", False),
        ("./lake", "./lake-logs", False),
        ("./lake", "./logs", False),
        ("s3://lake/a", "./lake", False),
    ],
)
def test_the_lake_is_no_part_of_a_source(tmp_path: Path, lake: str, uri: str, contained: bool) -> None:
    text = f"lake: {lake}\nsources:\n  - {{name: raw, format: record, uri: {uri}}}\n"
    if not contained:
        assert loaded(tmp_path, text).lake == lake
        return
    (found,) = mistakes(tmp_path, text)
    assert found.startswith("sources: the uri of raw contains the lake, whose files would be read as logs")


def test_all_mistakes_come_in_one_error_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        "lake: gs://b/l\nlate_days: x\nlate_days: 2000\nsources:\n  - {name: a, format: b}\nsecret: c\n",
    )
    assert [m.split(":")[0] for m in found] == [
        "lake",
        "late_days",
        "late_days",
        "sources[0].format",
        "sources[0].uri",
        "secret",
    ]


def test_without_lake_and_sources_both_are_missing(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "late_days: 3\n")
    assert found == [
        "lake: this key is missing. Where all tables are: a folder (relative to this file), or s3://bucket/prefix",
        "sources: this key is missing. Where raw usage logs lie",
    ]


def test_no_sources_is_a_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "lake: x\nsources: []\n") == [
        "sources: expected at least one entry; got nothing (line 2)"
    ]


@pytest.mark.parametrize(
    "extra",
    [
        "password: hunter2",
        "mail: {transport: outbox, password: hunter2}",
        "mail: smtp://user:hunter2@example.com",
        "reports: {from: https://user:hunter2@example.com}",
        "prices: {secret_key: hunter2}",
        "teams: {a: {email: wJalrXUtnFEMIK7MDENGbPxRfiCYhunter2}}",
        "aws_secret_access_key: [hunter2]",
        "lake: 'unfinished hunter2",
        "late_days: hunter2: x",
        "limits: {max_line_bytes: {token: hunter2}}",
    ],
)
def test_no_secret_is_repeated(tmp_path: Path, extra: str) -> None:
    assert "hunter2" not in "\n".join(mistakes(tmp_path, MINIMAL + extra + "\n"))


def test_aliases_upon_aliases_are_no_danger(tmp_path: Path) -> None:
    levels = ["x0: &x0 [a, a]"] + [f"x{i}: &x{i} [*x{i - 1}, *x{i - 1}]" for i in range(1, 40)]
    assert len(mistakes(tmp_path, MINIMAL + "\n".join(levels) + "\n")) == 40
    assert mistakes(tmp_path, MINIMAL + "teams: &a {b: *a}\n")
