"""Allocation: who pays for each call, by effective-dated ownership rules over what the log says.

What a call costs is in ``pricing``; how shared costs are split is the statement's business.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence

import polars as pl

from finops_pipeline.config.model import OwnershipRule, Team

OWNED = ("team", "project", "environment", "cost_center")
"""Columns that a rule may set."""


def assign_owners(usage: pl.LazyFrame, rules: Sequence[OwnershipRule], teams: Mapping[str, Team]) -> pl.LazyFrame:
    """``usage`` with its owners: ``team``, ``project`` and ``environment`` replaced, four columns added.

    ``raw_team`` and ``raw_project`` keep what the log said. The first rule decides whose values all equal the log's
    (exactly; a column that is null in the log matches nothing) and whose ``from`` is not after the call's UTC day; its
    name is ``allocation_rule``, and columns that it does not set stay the log's. ``cost_center`` is the rule's, else
    that of the team that owns the call. A team that is null or empty is unallocated: null.

    Args:
        usage: Columns of ``schemas.USAGE`` and ``source``.
        rules: In order of precedence.
        teams: Cost centres, by team.
    """
    decided = pl.coalesce(_NONE, *(pl.when(_holds(rule)).then(pl.lit(number)) for number, rule in enumerate(rules)))
    log_says = {"team": pl.col("team"), "project": pl.col("project"), "environment": pl.col("environment")}
    return (
        usage.with_columns(_rule=decided.cast(pl.UInt32))
        .with_columns(raw_team=pl.col("team"), raw_project=pl.col("project"))
        .with_columns(
            *(_or_null(_as_set(column, rules, log_says.get(column, _NONE_TEXT))).alias(column) for column in OWNED),
            allocation_rule=_mapped(pl.col("_rule"), {number: rule.name for number, rule in enumerate(rules)}),
        )
        .with_columns(cost_center=pl.coalesce("cost_center", _mapped(pl.col("team"), _cost_centers(teams))))
        .drop("_rule")
    )


def ownership_digest(rules: Sequence[OwnershipRule], teams: Mapping[str, Team]) -> str:
    """SHA-256 over what decides owners: the rules in their order, and the teams' cost centres."""
    content = [[rule.model_dump(mode="json", by_alias=True) for rule in rules], sorted(_cost_centers(teams).items())]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


_NONE = pl.lit(None, dtype=pl.UInt32)
_NONE_TEXT = pl.lit(None, dtype=pl.String)


def _holds(rule: OwnershipRule) -> pl.Expr:
    since = dt.datetime.combine(rule.from_, dt.time(0), dt.UTC)
    return pl.all_horizontal(
        pl.col("event_time") >= since, *(pl.col(column) == value for column, value in rule.match.items())
    )


def _as_set(column: str, rules: Sequence[OwnershipRule], log_says: pl.Expr) -> pl.Expr:
    """The deciding rule's value of a column where it sets one, else the log's."""
    values = {number: value for number, rule in enumerate(rules) for key, value in rule.set.items() if key == column}
    if not values:
        return log_says
    return pl.when(pl.col("_rule").is_in(list(values))).then(_mapped(pl.col("_rule"), values)).otherwise(log_says)


def _mapped(keys: pl.Expr, values: Mapping[int, str] | Mapping[str, str]) -> pl.Expr:
    """The value of each key; null where there is none."""
    if not values:
        return _NONE_TEXT
    return keys.replace_strict(list(values), list(values.values()), default=None, return_dtype=pl.String)


def _or_null(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)


def _cost_centers(teams: Mapping[str, Team]) -> dict[str, str]:
    return {name: team.cost_center for name, team in teams.items() if team.cost_center}
