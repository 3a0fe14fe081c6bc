"""The made-up company of the demo: its six teams, the models that it uses and the workloads that call them.

Facts only. Prices are list prices of autumn 2026 in billionths of a US dollar a token; they serve the costs that
gateways and services write into their own logs, and no other purpose.
"""

from dataclasses import dataclass
from typing import Literal

Source = Literal["bedrock", "gateway", "internal"]
Hours = Literal["office", "service", "nightly"]
Api = Literal["converse", "converse_stream", "invoke", "invoke_stream", "embed"]


@dataclass(frozen=True)
class TeamFacts:
    """A team as finance knows it."""

    name: str
    owner: str
    cost_center: str
    email: str


TEAMS = (
    TeamFacts("engineering", "VP Engineering", "CC-320", "engineering@example.com"),
    TeamFacts("legal", "General Counsel", "CC-410", "legal@example.com"),
    TeamFacts("analytics", "Head of Analytics", "CC-610", "analytics@example.com"),
    TeamFacts("support", "Head of Support", "CC-210", "support@example.com"),
    TeamFacts("marketing", "Head of Marketing", "CC-510", "marketing@example.com"),
    TeamFacts("search", "Search Lead", "CC-330", "search@example.com"),
)


@dataclass(frozen=True)
class Model:
    """A model as the logs name it.

    Attributes:
        raw: Its id in the log.
        service: The AI service that bills.
        nano_usd_per_token: Uncached input, cache read, 5-minute write, 1-hour write, output.
        writes_cache: Whether the provider bills the writing of its prompt cache.
    """

    raw: str
    service: str
    nano_usd_per_token: tuple[int, int, int, int, int]
    writes_cache: bool = False


MODELS = {
    "opus": Model(
        "global.anthropic.claude-opus-4-5-20251101-v1:0", "Amazon Bedrock", (5000, 500, 6250, 10000, 25000), True
    ),
    "opus-eu": Model(
        "eu.anthropic.claude-opus-4-5-20251101-v1:0", "Amazon Bedrock", (5500, 550, 6875, 11000, 27500), True
    ),
    "sonnet": Model(
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "Amazon Bedrock", (3300, 330, 4125, 6600, 16500), True
    ),
    "haiku": Model(
        "us.anthropic.claude-haiku-4-5-20251001-v1:0", "Amazon Bedrock", (1100, 110, 1375, 2200, 5500), True
    ),
    "haiku-eu": Model(
        "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "Amazon Bedrock", (1100, 110, 1375, 2200, 5500), True
    ),
    "nova-pro": Model("us.amazon.nova-pro-v1:0", "Amazon Bedrock", (800, 200, 0, 0, 3200)),
    "nova-lite": Model("us.amazon.nova-lite-v1:0", "Amazon Bedrock", (60, 15, 0, 0, 240)),
    "titan": Model(
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0",
        "Amazon Bedrock",
        (20, 0, 0, 0, 0),
    ),
    "gpt-5": Model("gpt-5", "OpenAI API", (1250, 125, 0, 0, 10000)),
    "gpt-5-mini": Model("gpt-5-mini", "OpenAI API", (250, 25, 0, 0, 2000)),
    "gpt-4o-mini": Model("gpt-4o-mini", "OpenAI API", (150, 75, 0, 0, 600)),
    "embedding-small": Model("text-embedding-3-small", "OpenAI API", (20, 0, 0, 0, 0)),
    "gemini-flash": Model("gemini-2.5-flash", "Gemini API", (300, 30, 0, 0, 2500)),
    "gemini-pro": Model("gemini-2.5-pro", "Gemini API", (1250, 125, 0, 0, 10000)),
    "sonnet-api": Model("claude-sonnet-4-5", "Anthropic API", (3000, 300, 3750, 6000, 15000), True),
    # The company's own fine-tune: on no price list, so the demo shows what an unknown model does to a statement.
    "own-tagger": Model("acme-ticket-tagger-8b", "Self-hosted", (0, 0, 0, 0, 0)),
}

UNPRICED_MODEL = MODELS["own-tagger"].raw


