"""The hostile corpus: calls. How a logger is called wrongly, or made to forge a line."""

import asyncio
import logging
import pickle
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from tests.jsonlog import hostile_classes as of
from tests.jsonlog import hostile_makers as made
from tests.jsonlog.hostile_case import MARK, Case, Law, Log, Standard, standard
from tests.jsonlog.hostile_classes import Colour, raiser
from tests.jsonlog.hostile_errors import noted
from tests.jsonlog.hostile_values import ENDLESS, PLAIN, VALUES

TEXTS = (
    "a\r\nb",
    "\n\n\n",
    "a\u2028b\u2029c",
    "\x85\x0b\x0c\x1c\x1d\x1e",
    '"}\n{"level":"CRITICAL","message":"forged"}',
    '\\"}\r{"message":"forged"}',
    "\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "\x9b31m\x9d0;title\x9c",
    "\u202egnp.exe\u2066",
    "\ufeff\x00\x7f",
    "\ud83d\n\ude00",
)
"""Texts that forge a line, or steer the terminal of the one who reads it."""

ATTRIBUTES = (
    *("name", "msg", "args", "levelname", "levelno", "pathname", "filename", "module", "exc_info"),
    *("exc_text", "stack_info", "lineno", "funcName", "created", "msecs", "relativeCreated"),
    *("thread", "threadName", "processName", "process", "taskName", "message", "asctime"),
    *("getMessage", "__class__", "__dict__"),
)
"""Keys of ``extra=`` that a record has already."""

NAMES = (
    *("self", "text", "level", "event", "message", "msg", "time", "timestamp", "logger", "name"),
    *("extra", "args", "kwargs", "correlation", "exception", "error", "stack", "dropped", "$cut"),
    *("record", "class", "_", "__class__", "a b", "a.b", "", "\ud800", "é", "\n"),
)
"""Names of fields that a library may want for itself."""


def cases() -> Iterator[Case]:
    """Yield every case but exceptions and secrets, which have files of their own."""
    yield from _values()
    yield from _forgeries()
    yield from _arguments()
    yield from _extras()
    yield from _records()
    yield from _surroundings()


# --- values ----------------------------------------------------------------------------------


def _values() -> Iterator[Case]:
    """Yield each value as a field, inside another, as ``extra=`` and as an argument."""
    for name, make in {**VALUES, **ENDLESS}.items():
        law = Law.CONSERVATIVE if name in PLAIN else Law.TOTAL
        records = None if name == "repr logs" else 1
        yield Case(f"{name}, field", law, _field(make), records=records)
        yield Case(f"{name}, inside", law, _inside(make), records=records)
        yield standard(f"{name}, extra", _extra(make), law=law)._replace(records=records)
        if name not in ENDLESS:
            told = standard(f"{name}, argument", _argument(make), law=law)
            yield told._replace(records=records)


def _field(make: Callable[[], object]) -> Callable[[Log], object]:
    return lambda log: log.say(MARK, value=make())


def _inside(make: Callable[[], object]) -> Callable[[Log], object]:
    return lambda log: log.say(MARK, info={"inner": [make()]})


def _extra(make: Callable[[], object]) -> Standard:
    return lambda logger: logger.info(MARK, extra={"value": make()})


def _argument(make: Callable[[], object]) -> Standard:
    return lambda logger: logger.info("%s: %r", MARK, make())


# --- forged lines ------------------------------------------------------------------------------


def _forgeries() -> Iterator[Case]:
    for text in TEXTS:
        shown = ascii(text)
        for where, call in _places(text):
            yield Case(f"{shown} as {where}", Law.VALID, call)
        for where, told in _standard_places(text):
            yield standard(f"{shown} as {where}", told, law=Law.VALID)


def _places(text: str) -> Iterator[tuple[str, Callable[[Log], object]]]:
    yield "message", lambda log: log.say(f"{text} {MARK} {text}")
    yield "field", lambda log: log.say(MARK, value=text)
    yield "name of a field", lambda log: log.say(MARK, **{text: 1})
    yield "key", lambda log: log.say(MARK, info={text: {text: [text]}})
    yield "error", lambda log: log.fail(MARK, ValueError(text))
    yield "note", lambda log: log.fail(MARK, noted(text))
    name = text.replace("\0", "").replace("\ud83d", "").replace("\ude00", "")  # refused by `type`
    yield "name of a class", lambda log: log.say(MARK, value=type(name, (), {})())


def _standard_places(text: str) -> Iterator[tuple[str, Standard]]:
    yield "argument", lambda logger: logger.info("%s %s", MARK, text)
    yield "name of a logger", lambda logger: logger.getChild(text).info(MARK)
    yield "stack", lambda logger: logger.handle(_record(msg=MARK, stack_info=text))
    yield "level", lambda logger: logger.handle(_record(msg=MARK, levelname=text))
    yield "rendered error", lambda logger: logger.handle(_record(msg=MARK, exc_text=text))


