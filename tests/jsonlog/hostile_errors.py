"""The hostile corpus: exceptions, and what of them must be seen."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from tests.jsonlog import hostile_makers as made
from tests.jsonlog.hostile_case import MARK, Case, Law, Log, Standard, standard
from tests.jsonlog.hostile_classes import Colour, HostileError

LOCAL = "a local variable"


def errors() -> Iterator[Case]:
    """Yield exceptions, and what must be seen: types, texts, and functions they went through."""
    made_by: dict[str, tuple[Callable[[], BaseException], tuple[str, ...]]] = {
        "simple": (lambda: caught(_raise), ("ValueError", "the text", "_raise")),
        "with a cause": (lambda: caught(_with_cause), ("KeyError", "ValueError", "_with_cause")),
        "with a context": (lambda: caught(_with_context), ("KeyError", "ValueError", "_raise")),
        "with a note": (lambda: noted("a note"), ("ValueError", "a note")),
        "of a group": (made.group, ("ExceptionGroup", "TypeError", "a note")),
        "of a group, raised": (
            lambda: caught(_raise_group),
            ("TypeError", "_raise_group", "_raise"),
        ),
        "without a traceback": (lambda: ValueError("the text"), ("ValueError", "the text")),
        "of a deep stack": (lambda: made.raised(400), ("ValueError", "fail", "HostileError")),
        "of recursion": (lambda: caught(_recurse), ("RecursionError", "_recurse")),
        "of syntax": (lambda: caught(lambda: compile("a b", "x\n", "exec")), ("SyntaxError",)),
        "of import": (lambda: caught(lambda: __import__("no_such")), ("ModuleNotFoundError",)),
        "hostile": (HostileError, ("HostileError",)),
        "cyclic": (made.cyclic_error, ("ValueError", "KeyError")),
        "of itself": (made.exception_of_itself, ("ValueError",)),
        "with odd notes": (made.odd_notes, ("ValueError",)),
        "with half a character": (lambda: ValueError("\ud800"), ("ValueError",)),
        "of a megabyte": (lambda: ValueError("x" * 1_000_000), ("ValueError",)),
        "that is an exit": (lambda: SystemExit(3), ("SystemExit",)),
        "that is cancellation": (asyncio.CancelledError, ("CancelledError",)),
        "of no memory": (MemoryError, ("MemoryError",)),
        "of a missing state": (lambda: caught(lambda: {}[Colour.RED]), ("KeyError", "RED")),
    }
    for name, (make, seen) in made_by.items():
        yield Case(f"exception {name}", Law.COMPLETE, _failing(make), seen)
        yield standard(f"exception {name}, exc_info", _raising(make), *seen, law=Law.COMPLETE)
    hidden = Case("local variables", Law.COMPLETE, _with_locals, ("_with_secret",))
    yield hidden._replace(secret=LOCAL)


def _failing(make: Callable[[], BaseException]) -> Callable[[Log], object]:
    return lambda log: log.fail(MARK, make())


def _raising(make: Callable[[], BaseException]) -> Standard:
    return lambda logger: logger.error(MARK, exc_info=make())


def caught(call: Callable[[], object]) -> BaseException:
    """Return what the call raises."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the error is the value
        return error
    raise AssertionError("it did not raise")


def _raise() -> None:
    raise ValueError("the text")


def _with_cause() -> None:
    try:
        _raise()
    except ValueError as error:
        raise KeyError("k") from error


def _with_context() -> None:
    try:
        _raise()
    except ValueError:
        raise KeyError("k")  # noqa: B904 - its context is what is tried


def _raise_group() -> None:
    raise ExceptionGroup("several", [caught(_raise), TypeError("b")])  # type: ignore[list-item]


def _recurse() -> None:
    _recurse()


def _with_locals(log: Log) -> None:
    def _with_secret() -> None:
        hidden = LOCAL
        raise ValueError(len(hidden))

    with contextlib.suppress(ValueError):
        try:
            _with_secret()
        except ValueError as error:
            log.fail(MARK, error)
            raise


def noted(text: str) -> BaseException:
    """Return an exception with a note."""
    error = ValueError("noted")
    error.add_note(text)
    return error
