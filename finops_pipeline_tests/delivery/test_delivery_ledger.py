"""The ledger: who may hand a mail over, what is on record after, and what a person can decide."""

import datetime as dt
import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.delivery.ledger import Claim, Ledger, checked_key, delivery_key
from finops_pipeline.delivery.record import LEASE_TIME
from finops_pipeline.errors import AmbiguousDeliveryError, DeliveryError, LakeError

KEY = delivery_key("2026-10", 1, "finance@example.com", "c0ffee")
FACTS = {"to": "finance@example.com", "subject": "October", "message_id": "<1@example.com>"}


def written(root: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((root / "deliveries" / f"{KEY}.json").read_text())
    return record


def put(root: Path, content: bytes | dict[str, Any]) -> None:
    (root / "deliveries").mkdir()
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    (root / "deliveries" / f"{KEY}.json").write_bytes(raw)


def claimed(ledger: Ledger) -> Claim:
    claim = ledger.claim(KEY, FACTS)
    assert claim is not None
    return claim


def state(ledger: Ledger) -> str:
    record = ledger.find(KEY)
    assert record is not None
    return record.state


# -- keys -------------------------------------------------------------------------------------------------------------


def test_the_key_is_one_for_each_month_revision_recipient_content_and_audience() -> None:
    arguments = [
        ("2026-10", 1, "finance@example.com", "c0ffee"),
        ("2026-11", 1, "finance@example.com", "c0ffee"),
        ("2026-10", 2, "finance@example.com", "c0ffee"),
        ("2026-10", 1, "finance_at_example.com", "c0ffee"),
        ("2026-10", 1, "finance@example.com", "decaf0"),
        ("2026-10", 1, "finance@example.com", "c0ffee", "team search"),
        ("2026-10", 1, "finance@example.com", "c0ffee", "team legal"),
    ]
    keys = [delivery_key(*each) for each in arguments]
    assert len(set(keys)) == len(arguments)
    assert keys[0] == delivery_key(*arguments[0])
    assert keys[0].startswith("2026-10-r1-finance_at_example.com-")


def test_finance_keeps_the_keys_of_earlier_versions() -> None:
    """An upgrade must not send again what has left: this key stands in the ledger of a lake made before audiences."""
    digest = "3b0c4bd7b2e44b3d0b1b1d7c5d3a2b6c"
    identity = hashlib.sha256(f'["2026-10", 1, "finance@example.com", "{digest}"]'.encode()).hexdigest()[:16]
    assert delivery_key("2026-10", 1, "finance@example.com", digest) == f"2026-10-r1-finance_at_example.com-{identity}"


@pytest.mark.parametrize("recipient", ["../../etc/passwd", "a/b\\c:d@example.com", "é" * 300, "", "\r\nBcc: x"])
def test_a_key_is_fit_for_a_file_name_whatever_the_recipient(recipient: str) -> None:
    key = delivery_key("2026-10", 1, recipient, "c0ffee")
    assert checked_key(key) == key
    assert "/" not in key


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".hidden", "a\n", "x" * 201])
def test_what_is_no_file_name_is_no_key(ledger: Ledger, key: str) -> None:
    for use in (ledger.find, ledger.release, ledger.mark_sent):
        with pytest.raises(ValueError, match="no delivery key"):
            use(key)


def test_a_person_names_a_mail_by_the_end_of_its_key(ledger: Ledger) -> None:
    claimed(ledger)
    record = ledger.find(KEY)
    assert record is not None
    digest = KEY.rpartition("-")[2]
    assert record.short_key == digest[:8]
    assert record.month == "2026-10"
    assert all(record.has_key(key) for key in (KEY, digest, digest[:8], digest[:12]))
    assert not any(record.has_key(key) for key in (digest[:7], "", KEY[:-1], digest[1:]))


# -- claim, send, confirm ---------------------------------------------------------------------------------------------


