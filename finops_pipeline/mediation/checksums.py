"""Whether a body is what the store took in, by the strongest word that the store's answer has on it.

Checksums of ``x-amz-checksum-*`` are of the whole object unless they are composite, that is, of the checksums of its
parts. An ETag of 32 hex digits is the body's MD5, unless the object is encrypted under a key of KMS or the customer's
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html, ``ETag``). CRC32C and CRC64NVME are not computed: no
fast implementation comes with Python.
"""

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping

_HASHES = ("sha256", "sha1", "sha512")

_MD5 = re.compile(r"[0-9a-f]{32}")

_OTHER_KEYS = ("aws:kms", "aws:kms:dsse")


def mismatch(chunks: Iterable[bytes], headers: Mapping[str, str]) -> str:
    """How a body differs from what the headers of its answer say of it; empty where they agree or say nothing.

    Args:
        chunks: The body, whole.
        headers: Their names in lower case.
    """
    stated = _stated(headers)
    if stated is None:
        return ""
    name, expected, of = stated
    found = of(chunks)
    return "" if found == expected else f"the body's {name} is {found}, the store's {expected}"


def _stated(headers: Mapping[str, str]) -> tuple[str, str, Callable[[Iterable[bytes]], str]] | None:
    """The checksum that the headers state: its name, its text, and how to compute it."""
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") == "FULL_OBJECT":
        crc = headers.get("x-amz-checksum-crc32", "-")
        if "-" not in crc:
            return "CRC32", crc, _crc32
        for name in _HASHES:
            expected = headers.get(f"x-amz-checksum-{name}", "-")
            if "-" not in expected:
                return name.upper(), expected, lambda chunks, name=name: base64.b64encode(_hash(name, chunks)).decode()
    etag = headers.get("etag", "").strip('"').lower()
    encrypted = (
        headers.get("x-amz-server-side-encryption") in _OTHER_KEYS
        or "x-amz-server-side-encryption-customer-algorithm" in headers
    )
    if _MD5.fullmatch(etag) and not encrypted:
        return "MD5", etag, lambda chunks: _hash("md5", chunks).hex()
    return None


def _crc32(chunks: Iterable[bytes]) -> str:
    value = 0
    for chunk in chunks:
        value = zlib.crc32(chunk, value)
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def _hash(name: str, chunks: Iterable[bytes]) -> bytes:
    hashing = hashlib.new(name, usedforsecurity=False)
    for chunk in chunks:
        hashing.update(chunk)
    return hashing.digest()
