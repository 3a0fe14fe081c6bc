"""``fields`` in the config: what they accept, and what they say of the rest."""

from pathlib import Path

import pytest

from finops_pipeline.config.loading import load_config
from finops_pipeline.config.mapped import Column, Conventions, Fields, TextColumn, TimeColumn
from finops_pipeline.errors import ConfigError
from finops_pipeline.schemas import USAGE


def loaded(folder: Path, *fields: str, format: str = "mapped") -> Fields | None:
    lines = ["lake: ./lake", "sources:", f"  - {{name: s, format: {format}, uri: ./logs}}"]
    if fields:
        lines = [*lines[:2], "  - name: s", f"    format: {format}", "    uri: ./logs", "    fields:"]
        lines += [f"      {field}" for field in fields]
    path = folder / "finops.yaml"
    path.write_text("\n".join(lines))
    return load_config(path).sources[0].fields


def mistake(folder: Path, *fields: str, format: str = "mapped") -> str:
    with pytest.raises(ConfigError) as raised:
        loaded(folder, *fields, format=format)
    return str(raised.value)


# -- what is accepted --------------------------------------------------------------------------------------------------


def test_a_path_alone_is_short_for_it(tmp_path: Path) -> None:
    short = loaded(tmp_path, "event_time: $.t", "team: $.labels.team")
    long = loaded(tmp_path, "event_time: {path: $.t, format: iso}", "team: {path: $.labels.team}")
    assert short == long
    assert short is not None
    assert short.columns() == {"event_time": TimeColumn(path="$.t"), "team": TextColumn(path="$.labels.team")}


def test_every_usage_column_that_a_log_can_say_may_be_mapped() -> None:
    ours = {"raw_object", "raw_line", "prompt_fingerprint", "prefix_block_hashes"}
    assert set(Fields.model_fields) - set(Conventions.model_fields) == set(USAGE.names) - ours


@pytest.mark.parametrize(
    "path",
    [
        "$.a", "$.a.b_c-d", "$.a[0]", "$.a[12].b", "$.a[#-1]", '$."x-request-id"', '$."a b"."c.d"[3]', "$.größe",
        "$.@timestamp", "$.k8s:labels", '$."it\'s"', "$.0",
    ],
)  # fmt: skip
def test_paths(tmp_path: Path, path: str) -> None:
    quoted = path.replace("'", "''")
    fields = loaded(tmp_path, "event_time: $.t", f"team: '{quoted}'")
    assert fields is not None
    assert fields.team == TextColumn(path=path)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "team", "$", "$.", "$a", "$..a", "$.*", "$.a[*]", "$.a[", "$.a]", "$.a[-1]", "$.a[x]", "$.a b", "$.a'b",
        "$.a; DROP TABLE x", '$.""', '$."a', '$."a\\"b"', "$['a']", "$[0]", "$.a[#]", "$.a.", "$.a[12345678]",
        "/a/b", "$.a?(@.b)", "$.a\n", "$." + "a" * 200, "$.a[٠]",
    ],
)  # fmt: skip
def test_a_path_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"expected a path such as \$\.usage\.input"):
        TextColumn(path=path)


def test_matches_are_counted_for_counts_only(tmp_path: Path) -> None:
    assert loaded(tmp_path, "event_time: $.t", "tool_calls: '$.c[*].id'") is not None
    said = mistake(tmp_path, "event_time: $.t", "input_tokens: '$.c[*].id'", "tool_calls: '$.c.*'")
    assert "sources[0].fields.input_tokens.path: expected a path such as" in said
    assert "sources[0].fields.tool_calls.path: expected a path such as $.usage.searches, or one with [*]" in said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (["event_time: $.t", "inputtokens: $.i"], "fields.inputtokens: unknown key; did you mean input_tokens?"),
        (["event_time: $.t", "model: $.m"], "fields.model: unknown key; did you mean raw_model?"),
        (["raw_model: $.m"], "fields.event_time: this key is missing. When the call was made: its path"),
        (
            ["event_time: {path: $.t, format: epoch}"],
            "format: expected one of iso, epoch_s, epoch_ms, epoch_us, epoch_ns",
        ),
        (["event_time: $.t", "latency_ms: {path: $.l, unit: sec}"], "latency_ms.unit: expected one of ms, s, us, ns"),
        (["event_time: $.t", "latency_ms: {path: $.l, units: s}"], "latency_ms.units: unknown key; did you mean unit?"),
        (["event_time: $.t", "reported_cost: {path: $.c, unit: eur}"], "expected one of usd, cents, microdollars"),
        (["event_time: $.t", "input_tokens: {value: 5}"], "input_tokens.value: unknown key"),
        (["event_time: $.t", "team: 5"], "fields.team: expected a path such as $.usage.input, or keys with values"),
        (["event_time: $.t", "team: {}"], "fields.team: expected either a path or a value"),
        (["event_time: $.t", "team: {path: $.t, value: x}"], "fields.team: expected either a path or a value"),
        (["event_time: $.t", "stream: {path: $.s, values: {sse: yes}}"], "stream.values.sse: expected true or false"),
        (["event_time: $.t", "status: {path: $.s, values: {x: bad}}"], "status.values.x: expected one of ok, error"),
        (["event_time: $.t", "status: {path: $.s, values: {0: error}}"], "put it in quotes"),
        (
            ["event_time: $.t", "cache_read_tokens: $.r"],
            "fields: expected `tokens`: inclusive if the log's input_tokens include those of the cache, else exclusive",
        ),
        (
            ["event_time: $.t", "reasoning_tokens: $.r"],
            "fields: expected `reasoning`: included if the log's output_tokens include reasoning_tokens, else excluded",
        ),
        (["event_time: $.t", "tokens: both"], "fields.tokens: expected one of inclusive, exclusive"),
        (["event_time: $.t", "embedded: [$.a, $.a.b]"], "fields: expected no embedded path inside another; got $.a.b"),
        (
            ["event_time: $.t", "not_usage_without: [raw_model]"],
            "fields: expected columns that stand here too under not_usage_without; got 'raw_model' (line",
        ),
        (
            ["event_time: $.t", "prompt: $.p"],
            "fields.prompt: expected members of the prompt with their paths, such as {messages: $.request.messages}",
        ),
        (
            ["event_time: $.t", "prompt: {text: $.p}"],
            "fields.prompt.text: unknown key; expected one of system, messages",
        ),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, fields: list[str], said: str) -> None:
    assert said in mistake(tmp_path, *fields)


def test_only_mapped_logs_have_fields_and_they_must(tmp_path: Path) -> None:
    said = mistake(tmp_path)
    assert "sources[0].fields: expected columns of the usage table with their paths, such as event_time" in said
    said = mistake(tmp_path, "event_time: $.t", format="litellm")
    assert "sources[0].fields: expected no fields: only the format mapped takes them, the others know theirs" in said


def test_an_unknown_format_is_the_one_mistake(tmp_path: Path) -> None:
    said = mistake(tmp_path, "event_time: $.t", format="maped")
    assert "1 mistake" in said


def test_columns_are_given_by_name() -> None:
    fields = Fields.model_validate({"event_time": "$.t", "raw_model": "$.m", "tokens": "inclusive"})
    assert list(fields.columns()) == ["event_time", "raw_model"]
    assert all(isinstance(column, Column) for column in fields.columns().values())
