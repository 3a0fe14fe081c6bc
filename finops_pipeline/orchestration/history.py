"""Where Dagster keeps the history of in-process runs: in ``DAGSTER_HOME`` when that is set, else nowhere."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.instance import InstanceRef  # no public constructor takes overrides

from finops_pipeline.errors import ConfigError

IN_THIS_PROCESS: dict[str, Any] = {
    # Dagster keeps what a step prints by swapping the process's stdout and stderr for files, under the feet of whatever
    # shows progress on the terminal.
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    },
    # Its usage statistics announce themselves on stderr; whoever runs a finance pipeline did not ask for them.
    "telemetry": {"enabled": False},
}
"""What differs from the ``dagster.yaml`` of ``DAGSTER_HOME`` for runs in this process."""


@contextlib.contextmanager
def history(instance: dg.DagsterInstance | None = None) -> Iterator[dg.DagsterInstance]:
    """The given instance, else that of ``DAGSTER_HOME``, else one that is forgotten when the block ends.

    Raises:
        ConfigError: ``DAGSTER_HOME`` is no absolute path of a folder.
    """
    home = os.environ.get("DAGSTER_HOME")
    if instance is not None:
        yield instance
    elif home:
        folder = Path(home).expanduser()
        if not folder.is_absolute() or not folder.is_dir():
            raise ConfigError(f"DAGSTER_HOME is {home}: expected the absolute path of a folder that exists.")
        with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=IN_THIS_PROCESS)) as kept:
            yield kept
    else:
        with dg.DagsterInstance.ephemeral() as forgotten:
            yield forgotten
