"""Files and the names under which they are imported."""

import sys
from pathlib import Path

import pytest

from netra_backend.cli.scan_modules import (
    Names,
    environment_roots,
    find_module,
    import_roots,
)
from netra_backend.errors import ConfigError
from tests.cli.scanning import project, write


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write(tmp_path, {"pyproject.toml": "[tool.netra.scan]\n", "top.py": ""})
    write(tmp_path, {"src/pkg/__init__.py": "", "src/pkg/sub/a.py": "", "src/space/b.py": ""})
    write(
        tmp_path, {"app/deep/__init__.py": "", "app/deep/c.py": "", "app/deep/types/low/d.py": ""}
    )
    write(tmp_path, {"app/deep/odd-name/e.py": "", "app/deep/types/f/__init__.py": ""})
    return tmp_path


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("top.py", "top"),
        ("src/pkg/__init__.py", "pkg"),
        ("src/pkg/sub/a.py", "pkg.sub.a"),
        ("src/space/b.py", "space.b"),
        ("app/deep/c.py", "deep.c"),
        ("app/deep/types/low/d.py", "deep.types.low.d"),
        ("app/deep/types/f/__init__.py", "deep.types.f"),
        ("app/deep/odd-name/e.py", "e"),
        ("odd-name/x.py", "x"),
    ],
)
def test_a_module_is_named_as_it_is_imported(tree: Path, file: str, module: str) -> None:
    assert Names(import_roots(project(tree))).of(str(tree / file)) == module


def test_a_module_outside_all_roots_has_its_own_name(tree: Path) -> None:
    assert Names(import_roots(project(tree))).of("/elsewhere/x.py") == "x"
    assert Names(()).of("/__init__.py") == "__init__"


@pytest.mark.parametrize(
    ("file", "also"),
    [
        ("top.py", ()),
        ("src/pkg/sub/a.py", ("src.pkg.sub.a",)),
        ("src/space/b.py", ("src.space.b",)),
        ("app/deep/__init__.py", ("app.deep",)),
        ("app/deep/types/low/d.py", ("app.deep.types.low.d",)),
        ("app/deep/odd-name/e.py", ()),
        ("../elsewhere/x.py", ()),
    ],
)
def test_a_package_below_a_folder_that_is_none_has_more_names(
    tree: Path, file: str, also: tuple[str, ...]
) -> None:
    assert Names(import_roots(project(tree))).also(str(tree / file)) == also


def test_a_module_is_found_by_its_name_or_by_an_attribute(tree: Path) -> None:
    roots = import_roots(project(tree))
    assert find_module("pkg.sub.a", roots) == f"{tree}/src/pkg/sub/a.py"
    assert find_module("pkg.sub.a.State", roots) == f"{tree}/src/pkg/sub/a.py"
    assert find_module("pkg", roots) == f"{tree}/src/pkg/__init__.py"
    for name in ("os", "pkg.nope.x.y", "", "..", "a/b", "pkg..sub", "\0"):
        assert find_module(name, roots) is None, name


def test_the_packages_of_an_environment_are_found_without_running_it(tree: Path) -> None:
    packages = tree / "env" / "lib" / "python3.12" / "site-packages"
    packages.mkdir(parents=True)
    (tree / "env" / "bin").mkdir()
    (tree / "env" / "bin" / "python").symlink_to(sys.executable)
    for named in ("env", "env/bin/python", "env/lib/python3.12/site-packages"):
        assert environment_roots(str(tree / named), "--python") == (str(packages),)


def test_what_is_no_environment_is_refused(tree: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such environment"):
        environment_roots(str(tree / "nope"), "--python")
    with pytest.raises(ConfigError, match="there is no site-packages in it"):
        environment_roots(str(tree / "src"), "--python")
