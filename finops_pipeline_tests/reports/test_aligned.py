"""Tables in plain text."""

from finops_pipeline.reports import numbers
from finops_pipeline.reports.aligned import text_table


def test_a_total_stands_under_a_rule_and_over_a_double_one() -> None:
    lines = text_table(["Team", "USD"], [["a", "1.00"], ["Total", "1.00"]], total=True).splitlines()
    assert lines == ["Team    USD", "-----------", "a      1.00", "-----------", "Total  1.00", "==========="]


def test_a_total_of_nothing_has_one_rule_above() -> None:
    lines = text_table(["Team", "USD"], [["Total", "0.00"]], total=True).splitlines()
    assert lines == ["Team    USD", "-----------", "Total  0.00", "==========="]


def test_a_cut_name_keeps_the_mark_behind_it() -> None:
    cut = text_table(["Team", "USD"], [[numbers.name("צ" * 30), "1.00"]], longest=10).splitlines()[-1]
    assert cut == f"{numbers.LEFT_TO_RIGHT}{'צ' * 9}…{numbers.LEFT_TO_RIGHT}  1.00"
