"""Keeps count of an in-process run: what was planned, how each partition ended, and the report made from that."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from finops_pipeline.days import when
from finops_pipeline.orchestration.context import Sent
from finops_pipeline.orchestration.run_report import Progress, RunReport, StatementMade, Status
from finops_pipeline.orchestration.session import Outcome, reason

ALERTS = "budget_alerts"

Told = tuple[str, str, str]
"""An asset, one of its partitions, and what there is to say of it."""


class Tally:
    """One run's count. A partition that is run twice (strays) counts once, by how it ended last."""

    def __init__(self, on_progress: Callable[[Progress], None] | None = None) -> None:
        self._on_progress = on_progress
        self._planned = self._ended = 0
        self._written: set[tuple[str, str]] = set()
        self._skipped: dict[tuple[str, str], None] = {}
        self._warnings: dict[Told, None] = {}
        self._remarks: list[str] = []
        self._alerts: list[Sent] = []
        self._breakdowns: list[str] = []
        self.outcomes: dict[tuple[str, str], Outcome] = {}

    def plan(self, partitions: int) -> None:
        """That many partitions more are to be expected."""
        self._planned += partitions

    def end(self, outcome: Outcome) -> None:
        """A partition has been tried."""
        key = outcome.asset, outcome.partition
        self.outcomes[key] = outcome
        self._skipped.pop(key, None)
        if outcome.result is None:
            self._progress(*key, "failed")
            return
        for warning in outcome.result.warnings:
            self.warn(*key, warning)
        if outcome.asset == ALERTS:
            self._alerts += outcome.result.sent
        if outcome.result.changed:
            self._written.add(key)
        self._progress(*key, "written" if outcome.result.changed else "unchanged")

    def skip(self, asset: str, partition: str) -> None:
        """A planned partition is not tried, because what it reads failed."""
        self._skipped[asset, partition] = None
        self._progress(asset, partition, "skipped")

    def warn(self, asset: str, partition: str, text: str) -> None:
        self._warnings[asset, partition, text] = None

    def remark(self, sentence: str) -> None:
        """A warning that belongs to no single partition."""
        self._remarks.append(sentence)

    def broke(self, sentence: str) -> None:
        """Something failed that belongs to no partition."""
        self._breakdowns.append(sentence)

    def written(self, asset: str) -> set[str]:
        """Partitions of an asset that were written."""
        return {partition for name, partition in self._written if name == asset}

    def failed(self) -> set[tuple[str, str]]:
        """Partitions whose last try failed."""
        return {key for key, outcome in self.outcomes.items() if outcome.error is not None}

    def report(self, days: int, statements: list[StatementMade]) -> RunReport:
        """How the run ended, in sentences."""
        failed = [(*key, reason(o.error)) for key, o in self.outcomes.items() if o.error is not None]
        return RunReport(
            days=days,
            changed=len(self._written),
            failures=[*sentences(failed), *self._breakdowns],
            warnings=[*sentences(self._warnings), *_not_made(self._skipped), *self._remarks],
            statements=statements,
            alerts=self._alerts,
        )

    def _progress(self, asset: str, partition: str, status: Status) -> None:
        self._ended += 1
        if self._on_progress is not None:
            self._on_progress(Progress(asset, partition, status, self._ended, self._planned))


def sentences(told: Iterable[Told]) -> list[str]:
    """One sentence for each asset and text. Texts that begin with a count are one text: the counts add up."""
    partitions: dict[tuple[str, str], set[str]] = defaultdict(set)
    counts: Counter[tuple[str, str]] = Counter()
    for asset, partition, text in told:
        count, said = _counted(text)
        partitions[asset, said].add(partition)
        counts[asset, said] += count
    return [
        f"{asset}, {when(keys)}: {f'{counts[asset, said]:,} {said}' if counts[asset, said] else said}"
        for (asset, said), keys in partitions.items()
    ]


def _not_made(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """One sentence for all assets that were skipped for the same partitions."""
    partitions: dict[str, list[str]] = defaultdict(list)
    for asset, partition in skipped:
        partitions[asset].append(partition)
    assets: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for asset, keys in partitions.items():
        assets[tuple(sorted(keys))].append(asset)
    return [
        f"{', '.join(names)}, {when(keys)}: not made, because what {reads} failed"
        for keys, names in assets.items()
        for reads in ["it reads" if len(names) == 1 else "they read"]
    ]


def _counted(text: str) -> tuple[int, str]:
    """``text`` without the whole number at its beginning, and that number; 0 where there is none."""
    number, _, rest = text.partition(" ")
    return (int(number), rest) if number.isdecimal() and rest else (0, text)
