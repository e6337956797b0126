"""A test that logs what JSON has not fails, in real runs of pytest; any other test passes."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from netra_backend.testing import strict_logs
from netra_backend.testing.strict_logs import MAX_SHOWN, Finding, report

HEAD = """
import asyncio, datetime, enum, logging, threading
import pytest
from netra_backend import jsonlog

class State(enum.Enum):
    UP = 1

app = logging.getLogger("app")
ours = jsonlog.get_logger("ours")
"""
REFUSED = "State.UP (json.dumps refuses *State)"


def run(
    pytester: pytest.Pytester, tests: str, *options: str, ini: str = "strict_logs = json"
) -> pytest.RunResult:
    """Run the tests in a pytest of their own."""
    pytester.makeini(f"[pytest]\n{ini}\n")
    pytester.makepyfile(HEAD + tests)
    return pytester.runpytest_inprocess(*options)


WAYS = """
def test_extra(): app.info("x", extra={"connection": {"state": State.UP}})
def test_key(): app.info("x", extra={"count": {State.UP: 1}})
def test_below_the_level(): app.debug("x", extra={"state": State.UP})
def test_disabled():
    logging.disable()
    try: app.critical("x", extra={"state": State.UP})
    finally: logging.disable(logging.NOTSET)
def test_own_level():
    logging.getLogger("app.quiet").setLevel("CRITICAL")
    logging.getLogger("app.quiet").error("x", extra={"state": State.UP})
def test_field(): ours.warning("x", state=[State.UP])
def test_field_below_the_level(): ours.debug("x", state=State.UP)
def test_exception():
    try: 1 / 0
    except ZeroDivisionError: ours.exception("x", state=State.UP)
def test_bound():
    with jsonlog.bind(user={"state": State.UP}): app.info("x")
def test_argument(): app.info("%s %s", 1, {"state": State.UP})
def test_only_argument(): app.info("%(state)s", {"state": State.UP})
def test_message(): app.info({"state": State.UP})
def test_adapter(): logging.LoggerAdapter(app, {"state": State.UP}).debug("x")
def test_record(): app.handle(logging.makeLogRecord({"state": State.UP, "levelno": 20}))
def test_thread():
    thread = threading.Thread(target=ours.info, args=("x",), kwargs={"state": State.UP})
    thread.start()
    thread.join()
def test_task():
    async def say(): ours.info("x", state=State.UP)
    async def main(): await asyncio.create_task(say())
    asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the inner pytest wide lines, and of all plug-ins only ours: that takes a third."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "netra_backend.testing.strict_logs")


def test_every_way_into_a_log_is_seen(pytester: pytest.Pytester) -> None:
    result = run(pytester, WAYS, "-rA")
    result.assert_outcomes(failed=WAYS.count("def test_"))
    for place in (  # each is a pattern of fnmatch
        "extra.connection.state",
        "extra.count.UP",
        "fields.state[[]0]",
        "fields.state",
        "bound.user.state",
        "args[[]1].state",
        "args[[]0].state",
        "message.state",
    ):
        result.stdout.fnmatch_lines([f"    {place}: *State.UP (json.dumps refuses *State*)"])
    result.stdout.fnmatch_lines(
        [
            "FAILED *::test_extra - Failed: extra.connection.state: State.UP (strict logs)",
            "FAILED *::test_below_the_level - Failed: extra.state: State.UP (strict logs)",
        ]
    )


def test_the_message_names_the_call_site_and_how_to_mend_it(pytester: pytest.Pytester) -> None:
    tests = """
def accept(state):
    app.debug("accepted", extra={"connection": {"state": state}})

def test_it():
    for _ in range(3):
        accept(State.UP)
"""
    line = (HEAD + tests).splitlines().index(tests.splitlines()[2]) + 1
    result = run(pytester, tests)
    result.stdout.fnmatch_lines(
        [
            f"  test_*.py:{line - 1} in accept, logger app DEBUG",
            f"    extra.connection.state: {REFUSED}, 3 times",
            "*`.name` of an enum member*",
            "*strict_logs = jsonlog*",
            '*@pytest.mark.strict_logs("off")*',
            "*strict_logs_allow*",
        ]
    )


