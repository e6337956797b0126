"""A process that runs ``netra``, forked from one that has imported all of it already.

Its imports are most of what a short-lived server or command costs, and the tests start two hundred
of them. Some of `tests/cli` start the installed command itself.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from netra_backend.cli import main

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.forked", "tests.preloaded"])


class Forked:
    """One process; the methods are those of `subprocess.Popen`."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        output: Path,
        errors: Path | None = None,
    ) -> None:
        """Start ``netra`` with these arguments; what it prints is added to the file `output`.

        What it says as an error goes there too, or to the file `errors`.
        """
        files = (output, errors or output)
        self._process = _FORKS.Process(target=_run, args=([*arguments], cwd, dict(env), files))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise TimeoutError(f"process {self.pid} has not ended within {timeout} s")
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _run(arguments: list[str], cwd: Path, env: dict[str, str], files: tuple[Path, Path]) -> None:
    for descriptor, file in enumerate(files, 1):
        with file.open("ab") as log:
            os.dup2(log.fileno(), descriptor)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup make nightly` would have it ignored
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["netra", *arguments]
    main()
