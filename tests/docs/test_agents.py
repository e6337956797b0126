"""The Python on the pages about agents runs, and the files and links that they name exist."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from netra_backend.agents.documentation import anchor_of
from netra_backend.agents.loading import adapt
from netra_backend.testing.play import asking, play

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NAMES = ("agents.md", "tutorial.md")

BLOCKS = [
    pytest.param(source, id=f"{name}-{number}")
    for name in NAMES
    for number, source in enumerate(
        re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)
    )
]


def test_there_is_python_on_the_pages() -> None:
    assert len(BLOCKS) >= 9


@pytest.mark.parametrize("source", BLOCKS)
def test_each_block_of_python_runs(source: str, monkeypatch, tmp_path: Path) -> None:
    mine = ModuleType("my_module")
    mine.agent = lambda input: None  # type: ignore[attr-defined]
    mine.agent.__annotations__ = {"return": "AsyncIterator"}
    monkeypatch.setitem(sys.modules, "my_module", mine)
    monkeypatch.chdir(tmp_path)
    exec(compile(source, "page", "exec"), {"__name__": "page"})  # noqa: S102 - our own page


@pytest.mark.parametrize(
    "source", [block for block in BLOCKS if "\nasync def agent" in block.values[0]]
)
async def test_each_agent_of_the_pages_is_legal(source: str, assert_legal) -> None:
    scope = {"__name__": "page"}
    exec(compile(source, "page", "exec"), scope)  # noqa: S102 - our own page
    given = asking("one two")
    events = await play(adapt(scope["agent"]), given)

    assert events
    assert_legal(given, events)


@pytest.mark.parametrize("name", NAMES)
def test_links_and_files_of_the_pages_exist(name: str) -> None:
    page = (DOCS / name).read_text(encoding="utf-8")

    for path, anchor in re.findall(r"\]\((?!https?:)([\w./]+\.md)(?:#([\w-]+))?\)", page):
        target = (DOCS / path).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.*)$", target, re.MULTILINE)
        assert not anchor or anchor in [anchor_of(heading) for heading in headings]
    for path in re.findall(r"`(examples/\w+\.py)`", page):
        assert (ROOT / path).is_file()
    for module in re.findall(r"netra serve (\w+_agent):agent", page):
        assert (ROOT / "examples" / f"{module}.py").is_file()
