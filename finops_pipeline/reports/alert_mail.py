"""The mail about a budget that has reached a threshold, or is going to. When it is due is in ``alerts``."""

import datetime as dt
from email.message import EmailMessage

from finops_pipeline.alert_states import Alert
from finops_pipeline.chargeback.statement import ratio
from finops_pipeline.days import ONE_DAY
from finops_pipeline.reports import numbers, wording
from finops_pipeline.reports.aligned import text_columns
from finops_pipeline.reports.letter import letter
from finops_pipeline.reports.templating import render, render_mail

_OTHERWISE = (
    "If this spending is intended, raise the budget’s limit in finops.yaml: warnings then start again for the new one."
)

Figure = tuple[str, str, str]
"""What, how much, and in which terms."""


def compose_alert(alert: Alert, sender: str, recipient: str, owner: str | None) -> EmailMessage:
    """The mail about ``alert``, with all headers but those that delivery gives it. It is dated at the end of its day.

    Args:
        alert: What has been crossed.
        sender: Address that it comes from.
        recipient: One address.
        owner: Who answers for the budget's team; None where there is nobody.

    Raises:
        ValueError: an address holds a line break.
    """
    figures = _figures(alert)
    exceeded = alert.spent >= alert.limit
    values = {
        "alert": alert,
        "subject": alert_subject(alert),
        "heading": _heading(alert),
        "scope": wording.scope_of(alert.scope),
        "summary": _summary(alert),
        "owner": owner,
        "steps": _steps(alert),
        "otherwise": _OTHERWISE,
    }
    return letter(
        sender=sender,
        recipient=recipient,
        subject=alert_subject(alert),
        date=dt.datetime.combine(alert.day + ONE_DAY, dt.time(), dt.UTC),
        text=render("alert_mail.txt", table=text_columns(figures), **values),
        html=render_mail("alert_mail.html", figures=figures, state="exceeded" if exceeded else "warning", **values),
    )


def alert_subject(alert: Alert) -> str:
    """``Budget engineering: 100 % of 10,500.00 USD reached on 30 October``."""
    limit = f"{numbers.threshold(alert.threshold)} of {numbers.money(alert.limit)} USD"
    if alert.kind == "forecast":
        return f"Budget {numbers.name(alert.budget)}: on course for {limit}, as of {numbers.day(alert.day)}"
    return f"Budget {numbers.name(alert.budget)}: {limit} reached on {numbers.day(alert.day)}"


def _heading(alert: Alert) -> str:
    share = numbers.threshold(alert.threshold)
    crossed = f"{share} reached" if alert.kind == "actual" else f"on course for {share}"
    return f"Budget {numbers.name(alert.budget)}: {crossed}"


def _summary(alert: Alert) -> str:
    """What has happened, and what that means for the month."""
    day, month = numbers.day(alert.day), numbers.month_name(alert.period)
    spent, limit = numbers.money(alert.spent), numbers.money(alert.limit)
    if alert.kind == "forecast":
        end = f"{month} ends at about {numbers.money(alert.forecast)} USD"
        return f"At the present rate, {end}; the limit is {limit}, and {spent} was spent by {day}."
    used = f"By the end of {day}, {spent} of {limit} USD was spent"
    over = alert.spent - alert.limit
    if over > 0:
        return f"{used}: the limit is exceeded by {numbers.money(over)}."
    if not over:
        return f"{used}: the limit is reached to the cent."
    return f"{used}: {numbers.money(-over)} is left for the rest of {month}."


def _figures(alert: Alert) -> list[Figure]:
    month = numbers.month_name(alert.period)
    by = f"by the end of {numbers.day(alert.day)}"
    figures = [
        ("Spent", numbers.money(alert.spent), f"{numbers.share(alert.spent / alert.limit)} of the limit, {by}"),
        ("Limit", numbers.money(alert.limit), f"for {numbers.month_and_year(alert.period)}"),
    ]
    if alert.forecast is None:
        return [*figures, ("Forecast", numbers.DASH, "too few days to make one")]
    relative = numbers.share(ratio(alert.forecast, alert.limit))
    return [*figures, ("Forecast", numbers.money(alert.forecast), f"{relative} of the limit, at the end of {month}")]


def _steps(alert: Alert) -> list[tuple[str, str]]:
    breakdown = f"finops breakdown --from {alert.period}-01 --to {alert.day} --by"
    return [
        (
            "See which projects and models it went to:",
            f"{breakdown} team,project,model",
        ),
        ("See which days:", f"{breakdown} day"),
        ("See what would cost less:", wording.savings_command(alert.period, alert.team)),
    ]
