"""Small programs that make values of all sorts and write them as JSON, in every way we follow.

Every program runs to its end: ``json.dumps`` is watched, and a refusal does not stop it. A
program binds each of ``v0`` … ``v5`` first, so that no statement fails for another reason.
"""

import contextlib
import json
import sys
import traceback
from collections.abc import Iterator

from hypothesis import strategies as st
from msgspec import Struct

FILE = "program.py"

HEAD = """\
import base64, dataclasses, datetime, decimal, enum, functools, ipaddress, json, pathlib, types
import itertools, typing, uuid
from collections import OrderedDict, defaultdict, deque, namedtuple
from json import dumps as write


class Color(enum.Enum):
    RED = 1
    BLUE = "blue"


class Text(str, enum.Enum):
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Point:
    x: int = 1


@dataclasses.dataclass
class Visit:
    at: datetime.datetime
    color: Color = Color.RED


class Job:
    limit: int = 3

    def __init__(self, color: Color = Color.RED):
        self.color = color
        self.name = color.name
        self.since = datetime.datetime.now()

    @property
    def shade(self):
        return self.color

    def describe(self, extra=None):
        return {"color": self.color.name, "extra": extra}


class Seen:
    @property
    def at(self):
        return datetime.datetime.now()

    def mark(self):
        return json.dumps({"at": self.at})


class Late(Seen):
    at = "late"


class Box:
    def __init__(self, thing, other=None):
        self.thing = thing
        self.other = other

    def pack(self):
        return {"thing": self.thing}


Level = enum.Enum("Level", "LOW HIGH")
Word = enum.Enum("Word", ["A"], type=str)


class Shelf:
    def __init__(self):
        self.rows = []
        self.named = {"first": 1}

    def put(self, name, thing):
        self.rows.append(thing)
        self.named[name] = thing

    def mend(self):
        self.named["first"] = str(self.named["first"])


T = typing.TypeVar("T")


class Holder(typing.Generic[T]):
    def __init__(self, held: T):
        self.held = held

    def get(self) -> T:
        return self.held


Pair = namedtuple("Pair", "first second")


class Spot(typing.NamedTuple):
    name: str
    color: Color


KEPT = {}


def keep_at(name, thing):
    KEPT[name] = thing


def held(holder: Holder[Color]):
    return holder.get()


def second(pair: tuple[str, Color]):
    return pair[1]


def texts(pairs):
    return {key: str(value) for key, value in pairs}


def encode(value):
    if isinstance(value, enum.Enum):
        return value.name
    raise TypeError


def same(value):
    return value


def pick(color: Color) -> Color:
    return color


def wrap(value, **fields):
    return json.dumps({"value": value, **fields})


def write_with(value, **options):
    return json.dumps(value, **options)


def outer(payload, loud=False):
    if loud:
        return wrap(payload)
    return wrap(str(payload))


def change(data):
    for key in list(data):
        data[key] = str(data[key])


def keep(data):
    return len(data)


def keep_all(**data):
    data.clear()


class Link:
    def __init__(self, state, *rest, note=None):
        self.state = state
        self.row = {"state": state, "rest": rest}
        self.note = note
        self.past = []
        self.last = None

    def move(self, state):
        self.past.append(state)
        self.last = state
        return self

    def tell(self):
        return json.dumps({"state": self.state})

    def tell_row(self):
        return json.dumps(self.row)

    def tell_past(self):
        return json.dumps({"past": self.past, "last": self.last})

    def tell_name(self):
        return json.dumps(self.state.name if hasattr(self.state, "name") else str(self.state))


class Wire(Link):
    def __init__(self, state):
        super().__init__(str(state), note=state)

    def tell_note(self):
        return json.dumps({"note": self.note})


@dataclasses.dataclass
class Slip:
    thing: typing.Any
    other: object = None

    def tell(self):
        return json.dumps([self.thing, self.other])


LINKS = {}


def link(name, state):
    LINKS[name] = Link(state)


def tell_links():
    for it in LINKS.values():
        it.tell()


def pass_on(*args, **kwargs):
    return wrap(*args, **kwargs)


def pass_by_place(*args):
    return wrap(*args)


def later(value):
    def tell():
        return json.dumps({"value": value})

    return tell


compact = functools.partial(json.dumps, separators=(",", ":"))
"""