def test_nothing_is_on_record_at_first(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.find(KEY) is None
    assert ledger.records() == []
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"


def test_a_mail_is_claimed_once_and_then_sent(ledger: Ledger, tmp_path: Path) -> None:
    claim = claimed(ledger)
    assert state(ledger) == "in progress"
    assert ledger.claim(KEY, FACTS) is None
    assert ledger.confirm(claim, "the post")
    assert ledger.claim(KEY, FACTS) is None
    record = ledger.find(KEY)
    assert record is not None
    assert (record.state, record.place, record.recipient, record.subject) == (
        "sent",
        "the post",
        "finance@example.com",
        "October",
    )
    assert record.at == dt.datetime(2026, 11, 3, 6, tzinfo=dt.UTC)
    assert set(written(tmp_path)) == {"key", "state", "to", "subject", "message_id", "at", "sent_as"}


def test_while_it_is_handed_over_its_owner_is_on_record(ledger: Ledger, tmp_path: Path) -> None:
    claimed(ledger)
    entry = written(tmp_path)
    assert (entry["state"], entry["host"], entry["pid"]) == ("sending", socket.gethostname(), str(os.getpid()))
    assert entry["expires"] == "2026-11-03T06:10:00+00:00"


def test_a_refused_mail_can_be_claimed_again(ledger: Ledger) -> None:
    ledger.fail(claimed(ledger), "mailbox full")
    record = ledger.find(KEY)
    assert record is not None
    assert (record.state, record.reason) == ("failed", "mailbox full")
    assert ledger.confirm(claimed(ledger), "the post")
    assert state(ledger) == "sent"


def test_of_two_that_find_a_refused_mail_one_may_try_again(ledger: Ledger) -> None:
    ledger.fail(claimed(ledger), "mailbox full")
    assert claimed(ledger)
    assert ledger.claim(KEY, FACTS) is None


def test_a_doubtful_mail_is_left_alone_and_the_way_out_named(ledger: Ledger) -> None:
    said = str(ledger.doubt(claimed(ledger), "the reply was lost"))
    with pytest.raises(AmbiguousDeliveryError) as again:
        ledger.claim(KEY, FACTS)
    assert str(again.value) == said
    for part in (
        "finance@example.com",
        "the reply was lost",
        "<1@example.com>",
        f"finops deliver --resend {KEY}",
        f"finops deliver --arrived {KEY}",
    ):
        assert part in said


def test_what_can_go_twice_without_harm_goes_again(ledger: Ledger) -> None:
    ledger.doubt(claimed(ledger), "the reply was lost")
    claim = ledger.claim(KEY, FACTS, idempotent=True)
    assert claim is not None
    assert ledger.claim(KEY, FACTS, idempotent=True) is None, "a live worker is left alone all the same"
    assert ledger.confirm(claim, "the post")


def test_a_claim_ends_with_its_time(ledger: Ledger, clock: Any) -> None:
    claimed(ledger)
    clock.present += LEASE_TIME - dt.timedelta(seconds=1)
    assert state(ledger) == "in progress"
    clock.present += dt.timedelta(seconds=1)
    assert state(ledger) == "ambiguous"
    with pytest.raises(AmbiguousDeliveryError, match="its sender ended before it could say"):
        ledger.claim(KEY, FACTS)


def test_a_claim_ends_with_its_process(ledger: Ledger, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    put(tmp_path, entry(pid=ended.pid))
    assert state(ledger) == "ambiguous"


def test_another_hosts_claim_lives_until_its_time_is_over(ledger: Ledger, tmp_path: Path, clock: Any) -> None:
    put(tmp_path, entry(host="another-host.invalid", pid=1))
    assert state(ledger) == "in progress"
    clock.present += dt.timedelta(hours=1)
    assert state(ledger) == "ambiguous"


def test_a_process_of_another_user_is_alive(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(pid: int, signal: int) -> None:
        raise PermissionError

    put(tmp_path, entry(pid=1))
    monkeypatch.setattr(os, "kill", forbidden)
    assert state(ledger) == "in progress"


def entry(**changes: Any) -> dict[str, Any]:
    """A claim's record that has half an hour left."""
    own = {"host": socket.gethostname(), "pid": os.getpid(), "expires": "2026-11-03T06:30:00+00:00"}
    return {"key": KEY, "state": "sending", **FACTS, **own, **changes}


@pytest.mark.parametrize(
    "changes",
    [{"pid": 0}, {"pid": -1}, {"pid": "x"}, {"pid": 9_999_999_999}, {"expires": "soon"}, {"expires": None}],
    ids=str,
)
def test_a_claim_that_names_no_live_owner_is_ambiguous(ledger: Ledger, tmp_path: Path, changes: dict[str, Any]) -> None:
    put(tmp_path, entry(**changes))
    assert state(ledger) == "ambiguous"


def test_late_word_that_it_left_wins_over_everything(ledger: Ledger, clock: Any) -> None:
    slow = claimed(ledger)
    clock.present += LEASE_TIME
    ledger.release(KEY)
    assert ledger.confirm(slow, "the post")
    assert state(ledger) == "sent"


def test_two_that_sent_it_are_told_apart(ledger: Ledger, clock: Any) -> None:
    slow = claimed(ledger)
    clock.present += LEASE_TIME
    fast = ledger.claim(KEY, FACTS, idempotent=True)
    assert fast is not None
    assert ledger.confirm(fast, "the post")
    assert not ledger.confirm(slow, "the post")


@pytest.mark.parametrize("end", ["fail", "doubt"])
def test_who_lost_the_claim_changes_nothing_more(ledger: Ledger, clock: Any, end: str) -> None:
    slow = claimed(ledger)
    clock.present += LEASE_TIME
    ledger.mark_sent(KEY)
    getattr(ledger, end)(slow, "too late")
    assert state(ledger) == "sent"


def test_a_mail_that_left_although_the_record_is_gone_is_on_record(ledger: Ledger, tmp_path: Path) -> None:
    claim = claimed(ledger)
    (tmp_path / "deliveries" / f"{KEY}.json").unlink()
    assert ledger.confirm(claim, "the post")
    assert state(ledger) == "sent"


# -- a person's decisions ---------------------------------------------------------------------------------------------


def test_a_released_mail_is_sent_again(ledger: Ledger) -> None:
    ledger.doubt(claimed(ledger), "the reply was lost")
    ledger.release(KEY)
    assert state(ledger) == "failed"
    assert ledger.confirm(claimed(ledger), "the post")


def test_a_mail_that_arrived_is_not_sent_again(ledger: Ledger) -> None:
    ledger.doubt(claimed(ledger), "the reply was lost")
    ledger.mark_sent(KEY)
    record = ledger.find(KEY)
    assert record is not None
    assert (record.state, record.place, record.subject) == ("sent", "arrived, as a person said", "October")
    assert ledger.claim(KEY, FACTS) is None
    ledger.mark_sent(KEY)  # saying it twice is no mistake


def test_what_has_left_is_not_released(ledger: Ledger) -> None:
    ledger.confirm(claimed(ledger), "the post")
    with pytest.raises(DeliveryError, match=r"has left on 2026-11-03 at 06:00 UTC and is not sent again"):
        ledger.release(KEY)


@pytest.mark.parametrize("decision", ["release", "mark_sent"])
def test_nothing_is_decided_while_a_worker_is_at_it(ledger: Ledger, decision: str) -> None:
    claimed(ledger)
    with pytest.raises(DeliveryError, match="is being handed over now"):
        getattr(ledger, decision)(KEY)


@pytest.mark.parametrize("decision", ["release", "mark_sent"])
def test_an_unknown_mail_cannot_be_decided(ledger: Ledger, decision: str) -> None:
    with pytest.raises(DeliveryError, match="no mail of that key"):
        getattr(ledger, decision)(KEY)


# -- files ------------------------------------------------------------------------------------------------------------


def test_records_of_earlier_versions_are_mails_that_left(ledger: Ledger, tmp_path: Path) -> None:
    put(tmp_path, {"key": KEY, **FACTS, "sent_as": f"{KEY}.eml"})
    record = ledger.find(KEY)
    assert record is not None
    assert (record.state, record.at, record.place) == ("sent", None, f"{KEY}.eml")
    assert ledger.claim(KEY, FACTS) is None
    assert ledger.records() == [record]
    with pytest.raises(DeliveryError, match=r"finance@example\.com has left and is not sent again"):
        ledger.release(KEY)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"state": "posted"}'], ids=repr)
def test_a_record_that_says_nothing_is_ambiguous(ledger: Ledger, tmp_path: Path, content: bytes) -> None:
    """Such as one whose writer died between making the file and writing it."""
    put(tmp_path, content)
    with pytest.raises(AmbiguousDeliveryError, match="the mail may have left, and nobody knows: its record"):
        ledger.claim(KEY, FACTS)
    ledger.release(KEY)
    assert ledger.confirm(claimed(ledger), "the post")


def test_records_come_by_key_and_other_files_are_none(ledger: Ledger, tmp_path: Path) -> None:
    keys = [delivery_key(month, 1, "a@example.com", "c0ffee") for month in ("2026-11", "2026-09", "2026-10")]
    for key in keys:
        ledger.claim(key, FACTS)
    (tmp_path / "deliveries" / "notes.txt").write_text("not ours")
    assert [record.month for record in ledger.records()] == ["2026-09", "2026-10", "2026-11"]


def test_a_ledger_that_cannot_be_written_is_named(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "deliveries").write_text("a file where the folder should be")
    with pytest.raises(LakeError, match="deliveries"):
        ledger.claim(KEY, FACTS)


def test_where_the_confirmation_cannot_be_written_the_way_out_is_named(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claimed(ledger)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(LakeError, match=rf"No space left.* has left.*finops deliver --arrived {KEY}"):
            ledger.confirm(claim, "the post")
        ledger.fail(claim, "not even this can be written, and that hides nothing")
    assert state(ledger) == "in progress"
