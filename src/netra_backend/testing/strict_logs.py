"""The pytest plug-in: a test in which a log call got a value that JSON has not, fails.

It is registered with pytest by the distribution and off until the ini option ``strict_logs``, the
option ``--strict-logs`` or a marker switches it on; ``-p netra_backend.testing.strict_logs`` does,
too. ``docs/strict-logs.md`` shows how to use it. Importing this module loads pytest only.
"""

import enum
import fnmatch
import functools
import itertools
import os
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from netra_backend.jsonlog import Loss
    from netra_backend.testing.log_watch import LogCall

NAME = "netra_backend.testing.strict_logs"
MARKER = "strict_logs"
MAX_SHOWN = 20
"""Values of one report that are listed."""

HELP = """\
How to mend it: log what JSON has: `.name` of an enum member, `.isoformat()` of a time, `str()` of a
UUID, path or Decimal, `netra_backend.jsonlog.jsonable(value)` of anything. If every record of the
program is written by netra_backend.jsonlog, which has a form for these, set strict_logs = jsonlog.
To allow it: @pytest.mark.strict_logs("off") on the test, or a line "LOGGER [PATH]" under
strict_logs_allow in the ini file."""


class Mode(enum.StrEnum):
    """Which values may be logged. In each, a test can be marked with another one."""

    OFF = "off"
    """All."""
    JSON = "json"
    """Those that plain ``json.dumps`` writes and strict JSON allows: safe in any log."""
    JSONLOG = "jsonlog"
    """Those that `netra_backend.jsonlog` writes without loss: also enums, times, UUIDs, models."""


_WORDS = {"true": Mode.JSON, "on": Mode.JSON, "1": Mode.JSON, "yes": Mode.JSON}
_WORDS |= {"false": Mode.OFF, "0": Mode.OFF, "no": Mode.OFF} | {one.value: one for one in Mode}


_LIBRARY = Path(os.__file__).parent
_INSTALLED = frozenset(("site-packages", "dist-packages"))


class Finding(NamedTuple):
    """A value that may not be logged, where it was."""

    site: str
    log: str
    """``app.chat INFO``."""
    what: str
    """``extra.connection.state: WebSocketState.CONNECTED``."""
    reason: str

    def is_of(self, other: "Finding") -> bool:
        return (self.site, self.log) == (other.site, other.log)


# --- switching it on ---------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    modes = ", ".join(Mode)
    about = f"fail tests that log values which JSON has not: {modes} (true is json; default off)"
    parser.addini("strict_logs", about, type="string", default="")
    allow = 'what may be logged all the same, each line "LOGGER [PATH]" with * and ?'
    parser.addini("strict_logs_allow", allow, type="linelist", default=[])
    group = parser.getgroup("strict logs")
    group.addoption("--strict-logs", metavar="MODE", default=None, help=f"strict_logs: {modes}")


def pytest_configure(config: pytest.Config) -> None:
    about = "which values the test may log: off, json or jsonlog; allow= as strict_logs_allow"
    config.addinivalue_line("markers", f"{MARKER}(mode, allow=()): {about}")
    mode = _configured(config)
    if mode is not Mode.OFF:
        _switch_on(config, mode)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Switch it on for marked tests where it is off for the others."""
    if not session.config.pluginmanager.has_plugin(_Strict.name) and any(
        _marked(item, Mode.OFF) is not Mode.OFF for item in session.items
    ):
        _switch_on(session.config, Mode.OFF)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker of pytest-xdist found outside its tests."""
    plugin = node.config.pluginmanager.get_plugin(_Strict.name)
    found = getattr(node, "workeroutput", {}).get(NAME, [])
    if plugin is not None:
        plugin.outside.extend(Finding(*one) for one in found)


def _switch_on(config: pytest.Config, mode: Mode) -> None:
    plugin = _Strict(config, mode)
    config.pluginmanager.register(plugin, _Strict.name)
    config.add_cleanup(plugin.close)


def _configured(config: pytest.Config) -> Mode:
    given = config.getoption("--strict-logs")
    if given is not None:
        return _mode(given, "--strict-logs")
    if config.getini("strict_logs"):
        return _mode(config.getini("strict_logs"), "the ini option strict_logs")
    return Mode.JSON if NAME in (config.getoption("plugins") or ()) else Mode.OFF


def _mode(word: object, where: str) -> Mode:
    mode = _WORDS.get(str(word).strip().lower())
    if mode is None:
        allowed = ", ".join(Mode)
        raise pytest.UsageError(f"{where} is {word!r}; it can be {allowed} (or true and false)")
    return mode


def _marked(item: pytest.Item, otherwise: Mode) -> Mode:
    """Return the mode of a test: that of its closest marker which gives one."""
    for marker in item.iter_markers(MARKER):
        if marker.args:
            return _mode(marker.args[0], f"the marker {MARKER} of {item.nodeid}")
    return otherwise


def _allowed(item: pytest.Item) -> list[str]:
    """Return what the markers of a test allow, besides the ini file."""
    lines: list[str] = []
    for marker in item.iter_markers(MARKER):
        allow = marker.kwargs.get("allow", ())
        lines += [allow] if isinstance(allow, str) else allow
    return lines


# --- watching ----------------------------------------------------------------------------------


