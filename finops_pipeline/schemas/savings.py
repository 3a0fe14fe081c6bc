"""``savings``: what a day's calls would have cost less with, a row a lever and workload."""

import polars as pl

from finops_pipeline.schemas.contract import TOTAL, Column, Table

LEVERS = ("caching", "downgrade", "batching")
"""In the order in which they are applied together: what need not be asked again is neither downgraded nor batched."""

EVIDENCE = ("measured", "heuristic", "validated")
"""``measured``: repriced over what the logs show to have happened twice; ``heuristic``: which calls qualify is inferred
from the logs; ``validated``: from labelled shadow runs."""

SAVINGS = Table(
    name="savings",
    version=1,
    meaning="What would have cost less: each call repriced, summed by lever and workload.",
    partition_keys=("date",),
    columns=(
        Column("lever", pl.Enum(LEVERS), "What would be changed", False),
        Column("team", pl.String, "The team that is charged; null is unallocated"),
        Column("project", pl.String, "The project that is charged"),
        Column("application", pl.String, "The application that called"),
        Column("service", pl.String, "The AI service that bills"),
        Column("model", pl.String, "Canonical model that was called"),
        Column("target", pl.String, "Canonical model (downgrade) or tier (batching) to use in its place"),
        Column("requests", pl.Int64, "Calls that the expected saving is made with", False),
        Column(
            "cost", TOTAL, "USD of these calls as they were: contracted, or what was charged where that is less", False
        ),
        Column("saving_low", TOTAL, "USD, under the strictest assumptions; below zero it would cost more", False),
        Column("saving", TOTAL, "USD expected of this lever alone: price(as it was) - price(transformed)", False),
        Column("saving_high", TOTAL, "USD, under the most favourable assumptions", False),
        Column(
            "incremental",
            TOTAL,
            "USD that is left once the levers before it are applied: these add up",
            False,
        ),
        Column("evidence", pl.Enum(EVIDENCE), "How it is known", False),
        Column("assumptions", pl.String, "What has to hold for it", False),
        Column("action", pl.String, "What to do, in one sentence", False),
    ),
)
