"""The one Jinja environment of all reports: names from logs are escaped, what a template lacks is an error."""

import textwrap
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from finops_pipeline.reports import numbers, wording

_TEXT_COLUMNS = 76
"""Width of a paragraph in plain text."""


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _TEXT_COLUMNS, break_long_words=False, break_on_hyphens=False)


_FILTERS = {
    "money": numbers.money,
    "change": numbers.change,
    "share": numbers.share,
    "share_change": numbers.share_change,
    "count": numbers.count,
    "short_count": numbers.short_count,
    "short_counted": numbers.short_counted,
    "name": numbers.name,
    "instant": numbers.instant,
    "month_name": numbers.month_name,
    "month_and_year": numbers.month_and_year,
    "team_name": wording.team_name,
    "paragraph": _paragraph,
}
"""How templates write numbers and names; they format nothing themselves."""


def render(template: str, **values: object) -> str:
    """``template`` of this package's ``templates``, with ``values``. The same values give the same text."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("finops_pipeline.reports"),
        autoescape=select_autoescape(enabled_extensions=("html", "svg"), disabled_extensions=("txt",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(_FILTERS)
    return environment
