"""What became of the records that were read, object by object: the account that must balance before anything is
written (conservation).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from finops_pipeline.errors import ConservationError
from finops_pipeline.mediation.buckets import OBJECT, OUTCOME, STRAY
from finops_pipeline.mediation.spool import Fetched
from finops_pipeline.schemas import INGEST_OBJECTS, OUTCOMES


@dataclass
class Account:
    """Lines read and outcomes counted, by index of the object."""

    lines: Counter[int] = field(default_factory=Counter)
    outcomes: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in (*OUTCOMES, STRAY)})

    def read(self, index: int, lines: int) -> None:
        self.lines[index] += lines

    def count(self, outcome: str, index: int, records: int = 1) -> None:
        self.outcomes[outcome][index] += records

    def count_rows(self, rows: pl.DataFrame, outcome: str | None = None) -> None:
        """Count rows by their object, under one outcome or under each row's own."""
        label = pl.lit(outcome).alias(OUTCOME) if outcome else pl.col(OUTCOME)
        for index, name, records in rows.group_by(OBJECT, label).len().iter_rows():
            self.count(name, index, records)

    def carry_over(self, index: int, counts: Mapping[str, int]) -> None:
        """Count an object as an earlier run did, save for its usage, whose rows are resolved anew.

        Args:
            index: The object.
            counts: Its row of ``ingest_objects``.
        """
        self.read(index, counts["records"])
        for outcome in ("duplicate", "merged", "not_usage", "quarantined"):
            self.count(outcome, index, counts[outcome])
        self.count("another_day", index, counts["another_day"] - counts["strays"])
        self.count(STRAY, index, counts["strays"])

    def balanced(self, objects: Sequence[Fetched]) -> pl.DataFrame:
        """The rows of ``ingest_objects``.

        Raises:
            ConservationError: some object's records are not the sum of its outcomes.
        """
        rows = []
        for index, fetched in enumerate(objects):
            counts = {name: self.outcomes[name][index] for name in OUTCOMES}
            strays = self.outcomes[STRAY][index]
            counts["another_day"] += strays
            ref = fetched.placed.ref
            records = self.lines[index]
            if records != sum(counts.values()):
                told = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
                raise ConservationError(
                    f"{ref.key}: {records} records were read, but {sum(counts.values())} are accounted for ({told}). "
                    "Nothing is written. This is a defect of the pipeline: please report it with the object's format "
                    "and these numbers."
                )
            rows.append(
                {
                    "key": ref.key, "size": ref.size, "etag": ref.etag, "state": fetched.state, "own": fetched.own,
                    "lines": records, "records": records, **counts, "strays": strays,
                }
            )  # fmt: skip
        return pl.DataFrame(rows, schema=INGEST_OBJECTS.schema, orient="row").sort("key")
