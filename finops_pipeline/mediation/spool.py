"""Objects to what the reader takes: tables as plain files, everything else as pieces of an even size.

A day of one-request objects is a hundred thousand bodies of one line, a busy hour's object is half a gigabyte. Small
ones go together, a large one goes alone. What is in them is looked at by whoever takes the piece (``lines.py``), so
that inflating and splitting are done side by side.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from finops_pipeline.formats.format import Documents
from finops_pipeline.mediation.documents import Bounds
from finops_pipeline.mediation.fetching import bodies
from finops_pipeline.mediation.inflate import BOM, Damage, compression_of, plain_chunks
from finops_pipeline.mediation.listed import Fetched, Objects
from finops_pipeline.mediation.objects import ObjectStore

PIECE = 16 << 20
"""Bytes in memory of objects that go together."""

IN_FILES = 4
"""How many times that may lie in files; compressed bytes count for four times as many."""

_INFLATED = 4


@dataclass
class Piece:
    """Objects of lines or documents that are read one after the other.

    Attributes:
        bodies: The index of each, and its bytes: small ones in memory, a large one an open file.
        documents: By index, how documents hold records, where they do.
        size: How many bytes in memory they count for.
    """

    bodies: list[tuple[int, BinaryIO]] = field(default_factory=list)
    documents: dict[int, Documents] = field(default_factory=dict)
    size: int = 0

    def close(self) -> None:
        """Let go of the bytes."""
        for _, body in self.bodies:
            body.close()
        self.bodies.clear()


@dataclass
class TableFile:
    """An object that is a table: plain CSV, or Parquet.

    Attributes:
        path: Where it lies.
        index: The object.
        encoding: csv or parquet.
        damage: Why the file breaks off; empty where it is whole.
    """

    path: Path
    index: int
    encoding: str
    damage: str = ""

    def close(self) -> None:
        self.path.unlink(missing_ok=True)


def spool(
    store: ObjectStore,
    objects: Objects,
    folder: Path,
    bounds: Bounds,
    *,
    tables: bool = False,
    documents: Documents | None = None,
) -> Iterator[Piece | TableFile]:
    """Fetch every object and yield what is to be read; the caller closes each when it is done with it.

    States of the objects are noted on the way. What describes a job is left out.

    Args:
        store: Where the objects lie.
        objects: The objects.
        folder: A private one, for large objects and tables.
        bounds: What an object may do to us.
        tables: Whether objects may be CSV or Parquet.
        documents: How the format's documents hold records, where they do.
    """
    wanted = [index for index in range(len(objects)) if index not in objects.job_files]
    piece = Piece()
    for place, body in bodies(store, objects.refs(wanted), folder):
        index = wanted[place]
        if body is None:
            objects.states[index] = "vanished"
            continue
        head = body.read(64)
        size = body.seek(0, os.SEEK_END)
        body.seek(0)
        key = objects[index].key if tables or documents is not None else ""
        encoding = encoding_of(key, head) if tables else "jsonl"
        if encoding != "jsonl":
            with body:
                yield _table(index, objects[index], body, encoding, folder, bounds)
            continue
        piece.bodies.append((index, body))
        plain = size if compression_of(head) == "none" else _INFLATED * size
        piece.size += plain // IN_FILES if isinstance(body, io.BufferedReader) else plain
        if documents is not None and documents.applies(key):
            piece.documents[index] = documents
        if piece.size >= PIECE:
            yield piece
            piece = Piece()
    if piece.bodies:
        yield piece


def encoding_of(key: str, head: bytes) -> str:
    """jsonl, csv or parquet: by the magic bytes, then by the name; JSON lines where neither says otherwise."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if compression_of(head) == "none" and head.removeprefix(BOM).lstrip()[:1] == b"{":
        return "jsonl"
    name = key.lower().removesuffix(".gz").removesuffix(".zst")
    return "csv" if name.endswith((".csv", ".tsv")) else "jsonl"


def _table(index: int, fetched: Fetched, body: BinaryIO, encoding: str, folder: Path, bounds: Bounds) -> TableFile:
    damage = Damage()
    path = folder / f"{index}.{encoding}"
    with path.open("wb") as target:
        for chunk in plain_chunks(body, damage, bounds.max_inflate_ratio):
            target.write(chunk)
    if damage.reason:
        fetched.state = "damaged"
        if encoding == "csv":
            _cut_to_whole_lines(path)
    return TableFile(path, index, encoding, damage.reason)


def _cut_to_whole_lines(path: Path) -> None:
    """Drop what follows the last line end: half a row may look like a whole one with a shorter number."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        file.truncate(end)
