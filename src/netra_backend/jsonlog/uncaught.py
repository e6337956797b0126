"""Exceptions that nobody caught, as log records: of the main thread, of threads, of destructors.

Those of asyncio's tasks come by themselves: the loop logs them.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any

from netra_backend.jsonlog.guard import is_kind

log = logging.getLogger("uncaught")

_previous: dict[str, Any] = {}
"""The hooks that ours stand for; empty while they are not installed."""


def install() -> None:
    """Log what nobody catches. A hook that somebody else has set is called, too. Idempotent."""
    if _previous:
        return
    _previous.update(
        main=sys.excepthook, thread=threading.excepthook, unraisable=sys.unraisablehook
    )
    sys.excepthook, threading.excepthook = _main, _thread
    sys.unraisablehook = _unraisable


def uninstall() -> None:
    """Put the hooks back, each unless somebody has replaced ours meanwhile."""
    if not _previous:
        return
    if sys.excepthook is _main:
        sys.excepthook = _previous["main"]
    if threading.excepthook is _thread:
        threading.excepthook = _previous["thread"]
    if sys.unraisablehook is _unraisable:
        sys.unraisablehook = _previous["unraisable"]
    _previous.clear()


def _main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log what ends the process; Ctrl+C is no fault and is told as always."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    log.critical("uncaught exception", exc_info=(kind, error, trace))
    _pass_on("main", sys.__excepthook__, kind, error, trace)


def _thread(args: threading.ExceptHookArgs) -> None:
    """Log what ends a thread; SystemExit is the way to end one."""
    error = args.exc_value
    if error is None or is_kind(error, SystemExit):
        return
    name = None if args.thread is None else args.thread.name
    info = (args.exc_type, error, args.exc_traceback)
    log.error("uncaught exception in a thread", exc_info=info, extra={"thread_name": name})
    _pass_on("thread", threading.__excepthook__, args)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    """Log what a destructor or a callback of the garbage collector raised."""
    text = args.err_msg or "exception ignored"
    where = {"where": args.object}
    error = args.exc_value
    info = None if error is None else (args.exc_type, error, args.exc_traceback)
    log.error(text, exc_info=info, extra=where)
    _pass_on("unraisable", sys.__unraisablehook__, args)


def _pass_on(name: str, default: Any, *args: Any) -> None:
    """Call the hook that was there before, unless it is the interpreter's own, which prints."""
    hook = _previous.get(name)
    if hook is not None and hook is not default:
        hook(*args)
