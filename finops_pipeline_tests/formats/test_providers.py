"""Providers by one name each."""

import polars as pl
import pytest
from genai_prices.data import providers

from finops_pipeline.formats.providers import CATALOGUE, provider_id, seller_columns


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


@pytest.mark.parametrize(
    ("name", "model", "seller"),
    [
        ("aws.bedrock", "eu.amazon.nova-pro-v1:0", ("aws", "Amazon Bedrock", "geo:eu")),
        ("gcp.gemini", "gemini-2.5-pro", ("google", "Gemini API", None)),
        ("gcp.vertex_ai", "gemini-2.5-pro", ("google", "Google Vertex AI", None)),
        ("vertex_ai", "gemini-2.5-pro", ("google", "Google Vertex AI", None)),
        ("gcp.gen_ai", "gemini-2.5-pro", ("google", None, None)),
        ("openai", "eu.amazon.nova-pro-v1:0", ("openai", "OpenAI API", None)),
        (None, None, (None, None, None)),
    ],
)
def test_who_sells_and_where_it_ran(
    name: str | None, model: str | None, seller: tuple[str | None, str | None, str | None]
) -> None:
    call = pl.DataFrame({"name": [name], "model": [model]}, schema={"name": pl.String, "model": pl.String})
    told = call.select(**seller_columns(pl.col("name"), pl.col("model")))
    assert told.columns == ["provider", "service", "region_scope"]
    assert told.row(0) == seller
