"""Arguments by parameters: what a function hands on as it came is what its own callers pass."""

import pytest

from netra_backend.scan.engine import link, summarise
from netra_backend.scan.finding import Severity
from netra_backend.scan.options import Options

HEAD = (
    "import enum, json\nclass State(enum.Enum):\n    A = 1\n"
    "def tell(name, state='new', *, more=None):\n    return json.dumps([name, state, more])\n"
    "def all(*args, **kwargs):\n    return tell(*args, **kwargs)\n"
    "def some(*args):\n    return tell(*args)\n"
    "def first(*args):\n    return tell('a', *args)\n"
    "def twice(*args):\n    return all(*args)\n"
)


def severities(call: str) -> list[Severity]:
    return [it.severity for it in link([summarise("a.py", "a", HEAD + call)], Options())]


@pytest.mark.parametrize(
    "call",
    [
        "all('a', State.A)",
        "all(State.A)",
        "all('a', state=State.A)",
        "all('a', 'b', more=State.A)",
        "some('a', State.A)",
        "first(State.A)",
        "twice('a', State.A)",
        "some(*['a', State.A])",
    ],
)
def test_what_is_handed_on_raises(call: str) -> None:
    assert severities(call) == [Severity.ERROR]


@pytest.mark.parametrize(
    "call", ["all('a')", "some('a', 'b')", "all(State.A.name, 'b')", "first()", "some(*unknown)"]
)
def test_what_is_handed_on_is_known_one_by_one(call: str) -> None:
    assert severities(call) == []
