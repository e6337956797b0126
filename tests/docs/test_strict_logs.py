"""docs/strict-logs.md: the example fails as shown, and what is recommended passes."""

import re
import tomllib
from pathlib import Path

import pytest

from netra_backend.testing.strict_logs import Mode

PAGE = (Path(__file__).parents[2] / "docs" / "strict-logs.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SHOWN = re.findall(r"```\n(extra.*?)```", PAGE, re.DOTALL)
INI = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def run(pytester: pytest.Pytester, source: str, ini: str = INI[0]) -> pytest.RunResult:
    pytester.makefile(".toml", pyproject=ini)
    pytester.makepyfile(test_chat=source)
    # The plug-in of a library that frameworks bring along takes half a second to import.
    return pytester.runpytest_inprocess("-p", "no:langsmith_plugin")


def test_the_example_fails_as_shown(pytester: pytest.Pytester) -> None:
    result = run(pytester, EXAMPLES[0])
    result.assert_outcomes(failed=1)
    assert SHOWN[0] in result.stdout.str()


def test_the_example_passes_once_mended_or_allowed(pytester: pytest.Pytester) -> None:
    result = run(pytester, EXAMPLES[0].replace("State.CONNECTED}", "State.CONNECTED.name}"))
    result.assert_outcomes(passed=1)
    result = run(pytester, EXAMPLES[0], INI[0].replace('"json"', '"jsonlog"'))
    result.assert_outcomes(passed=1)


def test_the_markers_and_the_ini_file_are_understood(pytester: pytest.Pytester) -> None:
    marked = "import pytest\n" + EXAMPLES[1] + "def test_it(): ...\n"
    result = run(pytester, marked, INI[0] + INI[1])
    result.assert_outcomes(passed=1)
    assert tomllib.loads(INI[1])["strict_logs_allow"]


def test_each_mode_is_told() -> None:
    for mode in Mode:
        assert f"| `{mode}`" in PAGE