HARMLESS = """
class Code(enum.IntEnum):
    OK = 200

def test_plain(): app.info("x", extra={"a": [1, None, {"b": "c"}, (1.5, True)], "code": Code.OK})
def test_text(): app.info(f"{State.UP} %s %r", State.UP, [State.UP])
def test_name(): ours.info("x", state=State.UP.name, at=datetime.datetime.now().isoformat())
def test_mended(): ours.info("x", **jsonlog.jsonable({"state": State.UP}))
def test_error():
    try: 1 / 0
    except ZeroDivisionError: ours.exception("x", a=1)
def test_not_logged(): {"state": State.UP}
def test_own_question():
    own = logging.getLogger("own")  # the level stays, in the process of the other tests too
    own.setLevel("INFO")
    assert not own.isEnabledFor(logging.DEBUG)
    assert not logging.LoggerAdapter(own).isEnabledFor(logging.DEBUG)
def test_what_is_logged_stays(caplog):
    caplog.set_level("INFO")
    app.debug("below"); ours.debug("below")
    app.info("one %d", 1); ours.info("two", a=2)
    logging.LoggerAdapter(app, {}).warning("three")
    assert caplog.messages == ["one 1", "two", "three"]
    assert {r.funcName for r in caplog.records} == {"test_what_is_logged_stays"}
    assert {r.pathname for r in caplog.records} == {__file__}
"""


def test_what_json_has_is_let_through_and_nothing_changes(pytester: pytest.Pytester) -> None:
    result = run(pytester, HARMLESS)
    result.assert_outcomes(passed=HARMLESS.count("def test_"))


