import datetime as dt
import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from finops_pipeline.reports import numbers
from finops_pipeline.reports.letter import letter

NOON = dt.datetime(2026, 11, 3, 12, 0, tzinfo=dt.UTC)
Arrive = Callable[[EmailMessage], Any]


def written(**overrides: Any) -> EmailMessage:
    return letter(
        **{
            "sender": "finops@example.com",
            "recipient": "finance@example.com",
            "subject": "A subject",
            "date": NOON,
            "text": "Größe: 1,00 €\n",
            "html": "<p>Größe</p>",
            **overrides,
        }
    )


def test_headers_and_both_contents_arrive(arrived: Arrive) -> None:
    mail = arrived(written())
    assert (mail.message["From"], mail.message["To"]) == ("finops@example.com", "finance@example.com")
    assert mail.message["Date"].datetime == NOON
    assert mail.message.get_content_type() == "multipart/alternative"
    assert mail.text.splitlines() == ["Größe: 1,00 €"]
    assert mail.html.text.strip() == "Größe"
    assert mail.bytes.isascii()


def test_pictures_stand_beside_the_html_and_files_are_attached_as_they_are(arrived: Arrive) -> None:
    files = {"a.csv": b"x;\xe4\r\ny\r\n", "b.xlsx": b"PK\x00", "c.html": b"<p>\n", "d.bin": b"\n\r"}
    mail = arrived(written(pictures={"bridge-1": b"\x89PNG", "bridge-2": b"\x89PNG2"}, attachments=files))
    assert mail.attached == files
    assert [part.get_content_type() for part in mail.message.iter_attachments()] == [
        "text/csv",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "text/html",
        "application/octet-stream",
    ]
    shown = [part for part in mail.message.walk() if part.get_content_type() == "image/png"]
    assert [part["Content-ID"] for part in shown] == ["<bridge-1>", "<bridge-2>"]
    assert [part.get_content() for part in shown] == [b"\x89PNG", b"\x89PNG2"]
    assert mail.message.get_content_type() == "multipart/mixed"
    assert mail.html.text.strip() == "Größe"


def test_nothing_random_is_in_it() -> None:
    overrides = {"pictures": {"p": b"1"}, "attachments": {"a.csv": b"2"}}
    first, second = written(**overrides).as_bytes(), written(**overrides).as_bytes()
    assert first == second
    boundaries = [part.get_boundary() for part in written(**overrides).walk() if part.is_multipart()]
    assert len(set(boundaries)) == len(boundaries) == 3


@given(st.text(min_size=1, max_size=120))
@example("Budget engineering: on course for 100 % of 10,500.00 USD, as of 12 October")
@example("AI usage chargeback 2026-10: 1,234.50 USD, preliminary, revision 2, −310.22")
@example("=?utf-8?q?x?= and more words that go on and on until the line is full of them")
@example("x" * 120)
@settings(max_examples=60, deadline=None)
def test_a_subject_arrives_as_it_was_written(subject: str) -> None:
    written_out = written(subject=subject).as_bytes(policy=email.policy.SMTP)
    head = written_out.split(b"\r\n\r\n", 1)[0]
    assert sum(line.lower().startswith(b"subject:") for line in head.split(b"\r\n")) == 1
    shown = numbers.visible(subject).replace(numbers.MINUS, "-").replace("=?", "= ?")
    read = email.message_from_bytes(written_out, policy=email.policy.default)["Subject"]
    assert str(read).strip() == shown.strip()


def test_a_subject_with_a_line_break_adds_no_header(arrived: Arrive) -> None:
    mail = arrived(written(subject="Eve\r\nBcc: everyone@example.com"))
    assert mail.message["Bcc"] is None
    assert mail.message["Subject"] == "Eve��Bcc: everyone@example.com"


@pytest.mark.parametrize("address", ["a@example.com\r\nBcc: b@example.com", "a@example.com\nX: y"])
@pytest.mark.parametrize("header", ["sender", "recipient"])
def test_an_address_cannot_add_headers(address: str, header: str) -> None:
    with pytest.raises(ValueError, match="linefeed"):
        written(**{header: address})


def test_a_subject_cannot_smuggle_a_header_in_as_an_encoded_word(arrived: Arrive) -> None:
    mail = arrived(written(subject="=?utf-8?q?a=0D=0ABcc:_everyone=40example.com?="))
    assert mail.message["Bcc"] is None
    assert mail.message["Subject"].startswith("= ?utf-8?q?a=0D=0A")


def test_a_subject_keeps_the_marks_around_a_name_written_from_right_to_left(arrived: Arrive) -> None:
    subject = f"AI usage of {numbers.name('צוות')} 2026-10: 12,980.02 USD"
    assert numbers.LEFT_TO_RIGHT in subject
    assert arrived(written(subject=subject)).message["Subject"] == subject


def test_an_attachments_name_cannot_add_headers() -> None:
    with pytest.raises(ValueError, match="cannot be seen"):
        written(attachments={"a.csv\r\nBcc: b@example.com": b""})
