"""Which files are scanned."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from netra_backend.cli.scan_files import find_files
from netra_backend.errors import ConfigError
from tests.cli.scanning import project, write


def found(folder: Path, *paths: object, gitignore: bool = True, **more: bool) -> list[str]:
    """Return what is found, from `folder`."""
    chosen = [str(path) for path in paths] or [str(folder)]
    files = find_files(chosen, project(folder), gitignore=gitignore, **more).files
    return [os.path.relpath(file, folder) for file in files]


def test_python_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "", "venv/x.py": "", "site-packages/y.py": ""})
    write(tmp_path, {"mine/pyvenv.cfg": "", "mine/z.py": ""})
    write(tmp_path / "node_modules", {"w.py": ""})
    assert found(tmp_path) == ["a.py"]
    assert found(tmp_path, tmp_path / "site-packages", tmp_path / "mine") == [
        "site-packages/y.py",
        "mine/z.py",
    ]


def test_exclude_is_written_as_in_gitignore(tmp_path: Path) -> None:
    table = '[tool.netra.scan]\nexclude = ["gen/", "*_pb2.py", "/top.py"]\n'
    write(
        tmp_path,
        {"pyproject.toml": table, "a.py": "", "b_pb2.py": "", "top.py": "", "in/top.py": ""},
    )
    write(tmp_path, {"gen/x.py": "", "in/gen/y.py": ""})
    assert found(tmp_path) == ["a.py", "in/top.py"]
    named = tmp_path / "gen" / "x.py"
    assert found(tmp_path, named) == ["gen/x.py"]
    assert found(tmp_path, named, tmp_path / "a.py", force_exclude=True) == ["a.py"]


def test_what_git_ignores_is_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.py": "",
            "b.py": "",
            "out/c.py": "",
            "in/d.py": "",
            "in/keep.py": "",
            "in/deep/e.py": "",
        },
    )
    (tmp_path / ".git" / "info").mkdir(parents=True)
    (tmp_path / ".git" / "info" / "exclude").write_text("b.py\n")
    (tmp_path / ".gitignore").write_text("out/\nd.py\nkeep.py\n/deep\n")
    (tmp_path / "in" / ".gitignore").write_text("!keep.py\n/deep/\n")
    assert found(tmp_path) == ["a.py", "in/keep.py"]
    assert found(tmp_path, tmp_path / "in") == ["in/keep.py"]
    assert found(tmp_path, tmp_path / "out") == ["out/c.py"]
    assert len(found(tmp_path, gitignore=False)) == 6


def test_outside_a_repository_only_the_folders_own_gitignore_counts(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.py": "", "in/b.py": ""})
    (tmp_path / ".gitignore").write_text("a.py\n")
    assert found(tmp_path) == ["in/b.py"]
    assert found(tmp_path, tmp_path / "in") == ["in/a.py", "in/b.py"]


def test_links_make_no_loops(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.py": ""})
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "in" / "linked.py").symlink_to(tmp_path / "in" / "a.py")
    (tmp_path / "in" / "loop.py").symlink_to("loop.py")
    assert found(tmp_path) == ["in/a.py", "in/linked.py", "in/loop.py"]


def test_what_is_no_file_is_left_out_or_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    assert found(tmp_path) == []
    with pytest.raises(ConfigError, match="is no regular file; pipe its text"):
        found(tmp_path, tmp_path / "pipe.py")
    with pytest.raises(ConfigError, match=r"there is no file or folder 'no\\npe'"):
        found(tmp_path, "no\npe")


def test_a_folder_that_cannot_be_entered_costs_itself(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "", "shut/b.py": ""})
    (tmp_path / "shut").chmod(0)
    command = [sys.executable, "-m", "netra_backend.cli", "scan", "--no-cache", str(tmp_path)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may enter every folder, and setpriv is not installed to prevent it")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    (tmp_path / "shut").chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"{tmp_path}/shut: skipped: cannot be entered: Permission denied\n"


def test_any_name_is_a_name(tmp_path: Path) -> None:
    names = ["a b.py", "a\nb.py", "é.py", os.fsdecode(b"\xff.py"), "[x]*.py", "-n.py"]
    for name in names:
        (tmp_path / name).touch()
    assert set(found(tmp_path)) == set(names)
