import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from email.message import EmailMessage
from typing import Any

import pytest

from finops_pipeline.alert_states import Alert
from finops_pipeline.reports.alert_mail import alert_subject, compose_alert

Arrive = Callable[[EmailMessage], Any]


def alert(**overrides: Any) -> Alert:
    return Alert(
        **{
            "budget": "engineering",
            "scope": (("team", "engineering"),),
            "period": "2026-10",
            "kind": "actual",
            "threshold": Decimal("1.0"),
            "limit": Decimal("10500"),
            "day": dt.date(2026, 10, 30),
            "spent": Decimal("10512.33"),
            "forecast": Decimal("10880.10"),
            **overrides,
        }
    )


@pytest.fixture
def sent(arrived: Arrive) -> Callable[..., Any]:
    def send(told: Alert, owner: str | None = "Ada Lovelace") -> Any:
        return arrived(compose_alert(told, "finops@example.com", "owner@example.com", owner))

    return send


@pytest.mark.parametrize(
    ("overrides", "subject"),
    [
        ({}, "Budget engineering: 100 % of 10,500.00 USD reached on 30 October"),
        ({"threshold": Decimal("0.875")}, "Budget engineering: 87.5 % of 10,500.00 USD reached on 30 October"),
        (
            {"kind": "forecast", "day": dt.date(2026, 10, 12)},
            "Budget engineering: on course for 100 % of 10,500.00 USD, as of 12 October",
        ),
    ],
)
def test_the_subject_says_budget_threshold_limit_and_day(
    overrides: dict[str, Any], subject: str, sent: Callable[..., Any]
) -> None:
    assert sent(alert(**overrides)).message["Subject"] == subject


def test_it_is_dated_at_the_end_of_the_alerts_day_and_the_same_bytes_again(sent: Callable[..., Any]) -> None:
    assert sent(alert()).message["Date"].datetime == dt.datetime(2026, 10, 31, tzinfo=dt.UTC)
    assert sent(alert()).bytes == sent(alert()).bytes


def test_both_parts_say_what_was_spent_the_limit_the_forecast_and_what_to_do(sent: Callable[..., Any]) -> None:
    mail = sent(alert())
    for flat in (mail.flat_text, " ".join(mail.html.text.replace("\N{NO-BREAK SPACE}", " ").split())):
        for words in (
            "Budget engineering: 100 % reached",
            "By the end of 30 October, 10,512.33 of 10,500.00 USD was spent: the limit is exceeded by 12.33.",
            # 10512.33 / 10500 and 10880.10 / 10500
            "Spent 10,512.33 100.1 % of the limit, by the end of 30 October",
            "Limit 10,500.00 for October 2026",
            "Forecast 10,880.10 103.6 % of the limit, at the end of October",
            "finops breakdown --from 2026-10-01 --to 2026-10-30 --by team,project,model",
            "finops savings --month 2026-10 --team engineering",
            "Ada Lovelace answers for this budget.",
        ):
            assert words in flat, words


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"spent": Decimal("10500")}, "10,500.00 of 10,500.00 USD was spent: the limit is reached to the cent."),
        (
            {"spent": Decimal("8400"), "threshold": Decimal("0.8")},
            "8,400.00 of 10,500.00 USD was spent: 2,100.00 is left for the rest of October.",
        ),
        (
            {"kind": "forecast", "spent": Decimal("4512.33"), "forecast": Decimal("11656.85")},
            "October ends at about 11,656.85 USD; the limit is 10,500.00, and 4,512.33 was spent by 30 October.",
        ),
    ],
)
def test_the_sentence_is_made_from_the_numbers(
    overrides: dict[str, Any], sentence: str, sent: Callable[..., Any]
) -> None:
    assert sentence in sent(alert(**overrides)).flat_text


def test_a_forecast_that_cannot_be_made_is_a_dash_with_the_reason(sent: Callable[..., Any]) -> None:
    assert "Forecast – too few days to make one" in sent(alert(forecast=None)).flat_text


def test_without_an_owner_nobody_is_named(sent: Callable[..., Any]) -> None:
    assert "answers for" not in sent(alert(scope=()), None).text


def test_hostile_names_stay_text(hostile_names: tuple[str, ...], sent: Callable[..., Any]) -> None:
    for name in hostile_names:
        mail = sent(alert(budget=name, scope=(("team", name), ("model", name))), name)
        assert set(mail.message.keys()) == {"From", "To", "Subject", "Date", "MIME-Version", "Content-Type"}
        assert "script" not in mail.html.tags
        assert "onmouseover" not in mail.html.attributes
        assert "\u202e" not in mail.text + mail.html.text + str(mail.message["Subject"])
        assert not any(line.startswith("Bcc:") for line in mail.text.splitlines())


def test_the_subject_fits_a_log_line_too() -> None:
    assert "\n" not in alert_subject(alert(budget="a\nb"))
