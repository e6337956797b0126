"""The engine's promises: it is pure, never raises, obeys its options and needs little."""

import subprocess
import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.scan.engine import LARGEST, Summary, link, summarise
from netra_backend.scan.finding import Severity
from netra_backend.scan.options import LogEncoder, Options
from netra_backend.scan.options import Sink as OwnSink

BAD = """\
import enum, json

class Color(enum.Enum):
    RED = 1

json.dumps({"color": Color.RED})
"""


def codes(source: str, options: Options | None = None) -> list[str]:
    summary = summarise("a.py", "a", source)
    assert summary.skipped is None, summary.skipped
    return [finding.rule for finding in link([summary], options or Options())]


@pytest.mark.parametrize(
    "source",
    [
        "def f(:\n",
        "x = 1\0",
        "'\ud800'\n",
        "(" * 2000 + ")" * 2000,
        "-" * 100_000 + "1",
        "x" + ".a" * 50_000,
        "x = " + " + ".join(["a"] * 50_000),
        "f" + "()" * 3000,
        "if 1:\n" + "".join(" " * depth + "if 1:\n" for depth in range(1, 200)),
        " x = 1\n",
        "# coding: nonsense\n",
        "x = 1" + "0" * 10_000,
        "é = '\udcff'",
        "return 1\nbreak\nyield\n",
        "from . import *\nfrom ..... import x\n",
        "class A(A): pass\nclass B(C): pass\nclass C(B): pass\nimport json\njson.dumps(B())\n",
        "x = y\ny = x\nimport json\njson.dumps(x)\n",
        "def f(): return f()\nimport json\njson.dumps(f())\n",
        "def f(a): return [f([a]), f(a)]\nimport json\njson.dumps(f(1))\n",
        "import json\nd = {}\nd['d'] = d\njson.dumps(d)\n",
        "*a, b = c\n(d.e, f[0]) = g\ndel (h, i)\n",
        "x" * (LARGEST + 1),
    ],
)
def test_any_text_gives_a_summary(source: str) -> None:
    summary = summarise("a.py", "a", source)
    if summary.skipped is not None:
        assert "\n" not in summary.skipped
    else:
        link([summary], Options())


@settings(deadline=None)
@given(st.text(alphabet=st.characters(), max_size=200))
def test_random_text_gives_a_summary(source: str) -> None:
    summarise("a.py", "a", source)


def test_newer_syntax_says_what_and_where() -> None:
    summary = summarise("a.py", "a", "x = 1\nmatch = = 2\n")
    assert summary.skipped is not None
    assert summary.skipped.startswith("is not Python 3.")
    assert summary.skipped.endswith("(line 2)")


def test_a_summary_can_be_kept() -> None:
    summary = summarise("a.py", "a", BAD)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(summary), type=Summary)
    assert kept == summary
    assert link([kept], Options()) == link([summary], Options())


def test_a_summary_depends_on_its_arguments_only() -> None:
    assert summarise("a.py", "a", BAD) == summarise("a.py", "a", BAD)


def test_rules_are_selected() -> None:
    assert codes(BAD) == ["JS001"]
    assert codes(BAD, Options(select=("JS002",))) == []
    assert codes(BAD, Options(ignore=("JS001",))) == []


def test_a_sink_of_the_project() -> None:
    source = "import a2, uuid\na2.wire.send(1, uuid.uuid4())\na2.wire.send(uuid.uuid4(), body=1)\n"
    assert codes(source) == []
    named = Options(sinks=(OwnSink("a2.wire.send", "body"),))
    assert codes(source, named) == []
    assert codes(source, Options(sinks=(OwnSink("a2.wire.send"),))) == ["JS004"]


def test_an_argument_of_a_sink_of_the_project_is_found_where_it_stands() -> None:
    source = (
        "import uuid\nclass Bus:\n    def send(self, topic, body, *, more=None): ...\n"
        "def go(bus: Bus):\n    bus.send('t', uuid.uuid4())\n    bus.send(uuid.uuid4(), 1)\n"
        "    bus.send(body=uuid.uuid4(), topic='t')\n    Bus.send(bus, 't', uuid.uuid4())\n"
        "    bus.send('t', 1, more=uuid.uuid4())\n"
    )
    for argument, lines in (("body", [5, 7, 8]), ("more", [9])):
        options = Options(sinks=(OwnSink("a.Bus.send", argument),))
        found = link([summarise("a.py", "a", source)], options)
        assert [finding.line for finding in found] == lines


