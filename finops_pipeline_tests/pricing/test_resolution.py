from decimal import Decimal
from typing import Any

import pytest

AWS_SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("provider", "raw_model", "found"),
    [
        ("openai", "gpt-4o-2024-08-06", ("openai", "gpt-4o")),
        ("openai", "openai/gpt-4o", ("openai", "gpt-4o")),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::x", ("openai", "ft:gpt-4o-mini")),
        ("openai", "ft:gpt-4.1-2025-04-14:acme::x", None),
        ("anthropic", "claude-sonnet-4-5-20250929", ("anthropic", "claude-sonnet-4-5")),
        ("google", "publishers/anthropic/models/claude-sonnet-4-5@20250929", ("google", "claude-sonnet-4-5")),
        ("google", "publishers/google/models/gemini-2.5-flash", ("google", "gemini-2.5-flash")),
        ("aws", f"global.{AWS_SONNET}", ("aws", AWS_SONNET)),
        ("aws", f"arn:aws:bedrock:eu-west-1:1:inference-profile/eu.{AWS_SONNET}", ("aws", AWS_SONNET)),
        ("aws", "amazon.titan-embed-text-v2:0", ("aws", "amazon.titan-embed-text-v2:0")),
        ("aws", "amazon.titan-embed-text-v9:0", None),
        ("aws", "gpt-5", None),
        ("groq", "openai/gpt-oss-120b", ("groq", "openai/gpt-oss-120b")),
        ("azure", "o1", ("azure", "o1")),
        ("azure", "azure/eu/gpt-4o-2024-08-06", None),
        ("azure", "azure/us/gpt-4.1-2025-04-14", None),
        ("google", "gemini-1.5-flash-8b", ("google", "gemini-flash-1.5-8b")),
        ("google", "gemini/gemini-1.5-flash-8b-001", ("google", "gemini-flash-1.5-8b")),
        ("google", "gemini-1.5-flash-002", ("google", "gemini-1.5-flash")),
    ],
)
def test_at_a_known_provider(provider: str, raw_model: str, found: tuple[str, str] | None, catalogue_book: Any) -> None:
    resolution = catalogue_book.resolver(provider, raw_model)
    assert (resolution.price_provider, resolution.model) == (found or (None, None))
    assert resolution.reason == (None if found else "unresolved_model")
    assert not resolution.borrowed


def test_azure_sells_openais_models_at_their_standard_prices_only(rated: Any) -> None:
    call = {"provider": "azure", "raw_model": "azure/gpt-5", "output_tokens": 1_000_000}
    assert rated(**call)["cost"] == 10
    assert rated(**call, batch=True)["price_reason"] == "unknown_tier"


@pytest.mark.parametrize(
    ("raw_model", "model"),
    [
        ("azure/global/gpt-4o-2024-11-20", "gpt-4o"),
        ("azure/global-standard/gpt-4o-mini", "gpt-4o-mini"),
        ("azure/gpt-35-turbo-0125", "gpt-3.5-turbo"),
        ("gpt-35-turbo-1106", "gpt-3.5-turbo-1106"),
        ("gpt-35-turbo-16k", "gpt-3.5-turbo-16k"),
    ],
)
def test_azures_own_spellings_of_openais_models(raw_model: str, model: str, catalogue_book: Any) -> None:
    resolution = catalogue_book.resolver("azure", raw_model)
    assert (resolution.price_provider, resolution.model, resolution.borrowed) == ("openai", model, True)


@pytest.mark.parametrize(
    ("provider", "raw_model"),
    [
        ("anthropic", "claude-opus-4-6-fast"),
        ("azure", "claude-opus-4-6-fast"),
        ("aws", "us.anthropic.claude-opus-4-6-fast-v1:0"),
        ("anthropic", "claude-opus-4-6-priority"),
        ("anthropic", "claude-haiku-4-5-flex"),
        ("anthropic", "claude-haiku-4-5@20251001-batch"),
        ("google", "gemini-3.6-flash-lite"),
        ("google", "gemini-2.0-flash-exp-image-generation"),
    ],
)
def test_a_variant_does_not_cost_what_the_model_costs(provider: str, raw_model: str, catalogue_book: Any) -> None:
    assert catalogue_book.resolver(provider, raw_model).reason == "unresolved_model"


@pytest.mark.parametrize(
    ("provider", "raw_model", "model"),
    [
        ("x-ai", "grok-4-fast", "grok-4-fast-reasoning"),
        ("openrouter", "anthropic/claude-opus-4.6-fast", "anthropic/claude-opus-4.6-fast"),
        ("google", "gemini-2.5-flash-lite-preview-09-2025", "gemini-2.5-flash-lite"),
        ("huggingface_nebius", "openai/gpt-oss-120b-fast", "openai/gpt-oss-120b"),
    ],
)
def test_unless_the_catalogue_says_so_itself(provider: str, raw_model: str, model: str, catalogue_book: Any) -> None:
    assert catalogue_book.resolver(provider, raw_model).model == model


@pytest.mark.parametrize("route", ["converse/", "invoke/", "us-east-1/", "bedrock/converse/us-east-1/", ""])
def test_a_path_before_a_cloud_id_does_not_hide_its_scope(route: str, rated: Any) -> None:
    call = {"provider": "aws", "output_tokens": 1_000_000}
    assert rated(raw_model=f"{route}global.{AWS_SONNET}", **call)["cost"] == 15
    assert rated(raw_model=f"{route}eu.{AWS_SONNET}", **call)["cost"] == Decimal("16.5")


