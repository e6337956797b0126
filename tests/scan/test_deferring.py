"""Functions that others are told to call: some time, and so perhaps."""

import pytest

from netra_backend.scan.engine import link, summarise
from netra_backend.scan.finding import Severity
from netra_backend.scan.options import Options

HEAD = (
    "import enum, functools, json, threading\nfrom multiprocessing import Process\n"
    "class State(enum.Enum):\n    A = 1\n"
    "def tell(name, state='new'):\n    return json.dumps({'name': name, 'state': state})\n"
)


def severities(call: str) -> list[Severity]:
    return [it.severity for it in link([summarise("a.py", "a", HEAD + call)], Options())]


@pytest.mark.parametrize(
    "call",
    [
        "threading.Thread(target=tell, args=('a', State.A)).start()",
        "threading.Thread(None, tell, args=('a', State.A)).start()",
        "threading.Thread(target=tell, args=('a',), kwargs={'state': State.A}).start()",
        "threading.Timer(1, tell, args=[State.A]).start()",
        "Process(target=tell, args=(State.A,)).start()",
        "list(map(tell, ['a'], [State.A]))",
        "list(map(tell, State))",
        "tell_opened = functools.partial(tell, state=State.A)",
        "tell_opened = functools.partial(tell, State.A)",
    ],
)
def test_what_is_called_later_may_raise(call: str) -> None:
    assert severities(call) == [Severity.WARNING]


@pytest.mark.parametrize(
    "call",
    [
        "threading.Thread(target=tell, args=('a', State.A.name)).start()",
        "threading.Thread(target=print, args=(State.A,)).start()",
        "threading.Thread(target=tell, args=unknown).start()",
        "threading.Thread()",
        "list(map(tell, [State.A.name]))",
        "map(tell)",
        "functools.partial(tell, 'a')",
        "opened = functools.partial(tell, 'a')\nopened('b')",
    ],
)
def test_calls_of_which_there_is_nothing_to_say(call: str) -> None:
    assert severities(call) == []


def test_what_a_partial_has_already_comes_first_and_may_be_given_anew() -> None:
    opened = "opened = functools.partial(tell, 'a')\nopened(State.A)\n"
    assert severities(opened) == [Severity.ERROR]
    named = "opened = functools.partial(tell, state='x')\nopened('a', state=State.A)\n"
    assert severities(named) == [Severity.ERROR]
