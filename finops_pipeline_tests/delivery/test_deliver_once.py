"""One mail for each key: under races, crashes at any point, refusals and lost replies."""

import hashlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.delivery.ledger import Ledger, delivery_key
from finops_pipeline.delivery.once import LostReplyError, deliver_once
from finops_pipeline.delivery.outbox import Outbox
from finops_pipeline.errors import AmbiguousDeliveryError, DeliveryError, LakeError
from finops_pipeline.storage import open_storage

KEY = delivery_key("2026-10", 1, "finance@example.com", "c0ffee")

Mail = Callable[..., EmailMessage]
MakePost = Callable[..., Any]


def state(ledger: Ledger) -> str:
    record = ledger.find(KEY)
    assert record is not None
    return record.state


# -- how it ends ------------------------------------------------------------------------------------------------------


def test_a_mail_leaves_once(mail: Mail, ledger: Ledger, post: MakePost) -> None:
    transport = post()
    assert deliver_once(mail(), KEY, ledger, transport)
    assert not deliver_once(mail("something else\n"), KEY, ledger, transport)
    assert len(transport.handed) == 1
    record = ledger.find(KEY)
    assert record is not None
    assert (record.state, record.place, record.recipient, record.subject) == (
        "sent",
        "the post",
        "finance@example.com",
        "October − preliminary",
    )


def test_its_headers_follow_from_the_key(mail: Mail, ledger: Ledger, post: MakePost) -> None:
    transport, given_mail = post(), mail()
    deliver_once(given_mail, KEY, ledger, transport)
    [left] = transport.handed
    assert left["X-Report-Key"] == KEY
    assert left["Message-ID"] == f"<{hashlib.sha256(KEY.encode()).hexdigest()[:32]}@example.com>"
    assert given_mail["Message-ID"] is None, "the mail that was given stays as it is"


def test_a_refusal_is_told_and_the_next_run_tries_again(mail: Mail, ledger: Ledger, post: MakePost) -> None:
    with pytest.raises(DeliveryError, match="mailbox full") as refusal:
        deliver_once(mail(), KEY, ledger, post(DeliveryError("mailbox full")))
    assert not isinstance(refusal.value, AmbiguousDeliveryError)
    record = ledger.find(KEY)
    assert record is not None
    assert (record.state, record.reason) == ("failed", "mailbox full")
    assert deliver_once(mail(), KEY, ledger, post())


def test_a_lost_reply_is_ambiguous_at_once_and_for_every_later_run(mail: Mail, ledger: Ledger, post: MakePost) -> None:
    with pytest.raises(AmbiguousDeliveryError, match=f"the line broke.*finops deliver --resend {KEY}"):
        deliver_once(mail(), KEY, ledger, post(LostReplyError("the line broke")))
    later = post()
    for _ in range(2):
        with pytest.raises(AmbiguousDeliveryError, match="the line broke"):
            deliver_once(mail(), KEY, ledger, later)
    assert later.handed == []
    ledger.release(KEY)
    assert deliver_once(mail(), KEY, ledger, later)


@pytest.mark.parametrize("stopped", [KeyboardInterrupt(), SystemExit(), ZeroDivisionError("a defect")], ids=repr)
def test_whoever_is_stopped_while_handing_over_leaves_it_ambiguous(
    mail: Mail, ledger: Ledger, post: MakePost, stopped: BaseException
) -> None:
    with pytest.raises(type(stopped)):
        deliver_once(mail(), KEY, ledger, post(stopped))
    with pytest.raises(AmbiguousDeliveryError, match="its sender was stopped while it handed the mail over"):
        deliver_once(mail(), KEY, ledger, post())


def test_what_another_worker_is_handing_over_is_left_to_it(mail: Mail, ledger: Ledger, post: MakePost) -> None:
    ledger.claim(KEY, {"to": "finance@example.com"})
    transport = post()
    assert not deliver_once(mail(), KEY, ledger, transport)
    assert transport.handed == []
    assert state(ledger) == "in progress"


def test_a_ledger_that_cannot_be_written_stops_before_sending(
    mail: Mail, ledger: Ledger, post: MakePost, tmp_path: Path
) -> None:
    (tmp_path / "deliveries").write_text("a file where the folder should be")
    transport = post()
    with pytest.raises(LakeError, match="deliveries"):
        deliver_once(mail(), KEY, ledger, transport)
    assert transport.handed == []


def test_neither_body_nor_secret_is_on_record(mail: Mail, ledger: Ledger, post: MakePost, tmp_path: Path) -> None:
    deliver_once(mail("the prompt's text\n"), KEY, ledger, post())
    [record] = (tmp_path / "deliveries").glob("*.json")
    assert "prompt" not in record.read_text()


@pytest.mark.parametrize("header", ["Subject", "To", "From"])
def test_a_line_break_in_a_header_is_refused_by_the_message_itself(mail: Mail, header: str) -> None:
    with pytest.raises(ValueError, match="linefeed"):
        mail(**{header: "October\r\nBcc: everybody@example.com"})


# -- races ------------------------------------------------------------------------------------------------------------


def test_of_24_threads_one_hands_it_over(mail: Mail, tmp_path: Path, post: MakePost) -> None:
    transport, together = post(), threading.Barrier(24)

    def race(_: int) -> bool:
        together.wait()
        return deliver_once(mail(), KEY, Ledger(open_storage(tmp_path)), transport)

    with ThreadPoolExecutor(24) as pool:
        assert sorted(pool.map(race, range(24))) == [False] * 23 + [True]
    assert len(transport.handed) == 1


