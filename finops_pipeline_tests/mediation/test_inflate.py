"""Bytes to plain bytes: by magic bytes, up to the point of damage, within bounds."""

import gzip
import io
import random
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.mediation.inflate import Damage, compression_of, plain_chunks


def inflate(packed: bytes, max_ratio: int) -> tuple[bytes, str]:
    damage = Damage()
    plain = b"".join(plain_chunks(io.BytesIO(packed), damage, max_ratio))
    return plain, damage.reason


LINES = b'{"a":1}\n{"a":2}\n'
NOISE = random.Random(1).randbytes(300_000)


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=5))
def test_gzip_of_several_members_is_their_concatenation(members: list[bytes]) -> None:
    assert inflate(b"".join(map(gzip.compress, members)), 10_000) == (
        b"".join(members).removeprefix(b"\xef\xbb\xbf"),
        "",
    )


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=5))
def test_zstd_of_several_frames_is_their_concatenation(frames: list[bytes]) -> None:
    packed = b"".join(map(zstandard.compress, frames))
    assert inflate(packed, 10_000) == (b"".join(frames).removeprefix(b"\xef\xbb\xbf"), "")


def test_plain_bytes_stay_whatever_their_name_says() -> None:
    assert inflate(LINES, 200) == (LINES, "")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_a_byte_order_mark_is_dropped(pack: Callable[[bytes], bytes]) -> None:
    assert inflate(pack(b"\xef\xbb\xbf" + LINES), 200) == (LINES, "")


def test_a_truncated_stream_gives_what_came_before_and_the_reason() -> None:
    for packed, word in ((gzip.compress(NOISE), "gzip"), (zstandard.compress(NOISE), "zstd")):
        plain, reason = inflate(packed[: len(packed) // 2], 200)
        assert NOISE.startswith(plain)
        assert reason == f"the {word} stream ends early"


def test_a_damaged_member_ends_the_stream_there() -> None:
    first, second = gzip.compress(LINES), bytearray(gzip.compress(NOISE))
    second[5000:5200] = bytes(200)
    plain, reason = inflate(first + bytes(second), 200)
    assert plain.startswith(LINES)
    assert reason.startswith("the gzip stream is damaged")


def test_padding_after_the_last_member_is_no_damage() -> None:
    assert inflate(gzip.compress(LINES) + bytes(512), 200) == (LINES, "")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_bomb_stops_at_its_bound(pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(50_000_000))
    damage = Damage()
    pieces = [len(piece) for piece in plain_chunks(io.BytesIO(bomb), damage, 20)]
    assert sum(pieces) <= max(1 << 20, 20 * len(bomb))
    assert max(pieces, default=0) <= 8 << 20
    assert "grows more than 20-fold" in damage.reason


@pytest.mark.parametrize("where", ["data", "checksum", "length"])
def test_a_flipped_bit_is_damage_even_where_the_bytes_still_inflate(where: str) -> None:
    stored = bytearray(gzip.compress(LINES, compresslevel=0))
    stored[{"data": -12, "checksum": -7, "length": -2}[where]] ^= 1
    assert inflate(bytes(stored), 200)[1].startswith("the gzip stream is damaged")


def test_magic_bytes_tell_the_compression() -> None:
    assert [compression_of(b[:4]) for b in (gzip.compress(b""), zstandard.compress(b""), b"{}", b"")] == [
        "gzip", "zstd", "none", "none",
    ]  # fmt: skip
