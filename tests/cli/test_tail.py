"""``netra tail``."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.http11 import Response

from netra_backend.cli.client import Server, ServerError, reach
from netra_backend.cli.tail import _refusal, _Tail
from netra_backend.server.kept_keys import dev_key
from tests.cli.conftest import Netra
from tests.client import client, read_log
from tests.live import ServerProcess

pytestmark = pytest.mark.anyio


def options(server: ServerProcess) -> list[str]:
    return ["--url", server.url, "--user", "alice", "--data-dir", str(server.data_dir)]


async def test_once_shows_the_whole_log_with_positions(netra: Netra, server: ServerProcess) -> None:
    truth = await read_log(server.url, server.token(), "t1")
    assert truth is not None
    done = await asyncio.to_thread(netra, "tail", "t1", "--once", "--json", *options(server))
    assert done.returncode == 0, done.stderr
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert shown == [{"id": event["id"], "chunk": event["chunk"]} for event in truth]
    after = truth[2]["id"]
    rest = await asyncio.to_thread(
        netra, "tail", "t1", "--once", "--after", after, *options(server)
    )
    lines = rest.stdout.splitlines()
    assert len(lines) == len(truth) - 3
    assert truth[3]["id"] in lines[0]
    assert truth[3]["chunk"]["type"] in lines[0]


async def test_it_follows_across_a_restart(server: ServerProcess) -> None:
    """Every event is shown once, in order, though the server is killed in between."""
    netra = Path(sys.executable).with_name("netra")
    command = [str(netra), "tail", "t1", "--json", *options(server)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        ids: list[str] = []

        async def until_finished() -> None:
            assert process.stdout is not None
            while True:
                event = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
                ids.append(event["id"])
                if event["chunk"]["type"] == "RUN_FINISHED":
                    return

        await until_finished()
        server.kill()
        server.start()
        await server.wait_ready()
        async with client(server.socket_url, server.token("alice")) as alice:
            await alice.run("t1", "r2", "How do I write an agent?")
        await until_finished()
    finally:
        process.kill()
        await process.wait()
    offsets = [int(id.split("-")[1]) for id in ids]
    assert offsets == sorted(set(offsets))
    truth = await read_log(server.url, server.token(), "t1")
    assert truth is not None
    assert offsets[-1] == len(truth)


async def test_a_key_of_another_server_is_named(server: ServerProcess, tmp_path: Path) -> None:
    """Who is in the wrong folder has given no token, and would look for one."""
    dev_key(tmp_path)
    tailing = _Tail(reach(server.url, "alice", None, str(tmp_path)), "t1", None, as_json=True)
    for attempt in (tailing.follow(), asyncio.to_thread(tailing.show_those_there)):
        with pytest.raises(ServerError) as refused:
            await attempt
        assert f"signed with the key in {tmp_path}; give the server's --data-dir" in str(
            refused.value
        )


def test_another_secret_than_the_server_s_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data directory has no part in it."""
    monkeypatch.setenv("NETRA_AUTH", "jwt")
    monkeypatch.setenv("NETRA_JWT_SECRET", "s" * 32)
    refusal = reach("http://127.0.0.1:1", "alice", None, None).refusal(b"", 401)
    assert str(refusal).endswith("NETRA_JWT_SECRET; give the server's, or a --token")


async def test_a_token_that_is_refused_is_told_in_the_servers_words(
    netra: Netra, server: ServerProcess
) -> None:
    for more in ([], ["--once"]):
        command = ["tail", "t1", *more, "--url", server.url, "--token", "x.y.z"]
        done = await asyncio.to_thread(netra, *command)
        assert done.returncode == 2
        assert done.stderr.endswith("the token is not valid\n")


@pytest.mark.parametrize("outage", [502, None])
def test_an_outage_is_no_refusal(outage: int | None) -> None:
    """A proxy finds no server while it restarts, or the server dies during the handshake."""
    answer = InvalidMessage("no answer") if outage is None else refused_with(outage)
    server = Server("http://127.0.0.1:1", "t")
    assert isinstance(_refusal(server, answer), OSError)
    assert isinstance(_refusal(server, refused_with(401)), ServerError)


def refused_with(status: int) -> InvalidStatus:
    return InvalidStatus(Response(status, "", Headers()))


async def test_a_thread_that_the_user_has_not_is_an_error(
    netra: Netra, server: ServerProcess
) -> None:
    for more in ([], ["--once"]):
        done = await asyncio.to_thread(netra, "tail", "nothing", *more, *options(server))
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("netra: ")
        assert "Traceback" not in done.stderr


def test_bad_arguments_are_named(netra: Netra) -> None:
    assert "a position looks like 1-42" in netra("tail", "t1", "--after", "soon").stderr
    assert "--url" in netra("tail", "t1", "--url", "ftp://nowhere").stderr
    assert "thread is 'no id'" in netra("tail", "no id", "--token", "t").stderr


@pytest.mark.parametrize("more", [[], ["--once"]])
def test_a_server_that_is_not_there_is_named(netra: Netra, more: list[str]) -> None:
    nowhere = netra("tail", "t1", *more, "--url", "http://127.0.0.1:1", "--token", "t")
    assert nowhere.returncode == 2
    assert "no answer from http://127.0.0.1:1" in nowhere.stderr
