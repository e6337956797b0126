"""Findings for a terminal."""

import re

from netra_backend.scan.finding import Edit, Origin, Severity
from netra_backend.scan.lines import split_lines
from netra_backend.scan.report.text import printable, summary, write
from tests.scan.findings import finding

SOURCE = 'state = ws.state\n\n\tlog.info(f"中 {dumps({\n\t\t"s": state,\n\t})}")\n'


def told(*found, source: str = SOURCE, colour: bool = False) -> str:
    return "\n".join(write(found, lambda _: split_lines(source), colour=colour))


def test_the_first_line_is_for_editors_and_the_code_follows() -> None:
    one = finding(
        3,
        15,
        end_line=5,
        message='plain enum State reaches json.dumps as "s" (value from line 1)',
        origin=Origin("a.py", 1),
        edits=(Edit(4, 12, 4, 12, ".name"),),
    )
    assert told(one) == (
        'a.py:3:16: JS001 plain enum State reaches json.dumps as "s" (value from line 1)\n'
        "1 | state = ws.state\n"
        "  | ...\n"
        '3 |     log.info(f"中 {dumps({\n'
        "  |                    ^ error: raises when it is executed\n"
        '4 |         "s": state,\n'
        '5 |     })}")\n'
        "  = fix: Use .name"
    )


def test_a_value_from_another_file_is_shown_with_its_file() -> None:
    text = told(finding(4, origin=Origin("b.py", 1)))
    assert "1 | state = ws.state\n  | ^ from b.py\n4 |" in text


def test_a_long_call_is_cut_and_a_lost_file_has_no_code() -> None:
    long = "f(\n" + "x,\n" * 50 + ")\n"
    assert told(finding(1, end_line=52), source=long).count("\n") == 4
    assert told(finding(3), source="") == "a.py:3:1: JS001 plain enum State reaches json.dumps"


def test_nothing_steers_the_terminal() -> None:
    evil = finding(1, path="a\n\x1b[2Jb.py", message="\x1b]0;x\x07\u202e")
    text = told(evil, source="x = '\x1b[31m\u2028'\n")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", text)
    assert text.splitlines()[0] == "a\\n\\x1b[2Jb.py:1:1: JS001 \\x1b]0;x\\x07\\u202e"
    assert printable("é中\t") == "é中\t"


def test_colours_only_where_they_are_wanted() -> None:
    assert "\x1b" not in told(finding())
    assert "\x1b[1;31mJS001\x1b[0m" in told(finding(), colour=True)
    assert "\x1b[1;33m" in told(finding(severity=Severity.WARNING), colour=True)


def test_the_summary_counts() -> None:
    assert summary([], 3) == "Nothing found in 3 files."
    assert summary([], 0, 1) == "Nothing found in 0 files; 1 skipped."
    edits = (Edit(1, 0, 1, 0, ""),)
    some = [finding(), finding(), finding(severity=Severity.NOTE, edits=edits)]
    found = "Found 2 errors, 1 note in 1 file. 1 can be fixed with --fix."
    assert summary(some, 1) == f"{found} Why: netra scan --explain JS001"
