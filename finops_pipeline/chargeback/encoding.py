"""A statement as JSON and back, exact to the last digit, and the digest of what it says.

The lines are not in the JSON: they are rows of the ``chargeback`` table.
"""

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from finops_pipeline.chargeback.analyses import Action, BridgeStep, BudgetLine, SavingsFound
from finops_pipeline.chargeback.completeness import Completeness
from finops_pipeline.chargeback.statement import TEAM_DAYS, PreviousMonth, Statement
from finops_pipeline.fx import FxRate
from finops_pipeline.schemas import TOTAL

CONTENT = ("month", "currency", "rate", "days", "completeness", "owners")
"""What, with the lines, the statement charges and says of its completeness; a statement in USD has no ``rate``.

The rest is provenance: when it was made, what was read for it, which prices were looked up, whose rate of exchange it
is, what the month before came to. A revision keeps that of its making; that it would be another today is no reason to
charge again.
"""


def encode(statement: Statement) -> dict[str, Any]:
    """Everything but lines and revision, as JSON values: amounts as text, days in ISO 8601."""
    completeness, previous, exchange = statement.completeness, statement.previous, statement.exchange
    return {
        "month": statement.month,
        "made_at": statement.made_at.isoformat(),
        "days": [[day.isoformat(), _text(cost)] for day, cost in statement.days.iter_rows()],
        "completeness": {
            "expected_days": [day.isoformat() for day in completeness.expected_days],
            "missing_days": [day.isoformat() for day in completeness.missing_days],
            "partial_days": [[day.isoformat(), list(sources)] for day, sources in completeness.partial_days],
            "stale_days": [day.isoformat() for day in completeness.stale_days],
            "unfinished_days": [day.isoformat() for day in completeness.unfinished_days],
            "sources": list(completeness.sources),
        },
        "outcomes": dict(statement.outcomes),
        "lines_read": statement.lines_read,
        "book_versions": list(statement.book_versions),
        "previous": None
        if previous is None
        else {
            "month": previous.month,
            "total": str(previous.total),
            "by_team": [[team, str(amount)] for team, amount in previous.by_team.items()],
            "incomplete": previous.incomplete,
            "requests": previous.requests,
            **({} if previous.at_rate is None else {"at_rate": str(previous.at_rate)}),
            **({} if previous.charged_in is None else {"charged_in": previous.charged_in}),
        },
        "replaces": _text(statement.replaces),
        "currency": statement.currency,
        **({} if exchange is None else _exchange(exchange)),
        "owners": dict(statement.owners),
        "team_days": [[day.isoformat(), team, str(cost)] for day, team, cost in statement.team_days.iter_rows()],
        "estimated_tokens": statement.estimated_tokens,
        "budgets": [_as_json(line) for line in statement.budgets],
        "bridge": [_as_json(step) for step in statement.bridge],
        "savings": {
            "actions": [_as_json(action) for action in statement.savings.actions],
            "together": [[team, str(amount)] for team, amount in statement.savings.together.items()],
            "would_cost_more": [_as_json(action) for action in statement.savings.would_cost_more],
            "days": statement.savings.days,
        },
        "silent_sources": list(statement.silent_sources),
        "unreachable": [list(pair) for pair in statement.unreachable],
    }


