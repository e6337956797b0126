"""ARCHITECTURE.md: what it names is there, and its words are the only ones."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "netra_backend"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_every_module_and_name_is_where_it_is_said_to_be() -> None:
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)+)(?:\.(?!py|md)([A-Za-z_]+))?", TEXT)
    assert len(named) > 30
    wrong = [f"{path}.{name}" for path, name in named if not is_there(path, name)]
    assert wrong == []


def is_there(path: str, name: str) -> bool:
    module = SOURCE / f"{path}.py"
    if module.is_file():
        return not name or re.search(rf"\b{name}\b", module.read_text("utf-8")) is not None
    return any((root / path).exists() or list(root.glob(f"{path}.*")) for root in (SOURCE, ROOT))


def test_the_list_of_words_is_where_contributors_are_sent() -> None:
    assert "](ARCHITECTURE.md#words)" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "\n## Words\n" in TEXT


def test_every_module_has_its_room() -> None:
    """Each module and package of a folder under "The rooms" stands there once, and nothing else."""
    rooms = TEXT.partition("\n## The rooms\n")[2].partition("\n## ")[0]
    folders = re.split(r"^\*\*([a-z]+)\*\*$", rooms, flags=re.MULTILINE)[1:]
    named = {
        folder: sorted(re.findall(r"`([a-z0-9_]+)`", table))
        for folder, table in zip(folders[::2], folders[1::2], strict=True)
    }
    assert named == {path.name: modules(path) for path in SOURCE.iterdir() if modules(path)}


def modules(folder: Path) -> list[str]:
    files = [path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")]
    return sorted(files + [path.parent.name for path in folder.glob("*/__init__.py")])


def test_no_class_has_a_word_that_may_mean_anything() -> None:
    vague = re.compile(
        r"^class \w*(?:Channel|Manager|Handler|Helper|Service|Util)\w*", re.MULTILINE
    )
    found = [one for path in SOURCE.rglob("*.py") for one in vague.findall(path.read_text("utf-8"))]
    assert found == []
