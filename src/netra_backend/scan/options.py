"""What a project says about its scan: the table ``[tool.netra.scan]`` of its pyproject.toml.

`parse_options` is the only reader. What it returns holds no wrong value, so nothing after it
checks again.
"""

import re
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import NoReturn, TypeVar

from msgspec import Struct

from netra_backend.errors import ConfigError

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

UNUSED_IGNORE = "JS100"
"""The rule of a ``# netra: ignore`` comment that ignores nothing."""


class Encoder(Enum):
    """Who writes the JSON, and so which values are refused."""

    JSON = "json"
    ORJSON = "orjson"
    UJSON = "ujson"
    SIMPLEJSON = "simplejson"
    MSGSPEC = "msgspec"


class LogEncoder(Enum):
    """What a project's log formatter does with ``extra=`` and other fields of a log call."""

    AUTO = "auto"  # what the scanned code itself shows; unknown is silence
    NONE = "none"  # the fields never become JSON
    TOTAL = "total"  # writes any value: netra_backend.jsonlog, python-json-logger, default=str
    JSON = "json"
    ORJSON = "orjson"
    UJSON = "ujson"
    SIMPLEJSON = "simplejson"
    MSGSPEC = "msgspec"


class Sink(Struct, frozen=True):
    """A function of the project that writes one argument as JSON.

    `name` is its dotted path (``app.bus.Bus.publish``). `argument` is the parameter's name, or
    None for the first one (``self`` does not count).
    """

    name: str
    argument: str | None = None
    encoder: Encoder = Encoder.JSON


class PerFileIgnore(Struct, frozen=True):
    """Rules that are off in the files a pattern matches; patterns are written as in .gitignore."""

    pattern: str
    rules: tuple[str, ...]


class Options(Struct, frozen=True):
    """How to scan; the defaults are those of a project that says nothing.

    `select` and `ignore` hold rule codes or beginnings of codes (``JS``, ``JS00``); the longer
    one wins, and `ignore` wins a tie. `src` are the folders that imports start from, relative to
    the pyproject.toml. `safe` are dotted names of functions whose result is JSON-safe. `python`
    is the environment in which the project's dependencies are installed. `notes` None means
    yes, except in CI.
    """

    select: tuple[str, ...] = ("JS",)
    ignore: tuple[str, ...] = ()
    per_file_ignores: tuple[PerFileIgnore, ...] = ()
    exclude: tuple[str, ...] = ()
    src: tuple[str, ...] = (".", "src")
    sinks: tuple[Sink, ...] = ()
    safe: tuple[str, ...] = ()
    log_encoder: LogEncoder = LogEncoder.AUTO
    python: str | None = None
    baseline: str | None = None
    fail_on: str = "warning"
    notes: bool | None = None

    def enabled(self, rule: str) -> bool:
        """Return whether the rule is on, files apart."""
        chosen = max((len(code) for code in self.select if rule.startswith(code)), default=-1)
        refused = max((len(code) for code in self.ignore if rule.startswith(code)), default=-1)
        return chosen > refused


def parse_options(table: Mapping[str, object], where: str, rules: Collection[str]) -> Options:
    """Return the options in the table ``[tool.netra.scan]`` of the file `where`.

    `rules` are the codes that exist. Raises ConfigError naming the file, the key and the value.
    """
    values: dict[str, object] = {}
    for key, value in table.items():
        reader = _READERS.get(key)
        if reader is None:
            raise ConfigError(
                f"{where}: [tool.netra.scan] has no key {key!r}; there are {', '.join(_READERS)}"
            )
        place = _Place(f"{where}: tool.netra.scan.{key}", frozenset(rules))
        values[key.replace("-", "_")] = reader(place, value)
    return Options(**values)  # type: ignore[arg-type]


def parse_codes(text: str, where: str, rules: Collection[str]) -> tuple[str, ...]:
    """Return the codes in ``JS001,JS1``. Raises ConfigError as `parse_options` does."""
    place = _Place(where, frozenset(rules))
    return tuple(_code(place, part.strip()) for part in text.split(","))


class _Place(Struct, frozen=True):
    """Where a value stands, for errors, and the rules that exist."""

    name: str
    rules: frozenset[str]

    def at(self, step: str) -> "_Place":
        return _Place(f"{self.name}{step}", self.rules)

    def refuse(self, value: object, wanted: str) -> NoReturn:
        raise ConfigError(f"{self.name} is {value!r}, and must be {wanted}")


def _text(place: _Place, value: object) -> str:
    if not isinstance(value, str) or not value:
        place.refuse(value, "a text that is not empty")
    return value


def _code(place: _Place, value: object) -> str:
    code = "JS" if value == "ALL" else value
    if not isinstance(code, str) or not re.fullmatch(r"JS\d{0,3}", code):
        place.refuse(value, 'a rule such as "JS001", the beginning of one, or "ALL"')
    if not any(rule.startswith(code) for rule in place.rules):
        place.refuse(value, f"one of the rules that exist: {', '.join(sorted(place.rules))}")
    return code


def _name(place: _Place, value: object) -> str:
    if not isinstance(value, str) or not all(map(str.isidentifier, value.split("."))):
        place.refuse(value, 'a dotted name such as "app.wire.send"')
    return value


def _many(read: Callable[[_Place, object], T]) -> Callable[[_Place, object], tuple[T, ...]]:
    def read_many(place: _Place, value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            place.refuse(value, "a list")
        return tuple(read(place.at(f"[{index}]"), item) for index, item in enumerate(value))

    return read_many


def _one_of(kind: type[E]) -> Callable[[_Place, object], E]:
    def read_one(place: _Place, value: object) -> E:
        names = [str(member.value) for member in kind]
        if value not in names:
            place.refuse(value, f"one of {', '.join(map(repr, names))}")
        return kind(value)

    return read_one


def _sink(place: _Place, value: object) -> Sink:
    if isinstance(value, str):
        return Sink(_name(place, value))
    if not isinstance(value, dict) or "name" not in value:
        place.refuse(value, 'a dotted name, or a table with "name"')
    for key in value:
        if key not in ("name", "argument", "encoder"):
            place.at(f".{key}").refuse(value[key], 'left out: a sink has "argument" and "encoder"')
    encoder = value.get("encoder", Encoder.JSON.value)
    argument = value.get("argument")
    return Sink(
        _name(place.at(".name"), value["name"]),
        None if argument is None else _name(place.at(".argument"), argument),
        _one_of(Encoder)(place.at(".encoder"), encoder),
    )


def _per_file_ignores(place: _Place, value: object) -> tuple[PerFileIgnore, ...]:
    if not isinstance(value, dict):
        place.refuse(value, "a table from patterns to lists of rules")
    codes = _many(_code)
    return tuple(
        PerFileIgnore(pattern, codes(place.at(f".{pattern!r}"), rules))
        for pattern, rules in value.items()
    )


def _yes_or_no(place: _Place, value: object) -> bool:
    if not isinstance(value, bool):
        place.refuse(value, "true or false")
    return value


def _severity(place: _Place, value: object) -> str:
    if value not in ("error", "warning", "note"):
        place.refuse(value, "one of 'error', 'warning', 'note'")
    return str(value)


_READERS: dict[str, Callable[[_Place, object], object]] = {
    "select": _many(_code),
    "ignore": _many(_code),
    "per-file-ignores": _per_file_ignores,
    "exclude": _many(_text),
    "src": _many(_text),
    "sinks": _many(_sink),
    "safe": _many(_name),
    "log-encoder": _one_of(LogEncoder),
    "python": _text,
    "baseline": _text,
    "fail-on": _severity,
    "notes": _yes_or_no,
}
