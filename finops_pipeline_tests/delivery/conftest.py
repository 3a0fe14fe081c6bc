"""A mail to send, transports that end in every way, and the ledger of an empty lake."""

import datetime as dt
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

import pytest

from finops_pipeline.delivery.ledger import Ledger
from finops_pipeline.storage import open_storage

NOW = dt.datetime(2026, 11, 3, 6, tzinfo=dt.UTC)


class Post:
    """A transport that takes note of what it is handed, and then fails where it was given an error."""

    def __init__(self, error: BaseException | None = None, *, idempotent: bool = False) -> None:
        self.error = error
        self.idempotent = idempotent
        self.handed: list[EmailMessage] = []

    def send(self, message: EmailMessage, key: str) -> str:
        self.handed.append(message)
        if self.error is not None:
            raise self.error
        return "the post"


@pytest.fixture
def post() -> Callable[..., Post]:
    return Post


@pytest.fixture
def mail() -> Callable[..., EmailMessage]:
    """``mail()``, or with other headers: ``mail(To="search@example.com")``."""

    def make(text: str = "48,997.07 USD\n", **headers: str) -> EmailMessage:
        message = EmailMessage()
        said = {"From": "finops@example.com", "To": "finance@example.com", "Subject": "October − preliminary"}
        for name, value in (said | headers).items():
            message[name] = value
        message["Date"] = format_datetime(NOW)
        message.set_content(text)
        return message

    return make


class Clock:
    """A present that stands still until it is moved."""

    def __init__(self) -> None:
        self.present = NOW

    def __call__(self) -> dt.datetime:
        return self.present


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return Ledger(open_storage(tmp_path), clock)
