"""What mediation says about its reading: ``ingest_objects``, ``quarantine`` and ``strays``."""

import polars as pl

from finops_pipeline.schemas.contract import INSTANT, Column, Table
from finops_pipeline.schemas.usage import USAGE

OUTCOMES = ("usage", "duplicate", "merged", "not_usage", "quarantined", "another_day")
"""Each record that is read ends in exactly one of these."""

OBJECT_STATES = ("read", "damaged", "vanished", "expired")

INGEST_OBJECTS = Table(
    name="ingest_objects",
    version=2,
    meaning="The objects that a day read, and what became of their records.",
    partition_keys=("source", "date"),
    columns=(
        Column("key", pl.String, "Object key below the source's uri; strays/… for a file of strays", False),
        Column("size", pl.Int64, "Bytes, as listed", False),
        Column("etag", pl.String, "The store's content tag, as listed", False),
        Column(
            "state",
            pl.String,
            "read, damaged (read up to the damage), vanished (gone since the listing) or expired (gone since an "
            "earlier run, whose rows are kept)",
            False,
        ),
        Column(
            "own", pl.Boolean, "Whether the key belongs to this day; false for a neighbour within grace_hours", False
        ),
        Column("lines", pl.Int64, "Lines that are not blank, rows of a table, or documents", False),
        Column("records", pl.Int64, "Records: the sum of the outcomes", False),
        Column("usage", pl.Int64, "Records that became usage of this day", False),
        Column("duplicate", pl.Int64, "Records whose call another record already tells", False),
        Column("merged", pl.Int64, "Records merged into another of their group", False),
        Column("not_usage", pl.Int64, "Records that are no model calls: audit lines, manifests", False),
        Column("quarantined", pl.Int64, "Records that cannot be read as usage", False),
        Column("another_day", pl.Int64, "Records that another day counts, strays among them", False),
        Column("strays", pl.Int64, "Part of another_day: handed over to their own day", False),
        Column(
            "conflicts", pl.Int64, "Part of duplicate: other model, tokens, cost or status than the one kept", False
        ),
        Column("near_duplicates", pl.Int64, "Part of usage: like a call within a millisecond, under another id", False),
    ),
)

QUARANTINE = Table(
    name="quarantine",
    version=1,
    meaning="Records that could not be read, by place and hash; never their content, unless keep_raw says so.",
    partition_keys=("source", "date"),
    columns=(
        Column("raw_object", pl.String, "Object key below the source's uri", False),
        Column("raw_line", pl.Int64, "Number of the record in the object, from 1", False),
        Column("length", pl.Int64, "Bytes of the line; null where the record has no line of its own"),
        Column("sha256", pl.String, "Hash of the line's bytes"),
        Column("reason", pl.String, "What is wrong; at most 40 characters of a number or a time quoted", False),
        Column("raw", pl.Binary, "The line itself, with quarantine.keep_raw only"),
    ),
)

STRAYS = Table(
    name="strays",
    version=3,
    meaning="Calls found far from their day, waiting for that day to be run again.",
    partition_keys=("source", "date"),
    columns=(
        *USAGE.columns,
        Column("record_version", INSTANT, "When the record was written, in formats that write it anew; else null"),
        Column("group_key", pl.String, "What tells the records that it belongs together with, where a format has such"),
        Column("group_extras", pl.String, "What else its format brings such records together by, as JSON"),
    ),
)