def test_a_safe_function_of_the_project() -> None:
    source = "import json, uuid\ndef clean(x):\n    return x\njson.dumps(clean(uuid.uuid4()))\n"
    assert codes(source) == ["JS004"]
    assert codes(source, Options(safe=("a.clean",))) == []


def test_notes_can_be_off() -> None:
    source = BAD.replace("json.dumps(", "json.dumps({'x': str(Color.RED)}, **{}) if 0 else (")
    source += "json.dumps({'x': str(Color.RED)})\n"
    assert codes(source) == ["JS202"]
    assert codes(source, Options(notes=False)) == []


def test_the_project_can_name_its_log_encoder() -> None:
    source = "import logging, uuid\nlogging.getLogger().info('x', extra={'id': uuid.uuid4()})\n"
    assert codes(source) == []
    assert codes(source, Options(log_encoder=LogEncoder.JSON)) == ["JS101"]
    assert codes(source, Options(log_encoder=LogEncoder.ORJSON)) == []


def test_of_the_environment_nothing_is_reported_but_everything_is_known() -> None:
    library = summarise("lib.py", "lib", BAD)
    own = summarise("a.py", "a", "import json, lib\njson.dumps(lib.Color.RED)\n")
    findings = link([own], Options(), [library])
    assert [(f.path, f.line, f.severity) for f in findings] == [("a.py", 2, Severity.ERROR)]


def test_files_of_one_name_know_their_own_names() -> None:
    first = summarise("x/conftest.py", "conftest", BAD)
    second = summarise("y/conftest.py", "conftest", BAD.replace("enum.Enum", "str, enum.Enum"))
    for order in ([first, second], [second, first]):
        assert [f.path for f in link(order, Options())] == ["x/conftest.py"]


def test_the_scan_loads_neither_server_nor_anything_that_does_io() -> None:
    code = "import netra_backend.scan.engine, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"starlette", "uvicorn", "pydantic", "asyncio", "ag_ui", "typer", "rich"}
    assert not {n for n in loaded if n.startswith("netra_backend.server")}


def test_counters_that_name_themselves_use_up_no_steps() -> None:
    counters = [f"c{at}" for at in range(8)]
    counted = "".join(f"        self.{name} += 1\n" for name in counters)
    source = (
        "import json\nclass A:\n    def __init__(self):\n        self.tags = set()\n"
        + "".join(f"        self.{name} = 0\n" for name in counters)
        + "".join(f"    def m{at}(self):\n{counted}" for at in range(6))
        + "    def save(self):\n        json.dumps({"
        + "".join(f"'{name}': self.{name}, " for name in counters)
        + "'tags': self.tags})\n"
    )
    assert codes(source) == ["JS008"]


@pytest.mark.parametrize(
    "read",
    [
        "state = getattr(ws, 'client_state', None)\n    json.dumps({'s': state})\n",
        "json.dumps({'s': getattr(ws, 'client_state', None)})\n",
        "d = {'s': 1}\n    d['s'] = getattr(ws, 'client_state', None)\n    json.dumps(d)\n",
    ],
)
def test_what_may_be_a_default_is_found_and_not_fixed(read: str) -> None:
    source = f"import json\nfrom fastapi import WebSocket\ndef f(ws: WebSocket):\n    {read}"
    (found,) = link([summarise("a.py", "a", source)], Options())
    assert found.rule == "JS001"
    assert found.fix is None


def test_what_another_function_makes_is_found_and_not_fixed() -> None:
    """It may make it for others too, who want the member."""
    made = "import json, enum\nclass C(enum.Enum):\n    A = 1\ndef made():\n    return {'c': C.A}\n"
    (found,) = link([summarise("a.py", "a", f"{made}json.dumps(made())\n")], Options())
    assert found.fix is None
    (found,) = link(
        [summarise("a.py", "a", made.replace("return ", "json.dumps(").strip() + ")\n")], Options()
    )
    assert found.fix is not None