def _record(**attributes: Any) -> logging.LogRecord:
    """Return a record of a warning that went through somebody's hands."""
    return logging.makeLogRecord({"levelno": 30, "levelname": "WARNING", **attributes})


# --- wrong calls -------------------------------------------------------------------------------


def _arguments() -> Iterator[Case]:
    """Yield texts and arguments that do not fit each other, and texts that are none."""
    wrong: dict[str, tuple[str, tuple[Any, ...]]] = {
        "too few": ("%s %s", (1,)),
        "too many": ("%s", (1, 2)),
        "none expected": ("", (1, 2)),
        "of the wrong type": ("%d", ("many",)),
        "a percent sign": ("100%", (1,)),
        "an unknown code": ("%y", (1,)),
        "a missing name": ("%(missing)s", ({"a": 1},)),
        "a name of a tuple": ("%(a)s", (1, 2)),
        "an enormous width": ("%*d", (10**12, 1)),
        "a hostile dict": ("%(a)s", (of.HostileDict(a=1),)),
        "that raise": ("%s", (of.FormatRaises(),)),
        "that exit": ("%s", (of.with_methods(__str__=raiser(SystemExit)),)),
        "that recurse": ("%s", (of.ReprRecursesBothWays(),)),
    }
    for name, (text, args) in wrong.items():
        yield standard(f"arguments {name}", _with_arguments(text, args))
    texts: dict[str, object] = {
        "nothing": None,
        "a number": 5,
        "a dict": {"state": Colour.RED},
        "bytes": b"\xff",
        "an enum": Colour.RED,
        "an error": ValueError("text"),
        "a hostile string": of.HostileStr("text"),
        "an object that raises": of.FormatRaises(),
        "an object that exits": of.with_methods(__str__=raiser(SystemExit)),
        "a cyclic list": made.cyclic_list(),
    }
    for name, odd in texts.items():
        yield standard(f"the text is {name}", _with_text(odd))
    for name in NAMES:
        yield Case(f"a field called {name!a}", Law.HARMLESS, _with_name(name))


def _with_arguments(text: str, args: tuple[Any, ...]) -> Standard:
    return lambda logger: logger.info(f"{MARK} {text}", *args)  # noqa: G004


def _with_text(text: object) -> Standard:
    return lambda logger: logger.info(text, extra={"mark": MARK})


def _with_name(name: str) -> Callable[[Log], object]:
    return lambda log: log.say(MARK, **{name: Colour.RED})


def _extras() -> Iterator[Case]:
    """Yield what ``extra=`` and its neighbours must not be."""
    for name in ATTRIBUTES:
        yield standard(f"extra has {name}", _with_extra({name: "clash"}), "clash")
    keys: list[Any] = [1, None, 1.5, Colour.RED, (1, 2), b"a", "\ud800"]
    for key in (*keys, of.HostileKey(), of.HostileName("a")):
        yield standard(f"extra has a key of {type(key).__name__}", _with_extra({key: 1}))
    extras: dict[str, Any] = {
        "a list": [1, 2],
        "a text": "text",
        "a number": 5,
        "an empty list": [],
        "a hostile dict": of.HostileDict(a=1),
        "a growing dict": of.Growing(a=1),
        "ten thousand fields": {f"f{number}": number for number in range(10_000)},
        "a dict of itself": made.cyclic_dict(),
    }
    for name, extra in extras.items():
        yield standard(f"extra is {name}", _with_extra(extra))
    infos: dict[str, Any] = {
        "a text": "yes",
        "a number": 5,
        "a class": ValueError,
        "nothing being handled": True,
        "three numbers": (1, 2, 3),
        "three nones": (None, None, None),
        "a pair": (ValueError, ValueError("x")),
        "hostile": of.HostileError(),
        "an object that raises": of.BoolRaises(),
    }
    for name, info in infos.items():
        yield standard(f"exc_info is {name}", _with_info(info))
    yield standard("stack_info", lambda log: log.info(MARK, stack_info=True), "hostile_calls.py")
    for level in (0, -5, 10**6):
        yield standard(f"stacklevel is {level}", _with_stacklevel(level))


def _with_extra(extra: Any) -> Standard:
    return lambda logger: logger.info(MARK, extra=extra)


def _with_info(info: Any) -> Standard:
    return lambda logger: logger.error(MARK, exc_info=info)


def _with_stacklevel(level: int) -> Standard:
    return lambda logger: logger.info(MARK, stacklevel=level)


