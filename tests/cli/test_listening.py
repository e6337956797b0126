"""Listening: addresses are shared by those who agree to it, and by nobody else."""

import socket

import pytest

from netra_backend.cli.listening import listen, reserve, shown
from netra_backend.errors import ConfigError


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


def test_an_address_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        for take in (listen, reserve):
            with pytest.raises(ConfigError, match=f"127.0.0.1 port {port}"):
                take("127.0.0.1", port)


def test_an_address_of_ipv6_is_shown_in_brackets() -> None:
    try:
        listener = listen("::1", 0)
    except ConfigError:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert shown(listener) == f"http://[::1]:{listener.getsockname()[1]}"
