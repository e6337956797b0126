"""Logging libraries, each set up for JSON as its manual says, and called as its manual shows.

Each takes a file to append to, or none for a stream in memory. A library that is not installed is
left out, and the questions say so: ``pip install 'netra-backend[bench]'`` brings them all.
"""

import io
import json
import logging
import logging.handlers
import queue
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from netra_backend import jsonlog

NAME = "bench"
Call = Callable[..., object]


class Logger(Protocol):
    """A library, ready to log. The hostile corpus calls it by `say`, `fail` and `standard`."""

    standard: logging.Logger | None
    """A standard logger whose records take the same path; None where none does."""

    def say(self, text: str, /, **fields: object) -> None: ...

    def fail(self, text: str, error: BaseException, /) -> None: ...

    def flush(self) -> None:
        """Wait until all is written."""

    def take(self) -> int:
        """Return how many lines there are since the last time, and forget them."""


class _Base:
    """Where a library writes: `text` or, for those that write bytes, `binary`."""

    standard: logging.Logger | None = None

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._stream: io.IOBase | None = None
        self.open()

    def open(self) -> None:
        """Set the library up."""

    def text(self) -> io.TextIOBase:
        stream = io.StringIO() if self.path is None else self.path.open("a", encoding="utf-8")
        self._stream = stream
        return stream

    def binary(self) -> io.IOBase:
        self._stream = io.BytesIO() if self.path is None else self.path.open("ab")
        return self._stream

    def flush(self) -> None:
        assert self._stream is not None
        self._stream.flush()

    def take(self) -> int:
        self.flush()
        if self.path is not None:
            lines = self.path.read_bytes().count(b"\n")
            with self.path.open("r+") as file:
                file.truncate(0)
            return lines
        assert isinstance(self._stream, io.StringIO | io.BytesIO)
        held = self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        return held.count("\n") if isinstance(held, str) else held.count(b"\n")


class Netra(_Base):
    """Ours."""

    def open(self) -> None:
        jsonlog.configure("INFO", "json", self.binary())
        self.standard = logging.getLogger(NAME)
        self.log = jsonlog.get_logger(NAME)
        self.info: Call = self.log.info

    def say(self, text: str, /, **fields: object) -> None:
        self.log.info(text, **fields)

    def fail(self, text: str, error: BaseException, /) -> None:
        self.log.error(text, exc_info=error)

    def flush(self) -> None:
        jsonlog.flush(60)


class _Structlog(_Base):
    """structlog as its page on performance says, once with its own renderer, once with orjson."""

    def _open(self, factory: Any, renderer: Any) -> None:
        import structlog

        self.log = structlog.wrap_logger(
            factory(),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                renderer,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=True,
        ).bind(logger=NAME)
        self.info: Call = self.log.info

    def say(self, text: str, /, **fields: object) -> None:
        self.log.info(text, **fields)

    def fail(self, text: str, error: BaseException, /) -> None:
        self.log.error(text, exc_info=error)


class Structlog(_Structlog):
    def open(self) -> None:
        import structlog

        factory = structlog.WriteLoggerFactory(file=self.text())  # type: ignore[arg-type]
        self._open(factory, structlog.processors.JSONRenderer())


class StructlogOrjson(_Structlog):
    def open(self) -> None:
        import orjson
        import structlog

        factory = structlog.BytesLoggerFactory(file=self.binary())  # type: ignore[arg-type]
        self._open(factory, structlog.processors.JSONRenderer(serializer=orjson.dumps))


class StructlogOrjsonUnbuffered(StructlogOrjson):
    """The same, to a file without a buffer: no manual says so, but it is a tenth faster."""

    def binary(self) -> io.IOBase:
        if self.path is None:
            return super().binary()
        self._stream = self.path.open("ab", buffering=0)
        return self._stream


class _Standard(_Base):
    """The standard library with a formatter that somebody made."""

    def _open(self, formatter: logging.Formatter, sink: logging.Handler | None = None) -> None:
        logger = logging.getLogger(f"{NAME}.{type(self).__name__}")
        logging.raiseExceptions = False  # else each record it loses is 20 lines on standard error
        sink = sink or logging.StreamHandler(self.text())
        sink.setFormatter(formatter)
        logger.handlers[:] = [sink]
        logger.propagate = False
        logger.setLevel(logging.INFO)
        self.standard = logger

    def info(self, text: str, /, **fields: object) -> None:
        assert self.standard is not None
        self.standard.info(text, extra=fields)

    say = info

    def fail(self, text: str, error: BaseException, /) -> None:
        assert self.standard is not None
        self.standard.error(text, exc_info=error)


FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


class PythonJsonLogger(_Standard):
    def open(self) -> None:
        from pythonjsonlogger.json import JsonFormatter

        self._open(JsonFormatter(FIELDS))


class PythonJsonLoggerOrjson(_Standard):
    def open(self) -> None:
        from pythonjsonlogger.orjson import OrjsonFormatter

        self._open(OrjsonFormatter(FIELDS))


_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Handwritten(logging.Formatter):
    """The formatter that most services have somewhere."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class StandardJson(_Standard):
    def open(self) -> None:
        self._open(_Handwritten())


class DumpsInTheCall(_Standard):
    """What took the service down: the caller writes the JSON himself."""

    def open(self) -> None:
        self._open(_Handwritten())

    def info(self, text: str, /, **fields: object) -> None:
        assert self.standard is not None
        self.standard.info(f"{text} {json.dumps(fields)}")

    say = info


class _UnboundedQueue(logging.handlers.QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


class QueueOfTheStandardLibrary(_Standard):
    """The remedy that the cookbook of `logging` has for loops: a queue and a thread."""

    def open(self) -> None:
        lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        writer = logging.StreamHandler(self.text())
        writer.setFormatter(_Handwritten())
        self._listener = logging.handlers.QueueListener(lines, writer)  # type: ignore[arg-type]
        self._listener.start()
        self._open(logging.Formatter(), _UnboundedQueue(lines))  # type: ignore[arg-type]


class Loguru(_Base):
    ENQUEUE = False

    def open(self) -> None:
        import loguru

        loguru.logger.remove()
        loguru.logger.add(
            self.text(),  # type: ignore[arg-type]
            serialize=True,
            format="{message}",
            level="INFO",
            enqueue=self.ENQUEUE,
        )
        self.log = loguru.logger
        self.info: Call = self.log.info

    def say(self, text: str, /, **fields: object) -> None:
        self.log.bind(**fields).info(text)

    def fail(self, text: str, error: BaseException, /) -> None:
        self.log.opt(exception=error).error(text)

    def flush(self) -> None:
        self.log.complete()
        super().flush()


class LoguruEnqueue(Loguru):
    ENQUEUE = True


OURS = "netra jsonlog"
BASE = "structlog + orjson"

LOGGERS: Mapping[str, type[Any]] = {
    OURS: Netra,
    BASE: StructlogOrjson,
    "structlog": Structlog,
    "python-json-logger": PythonJsonLogger,
    "python-json-logger + orjson": PythonJsonLoggerOrjson,
    "loguru": Loguru,
    "stdlib + json.dumps": StandardJson,
}
"""Those that are compared, in the order of the tables."""


def installed(names: Mapping[str, type[Any]] = LOGGERS) -> Iterator[tuple[str, type[Any]]]:
    """Yield the libraries that are there, and tell on standard output which are not."""
    for name, cls in names.items():
        try:
            cls(None)
        except ImportError as error:
            print(f"bench: without {name}: {error}", file=sys.stdout)
        else:
            yield name, cls
