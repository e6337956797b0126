"""Frameworks: told by what an object is, without importing anything."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from netra_backend.agents.adapters.remote import RemoteAgent
from netra_backend.agents.frameworks import (
    FRAMEWORKS,
    extra_of,
    framework_of,
    installation,
    needs,
)
from netra_backend.agents.loading import adapt, load_agent
from netra_backend.errors import ConfigError


def made_of(monkeypatch, path: str, signs: tuple[str, ...] = ()) -> object:
    """Return an object of a library's class, where the library is a module that only says so."""
    name, _, attribute = path.partition(":")
    module = ModuleType(name)
    setattr(module, attribute, type(attribute, (), {}))
    for sign in signs:
        setattr(module, sign, object())
    monkeypatch.setitem(sys.modules, name, module)
    return getattr(module, attribute)()


WITHOUT_EXTRAS = """
import sys
from types import ModuleType
from netra_backend.agents.frameworks import FRAMEWORKS
from netra_backend.agents.loading import adapt
from netra_backend.errors import ConfigError

for framework in FRAMEWORKS:
    for path in framework.classes:
        name, _, attribute = path.partition(":")
        module = sys.modules[name] = ModuleType(name)
        kind = type(attribute, (), {})
        setattr(module, attribute, kind)
        for sign in framework.signs:
            setattr(module, sign, object())
        if "." in name:
            sys.modules[name.partition(".")[0]] = None
        try:
            adapt(kind())
        except ConfigError as error:
            print(error)
        else:
            sys.exit(f"{path} was adapted")
"""


def test_an_object_of_each_is_told_and_a_missing_extra_is_one_sentence() -> None:
    """In an interpreter of its own, where the libraries are modules that only say so."""
    command = [sys.executable, "-c", WITHOUT_EXTRAS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert [line.partition(" (")[0] for line in done.stdout.splitlines()] == [
        needs(f"an agent of {framework.name}", framework.extra)
        for framework in FRAMEWORKS
        for _ in framework.classes
    ]


def test_the_command_installs_from_where_this_package_came_from(tmp_path: Path) -> None:
    clone = tmp_path / "my clone"
    clone.mkdir()
    url = json.dumps({"url": clone.as_uri(), "dir_info": {}})
    from_index = "pip install 'netra-backend[adk]'"
    assert installation("adk", url) == from_index  # the folder is not there any more

    (clone / "pyproject.toml").touch()
    pip = f"{shlex.quote(sys.executable)} -m pip install"
    assert installation("adk", url) == f"{pip} '{clone}[adk]'"
    editable = url.replace("{}", '{"editable": true}')
    assert installation("adk", editable) == f"{pip} --editable '{clone}[adk]'"
    archive = json.dumps({"url": f"{clone.as_uri()}.whl", "archive_info": {}})
    assert [installation("adk", origin) for origin in ("", archive)] == [from_index] * 2
    assert "[adk]" in needs("an agent", "adk")


def test_a_module_of_ones_own_that_is_called_agents_is_no_sdk(monkeypatch) -> None:
    thing = made_of(monkeypatch, "agents.agent:Agent")

    assert framework_of(thing) is None


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("pydantic_ai.models", "pydantic-ai"),
        ("openai", "openai"),
        ("google.adk", "adk"),
        ("google.adk.agents", "adk"),
        ("google.protobuf", None),
        ("google", None),
        ("nobody", None),
    ],
)
def test_a_missing_module_is_told_by_its_extra(module: str, extra: str | None) -> None:
    assert extra_of(module) == extra


def test_nothing_is_imported_to_find_out() -> None:
    code = (
        "import sys\n"
        "from netra_backend.agents.loading import adapt\n"
        "async def agent(input): yield 1\n"
        "adapt(agent)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    libraries = {"pydantic_ai", "langgraph", "agents", "ag2", "agno", "strands", "httpx", "openai"}
    libraries |= {"google.adk"}

    assert not set(done.stdout.split()) & libraries


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("https://agents.example/agui", "agents.example"),
        ("http://127.0.0.1:9000/agui?key=1=2", "127.0.0.1:9000"),
        ("support=https://agents.example/agui?a=b", "support"),
    ],
)
def test_an_address_is_an_agent(spec: str, name: str) -> None:
    found, agent = load_agent(spec)

    assert found == name
    assert isinstance(agent, RemoteAgent)
    assert isinstance(adapt(spec.removeprefix("support=")), RemoteAgent)


@pytest.mark.parametrize(
    "spec", ["https://", "http://[half/x", "http://host:none/x", "htp://host/x"]
)
def test_an_address_that_is_none(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"^ht"):
        load_agent(spec)


def test_what_is_missing_beside_the_library_is_named(monkeypatch) -> None:
    """An extra that is installed, but not whole: its sentence alone would send one in circles."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "netra_backend.agents.adapters.remote", raising=False)

    with pytest.raises(ConfigError, match=r"\[remote\]' \(.*httpx.*\)$"):
        adapt("https://agents.example/agui")
