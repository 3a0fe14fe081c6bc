"""Lines for the reader, as mediation makes them of an object."""

import io
from collections.abc import Iterator

import pyarrow as pa

from finops_pipeline.mediation.documents import Bounds
from finops_pipeline.mediation.lines import Lines
from finops_pipeline.mediation.listed import Objects


def blocks_of(body: bytes, *, longest: int = 64 << 20) -> Iterator[pa.RecordBatch]:
    """The lines of one object; what can be no record is refused without a word.

    Args:
        body: The object's bytes.
        longest: Bytes that a line may have.
    """
    return Lines([(0, io.BytesIO(body))], Objects([], None), Bounds(longest, 200), {}, lambda *_: None).blocks()
