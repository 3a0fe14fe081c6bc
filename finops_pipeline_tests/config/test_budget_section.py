"""``budgets`` in the config: what it accepts, and what it says of the rest."""

from decimal import Decimal
from pathlib import Path

import pytest

from finops_pipeline.config.loading import load_config
from finops_pipeline.config.model import Budget
from finops_pipeline.errors import ConfigError


def loaded(folder: Path, keys: str = "", *, scope: str = "{}") -> Budget:
    path = folder / "finops.yaml"
    path.write_text(
        "lake: ./lake\nsources: [{name: logs, format: record, uri: ./logs}]\n"
        f"budgets: [{{name: b, scope: {scope}, limit: 10, {keys}}}]\n"
    )
    return load_config(path).budgets[0]


def test_defaults(tmp_path: Path) -> None:
    budget = loaded(tmp_path)
    assert budget.warn_at == [Decimal("0.8"), Decimal("1.0")]
    assert budget.warn_at_forecast == [Decimal("1.0")]


def test_shares_are_exact_and_may_be_none(tmp_path: Path) -> None:
    budget = loaded(tmp_path, "warn_at: [0.1, 1.25], warn_at_forecast: []")
    assert budget.warn_at == [Decimal("0.1"), Decimal("1.25")]
    assert budget.warn_at_forecast == []


@pytest.mark.parametrize("key", ["warn_at", "warn_at_forecast"])
@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ("[0]", "above 0 and at most 10: 0.8 is 80 %"),
        ("[0.5, -1]", "above 0 and at most 10: 0.8 is 80 %"),
        ("[80, 100]", "above 0 and at most 10: 0.8 is 80 %"),
        ("[0.8, 0.80]", "expected each share once"),
        ("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0.5]", "expected at most 10 shares"),
        ("[.nan]", "expected a number"),
        ("0.8", "expected a list"),
    ],
)
def test_shares_that_are_wrong_are_explained(tmp_path: Path, key: str, shares: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, f"{key}: {shares}")
    assert f"budgets[0].{key}" in str(raised.value)
    assert said in str(raised.value)


@pytest.mark.parametrize("tag", ["gold", "=gold", "tier=", '"="'])
def test_a_tag_has_a_name_and_a_value(tmp_path: Path, tag: str) -> None:
    with pytest.raises(ConfigError, match=r"budgets\[0\].scope: expected a tag such as name=value"):
        loaded(tmp_path, scope=f"{{tag: {tag}}}")


def test_a_tag_s_value_may_have_an_equals_sign() -> None:
    assert Budget(name="b", scope={"tag": "q=a=b"}, limit=Decimal(1)).scope == {"tag": "q=a=b"}


@pytest.mark.parametrize("limit", ["0.001", "10.005", "1000000000000000000"])
def test_a_limit_is_whole_cents_of_a_sane_amount(limit: str) -> None:
    with pytest.raises(ValueError, match="expected whole cents, below 1,000,000,000,000,000,000"):
        Budget(name="b", scope={}, limit=Decimal(limit))
