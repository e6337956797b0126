"""The Python on the pages about agents runs, and the files and links that they name exist."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from netra_backend import jsonlog
from netra_backend.agents.documentation import anchor_of
from netra_backend.agents.loading import adapt
from netra_backend.testing.player import asking, play
from tests.contract.adapters import ADAPTERS
from tests.contract.completions import completions
from tests.contract.gemini import gemini
from tests.contract.own_environment import python_with
from tests.contract.stage import Scenario, Stage

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FRAMEWORKS = sorted(f"frameworks/{path.name}" for path in (DOCS / "frameworks").glob("*.md"))
NAMES = ("agents.md", "tutorial.md", *FRAMEWORKS)

BLOCKS = [
    pytest.param(source, id=f"{name}-{number}")
    for name in NAMES
    if name not in FRAMEWORKS
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
    try:
        exec(compile(source, "page", "exec"), {"__name__": "page"})  # noqa: S102 - our own page
    finally:
        jsonlog.unconfigure()  # a page has the log configured


def test_each_command_of_the_tutorial_starts_in_the_folder_of_the_one_before() -> None:
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    commands = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    assert any(line.startswith("(cd examples; ") for line in commands)
    assert not [line for line in commands if line.startswith("cd ")]


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


PLAYED = """
import asyncio, sys
import my_module
from netra_backend.agents.loading import adapt
from netra_backend.testing.player import asking, play

for event in asyncio.run(play(adapt(my_module.agent), asking("How is the weather?"))):
    print(event.type.value, getattr(event, "delta", ""), getattr(event, "content", ""))
"""


BY_DAY = "pydantic-ai"
"""The framework whose example stands for all: the adapters have tests of their own."""


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "name",
    [
        name if Path(name).stem == BY_DAY else pytest.param(name, marks=pytest.mark.nightly)
        for name in FRAMEWORKS
    ],
)
async def test_the_example_of_each_framework_runs(name: str, tmp_path: Path) -> None:
    """As a module of its own, over a local API whose model calls the tool and then answers, or
    over a local endpoint whose agent does."""
    (source,) = re.findall(r"```python\n(.*?)```", (DOCS / name).read_text("utf-8"), re.DOTALL)
    assert len(source.splitlines()) <= 40
    scenario = Scenario.ANSWER if name == "frameworks/openai.md" else Scenario.TOOL
    for adapter in ADAPTERS:
        if adapter.name == Path(name).stem and (reason := adapter.missing(scenario)):
            pytest.skip(reason)
    stage = Stage(scenario)
    (remote,) = (adapter for adapter in ADAPTERS if adapter.name == "remote")
    async with (
        completions(stage) as url,
        gemini(stage) as gemini_url,
        remote.playing(stage) as endpoint,
    ):
        there = source.replace("https://agents.example/agui", str(endpoint))
        (tmp_path / "my_module.py").write_text(there)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PLAYED),
            cwd=tmp_path,
            env={
                **os.environ,
                "OPENAI_BASE_URL": url,
                "OPENAI_API_KEY": "none",
                "GOOGLE_GEMINI_BASE_URL": gemini_url,
                "GOOGLE_API_KEY": "none",
                "OPENAI_AGENTS_DISABLE_TRACING": "1",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, failed = (part.decode() for part in await process.communicate())
    assert process.returncode == 0, failed
    if name == "frameworks/langgraph.md":
        assert "TEXT_MESSAGE_CONTENT You said: How is the weather?" in said
    elif name == "frameworks/openai.md":
        assert "TEXT_MESSAGE_CONTENT world" in said
    else:
        assert re.search("TOOL_CALL_RESULT .*sunny in Oslo", said), said
        assert "sunny." in said


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_page_says_where_its_commands_and_its_example_go(name: str) -> None:
    page = (DOCS / name).read_text(encoding="utf-8")
    commands = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)[0]
    assert "In a clone of this repository:\n\n```sh" in page
    assert ("serve my_module:agent" in commands) == (
        "as `my_module.py` first:\n\n```python" in page
    )


ADAPTED = """
from netra_backend.agents.loading import load_agent

print(load_agent("my_module:agent"))
"""


@pytest.mark.nightly
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_command_of_each_page_installs_what_its_example_needs(
    name: str, tmp_path: Path
) -> None:
    """In an environment with nothing else: what the tests install would hide what is missing."""
    page = (DOCS / name).read_text(encoding="utf-8")
    (extras,) = re.findall(r"pip install --editable '\.\[(.*)\]'", page)
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "my_module.py").write_text(source)
    keys = {"OPENAI_API_KEY": "none", "GOOGLE_API_KEY": "none", "PYTHONPATH": ""}
    done = subprocess.run(
        [str(python_with(extras)), "-c", ADAPTED],
        cwd=tmp_path,
        env={**os.environ, **keys},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_links_and_files_of_the_pages_exist(name: str) -> None:
    page = (DOCS / name).read_text(encoding="utf-8")

    for path, anchor in re.findall(r"\]\((?!https?:)([\w./]+\.md)(?:#([\w-]+))?\)", page):
        target = (DOCS / Path(name).parent / path).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.*)$", target, re.MULTILINE)
        assert not anchor or anchor in [anchor_of(heading) for heading in headings]
    for path in re.findall(r"`(examples/\w+\.py)`", page):
        assert (ROOT / path).is_file()
    for module in re.findall(r"netra serve (\w+_agent):agent", page):
        assert (ROOT / "examples" / f"{module}.py").is_file()
