"""A day's mediation in a process of its own, so that what it needs of memory can be told.

Run as a program it takes a folder and the settings of one source as JSON, and prints what became of the day's records
and the most memory that the process ever had.
"""

import datetime as dt
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 11, 2, 2, 0, tzinfo=dt.UTC)
SMALL = {"spool.PIECE": 1 << 20, "reading.READERS": 1, "shards.HELD_ROWS": 5_000, "buckets.BUCKET_BYTES": 1 << 20}
"""Settings under which reading needs little, and as much for few objects as for many."""


def measured(folder: Path, **settings: Any) -> dict[str, Any]:
    """What the day did, as ``outcomes`` and ``reasons``, and its ``peak`` in bytes.

    Args:
        folder: Holds ``logs`` and gets ``lake``.
        settings: Of the source, beside its name and uri; ``extra`` is the rest of the config, ``objects`` a number of
            objects of one line that are made up on the way instead of being read from ``logs``.
    """
    run = subprocess.run(
        [sys.executable, __file__, str(folder), json.dumps(settings)], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    told: dict[str, Any] = json.loads(run.stdout)
    return told


def _peak() -> int:
    """Bytes; of this program alone where the system tells that apart from who started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


def _main(folder: Path, settings: dict[str, Any]) -> None:
    import finops_pipeline.mediation.buckets
    import finops_pipeline.mediation.reading
    import finops_pipeline.mediation.shards
    import finops_pipeline.mediation.spool
    from finops_pipeline.config.model import Config
    from finops_pipeline.lake import Lake
    from finops_pipeline.mediation import day
    from finops_pipeline.schemas import QUARANTINE

    objects, extra = settings.pop("objects", 0), settings.pop("extra", {})
    if objects:
        for name, value in SMALL.items():
            module, constant = name.split(".")
            setattr(getattr(finops_pipeline.mediation, module), constant, value)
        day.open_store = lambda *_: _store(objects)  # type: ignore[assignment]
    source = {"name": "s", "uri": str(folder / "logs"), **settings}
    config = Config.model_validate(
        {"lake": str(folder / "lake"), "start_date": "2026-01-01", "sources": [source], **extra}
    )
    lake = Lake(folder / "lake")
    result = day.mediate_day(config, config.sources[0], DAY, lake=lake, run="measured", now=NOW)
    peak = _peak()
    quarantine = lake.scan(QUARANTINE).head(5).collect()
    told = {
        "outcomes": {name: number for name, number in result.outcomes.items() if number},
        "reasons": quarantine.get_column("reason").to_list(),
        "peak": peak,
    }
    print(json.dumps(told))


def _store(objects: int) -> Any:
    """A store of as many objects as are asked for, of one line each; none of them lies anywhere."""
    from finops_pipeline.mediation.objects import ObjectRef, Transfers, Wanted, any_key

    call = {"timestamp": f"{DAY}T08:00:00Z", "service": "OpenAI API", "model": "gpt-4o-mini", "input_tokens": 10}

    class Store:
        transfers = Transfers()

        def folders(self, prefix: str) -> list[str]:
            return [] if prefix else [f"date={DAY}"]

        def objects(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
            names = (f"{prefix}time-14-05-00-{n:06}_chatcmpl-{n:024x}.json" for n in range(objects))
            return (ObjectRef(name, 200, f"{hash(name):032x}", NOW) for name in names if wanted(name))

        def files(self, prefix: str, wanted: Wanted = any_key) -> Iterator[ObjectRef]:
            return self.objects(prefix, wanted) if prefix else iter(())

        def fetch(self, ref: ObjectRef) -> bytes:
            return json.dumps(call | {"request_id": ref.key[-29:-5]}).encode()

    return Store()


if __name__ == "__main__":
    os.environ.pop("FINOPS_FINGERPRINT_KEY", None)
    _main(Path(sys.argv[1]), json.loads(sys.argv[2]))
