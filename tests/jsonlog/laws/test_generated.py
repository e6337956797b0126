"""The laws hold for values and calls that nobody thought of, through a real sink and a real file.

``make nightly`` tries 10,000 of each kind.
"""

import dataclasses
import datetime as dt
import json
import logging
import string
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_backend import jsonlog
from netra_backend.jsonlog.sinks import Sink
from tests.jsonlog.conftest import clean_logging  # noqa: F401 - a fixture
from tests.jsonlog.hostile_calls import ATTRIBUTES, NAMES
from tests.jsonlog.hostile_calls import TEXTS as FORGERIES
from tests.jsonlog.hostile_secrets import SECRETS as HIDDEN
from tests.jsonlog.hostile_secrets import TEXTS as SECRETS
from tests.jsonlog.hostile_values import LARGE, VALUES
from tests.jsonlog.thoroughness import briefly

pytestmark = pytest.mark.timeout(3 * 3_600)  # a night has 10,000 examples

QUICK = sorted(name for name in VALUES if not name.startswith(LARGE))
"""Hostile values that are made in no time."""


class Seed(NamedTuple):
    """Stands for a hostile value: hypothesis itself falls over some of them."""

    name: str


def grow(drawn: Any) -> Any:
    """Return what was drawn, with the hostile values in their places."""
    if type(drawn) is Seed:
        return VALUES[drawn.name]()
    if type(drawn) is list or type(drawn) is tuple or type(drawn) is deque:
        return type(drawn)(map(grow, drawn))
    if type(drawn) is dict:
        return {name: grow(value) for name, value in drawn.items()}
    return Pair(grow(drawn.a), grow(drawn.b)) if type(drawn) is Pair else drawn


texts = st.text() | st.text(st.characters(categories=["Cs", "Cc", "Zl", "Zp", "Cf"]), max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from(FORGERIES)
)
hostile = st.sampled_from(QUICK).map(Seed)
harmless = st.text(
    st.characters(
        exclude_categories=["Cs"], exclude_characters=set(string.ascii_letters) - {*"xyz"}
    ),
    max_size=20,
)
"""Texts that cannot have the name or the shape of a secret."""
plain: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | harmless,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(harmless, inner, max_size=5),
    max_leaves=15,
)
"""What strict ``json.dumps`` writes."""


@dataclasses.dataclass
class Pair:
    a: object
    b: object


