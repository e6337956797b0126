"""Edits of the text."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.scan.finding import Edit, Finding
from netra_backend.scan.fix import apply_fixes, diff
from netra_backend.scan.lines import split_lines
from tests.night import NIGHTLY
from tests.scan.findings import finding


def insert(line: int, column: int, text: str = ".name") -> Finding:
    return finding(line, edits=(Edit(line, column, line, column, text),))


def test_edits_are_carried_out_and_the_rest_stays() -> None:
    source = "#!/bin/python\r\nx  =  {'é': state,\t# why\r\n 'b': (state)}\r\n"
    fixed = apply_fixes(source, [insert(2, 17), insert(3, 12)])
    assert fixed.source == source.replace("state", "state.name")
    assert len(fixed.done) == 2
    assert fixed.left == ()


def test_what_touches_the_same_place_waits() -> None:
    outer = finding(1, edits=(Edit(1, 0, 1, 4, "f(a)"),))
    fixed = apply_fixes("g(a)\n", [outer, insert(1, 3, "")])
    assert fixed.source == "f(a)\n"
    assert fixed.left == (insert(1, 3, ""),)


def test_the_same_edit_of_two_findings_is_carried_out_once() -> None:
    fixed = apply_fixes("dumps(a)\n", [insert(1, 7), insert(1, 7)])
    assert fixed.source == "dumps(a.name)\n"
    assert len(fixed.done) == 2


def test_all_edits_of_a_fix_or_none() -> None:
    both = finding(1, edits=(Edit(1, 0, 1, 0, "import enum\n"), Edit(1, 6, 1, 7, "b")))
    fixed = apply_fixes("dumps(a)\n", [insert(1, 6, "c."), both])
    assert fixed.source == "dumps(c.a)\n"
    assert fixed.left == (both,)


def test_a_fix_that_breaks_the_source_is_left() -> None:
    bad = insert(1, 7, ")")
    fixed = apply_fixes("dumps(a)\ndumps(b)\n", [bad, insert(2, 7)])
    assert fixed.source == "dumps(a)\ndumps(b.name)\n"
    assert fixed.left == (bad,)


@pytest.mark.parametrize(
    "edit",
    [Edit(9, 0, 9, 0, "x"), Edit(1, 99, 1, 99, "x"), Edit(1, 2, 1, 1, "x"), Edit(0, 0, 1, 0, "")],
)
def test_an_edit_outside_the_source_is_left(edit: Edit) -> None:
    fixed = apply_fixes("x = 1\n", [finding(1, edits=(edit,))])
    assert fixed.source == "x = 1\n"
    assert len(fixed.left) == 1


SOURCE = "x = {'a': [b, c],\n     'd': (e)}  # é\nprint(x)\n"
LINES = split_lines(SOURCE)
PLACES = st.integers(0, len(LINES) - 1).flatmap(
    lambda at: st.tuples(st.just(at + 1), st.integers(0, len(LINES[at])))
)
EDITS = st.builds(
    lambda start, end, text: Edit(*min(start, end), *max(start, end), text),
    PLACES,
    PLACES,
    st.sampled_from([".name", "", ")", "(", "\n", "str("]),
)


@settings(max_examples=2_000 if NIGHTLY else 50)
@given(st.lists(EDITS))
def test_any_set_of_edits_leaves_a_source_that_parses(edits: list[Edit]) -> None:
    found = [finding(edit.line, edits=(edit,)) for edit in edits]
    fixed = apply_fixes(SOURCE, found)
    ast.parse(fixed.source)
    assert len(fixed.done) + len(fixed.left) == len(found)


@pytest.mark.parametrize("end", ["\n", ""])
def test_patch_takes_the_difference(tmp_path: Path, end: str) -> None:
    if shutil.which("patch") is None:
        pytest.skip("patch is not installed, so nothing can take the difference")
    before, after = f"a\r\nb\x0c\nc{end}", f"a\r\nB\x0c\nc.name{end}"
    file = tmp_path / "x.py"
    file.write_bytes(before.encode())
    text = "".join(diff("x.py", before, after))
    subprocess.run(["patch", "-p0", "--binary"], input=text.encode(), cwd=tmp_path, check=True)
    assert file.read_bytes() == after.encode()
