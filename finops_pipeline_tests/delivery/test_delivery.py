import datetime as dt
import email
import email.policy
import hashlib
import json
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

import pytest

from finops_pipeline.delivery.ledger import Ledger, checked_key, delivery_key
from finops_pipeline.delivery.outbox import Outbox, deliver, deliver_once
from finops_pipeline.errors import DeliveryError, LakeError
from finops_pipeline.lake import Lake

KEY = delivery_key("2026-10", 1, "finance@example.com", "c0ffee")


def message(text: str = "48,997.07 USD\n") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "finops@example.com", "finance@example.com", "October − preliminary"
    mail["Date"] = format_datetime(dt.datetime(2026, 11, 3, 6, tzinfo=dt.UTC))
    mail.set_content(text)
    return mail


def eml_files(outbox: Path) -> list[Path]:
    return sorted(outbox.iterdir())


def test_the_first_delivery_writes_file_and_ledger_and_the_second_nothing(tmp_path: Path) -> None:
    lake, outbox = Lake(tmp_path / "lake"), tmp_path / "outbox"
    assert deliver(message(), KEY, lake, outbox)
    (file,) = eml_files(outbox)
    written = file.read_bytes(), file.stat().st_mtime_ns
    assert not deliver(message("something else\n"), KEY, lake, outbox)
    assert (file.read_bytes(), file.stat().st_mtime_ns) == written
    entry = json.loads((tmp_path / "lake" / "deliveries" / f"{KEY}.json").read_text())
    assert entry["to"] == "finance@example.com"
    assert entry["sent_as"] == file.name


def test_a_mail_that_was_picked_up_does_not_come_back(tmp_path: Path) -> None:
    lake, outbox = Lake(tmp_path / "lake"), tmp_path / "outbox"
    deliver(message(), KEY, lake, outbox)
    eml_files(outbox)[0].unlink()
    assert not deliver(message(), KEY, lake, outbox)
    assert eml_files(outbox) == []


def test_the_file_is_a_mail_with_headers_that_follow_from_the_key(tmp_path: Path) -> None:
    deliver(message(), KEY, Lake(tmp_path / "lake"), tmp_path / "outbox")
    written = (tmp_path / "outbox" / f"{KEY}.eml").read_bytes()
    assert written.count(b"\n") == written.count(b"\r\n")
    parsed = email.message_from_bytes(written, policy=email.policy.default)
    assert parsed["X-Report-Key"] == KEY
    assert parsed["Message-ID"] == f"<{hashlib.sha256(KEY.encode()).hexdigest()[:32]}@example.com>"
    assert parsed["Subject"] == "October − preliminary"


def test_a_crash_between_file_and_ledger_repeats_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, outbox = Lake(tmp_path / "lake"), tmp_path / "outbox"

    def crash(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "record", crash)
        with pytest.raises(KeyboardInterrupt):
            deliver(message(), KEY, lake, outbox)
    (file,) = eml_files(outbox)
    before = file.read_bytes()
    assert deliver(message(), KEY, lake, outbox)
    assert eml_files(outbox) == [file]
    assert file.read_bytes() == before
    assert not deliver(message(), KEY, lake, outbox)


def test_the_message_that_was_given_stays_as_it_is(tmp_path: Path) -> None:
    mail = message()
    deliver(mail, KEY, Lake(tmp_path / "lake"), tmp_path / "outbox")
    assert mail["Message-ID"] is None


def test_racing_threads_deliver_once(tmp_path: Path) -> None:
    lake, outbox = Lake(tmp_path / "lake"), tmp_path / "outbox"
    start = threading.Barrier(24)

    def race(_: int) -> bool:
        start.wait()
        return deliver(message(), KEY, lake, outbox)

    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(race, range(24))).count(True) == 1
    assert [file.name for file in eml_files(outbox)] == [f"{KEY}.eml"]


def _deliver_in_process(root: Path) -> bool:
    return deliver(message(), KEY, Lake(root / "lake"), root / "outbox")


def test_racing_processes_deliver_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(_deliver_in_process, [tmp_path] * 12)).count(True) == 1
    assert [file.name for file in eml_files(tmp_path / "outbox")] == [f"{KEY}.eml"]


class Counting:
    """A transport that counts, and sends again what it is handed again."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, message: EmailMessage, key: str) -> str:
        self.sent.append(key)
        return "counted"


def test_racing_workers_hand_any_transport_one_message(tmp_path: Path) -> None:
    transport, start = Counting(), threading.Barrier(24)

    def race(_: int) -> bool:
        start.wait()
        return deliver_once(message(), KEY, Ledger(tmp_path), transport)

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(race, range(24)))
    assert transport.sent == [KEY]


def test_a_transport_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    class Failing:
        def send(self, message: EmailMessage, key: str) -> str:
            raise DeliveryError("refused")

    with pytest.raises(DeliveryError):
        deliver_once(message(), KEY, Ledger(tmp_path), Failing())
    assert not Ledger(tmp_path).holds(KEY)
    assert deliver_once(message(), KEY, Ledger(tmp_path), Counting())


def test_an_outbox_that_cannot_be_written_is_named_and_can_be_tried_again(tmp_path: Path) -> None:
    lake, outbox = Lake(tmp_path / "lake"), tmp_path / "outbox"
    outbox.write_text("a file where the folder should be")
    with pytest.raises(DeliveryError, match=r"outbox.*mail\.path"):
        deliver(message(), KEY, lake, outbox)
    outbox.unlink()
    assert deliver(message(), KEY, lake, outbox)


def test_a_failed_write_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DeliveryError, match="No space left"):
            Outbox(tmp_path).send(message(), KEY)
    assert eml_files(tmp_path) == []


def test_a_ledger_that_cannot_be_written_stops_before_sending(tmp_path: Path) -> None:
    (tmp_path / "deliveries").write_text("a file where the folder should be")
    transport = Counting()
    with pytest.raises(LakeError, match="deliveries"):
        deliver_once(message(), KEY, Ledger(tmp_path), transport)
    assert transport.sent == []


def test_the_key_is_one_for_each_month_revision_recipient_and_content() -> None:
    arguments = [
        ("2026-10", 1, "finance@example.com", "c0ffee"),
        ("2026-11", 1, "finance@example.com", "c0ffee"),
        ("2026-10", 2, "finance@example.com", "c0ffee"),
        ("2026-10", 1, "finance_at_example.com", "c0ffee"),
        ("2026-10", 1, "finance@example.com", "decaf0"),
    ]
    keys = [delivery_key(*each) for each in arguments]
    assert len(set(keys)) == 5
    assert keys[0] == delivery_key(*arguments[0])
    assert keys[0].startswith("2026-10-r1-finance_at_example.com-")


@pytest.mark.parametrize("recipient", ["../../etc/passwd", "a/b\\c:d@example.com", "é" * 300, "", "\r\nBcc: x"])
def test_a_key_is_fit_for_a_file_name_whatever_the_recipient(recipient: str) -> None:
    key = delivery_key("2026-10", 1, recipient, "c0ffee")
    assert checked_key(key) == key
    assert "/" not in key


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".hidden", "a\n", "x" * 201])
def test_what_is_no_file_name_is_no_key(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="no delivery key"):
        deliver(message(), key, Lake(tmp_path / "lake"), tmp_path / "outbox")
