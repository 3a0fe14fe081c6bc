"""The ``mail`` section: what may stand together, and that no password stands there."""

from pathlib import Path

import pytest

from finops_pipeline.config.loading import load_config
from finops_pipeline.config.model import Mail
from finops_pipeline.errors import ConfigError

MINIMAL = "lake: ./lake\nsources:\n  - {name: a, format: record, uri: ./logs}\n"


def mail_of(folder: Path, section: str) -> Mail:
    path = folder / "finops.yaml"
    path.write_text(f"{MINIMAL}mail: {section}\n")
    return load_config(path).mail


@pytest.mark.parametrize(
    "section",
    [
        "{transport: smtp, host: smtp.example.com}",
        "{transport: smtp, host: smtp.example.com, user: finops}",
        "{transport: smtp, host: relay.internal, port: 25, starttls: false}",
        "{transport: smtp, host: localhost, user: finops, starttls: false}",
        "{transport: smtp, host: 127.0.0.1, user: finops, starttls: false}",
        "{transport: smtp, host: '::1', user: finops, starttls: false}",
        "{transport: smtp, host: smtp.example.com, port: 465, user: finops, starttls: false}",
        "{transport: ses}",
        "{transport: ses, region: eu-central-1}",
        "{transport: outbox, host: smtp.example.com}",
    ],
)
def test_what_makes_sense_is_taken(tmp_path: Path, section: str) -> None:
    assert mail_of(tmp_path, section)


def test_mail_stays_in_the_outbox_and_is_encrypted_by_default(tmp_path: Path) -> None:
    assert mail_of(tmp_path, "{}").transport == "outbox"
    mail = mail_of(tmp_path, "{transport: smtp, host: smtp.example.com}")
    assert (mail.port, mail.starttls, mail.user) == (587, True, None)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{transport: pigeon}", "mail.transport: expected one of outbox, smtp, ses; got 'pigeon' (line 4)"),
        (
            "{transport: smtp}",
            "mail.host: expected the mail server's name, such as smtp.example.com; got nothing (line 4)",
        ),
        (
            "{transport: smtp, host: 'smtp.example.com:587'}",
            "mail.host: expected a server's name without scheme, user or port, such as smtp.example.com; got 'smtp.e",
        ),
        ("{transport: smtp, host: a.b, port: 0}", "mail.port: expected at least 1; got 0 (line 4)"),
        ("{transport: smtp, host: a.b, port: 65536}", "mail.port: expected at most 65535; got 65536 (line 4)"),
        (
            "{transport: smtp, host: a.b, user: finops, starttls: false}",
            "mail.starttls: expected true: the password of `user` would cross the network in the clear. Leave `user`",
        ),
        (
            "{transport: smtp, host: a.b, password: hunter2}",
            "mail.password: unknown key: it comes from the environment, as FINOPS_SMTP_PASSWORD (line 4)",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        mail_of(tmp_path, section)
    assert said in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("host", ["smtp://finops:hunter2@smtp.example.com", "finops:hunter2@smtp.example.com"])
def test_a_host_with_a_password_in_it_is_not_repeated(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="without scheme, user or port") as error:
        mail_of(tmp_path, f"{{transport: smtp, host: '{host}'}}")
    assert "hunter2" not in str(error.value)
