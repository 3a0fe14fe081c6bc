"""Statements to render: a whole invented October, and a factory for small ones."""

import dataclasses
import datetime as dt
import email
import email.policy
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest

from finops_pipeline.chargeback.analyses import Action, BridgeStep, BudgetLine, SavingsFound
from finops_pipeline.chargeback.completeness import Completeness
from finops_pipeline.chargeback.statement import PreviousMonth, Statement, draft_statement
from finops_pipeline.config.model import Team
from finops_pipeline.days import days_of
from finops_pipeline.fx import FxRate
from finops_pipeline.money import EXPONENTS
from finops_pipeline.schemas import DAILY_COSTS

StatementOf = Callable[..., Statement]


class Html(HTMLParser):
    """What a page or a mail holds: the cells of its tables row by row, its text, every tag, attribute and link."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self._open: list[list[str] | None] = []
        self._in_style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [str(value) for name, value in attrs if name in ("href", "src")]
        self._in_style = tag == "style"
        if tag == "table":
            self.tables.append([])
            self._open.append(None)
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables[-1]:
            self._open[-1] = self.tables[-1][-1]
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"
        if tag == "table":
            self._open.pop()
        elif tag in ("td", "th") and self._open:
            self._open[-1] = None

    def handle_data(self, text: str) -> None:
        if self._in_style:
            return
        self.text += text
        if self._open and (row := self._open[-1]) is not None:
            row[-1] += text

    @property
    def flat(self) -> str:
        """The text with single plain spaces."""
        return " ".join(self.text.split())


@pytest.fixture(scope="session")
def html_of() -> Callable[[str], Html]:
    return Html


class Arrived:
    """A mail as its reader gets it: through bytes and back."""

    def __init__(self, message: EmailMessage) -> None:
        self.bytes = message.as_bytes(policy=email.policy.SMTP)
        self.message: EmailMessage = email.message_from_bytes(self.bytes, policy=email.policy.default)  # type: ignore[assignment]

    def _body(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content())

    @property
    def text(self) -> str:
        return self._body("plain").replace("\N{NO-BREAK SPACE}", " ")

    @property
    def flat_text(self) -> str:
        return " ".join(self.text.split())

    @property
    def html(self) -> Html:
        return Html(self._body("html"))

    @property
    def attached(self) -> dict[str, bytes]:
        return {
            str(part.get_filename()): part.get_payload(decode=True)  # type: ignore[misc]
            for part in self.message.iter_attachments()
        }


@pytest.fixture(scope="session")
def arrived() -> Callable[[EmailMessage], Arrived]:
    return Arrived


NO_COSTS: Mapping[str, Any] = {
    **{column.name: 0 for column in DAILY_COSTS.columns if not column.nullable},
    "source": "bedrock",
    "requests": 1,
}


def costs_of(rows: Iterable[Mapping[str, Any]]) -> pl.LazyFrame:
    schema = {**DAILY_COSTS.schema, "date": pl.Date}
    return pl.LazyFrame([{**NO_COSTS, "date": dt.date(2026, 10, 1), **row} for row in rows], schema=schema)


def whole_month(month: str, **lacks: Any) -> Completeness:
    return dataclasses.replace(Completeness(days_of(month), sources=("bedrock", "gateway", "internal")), **lacks)


@pytest.fixture
def statement_of() -> StatementOf:
    """``statement_of(rows, **overrides)``: October 2026 from rows of daily costs, published as revision 1."""

    def build(
        rows: Iterable[Mapping[str, Any]] = (),
        *,
        lacks: Mapping[str, Any] | None = None,
        teams: Mapping[str, Team] | None = None,
        exchange: FxRate | None = None,
        **overrides: Any,
    ) -> Statement:
        draft = draft_statement(
            "2026-10",
            costs_of(rows),
            teams or {},
            whole_month("2026-10", **(lacks or {})),
            outcomes={"usage": 1},
            lines_read=1,
            book_versions=["b00c"],
            previous=None,
            made_at=dt.datetime(2026, 11, 3, 6, 0, tzinfo=dt.UTC),
            currency="USD" if exchange is None else exchange.currency,
            exchange=exchange,
        )
        return dataclasses.replace(draft, **{"revision": 1, **overrides})

    return build


TEAMS = {
    "Support": ("CC-210", "550.10"),
    "Search": ("CC-180", "390.30"),
    "Platform": ("CC-100", "222.20"),
    "Growth": ("CC-240", "160.15"),
    "Risk": ("CC-310", "75.05"),
    "Docs": ("CC-120", "30.70"),
}
"""Cost centre, and USD a weekday."""

WITHOUT_EMAIL = ("Growth", "Risk")


def team_budget(team: str, limit: str, status: Any, **rest: Any) -> BudgetLine:
    """What is spent follows from the charges."""
    return BudgetLine(team.lower(), (("team", team),), Decimal(limit), Decimal(0), status, **rest)


BUDGETS = (
    team_budget("Support", "60000", "ok"),
    team_budget("Search", "10000", "exceeded"),
    team_budget("Platform", "8000", "warning", unpriced_requests=3),
    BudgetLine(
        "assistants on Sonnet",
        (("team", "Support"), ("model", "claude-sonnet-4-5")),
        Decimal("4000"),
        Decimal("3310.90"),
        "warning",
    ),
    BudgetLine("company", (), Decimal("80000"), Decimal("64000.10"), "warning"),
)
"""One exceeded, two near their limit, one over two keys, one over all usage."""

HEURISTIC = (
    "Calls of a low complexity score would be answered as well by the smaller model; complexity from logs alone has an "
    "AUC of 0.51–0.67 for that, so try it on a sample first."
)
MEASURED = "An answer may be given twice for an hour. What the cache itself costs is not counted."


def action(lever: str, team: str | None, text: str, low: str, expected: str, high: str, **rest: Any) -> Action:
    """Something that would have cost less, with what a test does not look at filled in."""
    of_lever = {"evidence": "measured", "assumptions": MEASURED} if lever == "caching" else {}
    return Action(
        **{
            **dict.fromkeys(("project", "application", "service", "model", "target")),
            "requests": 1000,
            "cost": Decimal("9000.00"),
            "evidence": "heuristic",
            "assumptions": HEURISTIC,
            "incremental": Decimal(expected),
            **of_lever,
            **rest,
            "lever": lever,
            "team": team,
            "action": text,
            "low": Decimal(low),
            "expected": Decimal(expected),
            "high": Decimal(high),
        }
    )


SAVINGS = SavingsFound(
    actions=(
        action(
            "downgrade", "Support", "Send simple calls of helpdesk to claude-haiku-4-5", "980.20", "2640.00", "3105.75"
        ),
        action("caching", "Search", "Answer repeated prompts of ranking from a cache", "1410.33", "1730.02", "1980.00"),
        action("batching", "Growth", "Send nightly-eval through the batch tier", "0.00", "910.50", "1240.10"),
        action("caching", "Support", "Answer repeated prompts of helpdesk from a cache", "310.00", "402.40", "402.40"),
        action("downgrade", None, "Send simple calls of no application to gpt-5-nano", "11.00", "88.08", "90.00"),
        action("batching", "Docs", "Send docs-batch-1 through the batch tier", "3.10", "12.77", "12.77"),
    ),
    together={
        "Support": Decimal("2871.15"),
        "Search": Decimal("1730.02"),
        "Growth": Decimal("910.50"),
        "Docs": Decimal("12.77"),
        None: Decimal("88.08"),
    },
    would_cost_more=(
        action("batching", "Platform", "Send platform-batch-1 through the batch tier", "-61.00", "-44.10", "0.00"),
    ),
    days=31,
)
"""Five actions on the page and one that only its team's page lists; one that would lose money."""

