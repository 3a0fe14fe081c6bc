"""Calls as the LiteLLM proxy logs them to S3: one JSON document an object, its start time in the name.

Retries and fallbacks of a request share its trace id. Audit lines of the proxy lie beside the calls.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator

import msgspec

from finops_pipeline.demo.manifest import Tally
from finops_pipeline.demo.oddities import Every
from finops_pipeline.demo.traffic import Call, calls_of

AUDIT_INTERVAL_DAYS = 7

_PROVIDERS = {"OpenAI API": "openai", "Gemini API": "gemini", "Self-hosted": "hosted_vllm"}
_ENCODER = msgspec.json.Encoder()


class LitellmLogs:
    """Writes the days in turn."""

    prefix = "gateway/llm-logs"

    def __init__(self, scale: float) -> None:
        self.tally = Tally("gateway")
        self._scale = scale
        self._logged_twice, self._torn = Every(190, 15), Every(800, 20)

    def day(self, day: dt.date) -> Iterator[tuple[str, bytes]]:
        """Keys below the prefix, and bodies, of the objects of a UTC day."""
        tally = self.tally
        for call in calls_of("gateway", day, self._scale):
            document = _ENCODER.encode(_document(call, call.at_ms * 1000))
            tally.call(call, reported_nano_usd=_reported_nano_usd(call))
            yield _key(call, call.at_ms * 1000), tally.stored(document)
            if self._logged_twice():  # a defect of the proxy: two log calls, some microseconds apart
                tally.duplicate()
                again = call.at_ms * 1000 + 37
                yield _key(call, again), tally.stored(_ENCODER.encode(_document(call, again)))
            if self._torn():  # an upload that broke off; the proxy made it again under the next microsecond
                tally.broken()
                yield _key(call, call.at_ms * 1000 + 1), tally.stored(document[: len(document) // 2])
        if day.toordinal() % AUDIT_INTERVAL_DAYS == 0:
            tally.not_usage()
            yield f"audit_logs/{day}/14-20-00_aud-{day:%m%d}.json", tally.stored(_ENCODER.encode(_audit(day)))


def _key(call: Call, at_us: int) -> str:
    instant = dt.datetime.fromtimestamp(at_us // 1_000_000, dt.UTC)
    name = f"time-{instant:%H-%M-%S}-{at_us % 1_000_000:06d}_{_call_id(call)}.json"
    team = call.workload.team
    return f"{team}/{instant:%Y-%m-%d}/{name}" if team else f"{instant:%Y-%m-%d}/{name}"


def _call_id(call: Call) -> str:
    suffix = f"_cache_hit{call.at_ms / 1000}" if call.gateway_cache_hit else ""
    return f"chatcmpl-{call.request_id}{suffix}"


def _reported_nano_usd(call: Call) -> int:
    return 0 if call.error or call.gateway_cache_hit else call.cost_nano_usd


def _document(call: Call, at_us: int) -> dict[str, object]:
    w, cost = call.workload, _reported_nano_usd(call) / 1e9
    provider = _PROVIDERS[call.model.service]
    model = f"{provider}/{call.model.raw}"
    prompt = call.input_tokens + call.cache_read_tokens  # includes what was cached
    start = at_us / 1e6
    latency_ms = 4 if call.gateway_cache_hit else call.latency_ms
    end = (at_us + latency_ms * 1000) / 1e6
    usage: dict[str, object] = {
        "prompt_tokens": prompt,
        "completion_tokens": call.output_tokens,
        "total_tokens": prompt + call.output_tokens,
        "prompt_tokens_details": {"audio_tokens": None, "cached_tokens": call.cache_read_tokens},
        "completion_tokens_details": {"audio_tokens": None, "reasoning_tokens": call.reasoning_tokens},
    }
    key = hashlib.sha256(w.name.encode()).hexdigest()
    return {
        "id": _call_id(call),
        "trace_id": f"trace-{call.trace_id}",
        "litellm_call_id": f"call-{call.request_id}",
        "call_type": "aembedding" if "embedding" in call.model.raw else "acompletion",
        "stream": None,
        "response_cost": cost,
        "cost_breakdown": None,
        "status": "failure" if call.error else "success",
        "custom_llm_provider": provider,
        "total_tokens": prompt + call.output_tokens,
        "prompt_tokens": prompt,
        "completion_tokens": call.output_tokens,
        "startTime": start,
        "endTime": end,
        "completionStartTime": end,
        "response_time": latency_ms / 1000,
        "model": model,
        "model_group": call.model.raw,
        "metadata": {
            "user_api_key_hash": key,
            "user_api_key_alias": f"{w.name}-key",
            "user_api_key_team_id": f"team-{w.team}" if w.team else None,
            "user_api_key_team_alias": w.team,
            "user_api_key_project_id": w.project,
            "user_api_key_org_id": None,
            "user_api_key_user_id": f"u-{w.name}-{call.worker}",
            "usage_object": {} if call.error else usage,
        },
        "cache_hit": call.gateway_cache_hit,
        "cache_key": call.trace_id if call.gateway_cache_hit else None,
        "saved_cache_cost": call.cost_nano_usd / 1e9 if call.gateway_cache_hit else 0.0,
        "request_tags": [f"env:{w.environment}"],
        "end_user": "",
        "messages": [{"role": "user", "content": call.prompt}],
        "error_str": f"litellm.APIError: {call.error}" if call.error else None,
        "error_information": {"error_code": call.error, "llm_provider": provider if call.error else ""},
        "model_parameters": {"temperature": 0, "stream": False},
        "hidden_params": {"batch_models": None, "litellm_model_name": model, "response_cost": cost},
    }


def _audit(day: dt.date) -> dict[str, object]:
    return {
        "id": f"aud-{day:%m%d}",
        "updated_at": f"{day}T14:20:00+00:00",
        "changed_by": "admin",
        "action": "created",
        "table_name": "LiteLLM_VerificationToken",
        "updated_values": "{}",
    }
