"""The one Jinja environment of all reports: names from logs are escaped, what a template lacks is an error."""

import base64
import textwrap
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, partial
from pathlib import Path

import css_inline
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.money import EXPONENTS, USD
from finops_pipeline.reports import numbers, paths, wording

FONTS = Path(__file__).with_name("fonts")
"""A subset of Inter: OpenType for pictures, WOFF for pages."""

_TEXT_COLUMNS = 76
"""Width of a paragraph in plain text."""


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _TEXT_COLUMNS, break_long_words=False, break_on_hyphens=False)


def _meter(part: Decimal) -> str:
    """Width of the filled part of a meter, as CSS: a full one is the most that it shows."""
    return f"{min(max(part, Decimal(0)), Decimal(1)):.1%}"


_FILTERS = {
    "dollars": numbers.money,
    "share": numbers.share,
    "share_change": numbers.share_change,
    "count": numbers.count,
    "counted": numbers.counted,
    "short_counted": numbers.short_counted,
    "name": numbers.name,
    "sentence": numbers.sentence,
    "instant": numbers.instant,
    "month_name": numbers.month_name,
    "month_and_year": numbers.month_and_year,
    "team_name": wording.team_name,
    "team_file": paths.team_file,
    "budget_name": wording.budget_name,
    "budget_used": wording.budget_used,
    "scope": wording.scope,
    "exchange": wording.exchange,
    "meter": _meter,
    "paragraph": _paragraph,
}
"""How templates write numbers and names; they format nothing themselves. Amounts: ``_amounts``."""


def _amounts(currency: str) -> Mapping[str, Callable[..., str]]:
    """How amounts are written in a report in a currency. ``money`` and ``change`` are in it; ``usd`` and ``usd_change``
    are USD with their code where it is another; ``dollars`` are USD where something beside them says so."""
    exponent = EXPONENTS[currency]
    return {
        "money": partial(numbers.money, exponent=exponent),
        "change": partial(numbers.change, exponent=exponent),
        "usd": partial(numbers.usd, currency=currency),
        "usd_change": partial(numbers.usd_change, currency=currency),
    }


def render(template: str, **values: object) -> str:
    """``template`` of this package's ``templates``, with ``values``. The same values give the same text.

    Amounts are written as the currency of the ``statement`` among the values has them; USD without one.
    """
    statement = values.get("statement")
    currency = statement.currency if isinstance(statement, Statement) else USD
    return _environment(currency).get_template(template).render(values)


def render_mail(template: str, **values: object) -> str:
    """Likewise, with the rules of its style sheet written into the elements: many mail readers drop style sheets.

    What stands in a media query stays in the head, for those that know it: dark colours, narrow screens.
    """
    return _inliner().inline(render(template, **values))


@cache
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


@cache
def _font(weight: str) -> str:
    """A font of the pages as a data URI: they ask nobody for anything."""
    return "data:font/woff;base64," + base64.b64encode((FONTS / f"Inter-{weight}.woff").read_bytes()).decode()


@cache
def _environment(currency: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("finops_pipeline.reports"),
        autoescape=select_autoescape(enabled_extensions=("html", "svg"), disabled_extensions=("txt",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(_FILTERS)
    environment.filters.update(_amounts(currency))
    environment.globals["font"] = _font
    environment.globals["no_price"] = wording.NO_PRICE
    environment.globals["in_usd"] = wording.in_usd(currency)
    environment.globals["unit"] = wording.unit(currency)
    environment.globals["bridge_meanings"] = wording.BRIDGE_MEANINGS
    return environment
