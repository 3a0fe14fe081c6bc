"""Providers by one name each."""

import polars as pl
import pytest
from genai_prices.data import providers

from finops_pipeline.formats.providers import CATALOGUE, provider_id


def test_every_provider_of_the_catalogue_is_known() -> None:
    assert {provider.id for provider in providers} <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anthropic", "anthropic"),
        ("Anthropic", "anthropic"),
        ("BEDROCK", "aws"),
        ("aws.bedrock", "aws"),
        ("vertex_ai_beta", "google"),
        ("gcp.gen_ai", "google"),
        ("azure.ai.openai", "azure"),
        ("MyProxy", "MyProxy"),
        ("", ""),
        (None, None),
    ],
)
def test_one_name_each(name: str | None, expected: str | None) -> None:
    named = pl.DataFrame({"name": [name]}, schema={"name": pl.String})
    assert named.select(provider_id(pl.col("name"))).item() == expected
