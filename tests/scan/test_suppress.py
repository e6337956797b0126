"""Comments that silence findings."""

import pytest

from netra_backend.scan.finding import Finding, Severity
from netra_backend.scan.fix import apply_fixes
from netra_backend.scan.suppress import find_ignores, suppress
from tests.scan.findings import finding


def judged(source: str, *found: Finding, off: str = "JS999") -> list[Finding]:
    """Return what is left of the findings, and what is said of the comments."""

    def enabled(_: str, rule: str) -> bool:
        return rule != off and (rule != "JS" or off == "JS999")

    return suppress(found, {"a.py": find_ignores(source)}, enabled)


@pytest.mark.parametrize(
    "comment",
    [
        "# netra: ignore",
        "# netra: ignore[JS001]",
        "#netra:ignore[ JS002 , js001 ] the client wants it so",
        "# type: ignore  # netra: ignore[JS001]",
        "# netra: ignore[JS002] # netra: ignore[JS001]",
    ],
)
def test_a_comment_silences_its_line(comment: str) -> None:
    assert [it.rule for it in judged(f"dumps(x)  {comment}\n", finding())] in ([], ["JS100"])


def test_another_rule_is_not_silenced() -> None:
    left = judged("dumps(x)  # netra: ignore[JS002]\n", finding())
    assert [it.rule for it in left] == ["JS001", "JS100"]


MANY_LINES = """\
dumps(  {0}
    {{
        "a": State.A,  {1}
        "b": State.B,  {2}
    }}
)  {3}
"""


@pytest.mark.parametrize(("place", "left"), [(0, []), (3, []), (1, [4]), (2, [3])])
def test_a_comment_covers_its_statement_or_the_line_inside(place: int, left: list[int]) -> None:
    comments = ["", "", "", ""]
    comments[place] = "# netra: ignore[JS001]"
    found = [finding(3), finding(4)]
    assert [it.line for it in judged(MANY_LINES.format(*comments), *found)] == left


def test_what_reaches_over_the_line_is_covered() -> None:
    source = MANY_LINES.format("", "# netra: ignore", "", "")
    assert judged(source, finding(1, end_line=6)) == []


def test_a_comment_on_a_header_does_not_cover_the_body() -> None:
    source = "if dumps(x):  # netra: ignore\n    dumps(y)\n"
    assert [it.line for it in judged(source, finding(1), finding(2))] == [2]


def test_what_looks_like_a_comment_in_a_string_is_none() -> None:
    assert find_ignores('x = "# netra: ignore"\ny = """\n# netra: ignore\n"""\n') == ()


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("# netra: ignore[JS001", "the bracket is not closed"),
        ("# netra: ignore[]", "it names no rule"),
        ("# netra: ignore[E501]", "E501 is no rule"),
    ],
)
def test_a_comment_that_cannot_be_read_silences_nothing(comment: str, said: str) -> None:
    left = judged(f"dumps(x)  {comment}\n", finding())
    assert [it.rule for it in left] == ["JS001", "JS100"]
    assert said in left[1].message


def test_rules_without_brackets_cover_what_they_name_and_are_a_finding() -> None:
    for bare in ("ignore JS001", "ignore: js001", "ignore JS001, JS001"):
        before = f"dumps(x)  # netra: {bare} so be it  # noqa\n"
        (odd,) = judged(before, finding())
        assert (odd.rule, odd.message) == ("JS100", "comment names rules without brackets")
        repaired = apply_fixes(before, [odd]).source
        assert repaired.startswith("dumps(x)  # netra: ignore[JS001")
        assert repaired.endswith("] so be it  # noqa\n")
        assert judged(repaired, finding()) == []
    left = judged("dumps(x)  # netra: ignore JS002\n", finding())
    assert [it.rule for it in left] == ["JS001", "JS100"]
    assert "ignores nothing" in left[1].message
    for words in ("so be it", "because JS001 is wrong", "JS0011", "[JS001] JS002"):
        assert judged(f"dumps(x)  # netra: ignore {words}\n", finding()) == []


def test_a_comment_on_its_own_line_says_where_it_belongs() -> None:
    (_, unused) = judged("# netra: ignore\ndumps(x)\n", finding(2))[::-1]
    assert unused.rule == "JS100"
    assert "on a line of its own" in unused.message


def test_other_words_are_no_comment_of_ours() -> None:
    assert find_ignores("x  # netra: ignored\ny  # netra: ignore-me\nz  # netra\n") == ()


def test_an_unused_comment_is_a_warning_where_it_stands() -> None:
    (unused,) = judged("x = 1  # netra: ignore[JS001]\n")
    assert (unused.rule, unused.line, unused.column) == ("JS100", 1, 7)
    assert unused.severity is Severity.WARNING


@pytest.mark.parametrize("off", ["JS001", "JS100"])
def test_a_comment_for_a_rule_that_is_off_is_not_unused(off: str) -> None:
    assert judged("x = 1  # netra: ignore[JS001]\n", off=off) == []
    assert judged("x = 1  # netra: ignore[JS001, JS100]\n") == []


def test_a_comment_for_all_rules_is_unused_only_if_all_are_on() -> None:
    assert [it.rule for it in judged("x = 1  # netra: ignore\n")] == ["JS100"]
    assert judged("x = 1  # netra: ignore\n", off="JS002") == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1  # netra: ignore[JS001]\n", "x = 1\n"),
        ("x = 1  # netra: ignore[JS001] because\ny\n", "x = 1\ny\n"),
        ("x = 1  # type: ignore  # netra: ignore\n", "x = 1  # type: ignore\n"),
        ("x = 1  # netra: ignore  # type: ignore\n", "x = 1  # type: ignore\n"),
        ("def f():\n    # netra: ignore\n    return 1\n", "def f():\n    return 1\n"),
        ("x = 1\n# netra: ignore", "x = 1\n"),
        ("x = 'é\t'\t# netra: ignore\r\ny\r\n", "x = 'é\t'\r\ny\r\n"),
        ('x = """\n"""  # netra: ignore\n', 'x = """\n"""\n'),
    ],
)
def test_its_repair_removes_it_and_nothing_else(before: str, after: str) -> None:
    assert apply_fixes(before, judged(before)).source == after


def test_its_repair_keeps_the_rules_that_are_used() -> None:
    before = "dumps(x)  # netra: ignore[JS001, JS002] so be it\n"
    left = judged(before, finding())
    assert "JS002" in left[0].message
    assert apply_fixes(before, left).source == "dumps(x)  # netra: ignore[JS001] so be it\n"


def test_comments_before_a_fault_are_found() -> None:
    assert len(find_ignores("x = 1  # netra: ignore\ny = (\n")) == 1
    assert find_ignores("x = '''\n# netra: ignore\n") == ()
