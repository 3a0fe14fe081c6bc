import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.reports import numbers

D = Decimal


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("48997.07", "48,997.07"),
        ("0", "0.00"),
        ("-311.09", "−311.09"),
        ("1234567890.1", "1,234,567,890.10"),
        ("-0.001", "0.00"),
        (None, "–"),
    ],
)
def test_money_has_two_decimals_and_a_true_minus(amount: str | None, text: str) -> None:
    assert numbers.money(None if amount is None else D(amount)) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [("3902.11", "+3,902.11"), ("-311.09", "−311.09"), ("0.00", "0.00"), ("0.001", "0.00"), (None, "–")],
)
def test_a_difference_shows_its_sign(amount: str | None, text: str) -> None:
    assert numbers.change(None if amount is None else D(amount)) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("0.3758", "37.6 %"),
        ("0", "0.0 %"),
        ("1", "100.0 %"),
        ("0.0003", "< 0.1 %"),
        ("0.0005", "< 0.1 %"),
        ("0.00051", "0.1 %"),
        ("0.9995", "> 99.9 %"),
        ("0.9999", "> 99.9 %"),
        ("-0.052", "−5.2 %"),
        ("12.5", "1,250.0 %"),
        (None, "–"),
    ],
)
def test_a_share_is_neither_nothing_nor_all_unless_it_is(part: str | None, text: str) -> None:
    shown = numbers.share(None if part is None else D(part))
    assert shown.replace(numbers.NO_BREAK, " ") == text


@pytest.mark.parametrize(
    ("part", "text"), [("0.087", "+8.7 %"), ("-0.052", "−5.2 %"), ("0.0001", "0.0 %"), ("0", "0.0 %"), (None, "–")]
)
def test_a_relative_change_shows_its_sign(part: str | None, text: str) -> None:
    shown = numbers.share_change(None if part is None else D(part))
    assert shown.replace(numbers.NO_BREAK, " ") == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999_499, "999,499"),
        (999_500, "1 M"),
        (2_412_088, "2.41 M"),
        (9_994_999, "9.99 M"),
        (9_995_000, "10 M"),
        (29_000_000, "29 M"),
        (412_345_678, "412 M"),
        (999_600_000, "1 G"),
        (9_800_000_000, "9.8 G"),
        (3_140_000_000_000, "3.14 T"),
        (None, "–"),
    ],
)
def test_large_counts_have_three_digits(number: int | None, text: str) -> None:
    assert numbers.short_count(number).replace(numbers.NO_BREAK, " ") == text


@given(st.integers(min_value=1_000_000, max_value=10**14))
def test_a_short_count_is_within_half_a_percent(number: int) -> None:
    text, unit = numbers.short_count(number).split(numbers.NO_BREAK)
    shown = D(text.replace(",", "")) * {"M": 10**6, "G": 10**9, "T": 10**12}[unit]
    assert abs(shown - number) <= D(number) / 200


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("search", "search"),
        ("a\r\nBcc: x", "a��Bcc: x"),
        ("abc\u202edef", "abc�def"),
        ("a\N{NO-BREAK SPACE}b\u2028c", "a b�c"),
        ("検索", "検索"),
        ("  ", "(empty)"),
        ("", "(empty)"),
        (None, "–"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
    ],
)
def test_a_name_shows_what_would_hide_and_is_cut_where_it_is_too_long(text: str | None, shown: str) -> None:
    assert numbers.name(text) == shown


def test_days_and_months_are_english_whatever_the_locale() -> None:
    assert numbers.day(dt.date(2026, 10, 3)) == f"3{numbers.NO_BREAK}October"
    assert (numbers.month_name("2026-01"), numbers.month_and_year("2026-12")) == ("January", "December 2026")


def test_an_instant_is_shown_in_utc() -> None:
    berlin = dt.timezone(dt.timedelta(hours=1))
    assert numbers.instant(dt.datetime(2026, 11, 3, 0, 30, tzinfo=berlin)) == "2026-11-02 23:30 UTC"


HEBREW, ARABIC = "צוות מחקר", "فريق 7 البحث"


@pytest.mark.parametrize("text", [HEBREW, ARABIC, f"{HEBREW} x", "x" + HEBREW])
def test_a_name_written_from_right_to_left_keeps_the_amounts_beside_it_in_place(text: str) -> None:
    mark = numbers.LEFT_TO_RIGHT
    assert numbers.name(text) == f"{mark}{text}{mark}"
    assert numbers.width(numbers.name(text)) == len(text)
    assert numbers.sentence(f"Cache {ARABIC} for 3") == f"Cache {mark}{ARABIC}{mark} for 3"


def test_a_mark_that_stands_in_a_log_is_shown() -> None:
    assert numbers.name(f"a{numbers.LEFT_TO_RIGHT}b") == "a�b"
    assert numbers.LEFT_TO_RIGHT not in numbers.name("検索 Größe")


def test_width_counts_columns_not_characters() -> None:
    assert [numbers.width(text) for text in ("abc", "検索", "e\u0301")] == [3, 4, 1]


@pytest.mark.parametrize(("part", "text"), [("0.8", "80 %"), ("1.0", "100 %"), ("0.875", "87.5 %"), ("12", "1,200 %")])
def test_a_threshold_reads_as_it_was_set(part: str, text: str) -> None:
    assert numbers.threshold(D(part)).replace(numbers.NO_BREAK, " ") == text


@pytest.mark.parametrize(
    ("amount", "step", "text"),
    [
        ("3811.20", "1", "+3,811"),
        ("-0.4", "1", "0"),
        ("-402.00", "50", "−402"),
        ("0.125", "0.01", "+0.12"),
        ("0", "1", "0"),
    ],
)
def test_a_change_in_a_chart_has_as_many_decimals_as_its_axis(amount: str, step: str, text: str) -> None:
    assert numbers.chart_change(D(amount), D(step)) == text


def test_a_sentence_with_a_name_in_it_is_made_safe_but_not_cut_like_a_name() -> None:
    assert numbers.sentence("Answer prompts of a\r\nb from a cache") == "Answer prompts of a��b from a cache"
    assert len(numbers.sentence("x" * 300)) == 300
    assert numbers.sentence("x" * 500) == "x" * (numbers.LONGEST_SENTENCE - 1) + "…"
