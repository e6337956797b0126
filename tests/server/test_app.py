"""The composition root: which agents the application has, in which order."""

from pathlib import Path

import pytest

from netra_backend.agents.callbacks import Happening
from netra_backend.agents.run_request import run_request
from netra_backend.config import Settings
from netra_backend.core.frames import Limits
from netra_backend.core.ids import UserId
from netra_backend.errors import ConfigError
from netra_backend.server.app import create_app
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing import asking
from netra_backend.testing.scripted_agent import ScriptedAgent, answer, endless
from tests.client import client
from tests.eventually import until
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


async def test_callbacks_hear_what_agents_do(tmp_path: Path) -> None:
    ended: list[str] = []

    class Watch:
        def on_agent_completed(self, happening: Happening) -> None:
            ended.append(happening.run)

    agents = {"brief": ScriptedAgent(answer("hi"))}
    settings, store = Settings(data_dir=tmp_path), MemoryStore()
    app = create_app(agents, settings=settings, store=store, callbacks=[Watch()])
    runner = app._house.runner
    await runner.start(run_request(UserId("alice"), asking("hi", run_id="r1")))
    await until(lambda: ended == ["r1"])
    await runner.close()


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