MODELS = ("claude-sonnet-4-5", "claude-haiku-4-5", "gpt-5-mini", "nova-pro", "titan-embed-text-v2")


def october_rows() -> Iterable[dict[str, Any]]:
    """Six teams, one of them in two cost centres and one with many projects; unallocated and unpriced calls."""
    for day in days_of("2026-10"):
        pace = Decimal("0.35") if day.weekday() >= 5 else Decimal(1) + Decimal(day.day) / 100
        for rank, (team, (cost_center, cost)) in enumerate(TEAMS.items()):
            for n in range(14 if team == "Support" else 3):
                yield {
                    "date": day,
                    "team": team,
                    "cost_center": "CC-215" if team == "Support" and n == 2 else cost_center,
                    "project": f"{team.lower()}-{('assistant', 'batch', 'eval')[n % 3]}-{n}",
                    "service": "Amazon Bedrock",
                    "model": MODELS[(rank + n) % len(MODELS)],
                    "requests": 900 // (n + 1),
                    "input_tokens": 2_300_000 // (n + 1),
                    "output_tokens": 310_000 // (n + 1),
                    "cost": Decimal(cost) * pace / (n + 2) + Decimal("0.001234567891"),
                }
        yield {"date": day, "model": "gpt-5-mini", "requests": 40, "input_tokens": 90_000, "cost": Decimal("19.7612")}
        yield {
            "date": day,
            "team": "Support",
            "cost_center": "CC-210",
            "model": "qwen3-32b",
            "project": "support-pilot",
            "requests": 60,
            "input_tokens": 290_000,
            "unpriced_reason": "unresolved_model",
            "unpriced_requests": 60,
            "unpriced_tokens": 290_000,
        }


def without_price(
    team: str | None, model: str | None, reason: str | None, requests: int = 1, tokens: int = 0
) -> dict[str, Any]:
    """Calls of a team that have no price for this reason."""
    return {
        "team": team,
        "model": model,
        "unpriced_reason": reason,
        "requests": requests,
        "input_tokens": tokens,
        "unpriced_requests": requests,
        "unpriced_tokens": tokens,
    }


@pytest.fixture
def unpriced() -> Callable[..., dict[str, Any]]:
    return without_price


