"""A network of the test's own, in which packets can be made to vanish without a word."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000  # sched.h
PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
NFT, IP = (shutil.which(program, path=PLACES) for program in ("nft", "ip"))


@contextmanager
def own_network() -> Iterator[None]:
    """Give this thread a network namespace with a loopback and nothing else.

    Sockets stay in the namespace in which they were made. Skips the test, saying why, where that is
    not allowed or there is no packet filter.
    """
    if NFT is None or IP is None:
        pytest.skip("nft or ip is missing: half-open peers behind a packet filter are NOT TESTED")
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("this is not root on Linux: half-open behind a packet filter is NOT TESTED")
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            why = os.strerror(ctypes.get_errno())
            pytest.skip(f"no network namespace ({why}): half-open by packet filter is NOT TESTED")
        try:
            _run(IP, "link", "set", "lo", "up")
            _run(NFT, "add table inet silence")
            _run(NFT, "add chain inet silence arriving { type filter hook input priority 0 ; }")
            yield
        finally:
            assert libc.setns(home, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(home)


def silence(ports: list[int]) -> None:
    """Drop every packet from and to these ports, in the namespace that this thread is in."""
    assert NFT is not None
    named = ", ".join(map(str, ports))
    for side in ("sport", "dport"):
        _run(NFT, f"add rule inet silence arriving tcp {side} {{ {named} }} drop")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{Path(command[0]).name}: {done.stderr}"
