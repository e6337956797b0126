"""The project: the nearest pyproject.toml, and what the command line says instead."""

from pathlib import Path

import pytest

from netra_backend.errors import ConfigError
from tests.cli.scanning import project, write

TABLE = "[tool.netra.scan]\n"


def test_the_nearest_table_wins(tmp_path: Path) -> None:
    outer = f'{TABLE}ignore = ["JS100"]\n'
    inner = f'{TABLE}safe = ["a.b"]\n'
    write(tmp_path, {"pyproject.toml": outer, "in/pyproject.toml": inner, "in/src/a.py": ""})
    found = project(tmp_path / "in" / "src" / "a.py")
    assert found.root == str(tmp_path / "in")
    assert found.options.safe == ("a.b",)
    assert found.options.ignore == ()
    assert project(tmp_path / "in", tmp_path).options.ignore == ("JS100",)


def test_a_pyproject_without_the_table_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    table = f'{TABLE}select = ["JS001"]\nfail-on = "error"\nexclude = ["x"]\n'
    write(tmp_path, {"pyproject.toml": table})
    options = project(tmp_path, "--select", "JS1", "--fail-on", "note", "--exclude", "y").options
    assert options.select == ("JS1",)
    assert options.fail_on == "note"
    assert options.exclude == ("x", "y")
    assert options.notes is True


def test_notes_are_off_in_ci_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert project(tmp_path).options.notes is False
    assert project(tmp_path, "--notes").options.notes is True
    write(tmp_path, {"pyproject.toml": f"{TABLE}notes = true\n"})
    assert project(tmp_path).options.notes is True
    assert project(tmp_path, "--no-notes").options.notes is False


def test_a_rule_can_be_off_in_some_files(tmp_path: Path) -> None:
    table = '[tool.netra.scan.per-file-ignores]\n"tests/" = ["JS0"]\n"*_old.py" = ["ALL"]\n'
    write(tmp_path, {"pyproject.toml": table})
    found = project(tmp_path)

    def on(path: str, rule: str) -> bool:
        return found.enabled(str(tmp_path / path), rule)

    assert not on("tests/a/b.py", "JS001")
    assert on("tests/a/b.py", "JS100")
    assert not on("src/x_old.py", "JS100")
    assert on("src/x.py", "JS001")
    assert on("src/x.py", "JS")
    assert not on("tests/a.py", "JS")
    assert not project(tmp_path, "--ignore", "JS001").enabled(str(tmp_path / "x.py"), "JS")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tool.netra = [", "pyproject.toml is no TOML: "),
        ("tool.netra = 3\n", "pyproject.toml: tool.netra.scan is no table"),
        ("tool.netra.scan = 3\n", "pyproject.toml: tool.netra.scan is no table"),
        (f"{TABLE}selct = []\n", "pyproject.toml: \\[tool.netra.scan\\] has no key 'selct'"),
        (f"{TABLE}src = ['.', 'no']\n", "pyproject.toml: .*src\\[1\\] is 'no', and there"),
        (f"{TABLE}select = ['JS7']\n", "pyproject.toml: tool.netra.scan.select\\[0\\] is 'JS7'"),
    ],
)
def test_a_fault_names_the_file(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, {"pyproject.toml": text})
    with pytest.raises(ConfigError, match=said):
        project(tmp_path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff netra")
    with pytest.raises(ConfigError, match="is no TOML"):
        project(tmp_path)


def test_a_file_can_be_named(tmp_path: Path) -> None:
    write(tmp_path, {"other.toml": f'{TABLE}safe = ["x"]\n', "in/a.py": ""})
    found = project(tmp_path / "in", "--config", tmp_path / "other.toml")
    assert found.options.safe == ("x",)
    assert found.root == str(tmp_path)
    with pytest.raises(ConfigError, match=r"--config nope\.toml: there is no such file"):
        project(tmp_path, "--config", "nope.toml")


@pytest.mark.parametrize("text", ["", "[tool.ruff]\n", "[tool.netra]\n", "[scan]\nselect = []\n"])
def test_a_named_file_that_says_nothing_of_the_scan_is_an_error(tmp_path: Path, text: str) -> None:
    """Its author believes that it counts: what it would ignore is found, or the other way round."""
    (tmp_path / "other.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"other\.toml: there is no table \[tool\.netra\.scan\]"):
        project(tmp_path, "--config", tmp_path / "other.toml")


def test_a_rule_on_the_command_line_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--ignore is 'JS9', and must be one of the rules"):
        project(tmp_path, "--ignore", "JS9")
