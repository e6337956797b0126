"""Findings as workflow commands."""

from netra_backend.scan.finding import Severity
from netra_backend.scan.report.github import write
from netra_backend.scan.skipped import Skipped
from tests.scan.findings import finding


def test_a_finding_is_one_command() -> None:
    (error,) = write([finding(3, 4, end_line=5)])
    assert error == (
        "::error title=Netra (JS001),file=a.py,line=3,col=5,endLine=5"
        "::JS001 plain enum State reaches json.dumps"
    )
    warning, note = write([finding(severity=Severity.WARNING), finding(severity=Severity.NOTE)])
    assert warning.startswith("::warning ")
    assert note.startswith("::notice ")


def test_nothing_in_a_name_or_message_ends_the_command() -> None:
    (line,) = write([finding(path="a,b:c%\n.py", message="50%\r\n::error::x")])
    assert "file=a%2Cb%3Ac%25%0A.py," in line
    assert line.endswith("::JS001 50%25%0D%0A::error::x")


def test_a_skipped_file_is_a_warning() -> None:
    (line,) = write([], [Skipped("a.py", "binary")])
    assert line == "::warning title=Netra,file=a.py::skipped: binary"
