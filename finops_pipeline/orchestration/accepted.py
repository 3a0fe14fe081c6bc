"""The warnings of Dagster that are known and accepted, each by its exact words; no other is hidden."""

import contextlib
import warnings
from collections.abc import Iterator

import dagster as dg

ACCEPTED_BETAS = (r"Parameter `backfill_policy` of function `asset` is currently in beta",)
"""Beginnings of messages, as regular expressions. The version bound on dagster in pyproject.toml guards the use."""


@contextlib.contextmanager
def accepting_betas() -> Iterator[None]:
    """Keep Dagster from warning of the beta parameters that the assets use."""
    with warnings.catch_warnings():
        for message in ACCEPTED_BETAS:
            warnings.filterwarnings("ignore", message=message, category=dg.BetaWarning)
        yield
