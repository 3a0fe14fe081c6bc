import struct

from finops_pipeline.chargeback.statement import Statement
from finops_pipeline.reports.pictures import bridge_picture, png
from finops_pipeline.reports.templating import FONTS

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">{}</svg>'


def size(picture: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", picture[16:24])
    return width, height


def test_a_picture_has_twice_as_many_pixels_as_it_is_shown_with() -> None:
    picture = png(SVG.format(""))
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert size(picture) == (80, 40)


def test_text_is_drawn_with_the_bundled_font_in_both_weights() -> None:
    drawn = [
        png(SVG.format(f'<text y="15" font-family="Inter" font-weight="{weight}">{text}</text>'))
        for weight, text in ((400, "7"), (600, "7"), (400, ""))
    ]
    assert len(set(drawn)) == 3
    assert png(SVG.format('<text y="15" font-family="DejaVu Sans">7</text>')) in (drawn[0], drawn[2])


def test_the_bridge_is_as_wide_as_asked_for_and_the_same_bytes_again(october: Statement) -> None:
    upright, lying = (bridge_picture(october, width, upright=up) for width, up in ((576, True), (358, False)))
    assert upright is not None
    assert lying is not None
    assert (size(upright)[0], size(lying)[0]) == (1152, 716)
    assert upright == bridge_picture(october, 576, upright=True)
    assert len(upright) < 60_000


def test_fonts_are_small_and_come_with_their_licence() -> None:
    fonts = [path for path in FONTS.iterdir() if path.suffix in (".otf", ".woff")]
    assert len(fonts) == 4
    assert all(path.stat().st_size <= 60_000 for path in fonts)
    assert "SIL OPEN FONT LICENSE" in (FONTS / "OFL.txt").read_text()
