"""Bedrock's rules one by one: what stands in the body only, who called, where it ran."""

from collections.abc import Callable
from typing import Any

import pytest

UsageOf = Callable[..., list[dict[str, Any]]]


def call(operation: str = "Converse", body: object = None, **fields: Any) -> dict[str, Any]:
    record = {
        "timestamp": "2026-10-05T14:00:00Z",
        "requestId": "r",
        "operation": operation,
        "modelId": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "accountId": "123456789012",
        "input": {"inputTokenCount": 10, "cacheReadInputTokenCount": 0, "cacheWriteInputTokenCount": 900},
        "output": {"outputTokenCount": 5, "outputBodyJson": body},
    }
    return record | fields


def writes(row: dict[str, Any]) -> tuple[int, int]:
    return row["cache_write_5m_tokens"], row["cache_write_1h_tokens"]


def test_cache_writes_without_a_split_live_five_minutes(usage_of: UsageOf) -> None:
    assert writes(usage_of("bedrock", call())[0]) == (900, 0)


@pytest.mark.parametrize("order", [1, -1])
def test_converse_splits_cache_writes_by_its_details(usage_of: UsageOf, order: int) -> None:
    details = [{"ttl": "5m", "inputTokens": 200}, {"ttl": "1h", "inputTokens": 700}][::order]
    assert writes(usage_of("bedrock", call(body={"usage": {"cacheDetails": details}}))[0]) == (200, 700)


def test_converse_may_detail_each_checkpoint(usage_of: UsageOf) -> None:
    details = [{"ttl": ttl, "inputTokens": n} for ttl, n in (("1h", 400), ("1h", 300), ("5m", 150), ("5m", 50))]
    assert writes(usage_of("bedrock", call(body={"usage": {"cacheDetails": details}}))[0]) == (200, 700)


def test_a_detail_that_is_no_count_is_told_by_its_place(usage_of: UsageOf) -> None:
    details = [{"ttl": "5m", "inputTokens": 1}, {"ttl": "5m", "inputTokens": 2}, {"ttl": "1h", "inputTokens": -3}]
    with pytest.raises(AssertionError, match=r"cacheDetails\[2\]\.inputTokens: expected a whole number"):
        usage_of("bedrock", call(body={"usage": {"cacheDetails": details}}))


def test_invoke_splits_cache_writes_by_the_model_s_own_usage(usage_of: UsageOf) -> None:
    split = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 800}
    assert writes(usage_of("bedrock", call("InvokeModel", {"usage": {"cache_creation": split}}))[0]) == (100, 800)


def test_a_stream_of_invoke_is_read_at_its_ends(usage_of: UsageOf) -> None:
    chunks = [
        {
            "type": "message_start",
            "message": {
                "usage": {"cache_creation": {"ephemeral_1h_input_tokens": 900}, "service_tier": "priority"},
            },
        },
        {"type": "content_block_start", "content_block": {"type": "tool_use", "input": {}}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"amazon-bedrock-invocationMetrics": {"invocationLatency": 2100, "firstByteLatency": 300}},
    ]
    row = usage_of("bedrock", call("InvokeModelWithResponseStream", chunks))[0]
    assert writes(row) == (0, 900)
    assert (row["latency_ms"], row["first_token_ms"], row["stream"]) == (2100, 300, True)
    assert (row["finish_reason"], row["tool_calls"], row["service_tier"]) == ("tool_use", 1, "priority")


