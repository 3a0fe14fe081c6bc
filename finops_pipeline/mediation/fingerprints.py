"""Keyed hashes: what is kept of prompts, and of user ids where the config says so.

HMAC-SHA256 under ``FINOPS_FINGERPRINT_KEY``, cut to 128 bits. Equal prompts get equal fingerprints within one
installation; without the key nobody can test a guess against them.
"""

import hashlib
import hmac
import os
from collections.abc import Iterable

KEY_VARIABLE = "FINOPS_FINGERPRINT_KEY"

FINGERPRINT_HEX = 32
"""Hex digits of a fingerprint: 128 bits, so that a collision among 10^12 prompts is a matter of 10^-15."""

_BLOCK = 64
_DEFAULT_KEY = b"finops_pipeline: no key is set"


class FingerprintKey:
    """The key, ready for HMAC-SHA256. Its text form never shows it."""

    def __init__(self, secret: bytes | None = None) -> None:
        self.is_default = not secret
        key = secret or _DEFAULT_KEY
        self._key = hashlib.sha256(key).digest() if len(key) > _BLOCK else key
        padded = self._key.ljust(_BLOCK, b"\0")
        self.inner_pad = bytes(b ^ 0x36 for b in padded)
        self.outer_pad = bytes(b ^ 0x5C for b in padded)

    @classmethod
    def from_environment(cls) -> "FingerprintKey":
        return cls(os.environ.get(KEY_VARIABLE, "").encode() or None)

    @property
    def id(self) -> str:
        """Tells two keys apart without telling the key: part of a day's input digest."""
        return self.hash("fingerprint key id")[:8]

    def hash(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:FINGERPRINT_HEX]

    def hashes(self, texts: Iterable[str]) -> dict[str, str]:
        """Each text with its hash."""
        return {text: self.hash(text) for text in texts}

    def __repr__(self) -> str:
        return "FingerprintKey(default)" if self.is_default else "FingerprintKey(set)"
