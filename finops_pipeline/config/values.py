"""The values of ``finops.yaml``: one type a kind of value, which says what was expected where it is another.

What the values stand for is the model's business. Messages never repeat a value: it could be a secret.
"""

import contextlib
import datetime as dt
import ipaddress
import os
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Protocol
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator

from finops_pipeline.config.section import Text
from finops_pipeline.money import EXPONENTS


def _address(value: str) -> str:
    local, _, domain = value.rpartition("@")
    forbidden = any(c.isspace() or not c.isprintable() or c in '<>,;:"()[]\\' for c in value)
    if not local or "@" in local or "." not in domain.strip(".") or forbidden:
        raise ValueError("expected one e-mail address such as team@example.com")
    return value


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError):
        raise ValueError("expected an IANA time zone such as UTC or Europe/Berlin") from None
    return value


def _clock(value: str) -> str:
    try:
        if re.fullmatch(r"\d\d:\d\d", value):
            dt.time.fromisoformat(value)
            return value
    except ValueError:
        pass
    raise ValueError("expected a time of day in UTC such as 02:00")


def _day(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    raise ValueError("expected a day such as 2026-01-31")


def _instant(value: object) -> object:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = dt.datetime.fromisoformat(value)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=value.tzinfo or dt.UTC).astimezone(dt.UTC)
    raise ValueError("expected a time such as 2026-01-31T14:00:00Z")


def _number(value: object) -> object:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite():
        raise ValueError("expected a number")
    return number


def _currency(value: str) -> str:
    if value not in EXPONENTS:
        raise ValueError("expected an ISO 4217 code such as EUR, in capitals")
    return value


def _file(value: object) -> object:
    return Path(value) if isinstance(value, str) and value else value


def _source_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]{1,64}", value):
        raise ValueError("expected up to 64 of a-z, 0-9 and _")
    return value


def on_this_machine(host: str) -> bool:
    """Whether a host's name or address is that of this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def each_once(entries: Sequence[_Named]) -> None:
    """Raise ValueError where a name stands twice."""
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        places.setdefault(entry.name, []).append(place)
    twice = [f"{name} stands at {' and '.join(f'[{i}]' for i in at)}" for name, at in places.items() if len(at) > 1]
    if twice:
        raise ValueError(f"expected each name once: {'; '.join(twice)}")


def _place(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if separator and scheme != "s3":
        raise ValueError("expected s3://bucket/prefix or a local folder")
    if separator and not rest.split("/", 1)[0]:
        raise ValueError("expected a bucket after s3://")
    return value


def contains(place: str, other: str) -> bool:
    """Whether ``other`` is ``place`` or lies below it; both as they stand in the config."""
    if ("://" in place) != ("://" in other):
        return False
    if "://" in place:
        return f"{other.rstrip('/')}/".startswith(f"{place.rstrip('/')}/")
    outer, inner = (Path(os.path.normpath(Path(path).expanduser())) for path in (place, other))
    return inner.is_relative_to(outer)


Currency = Annotated[str, AfterValidator(_currency)]
Email = Annotated[str, AfterValidator(_address)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
TimeOfDay = Annotated[str, AfterValidator(_clock)]
Day = Annotated[dt.date, BeforeValidator(_day)]
Instant = Annotated[dt.datetime, BeforeValidator(_instant)]
Number = Annotated[Decimal, BeforeValidator(_number)]
File = Annotated[Path, BeforeValidator(_file)]
SourceName = Annotated[str, AfterValidator(_source_name)]
Place = Annotated[Text, AfterValidator(_place)]
