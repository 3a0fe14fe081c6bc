import re

from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.reports.paths import team_file


@given(st.lists(st.text(), unique=True, max_size=6))
def test_any_names_give_files_of_their_own_fit_for_any_file_system(names: list[str]) -> None:
    files = [team_file(name) for name in names]
    assert len({file.lower() for file in files}) == len(names)
    assert all(re.fullmatch(r"teams/[a-z0-9][a-z0-9-]{0,48}\.html", file) for file in files)


def test_the_name_can_be_read_and_is_the_same_everywhere() -> None:
    # printf 'Data Platform' | sha256sum
    assert team_file("Data Platform") == "teams/data-platform-7c7cf36a.html"
    assert team_file("Größe & Maß").startswith("teams/groe-ma-")


def test_names_that_would_lead_elsewhere_do_not() -> None:
    for name in ("../../etc/passwd", "a/b", "C:\\x", "con", ".", "", "检索"):
        assert team_file(name).count("/") == 1
        assert ".." not in team_file(name)
