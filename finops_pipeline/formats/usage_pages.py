"""Pages of the providers' usage APIs: ``data[]`` are buckets of time, ``results[]`` is what was used in each.

How the records of a page are told apart is written here once; what a result says is its format's business.

A result has no id. What identifies it are its bucket and its dimensions: all of its members that are texts or flags, so
that one which an API adds later keeps two results apart. A page that was fetched again thus says the same results
anew, and the one that was stored last counts: the numbers of young buckets still grow.

Nothing in a page says which organisation it is of, and results by other dimensions or of wider buckets are other
results: a source has to be one organisation's pages, of one width and one grouping.
"""

from collections.abc import Iterator
from urllib.parse import urlencode

import msgspec
import polars as pl

from finops_pipeline.formats.format import JOB_TIME, VERSION, Documents, Field, Job, instant, text

_SECOND = "%Y-%m-%dT%H:%M:%SZ"


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]


def _records(page: bytes) -> Iterator[bytes]:
    """``{bucket, dimensions, result}`` for each result; what is no bucket, or no result, as it is."""
    for bucket in msgspec.json.decode(page, type=_Page).data:
        try:
            frame = msgspec.json.decode(bucket, type=dict[str, msgspec.Raw])
            results = msgspec.json.decode(frame.pop("results"), type=list[msgspec.Raw])
        except (KeyError, ValueError):
            yield bytes(bucket)
            continue
        head = b'{"bucket":' + msgspec.json.encode(frame)
        for result in results:
            try:
                dimensions = msgspec.json.encode(_dimensions(result))
            except ValueError:
                yield bytes(result)
            else:
                yield head + b',"dimensions":' + dimensions + b',"result":' + bytes(result) + b"}"


def _dimensions(result: msgspec.Raw) -> str:
    """``batch=false&model=gpt-5``: whatever in a result is a text or a flag.

    Raises:
        ValueError: it is no JSON object.
    """
    members = msgspec.json.decode(result, type=dict[str, msgspec.Raw])
    said = {name: bytes(raw).strip() for name, raw in members.items()}
    flags = {name: raw.decode() for name, raw in said.items() if raw in (b"true", b"false")}
    words = {name: msgspec.json.decode(raw, type=str) for name, raw in said.items() if raw.startswith(b'"')}
    return urlencode(sorted((flags | words).items()), errors="replace")


PAGES = Documents(whole=True, records=_records)

LAST_STORED = Job()
"""No job: when an object was last modified is what tells its pages from earlier ones."""


def page_fields(start: str, end: str) -> dict[str, Field]:
    """The fields of a record beside its result, from what a bucket calls its start and its end."""
    return {
        "start": instant(f"$.bucket.{start}"),
        "end": instant(f"$.bucket.{end}"),
        "dimensions": text("$.dimensions"),
    }


def page_columns() -> dict[str, pl.Expr]:
    """What holds for any result, over ``page_fields``: its id, its version, and its time, the start of its bucket."""
    start, end = pl.col("start").dt.strftime(_SECOND), pl.col("end").dt.strftime(_SECOND)
    return {
        "request_id": pl.format("{}/{}?{}", start, end.fill_null(""), pl.col("dimensions").fill_null("")),
        "event_time": pl.col("start"),
        VERSION: pl.col(JOB_TIME),
        "status": pl.lit("ok"),
    }
