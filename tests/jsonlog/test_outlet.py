"""Whole lines to real descriptors and streams, counted when they fail."""

import gzip
import io
import json
import os
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from netra_backend.jsonlog.outlet import Outlet

FULL = Path("/dev/full")


def test_lines_reach_a_file_past_its_buffer(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w", encoding="latin-1") as stream:
        stream.write("before\n")
        assert Outlet(stream).write(["é\n".encode(), b"b\n"]) == 2
        assert path.read_text("utf-8") == "before\né\nb\n"


def test_a_descriptor_that_is_closed_elsewhere_is_not_reused(tmp_path: Path) -> None:
    stream = (tmp_path / "log").open("w")
    outlet = Outlet(stream)
    stream.close()
    with (tmp_path / "other").open("w") as other:
        assert outlet.write([b"a\n"]) == 1
    assert (tmp_path / "log").read_text() == "a\n"
    assert Path(other.name).read_text() == ""


DAEMON = """
import os, sys
from netra_backend.jsonlog.writer import Writer

writer = Writer(sys.stderr)
writer.put(b"before\\n", "INFO")
os.closerange(0, 2_000)
others = [os.open(f"{sys.argv[1]}/{number}", os.O_CREAT | os.O_WRONLY) for number in range(20)]
writer.put(b"after\\n", "INFO")
os.write(others[0], str(writer.unreported.numbers).encode())
del writer
"""


@pytest.mark.parametrize("place", ["file", "pipe"])
def test_a_daemon_that_closes_all_descriptors_gets_no_line_into_its_files(
    place: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", DAEMON, str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        shown = subprocess.PIPE if place == "pipe" else log
        ended = subprocess.run(command, stderr=shown, check=True, timeout=60)
    assert (ended.stderr or (tmp_path / "log").read_bytes()) == b"before\n"
    assert (tmp_path / "0").read_text() == "{'INFO': 1}"
    assert not any((tmp_path / str(number)).stat().st_size for number in range(1, 20))


def test_the_descriptor_is_closed_with_the_outlet(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - it lists itself too
    with (tmp_path / "log").open("w") as stream:
        outlet = Outlet(stream)
        del outlet
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.skipif(not FULL.exists(), reason="LOUD: this system has no /dev/full")
def test_a_full_disk_loses_what_does_not_fit() -> None:
    with FULL.open("w") as stream:
        outlet = Outlet(stream)
        assert outlet.write([b"a\n", b"b\n"]) == 0


def test_a_line_that_a_failure_tore_is_ended(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "log"
    with path.open("w") as stream:
        outlet = Outlet(stream)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))  # as a disk with room for 8 bytes
        try:
            assert outlet.write([b"1234\n", b"56789\n", b"lost\n"]) == 1
            assert outlet.write([b"lost\n"]) == 0
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert outlet.write([b"ab\n", b"cd\n"]) == 2
        assert outlet.write([b"ef\n"]) == 1
    assert path.read_text() == "1234\n567\nab\ncd\nef\n"


def test_a_reader_that_is_slow_gets_everything() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    lines = [b"%09d\n" % i for i in range(20_000)]
    with os.fdopen(write, "w") as stream, os.fdopen(read, "rb") as reader:
        outlet = Outlet(stream)
        got: list[int] = []
        thread = threading.Thread(target=lambda: got.append(outlet.write(lines)))
        thread.start()
        assert [reader.readline() for _ in lines] == lines
        thread.join(10)
    assert got == [len(lines)]


def test_at_once_means_without_waiting() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream, os.fdopen(read, "rb", 0) as reader:
        outlet = Outlet(stream)
        assert os.get_blocking(write), "the flag is ours alone"
        assert outlet.at_once is not None
        os.write(outlet.at_once, b"now\n")
        assert reader.read(100) == b"now\n"
        os.write(write, b"x" * 65_536)
        with pytest.raises(BlockingIOError):
            os.write(outlet.at_once, b"later\n")
        assert reader.read(100_000) == b"x" * 65_536


def test_a_line_that_is_taken_in_part_is_finished_before_others() -> None:
    read, write = os.pipe()
    line = b"y" * 100_000 + b"\n"
    with os.fdopen(write, "w") as stream, os.fdopen(read, "rb", 0) as reader:
        outlet = Outlet(stream)
        assert outlet.at_once is not None
        outlet.go_on_after(line[os.write(outlet.at_once, line) :])
        assert outlet.at_once is None
        with pytest.raises(BlockingIOError):
            outlet.asked(5)
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.extend(iter(lambda: reader.read(9_999), b"")))
        thread.start()
        assert outlet.write([]) == 0
        assert outlet.at_once is not None
        assert outlet.write([b"next\n"]) == 1
        del outlet
        stream.close()
        thread.join(10)
    assert b"".join(got) == line + b"next\n"


def test_a_socket_is_asked_before() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("w") as stream:
        outlet = Outlet(stream)
        assert outlet.at_once is None
        os.write(outlet.asked(4), b"now\n")
        assert theirs.recv(100) == b"now\n"
        with pytest.raises(BlockingIOError):
            outlet.asked(5_000)  # it might have to wait

        def fill() -> None:
            for _ in range(10_000):
                os.write(outlet.asked(4_000), b"x" * 4_000)

        with pytest.raises(BlockingIOError):
            fill()


def test_a_file_without_room_ends_the_line_that_it_took_in_part(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        outlet = Outlet(stream)
        assert outlet.at_once is not None
        os.write(outlet.at_once, b"the first ha")
        with pytest.raises(OSError, match="no room"):
            outlet.go_on_after(b"lf\n")
        assert outlet.at_once is None
        assert outlet.write([b"next\n"]) == 1
        assert outlet.at_once is not None
    assert (tmp_path / "log").read_text() == "the first ha\nnext\n"


@pytest.mark.parametrize("kind", [io.StringIO, io.BytesIO])
def test_memory_takes_everything_at_once(kind: type) -> None:
    stream = kind()
    outlet = Outlet(stream)
    write = outlet.memory()
    assert write is not None
    write("é\n".encode())
    assert stream.getvalue() in ("é\n", "é\n".encode())
    assert Outlet(io.TextIOWrapper(io.BytesIO())).memory() is None


def test_streams_without_a_descriptor() -> None:
    stream = io.StringIO()
    outlet = Outlet(stream)
    assert outlet.write([]) == 0
    assert outlet.write([b"a\n", "é\n".encode()]) == 2
    assert outlet.at_once is None
    with pytest.raises(BlockingIOError):
        outlet.asked(2)  # nobody knows whether it would wait
    assert stream.getvalue() == "a\né\n"
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        outlet.write([b"d\n"])


class Tee(io.TextIOWrapper):
    """A terminal as notebooks have it: it has a descriptor, and shows what is written elsewhere."""

    def write(self, text: str, /) -> int:
        return super().write(f"shown {text}")


@pytest.mark.parametrize("kind", ["compressed", "copied", "patched"])
def test_a_stream_with_a_write_of_its_own_gets_all_through_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    if kind == "compressed":
        stream: Any = io.TextIOWrapper(gzip.GzipFile(path, "wb"))  # what `gzip.open` returns
    elif kind == "copied":
        stream = Tee(path.open("wb"))
    else:
        stream = path.open("w")
        plain = stream.write
        stream.write = lambda text: plain(f"shown {text}")
    with stream:
        outlet = Outlet(stream)
        assert outlet.at_once is None
        assert outlet.write([b"a\n"]) == 1
    read = path.read_bytes()
    assert (gzip.decompress(read) if kind == "compressed" else read[6:]) == b"a\n"


def test_a_connection_with_tls_gets_nothing_past_it() -> None:
    class Secured(socket.socket):
        """Like `ssl.SSLSocket`, it sends something else than it is given."""

        def send(self, data: Any, flags: int = 0) -> int:
            super().send(b"secured ", flags)
            return super().send(data, flags)

    ours, theirs = socket.socketpair()
    with theirs, Secured(fileno=ours.detach()) as secured, secured.makefile("w") as stream:
        assert Outlet(stream).write([b"a\n"]) == 1
        assert theirs.recv(100) == b"secured a\n"


def test_a_narrow_encoding_gets_json_escapes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", newline="")
    assert Outlet(stream).write(['{"a":"é😀"}\n'.encode()]) == 1
    assert raw.getvalue() == b'{"a":"\\u00e9\\ud83d\\ude00"}\n'
    assert json.loads(raw.getvalue()) == {"a": "é😀"}
