"""LiteLLM's rules one by one: what prompt_tokens includes, the gateway's own cache, who is who."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from finops_pipeline.schemas import TOKEN_CLASSES, TOKEN_PARTS

UsageOf = Callable[..., list[dict[str, Any]]]


def call(usage: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    record = {
        "id": "r",
        "status": "success",
        "startTime": 1791208800.0,
        "endTime": 1791208801.5,
        "completionStartTime": 1791208800.25,
        "model": "openai/gpt-4o-mini",
        "custom_llm_provider": "openai",
        "prompt_tokens": 1000,
        "completion_tokens": 50,
        "metadata": {"usage_object": usage, **(metadata or {})},
    }
    return record | fields


def classes(row: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(row[name] for name in TOKEN_CLASSES)


def test_input_is_what_the_cache_did_not_touch(usage_of: UsageOf) -> None:
    details = {
        "cached_tokens": 600,
        "cache_creation_tokens": 300,
        "cache_creation_token_details": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    }
    row = usage_of("litellm", call({"prompt_tokens_details": details}))[0]
    assert classes(row) == (100, 600, 100, 200, 50)


def test_cache_counts_may_stand_flat_and_without_a_split(usage_of: UsageOf) -> None:
    row = usage_of("litellm", call({"cache_read_input_tokens": 600, "cache_creation_input_tokens": 300}))[0]
    assert classes(row) == (100, 600, 300, 0, 50)


def test_a_writer_of_the_other_convention_is_not_subtracted(usage_of: UsageOf) -> None:
    row = usage_of("litellm", call({"cache_read_input_tokens": 5000}, prompt_tokens=40))[0]
    assert classes(row) == (40, 5000, 0, 0, 50)


def test_answers_of_the_gateway_s_cache_bill_nothing(usage_of: UsageOf) -> None:
    usage = {"completion_tokens_details": {"reasoning_tokens": 20}}
    row = usage_of("litellm", call(usage, cache_hit=True, saved_cache_cost=0.002))[0]
    assert classes(row) == (0, 0, 0, 0, 0)
    assert (row["reasoning_tokens"], row["gateway_cache_hit"], row["saved_cache_cost"]) == (0, True, Decimal("0.002"))


def test_a_reported_cost_of_zero_stays_zero_and_an_absent_one_null(usage_of: UsageOf) -> None:
    rows = usage_of("litellm", call(response_cost=0), call(id="s"), call(id="t", response_cost=7.74e-05))
    assert [row["reported_cost"] for row in rows] == [Decimal(0), None, Decimal("0.0000774")]


@pytest.mark.parametrize(
    ("name", "provider", "service"),
    [
        ("openai", "openai", "OpenAI API"),
        ("azure", "azure", "Azure OpenAI"),
        ("azure_ai", "azure", "Azure OpenAI"),
        ("bedrock", "aws", "Amazon Bedrock"),
        ("vertex_ai", "google", "Google Vertex AI"),
        ("gemini", "google", "Gemini API"),
        ("anthropic", "anthropic", "Anthropic API"),
        ("vertex_ai-anthropic_models", "google", "Google Vertex AI"),
        ("azure_text", "azure", "Azure OpenAI"),
        ("text-completion-openai", "openai", "OpenAI API"),
        ("text-completion-codestral", "mistral", None),
        ("xai", "x-ai", None),
        ("OpenAI", "openai", "OpenAI API"),
        ("hosted_vllm", "hosted_vllm", None),
        ("MyProxy", "MyProxy", None),
    ],
)
def test_providers_have_one_name(usage_of: UsageOf, name: str, provider: str, service: str | None) -> None:
    row = usage_of("litellm", call(custom_llm_provider=name))[0]
    assert (row["provider"], row["service"]) == (provider, service)


def test_only_bedrock_ids_have_a_scope(usage_of: UsageOf) -> None:
    rows = usage_of(
        "litellm",
        call(id="a", custom_llm_provider="bedrock", model="bedrock/eu.amazon.nova-pro-v1:0"),
        call(id="b"),
    )
    assert [row["region_scope"] for row in rows] == ["geo:eu", None]


def test_latency_and_first_token(usage_of: UsageOf) -> None:
    rows = usage_of(
        "litellm",
        call(id="a", stream=True),
        call(id="b", stream=None, model_parameters={"stream": True}),
        call(id="c", stream=False),
    )
    assert [(row["stream"], row["latency_ms"], row["first_token_ms"]) for row in rows] == [
        (True, 1500, 250), (True, 1500, 250), (False, 1500, None),
    ]  # fmt: skip


def test_people_keys_and_customers(usage_of: UsageOf) -> None:
    metadata = {
        "user_api_key_hash": "k-1",
        "user_api_key_team_alias": "search",
        "user_api_key_team_id": "t-9",
        "user_api_key_project_id": "p-1",
        "user_api_key_user_id": "u-ana",
    }
    row = usage_of("litellm", call(metadata=metadata, end_user="customer-77", trace_id="t"))[0]
    names = ("api_key_id", "team", "project", "user_id", "end_user", "trace_id")
    assert [row[name] for name in names] == ["k-1", "search", "p-1", "u-ana", "customer-77", "t"]


def test_tags_are_keys_and_values(usage_of: UsageOf) -> None:
    row = usage_of("litellm", call(request_tags=["env:prod", "url:http://x", "batchable"]))[0]
    assert row["tags"] == [
        {"key": "env", "value": "prod"},
        {"key": "url", "value": "http://x"},
        {"key": "batchable", "value": None},
    ]
    assert row["environment"] == "prod"


def test_failures_and_batches(usage_of: UsageOf) -> None:
    failed = call(id="f", status="failure", error_information={"error_code": "429"})
    del failed["prompt_tokens"], failed["completion_tokens"]
    rows = usage_of("litellm", failed, call(id="b", call_type="aretrieve_batch"), call(id="c"))
    assert [(row["status"], row["error_code"], row["batch"]) for row in rows] == [
        ("error", "429", False), ("ok", None, True), ("ok", None, False),
    ]  # fmt: skip
    assert classes(rows[0]) == (0, 0, 0, 0, 0)


def test_models_of_a_batch_make_one_and_an_empty_list_does_not(usage_of: UsageOf) -> None:
    rows = usage_of(
        "litellm",
        call(id="a", hidden_params={"batch_models": ["gpt-4o"]}),
        call(id="b", hidden_params={"batch_models": []}),
        call(id="c", hidden_params={"batch_models": None}),
    )
    assert [row["batch"] for row in rows] == [True, False, False]


def test_without_a_status_an_error_code_tells(usage_of: UsageOf) -> None:
    code = {"error_code": "500"}
    rows = usage_of(
        "litellm",
        call(id="a", status=None, error_information=code),
        call(id="b", status=None, error_information={"error_code": ""}),
        call(id="c", status="success", error_information=code),
    )
    assert [row["status"] for row in rows] == ["error", "ok", "ok"]


def test_parts_of_input_and_output(usage_of: UsageOf) -> None:
    usage = {
        "prompt_tokens_details": {"audio_tokens": 1, "image_tokens": 2},
        "completion_tokens_details": {"audio_tokens": 3, "image_tokens": 4, "reasoning_tokens": 5},
    }
    row = usage_of("litellm", call(usage))[0]
    assert [row[name] for name in TOKEN_PARTS] == [5, 1, 2, 3, 4]


def test_audit_logs_are_known_by_their_keys(outcomes_of: Callable[..., dict[str, int]]) -> None:
    audit = {"id": "x", "action": "updated", "object_id": "k"}
    assert outcomes_of("litellm", {"audit_logs/2026-10-05/14-20-00_aud-1.json": [audit]}) == {"not_usage": 1}
    assert outcomes_of("litellm", {"audit_logs/2026-10-05/time-14-20-00-000000_a.json": [call()]}) == {"usage": 1}


@pytest.mark.parametrize(
    ("response_cost", "parts", "reported"),
    [
        (0, {"input_cost": 0.01, "total_cost": 0.25}, "0.25"),
        (None, {"total_cost": 0.25}, "0.25"),
        (0.2, {"total_cost": 0.25}, "0.2"),
        (0, {"total_cost": 0.0}, "0"),
        (0, None, "0"),
    ],
)
def test_a_cost_that_was_lost_stands_in_its_parts(
    usage_of: UsageOf, response_cost: float | None, parts: dict[str, Any] | None, reported: str
) -> None:
    row = usage_of("litellm", call(response_cost=response_cost, cost_breakdown=parts))[0]
    assert row["reported_cost"] == Decimal(reported)


def test_parts_of_the_cost_that_a_cache_hit_repeats_are_not_its_cost(usage_of: UsageOf) -> None:
    row = usage_of("litellm", call(response_cost=0, cost_breakdown={"total_cost": 0.25}, cache_hit=True))[0]
    assert row["reported_cost"] == 0


def test_an_answer_of_the_gateway_s_cache_is_known_to_bill_nothing_without_counts(usage_of: UsageOf) -> None:
    row = usage_of("litellm", call(cache_hit=True, prompt_tokens=None, completion_tokens=None))[0]
    assert (classes(row), row["usage_quality"]) == ((0, 0, 0, 0, 0), "reported")


def test_a_call_without_counts_is_unknown(usage_of: UsageOf) -> None:
    row = usage_of("litellm", call(prompt_tokens=None, completion_tokens=None))[0]
    assert (classes(row), row["usage_quality"], row["tool_calls"]) == ((None,) * 5, "missing", None)


def test_tool_calls_of_all_answers_count(usage_of: UsageOf) -> None:
    answers = [{"message": {"tool_calls": [{"function": {}}, {"function": {}}]}}, {"message": {"tool_calls": None}}]
    assert usage_of("litellm", call(response={"choices": answers}))[0]["tool_calls"] == 2


def test_openai_s_default_tier_is_the_standard_one(usage_of: UsageOf) -> None:
    rows = usage_of(
        "litellm", call(response={"service_tier": "default"}), call(id="s", response={"service_tier": "flex"})
    )
    assert [row["service_tier"] for row in rows] == ["standard", "flex"]