@dataclass(frozen=True)
class Workload:
    """Something of a team's that calls one model, over the two months.

    Attributes:
        calls: Calls in September and October together, retries not counted.
        growth: The last day has 1 + growth times the calls of the first.
        input_tokens, output_tokens, cached_tokens: Medians a call.
        cache_hit_share: Share of the calls that find their prefix in the provider's cache; the others write it.
        cache_growth: Part of the prefix that a hit adds to the cache.
        hour_cache_share: Share of the writes that pay for the 1-hour cache.
        gateway_cache_share: Share of the calls that the gateway answers from its own cache.
        repeat_share: Share of the calls that ask word for word what another one has asked.
        error_share: Share of the calls that fail first and are tried again.
        workers: How many processes or people call.
        reports_cost: Whether the caller writes what it believes to have paid.
    """

    source: Source
    team: str | None
    project: str | None
    model: str
    calls: int
    prompts: tuple[str, ...]
    name: str
    input_tokens: int
    output_tokens: int
    hours: Hours = "service"
    growth: float = 0.2
    api: Api = "converse"
    region: str = "us-east-1"
    environment: str | None = "prod"
    cached_tokens: int = 0
    cache_hit_share: float = 0.85
    cache_growth: float = 0.06
    hour_cache_share: float = 0.0
    reasoning_share: float = 0.0
    gateway_cache_share: float = 0.0
    repeat_share: float = 0.0
    error_share: float = 0.006
    errors: tuple[str, ...] = ("ThrottlingException",)
    workers: int = 4
    reports_cost: bool = True


_CODE = (
    "Fix the failing test in payments/ledger and explain the cause",
    "Add a retry with backoff to the export job",
    "Refactor the session store behind an interface",
    "Write a migration that splits the address column",
    "Find why the checkout page renders twice",
)
_REVIEW = ("Review this pull request for correctness", "Review this pull request for security", "Summarise this diff")
_CONTRACT = (
    "List every clause that limits our liability, with its paragraph",
    "Compare this supplier agreement with our template",
    "Does the data processing addendum meet our policy?",
)
_POLICY = ("How long do we keep invoices?", "May I sign an NDA myself?", "Who approves a trademark request?")
_HELP = (
    "How do I reset my password?",
    "Where is my invoice?",
    "My order has not arrived, what now?",
    "How do I change my plan?",
    "Please cancel my subscription",
    "The app closes when I open settings",
)
_CALLS = ("Summarise this call and name the customer's main complaint", "Rate the tone of this call from 1 to 5")
_SQL = (
    "Revenue by region for the last 13 weeks",
    "Customers whose usage fell by half since last quarter",
    "Churn by plan and month of signup",
    "Which campaigns brought trials that converted?",
)
_RESEARCH = ("Write a market note on cold-chain logistics", "Compare the filings of our three largest competitors")
_COPY = (
    "Write three subject lines for the autumn offer",
    "Shorten this product text to 60 words",
    "Translate to German",
)
_ANSWER = ("Answer from these passages and cite them", "Rewrite the query for retrieval", "Rank these passages")

