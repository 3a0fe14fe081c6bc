"""A config with two sources of plain records, and what writes their logs, for the commands that read them."""

import json
from pathlib import Path
from typing import Any

CONFIG = """\
lake: ./lake
start_date: 2026-09-01
sources:
  - {name: gateway, format: record, uri: logs/gateway, cost_basis: reported}
  - {name: internal, format: record, uri: logs/internal, cost_basis: reported}
"""

BROKEN = b'{"prompt": "a secret'


def call(name: str, at: str = "2026-10-19T08:00:00Z", **fields: Any) -> dict[str, Any]:
    """One call of 1 USD."""
    tokens = {"input_tokens": 10, "output_tokens": 2}
    return (
        {"request_id": name, "timestamp": at, "service": "OpenAI API", "model": "gpt-4o", "cost": 1} | tokens | fields
    )


def write_config(folder: Path, more: str = "") -> None:
    """``finops.yaml`` in ``folder``."""
    (folder / "finops.yaml").write_text(CONFIG + more)


def put(folder: Path, source: str, day: str, *lines: dict[str, Any] | bytes, name: str = "a.jsonl") -> Path:
    """One object of a source's day."""
    file = folder / "logs" / source / f"date={day}" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(
        b"".join(line + b"\n" if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    )
    return file
