"""Keyed hashes: what is kept of prompts, and of user ids where the config says so.

HMAC-SHA256 under ``FINOPS_FINGERPRINT_KEY``, cut to 128 bits. Equal prompts get equal fingerprints within one
installation; without the key nobody can test a guess against them.
"""

import hashlib
import hmac
import os
from collections.abc import Sequence

import polars as pl
import pyarrow as pa
from polars_hash import CryptographicHashingNameSpace

from finops_pipeline.errors import ConfigError

KEY_VARIABLE = "FINOPS_FINGERPRINT_KEY"

FINGERPRINT_HEX = 32
"""Hex digits of a fingerprint: 128 bits, so that a collision among 10^12 prompts is a matter of 10^-15."""

MEMBER = "prompt: "
"""Before the name of a member of the prompt: a column of its own, of texts, that goes no further than the hashes."""

FINGERPRINT = "prompt_fingerprint"

KNOWN_KEY = (
    f"{KEY_VARIABLE} is not set: prompts are hashed with a key that everybody knows, so that guesses can be tested "
    "against the hashes. Set it to a secret of your own; all days are then read again."
)
"""What a person should know of a run with the default key."""

_ABSENT = ("", "[]", "{}")
_LONGEST_ABSENT = 2
_BLOCK = 64
_DEFAULT_KEY = "finops_pipeline: no key is set"


class FingerprintKey:
    """The key, ready for HMAC-SHA256. Its text form never shows it."""

    def __init__(self, secret: str | None = None) -> None:
        self.is_default = not secret
        self._key = secret or _DEFAULT_KEY
        key = self._key.encode()
        padded = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self.inner_pad = bytes(b ^ 0x36 for b in padded)
        self.outer_pad = bytes(b ^ 0x5C for b in padded)

    @classmethod
    def from_environment(cls) -> "FingerprintKey":
        """The key that is set, or the default.

        Raises:
            ConfigError: what is set is no text.
        """
        secret = os.environ.get(KEY_VARIABLE, "")
        try:
            return cls(secret)
        except UnicodeEncodeError:  # which would show the key
            raise ConfigError(f"{KEY_VARIABLE} holds bytes that are no UTF-8. Set it to a text.") from None

    @property
    def id(self) -> str:
        """Tells two keys apart without telling the key: part of a day's input digest."""
        return self.hash("fingerprint key id")[:8]

    def hash(self, text: str) -> str:
        return hmac.new(self._key.encode(), text.encode(), hashlib.sha256).hexdigest()[:FINGERPRINT_HEX]

    def hashed(self, texts: pl.Expr) -> pl.Expr:
        """The ``hash`` of each text; null for null."""
        return CryptographicHashingNameSpace(texts).hmac_sha256(key=self._key).str.head(FINGERPRINT_HEX)

    def __repr__(self) -> str:
        return "FingerprintKey(default)" if self.is_default else "FingerprintKey(set)"


def with_fingerprints(batch: pa.RecordBatch, key: FingerprintKey, redacted: Sequence[str]) -> pa.RecordBatch:
    """The batch with ``prompt_fingerprint``: the keyed hash of its prompts' members, in order and under their names.

    Null where all members are absent or empty, and where one of them is, or holds as a text, what stands for prompts
    that were not logged. Hashing leaves the interpreter's lock to the other readers.

    Args:
        batch: Has the members as columns of texts whose names begin with ``MEMBER``.
        key: What they are hashed with.
        redacted: What stands for prompts that were not logged.
    """
    members = [n for n in batch.schema.names if n.startswith(MEMBER) and batch.column(n).null_count < len(batch)]
    if not members:
        return batch.append_column(FINGERPRINT, pa.nulls(len(batch), pa.string()))
    texts = pl.from_arrow(batch.select(members))
    assert isinstance(texts, pl.DataFrame)
    empty = ((pl.col(name).str.len_bytes() <= _LONGEST_ABSENT) & pl.col(name).is_in(_ABSENT) for name in members)
    labelled = [
        pl.when(~absent).then(pl.concat_str(pl.lit(f"{name.removeprefix(MEMBER)}="), name, pl.lit("\n")))
        for name, absent in zip(members, empty, strict=True)
    ]
    prompt = labelled[0]
    if len(members) > 1:
        known = pl.any_horizontal(part.is_not_null() for part in labelled)
        prompt = pl.when(known).then(pl.concat_str(labelled, ignore_nulls=True))
    # One look over all texts spares a closer look at each.
    if redacted and texts.select(pl.any_horizontal(pl.all().str.contains_any(list(redacted)).any())).item():
        quoted = [f'"{marker}"' for marker in redacted]
        stands_for = (pl.col(name).is_in(redacted) | pl.col(name).str.contains_any(quoted) for name in members)
        prompt = pl.when(~pl.any_horizontal(stands_for).fill_null(False)).then(prompt)
    return batch.append_column(FINGERPRINT, texts.select(key.hashed(prompt)).to_series().to_arrow())
