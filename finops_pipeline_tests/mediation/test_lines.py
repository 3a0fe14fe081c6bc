"""Lines of objects: each that is not blank is one row, in order, whatever the bytes and however they come."""

import datetime as dt
import gzip
import hashlib
import io
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_pipeline.mediation import inflate, lines
from finops_pipeline.mediation.documents import Bounds
from finops_pipeline.mediation.layout import Clock
from finops_pipeline.mediation.lines import Lines, ShortBodyError
from finops_pipeline.mediation.listed import Objects
from finops_pipeline.mediation.objects import LocalStore
from finops_pipeline.mediation.open_layout import NamedKeys

DAY = dt.date(2026, 10, 5)
UTC = Clock(ZoneInfo("UTC"), dt.timedelta(hours=2), dt.date(2026, 1, 1))
LONGEST = 40
PARTS = st.sampled_from(
    [b'{"a":1}', b"{}", b"{", b"}", b'"', b"x", b" ", b"\t", b"\r", b"\n", b"\n\n", b"\x00", b"\xff", b"[", b"y" * 30]
)
BODIES = st.lists(PARTS, max_size=30).map(b"".join)


class Taken:
    """What became of the lines of some objects."""

    def __init__(self, bodies: list[BinaryIO], bounds: Bounds) -> None:
        self.refused: dict[tuple[int, int], Any] = {}
        self.lines = Lines(list(enumerate(bodies)), Objects([], None), bounds, {}, self.refuse)
        self.rows = [bytes_of(text) for block in self.lines.blocks() for text in block.column(0)]

    def refuse(self, index: int, number: int, *told: object) -> None:
        assert (index, number) not in self.refused
        self.refused[index, number] = told


def bytes_of(text: Any) -> bytes | None:
    return text.as_buffer().to_pybytes() if text.is_valid else None


def expected(bodies: list[bytes]) -> list[tuple[int, int, bytes]]:
    """Object, number and bytes of each line, as a person would count them."""
    return [
        (index, number, line)
        for index, body in enumerate(bodies)
        for number, line in enumerate((text for text in body.split(b"\n") if text.strip()), 1)
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(bodies=st.lists(BODIES, max_size=4), chunk=st.integers(1, 60), block=st.integers(1, 100), pack=st.booleans())
def test_each_line_is_a_row_or_refused(
    monkeypatch: pytest.MonkeyPatch, bodies: list[bytes], chunk: int, block: int, pack: bool
) -> None:
    monkeypatch.setattr(inflate, "_CHUNK", chunk)
    monkeypatch.setattr(lines, "BLOCK", block)
    taken = Taken([io.BytesIO(gzip.compress(body) if pack else body) for body in bodies], Bounds(LONGEST, 1000))
    wanted = expected(bodies)
    assert [taken.lines.locate(n) for n in range(1, taken.lines.count + 1)] == [place[:2] for place in wanted]
    assert len(taken.rows) == taken.lines.count == len(wanted)
    for row, (index, number, line) in zip(taken.rows, wanted, strict=True):
        bare = line.strip(b" \t\r")
        if len(line) <= LONGEST and bare.startswith(b"{") and bare.endswith(b"}"):
            assert row == line + b"\n"
        else:
            assert row is None
            reason, length, sha256, raw = taken.refused.pop((index, number))
            assert (reason != "", length, sha256) == (True, len(line), hashlib.sha256(line).hexdigest())
            assert raw == (line if len(line) <= LONGEST else None)
    assert taken.refused == {}
    kept = [n for n, row in enumerate(taken.rows, 1) if row is not None]
    assert list(taken.lines.at(iter(kept))) == [(n, wanted[n - 1][2]) for n in kept]


def test_what_was_appended_to_a_file_is_not_looked_at(tmp_path: Path) -> None:
    objects, file = listed(tmp_path, b'{"a":1}\n{"b":2}\n')
    with file.open("ab") as end:
        end.write(b'{"c":3}\n')
    assert texts(objects, file) == [b'{"a":1}\n', b'{"b":2}\n']


def test_a_file_that_was_cut_is_told(tmp_path: Path) -> None:
    objects, file = listed(tmp_path, b'{"a":1}\n{"b":2}\n')
    file.write_bytes(b'{"a":1}\n')
    with pytest.raises(ShortBodyError) as told:
        texts(objects, file)
    assert told.value.index == 0


def listed(folder: Path, body: bytes) -> tuple[Objects, Path]:
    """A file, and the objects of a day that was listed while it was so."""
    file = folder / "2026-10-05.jsonl"
    file.write_bytes(body)
    return Objects(NamedKeys().day_objects(LocalStore(folder), DAY, UTC, ("",)), DAY), file


def texts(objects: Objects, file: Path) -> list[bytes | None]:
    with file.open("rb") as body:
        found = Lines([(0, body)], objects, Bounds(LONGEST, 1000), {}, lambda *_: None)
        return [bytes_of(text) for block in found.blocks() for text in block.column(0)]
