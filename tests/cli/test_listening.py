"""Listening: addresses are shared by those who agree to it, and by nobody else."""

import socket
import sys

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


def test_an_address_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        for take in (listen, reserve):
            with pytest.raises(ConfigError) as refused:
                take("127.0.0.1", port)
            assert str(refused.value) == (
                f"cannot listen on 127.0.0.1 port {port}: Address already in use; "
                "choose another --port"
            )


def test_an_address_of_ipv6_is_shown_in_brackets() -> None:
    try:
        listener = listen("::1", 0)
    except ConfigError:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert shown(listener) == f"http://[::1]:{listener.getsockname()[1]}"
