"""``netra replay``."""

import asyncio
import json

import pytest

from netra_backend.cli.client import NotFound, Server
from netra_backend.cli.replay import LONGEST_PAUSE, pause
from tests.cli.conftest import Netra
from tests.client import read_log
from tests.live import ServerProcess


@pytest.mark.anyio
async def test_it_shows_the_log_again(installed: Netra, server: ServerProcess) -> None:
    truth = await read_log(server.url, server.token(), "t1")
    assert truth is not None
    done = await asyncio.to_thread(
        installed, "replay", "t1", "--speed", "20", "--json", "--url", server.url,
        "--user", "alice", "--data-dir", str(server.data_dir),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert shown == [event["id"] for event in truth]
    with pytest.raises(NotFound, match="there is no thread t2 that this user may see"):
        await asyncio.to_thread(list, Server(server.url, server.token()).events("t2"))


@pytest.mark.parametrize(
    ("before", "at", "speed", "seconds"),
    [
        (1_000, 3_000, 1, 2.0),
        (1_000, 3_000, 2, 1.0),
        (3_000, 1_000, 1, 0.0),
        (0, 86_400_000, 1, LONGEST_PAUSE),
    ],
)
def test_the_pauses_are_those_of_the_log(
    before: int, at: int, speed: float, seconds: float
) -> None:
    assert pause(before, at, speed) == seconds


def test_a_speed_of_nothing_is_refused(netra: Netra) -> None:
    assert netra("replay", "t1", "--speed", "0").returncode == 2


def test_a_name_that_is_no_id_is_refused(netra: Netra) -> None:
    assert "thread is 'no id'" in netra("replay", "no id", "--token", "t").stderr
