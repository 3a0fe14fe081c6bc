"""``fields`` of a source whose format is ``mapped``: where each column of the usage table stands in its records.

Only what the config may say, and what is wrong with it; how values are read stands in ``formats.mapped``.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from finops_pipeline.config.section import Section, Text

MAX_PATH = 200
"""Characters of a path."""

_KEY = r'\.(?:[\w@:-]+|"[^"\\\x00-\x1f\x7f\ud800-\udfff]+")'
_PLACE = r"\[(?:#-[1-9]|[0-9])[0-9]{0,6}\]"
PATH = re.compile(rf"\${_KEY}(?:{_KEY}|{_PLACE})*")
"""Keys and places in arrays, from the record on: a part of DuckDB's JSON paths, so that what passes can be read."""

MATCHES = re.compile(rf"\${_KEY}(?:{_KEY}|{_PLACE}|\[\*\])*")
"""The same with ``[*]`` for each place in an array."""


def _path(value: str) -> str:
    if not PATH.fullmatch(value) or len(value) > MAX_PATH:
        raise ValueError('expected a path such as $.usage.input, $.choices[0].finish_reason or $."key with.dots"')
    return value


def _path_of_matches(value: str) -> str:
    if not MATCHES.fullmatch(value) or len(value) > MAX_PATH:
        raise ValueError(
            "expected a path such as $.usage.searches, or one with [*] such as $.calls[*].id, whose matches count"
        )
    return value


JsonPath = Annotated[str, AfterValidator(_path)]
"""Where a value stands in a record."""

JsonMatches = Annotated[str, AfterValidator(_path_of_matches)]
"""Where a number stands in a record, or what is counted in it."""


class Column(Section):
    """Where a column stands; a path alone is short for it."""

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"path": value}
        if value is not None and not isinstance(value, dict):
            raise ValueError("expected a path such as $.usage.input, or keys with values")
        return value


class TextColumn(Column):
    """A text: of the record, or one that holds for all of the source."""

    path: JsonPath | None = Field(default=None, description="Where it stands in a record")
    value: Text | None = Field(default=None, description="In place of a path: what it is for all records")
    values: dict[Text, Text] = Field(default={}, description="Text in the log: what it is called here")

    @model_validator(mode="after")
    def _path_or_value(self) -> Self:
        if (self.path is None) == (self.value is None):
            raise ValueError("expected either a path or a value")
        return self


class StatusColumn(Column):
    """Whether the call failed: words such as ``success`` and ``failed``, or HTTP status codes, are known."""

    path: JsonPath = Field(description="Where it stands in a record")
    values: dict[Text, Literal["ok", "error"]] = Field(default={}, description="Text in the log: ok or error")


class FlagColumn(Column):
    """Yes or no: ``true``, ``false``, 1 and 0 are known."""

    path: JsonPath | None = Field(default=None, description="Where it stands in a record")
    value: bool | None = Field(default=None, description="In place of a path: what it is for all records")
    values: dict[Text, bool] = Field(default={}, description="Text in the log: true or false; others are unknown")

    @model_validator(mode="after")
    def _path_or_value(self) -> Self:
        if (self.path is None) == (self.value is None):
            raise ValueError("expected either a path or a value")
        return self


class TimeColumn(Column):
    """A time; one without a zone is UTC."""

    path: JsonPath = Field(description="Where it stands in a record")
    format: Literal["iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"] = Field(
        default="iso", description="ISO 8601, or what is counted since 1970"
    )


class TokensColumn(Column):
    """A number of tokens."""

    path: JsonPath = Field(description="Where it stands in a record")
    unit: Literal["tokens", "k"] = Field(default="tokens", description="tokens, or k for thousands of them")


class CostColumn(Column):
    """An amount of money."""

    path: JsonPath = Field(description="Where it stands in a record")
    unit: Literal["usd", "cents", "microdollars"] = Field(default="usd", description="What the log counts")


class DurationColumn(Column):
    """A duration."""

    path: JsonPath = Field(description="Where it stands in a record")
    unit: Literal["ms", "s", "us", "ns"] = Field(default="ms", description="What the log counts")


class CountColumn(Column):
    """A whole number, or how often a path with ``[*]`` matches."""

    path: JsonMatches = Field(description="Where it stands in a record")


class TagsColumn(Column):
    """Labels: an object, a list of keys with values, or a list of texts ``key:value``."""

    path: JsonPath = Field(description="Where they stand in a record")


