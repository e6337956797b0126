"""What is taken away, or ends, does so on every worker: within five seconds, or one."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.client import Client, client
from tests.eventually import until
from tests.faults.crew import processes, worker_at, workers
from tests.http import http
from tests.live import ServerProcess
from tests.server.issuer import SECRET, hs256

pytestmark = pytest.mark.anyio

JWT = {"NETRA_AUTH": "jwt", "NETRA_JWT_SECRET": SECRET, "NETRA_JWT_ADMIN_CLAIM": "admin"}


async def on_each(server: ServerProcess, stack: AsyncExitStack, token: str) -> list[Client]:
    """Return sockets that were opened with the token, of which every worker has one."""
    people: dict[int, Client] = {}
    while set(people) != {process.pid for process in processes(server)}:
        opened = await stack.enter_async_context(client(server.socket_url, token))
        worker = worker_at(server, opened.socket.local_address[1])
        assert worker is not None
        people.setdefault(worker.pid, opened)
    return list(people.values())


async def test_on_every_worker(tmp_path: Path) -> None:
    async with (
        workers(tmp_path, **JWT) as server,
        AsyncExitStack() as stack,
        http(server.url, hs256(sub="alice")) as alice,
        http(server.url, hs256(sub="root", admin=True)) as root,
    ):
        await until(lambda: len(processes(server)) == 2)
        await alice.post("/threads", json={"id": "t"})
        path = "/threads/t/members/bob"
        await alice.put(path, json={"role": "write"})
        issued = int(time.time()) - 9
        bobs = await on_each(server, stack, hs256(sub="bob", iat=issued))
        for number, bob in enumerate(bobs):
            assert (await bob.run("alice,t", f"r{number}"))["type"] == "accepted"
            await bob.command("cancel", run=f"r{number}")

        await alice.put(path, json={"role": "read"})
        for bob in bobs:  # at once: each command is checked against the role of its moment
            assert (await bob.run("alice,t", "no"))["code"] == "forbidden"
            assert (await bob.command("cancel", run="r0"))["code"] == "forbidden"
            assert (await bob.follow("alice,t"))["run"] is not None

        began = time.monotonic()
        await alice.delete(path)
        for bob in bobs:
            assert (await bob.notice("unfollowed"))["why"] == "denied"
            assert (await bob.run("alice,t", "no"))["code"] == "not_found"
        assert time.monotonic() - began < 5

        began = time.monotonic()
        assert (await root.delete("/users/bob/sessions")).status_code == 204
        for bob in bobs:
            assert await bob.closed() == 4401
        assert time.monotonic() - began < 5

        end = int(time.time()) + 8
        for carol in await on_each(server, stack, hs256(sub="carol", exp=end)):
            assert await carol.closed() == 4401
            assert -0.05 < time.time() - end < 1