def test_fixtures_fail_the_phase_they_log_in(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.fixture
def early(): app.info("x", extra={"state": State.UP})
@pytest.fixture
def late():
    yield
    app.info("x", extra={"state": State.UP})
def test_early(early): ...
def test_late(late): ...
def test_after(): ...
"""
    result = run(pytester, tests)
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(
        ["*ERROR at setup of test_early*", "*ERROR at teardown of test_late*"]
    )


def test_a_failure_stays_and_is_told_more_about(pytester: pytest.Pytester) -> None:
    tests = """
def test_it():
    app.info("x", extra={"state": State.UP})
    assert 1 == 2
"""
    result = run(pytester, tests)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E*assert 1 == 2", "*Captured strict logs call*", f"    extra.state: {REFUSED}"]
    )


MODES = """
def test_state(): ours.info("x", state=State.UP)
def test_object(): ours.info("x", what=object())
def test_nan(): ours.info("x", number=float("nan"))
@pytest.mark.strict_logs("off")
def test_off(): ours.info("x", state=State.UP, what=object())
@pytest.mark.strict_logs("jsonlog")
def test_jsonlog(): ours.info("x", state=State.UP)
@pytest.mark.strict_logs("json")
def test_json(): ours.info("x", state=State.UP)
@pytest.mark.strict_logs(allow=["ours fields.st?te", "other *"])
def test_allowed(): ours.info("x", state={"deep": [State.UP]})
@pytest.mark.strict_logs(allow="ours fields.other")
def test_not_allowed(): ours.info("x", state=State.UP)
"""


@pytest.mark.parametrize(
    ("ini", "options", "failed"),
    [
        ("strict_logs = true", (), "state object nan json not_allowed"),
        ("strict_logs = jsonlog", (), "object json"),
        ("strict_logs = off", (), "json"),
        ("", (), "json"),
        ("", ("-p", "netra_backend.testing.strict_logs"), "state object nan json not_allowed"),
        ("", ("--strict-logs=jsonlog",), "object json"),
        ("strict_logs = json", ("--strict-logs=off",), "json"),
        ("strict_logs = json\nstrict_logs_allow =\n  no *\n  ou* fields", (), ""),
    ],
)
def test_what_is_allowed(
    pytester: pytest.Pytester, ini: str, options: tuple[str, ...], failed: str
) -> None:
    result = run(pytester, MODES, "-rf", *options, ini=ini)
    wanted = failed.split()
    result.assert_outcomes(failed=len(wanted), passed=MODES.count("def test_") - len(wanted))
    for name in wanted:
        result.stdout.fnmatch_lines([f"FAILED *::test_{name} - *"])


@pytest.mark.parametrize(
    ("ini", "options", "tests", "told"),
    [
        ("strict_logs = wild", (), "", "*ini option strict_logs is 'wild'; it can be off, json,*"),
        ("", ("--strict-logs=1.5",), "", "*--strict-logs is '1.5'; it can be off, json, jsonlog*"),
        (
            "",
            (),
            "@pytest.mark.strict_logs('x')\ndef test_it(): ...",
            "*marker strict_logs of *'x'*",
        ),
    ],
)
def test_a_wrong_mode_names_the_allowed_ones(
    pytester: pytest.Pytester, ini: str, options: tuple[str, ...], tests: str, told: str
) -> None:
    result = run(pytester, tests, *options, ini=ini)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])


OUTSIDE = """
app.info("while it is imported", extra={"state": State.UP})
def test_it(): ...
"""


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")])
def test_what_is_logged_outside_of_tests_fails_the_run(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    result = run(pytester, OUTSIDE, *workers)
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*strict logs, outside of tests*", f"*extra.state: {REFUSED}*"])


def test_workers_fail_their_own_tests(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.mark.parametrize("number", range(20))
def test_it(number):
    ours.info("x", state=State.UP if number % 2 else "up")
"""
    result = run(pytester, tests, "-p", "xdist", "-n", "2")
    result.assert_outcomes(failed=10, passed=10)


def test_hostile_values_fail_the_test_and_not_the_run(pytester: pytest.Pytester) -> None:
    tests = """
class Hostile:
    def __getattribute__(self, name): raise SystemExit(name)
    def __repr__(self): raise KeyboardInterrupt
class Logs:
    def __repr__(self):
        app.error("again", extra={"me": self})
        return "Logs"
cycle = []
cycle.append(cycle)
def test_hostile(): app.debug("x", extra={"it": Hostile()})
def test_logs(): app.debug("x", extra={"it": Logs()})
def test_cycle(): app.debug("x", extra={"it": cycle})
def test_secret(): app.debug("x", extra={"it": b"Bearer s3cr3t"})
def test_after(): ...
"""
    result = run(pytester, tests)
    result.assert_outcomes(failed=4, passed=1)
    assert "s3cr3t" not in result.stdout.str().replace('b"Bearer s3cr3t"', "")


def test_dicts_that_a_library_puts_into_texts_are_its_own(pytester: pytest.Pytester) -> None:
    library = pytester.mkdir("site-packages") / "library.py"
    library.write_text(
        "import logging\n"
        "def argument(value): logging.getLogger('library').debug('%s', {'value': value})\n"
        "def extra(value): logging.getLogger('library').debug('x', extra={'value': value})\n"
    )
    tests = """
import library
def test_argument(): library.argument(State.UP)
def test_extra(): library.extra(State.UP)
"""
    ini = "strict_logs = json\npythonpath = site-packages"
    result = run(pytester, tests, ini=ini)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*site-packages/library.py:3 in extra, logger library DEBUG"])


def test_it_is_cheap_where_it_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest imports the plug-in in every run of every project that has the distribution."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.delenv("PYTEST_PLUGINS")
    (tmp_path / "test_it.py").write_text(
        "import logging, sys\n"
        "method = logging.Logger._log\n"
        "def test_it():\n"
        "    assert method.__code__.co_filename == logging.__file__\n"
        "    print('LOADED', *[m for m in sys.modules if m.startswith('netra_backend')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:langsmith_plugin", "-s", "-q"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = next(x for x in done.stdout.splitlines() if "LOADED" in x).partition("LOADED")[2]
    names = ("netra_backend", "netra_backend.testing", "netra_backend.testing.strict_logs")
    assert sorted(loaded.split()) == sorted(names)


def test_it_loads_in_a_pytest_that_does_not_export_its_reporter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pytest 8 does not; whoever has the distribution could start no test there."""
    monkeypatch.delattr(pytest, "TerminalReporter", raising=False)
    assert "pytest_configure" in runpy.run_path(strict_logs.__file__)


def test_a_long_report_is_cut() -> None:
    found = [Finding("a.py:1 in f", "app INFO", f"extra.f{n}: x", "why") for n in range(30)]
    rows = report(found).splitlines()
    assert rows[0] == "extra.f0: x, and 29 more (strict logs)"
    assert f"  and {30 - MAX_SHOWN} more" in rows
