"""A late record is charged in the end, also where its day could not be made again at once."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

from finops_pipeline.config.model import Config
from finops_pipeline.costs import breakdown_of
from finops_pipeline.lake import Lake
from finops_pipeline.orchestration.runner import RunReport, RunRequest, run

OLD, NEW = dt.date(2026, 10, 3), dt.date(2026, 10, 5)


def put(folder: Path, source: str, day: dt.date, *ids_and_days: tuple[str, dt.date]) -> None:
    file = folder / source / f"date={day}" / "a.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    calls = (
        {"timestamp": f"{at}T08:00:00Z", "request_id": name, "service": "OpenAI API", "model": "gpt-4o", "cost": 1,
         "input_tokens": 1, "output_tokens": 1}
        for name, at in ids_and_days
    )  # fmt: skip
    file.write_text("\n".join(map(json.dumps, calls)))


def night(config: Config, day: dt.date) -> RunReport:
    return run(config, RunRequest(days=(day, day)), now=dt.datetime(2026, 10, 6, 2, tzinfo=dt.UTC))


def charged(config: Config, day: dt.date) -> Decimal:
    total: Decimal = breakdown_of(Lake(config.resolved(config.lake)), day, day, []).get_column("cost").item()
    return total


def test_a_late_record_is_priced_once_what_held_its_day_back_is_mended(tmp_path: Path) -> None:
    sources = [{"name": n, "format": "record", "uri": n, "cost_basis": "reported"} for n in ("a", "b")]
    config = Config.model_validate({"lake": "lake", "start_date": "2026-10-01", "sources": sources}).located(tmp_path)
    for source in ("a", "b"):
        put(tmp_path, source, OLD, (f"{source}-old", OLD))
        put(tmp_path, source, NEW, (f"{source}-new", NEW))
    assert night(config, OLD).ok
    assert charged(config, OLD) == 2

    put(tmp_path, "a", NEW, ("a-new", NEW), ("late", OLD))
    (tmp_path / "b").rename(tmp_path / "gone")
    assert not night(config, NEW).ok
    assert charged(config, OLD) == 2

    (tmp_path / "gone").rename(tmp_path / "b")
    assert night(config, NEW).ok
    assert (charged(config, OLD), charged(config, NEW)) == (3, 2)
    assert night(config, NEW).changed == 0
