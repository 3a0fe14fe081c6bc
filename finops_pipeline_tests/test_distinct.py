"""A rule asked once for each distinct text gives what it gives for each row."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline import distinct
from finops_pipeline.distinct import once_each


def shouted(text: pl.Expr) -> pl.Expr:
    return (text.str.to_uppercase() + "!").fill_null("nothing")


def of(texts: list[str | None]) -> list[str]:
    frame = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    return frame.select(once_each(pl.col("text"), shouted, pl.String)).to_series().to_list()


def expected(texts: list[str | None]) -> list[str]:
    return ["nothing" if text is None else f"{text.upper()}!" for text in texts]


@pytest.mark.parametrize("few", [0, 8, 1 << 16])
@given(texts=st.lists(st.none() | st.text("abc", max_size=3), max_size=30))
def test_each_row_has_its_own_result(few: int, texts: list[str | None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distinct, "FEW", few)
        assert of(texts) == expected(texts)


@pytest.mark.parametrize("number", [254, 255, 256, 257, 9_000])
def test_however_many_texts_there_are(number: int) -> None:
    texts = [*(f"t{n}" for n in range(number)), None, "t0", None]
    assert of(texts) == expected(texts)


def test_the_rule_sees_each_text_once_and_knows_the_next_frame() -> None:
    asked: list[str | None] = []

    def seen(text: pl.Expr) -> pl.Expr:
        return text.map_batches(lambda texts: asked.extend(texts) or texts, return_dtype=pl.String)

    frame = pl.DataFrame({"text": ["a", "b", "a", None] * 5})
    for _ in range(2):
        frame.select(once_each(pl.col("text"), seen, pl.String))
    assert asked == ["a", "b", None]
