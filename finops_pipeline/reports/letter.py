"""Every mail as one MIME message: text and HTML with the same content, pictures inside it, files attached.

Nothing random is in it: the same letter gives the same bytes. Message-ID and the report's key are delivery's.
"""

import datetime as dt
import email.policy
import hashlib
from collections.abc import Mapping
from email.header import Header
from email.headerregistry import HeaderRegistry, UniqueUnstructuredHeader
from email.message import EmailMessage
from email.policy import Policy
from email.utils import format_datetime
from pathlib import PurePosixPath

from finops_pipeline.reports import numbers

_TYPES: Mapping[str, tuple[str, str, dict[str, str]]] = {
    ".csv": ("text", "csv", {"charset": "utf-8"}),
    ".html": ("text", "html", {"charset": "utf-8"}),
    ".xlsx": ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet", {}),
}
"""What the reports' files are. Text too is attached as bytes: its line ends and digest stay what they were."""


class _Subject(UniqueUnstructuredHeader):
    """A subject that arrives as it was written.

    The library folds a subject of 70 to 77 characters before its first word, and one with an encoded word behind its
    last space: readers then see a space too many. On one line in ASCII, or as encoded words alone, it cannot.
    """

    def fold(self, *, policy: Policy) -> str:
        text = str(self)
        if text.isascii():
            return f"Subject: {' '.join(text.splitlines())}{policy.linesep}"
        words = Header(text, "utf-8", header_name="Subject").encode(linesep=policy.linesep)
        return f"Subject: {words}{policy.linesep}"


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("subject", _Subject)  # type: ignore[arg-type]  # the registry adds BaseHeader itself
_POLICY = email.policy.SMTP.clone(header_factory=_HEADERS)

_BYTES: tuple[str, str, dict[str, str]] = ("application", "octet-stream", {})


def letter(
    *,
    sender: str,
    recipient: str,
    subject: str,
    date: dt.datetime,
    text: str,
    html: str,
    pictures: Mapping[str, bytes] | None = None,
    attachments: Mapping[str, bytes] | None = None,
) -> EmailMessage:
    """The message, with all headers but those that delivery gives it.

    Args:
        sender: Address that it comes from.
        recipient: One address.
        subject: Plain ASCII as far as possible, which needs no encoding: a hyphen stands for a minus.
        date: When it was made; not when it leaves.
        text: The whole content in plain text.
        html: The same; ``cid:`` and a picture's name shows that picture.
        pictures: PNG by name: letters, digits and hyphens.
        attachments: Content by file name, in this order.

    Raises:
        ValueError: an address or a file name holds a line break.
    """
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = _plain(subject)
    message["Date"] = format_datetime(date)
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    shown = message.get_body(("html",))
    for name, png in (pictures or {}).items():
        if isinstance(shown, EmailMessage):
            shown.add_related(png, "image", "png", cid=f"<{name}>", disposition="inline", filename=f"{name}.png")
    for name, content in (attachments or {}).items():
        if numbers.visible(name) != name:
            raise ValueError(f"{name!r}: an attachment's name holds characters that cannot be seen")
        maintype, subtype, parameters = _TYPES.get(PurePosixPath(name).suffix, _BYTES)
        message.add_attachment(content, maintype, subtype, filename=name, params=parameters)
    _set_boundaries(message)
    return message


def _plain(subject: str) -> str:
    """Without what a header's reader would take for something else: line breaks, the beginning of an encoded word."""
    shown = numbers.LEFT_TO_RIGHT.join(map(numbers.visible, subject.split(numbers.LEFT_TO_RIGHT)))
    return shown.replace(numbers.MINUS, "-").replace("=?", "= ?")


def _set_boundaries(message: EmailMessage) -> None:
    """Boundaries that follow from the content, another one for each level; the library would draw them at random."""
    content = hashlib.sha256()
    for part in message.walk():
        if not part.is_multipart():
            content.update(bytes(part))
    for level, part in enumerate(part for part in message.walk() if part.is_multipart()):
        part.set_boundary(f"=_{level}_{content.hexdigest()[:40]}")
