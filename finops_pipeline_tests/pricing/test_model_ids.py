import polars as pl
import pytest

from finops_pipeline.pricing.model_ids import family, is_customised, region_scope, take_apart

ARN = "arn:aws:bedrock:us-east-1:123456789012:"
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("raw", "name", "provider", "scope"),
    [
        ("gpt-5", "gpt-5", None, None),
        (" GPT-5 ", "gpt-5", None, None),
        ("azure/gpt-5", "gpt-5", "azure", None),
        ("openai/gpt-4o-mini", "gpt-4o-mini", "openai", None),
        ("us.anthropic.claude-opus-5", "anthropic.claude-opus-5", "aws", "geo:us"),
        ("us-gov.anthropic.claude-opus-5", "anthropic.claude-opus-5", "aws", "geo:us-gov"),
        ("global.newvendor.model-1", "newvendor.model-1", None, "global"),
        (f"bedrock/us.{SONNET}", "anthropic.claude-sonnet-4-5-20250929", "aws", "geo:us"),
        (f"bedrock/converse/eu-central-1/{SONNET}", "anthropic.claude-sonnet-4-5-20250929", "aws", "in-region"),
        (f"{ARN}inference-profile/eu.{SONNET}", "anthropic.claude-sonnet-4-5-20250929", "aws", "geo:eu"),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
            "amazon.nova-pro-v1:0",
            "aws",
            "in-region",
        ),
        (f"converse/global.{SONNET}", "anthropic.claude-sonnet-4-5-20250929", "aws", "global"),
        (f"invoke/eu.{SONNET}", "anthropic.claude-sonnet-4-5-20250929", "aws", "geo:eu"),
        (f"us-gov-west-1/{SONNET}", "anthropic.claude-sonnet-4-5-20250929", "aws", "in-region"),
        (f"invoke/us-east-1/{SONNET}", "anthropic.claude-sonnet-4-5-20250929", "aws", "in-region"),
        ("azure/global/gpt-4o-2024-11-20", "gpt-4o-2024-11-20", "azure", None),
        ("azure/global-standard/gpt-4o-mini", "gpt-4o-mini", "azure", None),
        ("azure/eu/gpt-4o", "eu/gpt-4o", "azure", None),
        ("azure/gpt-35-turbo-0125", "gpt-3.5-turbo-0125", "azure", None),
        ("gpt-35", "gpt-35", None, None),
        ("amazon.titan-embed-text-v2:0", "amazon.titan-embed-text-v2:0", "aws", "in-region"),
        ("projects/p/locations/l/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro", "google", None),
        ("publishers/anthropic/models/claude-opus-4-5@20251101", "claude-opus-4-5", "google", None),
        ("models/gemini-2.5-flash", "gemini-2.5-flash", "google", None),
        ("gemini-1.5-pro@001", "gemini-1.5-pro", None, None),
        ("ft:gpt-4o-2024-08-06:acme::a1@b", "ft:gpt-4o-2024-08-06:acme::a1@b", None, None),
    ],
)
def test_what_an_id_says(raw: str, name: str, provider: str | None, scope: str | None) -> None:
    ident = take_apart(raw)
    assert (ident.names[-1], ident.provider, ident.region_scope, ident.opaque) == (name, provider, scope, False)
    assert ident.names[0] == raw.strip().lower()


@pytest.mark.parametrize(
    ("raw", "scope"),
    [
        (f"{ARN}application-inference-profile/a1b2", None),
        (f"bedrock/{ARN}application-inference-profile/a1b2", None),
        ("application-inference-profile/a1b2", None),
        (f"{ARN}default-prompt-router/anthropic.claude:1", None),
        (f"{ARN}provisioned-model/xyz", "in-region"),
        (f"{ARN}imported-model/xyz", "in-region"),
        ("projects/p/locations/l/endpoints/123", None),
    ],
)
def test_ids_of_resources_are_opaque(raw: str, scope: str | None) -> None:
    ident = take_apart(raw)
    assert ident.opaque
    assert ident.region_scope == scope


@pytest.mark.parametrize(
    ("raw", "scope"),
    [
        (SONNET, "in-region"),
        (f"us.{SONNET}", "geo:us"),
        (f"eu.{SONNET}", "geo:eu"),
        (f"apac.{SONNET}", "geo:apac"),
        (f"us-gov.{SONNET}", "geo:us-gov"),
        (f"global.{SONNET}", "global"),
        (f"converse/global.{SONNET}", "global"),
        (f"us-east-1/{SONNET}", "in-region"),
        (f"{ARN}inference-profile/us.{SONNET}", "geo:us"),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET}", "in-region"),
        (f"{ARN}provisioned-model/abc", "in-region"),
        (f"{ARN}application-inference-profile/abc", None),
        ("application-inference-profile/abc", None),
        (None, None),
    ],
)
def test_the_scope_of_a_cloud_model_id(raw: str | None, scope: str | None) -> None:
    frame = pl.DataFrame({"raw_model": [raw]}, schema={"raw_model": pl.String})
    assert frame.select(region_scope(pl.col("raw_model"))).item() == scope
    if raw is not None:
        assert take_apart(raw).region_scope == scope


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (SONNET, "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("gpt-4o-2024-11-20", "gpt-4o"),
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("amazon.nova-pro-v1:0", "nova-pro"),
        ("gemini-2.5-flash-preview", "gemini-2-5-flash-preview"),
    ],
)
def test_what_sellers_of_a_model_have_in_common_in_its_name(model: str, name: str) -> None:
    assert family(model) == name
    assert family(name) == name


@pytest.mark.parametrize(
    ("raw", "customised"),
    [
        ("ft:gpt-4o-mini:acme::x", True),
        ("openai/ft:gpt-4o:acme", True),
        (f"{ARN}provisioned-model/abc", True),
        (f"{ARN}custom-model/amazon.nova-pro-v1:0/abc", True),
        ("imported-model/abc", True),
        ("projects/p/locations/us/endpoints/123", True),
        (f"{ARN}application-inference-profile/abc", False),
        (f"us.{SONNET}", False),
        ("microsoft-gpt-4o", False),
        ("gpt-4o", False),
    ],
)
def test_which_models_are_the_accounts_own(raw: str, customised: bool) -> None:
    assert is_customised(raw) == customised
