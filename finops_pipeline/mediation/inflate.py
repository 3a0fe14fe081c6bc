"""Object bytes to plain bytes: gzip (multi-member) and zstd by magic bytes, never by name, within bounds."""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

from finops_pipeline.mediation.reader import Compression

BOM = b"\xef\xbb\xbf"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 18

ALWAYS_ALLOWED = 1 << 20
"""Bytes that a compressed object may grow to whatever its ratio: tiny objects of repeated text are no bombs."""


def compression_of(head: bytes) -> Compression:
    """How bytes that begin with ``head`` are compressed."""
    if head.startswith(_GZIP):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD) else "none"


@dataclass
class Damage:
    """What ended a stream before its end; empty while it is sound."""

    reason: str = ""


def plain_chunks(stream: BinaryIO, damage: Damage, max_ratio: int) -> Iterator[bytes]:
    """The plain bytes of a stream, piece by piece, up to the point of damage.

    ``damage.reason`` says afterwards why the stream ended early, where it did: a broken or truncated member, or a
    growth beyond ``max_ratio``.
    """
    head = stream.read(4)
    compression = compression_of(head)
    counted = _Counted(stream, head)
    match compression:
        case "gzip":
            pieces = _gunzip(counted, damage)
        case "zstd":
            pieces = _unzstd(counted, damage)
        case _:
            pieces = iter(lambda: counted.read(_CHUNK), b"")
    grown = 0
    for piece in pieces:
        grown += len(piece)
        if compression != "none" and grown > max(ALWAYS_ALLOWED, max_ratio * counted.count):
            damage.reason = f"the {compression} stream grows more than {max_ratio}-fold (limits.max_inflate_ratio)"
            return
        yield piece


def begins_with_bom(path: Path) -> bool:
    """Whether the plain bytes of a file begin with a byte-order mark, which would spoil its first line."""
    with path.open("rb") as file:
        return next(plain_chunks(file, Damage(), 1 << 30), b"").startswith(BOM)


class _Counted:
    def __init__(self, stream: BinaryIO, head: bytes) -> None:
        self._stream, self._head, self.count = stream, head, 0

    def read(self, size: int) -> bytes:
        if self._head:
            piece, self._head = self._head, b""
        else:
            piece = self._stream.read(size)
        self.count += len(piece)
        return piece


def _gunzip(stream: _Counted, damage: Damage) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    pending = b""
    while True:
        pending = pending or stream.read(_CHUNK)
        if not pending:
            if not member.eof:
                damage.reason = "the gzip stream ends early"
            return
        if member.eof:
            if not pending.lstrip(b"\0"):  # padding after the last member
                pending = b""
                continue
            member = zlib.decompressobj(wbits=31)
        try:
            piece = member.decompress(pending, _CHUNK)
        except zlib.error as error:
            damage.reason = f"the gzip stream is damaged ({str(error).rpartition(': ')[2]})"
            return
        pending = member.unused_data if member.eof else member.unconsumed_tail
        if piece:
            yield piece
        elif not member.eof and not pending:
            continue


def _unzstd(stream: _Counted, damage: Damage) -> Iterator[bytes]:
    frame = zstandard.ZstdDecompressor().decompressobj()
    pending = b""
    while True:
        pending = pending or stream.read(_CHUNK)
        if not pending:
            if not frame.eof:
                damage.reason = "the zstd stream ends early"
            return
        if frame.eof:
            frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            piece = frame.decompress(pending)
        except zstandard.ZstdError as error:
            damage.reason = f"the zstd stream is damaged ({str(error).rpartition(': ')[2]})"
            return
        pending = frame.unused_data if frame.eof else b""
        if piece:
            yield piece


def inflate(body: bytes, max_ratio: int) -> tuple[bytes, str]:
    """The plain bytes of a whole object without a byte-order mark, and the reason for its damage, empty if sound."""
    if compression_of(body[:4]) == "none":
        return body.removeprefix(BOM), ""
    damage = Damage()
    plain = b"".join(plain_chunks(io.BytesIO(body), damage, max_ratio))
    return plain.removeprefix(BOM), damage.reason
