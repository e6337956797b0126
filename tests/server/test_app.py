"""The composition root: which agents the application has, in which order."""

from pathlib import Path

import pytest

from netra_backend.config import Settings
from netra_backend.core.frames import Limits
from netra_backend.errors import ConfigError
from netra_backend.server.app import create_app
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, endless
from tests.client import client
from tests.http import http
from tests.live import live
from tests.server.agents import echo

pytestmark = pytest.mark.anyio


def test_no_agents_are_an_error_and_none_given_are_the_docs_agent(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(ConfigError, match="agents is empty"):
        create_app({}, settings=settings)
    with pytest.raises(ConfigError, match="agents: bad: found an object"):
        create_app({"bad": 1}, settings=settings)
    with pytest.raises(ConfigError, match="agents: name is 'a b'; an id is 1 to 128 of"):
        create_app({"a b": echo}, settings=settings)
    app = create_app(settings=settings)
    assert app._house.runner.agents == ["docs"]


async def test_agents_are_offered_in_their_order(tmp_path: Path) -> None:
    agents = {"b": echo, "a": ScriptedAgent(endless())}
    async with (
        live(agents, tmp_path, store=MemoryStore()) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token()) as browser,
    ):
        assert alice.ready["agents"] == ["b", "a"]
        await alice.run("t", "r1")
        await alice.run("u", "r2", agent="a")
        runs = [(await browser.get(f"/runs/{name}")).json()["agent"] for name in ("r1", "r2")]

    assert runs == ["b", "a"]
    assert alice.ready["limits"].keys() == set(Limits.__struct_fields__)