VALUES = (
    "1", "'a'", "None", "True", "1.5", "[]", "{}", "Text.A", "Number.ONE",
    "Color.RED", "Color('blue')", "Color['RED']", "pick(Color.RED)", "same(Color.RED)",
    "datetime.datetime.now()", "datetime.date(2020, 1, 1)", "datetime.timedelta(1)",
    "uuid.uuid4()", "decimal.Decimal(1)", "pathlib.Path('a') / 'b'", "b'x'", "{1, 2}", "1j",
    "deque([1])", "(x for x in [1])", "{'a': 1}.keys()", "range(2)", "map(str, [1])",
    "ValueError('no')", "Point(2)", "dataclasses.asdict(Point(2))", "Job().color", "Job().name",
    "Job().since", "Job().shade", "Job().limit", "Job().describe(1)", "Job().describe(Color.RED)",
    "dataclasses.asdict(Visit(datetime.datetime.now()))",
    "dataclasses.asdict(Visit(datetime.datetime.now()), dict_factory=dict)",
    "dataclasses.asdict(Visit(datetime.datetime.now()), dict_factory=texts)",
    "Color.RED.name", "Color.RED.value", "str(Color.RED)", "[c for c in Color]",
    "[c.name for c in Color]", "{c.name: 1 for c in Color}", "{c: 1 for c in Color}",
    "dict([('k', Color.RED)])", "dict((c.name, c) for c in Color)", "OrderedDict(k=Color.RED)",
    "list({1, 2})", "sorted([2, 1])", "tuple([Color.RED])", "dict(a=Color.RED)",
    "base64.b64encode(b'x')", "base64.b64encode(b'x').decode()", "'a'.encode()",
    "abs(Job().since - Job().since)", "ipaddress.ip_address('::1')", "types.MappingProxyType({})",
    "sum([decimal.Decimal(1)])", "sum([])",
    "Spot('a', Color.RED)._asdict()", "Spot('a', Color.RED).name", "held(Holder(Color.RED))",
    "Holder('a').get()", "second(('a', Color.RED))", "set()", "frozenset()",
    "Level.LOW", "Word.A", "dict(Level.__members__)", "list(Level.__members__)", "[Level(1).name]",
    "Seen().at", "Late().at", "Late.at",
    "datetime.datetime.now().isoformat()", "getattr(Job(), 'color', None)", "Color", "same",
)  # fmt: skip
"""Expressions without names."""

USES = (
    "{a}", "[{a}]", "({a}, {b})", "{{'k': {a}}}", "{{'k': [{a}, {{'n': {b}}}]}}", "same({a})",
    "{a} if flag else {b}", "{a} or {b}", "str({a})", "repr({a})", "[{a}, *[{b}]]",
    "{{**{{'k': {a}}}, 'k': {b}}}", "{{**{{'k': {a}}}, 'm': {b}}}", "dict(k={a}, m={b})",
    "getattr({a}, 'name', {b})", "[x for x in [{a}, {b}]]", "[x for x in [{a}] if flag]",
    "{{'k': {a}}}['k']", "[{a}, {b}][0]", "({a}, {b})[-1]", "{{'k': {a}}}.get('k')",
    "{{'k': {a}}}.get('z', {b})", "list([{a}])", "list({{'k': {a}}}.values())",
    "[y for _, y in {{'k': {a}}}.items()]", "f'{{{a}}}'", "'%s' % ({a},)",
    "({a}.name if isinstance({a}, enum.Enum) else {a})", "[{a}] + [{b}]",
    "{{'k': {a}}} | {{'m': {b}}}", "Box({a}).pack()", "Box({a}, other={b}).other", "vars(Box({a}))",
    "[{a}, {b}][1:]", "same([{a}, {b}])[:1]", "same(({a},)) + ({b},)", "[{a}] + same([{b}])",
    "same([{a}]) + [{b}]", "same([{a}]) * 2", "same({{'k': {a}}}) | {{'k': {b}}}", "Pair({a}, {b})",
    "list(filter(None, [{a}, {b}]))", "list(itertools.islice([{a}, {b}], 1))",
    "list(itertools.chain([{a}], same([{b}])))", "dict(enumerate([{a}, {b}]))",
    "list(map(lambda x: x, [{a}, {b}]))", "list(map(lambda x: {{'k': x, 'm': {b}}}, [{a}]))",
    "(lambda x, y=1: [x, y])({a})", "(lambda x: x.name if hasattr(x, 'name') else {b})({a})",
    "[f(1) for f in [lambda x: [x, {a}]]]", "(lambda *x: x)({a}, {b})",
    "(lambda: (lambda x: x)({a}))()",
    "Pair({a}, {b})._asdict()", "Pair({a}, second={b})[0]", "Pair({a}, {b}).second",
)  # fmt: skip
"""Expressions over two names."""

