"""Model ids as logs write them, taken apart: what the id itself says about provider, scope and model.

Pure text; which model of the price book an id means is decided in ``resolution``.
"""

import re
from dataclasses import dataclass

import polars as pl

from finops_pipeline.distinct import once_each

GEOGRAPHIES = ("us", "us-gov", "eu", "apac", "au", "jp", "ca", "in")
"""Geographies of Amazon Bedrock's cross-region inference profiles, as they stand before the model's vendor."""

CLOUD_VENDORS = (
    "ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "luma", "meta", "minimax", "mistral", "moonshot",
    "moonshotai", "nvidia", "openai", "qwen", "stability", "twelvelabs", "writer", "zai",
)  # fmt: skip
"""Vendors that stand before the dot in Amazon Bedrock's model ids."""

OPAQUE_KINDS = (
    "application-inference-profile",
    "provisioned-model",
    "imported-model",
    "custom-model",
    "custom-model-deployment",
    "prompt-router",
    "default-prompt-router",
)
"""Amazon Bedrock resources whose id does not say which model answers."""

SCOPELESS_KINDS = ("application-inference-profile", "prompt-router", "default-prompt-router")
"""Those whose id does not say either where it answers; the others run in their own region."""

ROUTES = {
    "anthropic": "anthropic",
    "azure": "azure",
    "azure_ai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "deepseek": "deepseek",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "groq": "groq",
    "mistral": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
    "together_ai": "together",
    "vertex_ai": "google",
    "xai": "x-ai",
}
"""First path segments by which gateways (LiteLLM and its kin) name the provider: segment → provider."""

CUSTOMISED_KINDS = ("provisioned-model", "imported-model", "custom-model", "custom-model-deployment")
"""Those whose model was trained or reserved for the account: no other model stands in for it."""

_PLACE = r"^(global|apac|[a-z]{2}(?:-gov)?)\."  # a vendor's name is longer: new geographies are recognised too
_SCOPE = re.compile(_PLACE + r"(?=[a-z0-9-]+\.)")
_VENDOR = re.compile(rf"^(?:{'|'.join(CLOUD_VENDORS)})\.")
_STEPS = re.compile(r"^(?:(?:converse|converse_like|invoke|[a-z]{2}(?:-[a-z]+)+-\d|global|global-standard)/)+")
"""What gateways write between route and model where it does not change the price: Amazon Bedrock's API operations and
regions, Azure's global deployments. Azure's data zones (``azure/eu/…``) cost more: they stay in the id."""

_VERTEX_VERSION = re.compile(r"@[a-z0-9]*$")
_AZURE_SPELLING = re.compile(r"^gpt-35(?=-)")
_ANTHROPIC_VERSION = re.compile(r"^(anthropic\..+?)-v\d+(?::\d+)?$")


_CUSTOMISED = re.compile(rf"(?:^|[:/])(?:(?:{'|'.join(CUSTOMISED_KINDS)})/|ft:)|/endpoints/")
_DATE = re.compile(r"[-@]\d{4}-?\d\d-?\d\d$")
_RELEASE = re.compile(r"-v\d+(?::\d+)?$|-latest$")


@dataclass(frozen=True)
class ModelId:
    """A raw model id, taken apart.

    Attributes:
        names: Spellings to look up, lower case, from the id as logged to the most stripped one.
        provider: Whom the id itself names as the seller; None where it does not.
        region_scope: Where a cloud id is served (``global``, ``geo:us``, ``in-region``); None where it does not say.
        opaque: The id stands for a resource of the account, not for a model.
    """

    names: tuple[str, ...]
    provider: str | None
    region_scope: str | None
    opaque: bool


def take_apart(raw: str) -> ModelId:
    """What a raw model id says. To be called once for each distinct id: it is Python, not Polars."""
    text = raw.strip().lower()
    names = [text]
    provider, text = _without_route(text)
    names.append(text)
    kind, resource = _resource(text)
    if resource is not None:
        provider, text = provider or "aws", resource
    elif text.startswith(("projects/", "publishers/", "models/")):
        provider = provider or "google"
        kind = "endpoint" if "/endpoints/" in text else kind
        text = text.rsplit("models/", 1)[-1]
    opaque = kind == "endpoint" or kind in OPAQUE_KINDS
    scope = None if kind in SCOPELESS_KINDS else _scope(text, in_region=resource is not None)
    text = _SCOPE.sub("", text)
    names.append(text)
    if _VENDOR.match(text):
        provider = provider or "aws"
    if not text.startswith("ft:"):
        names.append(_VERTEX_VERSION.sub("", text))
        names.append(_ANTHROPIC_VERSION.sub(r"\1", text))
        names.append(_AZURE_SPELLING.sub("gpt-3.5", names[-1]))
    return ModelId(tuple(dict.fromkeys(name for name in names if name)), provider, scope, opaque)


def is_customised(raw: str) -> bool:
    """Whether the id means a model that was fine-tuned, imported or reserved for the account."""
    return bool(_CUSTOMISED.search(raw.strip().lower()))


def family(model: str) -> str:
    """What sellers of a model have in common in its name: without seller, vendor, date and release.

    ``claude-sonnet-4-5`` for ``anthropic.claude-sonnet-4-5-20250929-v1:0`` and ``anthropic/claude-sonnet-4.5``.
    """
    text = _VENDOR.sub("", model.strip().lower().rpartition("/")[2])
    return _DATE.sub("", _RELEASE.sub("", text)).replace(".", "-")


def region_scope(raw_model: pl.Expr) -> pl.Expr:
    """The scope that a cloud model id names: ``global``, ``geo:us`` and its like, else ``in-region``.

    An ARN has the scope of its last segment. Application inference profiles, prompt routers and null give null.
    Meant for ids of a cloud that has scopes (Amazon Bedrock); other providers' ids would all be ``in-region``.
    """
    return once_each(raw_model, _region_scope, pl.String)


def _region_scope(raw_model: pl.Expr) -> pl.Expr:
    text = raw_model.str.strip_chars().str.to_lowercase()
    place = text.str.extract(r"([^/]*)$").str.extract(_PLACE + r"[a-z0-9-]+\.")
    return (
        pl.when(text.is_null() | text.str.contains(rf"(?:^|[:/])(?:{'|'.join(SCOPELESS_KINDS)})/"))
        .then(pl.lit(None, dtype=pl.String))
        .when(place == "global")
        .then(place)
        .when(place.is_not_null())
        .then("geo:" + place)
        .otherwise(pl.lit("in-region"))
    )


def _without_route(text: str) -> tuple[str | None, str]:
    """Provider and rest of ``azure/gpt-5``, ``bedrock/converse/eu-west-1/anthropic.claude…``, ``invoke/us.meta…``."""
    head, slash, rest = text.partition("/")
    provider = ROUTES.get(head) if slash else None
    return provider, _STEPS.sub("", text if provider is None else rest)


def _resource(text: str) -> tuple[str | None, str | None]:
    """Kind and id of an Amazon Bedrock resource, given as an ARN or as ``kind/id``."""
    if text.startswith("arn:"):
        text = text.split(":", 5)[-1]
        kind, slash, rest = text.partition("/")
        return (kind, rest.rsplit("/", 1)[-1]) if slash else (None, text)
    kind, slash, rest = text.partition("/")
    return (kind, rest) if slash and kind in OPAQUE_KINDS else (None, None)


def _scope(text: str, *, in_region: bool) -> str | None:
    if found := _SCOPE.match(text):
        return "global" if found[1] == "global" else f"geo:{found[1]}"
    return "in-region" if in_region or _VENDOR.match(text) else None
