"""Lines that cannot be usage: why, how long, and their hash; never their content, unless the config says so."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import polars as pl

from finops_pipeline.mediation.inflate import BOM, Damage, plain_chunks
from finops_pipeline.mediation.spool import Spooled
from finops_pipeline.schemas import QUARANTINE

_KINDS = {list: "an array", str: "a text", int: "a number", float: "a number", bool: "true or false"}

EXPLAINED = 1 << 20
"""Bytes of a line that are parsed a second time for the reason."""


def reason_of(line: bytes) -> str:
    """Why a line is not one JSON object, in words that quote nothing of it."""
    if len(line) > EXPLAINED:
        return f"not one JSON object (a line of {len(line)} bytes)"
    try:
        value = msgspec.json.decode(line)
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte {error.start + 1})"
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        return f"not JSON: {error}"
    if value is None:
        return "not a JSON object: null"
    if isinstance(value, dict):
        return "not a JSON object that can be read (unpaired surrogate or control character)"
    return f"not a JSON object: {_KINDS.get(type(value), 'something else')}"


def lines_at(file: Spooled, wanted: Mapping[int, object]) -> Iterator[tuple[int, bytes]]:
    """The lines of a spooled file with the numbers wanted (from 1, blank lines not counted)."""
    number, last = 0, max(wanted, default=0)
    for line in _lines(file.path):
        if not line.strip():
            continue
        number += 1
        if number in wanted:
            yield number, line
        if number >= last:
            return


def _lines(path: Path) -> Iterator[bytes]:
    rest, first = b"", True
    with path.open("rb") as file:
        for piece in plain_chunks(file, Damage(), 1 << 30):
            piece = piece.removeprefix(BOM) if first else piece
            first = False
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
    if rest:
        yield rest


def entry(key: str, line: int, reason: str, raw: bytes | None, *, keep: bool) -> dict[str, object]:
    """A row of the quarantine. ``raw`` is the line where there is one."""
    return {
        "raw_object": key,
        "raw_line": line,
        "length": len(raw) if raw is not None else None,
        "sha256": hashlib.sha256(raw).hexdigest() if raw is not None else None,
        "reason": reason,
        "raw": raw if keep else None,
    }


def quarantine_frame(entries: list[dict[str, object]]) -> pl.DataFrame:
    """The rows in order of their place."""
    return pl.DataFrame(entries, schema=QUARANTINE.schema, orient="row").sort("raw_object", "raw_line")