RECURSIVE = """
def f(o):
    if isinstance(o, dict):
        return {f(k): f(v) for k, v in o.items()}
    return tuple(f(v) for v in o) if isinstance(o, tuple) else str(o)
json.dumps(f(read()))
"""
SEVERAL = """
def parts() -> tuple[str, list[set]]:
    return read()
name, rest = parts()
json.dumps({"name": name, "count": len(rest)})
"""
REPLACED = """
@dataclasses.dataclass
class A:
    tags: set[str] | None = None
    def to_dict(self):
        made = dataclasses.asdict(self)
        if self.tags is not None:
            made["tags"] = sorted(self.tags)
        return made
def write(a: A):
    json.dumps(a.to_dict())
"""


@pytest.mark.parametrize("source", [RECURSIVE, SEVERAL, REPLACED])
def test_what_is_converted_on_the_way_is_silent(source: str) -> None:
    assert codes(f"import dataclasses, json\n{source}") == []


DECLARED = """\
import enum, json
from typing import NamedTuple, TypedDict

class State(enum.Enum):
    OPEN = 1

class Row(NamedTuple):
    name: str
    state: State

class Message(TypedDict):
    row: Row
    reply: "Message"
    again: "Message"

class Names(dict):
    state: State
"""


@pytest.mark.parametrize(
    ("given", "severity", "path"),
    [
        ("Row", Severity.ERROR, "[1]"),
        ("Message", Severity.WARNING, "row[1]"),
        ("list[Message]", Severity.WARNING, "[].row[1]"),
        ("Names", None, ""),
    ],
)
def test_what_a_class_declares_is_in_its_tuples_and_dicts(
    given: str, severity: Severity | None, path: str
) -> None:
    source = f"{DECLARED}\ndef send(it: {given}) -> str:\n    return json.dumps(it)\n"
    found = link([summarise("a.py", "a", source)], Options())
    first = [(one.severity, one.value_path) for one in found[:1]]
    assert first == ([(severity, path)] if severity else [])


MADE = """\
import json, uuid
from typing import NamedTuple

class When(NamedTuple):
    name: str
    at: uuid.UUID | None = None

def send(id: uuid.UUID | None, more: tuple) -> str:
"""


@pytest.mark.parametrize(
    ("given", "severity"),
    [
        ("'a'", None),
        ("'a', None", None),
        ("name='a', at=str(id)", None),
        ("'a', uuid.uuid4()", Severity.ERROR),
        ("at=uuid.uuid4(), name='a'", Severity.ERROR),
        ("'a', id", Severity.WARNING),
        ("*more", Severity.WARNING),
        ("'a', more[0]", Severity.WARNING),
    ],
)
def test_a_named_tuple_holds_what_it_was_given(given: str, severity: Severity | None) -> None:
    source = f"{MADE}    return json.dumps(When({given}))\n"
    found = link([summarise("a.py", "a", source)], Options())
    first = [(one.severity, one.value_path) for one in found]
    assert first == ([(severity, "[1]")] if severity else [])


ORDERED = """\
import dataclasses, json, uuid
from typing import Any, NamedTuple

class Row(NamedTuple):
    flag: bool
    items: list[int]
    more: Any
    at: uuid.UUID | None = None

@dataclasses.dataclass
class Visit:
    first: list
    second: Any
    third: list | None = None

id = uuid.uuid4()

def send(row: Row) -> str:
"""


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("row", "[3]"),
        ("Visit('a', 'b', id).third", ""),
        ("Visit('a', 'b', id).first", None),
        ("Visit('a', id, 'c').first", None),
        ("Visit('a', id, 'c').second", ""),
    ],
)
def test_fields_stand_in_the_order_of_the_source(value: str, path: str | None) -> None:
    summary = summarise("a.py", "a", f"{ORDERED}    return json.dumps({value})\n")
    found = [finding.value_path for finding in link([summary], Options())]
    assert found == ([] if path is None else [path])


def test_an_error_at_a_caller_is_told_beside_a_warning_at_the_wrapper() -> None:
    source = (
        "import json\n"
        "def update(again, payload):\n"
        "    if again:\n"
        "        payload = {'tags': set()}\n"
        "    json.dumps(payload)\n"
        "def sure():\n"
        "    update(0, {'tags': {1}})\n"
        "def fine(payload):\n"
        "    update(0, {'tags': [1]})\n"
        "    update(0, payload)\n"
    )
    found = link([summarise("a.py", "a", source)], Options())
    assert [(it.line, it.severity) for it in found] == [(5, Severity.WARNING), (7, Severity.ERROR)]