STATEMENTS = (
    "{t} = {e}",
    "{t} = {u} = {e}",
    "{t}, {u} = {a}, {b}",
    "{t} = {{'a': {a}, 'b': {b}}}",
    "{t} = {{}}; {t}['a'] = {a}; {t}['b'] = {b}; {t}['a'] = {e}",
    "{t} = {{'a': {a}}}; {t}.update(b={b})",
    "{t} = {{'a': {a}}}; {u} = {t}; {u}['a'] = {e}",
    "{t} = {{'a': {a}}}; del {t}['a']",
    "{t} = {{'a': {a}, 'b': {b}}}; {t}.pop('a')",
    "{t} = {{'a': {a}}}; {t}.setdefault('a', {b}); {t}.setdefault('c', {b})",
    "{t} = []; {t}.append({a}); {t}.extend([{b}])",
    "{t} = [{a}]; {t}[0] = {b}",
    "{t} = [{a}, {b}]; {t}.pop()",
    "{t} = same({{'a': {a}, 'b': {b}}}); {t}.pop('a')",
    "{t} = same({{'a': {a}}}); del {t}['a']",
    "{t} = same({{'a': {a}}}); {t}.update(a={b})",
    "{t} = same({{'a': {a}}}); {t}.setdefault('c', {b})",
    "{t} = same({{'a': {a}}}); {t}.clear()",
    "{t} = Box({a}); {t}.thing = {b}; {t} = {t}.pack()",
    "{t} = Box({a}); {t}.thing = {b}; {t} = vars({t})",
    "{t} = Visit(datetime.datetime.now()); {t}.at = {a}; {t}.color = {b}; {t} = {t}.__dict__",
    "{t} = {{'in': {{'a': {a}}}}}; {t}['in']['a'] = {b}",
    "{t} = {{'a': {a}}}; change({t})",
    "{t} = {{'a': {a}}}; keep({t})",
    "{t} = {{key: {a} for key in ['x', 'y']}}",
    "if flag: {t} = {a}\nelse: {t} = {b}",
    "if flag: {t} = {e}",
    "if {a} is None: {t} = 1\nelse: {t} = {a}",
    "if {a} is not None: {t} = {a}",
    "if isinstance({a}, enum.Enum): {a} = {a}.name",
    "if hasattr({a}, 'isoformat'): {a} = {a}.isoformat()",
    "for x in [{a}, {b}]: {t} = x",
    "for x in []: {t} = {a}",
    "for key, value in {{'k': {a}}}.items(): {t} = {{key: value}}",
    "{t} = {{}}\nfor x in [1, 2]: {t}[str(x)] = {a}",
    "{t} = [{{'k': {a}}}]\nfor x in {t}[:]: x['k'] = str(x['k'])",
    "{t} = same([{{'k': {a}}}]); {u} = {t}[:]\nfor x in {u}: x['k'] = str(x['k'])",
    "{t} = [{{'k': {a}}}]\nfor x in itertools.chain({t}, []): x['k'] = {b}",
    "{t} = [{{'k': {a}}}]; {u} = list({t})\nfor x in {u}: x['k'] = {b}",
    "{t} = [{a}, {b}]; {u} = {t}[:]\nfor i, x in enumerate({u}): {u}[i] = str(x)",
    "while True:\n    {t} = {a}\n    break",
    "try: {t} = {a}\nexcept ValueError: {t} = {b}",
    "try: raise ValueError\nexcept ValueError as error: {t} = [error, {a}]",
    "match {a}:\n    case 1: {t} = {b}\n    case _: {t} = {a}",
    "def inner(): return {a}\n{t} = inner()",
    "{t} = (lambda: {a})()",
    "if (z := {a}): {t} = z",
    "{t} = [{a}]; {t} += [{b}]",
    "assert True; {t} = {a}",
    "{t} = Shelf(); {t}.put('x', {a}); {t} = {t}.named",
    "{t} = Shelf(); {t}.put('x', {a}); {t} = {t}.rows[-1]",
    "{t} = Shelf(); {t}.put('first', {a}); {t}.mend(); {t} = {t}.named",
    "keep_at('x', {a}); {t} = KEPT['x']",
    "{t} = lambda: {a}\n{t} = {t}()",
    "{t} = [lambda: {a}]; {a} = {b}; {t} = {t}[0]()",
    "{t} = map(lambda x: [x, {a}], [{b}]); {a} = {e}; {t} = list({t})",
    "{t} = defaultdict(set); {t}['a'].add(1); {t}['b'] = {a}",
    "{t} = defaultdict(list); {t}['a'].append({a})",
    "{t} = {{'a': {a}}}; keep_all(**{t})",
    "{t} = set()\nfor x in {t}: {u} = {a}",
    "{t} = set(); {u} = [{a} for _ in {t}]",
    "{t} = []; {u} = {t} or {a}",
    "{t} = {{}}\nif {t}: {u} = {a}\nelse: {u} = {b}",
    "{t} = set()\nfor x in [1, 2]:\n    if {t}: {u} = {a}\n    {t}.add(x)",
    "{t} = dict(first={a}).copy(); {t}.update({{'more': {b}}})",
    "with contextlib.nullcontext({a}) as {t}: pass",
    "{t} = {{}}; {t}.setdefault('a', []).append({a}); {t}.setdefault('b', {{}}).update(c={b})",
    "{t} = {{'a': {a}}}; {t}.setdefault('a', {b}); {t}.setdefault('c', [{a}]).pop()",
    "{t} = {{}}; {u} = []; {t}.setdefault('a', {u}).append({a}); {t}['a'] = [str(x) for x in {u}]",
)
"""Statements over targets t and u, names a and b, and an expression e."""