def test_converse_tells_latency_tier_stop_reason_and_tools(usage_of: UsageOf) -> None:
    content = [{"text": "let me look"}, {"toolUse": {"name": "a"}}, {"toolUse": {"name": "b"}}]
    body = {
        "metrics": {"latencyMs": 910},
        "stopReason": "tool_use",
        "serviceTier": {"type": "flex"},
        "output": {"message": {"content": content}},
    }
    row = usage_of("bedrock", call(body=body))[0]
    assert (row["latency_ms"], row["finish_reason"], row["service_tier"], row["tool_calls"]) == (
        910, "tool_use", "flex", 2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arn", "user"),
    [
        ("arn:aws:sts::1:assumed-role/support-bot/i-0abc", "support-bot/i-0abc"),
        ("arn:aws:sts::1:assumed-role/AWSReservedSSO_Dev_01/ana@example.com", "ana@example.com"),
        ("arn:aws:iam::1:user/ci-runner", "ci-runner"),
        ("arn:aws:iam::1:user/build/agents/ci-runner", "ci-runner"),
        ("arn:aws:iam::1:root", None),
        (None, None),
    ],
)
def test_who_called(usage_of: UsageOf, arn: str | None, user: str | None) -> None:
    row = usage_of("bedrock", call(identity={"arn": arn}))[0]
    assert (row["user_id"], row["principal"]) == (user, arn)


@pytest.mark.parametrize(
    ("model", "scope"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", "in-region"),
        ("eu.amazon.nova-pro-v1:0", "geo:eu"),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", "global"),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0", "in-region"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/apac.amazon.nova-lite-v1:0", "geo:apac"),
        ("arn:aws:bedrock:us-east-1:1:provisioned-model/p1q2r3", "in-region"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", None),
    ],
)
def test_where_it_ran(usage_of: UsageOf, model: str, scope: str | None) -> None:
    row = usage_of("bedrock", call(modelId=model))[0]
    assert (row["raw_model"], row["region_scope"]) == (model, scope)


def test_team_and_project_of_the_record_beat_those_of_the_body(usage_of: UsageOf) -> None:
    outer, inner = {"team": "search"}, {"team": "legal", "project": "contracts", "environment": "prod"}
    tokens = {"inputTokenCount": 1, "inputBodyJson": {"requestMetadata": inner}}
    row = usage_of("bedrock", call(requestMetadata=outer, input=tokens))[0]
    assert (row["team"], row["project"], row["environment"]) == ("search", "contracts", "prod")


def test_a_throttled_call_used_nothing_and_a_silent_one_is_unknown(usage_of: UsageOf) -> None:
    base = {k: v for k, v in call().items() if k not in ("input", "output")}
    throttled, silent = usage_of(
        "bedrock", base | {"requestId": "t", "errorCode": "ThrottlingException"}, base | {"requestId": "s"}
    )
    assert (throttled["status"], throttled["error_code"]) == ("error", "ThrottlingException")
    assert (throttled["input_tokens"], throttled["output_tokens"], throttled["usage_quality"]) == (0, 0, "reported")
    assert (silent["status"], silent["input_tokens"], silent["usage_quality"]) == ("ok", None, "missing")


def test_an_embedding_has_no_output(usage_of: UsageOf) -> None:
    row = usage_of("bedrock", call("InvokeModel", input={}, output={"outputBodyJson": {"inputTextTokenCount": 310}}))[0]
    assert (row["input_tokens"], row["output_tokens"]) == (310, 0)


def test_metadata_of_the_request_are_labels(usage_of: UsageOf) -> None:
    inner = {"inputBodyJson": {"requestMetadata": {"ticket": "T-7"}, "metadata": {"user_id": "customer-77"}}}
    outer, body = usage_of(
        "bedrock", call(requestMetadata={"team": "search", "tier": "gold"}), call(requestId="s", input=inner)
    )
    assert outer["tags"] == [{"key": "team", "value": "search"}, {"key": "tier", "value": "gold"}]
    assert (body["tags"], body["end_user"]) == ([{"key": "ticket", "value": "T-7"}], "customer-77")


def test_a_call_without_a_body_has_no_tool_calls_and_one_without_counts_unknown_ones(usage_of: UsageOf) -> None:
    counted, silent = usage_of("bedrock", call(), call(requestId="s", input={}, output={}))
    assert (counted["tool_calls"], silent["tool_calls"]) == (0, None)