WORKER = """
import os, sys
from email.message import EmailMessage
from pathlib import Path
from finops_pipeline.delivery.ledger import Ledger
from finops_pipeline.delivery.once import deliver_once
from finops_pipeline.storage import open_storage

root, folder, key, crash = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]

class Post:
    "Adds a line to a file for each mail; its process can die before or after that."
    idempotent = False
    def send(self, message, key):
        if crash == "before": os._exit(9)
        with (folder / "post").open("a") as file:
            file.write(key + "\\n")
        if crash == "after": os._exit(9)
        return "the post"

if crash == "confirm":
    Ledger.confirm = lambda *_: os._exit(9)
if crash == "claim":  # between making the record's file and writing it
    os.fdopen = lambda *_: os._exit(9)

message = EmailMessage()
message["From"], message["To"], message["Subject"] = "finops@example.com", "finance@example.com", "October"
message.set_content("x")
print("ready", flush=True)
sys.stdin.readline()
print(deliver_once(message, key, Ledger(open_storage(root)), Post()), flush=True)
"""


def worker(root: Path | str, folder: Path, crash: str = "never") -> subprocess.Popen[str]:
    """A process that delivers the mail once it is told to, by the ledger of the lake at ``root``."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(root), str(folder), KEY, crash],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def posted(folder: Path) -> int:
    file = folder / "post"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_of_24_processes_one_hands_it_over(root: Path | str, tmp_path: Path) -> None:
    workers = [worker(root, tmp_path) for _ in range(24)]
    for each in workers:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in workers:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [each.communicate()[0].strip() for each in workers]
    assert sorted(said) == ["False"] * 23 + ["True"]
    assert posted(tmp_path) == 1


# -- crashes ----------------------------------------------------------------------------------------------------------

CRASHES = [("before", 0), ("after", 1), ("confirm", 1)]


@pytest.mark.parametrize(("crash", "left"), CRASHES, ids=lambda value: str(value))
def test_after_a_crash_nothing_is_sent_before_a_person_decides(
    mail: Mail, root: Path | str, tmp_path: Path, post: MakePost, crash: str, left: int
) -> None:
    with worker(root, tmp_path, crash) as dying:
        dying.communicate("go\n")
    assert dying.returncode == 9
    assert posted(tmp_path) == left
    _ambiguous_until_somebody_decides(mail, Ledger(open_storage(root)), post(), left=left)


def test_a_record_that_was_not_written_whole_is_ambiguous(mail: Mail, tmp_path: Path, post: MakePost) -> None:
    """In a folder, a file is there before its content is; on S3 it is not."""
    with worker(tmp_path, tmp_path, "claim") as dying:
        dying.communicate("go\n")
    assert (dying.returncode, posted(tmp_path)) == (9, 0)
    _ambiguous_until_somebody_decides(mail, Ledger(open_storage(tmp_path)), post(), left=0)


def _ambiguous_until_somebody_decides(mail: Mail, ledger: Ledger, later: Any, *, left: int) -> None:
    with pytest.raises(AmbiguousDeliveryError, match=KEY):
        deliver_once(mail(), KEY, ledger, later)
    assert later.handed == []
    if left:
        ledger.mark_sent(KEY)
        assert not deliver_once(mail(), KEY, ledger, later)
    else:
        ledger.release(KEY)
        assert deliver_once(mail(), KEY, ledger, later)
    assert left + len(later.handed) == 1


@pytest.mark.parametrize("crash", ["claim", "before", "after", "confirm"])
def test_after_a_crash_the_outbox_is_simply_written_again(mail: Mail, tmp_path: Path, crash: str) -> None:
    with worker(tmp_path, tmp_path, crash) as dying:
        dying.communicate("go\n")
    outbox = Outbox(tmp_path / "outbox")
    assert deliver_once(mail(), KEY, Ledger(open_storage(tmp_path)), outbox)
    assert not deliver_once(mail(), KEY, Ledger(open_storage(tmp_path)), outbox)
    assert [file.name for file in outbox.folder.iterdir()] == [f"{KEY}.eml"]


EVENTS = {
    "sent": None,
    "refused": DeliveryError("refused"),
    "lost": LostReplyError("lost"),
    "stopped": KeyboardInterrupt(),
}
DECISIONS = ("release", "mark_sent")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*EVENTS, *DECISIONS]), max_size=12))
def test_whatever_happens_only_a_person_can_make_a_mail_go_twice(events: list[str]) -> None:
    """The mail may have left as often as it was handed over without a certain refusal: once, and once a release."""
    may_have_left = released = 0
    settled = False
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(open_storage(Path(folder)))
        for event in events:
            if event in DECISIONS:
                before = ledger.find(KEY)
                try:
                    getattr(ledger, event)(KEY)
                except DeliveryError:
                    assert before is None or (before.state == "sent" and event == "release")
                    continue
                released += event == "release" and before is not None and before.state == "ambiguous"
                settled |= event == "mark_sent"
                continue
            handed = _Handed(EVENTS[event])
            try:
                left_now = deliver_once(_message(), KEY, ledger, handed)
            except (DeliveryError, KeyboardInterrupt):
                left_now = False
            assert not (settled and handed.count), "what has left or arrived is never handed over again"
            assert left_now == (handed.count == 1 and event == "sent")
            may_have_left += handed.count if event != "refused" else 0
            settled |= left_now
        assert may_have_left <= 1 + released


class _Handed:
    idempotent = False

    def __init__(self, error: BaseException | None) -> None:
        self.count, self._error = 0, error

    def send(self, message: EmailMessage, key: str) -> str:
        self.count += 1
        if self._error is not None:
            raise self._error
        return "the post"


def _message() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "finops@example.com", "finance@example.com"
    message.set_content("x")
    return message
