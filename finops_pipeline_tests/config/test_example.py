"""The example that ``finops init`` writes loads, names every key and tells the true defaults."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from finops_pipeline.config.example import EXAMPLE
from finops_pipeline.config.loading import load_config
from finops_pipeline.config.mapped import Column, Conventions, Fields
from finops_pipeline.config.model import Config
from finops_pipeline.config.section import Section


def loaded(folder: Path, text: str) -> Config:
    path = folder / "finops.yaml"
    path.write_text(text)
    return load_config(path)


def uncommented(text: str) -> str:
    """The example with every commented key turned on; lines of prose stay comments."""
    return re.sub(r"^( *)#(?! \S)(?=.)", r"\1", text, flags=re.MULTILINE)


def keys(section: type[Section]) -> Iterator[str]:
    # Columns of mapped logs are those of the usage table, and an example of each kind does.
    shown = Conventions.model_fields if section is Fields else section.model_fields
    for name, field in shown.items():
        yield field.alias or name
        for inner in sections(field.annotation):
            yield from keys(inner)


def sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from sections(part)


def test_it_loads(tmp_path: Path) -> None:
    config = loaded(tmp_path, EXAMPLE)
    assert [s.name for s in config.sources] == ["bedrock"]
    assert config.budgets == []


def test_it_loads_with_every_key_turned_on(tmp_path: Path) -> None:
    config = loaded(tmp_path, uncommented(EXAMPLE))
    assert [s.name for s in config.sources] == ["bedrock", "gateway", "internal", "batches", "kong"]
    assert config.ownership[0].name == "legacy-key"
    assert config.budgets[0].limit == 5000
    assert config.model_aliases["gpt-5-eu"].model == "gpt-5"
    assert config.model_aliases["application-inference-profile/a1b2c3d4e5f6"].region_scope == "geo:eu"


def test_every_key_of_the_model_stands_in_it() -> None:
    text = uncommented(EXAMPLE)
    missing = [k for k in keys(Config) if not re.search(rf"^[ -]*{k}:", text, re.MULTILINE)]
    assert missing == []


def test_every_kind_of_mapped_column_stands_in_it(tmp_path: Path) -> None:
    fields = loaded(tmp_path, uncommented(EXAMPLE)).source("kong").fields
    assert fields is not None
    kinds = {kind for field in Fields.model_fields.values() for kind in sections(field.annotation)}
    assert {type(column) for column in fields.columns().values()} == {k for k in kinds if issubclass(k, Column)}


def test_commented_keys_show_their_defaults(tmp_path: Path) -> None:
    shown = loaded(tmp_path, uncommented(EXAMPLE))
    default = loaded(tmp_path, "lake: x\nsources: [{name: bedrock, format: bedrock, uri: y}]\n")
    for name in ("mail", "schedule", "limits", "privacy", "quarantine", "late_days", "grace_hours"):
        assert getattr(shown, name) == getattr(default, name), name
    assert shown.reports.currency == default.reports.currency
    assert shown.source("bedrock").key_timezone == default.source("bedrock").key_timezone
    assert shown.source("bedrock").cost_basis == default.source("bedrock").cost_basis
    assert shown.budgets[0].warn_at == type(shown.budgets[0]).model_fields["warn_at"].default


def test_lines_fit_a_terminal() -> None:
    assert max(len(line) for line in EXAMPLE.splitlines()) <= 120