WORKLOADS = (
    # Amazon Bedrock: 120,000 calls
    Workload("bedrock", "engineering", "coding-agent", "opus", 38_000, _CODE, "coding-agent", 8_500, 5_600, "office",
             growth=5.0, api="converse_stream", cached_tokens=88_000, cache_hit_share=0.93, hour_cache_share=0.25,
             error_share=0.02, errors=("ThrottlingException", "ThrottlingException", "ModelTimeoutException"),
             workers=90),
    Workload("bedrock", "engineering", "code-review", "sonnet", 8_000, _REVIEW, "code-review", 48_000, 3_400, "office",
             growth=0.8, cached_tokens=9_000, environment="ci", workers=12),
    Workload("bedrock", "legal", "contract-review", "opus-eu", 12_000, _CONTRACT, "contract-review", 108_000, 7_200,
             "office", api="invoke", region="eu-west-1", cached_tokens=14_000, hour_cache_share=0.7, workers=6),
    Workload("bedrock", "legal", "policy-desk", "haiku-eu", 4_000, _POLICY, "policy-desk", 9_000, 500, "office",
             region="eu-west-1", cached_tokens=20_000, repeat_share=0.5),
    Workload("bedrock", "support", "helpdesk", "sonnet", 22_000, _HELP, "helpdesk", 5_200, 420,
             api="converse_stream", cached_tokens=34_000, repeat_share=0.2, error_share=0.009, workers=8),
    Workload("bedrock", "support", "call-quality", "haiku", 10_000, _CALLS, "call-quality", 64_000, 1_600, "nightly",
             api="invoke_stream", growth=0.1, workers=3),
    Workload("bedrock", "search", "answers", "nova-pro", 13_500, _ANSWER, "answers", 26_000, 700, growth=0.4),
    Workload("bedrock", "search", "query-rewrite", "nova-lite", 5_500, _ANSWER, "query-rewrite", 2_200, 120),
    Workload("bedrock", "search", "index", "titan", 4_500, ("chunk of the handbook",), "index", 7_000, 0, "nightly",
             api="embed", error_share=0.0, workers=2),
    # People who try things in a notebook: nobody told the log which team they belong to.
    Workload("bedrock", None, None, "sonnet", 2_500, ("Try this prompt", "Is the model better now?"), "notebooks",
             32_000, 2_600, "office", api="invoke_stream", environment=None, workers=7),
    # The LiteLLM gateway: at most 4,000 objects, as it writes one for each request
    Workload("gateway", "marketing", "campaigns", "gpt-5", 1_150, _COPY, "campaigns", 52_000, 14_000, "office",
             growth=0.5, reasoning_share=0.6, error_share=0.02, errors=("429", "429", "503"), workers=9),
    Workload("gateway", "marketing", "localisation", "gemini-flash", 900, _COPY, "localisation", 30_000, 18_000,
             "office", reasoning_share=0.15, gateway_cache_share=0.06, errors=("503",), workers=4),
    Workload("gateway", "analytics", "dashboards", "gpt-4o-mini", 760, _SQL, "dashboards", 22_000, 900, "office",
             cached_tokens=12_000, gateway_cache_share=0.1, repeat_share=0.6, errors=("429",), workers=14),
    Workload("gateway", "support", "ticket-tags", "own-tagger", 480, _HELP, "ticket-tags", 36_000, 60,
             errors=("500",), workers=2),
    Workload("gateway", None, None, "embedding-small", 420, ("Classify: refund", "Classify: delivery"), "solo-key",
             6_000, 0, errors=("429",), workers=1),
    # Services that write a plain record of each call: 76,000 calls
    Workload("internal", "analytics", "text-to-sql", "gpt-5", 19_000, _SQL, "text-to-sql", 34_000, 7_800, "office",
             growth=0.5, cached_tokens=18_000, reasoning_share=0.5, errors=("rate_limit_exceeded",)),
    Workload("internal", "analytics", "market-research", "gemini-pro", 15_000, _RESEARCH, "market-research", 104_000,
             14_000, "nightly", growth=0.3, reasoning_share=0.4, errors=("RESOURCE_EXHAUSTED",), reports_cost=False),
    Workload("internal", "engineering", "incident-desk", "sonnet-api", 8_000, _CODE, "incident-desk", 58_000, 4_600,
             growth=1.2, cached_tokens=30_000, errors=("overloaded_error", "rate_limit_error")),
    Workload("internal", "marketing", "content-studio", "sonnet-api", 9_500, _COPY, "content-studio", 38_000, 9_000,
             "office", growth=0.6, errors=("overloaded_error",)),
    Workload("internal", "search", "reranker", "gpt-5-mini", 13_500, _ANSWER, "reranker", 17_000, 420,
             cached_tokens=3_000, errors=("rate_limit_exceeded",)),
    Workload("internal", "support", "mail-drafts", "gpt-4o-mini", 9_500, _HELP, "mail-drafts", 9_000, 650, "office",
             errors=("rate_limit_exceeded",), environment="prod"),
    Workload("internal", None, None, "gpt-5-mini", 1_500, _SQL, "unlabelled", 12_000, 900, environment=None,
             errors=("rate_limit_exceeded",)),
)  # fmt: skip
