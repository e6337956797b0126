"""Lines, counted as the parser counts them."""

import ast

from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.scan.lines import split_lines

PIECES = st.sampled_from(["x", "é", "\n", "\r\n", "\r", "\x0c", "\x0b", "\x1c", "\u2028", "\x85"])


@settings(deadline=None)
@given(st.lists(PIECES).map("".join))
def test_the_lines_are_the_source(source: str) -> None:
    lines = split_lines(source)
    assert "".join(lines) == source
    assert all(line for line in lines)


@settings(deadline=None)
@given(st.lists(PIECES).map("".join))
def test_they_are_counted_as_the_parser_does(comment: str) -> None:
    before = "".join(f"# {line}" for line in split_lines(comment.replace("\x0c", "")))
    source = f"{before}\nmarker = 1\n"
    (assignment,) = ast.parse(source).body
    assert split_lines(source)[assignment.lineno - 1] == "marker = 1\n"
