"""Mail as files: whole, readable by any mail program, and the same under the same key."""

import email
import email.policy
import os
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from finops_pipeline.delivery.ledger import Ledger, delivery_key
from finops_pipeline.delivery.once import deliver_once
from finops_pipeline.delivery.outbox import Outbox
from finops_pipeline.errors import DeliveryError

KEY = delivery_key("2026-10", 1, "finance@example.com", "c0ffee")

Mail = Callable[..., EmailMessage]


def test_the_file_is_a_mail(mail: Mail, ledger: Ledger, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")
    assert deliver_once(mail(), KEY, ledger, outbox)
    record = ledger.find(KEY)
    assert record is not None
    assert record.place == str(outbox.path(KEY))
    written = outbox.path(KEY).read_bytes()
    assert written.count(b"\n") == written.count(b"\r\n")
    parsed = email.message_from_bytes(written, policy=email.policy.default)
    assert parsed["X-Report-Key"] == KEY
    assert parsed["Subject"] == "October − preliminary"


def test_a_mail_that_was_picked_up_does_not_come_back(mail: Mail, ledger: Ledger, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")
    deliver_once(mail(), KEY, ledger, outbox)
    outbox.path(KEY).unlink()
    assert not deliver_once(mail(), KEY, ledger, outbox)
    assert list(outbox.folder.iterdir()) == []


def test_a_repetition_writes_the_same_bytes(
    mail: Mail, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(tmp_path / "outbox")

    class Stopping(Outbox):
        def send(self, message: EmailMessage, key: str) -> str:
            super().send(message, key)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver_once(mail(), KEY, ledger, Stopping(outbox.folder))
    before = outbox.path(KEY).read_bytes()
    assert deliver_once(mail(), KEY, ledger, outbox)
    assert [file.read_bytes() for file in outbox.folder.iterdir()] == [before]


def test_an_outbox_that_cannot_be_written_is_named_and_can_be_tried_again(
    mail: Mail, ledger: Ledger, tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path / "outbox")
    outbox.folder.write_text("a file where the folder should be")
    with pytest.raises(DeliveryError, match=r"outbox.*mail\.path"):
        deliver_once(mail(), KEY, ledger, outbox)
    outbox.folder.unlink()
    assert deliver_once(mail(), KEY, ledger, outbox)


def test_a_failed_write_leaves_nothing_half_written(
    mail: Mail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DeliveryError, match="No space left"):
            Outbox(tmp_path).send(mail(), KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_leads_elsewhere_writes_nothing(mail: Mail, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no delivery key"):
        Outbox(tmp_path / "outbox").send(mail(), "../elsewhere")
    assert list(tmp_path.iterdir()) == []
