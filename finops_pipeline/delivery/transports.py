"""Which transport the config asks for. How each works stands in its own module."""

import os

from finops_pipeline.config.model import IMPLICIT_TLS_PORT, Config, Reports
from finops_pipeline.delivery.once import Transport
from finops_pipeline.delivery.outbox import Outbox
from finops_pipeline.delivery.ses import Ses, region_of_environment
from finops_pipeline.delivery.smtp import Security, Smtp
from finops_pipeline.errors import ConfigError

PASSWORD_VARIABLE = "FINOPS_SMTP_PASSWORD"  # noqa: S105 (the variable's name)


def transport_of(config: Config) -> Transport:
    """The transport that ``mail`` in finops.yaml asks for; nothing is connected yet.

    Raises:
        ConfigError: a setting is missing that the file cannot or need not have: the password, the AWS region, or a
            sender that servers accept.
    """
    mail = config.mail
    if mail.transport == "outbox":
        return Outbox(config.resolved(mail.path))
    if config.reports.from_ == Reports().from_:
        raise ConfigError(
            f"reports.from: a mail server refuses mail from {config.reports.from_}. "
            "Name an address of yours in finops.yaml."
        )
    if mail.transport == "ses":
        region = mail.region or region_of_environment()
        if region is None:
            raise ConfigError("mail.region: name the AWS region of Amazon SES in finops.yaml, or set AWS_REGION.")
        return Ses(region)
    assert mail.host is not None, "the config's model sees to it"
    plain: Security = "starttls" if mail.starttls else "none"
    security = "tls" if mail.port == IMPLICIT_TLS_PORT else plain
    return Smtp(mail.host, mail.port, security=security, user=mail.user, password=_password(mail.user))


def _password(user: str | None) -> str | None:
    """The password of ``user``, from the environment only. No message repeats it."""
    if user is None:
        return None
    password = os.environ.get(PASSWORD_VARIABLE)
    if not password:
        raise ConfigError(
            f"mail.user is {user}, and no password is set. Set {PASSWORD_VARIABLE} in the environment, "
            "or leave `user` out where the server asks for none."
        )
    if not (password + user).isascii():
        raise ConfigError(
            f"mail.user or {PASSWORD_VARIABLE} has letters beyond ASCII, which mail servers have no common way to take."
        )
    return password
