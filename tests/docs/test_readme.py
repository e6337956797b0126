"""The README: its agent runs, its commands exist, its links lead somewhere."""

import re
from pathlib import Path

import pytest

from netra_backend.agents.loading import adapt
from netra_backend.testing import asking, play

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.anyio
async def test_the_agent_of_the_first_screen_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    module: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), module)  # noqa: S102 - the README is ours
    events = await play(adapt(module["agent"]), asking("one two"))
    assert [getattr(event, "delta", "") for event in events] == ["", "one ", "two ", ""]


def test_its_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^make test$", script, re.M)


@pytest.mark.parametrize(
    "page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
)
def test_its_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / target).exists(), f"{page}: {target}"


def test_the_architecture_names_what_there_is() -> None:
    """Every ``layer/module`` in ARCHITECTURE.md is a file or a folder of the source."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    source = ROOT / "src" / "netra_backend"
    named = set(
        re.findall(r"\b((?:core|server|agents|stores|testing|jsonlog|scan|cli)/[a-z_]+)\b", text)
    )
    assert len(named) > 15
    for name in named:
        assert (source / name).is_dir() or (source / f"{name}.py").is_file(), name
