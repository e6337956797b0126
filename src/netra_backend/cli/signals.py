"""Signals: which of them stop a server in peace."""

import signal

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
