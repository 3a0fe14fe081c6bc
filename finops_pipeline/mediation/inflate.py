"""Object bytes to plain bytes: gzip (multi-member) and zstd by magic bytes, never by name, within bounds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import zstandard
from isal import isal_zlib

Compression = Literal["none", "gzip", "zstd"]

BOM = b"\xef\xbb\xbf"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 18

_ZSTD_STEP = 256
"""Bytes that are inflated at once: four of them can stand for a block of 128 KiB, so that this is 8 MiB at most."""

ALWAYS_ALLOWED = 1 << 20
"""Bytes that a compressed object may grow to whatever its ratio: tiny objects of repeated text are no bombs."""


def compression_of(head: bytes) -> Compression:
    """How bytes that begin with ``head`` are compressed."""
    if head.startswith(_GZIP):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD) else "none"


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass
class Damage:
    """What ended a stream before its end; empty while it is sound."""

    reason: str = ""


def plain_chunks(stream: Readable, damage: Damage, max_ratio: int) -> Iterator[bytes]:
    """The plain bytes of a stream, piece by piece, up to the point of damage.

    A byte-order mark at the beginning is dropped. ``damage.reason`` says afterwards why the stream ended early, where
    it did: a broken or truncated member, or a growth beyond ``max_ratio``.
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
    grown, first = 0, True
    for piece in pieces:
        if first:
            first, piece = False, piece.removeprefix(BOM)
        grown += len(piece)
        if compression != "none" and grown > max(ALWAYS_ALLOWED, max_ratio * counted.count):
            damage.reason = f"the {compression} stream grows more than {max_ratio}-fold (limits.max_inflate_ratio)"
            return
        yield piece


class _Counted:
    def __init__(self, stream: Readable, head: bytes) -> None:
        self._stream, self._head, self.count = stream, head, 0

    def read(self, size: int) -> bytes:
        if self._head:
            piece, self._head = self._head, b""
        else:
            piece = self._stream.read(size)
        self.count += len(piece)
        return piece


def _gunzip(stream: _Counted, damage: Damage) -> Iterator[bytes]:
    member = isal_zlib.decompressobj(wbits=31)
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
            member = isal_zlib.decompressobj(wbits=31)
        try:
            piece = member.decompress(pending, _CHUNK)
        except isal_zlib.error as error:  # type: ignore[misc]
            why = str(error).partition(" ")[2].partition(" ")[2].lower()  # "Error -6 Incorrect checksum found"
            damage.reason = f"the gzip stream is damaged ({why})"
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
        step, pending = pending[:_ZSTD_STEP], pending[_ZSTD_STEP:]
        try:
            piece = frame.decompress(step)
        except zstandard.ZstdError as error:
            damage.reason = f"the zstd stream is damaged ({str(error).rpartition(': ')[2]})"
            return
        pending = frame.unused_data + pending if frame.eof else pending
        if piece:
            yield piece