SEPTEMBER = {
    "Support": "36012.26",
    "Search": "8769.62",
    "Platform": "7515.64",
    "Growth": "4716.13",
    "Risk": "2388.94",
    "Docs": "1021.64",
    "Labs": "6888.10",
    None: "731.13",
}
"""USD of each team in the month before."""

EXCHANGE_RATES = {
    currency: FxRate(currency, Decimal(units), dt.date(2026, 10, 30), source, "4450351f9e953c8c")
    for currency, units, source in (
        ("EUR", "0.9173", "ECB reference rate"),
        ("JPY", "151.4", "Bank of Japan"),
        ("KWD", "0.30715", "Central Bank of Kuwait"),
    )
}


@pytest.fixture(scope="session")
def october() -> Statement:
    """A month as a mid-size company has it."""
    return october_in("USD", None)


@pytest.fixture(scope="session", params=EXCHANGE_RATES)
def foreign_october(request: pytest.FixtureRequest) -> Statement:
    """The same month in a currency with two decimals, with none and with three."""
    return october_in(request.param, EXCHANGE_RATES[request.param])


def october_in(currency: str, exchange: FxRate | None) -> Statement:
    unit = Decimal(1).scaleb(-EXPONENTS[currency])

    def converted(usd: str) -> Decimal:
        return (Decimal(usd) * (1 if exchange is None else exchange.rate)).quantize(unit)

    before = {team: converted(usd) for team, usd in SEPTEMBER.items()}
    draft = draft_statement(
        "2026-10",
        costs_of(october_rows()),
        {
            team: Team(
                cost_center=cost_center,
                owner=f"Head of {team}",
                email=None if team in WITHOUT_EMAIL else f"{team.lower()}@example.com",
            )
            for team, (cost_center, _) in TEAMS.items()
        },
        whole_month("2026-10"),
        outcomes={"usage": 2_401_377, "duplicate": 9_920, "not_usage": 512, "quarantined": 279},
        lines_read=2_412_088,
        book_versions=["3f2a9c0d1e5b7788"],
        previous=PreviousMonth("2026-09", sum(before.values(), Decimal("0.00")), before, incomplete=False),
        made_at=dt.datetime(2026, 11, 3, 6, 0, tzinfo=dt.UTC),
        currency=currency,
        exchange=exchange,
        budgets=BUDGETS,
        savings=SAVINGS,
    )
    steps = {"Mix": "1290.40", "Length": "210.03", "Caching": "-797.11", "Price": "-402.00"}
    others = [BridgeStep(name, converted(amount)) for name, amount in steps.items()]
    volume = (draft.change or 0) - sum(step.amount for step in others)
    return dataclasses.replace(
        draft, revision=1, bridge=(BridgeStep("Volume", Decimal(volume)), *others), estimated_tokens=12_000_000
    )


HOSTILE = (
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "Eve\r\nBcc: everyone@example.com",
    "abc\u202edesrever",
    '" onmouseover="x',
    "Ω" * 500,
    "検索チーム",
    "",
)
"""Names as a log may hold them."""


@pytest.fixture
def hostile(statement_of: StatementOf) -> Statement:
    """Every hostile name as team, project, model and cost centre, without a price, missing as a source."""
    rows = [
        {
            "team": name,
            "project": name,
            "model": name,
            "cost_center": name,
            "cost": Decimal(10 + n),
            "requests": 2,
            "input_tokens": 50,
        }
        for n, name in enumerate(HOSTILE)
    ]
    rows += [without_price(name, name, "unresolved_model", tokens=50) for name in HOSTILE]
    owners = {name: Team(owner=name) for name in HOSTILE}
    statement = statement_of(rows, teams=owners, lacks={"partial_days": ((dt.date(2026, 10, 5), HOSTILE[:3]),)})
    before = {name: Decimal(1) for name in HOSTILE}
    return dataclasses.replace(
        statement,
        previous=PreviousMonth("2026-09", Decimal(len(HOSTILE)), before, False),
        bridge=(BridgeStep("Volume", Decimal(100)),),
        budgets=tuple(
            BudgetLine(
                name, (("team", name), *(() if n % 2 else (("model", name),))), Decimal(5), Decimal(9), "exceeded"
            )
            for n, name in enumerate(HOSTILE)
        ),
        savings=SavingsFound(
            actions=tuple(
                action(
                    "caching",
                    name,
                    f"Answer repeated prompts of {name} from a cache",
                    "1",
                    str(n + 1),
                    "9",
                    assumptions=f"As {name} says.",
                )
                for n, name in enumerate(HOSTILE)
            ),
            together={name: Decimal(n + 1) for n, name in enumerate(HOSTILE)},
            would_cost_more=tuple(action("batching", name, f"Batch {name}", "-2", "-1", "0") for name in HOSTILE[:3]),
            days=31,
        ),
        unreachable=tuple((name, "no e-mail") for name in HOSTILE),
        silent_sources=HOSTILE[:2],
    )


@pytest.fixture(scope="session")
def hostile_names() -> tuple[str, ...]:
    return HOSTILE