def _records() -> Iterator[Case]:
    """Yield records that somebody made, changed or sent."""
    attributes: dict[str, dict[str, Any]] = {
        "nothing": {},
        "no time": {"created": None},
        "a time that is a text": {"created": "now"},
        "a time beyond all": {"created": 1e300},
        "a time that is no number": {"created": float("nan")},
        "no level": {"levelname": None},
        "a level that is an enum": {"levelname": Colour.RED},
        "a name that is none": {"name": None},
        "a hostile name": {"name": of.HostileStr("x")},
        "a name of a megabyte": {"name": "n" * 1_000_000},
        "arguments of another kind": {"args": 5},
        "arguments that are a text": {"args": "text"},
        "an error that is a text": {"exc_info": "text"},
        "a rendered error": {"exc_text": "Traceback\n  boom"},
        "a stack that is a list": {"stack_info": ["a"]},
        "a message already": {"message": Colour.RED},
        "a process name that raises": {"processName": of.FormatRaises()},
    }
    for name, given in attributes.items():
        yield standard(f"a record with {name}", _handled(given))
    yield standard("a record that was sent", _sent)
    yield standard("a record without attributes", _bare)


def _handled(attributes: dict[str, Any]) -> Standard:
    return lambda logger: logger.handle(_record(msg=MARK, **attributes))


def _sent(logger: logging.Logger) -> None:
    logger.handle(pickle.loads(pickle.dumps(_record(msg=MARK, state=Colour.RED))))  # noqa: S301


def _bare(logger: logging.Logger) -> None:
    record = _record(msg=MARK)
    for name in ("created", "args", "exc_info", "exc_text", "stack_info", "processName", "msecs"):
        delattr(record, name)
    logger.handle(record)


def _surroundings() -> Iterator[Case]:
    """Yield calls from places where logging has broken."""
    yield standard("a warning", _warn)
    yield standard("a level without a name", lambda log: log.log(37, MARK))
    yield standard(
        "an adapter", lambda log: logging.LoggerAdapter(log, {"a": Colour.RED}).info(MARK)
    )
    yield standard("exception() without one", lambda log: log.exception(MARK))  # noqa: LOG004
    yield standard("a filter that adds", _filtered)
    yield standard("a thread with a hostile name", _in_thread)
    yield Case("a task with a hostile name", Law.HARMLESS, _in_task)
    yield Case("a generator that is closed", Law.HARMLESS, _in_generator)
    yield Case("a destructor", Law.HARMLESS, _in_destructor)
    yield Case("a stack that is almost full", Law.HARMLESS, _deep)
    yield Case("a trace function", Law.HARMLESS, _traced)
    yield Case("standard error closed", Law.HARMLESS, _without_stderr)


def _warn(_logger: logging.Logger) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"{MARK}\r\n\ud800", UserWarning, stacklevel=1)


def _filtered(logger: logging.Logger) -> None:
    def add(record: logging.LogRecord) -> bool:
        record.state, record.created = Colour.RED, None  # type: ignore[attr-defined]
        return True

    logger.addFilter(add)
    try:
        logger.info(MARK)
    finally:
        logger.removeFilter(add)


def _in_thread(logger: logging.Logger) -> None:
    thread = threading.Thread(target=lambda: logger.info(MARK), name="\n\ud800\x1b[2J")
    thread.start()
    thread.join()


def _in_task(log: Log) -> None:
    async def say() -> None:
        log.say(MARK, value=Colour.RED)

    async def main() -> None:
        await asyncio.create_task(say(), name="\n\ud800")

    asyncio.run(main())


def _in_generator(log: Log) -> None:
    def generate() -> Iterator[int]:
        try:
            yield 1
        finally:
            log.say(MARK, value=Colour.RED)

    next(generate())


def _in_destructor(log: Log) -> None:
    class Late:
        def __del__(self) -> None:
            log.say(MARK, value=Colour.RED)

    Late()


def _deep(log: Log) -> None:
    """Log where the stack has room for the log call, but not for much more."""
    frames, frame = 0, sys._getframe()
    while frame.f_back is not None:
        frames, frame = frames + 1, frame.f_back

    def descend(left: int) -> None:
        if left:
            descend(left - 1)
        else:
            log.say(MARK, value=Colour.RED)

    descend(sys.getrecursionlimit() - frames - 60)


def _traced(log: Log) -> None:
    sys.settrace(lambda *_: None)
    try:
        log.say(MARK, value=Colour.RED)
    finally:
        sys.settrace(None)


def _without_stderr(log: Log) -> None:
    kept, sys.stderr = sys.stderr, None  # type: ignore[assignment]
    try:
        log.say(MARK, value=Colour.RED)
    finally:
        sys.stderr = kept
