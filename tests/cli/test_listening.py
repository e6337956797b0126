"""Listening: addresses are shared by those who agree to it, and by nobody else."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from netra_backend.cli.listening import listen, reserve, shown
from netra_backend.errors import ConfigError
from tests.ports import free_port


def test_who_shares_an_address_shares_its_connections_and_the_reserve_gets_none() -> None:
    with reserve("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        assert shown(reserved) == f"http://127.0.0.1:{port}"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with listen("127.0.0.1", port, shared=True) as one:
            with listen("127.0.0.1", port, shared=True) as two:
                clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(64)]
                accepted = [0, 0]
                for number, listener in enumerate((one, two)):
                    listener.setblocking(False)
                    while True:
                        try:
                            listener.accept()[0].close()
                        except BlockingIOError:
                            break
                        accepted[number] += 1
                for client in clients:
                    client.close()
            assert sum(accepted) == 64
            assert min(accepted) > 0
            with pytest.raises(ConfigError, match=f"port {port}"):
                listen("127.0.0.1", port)


@pytest.mark.skipif(sys.platform != "linux", reason="shared ports are meant for Linux")
def test_an_address_is_reserved_once_before_and_while_somebody_listens_there() -> None:
    port = free_port()
    with reserve("127.0.0.1", port):
        for _ in range(2):
            for take in (listen, reserve):
                with pytest.raises(ConfigError, match=f"127.0.0.1 port {port}"):
                    take("127.0.0.1", port)
            with (
                listen("127.0.0.1", port, shared=True) as one,
                socket.create_connection(("127.0.0.1", port)),
            ):
                one.accept()[0].close()  # leaves the port in TIME_WAIT
                for take in (listen, reserve):
                    with pytest.raises(ConfigError, match=f"127.0.0.1 port {port}"):
                        take("127.0.0.1", port)
    with reserve("127.0.0.1", port), listen("127.0.0.1", port, shared=True):
        pass


def test_an_address_that_is_taken_is_named_with_who_has_it() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        who = ";"
        if sys.platform == "linux":
            name = Path("/proc/self/comm").read_text().strip()
            who = f" by process {os.getpid()} ({name}); stop that, or"
        for take in (listen, reserve):
            with pytest.raises(ConfigError) as refused:
                take("127.0.0.1", port)
            assert str(refused.value) == (
                f"cannot listen on 127.0.0.1 port {port}: Address already in use{who} "
                "choose another --port"
            )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who listens")
def test_a_worker_that_has_outlived_its_keeper_is_called_one() -> None:
    code = (
        "import socket; listener = socket.create_server(('127.0.0.1', 0)); "
        "print(listener.getsockname()[1], flush=True); input()"
    )
    command = [sys.executable, "-ISc", code, "netra_backend.cli", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        port = int(worker.stdout.readline())
        with pytest.raises(ConfigError, match=rf"by process {worker.pid} \(a netra worker\); stop"):
            listen("127.0.0.1", port)
        worker.kill()


def test_an_address_of_ipv6_is_shown_in_brackets() -> None:
    try:
        listener = listen("::1", 0)
    except ConfigError:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert shown(listener) == f"http://[::1]:{listener.getsockname()[1]}"
