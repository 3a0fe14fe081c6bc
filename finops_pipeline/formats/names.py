"""The raw log formats by their names in the config, each with where it is declared.

Apart from the formats themselves, so that reading the config loads none of them. A new format is a module of its own
and a line here.
"""

_HERE = "finops_pipeline.formats"

FORMATS = {
    "bedrock": f"{_HERE}.bedrock:BEDROCK",
    "bedrock_batch": f"{_HERE}.bedrock_batch:BEDROCK_BATCH",
    "litellm": f"{_HERE}.litellm:LITELLM",
    "otel": f"{_HERE}.otel:OTEL",
    "openai": f"{_HERE}.openai:OPENAI",
    "openai_batch": f"{_HERE}.openai_batch:OPENAI_BATCH",
    "openai_usage": f"{_HERE}.openai_usage:OPENAI_USAGE",
    "anthropic": f"{_HERE}.anthropic:ANTHROPIC",
    "anthropic_batch": f"{_HERE}.anthropic_batch:ANTHROPIC_BATCH",
    "anthropic_usage": f"{_HERE}.anthropic_usage:ANTHROPIC_USAGE",
    "vertex": f"{_HERE}.vertex:VERTEX",
    "vertex_batch": f"{_HERE}.vertex_batch:VERTEX_BATCH",
    "azure_apim": f"{_HERE}.azure_apim:AZURE_APIM",
    "langfuse": f"{_HERE}.langfuse:LANGFUSE",
    "cloudflare": f"{_HERE}.cloudflare:CLOUDFLARE",
    "record": f"{_HERE}.record:RECORD",
    "mapped": f"{_HERE}.mapped:format_of_fields",
}
"""Name → ``module:declaration``; the declaration is a ``Format``, or a function from a source to one."""

FORMAT_NAMES = tuple(FORMATS)
