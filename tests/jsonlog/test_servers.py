"""Servers that set up their own logs after the program did: each line is JSON, without secrets."""

import socket
import subprocess
import sys
from typing import Any

import orjson
import pytest

PROGRAM = """
import os, signal, sys, threading, time, urllib.request
from netra_backend import jsonlog

jsonlog.configure(format="json")
port = int(sys.argv[1])

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"]:
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

def ask():
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/?token=s3cr3t").read()
            break
        except OSError:
            time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=ask, daemon=True).start()
"""

UVICORN = """
import uvicorn
uvicorn.run(app, port=port)
"""

HYPERCORN = """
import asyncio
from hypercorn.asyncio import serve
from hypercorn.config import Config

config = Config()
config.bind = [f"127.0.0.1:{port}"]
config.accesslog = config.errorlog = "-"
config.access_log_format = "%(R)s %(s)s"
asyncio.run(serve(app, config))
"""


@pytest.mark.parametrize(
    ("server", "logger"), [(UVICORN, "uvicorn.access"), (HYPERCORN, "hypercorn.access")]
)
def test_a_server_that_configures_its_log_writes_lines_of_ours(server: str, logger: str) -> None:
    shown = served(server)
    assert {one["logger"].partition(".")[0] for one in shown} == {logger.partition(".")[0]}
    (access,) = [one for one in shown if one["logger"] == logger]
    assert "GET /" in access["message"]
    assert "s3cr3t" not in str(shown)


def served(server: str) -> list[dict[str, Any]]:
    """Return what a server wrote while it answered one request; standard output has nothing."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM + server, port],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.stdout == b""
    return [orjson.loads(one) for one in ended.stderr.splitlines()]


CLOSED = """
import logging, logging.config
from netra_backend import jsonlog

jsonlog.configure(format="json")
logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
for at in range(300):
    logging.warning("%d %s", at, "x" * 1000)
print("logged", flush=True)
"""


def test_a_sink_that_dict_config_closed_still_loses_nothing_at_the_end() -> None:
    command = [sys.executable, "-c", CLOSED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"logged\n"  # more than the pipe of its log takes
        assert len(process.stderr.readlines()) == 300