def decode(content: Mapping[str, Any], *, revision: int, lines: pl.DataFrame) -> Statement:
    """The statement that ``encode`` was given; what an older version did not write yet is empty."""
    completeness, previous = content["completeness"], content["previous"]
    days = [(dt.date.fromisoformat(day), _amount(cost)) for day, cost in content["days"]]
    return Statement(
        month=content["month"],
        revision=revision,
        made_at=dt.datetime.fromisoformat(content["made_at"]),
        lines=lines,
        days=pl.DataFrame(days, schema={"date": pl.Date, "cost": TOTAL}, orient="row"),
        completeness=Completeness(
            expected_days=tuple(map(dt.date.fromisoformat, completeness["expected_days"])),
            missing_days=tuple(map(dt.date.fromisoformat, completeness["missing_days"])),
            partial_days=tuple(
                (dt.date.fromisoformat(day), tuple(sources)) for day, sources in completeness["partial_days"]
            ),
            stale_days=tuple(map(dt.date.fromisoformat, completeness.get("stale_days", ()))),
            unfinished_days=tuple(map(dt.date.fromisoformat, completeness.get("unfinished_days", ()))),
            sources=tuple(completeness["sources"]),
        ),
        outcomes=dict(content["outcomes"]),
        lines_read=content["lines_read"],
        book_versions=tuple(content["book_versions"]),
        previous=None
        if previous is None
        else PreviousMonth(
            month=previous["month"],
            total=Decimal(previous["total"]),
            by_team={team: Decimal(amount) for team, amount in previous["by_team"]},
            incomplete=previous["incomplete"],
            requests=previous.get("requests"),
            at_rate=_amount(previous.get("at_rate")),
            charged_in=previous.get("charged_in"),
        ),
        replaces=_amount(content["replaces"]),
        currency=content["currency"],
        exchange=_rate(content),
        owners=dict(content.get("owners", {})),
        team_days=pl.DataFrame(
            [(dt.date.fromisoformat(day), team, Decimal(cost)) for day, team, cost in content.get("team_days", ())],
            schema=TEAM_DAYS,
            orient="row",
        ),
        estimated_tokens=content.get("estimated_tokens", 0),
        budgets=tuple(_budget(line) for line in content.get("budgets", ())),
        bridge=tuple(BridgeStep(step["name"], Decimal(step["amount"])) for step in content.get("bridge", ())),
        savings=_savings(content.get("savings", {})),
        silent_sources=tuple(content.get("silent_sources", ())),
        unreachable=tuple((team, why) for team, why in content.get("unreachable", ())),
    )


def content_digest(statement: Statement) -> str:
    """SHA-256 over lines and ``CONTENT``: equal digests charge the same, whenever, however often and from what made."""
    encoded = encode(statement)
    said = {name: encoded[name] for name in CONTENT if name in encoded}
    lines = [[str(value) if isinstance(value, Decimal) else value for value in row] for row in statement.lines.rows()]
    canonical = json.dumps([said, statement.lines.columns, lines], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _exchange(exchange: FxRate) -> dict[str, Any]:
    return {
        "rate": {"rate": f"{exchange.rate.normalize():f}", "date": exchange.date.isoformat()},
        "rate_source": {"source": exchange.source, "version": exchange.version},
    }


def _rate(content: Mapping[str, Any]) -> FxRate | None:
    if (rate := content.get("rate")) is None:
        return None
    day = dt.date.fromisoformat(rate["date"])
    return FxRate(content["currency"], Decimal(rate["rate"]), day, **content["rate_source"])


def _as_json(value: Action | BridgeStep | BudgetLine) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Decimal) else v for k, v in dataclasses.asdict(value).items()}


def _budget(line: Mapping[str, Any]) -> BudgetLine:
    exact = {name: Decimal(line[name]) for name in ("limit", "spent")}
    return BudgetLine(**{**line, **exact, "scope": tuple((name, value) for name, value in line["scope"])})


def _savings(found: Mapping[str, Any]) -> SavingsFound:
    return SavingsFound(
        actions=tuple(map(_action, found.get("actions", ()))),
        together={team: Decimal(amount) for team, amount in found.get("together", ())},
        would_cost_more=tuple(map(_action, found.get("would_cost_more", ()))),
        days=found.get("days", 0),
    )


def _action(action: Mapping[str, Any]) -> Action:
    exact = {name: Decimal(action[name]) for name in ("cost", "low", "expected", "high", "incremental")}
    return Action(**{**action, **exact})


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
