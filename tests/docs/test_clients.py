"""The pages about clients: each example runs under Node, against a server, and prints an answer."""

import asyncio
import re
from pathlib import Path

import pytest

from netra_backend.agents.documentation import anchor_of
from netra_backend.config import Settings
from tests.e2e.node_folder import node_folder
from tests.e2e.node_script import ended, printed_by
from tests.live import live
from tests.server.agents import echo

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
PAGES = Path(__file__).parents[2] / "docs" / "clients"
SAYS = {
    "ag-ui": ["Hello there ", "user: Hello there\nassistant: Hello there \n"],
    "tanstack-ai": ["Hello there \n", "Hello again \n"],
    "copilotkit": ["Hello there \n"],
    "ai-sdk": ["Hello there \n"],
    "agentcore": ["Hello there "],
}
"""What the examples of each page print, one after the other, to an agent that says it again."""


def examples(page: str) -> list[str]:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"```js\n(.*?)```", text, re.DOTALL)


def test_every_page_is_tested_and_listed() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")}
    index = (PAGES.parent / "index.md").read_text(encoding="utf-8")
    assert pages == set(SAYS)
    assert all(f"(clients/{page}.md)" in index for page in pages)


def test_an_example_sets_no_variable_that_netra_refuses() -> None:
    names = {f"NETRA_{name.upper()}" for name in Settings.model_fields}
    for path in [*PAGES.parent.rglob("*.md"), PAGES.parents[1] / "README.md"]:
        used = set(re.findall(r"\bNETRA_[A-Z_]*[A-Z]\b(?!_?\*)", path.read_text(encoding="utf-8")))
        assert used <= names, path


@pytest.mark.parametrize("page", SAYS)
def test_the_examples_are_short(page: str) -> None:
    assert examples(page)
    assert max(len(example.splitlines()) for example in examples(page)) <= 40


@pytest.mark.parametrize("page", SAYS)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    for path, anchor in re.findall(r"\]\((?!https?:)([\w./-]+\.md)(?:#([\w-]+))?\)", text):
        headings = re.findall(
            r"^#+ (.*)$", (PAGES / path).read_text(encoding="utf-8"), re.MULTILINE
        )
        assert not anchor or anchor in [anchor_of(heading) for heading in headings], path


@pytest.mark.parametrize("page", SAYS)
async def test_the_examples_of_a_page_print_the_answer(tmp_path: Path, page: str) -> None:
    folder = await asyncio.to_thread(node_folder)
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    async with (
        live({"agent": echo}, tmp_path / "data") as server,
        live({"agent": echo}, tmp_path / "b", agentcore=True, auth="agentcore") as container,
    ):
        environment = {
            "SERVER_URL": server.url,
            "SERVER_TOKEN": server.token(),
            "AGENTCORE_URL": container.url,
        }
        said = []
        for number, example in enumerate(examples(page)):
            script = tmp_path / f"example{number}.mjs"
            script.write_text(example, encoding="utf-8")
            said.append(await printed_by(script, **environment))
    assert said == SAYS[page]


@pytest.mark.parametrize(
    "page",
    [
        "ag-ui" if page == "ag-ui" else pytest.param(page, marks=pytest.mark.nightly)
        for page in SAYS
        if page != "agentcore"
    ],
)
async def test_with_a_wrong_token_each_example_ends_with_an_error(
    tmp_path: Path, page: str
) -> None:
    """It neither tries for ever nor shows what the user said as if it were the answer."""
    folder = await asyncio.to_thread(node_folder)
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    async with live({"agent": echo}, tmp_path / "data") as server:
        for number, example in enumerate(examples(page)):
            script = tmp_path / f"example{number}.mjs"
            script.write_text(example, encoding="utf-8")
            code, out = await ended(script, SERVER_URL=server.url, SERVER_TOKEN="wrong")
            assert (code, out) == (1, ""), f"example {number}"
