"""Charts as PNG for mails, whose readers show no SVG: drawn with the bundled font, the same bytes on every machine."""

import resvg_py

from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports.bridge_chart import bridge_chart
from finops_pipeline.reports.templating import FONTS, render

_ZOOM = 2.0
"""Pixels of the picture to one of the mail, for sharp displays."""

_MARGIN = 8
"""Pixels of paper around the chart."""

_PAPER = "#ffffff"
"""Baked in, so that the dark marks also read where the mail is shown dark."""


def bridge_picture(statement: Statement, width: int, *, upright: bool) -> bytes | None:
    """The bridge as PNG, to be shown ``width`` pixels wide; None where there is none."""
    chart = bridge_chart(statement, width - 2 * _MARGIN, upright=upright)
    return None if chart is None else png(render("bridge_picture.svg", chart=chart, margin=_MARGIN))


def png(svg: str) -> bytes:
    """``svg`` as PNG, with twice as many pixels each way."""
    return resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=_ZOOM,
        background=_PAPER,
        skip_system_fonts=True,
        font_files=[str(FONTS / f"Inter-{weight}.otf") for weight in ("Regular", "SemiBold")],
        font_family="Inter",
    )
