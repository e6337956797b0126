"""What each rule is about."""

from netra_backend.scan.rules import RULES
from netra_backend.scan.titles import TITLES


def test_every_rule_has_a_title_of_one_line() -> None:
    assert set(TITLES) == {*RULES, "JS100"}
    assert all(title and "\n" not in title and len(title) < 80 for title in TITLES.values())
    assert len(set(TITLES.values())) == len(TITLES)
