"""Providers and the services that bill, under one name each whatever a log calls them.

Provider ids are those of the price catalogue (genai-prices); unknown names stay as they are.
"""

import polars as pl

from finops_pipeline.distinct import once_each
from finops_pipeline.pricing.model_ids import region_scope

CATALOGUE = (
    "anthropic", "arcee", "avian", "aws", "azure", "baseten", "cerebras", "cloudflare", "cohere", "cursor",
    "databricks", "deepseek", "doubleword", "elevenlabs", "fireworks", "github-copilot", "google", "groq",
    "huggingface_cerebras", "huggingface_fireworks-ai", "huggingface_groq", "huggingface_hyperbolic",
    "huggingface_nebius", "huggingface_novita", "huggingface_nscale", "huggingface_ovhcloud", "huggingface_publicai",
    "huggingface_sambanova", "huggingface_together", "meta", "minimax", "mistral", "modal", "moonshotai", "novita",
    "openai", "openai-decisions", "openrouter", "ovhcloud", "perplexity", "quicksilverpro", "together", "typesafe",
    "voyageai", "x-ai", "zai", "zhipuai",
)  # fmt: skip
"""The catalogue's ids, so that they are known in any case."""

_SAME = {
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle": "aws",
    "aws_bedrock": "aws",
    "aws.bedrock": "aws",
    "amazon": "aws",
    "amazon_nova": "aws",
    "sagemaker": "aws",
    "sagemaker_chat": "aws",
    "gemini": "google",
    "palm": "google",
    "text-completion-openai": "openai",
    "aiohttp_openai": "openai",
    "anthropic_text": "anthropic",
    "cohere_chat": "cohere",
    "codestral": "mistral",
    "text-completion-codestral": "mistral",
    "mistral_ai": "mistral",
    "xai": "x-ai",
    "x_ai": "x-ai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks",
    "moonshot": "moonshotai",
    "voyage": "voyageai",
    "meta_llama": "meta",
}
"""What logs and gateways (LiteLLM's ``LlmProviders`` and the providers of its price list) call a provider: its id."""

_KNOWN = {name: name for name in CATALOGUE} | _SAME

_FAMILIES = {"azure": "azure", "vertex_ai": "google", "gcp.": "google"}
"""Beginnings of names that have many ends: ``azure_text``, ``vertex_ai-language-models``, ``gcp.gen_ai``."""

SERVICES = {
    "Amazon Bedrock": "aws",
    "OpenAI API": "openai",
    "Anthropic API": "anthropic",
    "Google Vertex AI": "google",
    "Gemini API": "google",
    "Azure OpenAI": "azure",
}
"""Service that bills: provider."""

_SERVICE_OF = {
    "gemini": "Gemini API",
    "aws": "Amazon Bedrock",
    "openai": "OpenAI API",
    "anthropic": "Anthropic API",
    "azure": "Azure OpenAI",
}


def provider_id(name: pl.Expr) -> pl.Expr:
    """The catalogue's id of a provider, from its own or a gateway's name for it; unknown names stay as they are."""
    return once_each(name, _provider_id, pl.String)


def _provider_id(name: pl.Expr) -> pl.Expr:
    lowered = name.str.to_lowercase()
    known = lowered.replace_strict(_KNOWN, default=None, return_dtype=pl.String)
    family = pl.coalesce(pl.when(lowered.str.starts_with(start)).then(pl.lit(of)) for start, of in _FAMILIES.items())
    return pl.coalesce(known, family, name)


def service_of(name: pl.Expr) -> pl.Expr:
    """The service that bills, from a provider's name in a log; null where it is not known."""
    return once_each(name, _service_of, pl.String)


def _service_of(name: pl.Expr) -> pl.Expr:
    lowered = name.str.to_lowercase().str.strip_prefix("gcp.")
    exact = lowered.replace_strict(_SERVICE_OF, default=None, return_dtype=pl.String)
    vertex = pl.when(lowered.str.starts_with("vertex_ai")).then(pl.lit("Google Vertex AI"))
    of_provider = _provider_id(name).replace_strict(_SERVICE_OF, default=None, return_dtype=pl.String)
    return pl.coalesce(exact, vertex, of_provider)


def seller_columns(name: pl.Expr, model: pl.Expr) -> dict[str, pl.Expr]:
    """``provider``, ``service`` and ``region_scope``, from a provider's name in a log and a model's id.

    Only Amazon Bedrock's ids tell where a call ran.
    """
    provider = provider_id(name)
    return {
        "provider": provider,
        "service": service_of(name),
        "region_scope": pl.when(provider == "aws").then(region_scope(model)),
    }


def provider_of(service: pl.Expr) -> pl.Expr:
    """The provider behind a service that bills; null where it is not known."""
    return service.replace_strict(SERVICES, default=None, return_dtype=pl.String)
