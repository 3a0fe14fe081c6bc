"""Chained hashes of a prompt's leading blocks: which calls begin alike, and how far, without a word of any prompt.

The texts of a prompt's system, tools and messages are joined in this order and cut every so many characters. The i-th
hash of a call stands for all that its first i blocks hold: calls that share it have the same text up to there, in
messages that begin at the same places in the same roles. (Engines that cache prefixes chain their blocks alike: vLLM,
Mooncake.) What is left over after the last full block has no hash.

A hash is the first 64 bits of an HMAC-SHA256 (RFC 2104), so that like a fingerprint it can neither be turned back nor
tested against a guess without the key.

Prompts are looked at one by one, and only those that may have a block; none is kept. DuckDB's list functions took five
times as long for the same, since each of them copies all texts.
"""

import hashlib
from collections.abc import Iterator
from functools import reduce
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from finops_pipeline.mediation.fingerprints import MEMBER, FingerprintKey

LONGEST_PROMPT = 8 << 20
"""Bytes, twice what the largest context windows hold. A longer prompt has no hashes: it may be nothing but brackets, of
which each would be an object in memory."""

_HASH_BYTES = 8
_ROLES = ("system", "tools", "")

_Turn = tuple[str, str]
"""Role and text of a message."""


def with_prefix_block_hashes(batch: pa.RecordBatch, key: FingerprintKey, block_chars: int) -> pa.RecordBatch:
    """The batch with ``prefix_block_hashes``; as it is where it has no members of the prompt.

    Null where there is no prompt, or none that was logged (where ``prompt_fingerprint`` is null), and where it is too
    long. An empty list where it has no full block.

    Args:
        batch: Has members of the prompt, which by their names are system prompts, tools or messages, and
            ``prompt_fingerprint``, where null is all that counts.
        key: What blocks are hashed with.
        block_chars: Characters of a block, at least 1.
    """
    members = [name for name in batch.schema.names if name.startswith(MEMBER)]
    if not members:
        return batch
    columns = sorted(((_role(name), batch.column(name)) for name in members), key=lambda m: _ROLES.index(m[0]))
    sizes = reduce(pc.add, (pc.fill_null(pc.cast(pc.binary_length(column), pa.int64()), 0) for _, column in columns))
    chain = _Chain(key, block_chars)
    hashes: list[list[int]] = [[] for _ in range(len(batch))]
    known = pc.and_(batch.column("prompt_fingerprint").is_valid(), pc.less_equal(sizes, LONGEST_PROMPT))
    # Nothing is looked into that is too short for a block: JSON is longer than the texts in it.
    for row in pc.indices_nonzero(pc.and_(known, pc.greater_equal(sizes, block_chars))).to_pylist():
        given = ((role, column[row].as_buffer()) for role, column in columns)
        hashes[row] = chain.hashes([turn for role, text in given if text for turn in _turns(role, text)])
    found = pc.if_else(known, pa.array(hashes, pa.list_(pa.int64())), None)
    return batch.append_column("prefix_block_hashes", found)


class _Chain:
    """HMAC-SHA256 of a prompt's beginning, block after block."""

    def __init__(self, key: FingerprintKey, block_chars: int) -> None:
        self._inner, self._outer = hashlib.sha256(key.inner_pad), hashlib.sha256(key.outer_pad)
        self._chars = block_chars

    def hashes(self, turns: list[_Turn]) -> list[int]:
        """One hash for each full block of the messages' texts.

        What is hashed of a block: how many messages begin in it, of each its place, the length of its role and the
        role, and then the block.
        """
        text = "".join(text for _, text in turns)
        within, waiting, begin, hashes = self._inner.copy(), 0, 0, []
        for end in range(self._chars, len(text) + 1, self._chars):
            marks = []
            while waiting < len(turns) and begin < end:
                role, said = turns[waiting]
                marks.append(f"{begin},{len(role)},{role}")
                begin += len(said)
                waiting += 1
            within.update(f"{len(marks)}:{''.join(marks)}{text[end - self._chars : end]}".encode())
            around = self._outer.copy()
            around.update(within.digest())
            hashes.append(int.from_bytes(around.digest()[:_HASH_BYTES], signed=True))
        return hashes


def _role(member: str) -> str:
    """What a member's messages are where they do not say it themselves."""
    name = member.removeprefix(MEMBER).lower()
    if name.startswith(("system", "instructions")):
        return "system"
    return "tools" if name.startswith(("tool", "functions")) else ""


def _turns(role: str, member: pa.Buffer) -> list[_Turn]:
    """The messages of a member of the prompt: a JSON list of messages, one message, or a text."""
    if member[0] not in b"[{":
        return [(role, str(member, "utf-8"))]
    try:
        told = msgspec.json.decode(member)
        return list(_messages(role, told if isinstance(told, list) else [told] if told else []))
    except (msgspec.DecodeError, RecursionError):
        return [(role, str(member, "utf-8"))]


def _messages(role: str, messages: list[Any]) -> Iterator[_Turn]:
    """Role and text of each: its content, of a list its parts' texts, then its tool calls; else itself as JSON."""
    for message in messages:
        if not isinstance(message, dict):
            yield role, _text(message)
            continue
        content, calls = _first(message, "content", "parts", "text"), message.get("tool_calls")
        if isinstance(content, list):
            parts = content
        elif content is not None:
            parts = [content]
        else:
            parts = [] if calls else [message]
        text = "".join(map(_part, parts)) + (_text(calls) if calls else "")
        yield _text(message.get("role") or role), text


def _part(part: Any) -> str:
    """The text of a part of a message: of an image or a tool call, its JSON."""
    text = _first(part, "text", "content") if isinstance(part, dict) else None
    return _text(part if text is None else text)


def _first(document: dict[str, Any], *names: str) -> Any:
    return next((document[name] for name in names if document.get(name) is not None), None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
