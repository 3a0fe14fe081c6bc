"""Providers and the services that bill, under one name each whatever a log calls them.

Provider ids are those of the price catalogue (genai-prices); unknown names stay as they are.
"""

import polars as pl

_SAME = {
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "aws_bedrock": "aws",
    "aws.bedrock": "aws",
    "amazon": "aws",
    "sagemaker": "aws",
    "vertex_ai": "google",
    "vertex_ai_beta": "google",
    "gemini": "google",
    "xai": "x-ai",
    "x_ai": "x-ai",
    "mistral_ai": "mistral",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
}

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
    "vertex_ai": "Google Vertex AI",
    "vertex_ai_beta": "Google Vertex AI",
    "gemini": "Gemini API",
    "aws": "Amazon Bedrock",
    "openai": "OpenAI API",
    "anthropic": "Anthropic API",
    "azure": "Azure OpenAI",
}


def provider_id(name: pl.Expr) -> pl.Expr:
    """The catalogue's id of a provider's or gateway's name for it."""
    lowered = name.str.to_lowercase()
    return (
        pl.when(lowered.str.starts_with("azure"))
        .then(pl.lit("azure"))
        .when(lowered.str.starts_with("gcp."))
        .then(pl.lit("google"))
        .otherwise(lowered.replace(_SAME))
    )


def service_of(name: pl.Expr) -> pl.Expr:
    """The service that bills, from a provider's name in a log; null where it is not known."""
    lowered = name.str.to_lowercase()
    exact = lowered.replace_strict(_SERVICE_OF, default=None, return_dtype=pl.String)
    return exact.fill_null(provider_id(name).replace_strict(_SERVICE_OF, default=None, return_dtype=pl.String))


def provider_of(service: pl.Expr) -> pl.Expr:
    """The provider behind a service that bills; null where it is not known."""
    return service.replace_strict(SERVICES, default=None, return_dtype=pl.String)
