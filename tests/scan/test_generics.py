"""Generic classes and functions: by ``Generic``, and with type variables in brackets."""

import sys

import pytest

from netra_backend.scan.engine import link, summarise
from netra_backend.scan.options import Options

HEAD = """import enum, json
from typing import Generic, TypeVar
class State(enum.Enum):
    A = 1
"""
IN_BRACKETS = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="Python 3.11 cannot read PEP 695's brackets"
)


def found(source: str) -> list[str]:
    """Return the lines that findings stand at."""
    made = summarise("a.py", "a", f"{HEAD}{source}")
    assert not made.skipped
    lines = f"{HEAD}{source}".splitlines()
    return [lines[finding.line - 1].strip() for finding in link([made], Options())]


PAIR = """def use(pair: Pair[State, int]):
    json.dumps(pair.first)
    json.dumps(pair.held)
    json.dumps(pair.other())
"""


def test_variables_come_in_the_order_of_generic() -> None:
    old = """T = TypeVar("T")
U = TypeVar("U")
class Box(Generic[T]):
    held: T
class Pair(Box[U], Generic[T, U]):
    first: T
    def other(self) -> U: ...
"""
    assert found(old + PAIR) == ["json.dumps(pair.first)"]


@IN_BRACKETS
def test_a_class_with_its_variables_in_brackets_is_generic() -> None:
    new = """class Box[T]:
    held: T
class Pair[T, U](Box[U]):
    first: T
    def other(self) -> U: ...
"""
    assert found(new + PAIR) == ["json.dumps(pair.first)"]
    assert found(new + "def use(box: Box[State]):\n    json.dumps(box.held)\n") == [
        "json.dumps(box.held)"
    ]


@IN_BRACKETS
def test_a_variable_in_brackets_hides_a_class_of_its_name() -> None:
    assert found("def f[State](x: State):\n    json.dumps(x)\n") == []
    assert found("class Box[State]:\n    def f(self, x: State):\n        json.dumps(x)\n") == []
    assert found("def f(x: State):\n    json.dumps(x)\n") == ["json.dumps(x)"]


@IN_BRACKETS
def test_a_function_with_a_variable_gives_what_it_is_given() -> None:
    first = "def first[T](given: T) -> T:\n    return given\n"
    assert found(first + "json.dumps(first(State.A))\n") == ["json.dumps(first(State.A))"]
    assert found(first + "json.dumps(first('a'))\n") == []
