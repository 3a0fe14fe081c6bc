"""The transport that a config asks for, and what is said where a setting is missing."""

from collections.abc import Callable
from typing import Any

import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.delivery.outbox import Outbox
from finops_pipeline.delivery.ses import Ses
from finops_pipeline.delivery.smtp import Smtp
from finops_pipeline.delivery.transports import transport_of
from finops_pipeline.errors import ConfigError

MakeConfig = Callable[..., Config]

REPORTS = {"from": "finops@example.com", "recipients": ["finance@example.com"]}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FINOPS_SMTP_PASSWORD", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")


@pytest.fixture
def mailing(config: MakeConfig) -> Callable[..., Config]:
    """A config whose ``mail`` section says this."""
    return lambda **mail: config(extra={"mail": mail, "reports": REPORTS})


def test_without_a_word_mail_goes_into_the_outbox_beside_the_config(config: MakeConfig) -> None:
    transport = transport_of(config())
    assert isinstance(transport, Outbox)
    assert transport.folder == config().folder / "outbox"
    assert transport.idempotent


@pytest.mark.parametrize(
    ("mail", "expected"),
    [
        ({}, Smtp("smtp.example.com", 587, "starttls")),
        ({"port": 25, "starttls": False}, Smtp("smtp.example.com", 25, "none")),
        ({"port": 465}, Smtp("smtp.example.com", 465, "tls")),
        ({"port": 465, "starttls": False}, Smtp("smtp.example.com", 465, "tls")),
        ({"user": "finops"}, Smtp("smtp.example.com", 587, "starttls", "finops", "hunter2")),
        (
            {"host": "127.0.0.1", "user": "finops", "starttls": False},
            Smtp("127.0.0.1", 587, "none", "finops", "hunter2"),
        ),
    ],
    ids=str,
)
def test_smtp_is_encrypted_unless_told_otherwise(
    mailing: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, mail: dict[str, Any], expected: Smtp
) -> None:
    monkeypatch.setenv("FINOPS_SMTP_PASSWORD", "hunter2")
    transport = transport_of(mailing(**{"transport": "smtp", "host": "smtp.example.com"} | mail))
    assert transport == expected
    assert not transport.idempotent
    assert "hunter2" not in repr(transport)


@pytest.mark.parametrize("password", [None, ""])
def test_a_user_needs_a_password_from_the_environment(
    mailing: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, password: str | None
) -> None:
    if password is not None:
        monkeypatch.setenv("FINOPS_SMTP_PASSWORD", password)
    with pytest.raises(ConfigError, match=r"mail\.user is finops.*Set FINOPS_SMTP_PASSWORD in the environment"):
        transport_of(mailing(transport="smtp", host="smtp.example.com", user="finops"))


def test_a_password_that_cannot_be_sent_is_not_repeated(
    mailing: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINOPS_SMTP_PASSWORD", "hünter2")
    with pytest.raises(ConfigError, match="letters beyond ASCII") as error:
        transport_of(mailing(transport="smtp", host="smtp.example.com", user="finops"))
    assert "nter2" not in str(error.value)


@pytest.mark.parametrize("transport", ["smtp", "ses"])
def test_a_server_needs_a_sender_that_exists(config: MakeConfig, transport: str) -> None:
    mail = {"transport": transport, "host": "smtp.example.com", "region": "eu-central-1"}
    with pytest.raises(ConfigError, match=r"reports\.from: a mail server refuses mail from finops@localhost"):
        transport_of(config(extra={"mail": mail}))


def test_the_region_of_ses_is_the_configs_or_that_of_the_environment(
    mailing: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transport_of(mailing(transport="ses", region="eu-central-1")) == Ses("eu-central-1")
    with pytest.raises(ConfigError, match=r"mail\.region: name the AWS region.* or set AWS_REGION"):
        transport_of(mailing(transport="ses"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert transport_of(mailing(transport="ses")) == Ses("us-east-1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert transport_of(mailing(transport="ses")) == Ses("eu-west-1")
    assert transport_of(mailing(transport="ses", region="eu-central-1")) == Ses("eu-central-1")


def test_a_profile_that_does_not_exist_is_named(
    mailing: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigError, match=r"nobody.*Check AWS_PROFILE"):
        transport_of(mailing(transport="ses"))