SINKS = (
    "json.dumps({a})", "json.dumps([{a}, {b}])", "json.dumps({{'k': {a}}})", "write({a})",
    "compact({a})", "wrap({a})", "wrap(1, extra={a})", "outer({a})", "outer({a}, loud=True)",
    "json.dumps({a}, default=str)", "json.dumps({a}, default=encode)",
    "json.dumps(**{{'obj': {a}}})", "write_with({a})", "write_with({a}, default=str)",
    "write_with({a}, **{{'indent': 1}})",
    "print(f'{{json.dumps({a})}}', file=sink)", "json.dumps({{'k': {a}}}, skipkeys=True)",
    "json.dumps({{**{a}}} if isinstance({a}, dict) else 1)", "json.dumps({{'v': {a}, 'w': {e}}})",
    "[json.dumps(x) for x in [{a}]]",
    "json.dumps(Job({a}).describe()) if type({a}) is Color else 1",
    "try: json.dumps({a})\nexcept TypeError: pass", "if flag: json.dumps({a})",
    "Seen().mark()", "Late().mark()",
    "Link({a}).tell()", "Link({a}, {b}).tell_row()", "Link({a}).tell_name()", "Wire({a}).tell()",
    "Wire({a}).tell_note()", "Link({a}).move({b}).tell_past()", "Slip({a}).tell()",
    "Slip({a}, other={b}).tell()", "link('x', {a}); tell_links()", "pass_on({a})",
    "pass_on({a}, extra={b})", "pass_by_place({a})", "later({a})()", "list(map(wrap, [{a}, {b}]))",
    "functools.partial(wrap, {a})()", "functools.partial(wrap, extra={a})({b})",
    "json.dumps({{str({a}): {b}}})", "json.dumps([{a}] if flag else {b})",
)  # fmt: skip

NAMES = tuple(f"v{index}" for index in range(6))


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Return the source of a program."""

    def name() -> str:
        return draw(st.sampled_from(NAMES))

    def expression() -> str:
        if draw(st.booleans()):
            return draw(st.sampled_from(VALUES))
        return draw(st.sampled_from(USES)).format(a=name(), b=name())

    def fill(form: str) -> str:
        return form.format(a=name(), b=name(), t=name(), u=name(), e=expression())

    lines = ["import contextlib, io", "sink = io.StringIO()", f"flag = {draw(st.booleans())}"]
    lines += [f"{target} = {draw(st.sampled_from(VALUES))}" for target in NAMES]
    for _ in range(draw(st.integers(1, 7))):
        lines += fill(draw(st.sampled_from(STATEMENTS))).splitlines()
    for _ in range(draw(st.integers(1, 3))):
        lines += fill(draw(st.sampled_from(SINKS))).splitlines()
    if draw(st.booleans()):
        return HEAD + "\n\n" + "\n".join(lines) + "\n"
    body = "\n".join(f"    {line}" for line in lines)
    return f"{HEAD}\n\ndef main():\n{body}\n\n\nmain()\n"


class Written(Struct, frozen=True):
    """One call of ``json.dumps``: the program's lines that led to it, and whether it raised."""

    lines: frozenset[int]
    raised: bool


def execute(source: str) -> tuple[list[Written], Exception | None]:
    """Run the program; return what ``json.dumps`` did, and what ended the program early."""
    written: list[Written] = []
    real = json.dumps

    def dumps(*args: object, **options: object) -> str:
        frames = traceback.extract_stack(sys._getframe(1))
        lines = frozenset(f.lineno or 0 for f in frames if f.filename == FILE)
        try:
            text = real(*args, **options)  # type: ignore[arg-type]
        except TypeError:
            written.append(Written(lines, raised=True))
            return "null"
        written.append(Written(lines, raised=False))
        return text

    with watched(dumps):
        try:
            exec(compile(source, FILE, "exec"), {"__name__": "program"})  # noqa: S102 - ours
        except Exception as error:  # noqa: BLE001 - the program decides what it raises
            return written, error
    return written, None


@contextlib.contextmanager
def watched(dumps: object) -> Iterator[None]:
    real = json.dumps
    json.dumps = dumps  # type: ignore[assignment]
    try:
        yield
    finally:
        json.dumps = real