def test_an_unknown_seller_has_the_vendors_standard_prices_only(rated: Any) -> None:
    call = {"raw_model": "gpt-5", "output_tokens": 1_000_000, "batch": True}
    assert rated(provider="openai", **call)["price_status"] == "priced"
    for seller in ("azure", "some-proxy"):
        assert rated(provider=seller, **call)["price_reason"] == "unknown_tier"


@pytest.mark.parametrize("provider", ["azure", "some-proxy", None])
@pytest.mark.parametrize(
    "raw_model",
    [
        "gpt-oss-120b", "openai/gpt-oss-120b", "deepseek-v3.2", "deepseek-v4-pro", "deepseek-chat", "kimi-k2-thinking",
        "command-r", "mistral-large-latest", "gemma-3-27b-it",
    ],
)  # fmt: skip
def test_an_open_weight_model_never_has_another_hosts_price(
    provider: str | None, raw_model: str, catalogue_book: Any
) -> None:
    assert catalogue_book.resolver(provider, raw_model).reason == "unresolved_model"


@pytest.mark.parametrize(
    ("raw_model", "found"),
    [
        ("groq/openai/gpt-oss-120b", ("groq", "openai/gpt-oss-120b")),
        ("deepseek/deepseek-chat", ("deepseek", "deepseek-chat")),
        ("mistral/mistral-large-latest", ("mistral", "mistral-large")),
    ],
)
def test_it_has_that_of_the_host_that_its_id_names(raw_model: str, found: tuple[str, str], catalogue_book: Any) -> None:
    resolution = catalogue_book.resolver(None, raw_model)
    assert (resolution.price_provider, resolution.model, resolution.borrowed) == (*found, False)


@pytest.mark.parametrize(
    ("raw_model", "found"),
    [
        ("gpt-4o", ("openai", "gpt-4o")),
        ("claude-sonnet-4-5", ("anthropic", "claude-sonnet-4-5")),
        ("gemini-2.5-pro", ("google", "gemini-2.5-pro")),
        ("text-embedding-3-small", ("openai", "text-embedding-3-small")),
        ("text-embedding-ada-002", ("openai", "text-embedding-ada-002")),
        ("voyage-3", ("voyageai", "voyage-3")),
        (f"us.{AWS_SONNET}", ("aws", AWS_SONNET)),
        ("azure/gpt-4o", ("openai", "gpt-4o")),
        ("anthropic/claude-sonnet-4-5", ("anthropic", "claude-sonnet-4-5")),
        ("qwen3-32b", None),
    ],
)
def test_without_a_provider_the_id_names_one_or_its_vendor(
    raw_model: str, found: tuple[str, str] | None, catalogue_book: Any
) -> None:
    resolution = catalogue_book.resolver(None, raw_model)
    assert (resolution.price_provider, resolution.model) == (found or (None, None))


@pytest.mark.parametrize(
    ("raw_model", "model"),
    [("gpt-4o", "gpt-4o"), ("gpt-oss-120b", None), ("deepseek-r1", None), ("deepseek-chat", None)],
)
def test_an_unknown_provider_is_taken_at_the_vendors_price_for_closed_models_only(
    raw_model: str, model: str | None, catalogue_book: Any
) -> None:
    assert catalogue_book.resolver("hosted_vllm", raw_model).model == model


def test_rows_without_a_provider_serve_every_provider(rated: Any, book_of: Any) -> None:
    book = book_of({"provider": None, "model_key": "qwen3-32b"})
    for provider in ("hosted_vllm", None):
        row = rated(book, provider=provider, raw_model="hosted_vllm/qwen3-32b", input_tokens=1_000_000)
        assert row["price_reason"] == "unresolved_model"
        row = rated(book, provider=provider, raw_model="Qwen3-32B", input_tokens=1_000_000)
        assert (row["model"], row["cost"]) == ("qwen3-32b", 1)


def test_a_providers_own_row_beats_one_for_every_provider(rated: Any, book_of: Any) -> None:
    book = book_of({"provider": None}, {"unit_price": Decimal(2)})
    assert rated(book, provider="acme", raw_model="m", input_tokens=1_000_000)["cost"] == 2
    assert rated(book, provider="other", raw_model="m", input_tokens=1_000_000)["cost"] == 1


def test_an_alias_is_found_by_the_whole_id_or_its_last_part(rated: Any, book_of: Any) -> None:
    book = book_of({}, aliases={"Deployment-1": "m", "acme/whole": "m"})
    for raw in ("deployment-1", "azure/deployment-1", "acme/whole"):
        assert rated(book, provider="acme", raw_model=raw)["model"] == "m"
    assert rated(book, provider="acme", raw_model="whole")["model"] is None


def test_a_book_without_the_catalogue_knows_its_own_models_only(rated: Any, book_of: Any) -> None:
    assert rated(book_of({}), provider="openai", raw_model="gpt-5")["price_reason"] == "unresolved_model"


@pytest.mark.parametrize(
    ("provider", "model", "tokens"),
    [
        ("openai", "gpt-4o", 128_000),
        ("aws", "anthropic.claude-sonnet-4-5-20250929-v1:0", 200_000),
        ("google", "gemini-2.5-pro", None),  # the catalogue does not say
        ("openai", "nonsense", None),
        ("nobody", "gpt-4o", None),
        (None, "gpt-4o", None),
    ],
)
def test_how_much_input_a_model_takes(
    provider: str | None, model: str, tokens: int | None, catalogue_book: Any, book_of: Any
) -> None:
    assert catalogue_book.resolver.context_window(provider, model) == tokens
    assert book_of({}).resolver.context_window(provider, model) is None