def wrapped(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return containers of the values: of each kind, and with keys of each kind."""
    keys = texts | st.integers() | st.none() | st.booleans() | st.floats() | st.binary(max_size=4)
    keys |= st.tuples(st.integers(), texts) | st.sampled_from(list(logging.Handler.__mro__))
    return (
        st.lists(inner, max_size=5)
        | st.dictionaries(keys, inner, max_size=5)
        | st.tuples(inner, inner)
        | st.builds(Pair, inner, inner)
        | st.lists(inner, max_size=3).map(deque)
        | st.frozensets(keys, max_size=4)
    )


leaves = scalars | hostile | st.binary() | st.datetimes() | st.timedeltas() | st.uuids()
leaves |= st.decimals() | st.complex_numbers() | st.dates() | st.times()
anything: st.SearchStrategy[Any] = st.recursive(leaves, wrapped, max_leaves=12)


class File:
    """The file that the log writes to."""

    def __init__(self, reader: BinaryIO) -> None:
        self._reader = reader

    def alone(self) -> None:
        """Take pytest's own handlers away: they raise, and keep the quick way from being taken."""
        root = logging.getLogger()
        root.handlers[:] = [one for one in root.handlers if isinstance(one, Sink)]

    def line(self) -> dict[str, Any]:
        """Return the one line that came since the last, as a strict foreign parser reads it.

        Records of the logger ``hostile`` are those of a ``__repr__`` that logs: lines of their own.
        """
        assert jsonlog.flush(60)
        text = self._reader.read().decode()
        assert text.endswith("\n")
        assert text.count("\n") == len(text.splitlines())
        lines = [orjson.loads(one) for one in text.splitlines()]
        assert {type(one) for one in lines} == {dict}
        (read,) = [one for one in lines if one["logger"] != "hostile"]
        return dict(read)


@pytest.fixture
def file(tmp_path: Path, clean_logging: None) -> Iterator[File]:  # noqa: F811
    path = tmp_path / "log"
    with path.open("w", encoding="utf-8") as stream, path.open("rb") as reader:
        jsonlog.configure("INFO", "json", stream)
        yield File(reader)


@briefly
@given(anything, st.sampled_from(NAMES[3:]) | texts)
def test_any_value_under_any_name_is_one_line(file: File, drawn: Any, name: str) -> None:
    file.alone()
    jsonlog.get_logger("app").info("text", **{name: grow(drawn)})
    assert file.line()["message"] == "text"


@briefly
@given(anything)
def test_any_value_in_any_place_is_one_line(file: File, drawn: Any) -> None:
    file.alone()
    logger, value = logging.getLogger("app"), grow(drawn)
    with jsonlog.bind(bound=value):
        logger.info("extra", extra={"value": value, "in": [{"deep": (value,)}]})
    assert file.line()["message"] == "extra"


@briefly
@given(plain)
def test_plain_json_comes_out_equal(file: File, value: object) -> None:
    file.alone()
    jsonlog.get_logger("app").info("text", value=value, other={"a": [value]})
    shown = file.line()
    wanted = orjson.loads(json.dumps(value, ensure_ascii=False))
    assert shown["value"] == shown["other"]["a"][0] == wanted


Mutant = tuple[Any, Any]


@st.composite
def mutants(draw: st.DrawFn) -> Mutant:
    """Draw plain JSON, and the same with one place taken by a hostile value."""
    seed = draw(plain)
    value = draw(hostile)
    return _mutate(draw, seed, value)


def _mutate(draw: st.DrawFn, seed: Any, value: object) -> Mutant:
    if type(seed) is list and seed:
        at = draw(st.integers(0, len(seed) - 1))
        kept, put = _mutate(draw, seed[at], value)
        return [*seed[:at], kept, *seed[at + 1 :]], [*seed[:at], put, *seed[at + 1 :]]
    if type(seed) is dict and seed:
        name = draw(st.sampled_from(sorted(seed)))
        kept, put = _mutate(draw, seed[name], value)
        return {**seed, name: kept}, {**seed, name: put}
    return PLACE, value


PLACE = "the place of the mutant"


@briefly
@given(mutants())
def test_a_hostile_value_costs_its_neighbours_nothing(file: File, mutant: Mutant) -> None:
    file.alone()
    seed, mutated = mutant
    jsonlog.get_logger("app").info("text", value=grow(mutated))
    shown = file.line()["value"]
    assert _same_but_for_the_place(orjson.loads(json.dumps(seed, ensure_ascii=False)), shown)


def _same_but_for_the_place(seed: Any, shown: Any) -> bool:
    if seed == PLACE:
        return True
    if type(seed) is dict and type(shown) is dict:
        return seed.keys() == shown.keys() and all(
            _same_but_for_the_place(seed[name], shown[name]) for name in seed
        )
    if type(seed) is list and type(shown) is list:
        pairs = zip(seed, shown, strict=True)
        return len(seed) == len(shown) and all(_same_but_for_the_place(*pair) for pair in pairs)
    return bool(seed == shown)


codes = st.sampled_from(["%s", "%r", "%d", "%x", "%f", "%c", "%a", "%(a)s", "%%", "%", "%*d", "%y"])
formats = st.lists(codes | texts, max_size=5).map(" ".join)
arguments = st.lists(anything, max_size=4) | st.tuples(st.dictionaries(texts, scalars))
extras = st.none() | st.dictionaries(
    st.sampled_from(ATTRIBUTES) | texts | st.integers() | st.none(), anything, max_size=4
)
infos = st.none() | st.booleans() | texts | st.builds(ValueError, texts) | st.just((1, 2, 3))


@briefly
@given(formats, arguments, extras, infos, st.booleans())
def test_any_call_is_one_line(
    file: File, text: str, args: Any, extra: Any, info: Any, stack: bool
) -> None:
    file.alone()
    given, more = grow(args), grow(extra)
    logging.getLogger("app").error(text, *given, extra=more, exc_info=info, stack_info=stack)
    assert file.line()["level"] == "ERROR"


def test_an_argument_whose_repr_logs_is_one_line_besides(file: File) -> None:
    file.alone()
    logging.getLogger("app").error("%s", grow(Seed("repr logs")))
    assert file.line()["level"] == "ERROR"


surroundings = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
Hide = Callable[[str], object]
places: list[Hide] = [
    lambda text: text,
    lambda text: {"body": [text]},
    lambda text: text.encode(),
    lambda text: {text: 1},
    ValueError,
    lambda text: Pair(text, 1),
]


@briefly
@given(st.sampled_from(sorted(SECRETS)), surroundings, surroundings, st.sampled_from(places))
def test_a_secret_is_hidden_in_any_surroundings(
    file: File, name: str, before: str, after: str, place: Hide
) -> None:
    file.alone()
    text = f"{before} {SECRETS[name]} {after}"
    jsonlog.get_logger("app").info(text, value=place(text))
    shown = json.dumps(file.line(), ensure_ascii=False)
    assert not [secret for secret in HIDDEN if secret in shown]


def test_the_clock_of_a_record_is_the_clock(file: File) -> None:
    """None of the above would notice a path that writes always the same line."""
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    jsonlog.get_logger("app").info("now", number=1)
    first = file.line()
    jsonlog.get_logger("app").info("then", number=2)
    assert (first["message"], first["number"], file.line()["number"]) == ("now", 1, 2)
    assert before < dt.datetime.fromisoformat(first["time"]) < before + dt.timedelta(minutes=1)
