"""The pages of docs/rules: every block of code is a case, and the scan agrees with its markers.

A line that must be found ends in ``# JS001``, or ``# JS001 warning`` when only some values raise,
and may name the way to the value in quotes. A line without a marker must be silent. A case is the
blocks under one ``###`` heading; a first line such as ``# app.py`` names the file of a block.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from netra_backend.scan.engine import link, summarise
from netra_backend.scan.finding import Finding, Severity
from netra_backend.scan.fix import apply_fixes
from netra_backend.scan.options import Options
from netra_backend.scan.rules import RULES
from tests.table import each_of

PAGES = Path(__file__).parents[2] / "docs" / "rules"
MARKER = re.compile(r'# (JS\d{3})(?: (warning|note))?(?: "([^"]*)")?')


class Case(Struct, frozen=True):
    """The blocks under one heading, by the names of their files."""

    page: str
    section: str
    title: str
    files: dict[str, str]

    @property
    def id(self) -> str:
        return f"{self.page}: {self.section}: {self.title}"


def cases() -> Iterator[Case]:
    for page in sorted(PAGES.glob("JS*.md")):
        for section in page.read_text("utf-8").split("\n## ")[1:]:
            heading, *parts = section.split("\n### ")
            for part in parts:
                blocks = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
                names = [named(block) for block in blocks]
                assert len(set(names)) == len(names), f"{page.name}: {part}"
                files = dict(zip(names, blocks, strict=True))
                yield Case(page.stem, heading.strip(), part.partition("\n")[0], files)


def named(block: str) -> str:
    found = re.match(r"# (\w+\.py)\n", block)
    return found[1] if found else "example.py"


CASES = list(cases())


def scan(files: dict[str, str]) -> list[Finding]:
    summaries = [summarise(path, path.removesuffix(".py"), text) for path, text in files.items()]
    assert [s.skipped for s in summaries] == [None] * len(summaries)
    return link(summaries, Options())


def expected(files: dict[str, str]) -> set[tuple[str, int, str, str, str | None]]:
    return {
        (path, line, rule, level or level_of(rule), where or None)
        for path, text in files.items()
        for line, source in enumerate(text.splitlines(), 1)
        for rule, level, where in MARKER.findall(source)
    }


def level_of(rule: str) -> str:
    return RULES[rule].severities[0].value


def only(section: str) -> list[Case]:
    return [case for case in CASES if case.section == section]


@each_of(CASES, lambda case: case.id)
def test_the_scan_agrees_with_the_page(case: Case) -> None:
    wanted = expected(case.files)
    found = {(f.path, f.line, f.rule, f.severity.value, f.value_path) for f in scan(case.files)}
    said = {(path, line, rule, level) for path, line, rule, level, _ in wanted}
    assert {finding[:4] for finding in found} == said
    for path, line, rule, level, where in wanted:
        if where is not None:
            assert (path, line, rule, level, where) in found


@each_of(only("Found"), lambda case: case.id)
def test_what_must_be_found_is_marked(case: Case) -> None:
    assert {rule for _, _, rule, _, _ in expected(case.files)} == {case.page}


@each_of((c for c in CASES if c.section != "Found"), lambda case: case.id)
def test_what_must_be_silent_has_no_marker(case: Case) -> None:
    assert not expected(case.files)


@each_of(only("Fixed by --fix"), lambda case: case.id)
def test_fixes_make_the_fixed_form_and_nothing_else(case: Case) -> None:
    (before,) = (c for c in only("Found") if (c.page, c.title) == (case.page, case.title))
    (text,) = before.files.values()
    fixed = apply_fixes(text, scan(before.files)).source
    assert MARKER.sub("", fixed).replace("  \n", "\n") == case.files["example.py"]
    assert not scan({"example.py": fixed})
    assert apply_fixes(fixed, scan({"example.py": fixed})).source == fixed


@each_of(only("Found"), lambda case: case.id)
def test_every_offered_fix_parses_and_silences_its_finding(case: Case) -> None:
    fixed = dict(case.files)
    for path, text in case.files.items():
        fixed[path] = apply_fixes(text, [f for f in scan(case.files) if f.path == path]).source
        compile(fixed[path], path, "exec")
    left = {(f.path, f.line, f.rule, f.value_path) for f in scan(fixed)}
    mended = {(f.path, f.line, f.rule, f.value_path) for f in scan(case.files) if f.fix}
    assert not left & mended


def test_every_rule_has_its_page_with_cases_of_each_sort() -> None:
    assert {case.page for case in CASES} == set(RULES)
    for code in RULES:
        sections = {case.section for case in CASES if case.page == code}
        assert {"Found", "Silent"} <= sections, code
        assert sections & {"Fixed by --fix", "Fixed by hand"}, code


def test_there_are_many_cases() -> None:
    marked = sum(len(expected(case.files)) for case in CASES)
    assert len(CASES) + marked >= 120, (len(CASES), marked)


def test_messages_name_what_reaches_what_and_from_where() -> None:
    case = next(c for c in only("Found") if c.title.startswith("the outage: put"))
    (finding,) = scan(case.files)
    assert finding.message == (
        'plain enum WebSocketState reaches json.dumps as "connection_state" (value from line 10)'
    )
    assert finding.severity is Severity.ERROR
