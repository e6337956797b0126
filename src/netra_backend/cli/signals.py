"""Signals: which of them stop a server in peace."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

HURRIES = frozenset({signal.SIGINT, signal.SIGTERM})
"""Signals of which a second one means: at once."""


def stopping() -> list[signal.Signals]:
    """Return the signals that stop a server.

    SIGHUP does too, which says that the terminal has gone in which it was started: its clients are
    told. Not under ``nohup``, which has had it ignored.
    """
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # there is none on Windows
    told = [signal.SIGINT, signal.SIGTERM]
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        told.append(hangup)
    return told


@contextmanager
def heard(
    act: Callable[[int, FrameType | None], None], is_over: Callable[[], bool]
) -> Iterator[None]:
    """Have each signal that stops a server `act`, inside.

    Behind it they do what they did before; where `is_over` says that the process has nothing left
    to do they are ignored: one more would end it with an exit code of its own. An event loop that
    listens to signals cannot do that, for it gives them back when it is closed.
    """
    before = {number: signal.signal(number, act) for number in stopping()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if is_over() else handler)
