"""Bodies against the checksums that stores state of them."""

import base64
import hashlib
import zlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.mediation.checksums import mismatch

BODY = b'{"input_tokens": 10}\n'
CRC32 = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()
SHA256 = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
SHA1 = base64.b64encode(hashlib.sha1(BODY).digest()).decode()  # noqa: S324 (as S3 states it)
MD5 = hashlib.md5(BODY).hexdigest()  # noqa: S324 (as S3 states it)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": CRC32},
        {"x-amz-checksum-sha1": SHA1},
        {"x-amz-checksum-sha256": SHA256},
        {"x-amz-checksum-crc32": CRC32, "x-amz-checksum-type": "FULL_OBJECT"},
        {"etag": f'"{MD5}"'},
        {"etag": MD5.upper(), "x-amz-server-side-encryption": "AES256"},
        {"x-amz-checksum-crc64nvme": "of no use here", "etag": f'"{MD5}"'},
    ],
    ids=lambda headers: ",".join(headers),
)
def test_what_is_stated_is_checked(headers: Mapping[str, str]) -> None:
    assert mismatch([BODY], headers) == ""
    assert mismatch([BODY[:5], BODY[5:]], headers) == ""
    assert mismatch([b'{"input_tokens": 11}\n'], headers).startswith("the body's ")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"etag": f'"{"0" * 32}-3"'},
        {"etag": '"of another kind"'},
        {"etag": f'"{"0" * 32}"', "x-amz-server-side-encryption": "aws:kms"},
        {"etag": f'"{"0" * 32}"', "x-amz-server-side-encryption": "aws:kms:dsse"},
        {"etag": f'"{"0" * 32}"', "x-amz-server-side-encryption-customer-algorithm": "AES256"},
        {"x-amz-checksum-crc32": "AAAAAA==-2"},
        {"x-amz-checksum-sha256": "AAAAAA==", "x-amz-checksum-type": "COMPOSITE"},
    ],
    ids=str,
)
def test_what_says_nothing_of_the_whole_body_is_not_held_against_it(headers: Mapping[str, str]) -> None:
    assert mismatch([BODY], headers) == ""


def test_the_difference_is_told() -> None:
    told = mismatch([b""], {"x-amz-checksum-crc32": CRC32})
    assert told == f"the body's CRC32 is AAAAAA==, the store's {CRC32}"


@given(body=st.binary(min_size=1, max_size=300), bit=st.integers(0, 8 * 300 - 1), checksum=st.sampled_from("cms"))
def test_no_flipped_bit_goes_unseen(body: bytes, bit: int, checksum: str) -> None:
    headers = {
        "c": {"x-amz-checksum-crc32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()},
        "m": {"etag": hashlib.md5(body).hexdigest()},  # noqa: S324
        "s": {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode()},
    }[checksum]
    flipped = bytearray(body)
    flipped[bit // 8 % len(body)] ^= 1 << bit % 8
    assert mismatch([body], headers) == ""
    assert mismatch([bytes(flipped)], headers) != ""