class _Strict:
    """The plug-in where it is on: collects what is found, and fails the phase of a test with it."""

    name = f"{NAME}.on"

    def __init__(self, config: pytest.Config, mode: Mode) -> None:
        # Not at the head of this file: every run of pytest imports that, also where this is off.
        from netra_backend.jsonlog import RECORD_LIMITS, losses  # noqa: PLC0415
        from netra_backend.jsonlog.shapes import redact_text  # noqa: PLC0415
        from netra_backend.testing.log_watch import watched  # noqa: PLC0415

        self.outside: list[Finding] = []
        self._losses = functools.partial(losses, limits=RECORD_LIMITS)
        self._redact = redact_text
        self._root, self._invoked = config.rootpath, config.invocation_params.dir
        self._default = self._mode = mode
        self._everywhere = self._allow = list(config.getini("strict_logs_allow"))
        self._found: list[Finding] = []
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._stack.enter_context(watched(self._see))

    def close(self) -> None:
        """Let the loggers be as they were."""
        self._stack.close()

    def _see(self, call: "LogCall") -> None:
        """Note what may not be logged; in any thread."""
        if self._mode is Mode.OFF:
            return
        for path, value in call.given:
            if path.startswith("args") and _is_installed(call.site.file):
                continue
            found = [one for one in self._losses(value, path) if self._is_refused(call, one)]
            for _, losses in itertools.groupby(found, lambda one: (one.path, one.value)):
                self._note(call, list(losses))

    def _is_refused(self, call: "LogCall", loss: "Loss") -> bool:
        if self._mode is Mode.JSONLOG and not loss.lossy:
            return False
        return not any(_matches(line, call.logger, loss.path) for line in self._allow)

    def _note(self, call: "LogCall", losses: list["Loss"]) -> None:
        """Note what is wrong with one place of a value."""
        import logging  # noqa: PLC0415 - so as to cost nothing where this is off

        site = f"{self._short(call.site.file)}:{call.site.line} in {call.site.function}"
        log = f"{call.logger} {logging.getLevelName(call.level)}"
        what = self._redact(f"{losses[0].path}: {losses[0].value}")
        reason = "; ".join(one.reason for one in losses)
        with self._lock:
            self._found.append(Finding(site, log, what, reason))

    def _short(self, file: str) -> str:
        for base in (self._invoked, self._root):
            if Path(file).is_relative_to(base):
                return str(Path(file).relative_to(base))
        return file

    def _take(self) -> list[Finding]:
        with self._lock:
            found, self._found = self._found, []
        return found

    # --- the phases of a test --------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self.outside += self._take()
        self._mode = _marked(item, self._default)
        self._allow = [*self._everywhere, *_allowed(item)]
        try:
            return (yield)
        finally:
            self._mode, self._allow = self._default, self._everywhere

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        return (yield from self._judge(item, "setup"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        return (yield from self._judge(item, "call"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        return (yield from self._judge(item, "teardown"))

    def _judge(self, item: pytest.Item, phase: str) -> Generator[None, object, object]:
        """Fail what would pass; beside another failure, tell what was found."""
        try:
            result = yield
        except BaseException:
            found = self._take()
            if found:
                item.add_report_section(phase, "strict logs", report(found))
            raise
        found = self._take()
        if found:
            pytest.fail(report(found), pytrace=False)
        return result

    # --- what was logged outside of tests --------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.outside += self._take()
        output = getattr(session.config, "workeroutput", None)
        if output is not None:  # pytest-xdist takes it to `pytest_testnodedown`
            output[NAME] = [tuple(one) for one in self.outside]
        elif self.outside and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: "pytest.TerminalReporter") -> None:
        if self.outside:
            terminalreporter.section("strict logs, outside of tests", red=True)
            terminalreporter.write_line(report(self.outside))


def report(found: Sequence[Finding]) -> str:
    """Return what was found, once each, under the call sites; and how to mend it."""
    return "\n".join([*_rows(found), "", HELP])


def _rows(found: Sequence[Finding]) -> Iterator[str]:
    different = list(dict.fromkeys(found))
    more = f", and {len(different) - 1} more" if len(different) > 1 else ""
    yield f"{different[0].what}{more} (strict logs)"
    before: Finding | None = None
    for one in different[:MAX_SHOWN]:
        if before is None or not one.is_of(before):
            yield f"  {one.site}, logger {one.log}"
        times = found.count(one)
        yield f"    {one.what} ({one.reason})" + (f", {times} times" if times > 1 else "")
        before = one
    if len(different) > MAX_SHOWN:
        yield f"  and {len(different) - MAX_SHOWN} more"


def _matches(line: str, logger: str, path: str) -> bool:
    """Return whether a line of ``strict_logs_allow`` is about the path, or about what it is in."""
    names, _, paths = line.partition(" ")
    pattern = paths.strip() or "*"
    patterns = (pattern, f"{pattern}.*", f"{pattern}[[]*")
    return fnmatch.fnmatchcase(logger, names) and any(
        fnmatch.fnmatchcase(path, one) for one in patterns
    )


@functools.cache
def _is_installed(file: str) -> bool:
    """Return whether it is a file of a library: the dicts it puts into texts are its own affair."""
    path = Path(file)
    return path.is_relative_to(_LIBRARY) or not _INSTALLED.isdisjoint(path.parts)
