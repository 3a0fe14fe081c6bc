"""How numbers, days and names stand on a report: the same figure reads the same everywhere.

Thousands separated, a true minus, a dash for what is unknown. Words and sentences are in ``wording``.
"""

import datetime as dt
import re
import unicodedata
from decimal import Decimal

from finops_pipeline.money import USD

DASH = "–"
MINUS = "−"
NO_BREAK = "\N{NO-BREAK SPACE}"

LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"
"""Around a name that is written from right to left: without it, the amount beside it would be shown beside another."""

LONGEST_NAME = 80
"""Characters of a name that are shown; logs may hold names of any length."""

LONGEST_SENTENCE = 400
"""Characters of a sentence that is made with names from logs."""

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_RIGHT_TO_LEFT = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
"""Letters of Hebrew, Arabic and the other scripts of that direction."""
_RIGHT_TO_LEFT_WORDS = re.compile(rf"{_RIGHT_TO_LEFT}(?:[\W\d]*{_RIGHT_TO_LEFT})*")

_SCALES = ((10**12, "T"), (10**9, "G"), (10**6, "M"))
_SHARE_STEP = Decimal("0.1")


def money(amount: Decimal | None, exponent: int = 2) -> str:
    """With the decimals of its currency: ``48,997.07``; ``7,336,209`` in yen."""
    return DASH if amount is None else _signed_text(amount, f"{abs(amount):,.{exponent}f}")


def change(amount: Decimal | None, exponent: int = 2) -> str:
    """A difference, with its sign: ``+3,902.11``, ``−311.09``, ``0.00``."""
    text = money(amount, exponent)
    return f"+{text}" if amount is not None and amount > 0 and text.strip("0.") else text


def usd(amount: Decimal | None, currency: str) -> str:
    """USD in a report in ``currency``: the code stands beside them where that is another."""
    return _with_code(money(amount), currency)


def usd_change(amount: Decimal | None, currency: str) -> str:
    """Likewise a difference, with its sign."""
    return _with_code(change(amount), currency)


def rate(units: Decimal) -> str:
    """A rate of exchange with the decimals that it has: ``0.9173``."""
    return f"{units.normalize():,f}"


def share(part: Decimal | None) -> str:
    """A part of one, in per cent with one decimal: ``37.6 %``. Neither nothing nor all unless it is exactly that."""
    if part is None:
        return DASH
    percent = part * 100
    if 0 < abs(percent) <= _SHARE_STEP / 2:
        return f"<{NO_BREAK}0.1{NO_BREAK}%"
    if 100 - _SHARE_STEP / 2 <= percent < 100:
        return f">{NO_BREAK}99.9{NO_BREAK}%"
    return _signed_text(percent, f"{abs(percent):,.1f}") + f"{NO_BREAK}%"


def share_change(part: Decimal | None) -> str:
    """A relative difference, with its sign: ``+8.7 %``; ``0.0 %`` where it rounds to nothing."""
    if part is None:
        return DASH
    text = _signed_text(part, f"{abs(part * 100):,.1f}")
    return ("+" if part > 0 and text != "0.0" else "") + f"{text}{NO_BREAK}%"


def threshold(part: Decimal) -> str:
    """A part of one that somebody has set, as they did: ``80 %``, ``87.5 %``."""
    return f"{(part * 100).normalize():,f}{NO_BREAK}%"


def chart_money(amount: Decimal, step: Decimal = Decimal(1)) -> str:
    """As it stands in a chart: no decimals, but where its axis goes in a ``step`` below one."""
    return _signed_text(amount, f"{abs(amount):,.{max(0, -step.adjusted())}f}")


def chart_change(amount: Decimal, step: Decimal = Decimal(1)) -> str:
    """Likewise a difference, with its sign."""
    text = chart_money(amount, step)
    return f"+{text}" if amount > 0 and text.strip("0.,") else text


def count(number: int | None) -> str:
    """In full: ``2,412,088``."""
    return DASH if number is None else f"{number:,}".replace("-", MINUS)


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 day``, ``2,412 lines``."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def short_count(number: int | None) -> str:
    """Three digits from a million on: ``2.41 M``, ``9.8 G``."""
    if number is None:
        return DASH
    for size, unit in _SCALES:
        scaled = Decimal(number) / size
        if scaled >= Decimal("0.9995"):
            decimals = 2 if scaled < Decimal("9.995") else 1 if scaled < Decimal("99.95") else 0
            text = f"{scaled:,.{decimals}f}"
            return (text.rstrip("0").rstrip(".") if decimals else text) + f"{NO_BREAK}{unit}"
    return count(number)


def short_counted(number: int, noun: str) -> str:
    """Likewise with three digits from a million on: ``1 call``, ``2.41 M calls``."""
    return f"{short_count(number)} {noun}{'' if number == 1 else 's'}"


def name(text: str | None) -> str:
    """A name from a log, fit to be shown: control and direction characters are made visible, very long ones are cut.

    One that is written from right to left stands between ``LEFT_TO_RIGHT`` marks. Escaping is left to the template.
    """
    if text is None:
        return DASH
    shown = _shown(text, LONGEST_NAME)
    return f"{LEFT_TO_RIGHT}{shown}{LEFT_TO_RIGHT}" if _RIGHT_TO_LEFT_WORDS.search(shown) else shown


def sentence(text: str) -> str:
    """A sentence that holds names from a log, likewise fit to be shown."""
    return _RIGHT_TO_LEFT_WORDS.sub(rf"{LEFT_TO_RIGHT}\g<0>{LEFT_TO_RIGHT}", _shown(text, LONGEST_SENTENCE))


def visible(text: str) -> str:
    """``text`` with control and direction characters replaced by a mark, and spaces of all kinds by plain ones."""
    return "".join(_visible(character) for character in text)


def day(date: dt.date) -> str:
    """``23 October``."""
    return f"{date.day}{NO_BREAK}{MONTHS[date.month - 1]}"


def month_name(month: str) -> str:
    """``October`` of ``2026-10``."""
    return MONTHS[int(month[5:7]) - 1]


def month_and_year(month: str) -> str:
    """``October 2026`` of ``2026-10``."""
    return f"{month_name(month)} {month[:4]}"


def instant(moment: dt.datetime) -> str:
    """``2026-11-03 06:00 UTC``."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def width(text: str) -> int:
    """Columns that ``text`` takes in a fixed-width font: East Asian wide characters take two, combining marks none."""
    return sum(map(_columns, text))


def _with_code(text: str, currency: str) -> str:
    return text if currency == USD or text == DASH else f"{text}{NO_BREAK}{USD}"


def _columns(character: str) -> int:
    if unicodedata.combining(character) or character == LEFT_TO_RIGHT:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _shown(text: str, longest: int) -> str:
    if not text.strip():
        return "(empty)"
    shown = visible(text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _visible(character: str) -> str:
    match unicodedata.category(character):
        case "Cc" | "Cf" | "Zl" | "Zp":
            return "\N{REPLACEMENT CHARACTER}"
        case "Zs":
            return " "
        case _:
            return character


def _signed_text(amount: Decimal, unsigned: str) -> str:
    """A minus only where a digit other than zero follows: what rounds to nothing has no sign."""
    return MINUS + unsigned if amount < 0 and unsigned.strip("0.,") else unsigned