class Conventions(Section):
    """What a writer of logs decides for all its records."""

    tokens: Literal["inclusive", "exclusive"] | None = Field(
        default=None,
        description="Whether input_tokens includes those of the cache: inclusive (as OpenAI's) or exclusive",
    )
    reasoning: Literal["included", "excluded"] | None = Field(
        default=None, description="Whether output_tokens includes reasoning_tokens: included (as OpenAI's) or excluded"
    )
    absent: list[Text] = Field(default=[], description="Texts that stand for nothing, such as - or REDACTED")
    embedded: list[JsonPath] = Field(
        default=[], description="Values that are JSON written as a text: paths may lead through"
    )
    prompt: dict[Literal["system", "messages", "prompt", "input", "tools"], JsonPath] = Field(
        default={}, description="Where the prompt stands, for its keyed hash: nothing else of it is kept"
    )
    not_usage_without: list[Text] = Field(
        default=[], description="Columns that each model call has: a record that lacks one is none"
    )


class Fields(Conventions):
    """Columns of the usage table, by their names, and the conventions of the log that they stand in."""

    event_time: TimeColumn = Field(description="When the call was made: its path, such as $.timestamp")
    request_id: TextColumn | None = None
    provider: TextColumn | None = None
    service: TextColumn | None = None
    account: TextColumn | None = None
    region_scope: TextColumn | None = None
    raw_model: TextColumn | None = None
    operation: TextColumn | None = None
    application: TextColumn | None = None
    principal: TextColumn | None = None
    team: TextColumn | None = None
    project: TextColumn | None = None
    environment: TextColumn | None = None
    user_id: TextColumn | None = None
    end_user: TextColumn | None = None
    api_key_id: TextColumn | None = None
    tags: TagsColumn | None = None
    service_tier: TextColumn | None = None
    stream: FlagColumn | None = None
    batch: FlagColumn | None = None
    gateway_cache_hit: FlagColumn | None = None
    status: StatusColumn | None = None
    error_code: TextColumn | None = None
    request_count: CountColumn | None = None
    input_tokens: TokensColumn | None = None
    cache_read_tokens: TokensColumn | None = None
    cache_write_5m_tokens: TokensColumn | None = None
    cache_write_1h_tokens: TokensColumn | None = None
    output_tokens: TokensColumn | None = None
    reasoning_tokens: TokensColumn | None = None
    input_audio_tokens: TokensColumn | None = None
    input_image_tokens: TokensColumn | None = None
    output_audio_tokens: TokensColumn | None = None
    output_image_tokens: TokensColumn | None = None
    web_searches: CountColumn | None = None
    tool_calls: CountColumn | None = None
    latency_ms: DurationColumn | None = None
    first_token_ms: DurationColumn | None = None
    finish_reason: TextColumn | None = None
    trace_id: TextColumn | None = None
    session_id: TextColumn | None = None
    reported_cost: CostColumn | None = None
    saved_cache_cost: CostColumn | None = None
    usage_quality: TextColumn | None = None

    @field_validator("prompt", mode="before")
    @classmethod
    def _prompt_has_members(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("expected members of the prompt with their paths, such as {messages: $.request.messages}")
        return value

    @model_validator(mode="after")
    def _conventions_are_told(self) -> Self:
        of_cache = self.cache_read_tokens or self.cache_write_5m_tokens or self.cache_write_1h_tokens
        if of_cache and self.tokens is None:
            raise ValueError(
                "expected `tokens`: inclusive if the log's input_tokens include those of the cache, else exclusive"
            )
        if self.reasoning_tokens and self.reasoning is None:
            raise ValueError(
                "expected `reasoning`: included if the log's output_tokens include reasoning_tokens, else excluded"
            )
        return self

    @model_validator(mode="after")
    def _known_columns(self) -> Self:
        for name in self.not_usage_without:
            if name not in self.columns():
                raise ValueError(f"expected columns that stand here too under not_usage_without; got {name[:40]!r}")
        return self

    @model_validator(mode="after")
    def _embedded_apart(self) -> Self:
        for inner in self.embedded:
            if any(inner.startswith((f"{outer}.", f"{outer}[")) for outer in self.embedded):
                raise ValueError(f"expected no embedded path inside another; got {inner}")
        return self

    def columns(self) -> dict[str, Column]:
        """The columns that the log has, by name."""
        return {
            name: column
            for name in type(self).model_fields
            if name not in Conventions.model_fields and (column := getattr(self, name)) is not None
        }
